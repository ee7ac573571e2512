"""Railway as it is, read once: whose token it is, which services there are, what each colour runs.

It deliberately judges nothing; `tokens.py`, `railway.py` and `idle.py` do.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bluegreen.connections import variable
from bluegreen.handler import Halt
from bluegreen.http import NotFound
from bluegreen.railway.claim import right_place
from bluegreen.railway.deployment import Deployment
from bluegreen.spec import Colour
from bluegreen.standing import phrase
from bluegreen.validation.check import Room, Skip
from bluegreen.validation.looking import in_time


@dataclass(frozen=True, slots=True)
class Found:
    """One colour's service; `serving` is the deployment that serves, or was stopped while it did."""

    id: str
    name: str
    serving: Deployment | None
    latest: Deployment | None
    template: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Platform:
    """What Railway has of this stack; `missing` are the colours whose service it does not have."""

    services: Mapping[tuple[str, Colour], Found] = field(default_factory=dict)
    missing: tuple[tuple[str, Colour], ...] = ()


async def place(room: Room) -> None:
    """The token opens the place of the config.

    Raises:
        Skip: there is no token here.
        Halt: it does not, or Railway does not answer.
    """
    if not room.connections.values.get("railwayToken"):
        raise Skip(
            f"No token for Railway is named here: neither bluegreen:railwayToken nor {variable('railwayToken')} is set."
        )

    async def ask() -> None:
        await in_time(right_place(room.connections.railway(), room.settings.railway), "Railway", "bluegreen:railwayUrl")

    await room.once("railway/place", ask)


async def platform(room: Room) -> Platform:
    """Everything of it.

    Raises:
        Skip: nobody can ask, as `railway-token` tells.
    """
    try:
        await place(room)
        return await room.once("railway", lambda: in_time(_read(room), "Railway", "bluegreen:railwayUrl"))
    except Halt as halt:
        raise Skip(f"Railway cannot be asked, as railway-token tells: {phrase(halt)}.") from halt


async def _read(room: Room) -> Platform:
    railway, settings = room.connections.railway(), room.settings
    names = await railway.services(settings.railway.project_id)
    wanted = [*settings.deployed("live"), *settings.deployed("idle")]
    known = {pair: names.get(settings.railway_name(*pair)) for pair in wanted}
    there = {pair: id for pair, id in known.items() if id is not None}
    found = await asyncio.gather(*(_found(room, pair, id) for pair, id in there.items()))
    services = {pair: each for pair, each in zip(there, found, strict=True) if each is not None}
    return Platform(services, tuple(pair for pair in wanted if pair not in services))


async def _found(room: Room, pair: tuple[str, Colour], id: str) -> Found | None:
    railway, at = room.connections.railway(), room.settings.railway
    try:
        template = await railway.service_instance(at, id)
    except NotFound:
        return None  # in the project, and not in this environment
    seen = await railway.deployments(at, id, first=10)
    serving = next((each for each in seen if each.active), None)
    return Found(id, room.settings.railway_name(*pair), serving, seen[0] if seen else None, template)
