"""The row about lock queues: what the app's users feel while a migration waits behind somebody's long transaction.

A lock that is waited for stops everybody who comes later, so it is the wait that hurts, not the migration.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.migrations.contenders import OURS, Contender, Migration, available, careful, well
from benchmarks.migrations.load import PROJECTS, READER, WRITER, Load, held, under
from benchmarks.migrations.place import PROJECTS as ROWS
from benchmarks.migrations.place import Place, place
from benchmarks.migrations.traffic import Traffic
from benchmarks.result import Goal, Result
from benchmarks.row import Wanted

ROW, CAREFUL = "lock-queue", "psql, 200 ms"
COLUMN = Migration("alter table public.projects add column note text;\n", "note")
TEAMS = Path(__file__).resolve().parents[2] / "migrations" / "011_team_collaboration_foundation.sql"


@dataclass(frozen=True, slots=True)
class Times:
    """In seconds from the holder's beginning: how long it holds, when the migration begins, how long the load runs."""

    held: float = 8
    begins: float = 2
    load: int = 16
    rate: int = 400


@dataclass(frozen=True, slots=True)
class Felt:
    """One run: what users felt, and how many seconds the migration took (0 without one)."""

    traffic: Traffic
    took: float


@dataclass(frozen=True, slots=True)
class Situation:
    """What is applied, and what somebody does meanwhile."""

    called: str
    migration: Migration
    holder: str


def situations() -> tuple[Situation, Situation]:
    return (
        Situation("ADD COLUMN behind a long reader", COLUMN, READER),
        Situation("011 behind a long writer", Migration.of(TEAMS), WRITER),
    )


def lock_queue(wanted: Wanted) -> Sequence[Result]:
    """Everybody in both situations, one after another."""
    column, teams = situations()
    with place() as here:
        without = asyncio.run(felt(here, column, None, Times()))
        wanted.say(f"  no migration: {told(without)}")
        tools = available(here, wanted)
        careful_too = {**tools, CAREFUL: careful(here.psql)}
        results = queue_of_column(asyncio.run(everybody(here, column, careful_too, Times(), wanted)), without)
        return [*results, *queue_of_teams(asyncio.run(everybody(here, teams, tools, Times(), wanted)))]


async def everybody(
    here: Place, situation: Situation, tools: Mapping[str, Contender], times: Times, wanted: Wanted
) -> dict[str, Felt]:
    runs: dict[str, Felt] = {}
    for who, contender in tools.items():
        runs[who] = await felt(here, situation, contender, times, who)
        wanted.say(f"  {situation.called}, {who}: {told(runs[who])}")
    return runs


async def felt(here: Place, situation: Situation, contender: Contender | None, times: Times, who: str = "") -> Felt:
    """One run, on a database of its own."""
    url, took = here.database(), 0.0
    applied = contender(situation.migration, url, here.scratch()) if contender else None
    async with under(Load(PROJECTS, times.load, ROWS, rate=times.rate), here, url) as load:
        async with held(here, url, situation.holder, times.held):
            await asyncio.sleep(times.begins)
            if applied is not None:
                began = time.monotonic()
                await well(who, applied)
                took = time.monotonic() - began
    return Felt(load.traffic, took)


def told(felt: Felt) -> str:
    traffic = felt.traffic
    return (
        f"p50 {traffic.percentile(50):.1f}, p99 {traffic.percentile(99):.1f}, longest {traffic.longest:.0f} ms, "
        f"{traffic.slow:.1f} % slow, {len(traffic.answers)} transactions; the migration took {felt.took:.2f} s"
    )


def queue_of_column(runs: Mapping[str, Felt], without: Felt) -> list[Result]:
    what = situations()[0].called
    p99, alone = _of(runs, "p99"), without.traffic.percentile(99)
    return [
        figure(
            f"p99 of traffic beside {what}",
            "ms",
            {who: value for who, value in p99.items() if who != CAREFUL},
            Goal(0.01, times=True),
        ),
        figure(
            "the same, and a careful script's", "ms", {who: p99[who] for who in (OURS, CAREFUL)}, Goal(1, times=True)
        ),
        figure(
            f"the same, by the traffic's own p99 without a migration ({alone:.2f} ms)",
            "times",
            {who: value / alone for who, value in p99.items()},
            Goal(3),
        ),
        figure(f"transactions above 100 ms beside {what}", "%", _of(runs, "slow"), Goal(0)),
        figure(f"longest transaction beside {what}", "ms", _of(runs, "longest")),
        figure(f"longest time in which nobody got an answer, {what}", "ms", _of(runs, "silence")),
        figure(f"{what}: the migration took", "s", _of(runs, "took"), Goal(1.25, times=True)),
    ]


def queue_of_teams(runs: Mapping[str, Felt]) -> list[Result]:
    what = situations()[1].called
    return [
        figure(f"longest time in which nobody got an answer, {what}", "ms", _of(runs, "silence"), Goal(60)),
        figure(f"p99 of traffic beside {what}", "ms", _of(runs, "p99")),
        figure(f"transactions above 100 ms beside {what}", "%", _of(runs, "slow"), Goal(0)),
        figure(f"{what}: the migration took", "s", _of(runs, "took")),
    ]


def figure(metric: str, unit: str, values: Mapping[str, float], goal: Goal | None = None) -> Result:
    peers = {who: round(value, 2) for who, value in values.items() if who != OURS}
    return Result(ROW, metric, unit, round(values[OURS], 2), peers, goal)


def _of(runs: Mapping[str, Felt], what: str) -> dict[str, float]:
    return {
        who: {
            "p99": run.traffic.percentile(99),
            "slow": run.traffic.slow,
            "longest": run.traffic.longest,
            "silence": run.traffic.silence,
            "took": run.took,
        }[what]
        for who, run in runs.items()
    }
