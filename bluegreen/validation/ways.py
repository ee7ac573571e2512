"""How a request gets to an app: as users go, with a key and a person's token, or past the weights to one colour.

Every verb that asks the apps goes these ways, so all of them meet the same gateway. It deliberately asks nothing.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from bluegreen.config import Route
from bluegreen.connections import Connections
from bluegreen.handler import Halt
from bluegreen.http import Answer, Client, Untrusted
from bluegreen.kong.spec import KEY_HEADER
from bluegreen.measure.checks import AT_ONCE, Asker, NoWay, Way
from bluegreen.measure.spec import Check
from bluegreen.settings import PREVIEW_MARK, Settings
from bluegreen.spec import Colour
from bluegreen.validation import tls
from bluegreen.validation.check import Room, Skip

TELLS = "proxy-reachable"
ROUTES = {"page", "key-required", "gateway-entities"}  # the checks that tell of a route that is not there
NO_ROUTE = "no route takes it, as page, key-required and gateway-entities tell"
TURN = 60.0  # seconds for a check that asks the apps: each request has its own time, but may wait long for its turn
GRACE = timedelta(seconds=1)  # a check's own `within` ends a request; the client's patience is there for what is left


def way_of_colour(settings: Settings, connections: Connections, app: str, colour: Colour, release: str | None) -> Way:
    """Past the weights, through that colour's preview routes, which mark what they answer."""
    key = connections.values.get("previewKey", "")
    headers = {name: values[colour] for name, values in settings.preview_headers(app).items()}
    shown = {KEY_HEADER: key} if key else {}
    mark = (PREVIEW_MARK, settings.service_name(app, colour))
    named = None if settings.observed(app, colour) else release  # what somebody else deploys names none
    return Way({**headers, **shown}, named, settings.lanes()[app].probe.release_header, mark, young=True)


def way_of_users(settings: Settings, check: Check) -> Way | NoWay:
    """As the check's consumer shows its key and its person a token, or as a stranger."""
    project = settings.owner.partition(".")[0]
    headers: dict[str, str] = {}
    if check.consumer is not None:
        key = keys(settings).get(check.consumer, "")
        if missing := _unusable(
            f"key of the consumer {check.consumer}", key, f"{project}:secrets.consumers.{check.consumer}"
        ):
            return missing
        headers[KEY_HEADER] = key
    return shown(settings, check, Way(headers))


def shown(settings: Settings, check: Check, way: Way) -> Way | NoWay:
    """The way with the token of the person who asks, where there is one."""
    if check.token is None:
        return way
    project = settings.owner.partition(".")[0]
    token = tokens(settings).get(check.token, "")
    if missing := _unusable(f"token of {check.token}", token, f"{project}:secrets.tokens.{check.token}"):
        return missing
    return Way(
        {**way.headers, "Authorization": f"Bearer {token}"}, way.release, way.release_header, way.mark, way.young
    )


def way(room: Room, check: Check) -> Way | NoWay:
    """The way that this validation takes: of users, or of the one colour that it is about."""
    settings, colour = room.settings, room.colour
    if colour is None:
        return way_of_users(settings, check)
    if settings.apps[check.app].release(colour) is None:
        return NoWay("skipped", f"{check.app} has no {colour} block")
    if check.only_at_the_gateway:
        return NoWay("skipped", check.only_at_the_gateway)
    release = settings.release_id(check.app, colour)
    return shown(settings, check, way_of_colour(settings, room.connections, check.app, colour, release))


def door(settings: Settings, connections: Connections, checks: Sequence[Check]) -> Client:
    """The proxy as anybody meets it: unlike the prober, it shows no key unless a check's way has one."""
    patience = max((check.within for check in checks), default=GRACE) + GRACE
    secrets = {*keys(settings).values(), *tokens(settings).values(), connections.values.get("previewKey", "")}
    # A key that is the beginning of another would spare its rest, so the longest goes first.
    longest_first = sorted(secrets, key=len, reverse=True)
    return connections.proxy(secrets=longest_first, read=patience.total_seconds())


async def asker(room: Room) -> Asker:
    """One for the whole validation, so that its bound holds for all of it; each request has a connection of its own."""

    async def made() -> Asker:
        gateway = door(room.settings, room.connections, room.settings.checks)
        return Asker(gateway, room.ctx, asyncio.Semaphore(AT_ONCE), sent=room.sent)

    if TELLS in room.telling and (shut := await unreachable(room)) is not None:
        raise Skip(f"the gateway's proxy cannot be asked, as {await teller(room, shut)} tells")
    return await room.once("asker", made)


async def unreachable(room: Room) -> Halt | None:
    """Why the proxy cannot be asked anything; None where it answers, whatever it says."""

    async def asked() -> Halt | None:
        try:
            async with room.connections.proxy() as gateway:
                room.sent.requests += 1
                await gateway.probe("/")
        except Halt as halt:
            return halt
        return None

    return await room.once("proxy", asked)


async def teller(room: Room, shut: Halt) -> str:
    """Which check tells why the proxy cannot be asked."""
    if isinstance(shut, Untrusted) and {"tls-expiry", "tls-trusted"} <= room.telling:
        return "tls-expiry" if await tls.run_out(room, "bluegreen:kongProxyUrl") else "tls-trusted"
    return TELLS


def by_kong(answer: Answer) -> bool:
    """Whether Kong itself answered, and no app: only an app's answer has taken time behind Kong."""
    return "x-kong-response-latency" in answer.headers and "x-kong-upstream-latency" not in answer.headers


def routeless(room: Room, answer: Answer) -> bool:
    """Whether no route takes the request at all, and some other check says so."""
    return answer.status == 404 and by_kong(answer) and bool(ROUTES & room.telling)


def keys(settings: Settings) -> dict[str, str]:
    """What every consumer shows, as far as the stack knows it."""
    return {name: key.get_secret_value().strip() for name, key in settings.secrets.consumers.items()}


def tokens(settings: Settings) -> dict[str, str]:
    """What every person shows, as far as the stack knows it."""
    return {name: token.get_secret_value().strip() for name, token in settings.secrets.tokens.items()}


def plain_path(route: Route) -> str | None:
    """A path that this route takes, where one can be told; None where it is a regular expression."""
    paths = route.paths or ["/"]
    return next((path for path in paths if path.startswith("/")), None)


def plain_host(route: Route) -> str | None:
    """A host that this route takes; any subdomain stands for a wildcard."""
    return route.hosts[0].replace("*", "www") if route.hosts else None


def _unusable(what: str, secret: str, place: str) -> NoWay | None:
    if not secret:
        return NoWay("error", f"There is no {what}.", f"Set {place} (with --secret).")
    if not (secret.isascii() and secret.isprintable()):
        hint = f"Set {place} again, without line breaks around it."
        return NoWay("error", f"The {what} holds characters that no {what.split()[0]} has.", hint)
    return None
