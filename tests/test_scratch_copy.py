"""A copy has the shape of its source, object for object, and names what it cannot have."""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bluegreen.handler import Refused
from bluegreen.postgres.catalog import Snapshot, compare, snapshot
from bluegreen.postgres.scratch.copy import Copied, copy
from bluegreen.postgres.scratch.people import listed
from bluegreen.postgres.scratch.programs import client
from bluegreen.postgres.scratch.server import Scratch, server
from bluegreen.postgres.session import Database, SqlError
from tests.database import as_superuser, database
from tests.scratch_room import ALWAYS, BASELINE, MAJORS, ask, do

SECRET = "planted-s3cret"


async def shape(of: Database) -> Snapshot:
    async with of.session("shape") as session:
        return await snapshot(session)


async def copied(scratch: Scratch, source: Database | Path) -> Copied:
    return await copy(scratch, source)


@pytest.mark.parametrize("major", ALWAYS)
def test_a_copy_of_a_supabase_database_is_the_same_object_for_object(major: int) -> None:
    async def run() -> None:
        url = database(16 if major == 16 else 18)
        await do(
            Database(as_superuser(url, 16 if major == 16 else 18)),
            "create schema bluegreen",
            "create table bluegreen.migrations (a int)",
            "insert into auth.users (id, email) values (gen_random_uuid(), 'a@example.com')",
            "create publication live for table public.projects",
            "drop schema bluegreen cascade",
        )
        async with server(major) as scratch:
            found = await copied(scratch, Database(url))
            assert found.not_modelled == ()
            assert compare(await shape(Database(url)), await shape(found.database)).told() == "Nothing differs."
            assert await ask(found.database, "select count(*) from public.users") == [(0,)]
            assert found.told == f"{scratch.told}, as on {Database(url).where}"
            clone = await scratch.clone("clone", found.name)
            assert not compare(await shape(found.database), await shape(clone))

    asyncio.run(run())


def test_roles_come_with_attributes_memberships_and_settings_and_no_password() -> None:
    asked = (
        "select rolname::text, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolbypassrls from pg_roles "
        "where rolname !~ '^pg_' and rolname not in ('supabase_admin', 'bluegreen_scratch') order by 1"
    )
    members = (
        "select r.rolname::text, m.rolname::text, a.admin_option, a.inherit_option, a.set_option "
        "from pg_auth_members a join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member "
        "where m.rolname <> 'supabase_admin' order by 1, 2"
    )
    limits = "select rolname::text, rolconfig from pg_roles where rolconfig is not null order by 1"

    async def run() -> None:
        source = Database(database(16))
        async with server(16) as scratch:
            found = (await copied(scratch, source)).database
            for question in (asked, members, limits):
                assert await ask(found, question) == await ask(source, question)
            assert await ask(found, "select has_database_privilege(current_database(), 'create')") == [(True,)]
            with_password = "select rolname::text from pg_authid where rolpassword is not null order by 1"
            assert await ask(scratch.superuser("copy"), with_password) == [("bluegreen_scratch",), ("postgres",)]

    asyncio.run(run())


def test_what_the_owner_may_not_do_fails_on_the_copy_too() -> None:
    async def run() -> None:
        async with server(18) as scratch:
            found = (await copied(scratch, Database(database(18)))).database
            with pytest.raises(SqlError, match=r"permission denied|must be superuser|not permitted"):
                await do(found, "create role somebody superuser")
            with pytest.raises(SqlError, match="must be owner"):
                await do(found, "alter table auth.users add column x int")

    asyncio.run(run())


def test_an_owner_who_is_a_superuser_there_is_one_on_the_copy() -> None:
    async def run() -> None:
        async with server(16) as there, server(16) as scratch:
            await there.run("create role boss superuser")
            await there.login("boss")
            found = await copied(scratch, await there.database("shop"))
            asked = "select current_user::text, rolsuper from pg_roles where rolname = current_user"
            assert await ask(found.database, asked) == [("boss", True)]

    asyncio.run(run())


def test_the_ledger_is_no_part_of_a_copy_and_two_copies_are_the_same() -> None:
    async def run() -> None:
        url = database(16)
        await do(Database(as_superuser(url, 16)), "create schema bluegreen", "create table bluegreen.kept (a int)")
        await do(Database(url), "analyze public.projects")
        async with server(16) as scratch:
            first = await copy(scratch, Database(url), "first")
            second = await copy(scratch, Database(url), "second")
            assert await ask(first.database, "select to_regnamespace('bluegreen') is null") == [(True,)]
            assert first.not_modelled == ()
            assert not compare(await shape(first.database), await shape(second.database))
            assert first.sizes == {"public.projects": (0, 0)}

    asyncio.run(run())


def test_a_table_that_may_not_be_read_has_its_columns_and_keys_on_the_copy() -> None:
    async def run() -> None:
        async with server(16) as there, server(16) as scratch:
            source = await there.database("shop")
            await do(
                there.superuser("shop"),
                "create schema hidden",
                "create type public.mood as enum ('good', 'bad')",
                "grant usage on type public.mood to postgres",
                "create table hidden.ledger (id uuid default gen_random_uuid() primary key, mood mood not null)",
                "alter table hidden.ledger enable row level security",
                "create table public.lines (id int, entry uuid references hidden.ledger (id))",
                "grant all on public.lines to postgres",
            )
            found = await copied(scratch, source)
            assert found.not_modelled == ("table hidden.ledger but for its columns and keys",)
            assert not compare(await shape(source), await shape(found.database))

    asyncio.run(run())


def test_event_triggers_and_settings_that_may_hold_a_secret_stay_behind_by_name() -> None:
    async def run() -> None:
        url = database(16)
        name = url.rpartition("/")[2]
        await do(
            Database(as_superuser(url, 16)),
            "create function public.watched() returns event_trigger language plpgsql as 'begin end'",
            "create event trigger watch on ddl_command_end execute function public.watched()",
            f"alter database {name} set app.jwt = '{SECRET}'",
            f"alter role anon in database {name} set work_mem = '9MB'",
        )
        async with server(16) as scratch:
            found = await copied(scratch, Database(url))
            assert found.not_modelled == ("event trigger watch", "setting app.jwt of the database")
            kept = (
                "select array_to_string(setconfig, ',') from pg_db_role_setting s join pg_roles r on r.oid = setrole "
            )
            kept += "where rolname = 'anon' and setdatabase <> 0"
            assert await ask(found.database, kept) == [("work_mem=9MB",)]

    asyncio.run(run())


@pytest.fixture
def made_up() -> Iterator[Path]:
    """A folder with an extension that no scratch server has."""
    at = Path(tempfile.mkdtemp(prefix="bluegreen-tests-", dir="/tmp"))
    (at / "extension").mkdir()
    (at / "extension" / "made_up.control").write_text("default_version = '1.0'\n", encoding="utf-8")
    (at / "extension" / "made_up--1.0.sql").write_text(
        "create type fuzzy;\n"
        "create function fuzzy_in(cstring) returns fuzzy language internal immutable strict as 'textin';\n"
        "create function fuzzy_out(fuzzy) returns cstring language internal immutable strict as 'textout';\n"
        "create type fuzzy (input = fuzzy_in, output = fuzzy_out, like = text);\n"
        "create function uuid_generate_v4() returns uuid language sql volatile as 'select gen_random_uuid()';\n"
        "create operator class odd_ops for type text using hash as operator 1 =, function 1 hashtext(text);\n"
        "create function scrambled(word text, times int default 3) returns text language sql as 'select word';\n",
        encoding="utf-8",
    )
    subprocess.run(["chmod", "-R", "a+rX", str(at)], check=True)
    yield at
    shutil.rmtree(at)


def test_a_missing_extension_is_named_and_what_is_made_of_it_stands_all_the_same(made_up: Path) -> None:
    async def run() -> None:
        url = database(18)
        await do(
            Database(as_superuser(url)),
            f"set extension_control_path = '{made_up}:$system'",
            "create extension made_up with schema extensions",
            "create table public.things (id uuid default extensions.uuid_generate_v4(), name extensions.fuzzy, "
            "word text default extensions.scrambled('x'))",
            "comment on extension made_up is 'made up'",
            "create index things_word on public.things using hash (word extensions.odd_ops)",
            "comment on index public.things_word is 'goes with it'",
        )
        async with server(18) as scratch:
            found = await copied(scratch, Database(url))
            assert found.not_modelled == ("extension made_up", "index public.things_word")
            top = scratch.superuser("copy")
            await do(top, "insert into public.things (word) values ('a')")
            assert await ask(top, "select id is not null from public.things") == [(True,)]
            with pytest.raises(SqlError, match=r"scrambled\(\) is of the extension made_up, which the copy does not"):
                await do(top, "insert into public.things (name) values ('b')")

    asyncio.run(run())


@pytest.mark.parametrize("major", MAJORS)
def test_a_postgres_that_is_not_supabase_is_copied_without_anything_of_supabase(major: int) -> None:
    async def run() -> None:
        async with server(major) as there, server(major) as scratch:
            there_too = await there.database("shop")
            await there.run('create role "Shop Owner" login createdb in role pg_monitor')
            await there.run('create role clerk in role "Shop Owner"')
            await there.login("Shop Owner")
            source = there.at("shop")
            await do(
                there.superuser("shop"),
                'alter schema public owner to "Shop Owner"',
                "create schema auth",
                "create table auth.people (id int primary key)",
                'grant usage on schema auth to "Shop Owner"; grant select, references on auth.people to "Shop Owner"',
            )
            await do(
                source,
                "create table \"Order\" (id int primary key, who int references auth.people, state text default 'new')",
                'create policy mine on "Order" to clerk using (true)',
                'grant select on "Order" to clerk',
                'create materialized view totals as select count(*) from "Order"',
            )
            found = await copied(scratch, source)
            assert found.not_modelled == ()
            assert scratch.owner == "Shop Owner"
            changed = compare(await shape(source), await shape(found.database)).changed
            assert changed in ((), ("role postgres",))  # which is nobody's there but made for every scratch server
            assert await ask(found.database, "select to_regrole('anon') is null, current_user::text") == [
                (True, "Shop Owner")
            ]
            assert there_too.where.endswith("/shop")

    asyncio.run(run())


LOOKS_LIKE = """
--
-- Name: innocent; Type: TABLE; Schema: public; Owner: postgres
--

create table public.planted (a int);

--
-- Name: b; Type: EVENT TRIGGER; Schema: -; Owner: x
--
"""


def test_text_in_a_body_or_a_comment_stays_text_whatever_it_looks_like() -> None:
    async def run() -> None:
        url = database(18)
        await do(
            Database(url),
            f"create function f() returns int language plpgsql as $f$ begin /*{LOOKS_LIKE};\n*/ return 1; end $f$",
            f"comment on table public.projects is 'first{LOOKS_LIKE}second'",
            f"create function public.g() returns int language sql as $$ select 1; /*; {LOOKS_LIKE} */ select 2 $$",
        )
        async with server(18) as scratch:
            found = await copied(scratch, Database(url))
            assert found.not_modelled == ()
            assert compare(await shape(Database(url)), await shape(found.database)).told() == "Nothing differs."
            assert await ask(found.database, "select to_regclass('public.planted') is null") == [(True,)]

    asyncio.run(run())


def test_what_starts_a_program_or_reads_a_file_is_no_part_of_a_copy() -> None:
    async def run() -> None:
        async with server(18) as there, server(18) as scratch:
            await there.run("create role clerk in role pg_execute_server_program")
            source = await there.database("shop")
            await do(
                there.superuser("shop"),
                "create function runs() returns void language plpgsql as "
                "$$ begin copy (select 1) to  PROGRAM 'id'; end $$",
                "create function reads() returns text language sql as $$ select pg_read_file('PG_VERSION') $$",
                "create function c(int) returns int language internal immutable strict as 'int4abs'",
                "create function fine() returns int language sql as 'select 1'",
                "alter function fine() owner to postgres",
                "comment on function c(int) is 'goes with it'",
            )
            found = await copied(scratch, source)
            assert sorted(found.not_modelled) == [
                "function public.c(integer)",
                "function public.reads()",
                "function public.runs()",
                "membership of clerk in pg_execute_server_program",
            ]
            assert await ask(found.database, "select public.fine()") == [(1,)]

    asyncio.run(run())


def test_code_of_the_schema_never_runs_as_superuser_while_it_is_laid() -> None:
    """An index, a check and a view call a function that refuses to be called by the superuser of a scratch."""
    who = (
        "create function public.{name}(a int) returns int language plpgsql immutable set search_path to '' as $$ begin "
        "if session_user = 'bluegreen_scratch' then raise exception 'as superuser'; end if; return 1; end $$"
    )

    async def run() -> None:
        async with server(18) as there, server(18) as scratch:
            await there.run("create role boss superuser")
            await there.login("boss")
            source = await there.database("shop")
            await do(
                source,
                who.format(name="told"),
                "create table public.mine (a int, check (public.told(1) = a))",
                "create index i on public.mine ((a + public.told(2)))",
                "create materialized view public.seen as select public.told(3) as a",
                "alter table public.mine owner to postgres; alter function public.told(int) owner to postgres",
                "alter materialized view public.seen owner to postgres",
                "create table public.top (a int, check (public.told(1) = a))",
                "create index j on public.top ((a + public.told(2)))",
                "alter table public.top owner to boss; grant select on public.top to postgres",
            )
            found = await copied(scratch, source)
            assert found.not_modelled == ()
            changed = compare(await shape(source), await shape(found.database))
            assert changed.told() == "Nothing differs."
            guests = "select count(*) from pg_roles where rolname like 'bluegreen_layer%'"
            assert await ask(found.database, guests) == [(0,)]

    asyncio.run(run())


@pytest.mark.parametrize("major", MAJORS)
def test_what_belongs_to_superusers_and_makers_of_roles_is_handed_to_them(major: int) -> None:
    async def run() -> None:
        async with server(major) as there, server(major) as scratch:
            await there.run("create role boss superuser; create role maker createrole")
            source = await there.database("shop")
            await do(
                there.superuser("shop"),
                "create schema hers authorization boss; create schema his authorization maker",
                "create table hers.a (id int generated by default as identity primary key, n serial, c text unique)",
                "create table his.b (id int primary key, a int references hers.a on delete cascade)",
                "create view hers.v as select * from his.b; create type hers.mood as enum ('good')",
                "create domain his.few as int check (value < 9); create sequence hers.s owned by hers.a.id",
                "alter table hers.a owner to boss; alter table his.b owner to maker; alter view hers.v owner to boss",
                "alter type hers.mood owner to boss; alter domain his.few owner to maker",
                "grant select on hers.a to postgres with grant option; revoke all on hers.v from boss",
                "grant select on his.b to postgres",
                "grant usage on schema hers, his to postgres; revoke usage on type hers.mood from public",
                "set role postgres; grant select on hers.a to maker; reset role",
                "alter default privileges for role boss in schema hers grant select on tables to postgres",
                "comment on table hers.a is 'kept'; alter table his.b enable row level security",
                "create policy p on his.b to postgres using (true)",
            )
            found = await copied(scratch, source)
            assert found.not_modelled == ()
            assert compare(await shape(source), await shape(found.database)).told() == "Nothing differs."

    asyncio.run(run())


def test_a_search_path_is_a_list_of_names_and_no_sql() -> None:
    async def run() -> None:
        url = database(18)
        await do(
            Database(as_superuser(url)),
            "create function public.p() returns void language sql as 'select'",
            "set search_path = 'x;create/**/schema/**/planted'",
            "select set_config('search_path', 'x;create/**/schema/**/planted', false)",
            "alter role anon set search_path from current",
        )
        async with server(18) as scratch:
            found = await copied(scratch, Database(url))
            assert found.not_modelled == ()
            for name in ("postgres", "copy"):
                planted = "select to_regnamespace('planted') is null"
                assert await ask(scratch.superuser(name), planted) == [(True,)]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ('"$user", public, extensions', ["$user", "public", "extensions"]),
        ('""', [""]),
        ("", []),
        ('"a""b", C', ['a"b', "c"]),
        ("a;drop", ["a;drop"]),
        ("a b", None),
        ("a,", None),
        ('"a', None),
    ],
)
def test_a_list_is_read_as_postgres_keeps_it(value: str, names: list[str] | None) -> None:
    assert listed(value) == names


def test_a_schema_that_cannot_be_dumped_is_refused_with_pg_dumps_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        url = database(16)
        monkeypatch.setattr("bluegreen.postgres.scratch.copy.LOCK_MS", 100)
        async with Database(url).session() as holder, server(16) as scratch:
            await holder.rows("begin")
            await holder.rows("lock table public.projects in access exclusive mode")
            with pytest.raises(Refused) as refused:
                await copied(scratch, Database(url))
            assert refused.value.what.startswith(f"The schema of {Database(url).where} cannot be dumped: ")
            assert "sandbox-postgres" not in str(refused.value)

    asyncio.run(run())


@pytest.mark.parametrize("major", MAJORS)
def test_a_baseline_file_is_a_source_too_and_supabases_part_comes_with_it(major: int) -> None:
    async def run() -> None:
        async with server(major) as scratch:
            found = await copied(scratch, BASELINE)
            assert found.not_modelled == ()
            assert not compare(await shape(found.database), await shape((await copy(scratch, BASELINE, "b")).database))
            assert found.told == f"{scratch.told}, as in 010.sql"
            owner = (
                "select relowner::regrole::text, relrowsecurity from pg_class where oid = 'public.projects'::regclass"
            )
            assert await ask(found.database, owner) == [("postgres", True)]
            assert await ask(found.database, "select has_table_privilege('anon', 'public.projects', 'select')") == [
                (True,)
            ]
            assert await ask(found.database, "select count(*) from auth.users") == [(0,)]

    asyncio.run(run())


def test_the_dump_of_a_database_is_a_baseline_file(tmp_path: Path) -> None:
    async def run() -> None:
        source = Database(database(16))
        async with server(16) as scratch:
            copied = (await copy(scratch, source, "first")).database
            dumped = await client(16).run("pg_dump", "--schema-only", on=copied)
            (tmp_path / "baseline.sql").write_bytes(dumped.out)
        async with server(16) as another:
            second = await copy(another, tmp_path / "baseline.sql", "second")
            difference = compare(await shape(source), await shape(second.database))
            # A dump says nothing of roles; those of other tests may be on the server.
            assert [name for name in difference.gone if not name.startswith(("role ", "membership "))] == []
            assert (difference.added, difference.changed) == ((), ())

    asyncio.run(run())


def test_a_plain_baseline_brings_no_supabase_and_its_missing_extension_is_named(tmp_path: Path) -> None:
    path = tmp_path / "baseline.sql"
    path.write_text(
        'create extension if not exists "uuid-ossp";\ncreate extension if not exists nobody_has_this;\n'
        "create table orders (id uuid default uuid_generate_v4() primary key);\n"
        "grant select on orders to clerk;\n",
        encoding="utf-8",
    )

    async def run() -> None:
        async with server(18) as scratch:
            found = await copied(scratch, path)
            assert found.not_modelled == ("extension nobody_has_this", "extension uuid-ossp")
            await do(found.database, "insert into orders default values")
            assert await ask(found.database, "select to_regrole('anon') is null") == [(True,)]
            assert await ask(found.database, "select has_table_privilege('clerk', 'orders', 'select')") == [(True,)]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("create table a (b int);\ncreate table a (c int);", "fails at line 2, column 1: relation"),
        ("create tabel a (b int);", "cannot be read: line 1, column 8: syntax error"),
        (None, "cannot be read: "),
    ],
)
def test_a_baseline_that_does_not_fit_is_refused_with_its_place(tmp_path: Path, sql: str | None, said: str) -> None:
    path = tmp_path / "baseline.sql"
    if sql is not None:
        path.write_text(sql, encoding="utf-8")

    async def run() -> None:
        async with server(16) as scratch:
            with pytest.raises(Refused) as refused:
                await copied(scratch, path)
            assert said in refused.value.what
            assert refused.value.world == "Nothing was changed."

    asyncio.run(run())


def test_an_address_keeps_what_libpq_knows_of_it_and_a_wrong_one_is_told_without_its_password() -> None:
    async def run() -> None:
        async with server(16) as there, server(16) as scratch:
            await there.run(f"create role odd login password '{SECRET}/@ 1'")
            await there.run("create database shop owner odd")
            address = f"postgresql://odd:{SECRET}%2F%40%201@127.0.0.1:{there.port}/shop?sslmode=prefer&keepalives=1"
            found = await copied(scratch, Database(address))
            assert (scratch.owner, found.not_modelled) == ("odd", ())
            assert SECRET not in repr(found)
            with pytest.raises(Refused) as refused:
                await copied(scratch, Database(address.replace("%201", "x")))
            assert SECRET not in str(refused.value)

    asyncio.run(run())
