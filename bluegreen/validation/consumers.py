"""Who may call: does Kong take each consumer's key, and is each person's token still good?

A token is read, not verified: only the app can do that, and its journeys do. It deliberately shows neither.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bluegreen.config import Caller
from bluegreen.measure.checks import NoWay
from bluegreen.measure.spec import CLOSED, Check
from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.endpoints import guarded, request
from bluegreen.validation.ways import NO_ROUTE, TURN, asker, routeless, tokens, way_of_users

WRITTEN = "Run pulumi refresh, then pulumi up: it writes the key of the config to Kong."
SOON = timedelta(hours=1)  # one that ends sooner fails in the middle of something


@check(
    "consumer-key",
    group="api",
    within=TURN,
    expected="Kong takes the key",
    hint=f"{WRITTEN} If callers show another, set secrets.consumers.<name> to that first.",
)
async def consumer_key(room: Room) -> Sequence[Seen]:
    return await consumer_keys(room)


async def consumer_keys(room: Room) -> Sequence[Seen]:
    """Whether Kong takes the key of each consumer; asked once for all who want to know.

    Raises:
        Skip: no consumer is configured, or nobody can ask.
    """
    return await room.once("consumer keys", lambda: _taken(room))


async def _taken(room: Room) -> Sequence[Seen]:
    settings = room.settings
    if not settings.gateway.consumers:
        raise Skip("no consumer is configured")
    line, told = await asker(room), []
    for name, caller in settings.gateway.consumers.items():
        asked = _open_to(room, name, caller)
        if asked is None:
            told.append(Seen(False, "no plain GET route is open to it by its key", about=name, status="skipped"))
            continue
        taken = way_of_users(settings, asked)
        if isinstance(taken, NoWay):
            told.append(Seen(False, taken.reason, about=name, hint=taken.hint, status="error"))
            continue
        result, answer = await line.answered(asked, taken)
        if answer is None:
            told.append(Seen(False, result.observed, about=name, status="error", hint=result.hint))
            continue
        if routeless(room, answer):
            told.append(Seen(False, NO_ROUTE, about=name, status="skipped"))
            continue
        hint = f"{WRITTEN} If callers show another, set secrets.consumers.{name} to that first."
        said = f"{'turned away' if answer.status in CLOSED else 'taken'}: answered {answer.status}"
        told.append(Seen(answer.status not in CLOSED, said, about=name, hint=hint))
    return told


@check(
    "user-token",
    group="api",
    expected="a token that is good for another hour",
    hint="Set secrets.tokens.<name> to a new one (pulumi config set --secret --path).",
)
async def user_token(room: Room) -> Sequence[Seen]:
    if not (found := tokens(room.settings)):
        raise Skip("no check asks as a person (secrets.tokens)")
    return [_token(room, name, token) for name, token in found.items()]


def _token(room: Room, name: str, token: str) -> Seen:
    hint = f"Set secrets.tokens.{name} to a new one (pulumi config set --secret --path)."
    if (until := ends(token)) is None:
        return Seen(False, "it does not say when it ends", about=name, status="skipped")
    now, said = room.ctx.now(), f"{until:%Y-%m-%d %H:%M} UTC"
    if until <= now:
        return Seen(False, f"expired at {said}", about=name, hint=hint)
    near = until - now < SOON
    return Seen(not near, f"good until {said}", about=name, hint=hint, severity="warn" if near else None)


def ends(token: str) -> datetime | None:
    """When a JWT ends; None where it is none, or does not say."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (binascii.Error, ValueError, TypeError, KeyError, OverflowError, OSError):
        return None


def _open_to(room: Room, name: str, caller: Caller) -> Check | None:
    """A GET of a route that asks for a key, and for no group that this consumer is not in: then 403 is no group's."""
    for app, _, route in guarded(room):
        acl = {**room.settings.gateway.plugins, **room.settings.plugins(app, route)}.get("acl", {})
        allowed: Any = acl.get("allow") or caller.groups or [""]
        if not acl or (set(allowed) & set(caller.groups) and not acl.get("deny")):
            return request(app, route, consumer=name)
    return None
