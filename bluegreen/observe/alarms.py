"""Every alarm of a stack, in groups; and those on what users feel and on what the stack leans on.

Thresholds are the config's own (`bars.py`), so an alarm and a rollout judge alike. The alarms on the gateway and on a
release are in `alarms_release.py`. It deliberately knows no receiver: who is woken by what is Alertmanager's business.
"""

from collections.abc import Iterator, Mapping, Sequence

from bluegreen.observe import series
from bluegreen.observe.alarms_release import gateway, monitor, targets, traffic, ways_back
from bluegreen.observe.alert import APP, Alert, Group
from bluegreen.observe.bars import Bar, Severity, bars
from bluegreen.observe.queries import Queries
from bluegreen.settings import Settings

FEW = 20  # requests in five minutes: below, one failure would be an alarm
DAY = 86400
CERTIFICATE: tuple[tuple[int, Severity], ...] = ((3, "critical"), (21, "warning"))  # days
ROOM = 0.8  # share of the database's connections
LONG = 300  # seconds of a transaction
SERVICE = "{{ $labels.service }}"
BACK = "If a release has just gone out: bluegreen rollback full --reason …"
GATEWAY_BACK = (
    "See which plugin was added last, and how busy Kong's machine is; bluegreen rollback kong --reason … brings the "
    "last good gateway back."
)
WHICH = "See which colour is slow: the endpoints' panel asks each past the weights."
MISSED = "Nothing is broken: the aim of this stack's analysis is missed."
ENDINGS: Mapping[Severity, str] = {"critical": "High", "warning": "", "info": "MissAim"}
LASTS: Mapping[Severity, int] = {"critical": 120, "warning": 300, "info": 900}  # seconds
SHARE = '{{ printf "%.1f" $value }} %'
MILLISECONDS = '{{ printf "%.0f" $value }} ms'


def groups(settings: Settings, *, kong_job: str = "", postgres_job: str = "") -> Sequence[Group]:
    """Every alarm of this stack, in groups; a group without an alarm is left out."""
    ask = Queries(settings, "5m", kong_job, postgres_job)
    every = (
        Group("users", [*_users(settings, ask), *_probes(ask)]),
        Group("models", [*_models(ask)]),
        Group("gateway", [*targets(settings, ask), *gateway(ask)]),
        Group("release", [*traffic(settings, ask), *ways_back(settings, ask), *monitor(ask)]),
        Group("certificates", [*_certificates(ask)]),
        Group("database", [*_database(ask)] if settings.migrations is not None else []),
    )
    return [group for group in every if group.alerts]


def _users(settings: Settings, ask: Queries) -> Iterator[Alert]:
    for bar in bars(settings):
        yield _erring(bar, ask) if bar.measures == "errors" else _slow(bar, ask)


def _erring(bar: Bar, ask: Queries) -> Alert:
    return Alert(
        f"BluegreenErrors{ENDINGS[bar.severity]}",
        f"{ask.errors(ask.apps)} > {bar.most:g} and on (service) {ask.counted(ask.apps)} >= {FEW}",
        LASTS[bar.severity],
        bar.severity,
        f"{SERVICE} answers {SHARE} of requests with 5xx, more than {bar.most:g} %.",
        "These are requests of users, counted by Kong over five minutes, both colours together.",
        MISSED if bar.severity == "info" else BACK,
        _aim(bar),
    )


def _slow(bar: Bar, ask: Queries) -> Alert:
    kong = bar.measures == "overhead"
    family = series.KONG_OVERHEAD_MS if kong else series.KONG_REQUEST_MS
    return Alert(
        f"Bluegreen{'KongSlow' if kong else 'Slow'}{ENDINGS[bar.severity]}",
        f"{ask.percentile(family, ask.apps, bar.percentile)} > {bar.most:g}",
        LASTS[bar.severity],
        bar.severity,
        f"{SERVICE} {'waits in Kong itself for' if kong else 'takes'} {MILLISECONDS} at percentile "
        f"{bar.percentile:g}, more than {bar.most:g} ms.",
        "Kong has measured it over five minutes of users' requests, both colours together.",
        MISSED if bar.severity == "info" else GATEWAY_BACK if kong else f"{WHICH} {BACK}",
        _aim(bar),
    )


def _aim(bar: Bar) -> Mapping[str, str]:
    return {"metric": bar.name} if bar.severity == "info" else {}


def _probes(ask: Queries) -> Iterator[Alert]:
    seen = f"avg by (stack, app, endpoint) (avg_over_time({ask.ours(series.PROBE_SUCCESS, over='5m', way='users')}))"
    yield Alert(
        "BluegreenEndpointFails",
        f"100 * (1 - {seen}) > 5",
        120,
        "critical",
        f"{{{{ $labels.endpoint }}}} of {APP} did not answer as expected in {SHARE} of the monitor's looks.",
        "The monitor asks it on the way that users take, over the last five minutes.",
        f"Run bluegreen validate to see what it answers. {BACK}",
        {},
    )


def _models(ask: Queries) -> Iterator[Alert]:
    if ask.models:
        yield Alert(
            "BluegreenModelErrors",
            f"{ask.errors(ask.models)} > 5 and on (service) {ask.counted(ask.models)} >= {FEW}",
            300,
            "warning",
            f"{SERVICE} answers {SHARE} of requests with 5xx.",
            "The model is served by somebody else; no release of this stack changes that.",
            "See the provider's own status page; take the model out of gateway.models if it lasts.",
            {},
        )


def _certificates(ask: Queries) -> Iterator[Alert]:
    left = f"{ask.ours(series.PROBE_CERTIFICATE)} - time()"
    for days, severity in CERTIFICATE:
        yield Alert(
            "BluegreenCertificateExpires",
            f"{left} < {days * DAY}",
            600,
            severity,
            "The certificate of {{ $labels.endpoint }} expires in {{ $value | humanizeDuration }}.",
            "Whoever asks there after that is turned away by their own browser or client.",
            "Renew it where that name ends; bluegreen validate --only tls-expiry says when it is seen.",
            {},
        )


def _database(ask: Queries) -> Iterator[Alert]:
    used = f"sum({ask.database(series.PG_CONNECTIONS)}) / max({ask.database(series.PG_ROOM)})"
    yield Alert(
        "BluegreenDatabaseDown",
        f"min({ask.database(series.PG_UP)}) == 0",
        60,
        "critical",
        "The database does not answer postgres_exporter.",
        "Both colours use the same database: going back to the other one does not help.",
        "Look at the database itself first; release nothing meanwhile.",
        {},
    )
    yield Alert(
        "BluegreenDatabaseFull",
        f"{used} > {ROOM}",
        300,
        "warning",
        "{{ $value | humanizePercentage }} of the database's connections are taken.",
        "Two colours run beside each other in a release, each with connections of its own.",
        "Shrink the pools or raise max_connections before the next release.",
        {},
    )
    yield Alert(
        "BluegreenDatabaseLongTransaction",
        f"max({ask.database(series.PG_LONGEST)}) > {LONG}",
        60,
        "warning",
        "A transaction has been open for {{ $value | humanizeDuration }}.",
        "A migration would wait behind it, and everybody else behind the migration.",
        "Find who it is in pg_stat_activity, and end it before a release that migrates.",
        {},
    )
