"""A trace says what each statement locks, rewrites and reads, on every major that there is."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bluegreen.postgres import files
from bluegreen.postgres.files import File
from bluegreen.postgres.scratch.copy import Copied
from bluegreen.postgres.scratch.source import sizes
from bluegreen.postgres.scratch.trace import Failed, Writing, trace, what
from bluegreen.postgres.scratch.traced import Growth, Held, Step, Traced, counted
from bluegreen.postgres.session import Database
from tests.database import database
from tests.scratch_room import BASELINE, MAJORS, Copies, ask, copies, do, file

TEAMS = BASELINE.parent.parent.parent / "migrations" / "011_team_collaboration_foundation.sql"
THREE = ("public.users", "public.projects", "public.generations")
GIB = 1 << 30
SIZES = {"public.projects": (12_000_000, 3 * GIB)}


@pytest.fixture(scope="module")
def ground() -> Iterator[Copies]:
    with copies() as made:
        yield made


def traced(ground: Copies, major: int, change: File, *before: str) -> Traced:
    async def work(copied: Copied) -> Traced:
        await do(copied.database, *before)
        return await trace(copied.database, change, sizes=SIZES)

    return ground.on(major, work)


@pytest.mark.parametrize("major", MAJORS)
def test_the_teams_migration_stops_writes_of_three_tables_at_its_very_end(ground: Copies, major: int) -> None:
    found = traced(ground, major, files.one(TEAMS))
    assert {held.relation: (held.mode, held.stops) for held in found.locks} == dict.fromkeys(
        THREE, ("ShareRowExclusiveLock", "writes")
    )
    count = len(files.one(TEAMS).statements)
    assert len(found.statements) == count
    assert [held.statement > count - 8 for held in found.locks] == [True, True, True]
    assert (found.rewrites, found.grows, found.not_modelled) == ((), (), ())
    assert [answer.true for answer in found.questions] == [True, True, True]
    assert found.held_ms("public.users") <= found.estimate_ms


CASES = [
    ("alter table public.projects add column a int", "AccessExclusiveLock", None),
    ("alter table public.projects add column a int default 3", "AccessExclusiveLock", None),
    ("alter table public.projects add column a uuid default gen_random_uuid()", "AccessExclusiveLock", "rewrite"),
    ("alter table public.projects alter name type varchar(200)", "AccessExclusiveLock", "rewrite"),
    ("alter table public.projects alter description set not null", "AccessExclusiveLock", "scan"),
    ("alter table public.projects add constraint c check (length(name) > 0)", "AccessExclusiveLock", "scan"),
    ("alter table public.projects add constraint c check (length(name) > 0) not valid", "AccessExclusiveLock", None),
    ("alter table public.projects add unique (name)", "AccessExclusiveLock", "index build"),
    ("alter table public.projects validate constraint waiting", "ShareUpdateExclusiveLock", "scan"),
    ("create index on public.projects (name)", "ShareLock", "index build"),
    ("reindex table public.projects", "ShareLock", "index build"),
    ("cluster public.projects using projects_pkey", "AccessExclusiveLock", "rewrite"),
    ("create policy p on public.projects using (true)", "AccessExclusiveLock", None),
    ("create trigger t before insert on public.projects execute function public.touch_updated_at()",
     "ShareRowExclusiveLock", None),
    ("create table public.new (p uuid references public.projects (id))", "ShareRowExclusiveLock", None),
    ("update public.projects set name = 'x'", "RowExclusiveLock", "rows"),
    ("insert into public.projects (user_id, name) select id, 'x' from public.users", "RowExclusiveLock", None),
    ("do $$ begin execute 'alter table public.projects alter description set not null'; end $$",
     "AccessExclusiveLock", "scan"),
    ("drop table public.projects cascade", "AccessExclusiveLock", None),
    ("truncate public.projects cascade", "AccessExclusiveLock", None),
    ("create view public.v as select * from public.projects", "AccessShareLock", None),
]  # fmt: skip


@pytest.mark.parametrize("major", MAJORS)
def test_each_statements_lock_and_work_is_measured(ground: Copies, major: int, tmp_path: Path) -> None:
    found = []
    for sql, _, _ in CASES:
        waiting = "alter table public.projects add constraint waiting check (name <> '') not valid"
        step = traced(ground, major, file(tmp_path, f"{sql};"), waiting)
        works = [growth.work for growth in step.statements[0].grows if growth.relation == "public.projects"]
        found.append((sql, step.strongest("public.projects"), works[0] if works else None))
    assert found == CASES


@pytest.mark.parametrize("major", MAJORS)
def test_what_cannot_be_in_a_transaction_runs_alone_with_the_locks_that_are_documented(
    ground: Copies, major: int, tmp_path: Path
) -> None:
    change = file(
        tmp_path,
        "alter table public.projects add column a int;\n"
        "create index concurrently people on public.users (display_name);\n"
        "-- bluegreen:backfill public.projects batch=500\nupdate public.projects set a = 1;\n"
        "drop index concurrently public.people;\nvacuum public.projects;\n",
    )
    found = traced(ground, major, change)
    assert [(step.segment, step.what) for step in found.statements] == [
        (1, "ALTER TABLE"),
        (2, "CREATE INDEX CONCURRENTLY"),
        (3, "UPDATE"),
        (4, "DROP INDEX CONCURRENTLY"),
        (5, "VACUUM"),
    ]
    assert [[(lock.relation, lock.mode, lock.measured) for lock in step.locks] for step in found.statements] == [
        [("public.projects", "AccessExclusiveLock", True)],
        [("public.users", "ShareUpdateExclusiveLock", False)],
        [("public.projects", "RowExclusiveLock", False)],
        [("public.users", "ShareUpdateExclusiveLock", False)],
        [("public.projects", "ShareUpdateExclusiveLock", False)],
    ]
    assert [[growth.work for growth in step.grows] for step in found.statements] == [
        [], ["index build"], ["rows"], [], ["scan"],
    ]  # fmt: skip
    assert found.strongest("public.projects") == "AccessExclusiveLock"
    assert found.strongest("auth.users") == ""


def test_a_lock_counts_from_where_somebody_waits_for_it_until_its_transaction_ends(
    ground: Copies, tmp_path: Path
) -> None:
    change = file(
        tmp_path,
        "create view public.v as select * from public.projects;\n"
        "create table public.t (p uuid references public.projects (id));\n"
        "alter table public.projects add column a uuid default gen_random_uuid();\n"
        "create table public.last (a int);\n",
    )
    found = traced(ground, 18, change)
    held = next(held for held in found.locks if held.relation == "public.projects")
    assert (held.mode, held.statement, held.line, held.statements) == ("AccessExclusiveLock", 2, 2, 3)
    assert held.held_ms > 1000 * 3 * GIB / 20_000_000
    assert not found.late
    assert found.grows == ("grows with public.projects (12 M rows)",)
    assert found.rewrites == ("public.projects",)


def test_a_table_of_unknown_size_is_named_instead_of_a_number(ground: Copies, tmp_path: Path) -> None:
    found = traced(ground, 16, file(tmp_path, "alter table public.users alter display_name set not null;"))
    assert found.grows == ("grows with public.users",)
    assert found.estimate_ms == found.statements[0].ms


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("create table a (b int);\n\nalter table a\n    add column c inr;", 'at line 4, column 18: type "inr"'),
        ("alter table auth.users add column c int;", "in the statement at line 1: must be owner of table users"),
        ("create table a (b int primary key deferrable initially deferred);\ninsert into a values (1), (1);",
         "at its commit: duplicate key value violates unique constraint"),
        ("do $$ begin\n perform 1 / 0; end $$;", "in the statement at line 1, in SQL statement"),
    ],
)  # fmt: skip
def test_a_failing_file_says_where_and_that_nothing_was_changed(
    ground: Copies, sql: str, said: str, tmp_path: Path
) -> None:
    async def work(copied: Copied) -> None:
        with pytest.raises(Failed) as failed:
            await trace(copied.database, file(tmp_path, sql), lacks=("extension postgis",))
        assert f"012_change fails {said}" in str(failed.value)
        assert failed.value.world == "Nothing was changed: it ran on a copy."
        assert failed.value.next == "Correct the file, unless it needs what the copy lacks: extension postgis."
        assert await ask(copied.database, "select to_regclass('public.a') is null") == [(True,)]

    ground.on(16, work)


def test_what_came_before_a_failure_is_told_with_it(ground: Copies, tmp_path: Path) -> None:
    async def work(copied: Copied) -> None:
        with pytest.raises(Failed) as failed:
            await trace(copied.database, file(tmp_path, "drop table public.generations; select 1 / 0;"))
        assert failed.value.traced.strongest("public.generations") == "AccessExclusiveLock"

    ground.on(16, work)


def test_questions_are_asked_before_the_commit_and_a_broken_one_spoils_nothing(ground: Copies, tmp_path: Path) -> None:
    change = file(
        tmp_path,
        "create table a (b int);\nset local role authenticated;\n"
        "-- bluegreen:verify select to_regclass('a') is not null\n"
        "-- bluegreen:verify select false -- no\n-- bluegreen:verify select 1 / 0 = 1\n",
    )

    async def work(copied: Copied) -> None:
        found = await trace(copied.database, change)
        assert [(answer.line, answer.true, answer.said) for answer in found.questions] == [
            (3, True, ""),
            (4, False, ""),
            (5, False, "division by zero (22012)"),
        ]
        assert await ask(copied.database, "select to_regclass('a') is null") == [(False,)]

    ground.on(18, work)


def test_an_extension_that_no_scratch_has_is_passed_over_by_name(ground: Copies, tmp_path: Path) -> None:
    found = traced(ground, 18, file(tmp_path, "create extension nobody_has_this;\ncreate table a (b int);"))
    assert found.not_modelled == ("extension nobody_has_this",)
    assert [step.skipped for step in found.statements] == ["extension nobody_has_this", ""]


def test_rows_that_a_file_writes_are_counted(ground: Copies, tmp_path: Path) -> None:
    change = file(tmp_path, "create table a (b int);\ninsert into a values (1), (2), (3);\nupdate a set b = 4;")
    assert [step.rows for step in traced(ground, 16, change).statements] == [0, 3, 3]


EMPTIES = (
    "create function public.empty() returns int language plpgsql as $$ begin delete from public.users; return 1; end $$"
)
UNSEEN = [
    ("do $$ begin perform public.empty(); end $$;", ("public.users",)),
    ("create table public.n as with d as (delete from public.users returning id) select id from d;", ("public.users",)),
    ("create table public.n (a int); create rule r as on insert to public.n do instead delete from public.users; "
     "insert into public.n values (1);", ("public.users",)),
    ("create table public.n (a int default public.empty()); insert into public.n default values;", ("public.users",)),
    ("create table public.n (a int); create function public.f() returns trigger language plpgsql as "
     "$$ begin perform public.empty(); return new; end $$; create constraint trigger late after insert on public.n "
     "deferrable initially deferred for each row execute function public.f(); insert into public.n values (1);",
     ("public.users",)),
    ("create temp table users (id int); drop table users; delete from users;", ("public.users",)),
    ("create schema billing; set local search_path = billing, public; delete from users;", ("public.users",)),
    ("do $$ begin truncate public.generations; end $$;", ("public.generations",)),
    ("create aggregate public.g (int) (sfunc = public.wipe, stype = int, initcond = 0); select public.g(1);",
     ("public.users",)),
    ("update public.users set display_name = 'x'; select public.empty();", ("public.users",)),
    ("update public.parts set a = 2;", ("public.parts",)),
    ("alter table public.users alter display_name set not null; create index on public.users (display_name);", ()),
    ("alter table public.projects add column a uuid default gen_random_uuid();", ()),
    ("create table public.n (a uuid references public.users); insert into public.n values (null);", ()),
    ("select nextval('public.counter');", ()),
]  # fmt: skip


@pytest.mark.parametrize("major", MAJORS)
def test_whoever_writes_rows_of_a_table_is_seen_however_it_is_done(ground: Copies, major: int, tmp_path: Path) -> None:
    parts = "create table public.parts (a int) partition by range (a)"
    part = "create table public.part partition of public.parts for values from (0) to (9)"
    wipe = "create function public.wipe(int, int) returns int language sql as 'delete from public.users; select 1'"
    before = (EMPTIES, wipe, parts, part, "create sequence public.counter")
    found = [(sql, traced(ground, major, file(tmp_path, sql), *before).writes) for sql, _ in UNSEEN]
    assert found == UNSEEN


@pytest.mark.parametrize(
    "sql",
    ["create table a (b int);", "create table a (b int);\ncreate index concurrently i on public.users (display_name);"],
)
def test_a_question_that_writes_is_refused_and_has_changed_nothing(ground: Copies, sql: str, tmp_path: Path) -> None:
    change = file(tmp_path, f"{sql}\n-- bluegreen:verify select public.empty() > 0\n")

    async def work(copied: Copied) -> None:
        await do(copied.database, EMPTIES)
        with pytest.raises(Writing) as refused:
            await trace(copied.database, change)
        assert "writes with its question at line" in refused.value.what
        assert "(verify-writes)" in refused.value.what
        assert refused.value.world == "Nothing was changed: it ran on a copy."
        assert refused.value.traced.statements[0].what == "CREATE TABLE"

    ground.on(16, work)


def test_a_file_can_write_after_nothing_of_a_question_is_left(ground: Copies, tmp_path: Path) -> None:
    change = file(tmp_path, "create table a (b int);\n-- bluegreen:verify select true\n")

    async def work(copied: Copied) -> None:
        assert (await trace(copied.database, change)).questions[0].true
        await do(copied.database, "insert into a values (1)")

    ground.on(16, work)


def test_a_trace_is_read_back_from_json_as_it_was(ground: Copies, tmp_path: Path) -> None:
    found = traced(
        ground, 16, file(tmp_path, "alter table public.projects add column a uuid default gen_random_uuid();")
    )
    text = found.model_dump_json(by_alias=True)
    assert Traced.model_validate_json(text) == found
    assert '"estimateMs"' in text
    assert '"locks":[{"relation":"public.projects","mode":"AccessExclusiveLock"' in text


def test_sizes_are_those_of_the_last_count_and_a_table_nobody_counted_is_left_out() -> None:
    async def run() -> None:
        source = Database(database(16))
        await do(
            source,
            "create table parts (a int) partition by range (a)",
            "create table low partition of parts for values from (0) to (500)",
            "create table high partition of parts for values from (500) to (1000)",
            "insert into parts select generate_series(0, 999)",
            "create table quiet (a int)",
            "analyze low, high",
        )
        async with source.session() as session:
            found = await sizes(session)
        assert {name: found[name][0] for name in found if name.startswith("public.")} == {
            "public.high": 500,
            "public.low": 500,
            "public.parts": 1000,
        }
        assert found["public.parts"][1] == found["public.low"][1] + found["public.high"][1] > 0

    asyncio.run(run())


def test_sizes_wait_for_nobody_who_has_a_table_for_himself() -> None:
    async def run() -> None:
        source = Database(database(16))
        await do(source, "analyze public.projects")
        async with source.session() as holder, source.session() as session:
            await holder.rows("begin")
            await holder.rows("lock table public.projects in access exclusive mode")
            await session.rows("set lock_timeout = '100ms'")
            assert await sizes(session) == {"public.projects": (0, 0)}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("create  or replace function f() returns int", "CREATE FUNCTION"),
        ("create unique index on a (b)", "CREATE INDEX"),
        ("create materialized view a as select 1", "CREATE MATERIALIZED VIEW"),
        ("create constraint trigger t after insert on a", "CREATE TRIGGER"),
        ("alter default privileges in schema a grant select on tables to b", "ALTER DEFAULT PRIVILEGES"),
        ("/* drop */ -- table\n comment on table a is 'b'", "COMMENT ON TABLE"),
        ("create temp table a (b int)", "CREATE TABLE"),
        ("insert into a values (1)", "INSERT"),
        ("do $$ begin end $$", "DO"),
    ],
)
def test_a_statement_is_called_what_it_is(text: str, expected: str) -> None:
    assert what(text) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(1, "1 row"), (0, "0 rows"), (9_999, "9999 rows"), (10_000, "10 k rows"), (12_300_000, "12 M rows"),
     (4_000_000_000, "4 G rows")],
)  # fmt: skip
def test_rows_are_told_as_people_say_them(rows: int, expected: str) -> None:
    assert counted(rows) == expected


def test_times_are_of_the_work_and_the_size_of_the_real_table() -> None:
    assert Growth(relation="a", work="scan", rows=5, size=200_000_000).ms == 1000
    assert Growth(relation="a", work="rows", rows=40_000, size=1).ms == 1000
    assert Growth(relation="a", work="rewrite").ms == 0
    steps = (Step(number=1, estimate_ms=90.0), Step(number=2, estimate_ms=10.0))
    assert Traced(statements=steps).late
    assert Traced().held_share == 0.0
    assert Held(relation="a", mode="ExclusiveLock").stops == "writes"
