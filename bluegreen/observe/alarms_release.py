"""The alarms on a release: its targets, the gateway that leads to them, the weights between them, the way back.

One fault is one alarm: shares that do not add up, two colours for too long, or the wrong one. Times are the config's
own (`progressDeadlineSeconds`, `rollbackWindow`). It deliberately names no colour as live, so the same rules serve
before and after a release.
"""

from collections.abc import Iterator

from bluegreen.observe import series
from bluegreen.observe.alert import APP, Alert
from bluegreen.observe.queries import Queries
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour

SILENCE = 300  # seconds without a look of the monitor
SOONEST, LATEST = 300, 6 * 3600  # seconds before its end at which a way back is worth a word: a twelfth, within these


def targets(settings: Settings, ask: Queries) -> Iterator[Alert]:
    """A colour that Kong calls unwell: grave while it serves, a warning while it is idle and should be running."""
    for app in settings.order():
        running = settings.apps[app].idle == "running"
        for colour in COLOURS:
            serving, idle = _target(ask, app, colour, running)
            yield from (serving, idle) if running else (serving,)


def _target(ask: Queries, app: str, colour: Colour, running: bool) -> tuple[Alert, Alert]:
    weight = ask.weights(app=app, colour=colour)
    # Without a monitor nobody knows the weights. Then an unwell target is taken for one that serves, unless an idle one
    # is away because it should be.
    serves = f"unless on () ({weight} == 0)" if running else f"and on () ({weight} > 0)"
    whose = {"app": app, "colour": colour}
    what = f"Kong calls {app}'s {colour} ({{{{ $labels.target }}}}) unhealthy, or cannot find its name."
    unwell = ask.unwell(app, colour)
    serving = Alert(
        "BluegreenTargetUnhealthy",
        f"({unwell}) {serves}",
        60,
        "critical",
        what,
        "It carries traffic, as far as is known, and Kong sends its share nowhere or elsewhere.",
        f"Look at its deployment in Railway, then bluegreen rollback {app} --reason … if the other colour is well.",
        whose,
    )
    waiting = Alert(
        "BluegreenIdleUnhealthy",
        f"({unwell}) and on () ({weight} == 0)",
        600,
        "warning",
        what,
        "It carries no traffic: users notice nothing, but the way back may be shut.",
        "Run bluegreen status; redeploy the idle colour if a rollback has to stay possible.",
        whose,
    )
    return serving, waiting


def gateway(ask: Queries) -> Iterator[Alert]:
    """Kong itself, and whether anybody sees it."""
    yield Alert(
        "BluegreenKongUnseen",
        f"absent({ask.kong(series.KONG_REACHES)})",
        300,
        "warning",
        "Prometheus has no metrics of Kong.",
        "Users may be served as ever; nobody would see it if they were not.",
        "See that Kong's /metrics is fetched, and that gateway.plugins.prometheus sets status_code_metrics, "
        "latency_metrics and upstream_health_metrics.",
        {},
    )
    yield Alert(
        "BluegreenKongDatabaseAway",
        f"min({ask.kong(series.KONG_REACHES)}) == 0",
        60,
        "critical",
        "A node of Kong cannot reach Kong's own database.",
        "Users are served from its memory, but no weight can be changed: neither a rollout nor a rollback works.",
        "Bring that database back before anything is released.",
        {},
    )


def traffic(settings: Settings, ask: Queries) -> Iterator[Alert]:
    """Weights as they should not stay: each alarm means something else, and one fault is one alarm."""
    weights = ask.weights()
    deadline = settings.rollout.progress_deadline_seconds
    yield Alert(
        "BluegreenWeightsOff",
        f"sum by (stack, app) ({weights}) != 100",
        120,
        "critical",
        f"The weights of {APP} add up to {{{{ $value }}}}, and not to 100.",
        "A move passes through that for a moment only: somebody has edited a weight, or a move was cut short.",
        "Run bluegreen status; then bluegreen recover, or pulumi up, which makes it as the config says.",
        {},
    )
    yield Alert(
        "BluegreenBothColours",
        f"count by (stack, app) ({weights} > 0) > 1",
        deadline,
        "warning",
        f"Both colours of {APP} have carried traffic for longer than a move may take ({deadline} s).",
        "Users meet two releases at once. A gate may be waiting for a word, or an update was killed.",
        "Run bluegreen status: it says whether a move is alive; then bluegreen approve, or bluegreen recover.",
        {},
    )
    wanted = f"({ask.ours(series.WANTED)} == 100)"
    yield Alert(
        "BluegreenDrift",
        f"{wanted} and on (stack, app, colour) ({weights} == 0)",
        deadline,
        "warning",
        f"The config wants {{{{ $labels.colour }}}} for {APP}, and the other colour carries all of its traffic.",
        "Somebody rolled back and holds it, or a config was merged that no update has carried out.",
        "Run bluegreen status; then set the line apps.<app>.live, or bluegreen hold release --reason … and pulumi up.",
        {},
    )


def ways_back(settings: Settings, ask: Queries) -> Iterator[Alert]:
    """A rollback that failed, and one that soon is none of one step any more."""
    yield Alert(
        "BluegreenRollbackFailed",
        # The counter begins at what it counts, which no increase shows, and ends with the monitor, soon after.
        f"max by (stack, app) (max_over_time({ask.ours(series.ROLLBACKS, over='15m', result='failed')})) > 0",
        0,
        "critical",
        f"The monitor could not bring {APP} back.",
        "Users still meet what it found broken.",
        "Run bluegreen status, then bluegreen rollback full --reason … --unchecked by hand.",
        {},
    )
    window = round(settings.rollout.rollback_window.duration.total_seconds())
    near = max(min(window // 12, LATEST), min(window, SOONEST))
    left = f"{ask.ours(series.DEADLINE)} - time()"
    yield Alert(
        "BluegreenRollbackEnds",
        f"({left}) < {near} and ({left}) > 0",
        0,
        "info",
        f"The rollback of {APP} is one step for {{{{ $value | humanizeDuration }}}} more.",
        "After that the release before is older than rollout.rollbackWindow, and contracts may take its schema away.",
        "Decide now whether the release stays; otherwise bluegreen rollback full --reason …",
        {},
    )


def monitor(ask: Queries) -> Iterator[Alert]:
    """Nobody looks."""
    seen = ask.ours(series.LAST_PULSE)
    yield Alert(
        "BluegreenMonitorAbsent",
        f"absent({seen}) or time() - {seen} > {SILENCE}",
        300,
        "info",
        "No monitor of this stack has looked for more than five minutes.",
        "Weights, drift, endpoints and certificates are watched by nobody; what Kong counts still is.",
        "Run bluegreen monitor with --listen, or silence this where a monitor runs during releases alone.",
        {},
    )
