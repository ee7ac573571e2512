"""The row about data: every row of a table gets a new value while the app reads and writes the same table.

One UPDATE keeps every row that it has changed locked until the last one is, and whoever wants one of them waits. In
batches, each a transaction of its own, nobody waits for longer than a batch; the whole takes longer.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.migrations.contenders import OURS, Contender, Migration, ours, psql, well
from benchmarks.migrations.load import GENERATIONS, Load, under
from benchmarks.migrations.place import FILLED, Place, place
from benchmarks.migrations.traffic import Traffic
from benchmarks.result import Goal, Result
from benchmarks.row import NotMeasured, Wanted
from bluegreen.postgres.session import Database

ROW, ONE = "backfill", "one UPDATE"
ROWS = 400_000
SECONDS = 35  # of load: ours may take three times as long as one UPDATE
COLUMN = "alter table public.generations add column prompt_length integer"
UPDATE = "update public.generations set prompt_length = length(prompt) where prompt_length is null;\n"
LEFT = "select count(*) from public.generations where prompt_length is null"
BATCHED = Migration(f"-- bluegreen:backfill public.generations\n{UPDATE}", "prompt_length")
AT_ONCE = Migration(UPDATE, "prompt_length")
TODO = "todo"


@dataclass(frozen=True, slots=True)
class Filled:
    """What users felt while the rows were filled, and how many seconds it took."""

    traffic: Traffic
    took: float


def backfill(wanted: Wanted) -> Sequence[Result]:
    """In batches, and in one UPDATE."""
    with place(generations=ROWS) as here:
        return figures(asyncio.run(measured(here, Load(GENERATIONS, SECONDS, ROWS), wanted)), ROWS)


async def measured(here: Place, load: Load, wanted: Wanted) -> dict[str, Filled]:
    here.sql(here.server.clone(TODO, FILLED), COLUMN)
    contenders: tuple[tuple[str, Contender, Migration], ...] = (
        (OURS, ours, BATCHED),
        (ONE, psql(here.psql), AT_ONCE),
    )
    runs: dict[str, Filled] = {}
    for who, contender, migration in contenders:
        runs[who] = await _filled(here, who, contender, migration, load)
        wanted.say(f"  {who}: {told(runs[who])}")
    return runs


async def _filled(here: Place, who: str, contender: Contender, migration: Migration, load: Load) -> Filled:
    url = here.database(TODO)
    ready = contender(migration, url, here.scratch())
    async with under(load, here, url) as running:
        began = time.time()
        await well(who, ready)
        ended = time.time()
    async with Database(url, "bench-eye").session() as eye:
        left = (await eye.rows(LEFT))[0][0]
    if left:
        raise NotMeasured(f"{who} left {left} rows as they were. Nothing of this row was written.")
    return Filled(running.during(began, ended), ended - began)


def told(filled: Filled) -> str:
    traffic = filled.traffic
    return (
        f"p50 {traffic.percentile(50):.1f}, p99 {traffic.percentile(99):.1f}, longest {traffic.longest:.0f} ms, "
        f"{traffic.slow:.1f} % slow, {len(traffic.answers)} transactions in {filled.took:.1f} s"
    )


def figures(runs: Mapping[str, Filled], rows: int) -> list[Result]:
    what = f"while {rows:,} rows are filled"
    return [
        _figure(
            f"p99 of traffic {what}", "ms", {who: run.traffic.percentile(99) for who, run in runs.items()}, Goal(10)
        ),
        _figure(f"transactions above 100 ms {what}", "%", {who: run.traffic.slow for who, run in runs.items()}),
        _figure(f"longest transaction {what}", "ms", {who: run.traffic.longest for who, run in runs.items()}),
        _figure(f"{rows:,} rows filled", "s", {who: run.took for who, run in runs.items()}, Goal(3, times=True)),
    ]


def _figure(metric: str, unit: str, values: Mapping[str, float], goal: Goal | None = None) -> Result:
    peers = {who: round(value, 2) for who, value in values.items() if who != OURS}
    return Result(ROW, metric, unit, round(values[OURS], 2), peers, goal)
