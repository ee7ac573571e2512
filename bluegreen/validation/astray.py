"""Which rows of Kong are not as the config declares them, or not as the last good gateway has them.

Both are read once for all checks that want to know. Nothing declares that a row is switched on, so neither a refresh
nor an update sees that one is off: that is told apart, with what does put it back. It deliberately changes nothing.
"""

from collections.abc import Iterator, Sequence

from pydantic.alias_generators import to_camel

from bluegreen.handler import Halt, Refused
from bluegreen.http import Answer
from bluegreen.kong import kept as last_good
from bluegreen.kong.api import Entity
from bluegreen.kong.kept import Kept
from bluegreen.kong.ownership import FRONT, owner_of
from bluegreen.kong.restore import Step, differences
from bluegreen.kong.schema import ANY, Schemas, Shape, difference
from bluegreen.spec import COLOURS
from bluegreen.standing import phrase
from bluegreen.validation.check import Room, Skip
from bluegreen.validation.declared import ABSENT, KEY_FIELDS, Thing, declared
from bluegreen.validation.looking import node, rows
from bluegreen.validation.ways import by_kong

NO_APP = (404, 503)  # no route takes it; what it leads to is not there
MISSING, OFF = "is missing", "is switched off"
BACK = "Run bluegreen rollback kong --reason …: it puts the last good gateway back, switches included; no update does."


async def departed(room: Room) -> Sequence[tuple[str, str]]:
    """Every row that is not as declared, as it is called, and how: read once for all who want to know.

    Raises:
        Skip: Kong's Admin API does not answer.
    """
    await node(room)
    return await room.once("kong/departed", lambda: _departed(room))


async def _departed(room: Room) -> Sequence[tuple[str, str]]:
    wanted, wrong = declared(room.settings, room.sealed).entities, list[tuple[str, str]]()
    schemas = Schemas(room.connections.kong())
    for kind, key in KEY_FIELDS.items():
        there = {str(row.get(key)): row for row in await rows(room, kind)}
        shape = await schemas.shape(kind) if any(thing.fields for thing in wanted[kind].values()) else ANY
        for name, thing in wanted[kind].items():
            called = f"{kind[:-1]} {name}"
            wrong += ((called, what) for what in _otherwise(room, name, thing, there.get(name), shape))
    return wrong


def _otherwise(room: Room, name: str, thing: Thing, row: Entity | None, shape: Shape) -> Iterator[str]:
    """What is not as declared, a phrase each."""
    settings = room.settings
    if row is None:
        yield MISSING
        return
    if owner_of(row.get("tags")) != settings.owner:
        yield f"is {owner_of(row.get('tags')) or 'nobody'}'s"
        return
    if thing.does and row.get("name") != thing.does:
        yield f"is a {row.get('name')}"
    apart = difference(shape, thing.fields, {}, row)
    if "host" in apart:
        yield f"leads to {row.get('host')} instead of {thing.fields['host']}"
    if others := sorted(set(apart) - {"host"}):
        yield f"has another {' and '.join(map(to_camel, others))}"
    absent = {f"{settings.service_name(app, colour)}-{ABSENT}" for app in settings.apps for colour in COLOURS}
    kept = FRONT in (row.get("tags") or ())  # row by row that is gateway-kept's
    if not kept and name not in absent and row.get("enabled") is False:
        yield OFF


async def nowhere(room: Room, app: str, answer: Answer | None) -> str:
    """Why Kong itself answered for an app, where a row that leads there is not as declared; empty where it is."""
    if answer is None or answer.status not in NO_APP or not by_kong(answer) or "gateway-entities" not in room.telling:
        return ""
    settings = room.settings
    leading = {f"service {app}", *(f"route {settings.route_name(app, name)}" for name in settings.apps[app].routes)}
    try:
        astray = any(called in leading for called, _ in await departed(room))
    except (Skip, Halt):
        return ""
    return f"Kong leads nowhere there (answered {answer.status}), as gateway-entities tells" if astray else ""


async def from_kept(room: Room) -> Sequence[Step]:
    """What would make users' rows those of the last good gateway.

    Raises:
        Skip: none is kept, or it cannot be read.
    """
    found = await kept_gateway(room)
    kong, owner = room.connections.kong(), room.settings.owner
    return await room.once("kong/differences", lambda: differences(kong, owner, found.rows))


def switches(step: Step) -> bool:
    """Whether a row is there and only off."""
    return step.write == "PATCH" and "enabled" in step.body


async def remedy(room: Room, plugin: str, else_: str) -> str:
    """How this plugin comes back on the routes of users: it was switched off, or it was edited or deleted."""
    try:
        off = [step.said.partition(":")[0] for step in await from_kept(room) if switches(step)]
    except (Skip, Halt):
        return else_
    return BACK if any(called.endswith(f"-{plugin}") for called in off) else else_


async def kept_gateway(room: Room) -> Kept:
    """The last good gateway, as Kong keeps it.

    Raises:
        Skip: none is kept, or it cannot be read.
    """
    await node(room)
    try:
        found = await room.once("kong/kept", lambda: last_good.kept(room.connections.kong(), room.settings.owner))
    except Refused as refused:
        raise Skip(f"{phrase(refused)}, as gateway-kept tells.") from refused
    if found is None:
        raise Skip(
            "No gateway is kept as the last good one yet: the first update that passes every check keeps itself."
        )
    return found
