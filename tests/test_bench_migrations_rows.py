"""Each row about migrations on a small scale: it runs, it applies, and its figures say what was counted."""

import asyncio
from collections.abc import Sequence

import pytest

from benchmarks.migrations import backfill, dry_run, lock_queue, migration_011, two_runners
from benchmarks.migrations.backfill import Filled
from benchmarks.migrations.contenders import OURS, Contender, Ended, contenders, well
from benchmarks.migrations.load import GENERATIONS, READER, WRITER, WRITES, Load, held
from benchmarks.migrations.lock_queue import CAREFUL, Felt, Times, situations
from benchmarks.migrations.peers import Peers
from benchmarks.migrations.place import Place
from benchmarks.migrations.traffic import Answer, Traffic
from benchmarks.migrations.two_runners import BEFORE, COUNTED, COUNTER, Tally
from benchmarks.result import Result
from benchmarks.row import NotMeasured, Wanted
from tests.database import server
from tests.postgres_room import ask, until

NOBODY = Peers({}, {}, {})
ROWS = 2000
SHORT = Times(held=0.3, begins=0.1, load=1, rate=50)


Small = tuple[Place, dict[str, Contender]]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """The tests' own server with a few rows; the tools are those that need no network."""
    here = Place(server(16), tmp_path_factory.mktemp("bench"))
    here.fill(ROWS, ROWS)
    return here, contenders(here, NOBODY)


def quiet(said: list[str] | None = None) -> Wanted:
    return Wanted((said if said is not None else []).append, repetitions=1)


def of(*latencies: float) -> Traffic:
    return Traffic([Answer(number / 10, latency) for number, latency in enumerate(latencies)])


def by_metric(results: Sequence[Result]) -> dict[str, Result]:
    return {result.metric: result for result in results}


def test_ours_and_psql_apply_what_waits_behind_somebody(small: Small) -> None:
    said: list[str] = []
    here, tools = small
    assert list(tools) == [OURS, "psql"]
    for situation in situations():
        runs = asyncio.run(lock_queue.everybody(here, situation, tools, SHORT, quiet(said)))
        assert list(runs) == [OURS, "psql"]
        assert all(run.took > 0 and run.traffic.answers for run in runs.values())
    without = asyncio.run(lock_queue.felt(here, situations()[0], None, SHORT))
    assert without.took == 0
    assert [line.partition(":")[0] for line in said] == [
        f"  {situation.called}, {who}" for situation in situations() for who in (OURS, "psql")
    ]


@pytest.mark.parametrize(("statement", "mode"), [(READER, "AccessShareLock"), (WRITER, "RowExclusiveLock")])
def test_somebody_holds_the_table_until_the_block_ends(small: Small, statement: str, mode: str) -> None:
    holding = """select mode from pg_locks join pg_stat_activity using (pid)
        where application_name = 'holder' and relation = 'public.projects'::regclass and granted"""

    async def run(here: Place, url: str) -> None:
        async with held(here, url, statement, 600):
            assert ask(url, holding) == [(mode,)]
        await until(url, "select count(*) = 0 from pg_stat_activity where application_name = 'holder'")

    here, _ = small
    asyncio.run(run(here, here.database()))


def test_a_tool_that_fails_behind_somebody_ends_the_row(small: Small) -> None:
    async def fails() -> Ended:
        return Ended(1, "no")

    here, _ = small
    with pytest.raises(NotMeasured, match=r"^dbmate ended with 1: no"):
        asyncio.run(lock_queue.felt(here, situations()[0], lambda *_: fails, SHORT, "dbmate"))


def test_the_queue_is_told_in_figures() -> None:
    runs = {OURS: Felt(of(1, 2), 6.0), "psql": Felt(of(1, 400), 5.0), CAREFUL: Felt(of(1, 150), 8.0)}
    p99, script, alone, slow, longest, silence, took = lock_queue.queue_of_column(runs, Felt(of(1, 1), 0))
    assert (p99.ours, p99.peers, p99.ratio, p99.met) == (2, {"psql": 400}, 0.005, True)
    assert (script.peers, script.met) == ({CAREFUL: 150}, True)
    assert (alone.ours, alone.peers["psql"], alone.met) == (2, 400, True)
    assert (slow.ours, slow.peers, slow.met) == (0, {"psql": 50, CAREFUL: 50}, True)
    assert (longest.ours, silence.ours) == (2, 100)
    assert (took.ours, took.ratio, took.met) == (6.0, 1.2, True)
    quiet_time, _, none_slow, _ = lock_queue.queue_of_teams(runs)
    assert (quiet_time.ours, quiet_time.met, none_slow.met) == (100, False, True)


def test_011_is_applied_near_and_far(small: Small) -> None:
    here, tools = small
    near = asyncio.run(migration_011.near(here, tools, quiet()))
    load = Load(WRITES, seconds=3, rows=100)
    far = asyncio.run(migration_011.far(here, {OURS: tools[OURS]}, load, 1, quiet()))
    assert {who: len(took) for who, took in near.items()} == {OURS: 1, "psql": 1, migration_011.THROUGH: 1}
    assert near[migration_011.THROUGH][0] < near[OURS][0]
    assert {who: len(waited) for who, waited in far.items()} == {OURS: 1}
    assert all(value > 0 for each in (*near.values(), *far.values()) for value in each)


def test_011_is_told_in_figures() -> None:
    near = {
        OURS: [40.0, 60.0, 50.0],
        "psql": [45.0, 40.0, 39.0],
        migration_011.COLD: [900.0, 800.0, 950.0],
        migration_011.THROUGH: [30.0, 20.0, 35.0],
    }
    through, warm, cold, stall = migration_011.figures(near, {OURS: [8.0, 42.0], "psql": [130.0, 120.0]})
    assert (through.ours, through.peers, through.met) == (30, {"psql": 40}, True)
    assert (warm.ours, warm.peers, warm.goal, warm.spread[OURS]) == (50, {"psql": 40}, None, (40, 60))
    assert (cold.ours, cold.peers, cold.goal) == (900, {"psql": 40}, None)
    assert (stall.ours, stall.peers, stall.met) == (42, {"psql": 130}, True)


def test_a_dry_run_is_told_with_and_without_its_server() -> None:
    took = {dry_run.WHOLE: [3.0, 2.0, 5.0], dry_run.SERVER: [1.0, 0.5, 0.5]}
    whole, rest = dry_run.figures(took)
    assert (whole.ours, whole.met, whole.spread) == (3, True, {OURS: (2, 5)})
    assert (rest.ours, rest.met, rest.spread) == (2, True, {OURS: (1.5, 4.5)})


def test_every_row_is_filled_in_batches_and_at_once(small: Small) -> None:
    runs = asyncio.run(backfill.measured(small[0], Load(GENERATIONS, 3, ROWS, rate=2000), quiet()))
    assert list(runs) == [OURS, backfill.ONE]
    assert all(run.took > 0 and run.traffic.answers for run in runs.values())


def test_the_backfill_is_told_in_figures() -> None:
    runs = {OURS: Filled(of(1, 9), 9.0), backfill.ONE: Filled(of(1, 3761), 4.0)}
    found = by_metric(backfill.figures(runs, 400_000))
    p99 = found["p99 of traffic while 400,000 rows are filled"]
    assert (p99.ours, p99.peers, p99.met) == (9, {backfill.ONE: 3761}, True)
    assert found["transactions above 100 ms while 400,000 rows are filled"].peers == {backfill.ONE: 50}
    took = found["400,000 rows filled"]
    assert (took.ratio, took.met) == (2.25, True)


def test_of_two_runners_one_applies(small: Small) -> None:
    said: list[str] = []
    here, tools = small
    tallies = asyncio.run(two_runners.raced(here, tools, 1, quiet(said)))
    assert {who: (tally.ran, tally.failed) for who, tally in tallies.items()} == {
        OURS: ([1], [0]),
        "psql": ([2], [0]),  # a script keeps no ledger
    }
    assert said == ["  turn 1: ours ran 1, 0 failed, psql ran 2, 0 failed"]


def test_what_was_applied_before_is_no_part_of_the_race(small: Small) -> None:
    here, tools = small
    url = here.database()
    here.sql(url, COUNTER)
    for migration, said in (
        (BEFORE, "1 attempts"),
        (COUNTED, "1 attempts"),
        (COUNTED, "was there"),
    ):
        assert asyncio.run(well(OURS, tools[OURS](migration, url, here.scratch()))).said == said
    assert ask(url, "select n from public.counter") == [(1,)]


def test_a_race_is_told_in_figures() -> None:
    tallies = {OURS: Tally([1, 1], [0, 0], [500, 700]), "psql": Tally([2, 1], [0, 1], [600, 600])}
    astray, failed, took = two_runners.figures(tallies)
    assert (astray.ours, astray.peers, astray.met, astray.repetitions) == (0, {"psql": 50}, True, 2)
    assert (failed.ours, failed.peers, failed.met) == (0, {"psql": 50}, True)
    assert (took.ours, took.peers) == (600, {"psql": 600})
