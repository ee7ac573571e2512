"""What several checks look at, read once a run: the node, the splits, the survey, the listed rows of Kong.

Whatever cannot be reached fails the one check that says so and is skipped by all others, so that one fault is one
finding. It deliberately judges nothing, and the database is left out of the survey: its own checks read it.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

from bluegreen.gateway import Split
from bluegreen.handler import Halt, Refused
from bluegreen.http import Unavailable
from bluegreen.kong.api import Entity
from bluegreen.spec import Colour
from bluegreen.standing import AppFacts, Recorded, phrase
from bluegreen.survey import Survey, survey
from bluegreen.validation.check import Room, Skip

T = TypeVar("T")
PATIENCE, PULUMI = 6.0, 10.0  # seconds for what many checks wait for; an export of a large state takes a few
WITHIN = 20.0  # for each of them: one may wait for Kong, for Pulumi, and then ask something of its own
SHUT = ("answered 401", "answered 403")


async def node(room: Room) -> Mapping[str, Any]:
    """What whichever node answers says of itself.

    Raises:
        Skip: Kong's Admin API does not answer.
    """

    async def ask() -> Mapping[str, Any]:
        kong = room.connections.kong()
        return await in_time(kong.node(), f"Kong's Admin API at {kong.where}", "bluegreen:kongAdminUrl")

    try:
        return await room.once("kong/node", ask)
    except Halt as halt:
        raise Skip(f"Kong's Admin API cannot be asked, as gateway-reachable tells: {phrase(halt)}.") from halt


async def rows(room: Room, kind: str) -> list[Entity]:
    """Every entity of one kind in Kong."""
    await node(room)
    return await room.once(f"kong/{kind}", lambda: room.connections.kong().entities(f"/{kind}", size="1000"))


async def surveyed(room: Room) -> Survey:
    """The stack as it is, apart from its database."""
    await node(room)
    bare = room.settings.model_copy(update={"migrations": None})

    async def look() -> Survey:
        return await survey(bare, room.connections, room.ctx.now(), lambda _: recorded(room), room.sealed)

    return await room.once("survey", look)


async def recorded(room: Room) -> Recorded:
    """What Pulumi knows; one that takes its time does not keep the gateway's checks waiting."""

    async def ask() -> Recorded:
        return await room.recorded()

    try:
        async with asyncio.timeout(PULUMI):
            return await room.once("pulumi", ask)
    except TimeoutError:
        return Recorded(unread=f"Pulumi gave no answer within {PULUMI:g} s")


async def in_time(work: Awaitable[T], who: str, key: str, within: float | None = None) -> T:
    """Whatever comes of it, or that nothing came: less than a check's own time, so that one fault is one finding.

    Raises:
        Unavailable: nothing came.
    """
    limit = PATIENCE if within is None else within
    try:
        async with asyncio.timeout(limit):
            return await work
    except TimeoutError:
        what, next_ = f"{who} does not answer within {limit:g} s.", f"Check {key}, and that it is reachable from here."
        raise Unavailable(what, world="Nothing was changed.", next=next_) from None


async def apps(room: Room) -> list[AppFacts]:
    """Every wanted app as it stands; one that Kong holds in a way that is not ours is told by `traffic-weights`."""
    return [app for app in (await surveyed(room)).apps if app.app in room.wanted()]


async def readable(room: Room) -> list[AppFacts]:
    """The wanted apps whose split can be read.

    Raises:
        Skip: there is none.
    """
    found = [app for app in await apps(room) if not app.unread and app.sides]
    if not found:
        raise Skip("Kong has no targets of ours, as traffic-weights tells.")
    return found


async def split(room: Room, app: str) -> Split:
    """An app's targets as Kong has them stored.

    Raises:
        Skip: they are not ours to read.
    """
    await node(room)
    upstream = room.settings.lanes()[app].upstream
    try:
        return await room.once(f"kong/split/{app}", lambda: room.connections.gateway().split(upstream))
    except Refused as refused:
        raise Skip(f"Kong's targets of {app} cannot be read, as traffic-weights tells: {phrase(refused)}.") from refused


async def serving(room: Room, app: str) -> Colour:
    """The colour that users meet; the config's, where Kong cannot tell. What else the config wants is yet to come."""
    try:
        return (await split(room, app)).live or room.settings.apps[app].live
    except (Skip, Halt):
        return room.settings.apps[app].live


async def answered(room: Room, app: str, colour: Colour) -> tuple[str | None, str]:
    """The release that one colour answers with past the weights (None: not well), and what was seen.

    Raises:
        Skip: nobody can ask: there is no proxy, or it does not let us look.
    """
    settings, lane = room.settings, room.settings.lanes()[app]
    headers = {name: values[colour] for name, values in lane.probe.headers.items()}
    path = settings.release(app, colour).healthcheck_path

    async def ask() -> tuple[str | None, str]:
        room.sent.requests += 1
        return await room.connections.prober().release(path, headers, lane.probe.release_header)

    try:
        release, seen = await room.once(f"answers/{app}/{colour}", ask)
    except Halt as halt:
        raise Skip(f"{app}-{colour} cannot be asked through the gateway: {phrase(halt)}.") from halt
    if seen.endswith(SHUT):
        raise Skip(f"The preview of {app}-{colour} does not let us in, as preview-key tells: {seen}.")
    return release, seen


def listed(names: "list[str] | tuple[str, ...]", most: int = 5) -> str:
    """The first few by name, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
