"""What cannot run in a transaction: done once, whole, and whatever a kill leaves of it is taken away."""

import asyncio
import signal
from pathlib import Path

import psycopg
import pytest

from bluegreen.handler import Refused
from bluegreen.postgres import concurrent
from bluegreen.postgres.apply import apply
from bluegreen.postgres.errand import Failed, Locked, Stopped
from bluegreen.postgres.files import File
from bluegreen.postgres.session import Database
from tests.database import as_superuser, database
from tests.postgres_room import (
    OWNER,
    Context,
    ask,
    book,
    deployer,
    folder,
    halted,
    put,
    put_all,
    read,
    until,
    wanted,
)

TABLE = """
create table public.t (id int primary key, a int, b text);
insert into public.t select n, n, n from generate_series(1, 50) n;
"""
INDEX = "create index concurrently t_a on public.t (lower(b)) where a > 0;"
PARTITIONED = """
create table public.p (a int) partition by list (a); create table public.p1 partition of public.p for values in (1)
"""
VALID = """
select c.relname, x.indisvalid from pg_index x join pg_class c on c.oid = x.indexrelid
where c.relname ~ '^t_a' order by 1
"""
# Sleeps for each row while there is a gate, so that an index is being built for as long as a test wants.
SLOW = """
create function public.slow(text) returns text immutable language plpgsql as $$ begin
    if pg_catalog.to_regclass('public.gate') is not null then perform pg_catalog.pg_sleep(0.5); end if;
    return $1;
end $$;
create table public.gate ();
"""
SLOWLY = "create index concurrently t_a on public.t (public.slow(b));"
BUILDING = """
select exists (select from pg_stat_activity where application_name = 'bluegreen-migrate/011'
    and wait_event = 'PgSleep' and datname = current_database())
"""
OVER = f"select not ({BUILDING.strip().removeprefix('select ')})"
OPEN = "drop table public.gate"


def prepared(more: str = "") -> str:
    url = database()
    ask(url, TABLE + more)
    return url


def one(at: Path, sql: str) -> File:
    return read(folder(at, _011_x=sql))[0]


def test_a_concurrent_index_stands_between_two_transactions_and_the_file_is_one_row(tmp_path: Path) -> None:
    url = prepared()
    sql = f"-- bluegreen:verify select count(*) = 2 from public.n\ncreate table public.n (id int);\n{INDEX}\n"
    applied = asyncio.run(put(url, one(tmp_path, f"{sql}insert into public.n values (1), (2);")))
    assert (applied.fresh, applied.entry.attempts, book(url).halves) == (True, 1, {})
    assert ask(url, VALID) == [("t_a", True)]
    assert ask(url, "select number, kind, state from bluegreen.segments order by 1") == [
        (1, "transaction", "done"),
        (2, "alone", "done"),
        (3, "transaction", "done"),
    ]


@pytest.mark.parametrize(
    ("before", "sql", "after", "then"),
    [
        ("create index t_a on public.t (a)", "drop index concurrently public.t_a", VALID, []),
        ("create index t_a on public.t (a)", "reindex index concurrently public.t_a", VALID, [("t_a", True)]),
        ("create index t_a on public.t (a)", "reindex (concurrently) table public.t", VALID, [("t_a", True)]),
        (
            "",
            "vacuum (analyze) public.t",
            "select relpages > 0 from pg_class where oid = 'public.t'::regclass",
            [(True,)],
        ),
        (
            "create table public.p (a int) partition by list (a); create table public.p1 partition of public.p for "
            "values in (1)",
            "alter table public.p detach partition public.p1 concurrently",
            "select count(*) from pg_inherits where inhparent = 'public.p'::regclass",
            [(0,)],
        ),
    ],
)
def test_whatever_stands_alone_is_done_and_verified_behind_it(
    tmp_path: Path, before: str, sql: str, after: str, then: list[object]
) -> None:
    url = prepared(before)
    asyncio.run(put(url, one(tmp_path, f"-- bluegreen:verify select true\n{sql}")))
    assert (ask(url, after), [*book(url).entries]) == (then, ["011"])


def test_a_unique_index_that_rows_speak_against_leaves_nothing_and_the_file_may_be_corrected(tmp_path: Path) -> None:
    url = prepared("update public.t set a = 7 where id < 3;")
    file = one(tmp_path, "create table public.n ();\ncreate unique index concurrently t_a on public.t (a);\n")
    halt = halted(put(url, file))
    assert (type(halt), halt.what) == (
        Failed,
        '011_x fails in the statement at line 2: could not create unique index "t_a" (23505). '
        "Key (a)=(7) is duplicated.",
    )
    assert halt.world == "1 of its 2 segments (up to line 1) stay applied. What came after that was rolled back."
    assert halt.next == "Correct the file from line 2 on, leave what is done, and run this again: it goes on there."
    assert (ask(url, VALID), str(book(url).halves["011"])) == ([], "1 segment of it done")
    edited = one(tmp_path, "create table public.n ();\ncreate index concurrently t_a on public.t (a);\n")
    ctx = Context()
    assert asyncio.run(put(url, edited, ctx)).fresh
    assert (ask(url, VALID), book(url).halves) == ([("t_a", True)], {})
    assert ctx.milestones == ["011_x: goes on where it stopped, with 1 segment of it done"]


def test_what_is_done_of_a_file_may_not_be_edited(tmp_path: Path) -> None:
    url = prepared()
    halted(put(url, one(tmp_path, f"create table public.n ();\n{INDEX}\nselect 1 / 0;")))
    halt = halted(put(url, one(tmp_path, f"create table public.m ();\n{INDEX}\nselect 1;")))
    assert type(halt) is Refused
    assert halt.what.startswith("011_x was edited at line 1, where it is applied already: its segment 1 was done on ")
    assert halt.world == "It is half applied: 2 segments of it done."
    assert asyncio.run(put(url, one(tmp_path, f"-- as it was\ncreate table public.n ();\n{INDEX}\nselect 1;"))).fresh


def test_a_file_before_one_that_is_half_applied_comes_too_late(tmp_path: Path) -> None:
    url = prepared()
    at = folder(tmp_path, _011_x="select 1", _012_y=f"{INDEX} select 1 / 0;")
    late, half = read(at, "012")
    halted(put(url, File(**{**vars(half), "after": None})))
    assert halted(put(url, late)).what == "011_x comes too late: 012 is half applied (1 segment of it done)."


def test_an_invalid_index_of_that_name_is_made_again_also_where_it_must_not_exist(tmp_path: Path) -> None:
    url = prepared("update public.t set a = 7 where id < 3;")
    with pytest.raises(psycopg.errors.UniqueViolation):
        ask(url, "create unique index concurrently t_a on public.t (a)")
    assert ask(url, VALID) == [("t_a", False)]
    ctx = Context()
    sql = "create index concurrently if not exists t_a on public.t (a)"
    asyncio.run(put(url, one(tmp_path, sql), ctx))
    assert ask(url, VALID) == [("t_a", True)]
    assert ctx.milestones == ["011_x: the invalid index t_a is dropped and made again"]


def test_a_valid_index_with_that_definition_is_kept(tmp_path: Path) -> None:
    url = prepared(INDEX.replace("concurrently", ""))
    before = ask(url, "select 'public.t_a'::regclass::oid")
    ctx = Context()
    asyncio.run(put(url, one(tmp_path, INDEX), ctx))
    assert ask(url, "select 'public.t_a'::regclass::oid") == before
    assert ctx.milestones == ["011_x: the index t_a is there already, as it is wanted"]


@pytest.mark.parametrize(
    "other",
    [
        "create index t_a on public.t (lower(b)) where a > 1",
        "create unique index t_a on public.t (lower(b)) where a > 0",
        "create table public.u (a int, b text); create index t_a on public.u (lower(b)) where a > 0",
    ],
)
def test_a_valid_index_with_another_definition_is_nobodys_to_touch(tmp_path: Path, other: str) -> None:
    url = prepared(other)
    halt = halted(put(url, one(tmp_path, INDEX)))
    assert halt.what.startswith("011_x would make the index t_a, and there is another one: CREATE ")
    assert (halt.world, ask(url, VALID), book(url).halves) == ("Nothing was changed.", [("t_a", True)], {})


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("create index concurrently i on t (a)", "create index i on pg_temp.x (a)"),
        (
            'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "I x" ON ONLY public."T" USING btree (a) WHERE b',
            'create unique index "I x" on pg_temp.x USING btree (a) WHERE b',
        ),
        ("create index concurrently /* on u */ i -- on v\n on a.b.c(é)", "create index i on pg_temp.x (é)"),
    ],
)
def test_an_index_is_tried_on_a_copy_with_its_own_words(text: str, plain: str) -> None:
    assert concurrent.on(text, "pg_temp.x") == plain


def test_a_long_transaction_that_only_looks_is_waited_for_before_a_concurrent_index_begins(tmp_path: Path) -> None:
    url, ctx = prepared(), Context()

    async def inside() -> None:
        named = asyncio.Event()
        ctx.on_milestone = lambda text: named.set()
        holder = await psycopg.AsyncConnection.connect(url, application_name="nightly report")
        try:
            await holder.execute("set transaction isolation level repeatable read")
            await holder.execute("select count(*) from public.projects")
            await until(
                url,
                "select bool_or(clock_timestamp() - xact_start > '0.6 s') from pg_stat_activity "
                "where application_name = 'nightly report' and datname = current_database()",
            )
            work = asyncio.ensure_future(put(url, one(tmp_path, INDEX), ctx))
            await named.wait()
            assert await asyncio.to_thread(ask, url, VALID) == []
            await holder.rollback()
            await work
        finally:
            await holder.close()

    asyncio.run(inside())
    assert "held by process" in ctx.milestones[0]
    assert "(nightly report, postgres) in a transaction for " in ctx.milestones[0]
    assert ask(url, VALID) == [("t_a", True)]


def test_a_concurrent_index_whose_moment_never_comes_changes_nothing(tmp_path: Path) -> None:
    url = prepared()
    with psycopg.connect(url, application_name="nightly report") as holder:
        holder.execute("lock table public.t in share update exclusive mode")
        holder.execute("select pg_sleep(0.6)")
        halt = halted(put(url, one(tmp_path, INDEX), budget=0.3))
    assert isinstance(halt, Locked)
    assert halt.what.startswith("011_x did not get its locks within 0.3 s, held up by process ")
    assert halt.world == "Nothing was changed. It asked for no lock."
    assert (ask(url, VALID), book(url).halves) == ([], {})


@pytest.mark.parametrize("sql", [SLOWLY, "reindex table concurrently public.t;"])
def test_a_deployer_that_is_killed_while_it_builds_leaves_an_invalid_index_and_the_next_one_mends_it(
    tmp_path: Path, sql: str
) -> None:
    url = prepared(SLOW)
    if "reindex" in sql:
        ask(url, f"{OPEN}; {SLOWLY.replace('concurrently', '')} create table public.gate ()")
    at = folder(tmp_path, _011_x=sql)
    with deployer(url, at) as killed:
        asyncio.run(until(as_superuser(url), BUILDING))
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    asyncio.run(until(as_superuser(url), OVER))
    assert (False,) in ask(url, "select indisvalid from pg_index")
    assert str(book(url).halves["011"]) == "0 segments of it done"
    ask(url, OPEN)
    assert [applied.fresh for applied in put_all(url, at)] == [True]
    assert ask(url, VALID) == [("t_a", True)]
    assert ask(url, "select count(*) from pg_index where not indisvalid") == [(0,)]


def test_who_is_asked_to_stop_while_an_index_is_built_leaves_none(tmp_path: Path) -> None:
    url, ctx = prepared(SLOW), Context()

    async def inside() -> None:
        work = asyncio.ensure_future(put(url, one(tmp_path, SLOWLY), ctx))
        await until(as_superuser(url), BUILDING)
        ctx.cancelled = True
        await work

    halt = halted(inside())
    assert (type(halt), halt.what) == (Stopped, "011_x was asked to stop, and was not applied.")
    assert (ask(url, VALID), book(url).halves) == ([], {})


@pytest.mark.parametrize(
    "sql", ["create index concurrently t_b on public.t (b)", "select 1", "select 1; vacuum public.t"]
)
def test_a_statement_that_was_begun_and_then_edited_takes_its_leftover_with_it(tmp_path: Path, sql: str) -> None:
    url = prepared(SLOW)
    at = folder(tmp_path, _011_x=SLOWLY)
    with deployer(url, at) as killed:
        asyncio.run(until(as_superuser(url), BUILDING))
        killed.kill()
        killed.wait()
    asyncio.run(until(as_superuser(url), OVER))
    assert ask(url, VALID) == [("t_a", False)]
    asyncio.run(put(url, one(tmp_path, sql)))
    assert ask(url, "select count(*) from pg_index where not indisvalid") == [(0,)]
    assert ask(url, VALID) == []


def test_a_half_applied_file_whose_rest_was_taken_out_comes_to_its_end(tmp_path: Path) -> None:
    url = prepared("update public.t set a = 7 where id < 3;")
    first = "create table public.n ();\n"
    halted(put(url, one(tmp_path, f"{first}create unique index concurrently t_a on public.t (a);")))
    assert asyncio.run(put(url, one(tmp_path, first))).fresh
    assert ([*book(url).entries], book(url).halves) == (["011"], {})


def test_a_statement_that_failed_alone_may_be_made_one_that_needs_not_be(tmp_path: Path) -> None:
    url = prepared("update public.t set a = 7 where id < 3;")
    first, last = "create table public.n ();\n", "\ninsert into public.t values (99, 99, 99);"
    halted(put(url, one(tmp_path, f"{first}create unique index concurrently t_a on public.t (a);{last}")))
    asyncio.run(put(url, one(tmp_path, f"{first}create index t_a on public.t (a);{last}")))
    assert (ask(url, VALID), ask(url, "select count(*) from public.t")) == ([("t_a", True)], [(51,)])
    assert ask(url, "select number, kind from bluegreen.segments order by 1") == [
        (1, "transaction"),
        (2, "transaction"),
    ]


@pytest.mark.parametrize("first", ["create table public.n ();", "vacuum public.t;"])
def test_the_script_that_takes_a_file_back_is_kept_from_its_first_segment_on(tmp_path: Path, first: str) -> None:
    url = prepared("update public.t set a = 7 where id < 3;")
    file = one(tmp_path, f"{first} create unique index concurrently t_a on public.t (a);")
    spec = file.spec(OWNER, wanted())
    halted(apply(Database(url), file, spec, Context(), reverse="drop index public.t_a"))
    assert book(url).halves["011"].reverse == "drop index public.t_a"
    ask(url, "delete from public.t where id < 3")
    asyncio.run(put(url, file))
    assert ask(url, "select reverse from bluegreen.migrations") == [("drop index public.t_a",)]


@pytest.mark.parametrize(
    ("holds", "sql"),
    [
        ("update public.t set a = 1 where id = 1", INDEX),
        ("select from public.t", "drop index concurrently public.t_b"),
        ("select from public.p1", "alter table public.p detach partition public.p1 concurrently"),
    ],
)
def test_whom_it_would_wait_for_is_waited_for_before_it_begins(tmp_path: Path, holds: str, sql: str) -> None:
    url = prepared(f"{PARTITIONED}; create index t_b on public.t (b)")
    with psycopg.connect(url, application_name="forgotten") as holder:
        holder.execute(holds.encode())
        holder.execute("select pg_sleep(0.6)")
        halt = halted(put(url, one(tmp_path, sql), budget=0.3))
        assert ask(url, "select count(*) from public.p1") == [(0,)]
    assert (type(halt), halt.world) == (Locked, "Nothing was changed. It asked for no lock.")
    assert "(forgotten, postgres) in a transaction for " in halt.what
    assert book(url).halves == {}


def test_a_partition_that_somebody_new_reads_is_shut_for_50_ms_and_finalized_later(tmp_path: Path) -> None:
    url, ctx = prepared(PARTITIONED), Context()
    file = one(tmp_path, "alter table public.p detach partition public.p1 concurrently")

    async def inside() -> None:
        holder = await psycopg.AsyncConnection.connect(url)
        try:
            await holder.execute("select from public.p")
            ctx.on_milestone = lambda text: setattr(ctx, "cancelled", "is tried again" in text)
            await put(url, file, ctx)
        finally:
            await holder.close()

    halt = halted(inside())
    assert (type(halt), halt.what) == (Stopped, "011_x was asked to stop, and is not applied.")
    assert halt.world.startswith('The partition "public"."p1" is half detached; the next run ends that.')
    assert ask(url, "select inhdetachpending from pg_inherits where inhparent = 'public.p'::regclass") == [(True,)]
    asyncio.run(put(url, file))
    assert ask(url, "select count(*) from pg_inherits where inhparent = 'public.p'::regclass") == [(0,)]


def test_an_invalid_index_at_whose_table_somebody_idles_is_no_failure_of_the_file(tmp_path: Path) -> None:
    url = prepared("update public.t set a = 7 where id < 3;")
    with pytest.raises(psycopg.errors.UniqueViolation):
        ask(url, "create unique index concurrently t_a on public.t (a)")
    with psycopg.connect(url, application_name="forgotten") as holder:
        holder.execute("select from public.t")
        holder.execute("select pg_sleep(0.6)")
        halt = halted(put(url, one(tmp_path, "create index concurrently t_a on public.t (a)"), budget=0.5))
    assert (type(halt), "(forgotten, postgres) in a transaction for " in halt.what) == (Locked, True)
    assert halt.world == "The invalid index t_a is left; the next run drops it. It asked for no lock."


def test_who_comes_to_the_table_of_an_invalid_index_too_late_to_be_seen_is_named_in_the_end(tmp_path: Path) -> None:
    url, ctx = prepared("update public.t set a = 7 where id < 3;"), Context()
    with pytest.raises(psycopg.errors.UniqueViolation):
        ask(url, "create unique index concurrently t_a on public.t (a)")
    with psycopg.connect(url, application_name="forgotten") as holder:
        holder.execute("select from public.t")
        halt = halted(put(url, one(tmp_path, "create index concurrently t_a on public.t (a)"), ctx, budget=1.0))
    assert (type(halt), "held up by process" in halt.what, "(forgotten, postgres)" in halt.what) == (Locked, True, True)
    assert halt.world.startswith("The invalid index t_a is left; the next run drops it.")


def test_who_loses_the_connection_while_an_index_is_built_and_stops_then_says_what_may_be_left(tmp_path: Path) -> None:
    url, ctx = prepared(SLOW), Context()
    ctx.on_milestone = lambda text: setattr(ctx, "cancelled", "the connection was lost" in text)

    async def inside() -> None:
        work = asyncio.ensure_future(put(url, one(tmp_path, SLOWLY), ctx))
        await until(as_superuser(url), BUILDING)
        end = BUILDING.replace("exists (select from", "(select pg_terminate_backend(pid) from")
        await asyncio.to_thread(ask, as_superuser(url), end)
        await work

    halt = halted(inside())
    assert (type(halt), halt.what) == (Stopped, "011_x was asked to stop, and is not applied.")
    assert halt.world.startswith('The index "public"."t_a" may be left invalid; the next run drops it.')
