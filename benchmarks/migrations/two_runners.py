"""The row about two deployments at once: both bring the same file into the same database.

The file counts, so that running twice shows, and takes long enough that the second one is sure to meet the first.
Everybody has applied another file before, so no ledger has to be made at that moment. That a transaction pooler is
refused is a test's matter: nothing is to be measured there.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.migrations.contenders import OURS, Contender, Migration, available, dbmate, well
from benchmarks.migrations.peers import peers
from benchmarks.migrations.place import Place, place
from benchmarks.result import Goal, Result
from benchmarks.row import Wanted
from bluegreen.postgres.session import Database

ROW = "two-runners"
TURNS = 2  # for each repetition that is asked for: 10 by default
COUNTER = "create table public.counter (n integer not null); insert into public.counter values (0)"
BEFORE = Migration("select 1;\n", "before", "011")
COUNTED = Migration("update public.counter set n = n + 1;\nselect pg_sleep(0.3);\n", "counted", "012", (BEFORE,))


@dataclass(slots=True)
class Tally:
    """By turn: how often the file ran, how many of the two failed, and the ms until both had ended."""

    ran: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    took: list[float] = field(default_factory=list)


def two_runners(wanted: Wanted) -> Sequence[Result]:
    """Two of the same tool at once, again and again."""
    with place(projects=100, generations=100) as here:
        tools = available(here, wanted)
        if "dbmate" in tools:
            tools["dbmate, --migration-lock"] = dbmate(peers().programs["dbmate"], "--migration-lock")
        return figures(asyncio.run(raced(here, tools, TURNS * wanted.repetitions, wanted)))


async def raced(here: Place, tools: Mapping[str, Contender], turns: int, wanted: Wanted) -> dict[str, Tally]:
    tallies = {who: Tally() for who in tools}
    for turn in range(turns):
        for who, contender in tools.items():
            await _turn(here, who, contender, tallies[who])
        wanted.say(
            f"  turn {turn + 1}: "
            + ", ".join(f"{who} ran {each.ran[-1]}, {each.failed[-1]} failed" for who, each in tallies.items())
        )
    return tallies


async def _turn(here: Place, who: str, contender: Contender, tally: Tally) -> None:
    url = here.database()
    here.sql(url, COUNTER)
    await well(who, contender(BEFORE, url, here.scratch()))
    both = [contender(COUNTED, url, here.scratch()) for _ in range(2)]
    began = time.monotonic()
    ends = await asyncio.gather(*(each() for each in both))
    tally.took.append(1000 * (time.monotonic() - began))
    tally.failed.append(sum(end.code != 0 for end in ends))
    async with Database(url, "bench-eye").session() as eye:
        tally.ran.append((await eye.rows("select n from public.counter"))[0][0])


def figures(tallies: Mapping[str, Tally]) -> list[Result]:
    turns = len(tallies[OURS].ran)
    astray = {who: _percent(sum(times != 1 for times in tally.ran), turns) for who, tally in tallies.items()}
    failed = {who: _percent(sum(map(bool, tally.failed)), turns) for who, tally in tallies.items()}
    took = {who: round(median(tally.took), 1) for who, tally in tallies.items()}
    return [
        _figure("turns in which the file did not run exactly once", "%", astray, turns, Goal(0)),
        _figure("turns in which one of the two failed", "%", failed, turns, Goal(0)),
        _figure("until both had ended (the file alone takes 300 ms), median", "ms", took, turns),
    ]


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2)


def _figure(metric: str, unit: str, values: dict[str, float], turns: int, goal: Goal | None = None) -> Result:
    return Result(ROW, metric, unit, values.pop(OURS), values, goal, turns)
