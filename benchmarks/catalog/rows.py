"""The row about the catalog: how fast a schema is told apart from another, what is noticed, and a way back proven."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.catalog.changes import CHANGES, ROLES, START, Change
from benchmarks.catalog.contenders import (
    DUMP,
    INSPECTOR,
    MIGRA,
    OURS,
    Broken,
    dumped,
    dumps,
    fingerprint,
    fingerprints,
    from_cold,
    inspections,
    migra_differs,
    timed,
)
from benchmarks.catalog.wide import TABLES, wide
from benchmarks.migrations.peers import peers
from benchmarks.migrations.place import Place, place
from benchmarks.result import Goal, Result
from benchmarks.row import NotMeasured, Wanted
from bluegreen.postgres.catalog import proven, snapshot
from bluegreen.postgres.scratch.copy import copy
from bluegreen.postgres.scratch.server import server
from bluegreen.postgres.session import Database, SqlError

ROW = "catalog"
MAJOR = 16
TEAMS = Path(__file__).resolve().parents[2] / "migrations" / "011_team_collaboration_foundation.sql"
Times = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured: times in an open session and from a cold start, seconds there and back, who noticed what."""

    open: Times
    cold: Times
    seconds: float
    noticed: Mapping[str, Sequence[str]]


def catalog(wanted: Wanted) -> Sequence[Result]:
    """Everybody tells the same schemas apart."""
    return measured(wanted.say, TABLES, CHANGES, wanted.repetitions)


def measured(say: Callable[[str], None], tables: int, changes: Sequence[Change], times: int) -> Sequence[Result]:
    known = peers()
    for name, why in known.missing.items():
        if name == MIGRA:
            say(f"  {MIGRA}: not measured: {why}")
    with place(projects=1, generations=1) as here:
        url = here.database("postgres")
        asyncio.run(widen(url, tables))
        took = speeds(here, url, known.programs.get("python") if MIGRA in known.programs else None, times)
        say(f"  a fingerprint of {tables} tables took {median(took[OURS]):.0f} ms")
        cold = answers(here, url, known.programs.get(MIGRA), times)
        seconds = asyncio.run(there_and_back(url))
        say(f"  011 there, back and there again on {tables} tables took {seconds:.1f} s")
        noticed = sensitivity(here, known.programs.get(MIGRA), changes, say)
    return figures(tables, Measured(took, cold, seconds, noticed), len(changes), times)


async def widen(url: str, tables: int) -> None:
    async with Database(url).session() as session:
        for text in wide(tables):
            await session.run(text)


def speeds(here: Place, url: str, python: Path | None, times: int) -> Times:
    """Milliseconds of each, one contender after the other; the first of ours and of schemainspect warms it up."""
    found: dict[str, Sequence[float]] = {
        OURS: fingerprints(url, times + 1)[1:],
        DUMP: dumps(here.server, url, times),
    }
    if python is not None:
        found[INSPECTOR] = inspections(python, url, times + 1)[1:]
    return found


def answers(here: Place, url: str, migra: Path | None, times: int) -> Times:
    """Milliseconds from a command's start to its answer whether a schema is what it was: here it is."""
    found: dict[str, Sequence[float]] = {OURS: from_cold(url, times)}
    if migra is not None:
        twin = here.database(url.rpartition("/")[2])
        found[MIGRA] = [timed(lambda: migra_differs(migra, url, twin)) for _ in range(times)]
    return found


async def there_and_back(url: str) -> float:
    """Seconds from nothing to a proven way back from 011: a server, a copy of the schema, and all three ways."""
    text = TEAMS.read_text(encoding="utf-8")
    began = time.perf_counter()
    async with server(MAJOR) as scratch:
        copied = await copy(scratch, Database(url))
        async with copied.database.session() as session, copied.database.session() as other:
            before = await snapshot(session)

            async def up() -> None:
                await other.run(f"begin;{text};commit")

            _, found = await proven(session, before, up)
    if not found.proven:
        raise NotMeasured(f"The way back from 011 was not proven: {' '.join(found.differences)} Nothing was written.")
    return time.perf_counter() - began


def sensitivity(
    here: Place, migra: Path | None, changes: Sequence[Change], say: Callable[[str], None]
) -> Mapping[str, Sequence[str]]:
    """Which changes each contender noticed, by name. Each is made in a database of its own, made from the same one."""
    start = here.database("postgres")
    here.sql(here.as_superuser(start), ROLES)
    here.sql(start, START)
    template = start.rpartition("/")[2]
    noticed: dict[str, list[str]] = {OURS: [], DUMP: [], **({MIGRA: []} if migra else {})}
    plain = dumped(here.server, start)
    for change in changes:
        url = here.database(template)
        # Everybody looks before and after: what is the whole cluster's would else be as new on both sides.
        before = fingerprint(url)
        _make(here, url, change)
        if fingerprint(url) != before:
            noticed[OURS].append(change.name)
        if dumped(here.server, url) != plain:
            noticed[DUMP].append(change.name)
        if migra and _seen(migra, start, url, change, say):
            noticed[MIGRA].append(change.name)
        if change.undo:
            here.sql(here.as_superuser(url), change.undo)
    return noticed


def _make(here: Place, url: str, change: Change) -> None:
    if not change.alone:
        here.sql(here.as_superuser(url) if change.above else url, change.sql)
        return

    async def alone() -> None:
        async with Database(url).session() as session:
            with contextlib.suppress(SqlError):  # an index that breaks stays, and that is the change
                await session.rows(change.sql)

    asyncio.run(alone())


def _seen(migra: Path, start: str, url: str, change: Change, say: Callable[[str], None]) -> bool:
    try:
        return migra_differs(migra, start, url)
    except Broken as problem:
        say(f"  {change.name}: {problem}")
        return False


def figures(tables: int, of: Measured, changes: int, times: int) -> Sequence[Result]:
    results = [
        _timing(f"{tables} tables: a fingerprint, in a session that is open", of.open, Goal(1000), times),
        _timing(f"{tables} tables: is it what it was, from a command's start", of.cold, Goal(0.33, times=True), times),
    ]
    way = f"{tables} tables: 011 there, back and there again, from nothing"
    counts = {who: float(len(names)) for who, names in of.noticed.items()}
    return [
        *results,
        Result(ROW, way, "s", round(of.seconds, 2), goal=Goal(10)),
        Result(ROW, f"of {changes} changes noticed", "changes", counts[OURS], _peers(counts), Goal(least=changes)),
    ]


def _timing(what: str, took: Times, goal: Goal, times: int) -> Result:
    middle = {who: round(median(values), 1) for who, values in took.items()}
    spread = {who: (round(min(values), 1), round(max(values), 1)) for who, values in took.items()}
    return Result(ROW, what, "ms", middle[OURS], _peers(middle), goal, times, spread)


def _peers(of: Mapping[str, float]) -> Mapping[str, float]:
    return {who: value for who, value in of.items() if who != OURS}
