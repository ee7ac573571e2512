"""How fast is it, and whose time is it: each app's plain GETs as users ask them, with Kong's and the database's part.

Asked after everything else and one endpoint at a time, so that nothing but the load of users is beside it. An app
without such a check is asked for its health past the weights. Bars stand with the check (`thresholds`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bluegreen.measure.checks import NoWay, Way
from bluegreen.measure.spec import Check, Thresholds
from bluegreen.validation.bench import Bench, bench, percentile
from bluegreen.validation.check import Room, Seen, check
from bluegreen.validation.ways import asker, shown, way_of_colour, way_of_users

FEW = 10  # samples: with fewer nothing is said of a percentile
ALL = 60.0  # seconds in which the last measurement has to begin
WITHIN = 90.0
HARD = "Nothing is measured here: the requests are limited (429). Give the consumer a higher limit, or leave it out."
USUAL = Thresholds()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is measured, and on which way."""

    name: str
    check: Check
    way: Way | NoWay

    @property
    def bars(self) -> Thresholds:
        return self.check.thresholds or USUAL


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the time, and what its 95th percentile is held against."""

    samples: Callable[[Bench], Sequence[float]]
    bars: Callable[[Thresholds], Sequence[tuple[int, float]]]
    unsaid: str  # what was seen where there are no samples, and what would bring some
    missing: str
    remedy: str


def endpoints(room: Room) -> list[Endpoint]:
    """Every plain GET check of the wanted apps; the health of those that have none."""
    found = []
    for app in room.wanted():
        plain = [each for each in room.settings.checks if each.app == app and _measurable(each)]
        found += [Endpoint(each.name, each, _way(room, each)) for each in plain]
        if not plain:
            live = room.settings.apps[app].live
            path = room.settings.release(app, live).healthcheck_path
            asked = Check(name="health", app=app, path=path, within=timedelta(seconds=5))
            way = way_of_colour(room.settings, room.connections, app, live, None)
            found.append(Endpoint(f"{app}-health", asked, Way(way.headers)))
    return found


def _way(room: Room, check: Check) -> Way | NoWay:
    """As users go; where requests are limited, past the weights: a measurement must not take the users' share."""
    settings, app = room.settings, check.app
    stands = [settings.gateway.plugins, *(settings.plugins(app, each) for each in settings.apps[app].routes.values())]
    if not any("rate-limiting" in plugins for plugins in stands) or "previewKey" not in room.connections.values:
        return way_of_users(settings, check)
    past = way_of_colour(settings, room.connections, app, settings.apps[app].live, None)
    return shown(settings, check, Way(past.headers))


def _measurable(check: Check) -> bool:
    return (
        check.method == "GET" and check.journey is None and check.expect.status == 200 and not check.only_at_the_gateway
    )


async def measured(room: Room, endpoint: Endpoint, way: Way) -> Bench | None:
    """What one endpoint does, measured once for all parts of it; None when the time for measurements was over."""

    async def began() -> float:
        return time.monotonic()

    async def made() -> Bench | None:
        line = await asker(room)
        if time.monotonic() - await room.once("first bench", began) > ALL:
            return None
        found = await bench(line.gateway, endpoint.check, way, endpoint.bars.requests)
        room.sent.requests += found.sent
        return found

    return await room.once(f"bench {endpoint.name}", made)


async def held(room: Room, part: Part) -> Sequence[Seen]:
    return [await _seen(room, endpoint, part) for endpoint in endpoints(room)]


async def _seen(room: Room, endpoint: Endpoint, part: Part) -> Seen:
    name, app = endpoint.name, endpoint.check.app
    if isinstance(endpoint.way, NoWay):
        return Seen(False, endpoint.way.reason, about=name, app=app, hint=endpoint.way.hint, status=endpoint.way.status)
    found = await measured(room, endpoint, endpoint.way)
    if found is None:
        said = f"not measured: the time for all measurements ({ALL:g} s) was over"
        return Seen(False, said, about=name, app=app, status="skipped")
    samples = part.samples(found)
    bars = part.bars(endpoint.bars)
    expected = ", ".join(f"p{percent} under {bar:g} ms" for percent, bar in bars)
    if found.limited:
        return Seen(False, f"429 after {found.asked} requests", about=name, app=app, hint=HARD, status="skipped")
    if found.errors and len(samples) < FEW:
        first, sent = found.errors[0], found.asked
        said = f"{len(found.errors)} of {sent} requests went wrong: {first}"
        hint = f"It cannot be measured before {name} answers: see what check:{name} and health say."
        return Seen(False, said, about=name, app=app, hint=hint, n=sent, status="skipped")
    if not samples:
        return Seen(False, part.unsaid, about=name, app=app, hint=part.missing, status="skipped")
    if len(samples) < FEW:
        said = f"only {len(samples)} requests in the time"
        return Seen(False, said, about=name, app=app, hint=part.remedy, n=len(samples), status="fail")
    over = [percent for percent, bar in bars if percentile(samples, percent) >= bar]
    shown = ", ".join(f"p{percent} {percentile(samples, percent):.3g} ms" for percent in (50, 95, 99))
    more = f"; {len(found.errors)} went wrong: {found.errors[0]}" if found.errors else ""
    n, ok = len(samples), not over
    return Seen(ok, shown + more, about=name, app=app, expected=expected, hint=part.remedy, n=n)


def _usual(bars: Thresholds) -> list[tuple[int, float]]:
    each = ((50, bars.p50_ms), (95, bars.p95_ms), (99, bars.p99_ms))
    return [(percent, bar) for percent, bar in each if bar is not None]


LATENCY = Part(
    lambda found: found.kept,
    _usual,
    "no request was answered",
    "Look at the app's logs.",
    "Look where the time goes: kong-overhead and database-time name their part; or raise the check's thresholds.",
)
FRESH = Part(
    lambda found: found.fresh,
    _usual,
    "no request was answered",
    "Look at the app's logs.",
    "New connections are slower than kept ones by the handshake: look at TLS and DNS before the gateway.",
)
KONG = Part(
    lambda found: found.kong,
    lambda bars: [(95, bars.kong_p95_ms)],
    "no X-Kong-Proxy-Latency in the answers",
    "Kong does not tell: set headers = server_tokens, latency_tokens in kong.conf.",
    "Look at the plugins on the route (rate-limiting with a remote store, logging) and at Kong's own load.",
)
DATABASE = Part(
    lambda found: found.database,
    lambda bars: [(95, bars.database_p95_ms)],
    "no Server-Timing with db;dur= in the answers",
    "The app does not tell: let it send Server-Timing: db;dur=<milliseconds>.",
    "Look for a missing index or a lock: bluegreen validate --group database, and the slowest statements.",
)


@check("latency", group="performance", expected="p95 under 500 ms", hint=LATENCY.remedy, within=WITHIN, alone=True)
async def latency(room: Room) -> Sequence[Seen]:
    """Over connections that are kept."""
    return await held(room, LATENCY)


@check("latency-fresh", group="performance", expected="p95 under 500 ms", hint=FRESH.remedy, within=WITHIN, alone=True)
async def latency_fresh(room: Room) -> Sequence[Seen]:
    """Over a new connection each time."""
    return await held(room, FRESH)


@check("kong-overhead", group="performance", expected="p95 under 50 ms", hint=KONG.remedy, within=WITHIN, alone=True)
async def kong_overhead(room: Room) -> Sequence[Seen]:
    return await held(room, KONG)


@check(
    "database-time", group="performance", expected="p95 under 100 ms", hint=DATABASE.remedy, within=WITHIN, alone=True
)
async def database_time(room: Room) -> Sequence[Seen]:
    return await held(room, DATABASE)
