"""Asking single checks of the validation in this process: what they share, and how an answer is read. No assertions."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bluegreen.connections import connect
from bluegreen.handler import Context
from bluegreen.settings import Settings
from bluegreen.standing import Recorded
from bluegreen.validation.check import Room
from bluegreen.validation.finding import Finding
from bluegreen.validation.register import register
from bluegreen.validation.run import validate
from tests.memory import Clock

INFRASTRUCTURE = ("database", "tls", "tokens", "colours", "idle", "gateway", "traffic", "rollback", "freeze")
IMAGE = f"ghcr.io/acme/backend@sha256:{'a' * 64}"
Found = Mapping[str, Finding]


def config(**keys: Any) -> dict[str, Any]:
    """A stack with one app on blue; further keys as in the file, `railway` and `apps` among them."""
    app = {"kind": "api", "live": "blue", "blue": {"image": IMAGE, "replicas": {"us-west2": 1}}}
    return {"railway": {"projectId": "p", "environmentId": "e"}, "apps": {"backend": app}, **keys}


def parsed(keys: Mapping[str, Any], stack: str = "test", project: str = "shop") -> Settings:
    """The settings that such a file makes."""
    return Settings.parse(project, stack, {f"{project}:{key}": json.dumps(value) for key, value in keys.items()})


@asynccontextmanager
async def room(
    settings: Settings,
    values: Mapping[str, str],
    *,
    ctx: Context | None = None,
    recorded: Recorded | None = None,
    sealed: Sequence[str] = (),
) -> AsyncIterator[Room]:
    """What checks are asked with; `values` are keys of `bluegreen:`."""
    connections = connect(dict(values), {})

    async def known() -> Recorded:
        return recorded or Recorded(unread="nothing was recorded")

    try:
        yield Room(settings, connections, ctx or Clock(), known, frozenset(sealed))
    finally:
        await connections.close()


async def asked(there: Room, *only: str, groups: Sequence[str] = INFRASTRUCTURE) -> Found:
    """The findings by id: of these checks, or of all of these groups."""
    chosen = [each for each in register() if (each.id in only if only else each.group in groups)]
    assert chosen, only
    return {each.id: each for each in (await validate(there, chosen)).findings}


async def once(
    settings: Settings, values: Mapping[str, str], *only: str, groups: Sequence[str] = INFRASTRUCTURE, **given: Any
) -> Found:
    """The same in a room of its own."""
    async with room(settings, values, **given) as there:
        return await asked(there, *only, groups=groups)


def wrong(found: Found) -> dict[str, Finding]:
    """What did not pass although it was asked."""
    return {id: each for id, each in found.items() if each.status not in ("pass", "skipped")}
