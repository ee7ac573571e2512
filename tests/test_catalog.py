"""A schema's fingerprint: what it notices, what it leaves out, and that it is the same for the same schema."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache

import pytest

from benchmarks.catalog.changes import CHANGES, ROLES, START, Change
from bluegreen.postgres.catalog import Difference, Snapshot, compare, read, snapshot
from bluegreen.postgres.catalog.kinds import KINDS
from bluegreen.postgres.scratch.programs import installed
from bluegreen.postgres.scratch.server import server
from bluegreen.postgres.session import Database, Session, SqlError
from sandbox.postgres_binaries import Major
from tests.database import as_app, as_superuser, database
from tests.postgres_room import ask

SCHEMA = "set local search_path = ''"


@cache
def started(major: Major = 18) -> str:
    """A database with the small schema; whoever changes it rolls back."""
    url = database(major)
    ask(as_superuser(url, major), ROLES)
    ask(url, START)
    return url


def taken(url: str) -> Snapshot:
    async def take() -> Snapshot:
        async with Database(url).session() as session:
            return await snapshot(session)

    return asyncio.run(take())


def difference_of(change: str, *, above: bool = False, before: str = "") -> Difference:
    """What a change makes of the small schema; it is rolled back."""
    url = as_superuser(started()) if above else started()

    async def tried() -> Difference:
        async with Database(url).session() as session:
            await session.run(f"begin; {before}")
            was = await _read(session)
            await session.run(change)
            now = await _read(session)
            await session.run("rollback")
            return compare(was, now)

    return asyncio.run(tried())


async def _read(session: Session) -> Snapshot:
    await session.run(SCHEMA)
    found = await read(session)
    await session.run("set local search_path = public")
    return found


IN_A_TRANSACTION = [change for change in CHANGES if not change.alone]


@pytest.mark.parametrize("change", IN_A_TRANSACTION, ids=[change.name for change in IN_A_TRANSACTION])
def test_each_of_the_changes_is_noticed_and_names_its_object(change: Change) -> None:
    difference = difference_of(change.sql, above=change.above)
    assert change.object in (*difference.added, *difference.changed, *difference.gone)


def test_there_are_34_changes_and_an_index_that_is_not_valid() -> None:
    assert len(CHANGES) == 35
    assert len({change.name for change in CHANGES}) == 35
    assert [change.object for change in CHANGES if change.alone] == ["index public.authors_email_key"]


def test_an_index_that_was_left_invalid_is_noticed_and_told_apart_from_a_valid_one() -> None:
    url = database()
    ask(as_superuser(url), ROLES)
    ask(url, START)
    before = taken(url)
    (change,) = (change for change in CHANGES if change.alone)

    async def broken() -> str:
        async with Database(url).session() as session:
            try:
                await session.rows(change.sql)
            except SqlError as error:
                return error.code
            return ""

    assert asyncio.run(broken()) == "23505"
    after = taken(url)
    assert compare(before, after).added == (change.object,)
    assert after.like(change.object)["invalid"] is True


# What else there is in a catalog: one change of every kind of object, as a superuser where only that one may.
MORE = {
    "aggregate": "create aggregate public.most(int) (sfunc = int4larger, stype = int)",
    "cast": "create function public.m(public.mood) returns int language sql as 'select 1'; "
    "create cast (public.mood as int) with function public.m(public.mood)",
    "collation": 'create collation public.plain from "C"',
    "column": "alter table public.books add pages int",
    "comment": "comment on column public.books.title is 'as printed'",
    "composite type": "create type public.pair as (a int, b text)",
    "constraint": "alter table public.books add constraint short check (length(title) < 100)",
    "database": "do $$ begin execute format('revoke connect on database %I from public', current_database()); end $$",
    "domain": "create domain public.small as int",
    "enum": "alter type public.mood add value 'calm'",
    "event trigger": "create function public.watch() returns event_trigger language plpgsql as 'begin end'; "
    "create event trigger watched on ddl_command_end execute function public.watch()",
    "foreign data wrapper": "create foreign data wrapper wrapped",
    "foreign table": "create foreign data wrapper wrapped; create server far foreign data wrapper wrapped; "
    "create foreign table public.there (id int) server far",
    "function": "create function public.one() returns int language sql as 'select 1'",
    "index": "create index on public.books (price)",
    "language": "revoke usage on language plpgsql from public",
    "materialized view": "create materialized view public.kept as select 1 as one",
    "membership": "grant catalog_reader to catalog_writer",
    "operator": "create operator public.=== (leftarg = int, rightarg = int, function = int4eq)",
    "operator class": "create operator class public.ints for type int using btree as "
    "operator 1 <, function 1 btint4cmp(int, int)",
    "procedure": "create procedure public.act() language sql as 'select 1'",
    "publication": "alter publication feed set (publish = 'insert')",
    "published schema": "create publication whole for tables in schema public",
    "range type": "create type public.span as range (subtype = int)",
    "role": "alter role catalog_reader bypassrls",
    "rule": "create rule r as on delete to public.books do also select 1",
    "schema": "create schema another",
    "sequence": "alter sequence public.numbers increment by 2",
    "server": "create foreign data wrapper wrapped; create server far foreign data wrapper wrapped",
    "settings": "alter role all set statement_timeout = '1s'",
    "statistics": "create statistics public.related on price, shown from public.books",
    "subscription": "create subscription sub connection 'dbname=none' publication p with (connect = false)",
    "table": "alter table public.books replica identity full",
    "text search configuration": "create text search configuration public.words (copy = pg_catalog.simple)",
    "text search dictionary": "create text search dictionary public.plain (template = pg_catalog.simple)",
    "trigger": "create trigger again after delete on public.books for each row execute function public.stamp()",
    "user mapping": "create foreign data wrapper wrapped; create server far foreign data wrapper wrapped; "
    "create user mapping for catalog_reader server far options (password 'x')",
    "view": "create view public.another as select 1 as one",
}
COVERED_ABOVE = {"policy", "default privileges", "published table"}
CANNOT_BE_MADE_HERE = {"base type", "extension"}  # a shell type and plpgsql stand for them below


def test_every_kind_has_a_change_here() -> None:
    assert MORE.keys() | COVERED_ABOVE | CANNOT_BE_MADE_HERE == set(KINDS)


@pytest.mark.parametrize("kind", MORE)
def test_a_change_of_every_kind_is_noticed(kind: str) -> None:
    difference = difference_of(MORE[kind], above=True)
    named = (*difference.added, *difference.changed, *difference.gone)
    assert [name for name in named if name.startswith(f"{kind} ")] != []


@pytest.mark.parametrize(
    ("change", "object", "attribute"),
    [
        ("alter table public.books cluster on books_author_id_idx", "index public.books_author_id_idx", "clustered"),
        ("alter table public.books alter title set storage external", "column public.books.title", "storage"),
        ("alter table public.books alter title set compression pglz", "column public.books.title", "compression"),
        ("alter table public.books alter id set generated by default", "column public.books.id", "identity"),
        ("alter table public.books alter id set increment by 7", "column public.books.id", "sequence"),
        ("alter table public.books alter price set default 5", "column public.books.price", "default"),
        ("alter table public.books alter price type bigint", "column public.books.price", "type"),
        ('alter table public.authors alter email type text collate "C"', "column public.authors.email", "collation"),
        ("alter table public.books set (fillfactor = 50)", "table public.books", "options"),
        ("alter sequence public.numbers set unlogged", "sequence public.numbers", "persistence"),
        ("alter sequence public.numbers owned by public.books.price", "sequence public.numbers", "ownedBy"),
        ("alter type public.mood rename value 'sad' to 'low'", "enum public.mood", "values"),
        ("alter index public.books_author_id_idx set (fillfactor = 50)",
         "index public.books_author_id_idx", "definition"),
        ("alter table public.books alter constraint books_author_id_fkey deferrable",
         "constraint public.books.books_author_id_fkey", "definition"),
    ],
)  # fmt: skip
def test_a_change_of_one_attribute_is_told_by_its_name(change: str, object: str, attribute: str) -> None:
    difference = difference_of(change)
    assert (object in difference.changed, attribute in difference.attributes[object]) == (True, True)


def test_a_grant_that_is_taken_back_leaves_no_trace() -> None:
    there_and_back = (
        "grant select on public.authors to catalog_reader; revoke select on public.authors from catalog_reader; "
        "grant update (secret) on public.authors to catalog_reader; "
        "revoke update (secret) on public.authors from catalog_reader; "
        "grant usage on type public.mood to catalog_reader; revoke usage on type public.mood from catalog_reader"
    )
    assert difference_of(there_and_back) == Difference()


def test_a_column_that_is_dropped_and_made_again_is_the_same() -> None:
    change = "alter table public.authors drop secret; alter table public.authors add secret text"
    assert difference_of(change) == Difference()


def test_rows_and_the_position_of_a_sequence_are_not_the_schema() -> None:
    change = "insert into public.authors (email) values ('new'); select nextval('public.numbers')"
    assert difference_of(change) == Difference()


def test_the_platforms_own_objects_are_left_out_but_not_what_users_add_to_them() -> None:
    platform = (
        "create table auth.sessions (id int); create schema storage; create table storage.objects (id int); "
        "create function storage.own() returns trigger language plpgsql as 'begin return new; end'; "
        "create trigger platforms before insert on storage.objects for each row execute function storage.own(); "
        "create table bluegreen.x (id int);"
    )
    users = (
        "create trigger mine after insert on auth.users for each row execute function public.stamp(); "
        "create policy theirs on storage.objects using (true)"
    )
    assert difference_of(f"create schema bluegreen; {platform}", above=True) == Difference()
    assert difference_of(users, above=True, before=f"create schema bluegreen; {platform}").added == (
        "policy storage.objects.theirs",
        "trigger auth.users.mine",
    )


def test_a_schema_called_auth_is_the_users_own_where_the_platform_is_not() -> None:
    url = as_superuser(started())

    async def look(without: bool) -> bool:
        async with Database(url).session() as session:
            await session.run("begin")
            if without:
                await session.run("alter role service_role rename to nobody_at_all")
            found = await _read(session)
            await session.run("rollback")
            return "table auth.users" in found.objects

    assert [asyncio.run(look(without)) for without in (False, True)] == [False, True]


def test_secrets_in_the_options_of_a_server_are_told_as_a_digest() -> None:
    url = as_superuser(started())

    async def look() -> str:
        async with Database(url).session() as session:
            await session.run(
                "begin; create foreign data wrapper wrapped; create server far foreign data wrapper wrapped "
                "options (host 'db.example.com', api_key 'planted-secret'); "
                "create user mapping for catalog_reader server far options (password 'planted-secret')"
            )
            found = await _read(session)
            await session.run("rollback")
            return found.model_dump_json()

    shown = asyncio.run(look())
    assert ("db.example.com" in shown, "planted-secret" in shown) == (True, False)


def test_the_same_schema_on_16_and_18_has_the_same_fingerprint() -> None:
    assert taken(started(16)).fingerprint == taken(started(18)).fingerprint
    assert (taken(started(16)).major, taken(started(18)).major) == (16, 18)


def test_the_same_schema_on_every_major_that_is_installed_has_the_same_fingerprint() -> None:
    roles = "create role anon; create role authenticated; create role service_role; " + ROLES.partition("grant")[0]
    auth = "create schema auth; grant usage on schema auth to public; create function auth.uid() returns uuid "

    async def look(major: int) -> tuple[int, str]:
        async with server(major) as scratch:
            mine = await scratch.database("small")
            async with scratch.superuser("small").session() as session:
                await session.run(f"{roles}; {auth} language sql as 'select null::uuid'")
            async with mine.session() as session:
                await session.run(START)
                found = await snapshot(session)
                return found.major, found.fingerprint

    async def every() -> list[tuple[int, str]]:
        return [await look(major) for major in installed()]

    found = asyncio.run(every())
    assert [major for major, _ in found] == list(installed())
    assert len({fingerprint for _, fingerprint in found}) == 1


def test_whoever_may_not_read_a_table_sees_the_same_schema() -> None:
    assert taken(as_app(started())).fingerprint == taken(started()).fingerprint


def test_a_snapshot_can_be_written_down_and_read_back() -> None:
    found = taken(started())
    assert Snapshot.model_validate_json(found.model_dump_json()).fingerprint == found.fingerprint


def test_hashes_name_every_object_in_twelve_digits() -> None:
    found = taken(started())
    assert found.hashes().keys() == found.objects.keys()
    assert {len(digest) for digest in found.hashes().values()} == {12}


def test_a_snapshot_leaves_the_session_out_of_a_transaction() -> None:
    async def look(work: Callable[[Session], Awaitable[object]]) -> list[tuple[object, ...]]:
        async with Database(started()).session() as session:
            await work(session)
            return await session.rows("select pg_current_xact_id_if_assigned() is null, current_setting('search_path')")

    assert asyncio.run(look(snapshot)) == [(True, '"$user", public')]


def test_a_difference_is_told_in_one_sentence_that_names_the_objects() -> None:
    before = Snapshot(objects={"table a": '{"x": 1}', "table b": "{}"})
    after = Snapshot(objects={"table a": '{"x": 2}', "table c": "{}"})
    assert compare(before, after).told() == "added: table c; changed: table a (x); gone: table b."
    assert (bool(compare(before, before)), compare(before, before).told()) == (False, "Nothing differs.")


def test_a_long_difference_says_how_many_more_there_are() -> None:
    after = Snapshot(objects={f"table t{number}": "{}" for number in range(10)})
    assert compare(Snapshot(), after).told().endswith("table t7 and 2 more.")
