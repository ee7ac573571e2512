"""Everything about a stack that a person asks for, read once: what serves, is it as wanted, can it go back.

Three sources say what is: the config (what is wanted), Pulumi's state (what the last update recorded) and Kong (what
users meet). Only Kong has to answer; what cannot be read elsewhere is said in its place and stops nothing. What
Pulumi knows is handed in, so nothing here needs an engine. It deliberately changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime

from bluegreen.connections import Connections
from bluegreen.gateway import Split
from bluegreen.handler import Halt, Refused
from bluegreen.kong import dns
from bluegreen.kong import kept as kong
from bluegreen.postgres.ledger import look
from bluegreen.railway.spec import Release
from bluegreen.rollout.freeze import frozen
from bluegreen.settings import Settings
from bluegreen.spec import Spec
from bluegreen.standing import AppFacts, Case, Recorded, Word, phrase, stands, word

Splits = Mapping[str, Split | Refused]  # of each app, or why it cannot be told
DATABASE_PATIENCE = 12.0  # seconds; the session itself gives a connection ten


class KeptFacts(Spec):
    """The gateway that is kept as the last good one."""

    gateway: str | None = None
    at: datetime | None = None
    checks: int = 0
    hold: Word | None = None
    agrees: bool | None = None  # with the config; None where that cannot be told
    drift: tuple[str, ...] = ()
    unread: str = ""


class SchemaFacts(Spec):
    """What the database holds, as its ledger says, and what the config wants."""

    holds: str | None = None
    target: str | None = None
    unread: str = ""


class Survey(Spec):
    """One stack, as it is at one moment."""

    owner: str
    at: datetime
    apps: tuple[AppFacts, ...]
    kept: KeptFacts
    database: SchemaFacts
    lock: str | None = None
    frozen: str | None = None
    unread: str = ""  # why Pulumi's state is unknown
    names: tuple[str, ...] = ()  # why Kong may not reach a service, or may reach where it was
    drift: tuple[str, ...] = ()


async def survey(
    settings: Settings,
    connections: Connections,
    now: datetime,
    recorded: Callable[[bool], Awaitable[Recorded]],
    sealed: frozenset[str] = frozenset(),
) -> Survey:
    """The stack as it is now.

    Args:
        recorded: asks what Pulumi knows, told whether a move has left its mark; called once Kong has answered, so that
            what it says of the lock is younger than any mark.
        sealed: paths under `secrets` that could not be read; what follows from them is not claimed.

    Raises:
        ApiError: Kong does not answer.
    """
    found = await _splits(settings, connections)
    kept = await _kept(settings, connections, sealed)
    known, schema = await asyncio.gather(recorded(bool(_marks(found))), _schema(settings, connections))
    found, known = await _agreed(settings, connections, found, known)
    apps = tuple(
        stands(Case(settings, app, lane, known, schema.holds, now, sealed), found[app])
        for app, lane in settings.lanes().items()
    )
    window = frozen(settings.rollout.freeze, now)
    return Survey(
        owner=settings.owner,
        at=now,
        apps=apps,
        kept=kept,
        database=schema,
        lock=known.lock,
        frozen=str(window) if window else None,
        unread=known.unread,
        names=await _names(settings, connections),
        drift=(*(each for app in apps for each in app.drift), *kept.drift),
    )


async def _agreed(
    settings: Settings, connections: Connections, found: Splits, known: Recorded
) -> tuple[Splits, Recorded]:
    """Kong and the lock as of one moment: a mark without a holder is a move that nobody carries on."""
    marks = _marks(found)
    if known.held is not False or not marks:
        return found, known
    # Whoever held the stack may have finished between the two looks: only a mark that is still there is left.
    again = await _splits(settings, connections)
    begun_since = bool(_marks(again) - marks)
    return again, replace(known, held=None) if begun_since else known


async def _splits(settings: Settings, connections: Connections) -> Splits:
    gateway, found = connections.gateway(), dict[str, Split | Refused]()
    for app, lane in settings.lanes().items():
        try:
            found[app] = await gateway.split(lane.upstream)
        except Refused as refused:
            found[app] = refused
    return found


async def _names(settings: Settings, connections: Connections) -> tuple[str, ...]:
    """What Kong's way of looking names up may cost, told of the colour whose deployments overlap the least."""
    found = dns.names(await connections.kong().node())
    overlaps = [
        (block.overlap_seconds, settings.service_name(app, colour))
        for app, colour in settings.existing()
        if isinstance(block := settings.release(app, colour), Release)
    ]
    risks = [dns.late(found, name, overlap) for overlap, name in sorted(overlaps)[:1]]
    return (*(risk for each in risks for risk in each), *dns.unfound(found))


async def _schema(settings: Settings, connections: Connections) -> SchemaFacts:
    wanted = settings.migrations
    if wanted is None:
        return SchemaFacts(unread="the config declares no migrations")
    try:
        async with asyncio.timeout(DATABASE_PATIENCE):
            book = await look(connections.database())
    except TimeoutError:
        return SchemaFacts(target=wanted.target, unread="the database did not answer in time")
    except Halt as halt:
        return SchemaFacts(target=wanted.target, unread=phrase(halt))
    holds = max((wanted.baseline, *book.entries), key=int)
    return SchemaFacts(holds=holds, target=wanted.target)


async def _kept(settings: Settings, connections: Connections, sealed: frozenset[str]) -> KeptFacts:
    try:
        kept = await kong.kept(connections.kong(), settings.owner)
    except Refused as refused:
        return KeptFacts(unread=phrase(refused))
    if kept is None:
        return KeptFacts()
    # A gateway's id is made with the secrets in its plugins; with one of them unread it would be another's.
    told = not any(path.startswith("plugins") or path == "" for path in sealed)
    told = told and not (settings.secrets.plugins and "releaseKey" in sealed)
    agrees = kept.gateway == settings.gateway_id if told else None
    disagrees = kept.hold is not None and agrees is False
    return KeptFacts(
        gateway=kept.gateway,
        at=kept.at,
        checks=kept.checks,
        hold=word(kept.hold),
        agrees=agrees,
        drift=(f"the gateway is {kept.hold}, and the config wants another",) if disagrees else (),
    )


def _marks(found: Splits) -> frozenset[str]:
    """The ids of the moves that have left a mark."""
    splits = [each for each in found.values() if isinstance(each, Split)]
    return frozenset(slot.move.id for split in splits for slot in split.slots.values() if slot.move)
