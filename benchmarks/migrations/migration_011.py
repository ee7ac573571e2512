"""The row about migration 011: how long its application takes, and how long it stops writes where the network is slow.

Locks are held from the first statement that takes one to the commit, so whoever asks the server statement by statement
holds them for as many round trips as there are statements.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from benchmarks.child import started
from benchmarks.migrations import dry_run
from benchmarks.migrations.command import Cold
from benchmarks.migrations.contenders import OURS, Contender, Migration, available, well
from benchmarks.migrations.load import WRITES, Load, under
from benchmarks.migrations.lock_queue import TEAMS
from benchmarks.migrations.place import USERS, Place, place
from benchmarks.result import Goal, Result
from benchmarks.row import Wanted

ROW = "migration-011"
COLD = "ours, cold"
THROUGH = "ours, until its commit"
AWAY = 0.01  # seconds, each way: 20 ms there and back
TURNS = 2  # of the distant server
FIRST = Migration.of(TEAMS)
SECOND = Migration(FIRST.sql, FIRST.name, "012", (Migration("select 1;\n", "before", "011"),))
DISTANT = Load(WRITES, seconds=9, rows=USERS * 100)  # whoever sends statement by statement takes 6 s


def migration_011(wanted: Wanted) -> Sequence[Result]:
    """Applied again and again, beside nobody; then from far away, beside writers."""
    with place() as here:
        tools = available(here, wanted)
        with_command: dict[str, Contender] = {**tools, COLD: Cold(here.scratch())}
        took = asyncio.run(near(here, with_command, wanted))
        waited = asyncio.run(far(here, tools, DISTANT, TURNS, wanted))
        tried = asyncio.run(dry_run.measured(here, TEAMS, wanted))
    return [*figures(took, waited), *dry_run.figures(tried)]


async def near(here: Place, tools: Mapping[str, Contender], wanted: Wanted) -> dict[str, list[float]]:
    """Milliseconds by who; everybody in turn, each time on a database of its own that has seen a migration before."""
    took: dict[str, list[float]] = {who: [] for who in (*tools, THROUGH)}
    await _once(here, tools[OURS], OURS, SECOND)  # what a warm process has imported
    for turn in range(wanted.repetitions):
        for who, contender in tools.items():
            whole, through = await _once(here, contender, who, FIRST if who == COLD else SECOND)
            took[who].append(whole)
            took[THROUGH] += [] if through is None else [through]
        wanted.say(f"  turn {turn + 1}: " + ", ".join(f"{who} {each[-1]:.0f} ms" for who, each in took.items()))
    return took


async def _once(here: Place, contender: Contender, who: str, migration: Migration) -> tuple[float, float | None]:
    """Milliseconds until it was over, and until all of the file was done, where it tells."""
    url = here.database()
    for earlier in migration.earlier:  # so that every tool has made its ledger, which it does once in a database's life
        await well(who, contender(earlier, url, here.scratch()))
    ready = contender(migration, url, here.scratch())
    at, began = time.time(), time.monotonic()
    ended = await well(who, ready)
    whole = 1000 * (time.monotonic() - began)
    return whole, None if ended.through is None else 1000 * (ended.through - at)


async def far(
    here: Place, tools: Mapping[str, Contender], load: Load, turns: int, wanted: Wanted
) -> dict[str, list[float]]:
    """The longest that a write waited, in ms, by who, while 011 came from a client 20 ms away."""
    waited: dict[str, list[float]] = {who: [] for who in tools}
    async with started("benchmarks.migrations.relay", str(here.server.port), str(AWAY)) as relay:
        for turn in range(turns):
            for who, contender in tools.items():
                waited[who].append(await _stall(here, contender, who, load, relay.told["port"]))
            wanted.say(
                f"  20 ms away, turn {turn + 1}: "
                + ", ".join(f"{who} {each[-1]:.0f} ms" for who, each in waited.items())
            )
    return waited


async def _stall(here: Place, contender: Contender, who: str, load: Load, port: int) -> float:
    url = here.database()
    ready = contender(Migration.of(TEAMS), url.replace(f":{here.server.port}/", f":{port}/"), here.scratch())
    async with under(load, here, url) as running:
        began = time.time()
        await well(who, ready)
        ended = time.time()
    return running.during(began, ended).longest


def figures(took: Mapping[str, Sequence[float]], waited: Mapping[str, Sequence[float]]) -> list[Result]:
    warm = {who: each for who, each in took.items() if who not in (COLD, THROUGH)}
    through = {OURS: took[THROUGH], **{who: each for who, each in warm.items() if who != OURS}}
    cold = {OURS: took[COLD], **{who: each for who, each in warm.items() if who != OURS}}
    return [
        _figure("011 until its commit, ours in a warm process, median", through, median, Goal(1.5, times=True)),
        _figure("011 until it is recorded what the schema is like since, median", warm, median),
        _figure("011 applied by bluegreen migrate apply, start to exit, median", cold, median),
        _figure("longest that a write waited while 011 came from 20 ms away", waited, max, Goal(50)),
    ]


def _figure(
    metric: str,
    values: Mapping[str, Sequence[float]],
    of: Callable[[Sequence[float]], float],
    goal: Goal | None = None,
) -> Result:
    one = {who: round(of(each), 2) for who, each in values.items()}
    spread = {who: (round(min(each), 2), round(max(each), 2)) for who, each in values.items()}
    return Result(ROW, metric, "ms", one.pop(OURS), one, goal, len(values[OURS]), spread)
