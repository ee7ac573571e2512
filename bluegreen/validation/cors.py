"""CORS as the config says it: each allowed origin is let in by a preflight, and a foreign one is not.

A browser asks before it sends, and so does this: OPTIONS with the page's origin, on every route on which a plugin cors
stands. Origins that are regular expressions name no page to ask as, and are told as such.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bluegreen.config import Route
from bluegreen.http import Answer
from bluegreen.measure.checks import Result, Way
from bluegreen.measure.spec import Check
from bluegreen.validation.astray import remedy
from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.endpoints import PATIENCE, routes
from bluegreen.validation.ways import NO_ROUTE, TURN, asker, plain_host, plain_path, routeless

PLAIN = re.compile(r"[A-Za-z0-9.:/-]+")  # an origin of other characters is a regular expression
FOREIGN = "https://foreign.invalid"  # a name that nobody can have
WRITTEN = (
    "Run pulumi refresh, then pulumi up: it writes the plugin cors as the config has it (gateway.plugins.cors.origins)."
)
ALLOWED, METHODS = "access-control-allow-origin", "access-control-allow-methods"


def told_by(room: Room) -> list[tuple[str, str, Route, Mapping[str, Any]]]:
    """Every route with the cors that stands there: its own wins over its kind's, and that over the gateway's."""
    found = []
    for app, name, route in routes(room):
        config = {**room.settings.gateway.plugins, **room.settings.plugins(app, route)}.get("cors")
        if config is not None:
            found.append((app, name, route, config))
    if not found:
        raise Skip("no plugin cors is configured")
    return found


async def preflight(room: Room, app: str, route: Route, origin: str, method: str) -> tuple[Result, Answer | None]:
    """What the gateway answers to a browser that is on a page of this origin."""
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    path, host = plain_path(route) or "/", plain_host(route)
    asked = Check(name="any", app=app, method="OPTIONS", path=path, host=host, headers=headers, within=PATIENCE)
    return await (await asker(room)).answered(asked, Way({}))


@check(
    "cors-allowed",
    group="cors",
    within=TURN,
    expected="every origin of the config is allowed",
    hint=WRITTEN,
)
async def cors_allowed(room: Room) -> Sequence[Seen]:
    return await asyncio.gather(*(_allowed(room, *each) for each in told_by(room)))


async def _allowed(room: Room, app: str, name: str, route: Route, config: Mapping[str, Any]) -> Seen:
    about = room.settings.route_name(app, name)
    origins = [origin for origin in config.get("origins") or ["*"] if origin == "*" or PLAIN.fullmatch(origin)]
    if plain_path(route) is None or not origins:
        what = "its paths" if plain_path(route) is None else "all its origins"
        return Seen(False, f"{what} are regular expressions", about=about, app=app, status="skipped")
    methods = [str(method) for method in config.get("methods") or ["GET"]]
    wrong = []
    for origin in origins:
        result, answer = await preflight(room, app, route, FOREIGN if origin == "*" else origin, methods[0])
        if answer is None:
            return Seen(False, result.observed, about=about, app=app, status="error", hint=result.hint)
        if routeless(room, answer):
            return Seen(False, NO_ROUTE, about=about, app=app, status="skipped")
        allowed = answer.headers.get(ALLOWED)
        if allowed not in (origin, "*") and not (origin == "*" and allowed == FOREIGN):
            wrong.append(f"{origin} is answered {answer.status} {_allows(allowed)}")
        elif lacking := [each for each in methods if each not in answer.headers.get(METHODS, ",".join(methods))]:
            wrong.append(f"{origin} may not {', '.join(lacking)}")
    said = "; ".join(wrong) or f"allowed: {', '.join(origins)}"
    hint, well = await remedy(room, "cors", WRITTEN) if wrong else "", f"allowed: {', '.join(origins)}"
    return Seen(not wrong, said, about=about, app=app, n=len(origins), expected=well, hint=hint)


@check(
    "cors-foreign",
    group="cors",
    within=TURN,
    expected="a foreign origin is not allowed",
    hint=WRITTEN,
)
async def cors_foreign(room: Room) -> Sequence[Seen]:
    return await asyncio.gather(*(_foreign(room, *each) for each in told_by(room)))


async def _foreign(room: Room, app: str, name: str, route: Route, config: Mapping[str, Any]) -> Seen:
    about = room.settings.route_name(app, name)
    if "*" in (config.get("origins") or ["*"]):
        return Seen(False, "the config allows every origin", about=about, app=app, status="skipped")
    if plain_path(route) is None:
        return Seen(False, "its paths are regular expressions", about=about, app=app, status="skipped")
    result, answer = await preflight(room, app, route, FOREIGN, "GET")
    if answer is None:
        return Seen(False, result.observed, about=about, app=app, status="error", hint=result.hint)
    if routeless(room, answer):
        return Seen(False, NO_ROUTE, about=about, app=app, status="skipped")
    allowed = answer.headers.get(ALLOWED)
    return Seen(allowed not in ("*", FOREIGN), f"{FOREIGN} is answered {_allows(allowed)}", about=about, app=app)


def _allows(allowed: str | None) -> str:
    return f"with {allowed} allowed" if allowed else "without any origin allowed"
