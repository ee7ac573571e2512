"""What a plan is made of, read for a verb: the stack as it is, what decides an update, and what rehearsals left.

Whatever cannot be read is said with its reason and stops nothing: a reviewer is told what nobody looked at. It
deliberately changes nothing, and decides nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bluegreen.cli.recorded import recorded, sealed
from bluegreen.cli.verb import Desk
from bluegreen.gateway import Split
from bluegreen.handler import Halt, Refused
from bluegreen.planning import moving
from bluegreen.planning.deciding import Decides, There, decides
from bluegreen.planning.document import Unchecked
from bluegreen.postgres import files, report
from bluegreen.postgres.catalog import snapshot
from bluegreen.postgres.files import File
from bluegreen.postgres.plan import Plan
from bluegreen.postgres.verify.promised import beside
from bluegreen.rollout.plan import Move, plan
from bluegreen.rollout.spec import TrafficState
from bluegreen.standing import Recorded, phrase
from bluegreen.survey import DATABASE_PATIENCE, Survey, survey


@dataclass(frozen=True, slots=True)
class Read:
    """A stack as it is at one moment. `splits` are as the last update recorded them where the gateway is silent."""

    recorded: Recorded
    survey: Survey | None
    splits: Mapping[str, Split]
    move: Move | Refused | None
    decides: Decides
    unchecked: tuple[Unchecked, ...]


async def read(desk: Desk) -> Read:
    """Everything that a plan follows from, beside the preview."""
    settings, missing = desk.settings, list[Unchecked]()
    known = _known(await recorded(desk.stack))
    seen, found = await _kong(desk, known, missing)
    splits = {app: split for app, split in found.items() if isinstance(split, Split)}
    if not found and known.traffic is not None:
        splits = dict(moving.recorded(settings, known.traffic))
    move = _move(desk, splits, known)
    wanted = _files(desk, missing)
    there = await _there(desk, seen, missing)
    if known.unread:
        missing.append(Unchecked(what="what the last update recorded", why=known.unread))
    for path in sorted(sealed(desk.stack, settings)):
        missing.append(Unchecked(what=f"secrets.{path}".rstrip("."), why="it is encrypted and was not opened"))
    return Read(known, seen, splits, move, decides(settings, found, wanted, there, move), tuple(missing))


def _known(found: Recorded) -> Recorded:
    """A state that has no traffic in it yet has no moves either, which is known."""
    new = found.traffic is None and found.releases is not None
    return replace(found, traffic=TrafficState(), unread="") if new else found


def rehearsed(wanted: Sequence[tuple[str, Path, str]]) -> Mapping[str, Plan | None]:
    """What the rehearsals of these migrations left, by name; only what was made for the very text."""
    found = {name: report.read(folder) for name, folder, _ in wanted}
    texts = {name: text for name, _, text in wanted}
    return {name: plan if plan is not None and plan.sha256 == texts[name] else None for name, plan in found.items()}


async def _kong(
    desk: Desk, known: Recorded, missing: list[Unchecked]
) -> tuple[Survey | None, Mapping[str, Split | Refused]]:
    async def told(marked: bool) -> Recorded:
        return known

    try:
        seen = await survey(desk.settings, desk.connections, desk.ctx.now(), told, sealed(desk.stack, desk.settings))
    except Halt as halt:
        why = f"{phrase(halt)}; what the last update recorded stands in"
        missing.append(Unchecked(what="the gateway", why=why))
        return None, {}
    found, gateway = dict[str, Split | Refused](), desk.connections.gateway()
    for app, lane in desk.settings.lanes().items():
        try:
            found[app] = await gateway.split(lane.upstream)
        except Refused as refused:
            found[app] = refused
            missing.append(Unchecked(what=f"traffic of {app}", why=phrase(refused)))
    if seen.kept.unread:
        missing.append(Unchecked(what="the gateway that is kept", why=seen.kept.unread))
    return seen, found


def _move(desk: Desk, splits: Mapping[str, Split], known: Recorded) -> Move | Refused | None:
    """As an update would draw it up; None where nobody can say what is there."""
    lanes = desk.settings.lanes()
    if lanes.keys() - splits.keys():
        return None
    history = known.traffic.history if known.traffic else ()
    try:
        return plan(lanes, desk.settings.rollout, splits, history, desk.ctx.now())
    except Refused as refused:
        return refused


def _files(desk: Desk, missing: list[Unchecked]) -> Sequence[File]:
    wanted = desk.settings.migrations
    if wanted is None:
        return ()
    try:
        return files.read(Path(wanted.folder), wanted)
    except Refused as refused:
        missing.append(Unchecked(what="the migrations' files", why=phrase(refused)))
        return ()


async def _there(desk: Desk, seen: Survey | None, missing: list[Unchecked]) -> There:
    wanted = desk.settings.migrations
    if wanted is None:
        return There()
    around = beside(Path(wanted.folder))
    if seen is None or seen.database.unread:
        why = seen.database.unread if seen else "it is asked together with the gateway"
        missing.append(Unchecked(what="the database", why=why))
        return There(beside=around)
    try:
        async with asyncio.timeout(DATABASE_PATIENCE), desk.connections.database().session("plan") as session:
            schema = (await snapshot(session)).fingerprint
    except TimeoutError:
        missing.append(Unchecked(what="the database's schema", why="the database did not answer in time"))
        schema = None
    except Halt as halt:
        missing.append(Unchecked(what="the database's schema", why=phrase(halt)))
        schema = None
    return There(holds=seen.database.holds, schema=schema, beside=around)
