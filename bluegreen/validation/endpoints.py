"""Health without any config: is the gateway there, does it turn strangers away, do pages come?

Asked as users ask, with a key, without one, and with one of nobody. One fault is one finding: what cannot be asked
because of something that another check tells is skipped, and says so.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from bluegreen.config import Route
from bluegreen.http import Answer
from bluegreen.kong.spec import KEY_HEADER
from bluegreen.measure.spec import Check, Expect
from bluegreen.validation.astray import nowhere, remedy
from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.judged import seen
from bluegreen.validation.ways import (
    NO_ROUTE,
    TELLS,
    TURN,
    asker,
    by_kong,
    keys,
    plain_host,
    plain_path,
    routeless,
    teller,
    unreachable,
    way_of_users,
)

PATIENCE = timedelta(seconds=5)
NO_KEY = "no-key-of-anybody"  # what a stranger shows


def routes(room: Room) -> Iterator[tuple[str, str, Route]]:
    """Every route of the wanted apps, as (app, name, route)."""
    for app in room.wanted():
        for name, route in room.settings.apps[app].routes.items():
            yield app, name, route


def guarded(room: Room) -> list[tuple[str, str, Route]]:
    """Those that ask for a key: by key-auth on the route, on its kind, or on the whole gateway."""
    everywhere = room.settings.gateway.plugins
    return [each for each in routes(room) if "key-auth" in {**everywhere, **room.settings.plugins(each[0], each[2])}]


def request(app: str, route: Route, *, headers: Mapping[str, str] | None = None, **given: object) -> Check | None:
    """A GET of whatever this route takes first; None where no plain GET leads there."""
    path = plain_path(route)
    if path is None or (route.methods and "GET" not in route.methods):
        return None
    led = {name: values[0] for name, values in (route.headers or {}).items() if values}
    fields = {"name": "any", "app": app, "path": path, "host": plain_host(route), "within": PATIENCE, **given}
    sent = {**led, **(headers or {})}
    return Check.model_validate({key: value for key, value in {**fields, "headers": sent}.items() if value is not None})


UNLOCKED = "Run pulumi refresh, then pulumi up: it puts key-auth back on the route."
UNTRACED = (
    "Run pulumi refresh, then pulumi up: it puts the plugin correlation-id back; without it no log line can be traced "
    "to a request."
)


@check(
    TELLS,
    group="health",
    expected="the gateway's proxy answers",
    hint="Check bluegreen:kongProxyUrl and that Kong's proxy is reachable from here.",
)
async def proxy_reachable(room: Room) -> Seen:
    """Whatever is asked through it is skipped where it does not answer."""
    found = await unreachable(room)
    if found is None:
        return Seen(True, f"it answers at {room.connections.values.get('kongProxyUrl', '')}")
    if (other := await teller(room, found)) != TELLS:
        raise Skip(f"its certificate is not believed, as {other} tells")
    return Seen(False, found.what, hint=found.next)


async def strangers(room: Room, key: str = "") -> dict[str, Seen]:
    """What each guarded route answers to somebody without a key, or with one of nobody: 401 is how it should."""
    if not (found := guarded(room)):
        raise Skip("no route asks for a key (key-auth)")
    line = await asker(room)
    headers = {KEY_HEADER: key} if key else {}

    async def one(app: str, about: str, route: Route) -> Seen:
        asked = request(app, route, headers=headers, expect=Expect(status=401))
        if asked is None:
            return Seen(False, "no plain GET leads there", about=about, app=app, status="skipped")
        result, answer = await line.answered(asked, way_of_users(room.settings, asked))
        if why := await nowhere(room, app, answer):
            return Seen(False, why, about=about, app=app, status="skipped")
        hint = await remedy(room, "key-auth", UNLOCKED) if result.status == "fail" else ""
        return renamed(seen(asked, result), about, hint)

    named = [(app, room.settings.route_name(app, name), route) for app, name, route in found]
    told = await asyncio.gather(*(one(*each) for each in named))
    return {about: each for (_, about, _), each in zip(named, told, strict=True)}


async def keyless(room: Room) -> dict[str, Seen]:
    """What they answer without a key; asked once."""
    return await room.once("keyless", lambda: strangers(room))


@check("key-required", group="health", expected="401 without a key", hint=UNLOCKED, within=TURN)
async def key_required(room: Room) -> Sequence[Seen]:
    """401 without a key is the gateway at work."""
    return list((await keyless(room)).values())


@check("wrong-key", group="health", expected="401 with a key of nobody", hint=UNLOCKED, within=TURN)
async def wrong_key(room: Room) -> Sequence[Seen]:
    """Where nobody is asked for a key at all, `key-required` tells, and there is none to be wrong."""
    told, open_to_all = [], await keyless(room) if "key-required" in room.telling else {}
    for about, found in (await strangers(room, NO_KEY)).items():
        if about in open_to_all and not open_to_all[about].ok:
            why = "nobody is asked for a key there, as key-required tells"
            found = replace(found, observed=why, status="skipped", hint="")
        told.append(found)
    return told


@check(
    "page",
    group="health",
    within=TURN,
    expected="200 and HTML at the app's first route",
    hint="Look at the app's logs; bluegreen status shows which colour has users.",
)
async def page(room: Room) -> Sequence[Seen]:
    if not (found := pages(room)):
        raise Skip("no app of kind web has a route")
    line = await asker(room)
    told = await asyncio.gather(*(line.answered(asked, way_of_users(room.settings, asked)) for _, asked in found))
    return [
        Seen(False, why, about=app, app=app, status="skipped")
        if (why := pageless(asked, answer) or await nowhere(room, app, answer))
        else renamed(seen(asked, result), app)
        for (app, asked), (result, answer) in zip(found, told, strict=True)
    ]


def pageless(asked: Check, answer: Answer | None) -> str:
    """Why there need not be a page: a route's prefix is not always one. Empty where there has to be."""
    if answer is None or answer.status != 404 or by_kong(answer) or asked.path == "/":
        return ""
    return f"the app has nothing at {asked.path}; a check of the config can name its page"


def pages(room: Room, *, assets: bool = False) -> list[tuple[str, Check]]:
    """The first page of every web app, as a check."""
    expect = Expect(content_type="text/html", assets=assets)
    first = {
        app: next(iter(room.settings.apps[app].routes.values()), None)
        for app in room.wanted()
        if room.settings.apps[app].kind == "web"
    }
    shut, consumer = [(app, route) for app, _, route in guarded(room)], next(iter(keys(room.settings)), None)
    asked = (
        (app, request(app, route, expect=expect, consumer=consumer if (app, route) in shut else None))
        for app, route in first.items()
        if route is not None
    )
    return [(app, found) for app, found in asked if found is not None]


@check(
    "request-id",
    group="health",
    within=TURN,
    severity="warn",
    expected="every answer carries the correlation id",
    hint=UNTRACED,
)
async def request_id(room: Room) -> Sequence[Seen]:
    line, told = await asker(room), []
    for app in room.wanted():
        first = next(iter(room.settings.apps[app].routes.values()), None)
        stands = {**room.settings.gateway.plugins, **(room.settings.plugins(app, first) if first else {})}
        config, asked = stands.get("correlation-id", {}), request(app, first) if first else None
        if asked is None or not config.get("echo_downstream"):
            continue
        header = str(config.get("header_name", "Kong-Request-ID"))
        answer = (await line.answered(asked, way_of_users(room.settings, asked)))[1]
        if answer is None or routeless(room, answer):
            why = "users get no answer" if answer is None else NO_ROUTE
            told.append(Seen(False, why, about=app, app=app, status="skipped"))
            continue
        there = header.lower() in answer.headers
        said = f"{header} is there" if there else f"no header {header}"
        hint, wanted = "" if there else await remedy(room, "correlation-id", UNTRACED), f"the header {header}"
        told.append(Seen(there, said, about=app, app=app, expected=f"{wanted} in every answer", hint=hint))
    if not told:
        raise Skip("no plugin correlation-id echoes downstream")
    return told


def renamed(found: Seen, about: str, hint: str = "") -> Seen:
    return replace(found, about=about, hint="" if found.ok else hint or found.hint)
