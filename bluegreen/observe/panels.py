"""The panels of a stack, from what serves to what it leans on: each answers a question that somebody has at night.

Users first, as Kong counted them; then the release, the gateway, each endpoint as a monitor met it, and the database.
The lines in them are the bars that alarms and rollouts judge by. It deliberately draws nothing: `panel.py` does.
"""

from collections.abc import Iterator, Sequence

from bluegreen.observe import series
from bluegreen.observe.bars import Bar, Measured, bars
from bluegreen.observe.panel import Panel, Row, Steps, Target
from bluegreen.observe.queries import Queries
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS

GOOD = {"1": ("as expected", "green"), "0": ("not as expected", "red")}
STATES = ("healthy", "healthchecks_off", "unhealthy", "dns_error")
PERCENTILES = (50, 95, 99)
CONNECTIONS = 'state=~"active|reading|waiting|writing"'


def rows(settings: Settings, ask: Queries) -> Iterator[Row]:
    """Every row of this stack."""
    yield Row("What serves", [*_serves(settings, ask)])
    yield Row("Users, as Kong counted them", [*_users(settings, ask)])
    yield Row("Kong", [*_kong(settings, ask)])
    yield Row("Endpoints, as a monitor meets them", [*_endpoints(ask)])
    if ask.models:
        yield Row("AI models", [*_models(ask)])
    if settings.migrations is not None:
        yield Row("Database (postgres_exporter)", [*_database(ask)])


def _serves(settings: Settings, ask: Queries) -> Iterator[Panel]:
    live = Target(ask.ours(series.ACTIVE), "{{app}} {{version}} on {{colour}}", instant=True)
    nothing = "Nothing is shown while traffic is split, or while no monitor looks."
    yield Panel("Live release", f"The release that all traffic of an app goes to. {nothing}", [live],
                kind="stat", width=8, height=5, named=True)  # fmt: skip
    until = Target(f"1000 * {ask.ours(series.DEADLINE)}", "{{app}}", instant=True)
    yield Panel("Rollback is one step until", "After that the release before lies outside rollout.rollbackWindow.",
                [until], "dateTimeFromNow", "stat", 8, 5)  # fmt: skip
    alerts = Target(ask.ours(series.ALERTS), "{{level}}", instant=True)
    yield Panel("Open alerts of the monitor", "How many, by level.", [alerts],
                kind="stat", width=8, height=5, steps=((None, "green"), (1, "orange")))  # fmt: skip
    for app in settings.order():
        weights = Target(ask.weights(app=app), "{{colour}}")
        says = "Percent of traffic by colour, as Kong says. They add up to 100 but for the moment of a step."
        yield Panel(f"Weights of {app}", says, [weights], "percent", most=100, stacked=True)
    judged = Target(ask.ours(series.ANALYSIS), "{{app}} {{metric}} at {{share}}")
    yield Panel("What the judge saw", "The last value of every metric of an analysis, in its own unit.", [judged])
    rollbacks = Target(ask.ours(series.ROLLBACKS), "{{app}}: {{reason}} {{result}}")
    yield Panel("Rollbacks by the monitor", "Since it began, by what broke.", [rollbacks])


def _users(settings: Settings, ask: Queries) -> Iterator[Panel]:
    known = bars(settings)
    yield Panel("Requests", "Requests a second by app, both colours together.",
                [Target(ask.requests(ask.apps), "{{service}}")], "reqps")  # fmt: skip
    yield Panel("Error share", "Answers with 5xx in percent. The lines are the bars of the alarms.",
                [Target(ask.errors(ask.apps), "{{service}}")],
                "percent", steps=_steps(known, "errors"), lines=True)  # fmt: skip
    yield Panel("Requests by route", "Requests a second.",
                [Target(ask.requests(ask.apps, "route"), "{{route}}")], "reqps")  # fmt: skip
    yield Panel("Error share by route", "Answers with 5xx in percent.",
                [Target(ask.errors(ask.apps, "route"), "{{route}}")],
                "percent", steps=_steps(known, "errors"), lines=True)  # fmt: skip
    for app in settings.order():
        spread = [Target(ask.percentile(series.KONG_REQUEST_MS, app, p), f"p{p}") for p in PERCENTILES]
        yield Panel(f"Latency of {app}", "A whole request as Kong saw it, Kong's own time included.", spread,
                    "ms", steps=_steps(known, "latency"), lines=True)  # fmt: skip
    yield Panel("Answers by status", "Requests a second by status code and by who made the answer.",
                [Target(ask.requests(ask.apps, "code, source"), "{{code}} by {{source}}")], "reqps")  # fmt: skip
    yield Panel("Past the weights", "Requests a second to one colour by name: probes, verification, a monitor.",
                [Target(ask.requests(ask.previews), "{{service}}")], "reqps")  # fmt: skip


def _kong(settings: Settings, ask: Queries) -> Iterator[Panel]:
    known = bars(settings)
    overhead = [Target(ask.percentile(series.KONG_OVERHEAD_MS, ask.apps, p), f"{{{{service}}}} p{p}") for p in (50, 95)]
    yield Panel("Kong's own time", "What Kong and its plugins add to a request.", overhead,
                "ms", steps=_steps(known, "overhead"), lines=True)  # fmt: skip
    upstream = Target(ask.percentile(series.KONG_UPSTREAM_MS, ask.apps, 95), "{{service}} p95")
    yield Panel("The apps' own time", "What Kong waited for whoever answers.", [upstream], "ms")
    for app in settings.order():
        each = [(state, ask.kong(series.KONG_HEALTH, f'upstream="{app}"', f'state="{state}"')) for state in STATES]
        yield Panel(f"Targets of {app}", "How many targets Kong calls so; checks are off for a weight of 0.",
                    [Target(f"sum({named})", state) for state, named in each], stacked=True)  # fmt: skip
    open_ = Target(f"sum by (state) ({ask.kong(series.KONG_CONNECTIONS, CONNECTIONS)})", "{{state}}")
    yield Panel("Connections", "Connections that clients hold open to Kong, by what they do.", [open_])
    reaches = Target(f"min({ask.kong(series.KONG_REACHES)})", "Kong's database", instant=True)
    yield Panel("Kong's database", "Without it no weight can be changed: neither a rollout nor a rollback works.",
                [reaches], kind="stat", height=8, steps=((None, "red"), (1, "green")),
                words={"1": ("reached", "green"), "0": ("out of reach", "red")})  # fmt: skip


def _endpoints(ask: Queries) -> Iterator[Panel]:
    way = "{{app}} {{endpoint}} {{way}}"
    yield Panel("Endpoints", "Whether each answered as expected: on the way of users, and each colour by name.",
                [Target(ask.ours(series.PROBE_SUCCESS), way)], kind="state-timeline", height=10, words=GOOD,
                steps=((None, "red"), (1, "green")))  # fmt: skip
    yield Panel("How long they took", "The last answer, whole, from where the monitor is.",
                [Target(ask.ours(series.PROBE_DURATION), way)], "s", height=10)  # fmt: skip
    for colour in COLOURS:
        share = f"avg by (app) (avg_over_time({ask.ours(series.PROBE_SUCCESS, over=ask.window, way=colour)}))"
        yield Panel(f"Answers of {colour}", "The share as expected, asked past the weights, in percent.",
                    [Target(f"100 * {share}", f"{{{{app}}}} {colour}")], "percent", most=100)  # fmt: skip
    left = Target(f"{ask.ours(series.PROBE_CERTIFICATE)} - time()", "{{endpoint}}")
    yield Panel("Certificates", "How long each is valid for.", [left], "s", kind="stat",
                steps=((None, "red"), (3 * 86400, "orange"), (21 * 86400, "green")))  # fmt: skip


def _models(ask: Queries) -> Iterator[Panel]:
    yield Panel("Requests to models", "Requests a second.",
                [Target(ask.requests(ask.models), "{{service}}")], "reqps", width=8)  # fmt: skip
    yield Panel("Error share of models", "Answers with 5xx in percent; somebody else serves them.",
                [Target(ask.errors(ask.models), "{{service}}")], "percent", width=8)  # fmt: skip
    slow = Target(ask.percentile(series.KONG_UPSTREAM_MS, ask.models, 95), "{{service}}")
    yield Panel("Latency of models", "The 95th percentile of what Kong waited for them.", [slow], "ms", width=8)


def _database(ask: Queries) -> Iterator[Panel]:
    used = Target(f"sum by (state) ({ask.database(series.PG_CONNECTIONS)})", "{{state}}")
    room = Target(f"max({ask.database(series.PG_ROOM)})", "room for")
    yield Panel("Connections of the database", "A release runs two colours beside each other, each with its own.",
                [used, room])  # fmt: skip
    longest = Target(f"max({ask.database(series.PG_LONGEST)})", "oldest transaction")
    yield Panel("Oldest transaction", "What a migration would wait behind.", [longest], "s",
                steps=((None, "green"), (300, "orange")), lines=True)  # fmt: skip
    locks = Target(f"sum by (mode) ({ask.database(series.PG_LOCKS)}) > 0", "{{mode}}")
    yield Panel("Locks", "Locks that are held, by mode.", [locks])
    ended = [
        Target(f"sum(rate({ask.database(series.PG_COMMITS, over=ask.window)}))", "committed"),
        Target(f"sum(rate({ask.database(series.PG_ROLLBACKS, over=ask.window)}))", "rolled back"),
    ]
    yield Panel("Transactions", "A second.", ended, "short")


def _steps(known: Sequence[Bar], measures: Measured) -> Steps:
    """The bars of one kind as lines: orange where it warns, red where it is critical."""
    mine = sorted((bar.most, bar.severity) for bar in known if bar.measures == measures and bar.severity != "info")
    return ((None, "green"), *((most, "red" if severity == "critical" else "orange") for most, severity in mine))
