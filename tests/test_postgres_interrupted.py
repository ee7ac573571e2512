"""An apply that is stopped, cut off or killed: the schema and the ledger always agree, and the next run ends it."""

import asyncio
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from bluegreen.postgres.apply import LOCK, RETURN_SECONDS, Stopped, Unclear
from bluegreen.postgres.files import File
from tests.cut_line import cut_line
from tests.database import as_superuser, database, name_of
from tests.postgres_room import Context, ask, book, deployer, folder, halted, put, put_all, read, until

TEAMS = "create table public.teams (id int primary key);\n"
# Sleeps while there is a gate, so that what was interrupted goes through when it is done again.
GATED = f"{TEAMS}select pg_sleep(case when to_regclass('public.gate') is null then 0 else 60 end);"
SLEEPING = """
    select exists (select from pg_stat_activity
    where wait_event = 'PgSleep' and datname = current_database() and application_name = 'bluegreen-migrate/011')
"""
CONNECTED = """
    select exists (select from pg_stat_activity
    where datname = current_database() and application_name = 'bluegreen-migrate/011')
"""


def one(at: Path, sql: str = TEAMS) -> File:
    return read(folder(at, _011_teams=sql))[0]


def there(url: str) -> bool:
    return bool(ask(url, "select to_regclass('public.teams') is not null")[0][0])


def stop(ctx: Context) -> None:
    ctx.cancelled = True


def run_out(ctx: Context) -> None:
    ctx.deadline = datetime.now(UTC) - timedelta(seconds=1)


@pytest.mark.parametrize(("how", "why"), [(stop, "was asked to stop"), (run_out, "ran too long")])
def test_who_is_asked_to_stop_cancels_the_statement_and_rolls_back(
    tmp_path: Path, how: Callable[[Context], None], why: str
) -> None:
    url, file, ctx = database(), one(tmp_path, f"{TEAMS}select pg_sleep(60);"), Context()

    async def inside() -> None:
        work = asyncio.ensure_future(put(url, file, ctx))
        await until(as_superuser(url), SLEEPING)
        how(ctx)
        await work

    halt = halted(inside())
    assert (type(halt), halt.what) == (Stopped, f"011_teams {why}, and was not applied.")
    assert (there(url), book(url).entries) == (False, {})


def test_an_interrupted_run_leaves_no_statement_behind(tmp_path: Path) -> None:
    url, file = database(), one(tmp_path, f"{TEAMS}select pg_sleep(60);")

    async def inside() -> None:
        work = asyncio.ensure_future(put(url, file))
        await until(as_superuser(url), SLEEPING)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert (await asyncio.to_thread(ask, as_superuser(url), SLEEPING)) == [(False,)]

    asyncio.run(inside())
    assert not there(url)


def test_who_is_left_alone_finishes_the_statement_in_hand_and_begins_no_other(tmp_path: Path) -> None:
    url, ctx = database(), Context()

    async def inside() -> bool:
        work = asyncio.ensure_future(put(url, one(tmp_path, f"{TEAMS}select pg_sleep(0.3);"), ctx))
        await until(as_superuser(url), SLEEPING)
        ctx.orphaned = True
        return (await work).fresh

    assert asyncio.run(inside())
    halt = halted(put(url, read(folder(tmp_path, _012_next="select 1"), "012")[1], ctx))
    assert halt.what == "012_next was left alone, and was not applied."


def test_a_connection_lost_before_the_commit_is_found_again_and_it_is_applied_once(tmp_path: Path) -> None:
    url = database()

    async def inside() -> tuple[bool, int]:
        async with cut_line(url, "before") as (address, line):
            return (await put(address, one(tmp_path))).fresh, line.breaks

    assert asyncio.run(inside()) == (True, 1)
    assert (there(url), book(url).entries["011"].attempts) == (True, 2)


def test_a_connection_lost_after_the_commit_is_not_applied_twice(tmp_path: Path) -> None:
    url = database()

    async def inside() -> tuple[bool, int]:
        async with cut_line(url, "after") as (address, line):
            return (await put(address, one(tmp_path))).fresh, line.breaks

    assert asyncio.run(inside()) == (True, 1)
    assert (there(url), book(url).entries["011"].attempts) == (True, 1)


def test_a_connection_that_is_lost_every_time_is_given_up_and_nothing_is_claimed(tmp_path: Path) -> None:
    url = database()

    async def inside() -> None:
        async with cut_line(url, "before", times=99) as (address, _):
            await put(address, one(tmp_path))

    halt = halted(inside())
    assert (type(halt), halt.world) == (Unclear, "It is applied whole or not at all; which, the ledger knows.")
    assert halt.what.startswith("The connection was lost while 011_teams was applied, and then: ")


def test_a_backend_that_an_operator_ends_is_one_more_lost_connection(tmp_path: Path) -> None:
    url = database()
    ask(url, "create table public.gate ()")

    async def inside() -> int:
        work = asyncio.ensure_future(put(url, one(tmp_path, GATED)))
        await until(as_superuser(url), SLEEPING)
        await asyncio.to_thread(ask, url, "drop table public.gate")
        end = SLEEPING.replace("exists (select from", "(select pg_terminate_backend(pid) from")
        await asyncio.to_thread(ask, as_superuser(url), end)
        return (await work).entry.attempts

    assert asyncio.run(inside()) == 2
    assert there(url)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_deployer_that_is_killed_half_way_leaves_nothing_and_the_next_one_applies_it_once(
    tmp_path: Path, how: signal.Signals
) -> None:
    url = database()
    ask(url, "create table public.gate ()")
    one(tmp_path, GATED)
    with deployer(url, tmp_path) as killed:
        asyncio.run(until(as_superuser(url), SLEEPING))
        killed.send_signal(how)
        killed.wait()
        assert (there(url), book(url).entries) == (False, {})
        ask(url, "drop table public.gate")
        assert [applied.fresh for applied in put_all(url, tmp_path)] == [True]
    assert (there(url), book(url).entries["011"].attempts) == (True, 1)


def test_a_deployer_that_is_killed_after_its_commit_has_applied_it(tmp_path: Path) -> None:
    url = database()
    one(tmp_path)
    with deployer(url, tmp_path) as killed:
        asyncio.run(until(url, "select to_regclass('public.teams') is not null"))
        killed.kill()
        killed.wait()
    assert list(book(url).entries) == ["011"]
    assert [applied.fresh for applied in put_all(url, tmp_path)] == [False]


def test_a_deployer_that_is_killed_while_it_waits_for_its_turn_takes_none(tmp_path: Path) -> None:
    url = database()
    one(tmp_path)
    with psycopg.connect(url, autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(%s)", [LOCK])
        with deployer(url, tmp_path) as killed:
            assert killed.stdout is not None
            assert "011_teams: waits for process" in killed.stdout.readline()
            killed.kill()
            killed.wait()
        asyncio.run(until(as_superuser(url), f"select not ({CONNECTED.strip().removeprefix('select ')})"))
        assert not there(url)
    assert [applied.fresh for applied in put_all(url, tmp_path)] == [True]


def test_two_deployers_at_once_apply_once(tmp_path: Path) -> None:
    url = database()
    one(tmp_path, f"{TEAMS}select pg_sleep(0.3);")
    with deployer(url, tmp_path) as first, deployer(url, tmp_path) as second:
        said = sorted(process.communicate()[0].splitlines()[-1] for process in (first, second))
    assert said == ["already applied", "applied"]
    assert ask(url, "select count(*) from bluegreen.migrations") == [(1,)]


@pytest.mark.parametrize("meets", ["a full database", "a wish to stop", "somebody else's turn"])
def test_whatever_comes_after_a_lost_answer_never_says_that_nothing_was_changed(tmp_path: Path, meets: str) -> None:
    url, file, ctx = database(), one(tmp_path), Context()
    others: list[psycopg.Connection[object]] = []

    def lost(text: str) -> None:
        if "the connection was lost" not in text:
            return
        line = psycopg.connect(as_superuser(url), autocommit=True)
        others.append(line)
        if meets == "a full database":
            line.execute(f'alter database "{name_of(url)}" connection limit 0'.encode())
            return
        while line.execute("select pg_try_advisory_lock(%s)", (LOCK,)).fetchone() != (True,):
            continue
        ctx.cancelled = meets == "a wish to stop"
        ctx.ahead = timedelta(seconds=RETURN_SECONDS + 1)

    async def inside() -> None:
        async with cut_line(url, "after") as (cut, _):
            ctx.on_milestone = lost
            await put(cut, file, ctx, budget=1.0)

    halt = halted(inside())
    for line in others:
        line.execute(f'alter database "{name_of(url)}" connection limit -1'.encode())
        line.close()
    assert (type(halt), halt.world) == (Unclear, "It is applied whole or not at all; which, the ledger knows.")
    assert (there(url), [*book(url).entries]) == (True, ["011"])


def test_who_is_left_alone_while_waiting_for_a_turn_is_told_so(tmp_path: Path) -> None:
    url = database()
    with psycopg.connect(url, autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(%s)", [LOCK])
        halt = halted(put(url, one(tmp_path), Context(orphaned=True)))
    assert (type(halt), halt.what) == (Stopped, "011_teams was left alone before its turn came.")
