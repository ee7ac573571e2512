"""Applying a file: once, whole or not at all, and never with a queue behind it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from bluegreen.handler import Halt, Refused
from bluegreen.postgres import ledger
from bluegreen.postgres.apply import LOCK, Failed, Locked
from bluegreen.postgres.files import File
from bluegreen.postgres.session import Database, Unreachable
from sandbox.postgres_address import PASSWORD
from tests.database import as_app, as_superuser, database, name_of, server
from tests.postgres_room import OWNER, Context, ask, book, folder, halted, put, put_all, read

TEAMS = "create table public.teams (id int primary key);\n"
THERE = "select to_regclass('public.teams') is not null"


def one(at: Path, sql: str = TEAMS) -> File:
    return read(folder(at, _011_teams=sql))[0]


def there(url: str) -> bool:
    return bool(ask(url, THERE)[0][0])


def test_a_file_is_applied_with_its_row_in_both_ledgers(tmp_path: Path) -> None:
    url, file = database(), one(tmp_path, f"{TEAMS}create index on public.teams (id);")
    applied = asyncio.run(put(url, file))
    entry = book(url).entries["011"]
    assert (applied.fresh, applied.entry, there(url)) == (True, entry, True)
    assert (entry.name, entry.sha256, entry.phase, entry.owner, entry.applied_by, entry.attempts) == (
        "teams",
        file.sha256,
        "expand",
        OWNER,
        "postgres",
        1,
    )
    assert ask(url, "select version, name, statements from supabase_migrations.schema_migrations") == [
        ("011", "teams", ["create table public.teams (id int primary key)", "create index on public.teams (id)"])
    ]


@contextmanager
def no_supabase(url: str) -> Iterator[None]:
    """The platform's own role is called otherwise for a while."""
    ask(as_superuser(url), "create role somebody superuser login password 'sandbox-postgres'")
    other = as_superuser(url).replace("supabase_admin", "somebody")
    ask(other, "alter role supabase_admin rename to plain_admin")
    try:
        yield
    finally:
        ask(other, "alter role plain_admin rename to supabase_admin")
        ask(as_superuser(url), "drop role somebody")


def test_a_database_that_is_not_supabase_gets_no_ledger_of_it(tmp_path: Path) -> None:
    url = database()
    with no_supabase(url):
        asyncio.run(put(url, one(tmp_path)))
    assert ask(url, "select to_regnamespace('supabase_migrations')") == [(None,)]
    assert list(book(url).entries) == ["011"]


def test_a_ledger_that_supabase_made_is_used_as_it_is(tmp_path: Path) -> None:
    url = database()
    ask(
        url,
        "create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text primary "
        "key, statements text[], name text, created_by text default 'cli'); "
        "insert into supabase_migrations.schema_migrations (version) values ('009')",
    )
    asyncio.run(put(url, one(tmp_path)))
    assert ask(url, "select version, name, created_by from supabase_migrations.schema_migrations order by 1") == [
        ("009", None, "cli"),
        ("011", "teams", "cli"),
    ]


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_nobody_who_comes_through_the_api_sees_the_ledger(tmp_path: Path, role: str) -> None:
    url = database()
    asyncio.run(put(url, one(tmp_path)))
    with psycopg.connect(as_app(url)) as line:
        line.execute(f"set local role {role}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            line.execute("select * from bluegreen.migrations")
    assert ask(url, "select relrowsecurity from pg_class where oid = 'bluegreen.migrations'::regclass") == [(True,)]


def test_what_the_ledger_has_is_not_applied_again(tmp_path: Path) -> None:
    url, file = database(), one(tmp_path)
    first = asyncio.run(put(url, file))
    again = asyncio.run(put(url, file))
    assert (again.fresh, again.entry) == (False, first.entry)


def test_an_edited_file_is_refused_and_both_texts_are_named(tmp_path: Path) -> None:
    url = database()
    first = asyncio.run(put(url, one(tmp_path)))
    edited = one(tmp_path, f"{TEAMS}-- more\n")
    halt = halted(put(url, edited))
    assert str(halt) == (
        f"011_teams was edited: its sha256 is {edited.sha256[:12]}…, and {first.entry.sha256[:12]}… was "
        f"applied on {first.entry.applied_at:%Y-%m-%d at %H:%M} UTC for shop.test. The database keeps what was "
        "applied. An applied migration never changes: restore the file, and write the next one."
    )


def test_a_file_before_one_that_is_applied_comes_too_late(tmp_path: Path) -> None:
    url = database()
    at = folder(tmp_path, _011_a="select 1", _012_b="select 1")
    asyncio.run(put(url, folder_file(at, "012", after=None)))
    halt = halted(put(url, folder_file(at, "011", after=None)))
    assert (type(halt), halt.what) == (Refused, "011_a comes too late: 012_b is applied already.")


def test_a_file_whose_predecessor_is_missing_is_refused(tmp_path: Path) -> None:
    url = database()
    halt = halted(put(url, folder_file(folder(tmp_path, _011_a="select 1", _012_b="select 1"), "012", after="011")))
    assert (halt.what, halt.next) == (
        "012_b cannot be applied before 011, which this database has not seen.",
        'Apply 011 first (migrations.target: "011"), or raise migrations.baseline to 011 if its effects are there.',
    )
    assert ask(url, "select to_regnamespace('bluegreen')") == [(None,)]


def folder_file(at: Path, version: str, *, after: str | None) -> File:
    (file,) = (file for file in read(at, "012") if file.version == version)
    return File(**{**vars(file), "after": after})


def test_a_version_that_another_tool_has_applied_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    url = database()
    ask(
        url,
        "create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text, name "
        "text, statements text[]); insert into supabase_migrations.schema_migrations values ('011', 'other', null)",
    )
    halt = halted(put(url, one(tmp_path)))
    assert str(halt) == (
        "011_teams is not ours to apply: Supabase's ledger has 011, ours does not. Nothing was changed. Another tool "
        "has applied a migration of that number. If it is this file, raise migrations.baseline to 011; if it is "
        "another one, give this file a number that is free."
    )
    assert not there(url)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (
            "select 1;\nselect *\n  from nowhere;",
            'fails at line 4, column 8: relation "nowhere" does not exist (42P01).',
        ),
        ("select 'é';\n\nselect 1 / 0;", "fails in the statement at line 4: division by zero (22012)."),
        (
            "create function public.f() returns int language plpgsql as $$ begin return 1 / 0; end $$;\n"
            "select public.f();",
            'fails in the statement at line 3, in PL/pgSQL expression "1 / 0": division by zero (22012).',
        ),
        (
            "create table public.a (id int primary key);\n"
            "create table public.b (a int references public.a deferrable initially deferred);\n"
            "insert into public.b values (1);",
            'fails at its commit: insert or update on table "b" violates foreign key constraint "b_a_fkey" (23503). '
            'Key (a)=(1) is not present in table "a".',
        ),
        (
            "-- bluegreen:verify select true\n-- bluegreen:verify select count(*) = 1 from public.teams -- one\n"
            + TEAMS,
            "does not verify at line 3 (select count(*) = 1 from public.teams -- one): it is not true.",
        ),
        (
            "-- bluegreen:verify select null::boolean\n" + TEAMS,
            "does not verify at line 2 (select null::boolean): it is not true.",
        ),
        (
            "create function public.wipes() returns boolean language plpgsql as "
            "'begin delete from public.users; return true; end';\n-- bluegreen:verify select public.wipes()\n" + TEAMS,
            "does not verify at line 3 (select public.wipes()): "
            "cannot execute DELETE in a read-only transaction (25006).",
        ),
        (
            "-- bluegreen:verify select a = 1 from public.teams\n" + TEAMS,
            'does not verify at line 2 (select a = 1 from public.teams): column "a" does not exist (42703).',
        ),
    ],
)
def test_what_fails_is_told_with_its_place_and_rolled_back(tmp_path: Path, sql: str, told: str) -> None:
    url = database()
    halt = halted(put(url, one(tmp_path, f"create table public.before ();\n{sql}")))
    assert (type(halt), halt.what) == (Failed, f"011_teams {told}")
    assert halt.world == "All of it was rolled back: the database is as it was."
    assert ask(url, "select to_regclass('public.before'), to_regclass('public.teams')") == [(None, None)]
    assert book(url).entries == {}


@pytest.mark.parametrize("end", ["-- the end", "", ";", "/* the end */", "\nset local role anon", "\n;;set role anon"])
def test_a_file_may_end_as_it_likes(tmp_path: Path, end: str) -> None:
    url = database()
    asyncio.run(put(url, one(tmp_path, f"create table public.teams (id int){';' if 'role' in end else ''}{end}")))
    assert (there(url), list(book(url).entries)) == (True, ["011"])


def test_questions_that_are_true_let_it_commit(tmp_path: Path) -> None:
    url = database()
    sql = f"-- bluegreen:verify select count(*) = 0 from public.teams;\n-- bluegreen:verify (select true)\n{TEAMS}"
    assert len(one(tmp_path, sql).verify) == 2
    assert asyncio.run(put(url, one(tmp_path, sql))).fresh


def test_a_lock_in_the_way_is_tried_again_until_it_is_free_and_its_holder_is_named(tmp_path: Path) -> None:
    url, file = database(), one(tmp_path, "alter table public.projects add column teams int;")

    async def inside() -> tuple[int, list[str], int]:
        named = asyncio.Event()
        ctx = Context(on_milestone=lambda text: named.set())
        holder = await psycopg.AsyncConnection.connect(url, application_name="nightly report")
        try:
            await holder.execute("select count(*) as a_long_one from public.projects")
            work = asyncio.ensure_future(put(url, file, ctx))
            await named.wait()
            await holder.rollback()
            return (await work).entry.attempts, ctx.milestones, holder.info.backend_pid
        finally:
            await holder.close()

    attempts, (said,), pid = asyncio.run(inside())
    assert attempts >= 3
    assert said.startswith(
        f"011_teams: is tried again until a lock is free, held by process {pid} (nightly report, postgres) "
        "in a transaction for "
    )
    assert said.endswith(" s: select count(*) as a_long_one from public.projects")


def test_a_lock_that_is_never_free_ends_the_budget_and_nothing_is_changed(tmp_path: Path) -> None:
    url = database()
    file = one(tmp_path, f"{TEAMS}alter table public.projects add column teams int;")
    with psycopg.connect(url, application_name="nightly report") as holder:
        holder.execute("lock table public.projects in share mode")
        halt = halted(put(url, file, budget=1.0))
        pid = holder.info.backend_pid
    assert isinstance(halt, Locked)
    assert halt.what.startswith("011_teams did not get its locks within 1 s (")
    assert f" attempts), held up by process {pid} (nightly report, postgres) in a transaction for " in halt.what
    assert halt.world == "Nothing was changed. It waited for each lock 50 ms at most."
    assert halt.next == f"Let that finish or end it (select pg_terminate_backend({pid})), then run this again."
    assert (there(url), book(url).entries) == (False, {})


def test_two_who_apply_at_once_apply_once(tmp_path: Path) -> None:
    url, file = database(), one(tmp_path, f"{TEAMS}select pg_sleep(0.2);")

    async def both() -> list[bool]:
        found = await asyncio.gather(*(put(url, file) for _ in range(3)))
        return sorted(applied.fresh for applied in found)

    assert asyncio.run(both()) == [False, False, True]
    assert ask(url, "select count(*) from bluegreen.migrations") == [(1,)]


def test_who_waits_for_a_turn_is_told_for_whom_and_gives_up_in_the_end(tmp_path: Path) -> None:
    url, ctx = database(), Context()
    with psycopg.connect(url, application_name="bluegreen-migrate/010", autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(%s)", [LOCK])
        halt = halted(put(url, one(tmp_path), ctx, budget=0.3))
        who = f"process {holder.info.backend_pid} (bluegreen-migrate/010, postgres)"
    assert isinstance(halt, Locked)
    assert halt.what == f"011_teams did not get its turn within 0.3 s: {who} is migrating this database."
    assert ctx.milestones == [f"011_teams: waits for {who}, who is migrating this database"]
    assert not there(url)


def test_a_lock_of_the_same_number_in_another_database_is_not_in_the_way(tmp_path: Path) -> None:
    with psycopg.connect(database(), autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(%s)", [LOCK])
        assert asyncio.run(put(database(), one(tmp_path))).fresh


def test_a_database_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    halt = halted(put("postgresql://me@127.0.0.1:1/shop", one(tmp_path)))
    assert isinstance(halt, Unreachable)


def test_a_user_who_may_not_keep_the_ledger_is_told_so(tmp_path: Path) -> None:
    halt = halted(put(as_app(database()), one(tmp_path)))
    assert isinstance(halt, Halt)
    assert halt.what.startswith("The ledger of migrations cannot be kept: permission denied for database test_")


def test_files_are_applied_one_after_another(tmp_path: Path) -> None:
    url = database()
    at = folder(tmp_path, _011_teams=TEAMS, _012_more="alter table public.teams add column name text;")
    assert [applied.fresh for applied in put_all(url, at, "012")] == [True, True]
    assert [entry.label for entry in book(url).entries.values()] == ["011_teams", "012_more"]


def test_a_ledger_that_row_security_hides_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    url, reader = database(), "somebody_who_reads"
    asyncio.run(put(url, one(tmp_path)))
    ask(as_superuser(url), f"create role {reader} login password '{PASSWORD}'")
    for schema in ("bluegreen", "supabase_migrations"):
        ask(as_superuser(url), f"grant usage on schema {schema} to {reader}")
        ask(as_superuser(url), f"grant select on all tables in schema {schema} to {reader}")
    halt = halted(ledger.look(Database(server().url(reader, name_of(url)))))
    assert (type(halt), halt.what) == (
        Refused,
        "Row level security hides the ledger of migrations from this user, so it would seem to be empty.",
    )


OLDER = """
drop table bluegreen.catalog; alter table bluegreen.migrations drop column reverse;
alter table bluegreen.segments drop column target, drop column reverse
"""


def test_an_older_ledger_gets_what_it_lacks_and_no_reader_of_it_queues(tmp_path: Path) -> None:
    url = database()
    at = folder(tmp_path, _011_teams=TEAMS, _012_more="select 1;", _013_most="select 1;")
    put_all(url, at)
    ask(url, OLDER)
    late = read(at, "012")[1]
    with psycopg.connect(url, application_name="nightly dump") as holder:
        holder.execute("select from bluegreen.migrations, bluegreen.segments")
        halt = halted(put(url, late, budget=0.5))
        holder.rollback()
        assert (type(halt), halt.what.partition(" within")[0]) == (
            Locked,
            "012_more did not get the tables of the ledger",
        )
        assert halt.world == "Nothing was changed. It waited for each 50ms."
        asyncio.run(put(url, late))
        holder.execute("select reverse from bluegreen.migrations")
        # What is there is not asked for once more, whoever holds it.
        assert asyncio.run(put(url, read(at, "013")[2], budget=0.5)).fresh


def test_a_version_that_only_an_older_ledger_of_supabase_knows_is_seen_before_anything_is_done(tmp_path: Path) -> None:
    url = database()
    ask(
        url,
        "create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text primary "
        "key); insert into supabase_migrations.schema_migrations values ('011')",
    )
    halt = halted(put(url, one(tmp_path, f"{TEAMS}vacuum public.teams;")))
    assert halt.what == "011_teams is not ours to apply: Supabase's ledger has 011, ours does not."
    assert not there(url)
