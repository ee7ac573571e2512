"""What the running release asks, before and after: what no longer runs is named, everything else is quiet."""

import asyncio
from pathlib import Path

import pytest

from bluegreen.handler import Refused
from bluegreen.postgres.session import Database
from bluegreen.postgres.verify.replay import Asked, Replayed, listed, replay, running
from sandbox.backend import projects
from tests.database import as_superuser, database, name_of
from tests.verify_room import MIGRATIONS, blank, done, shared, told

UPSERT = Asked(
    text="insert into public.users (id, email) values ($1, $2) on conflict (email) do nothing", role="service_role"
)


def after(change: str, *asked: Asked) -> Replayed:
    """The release's statements against the baseline and against a database where this was done."""
    url = database()
    done(url, change)
    return against(url, *asked)


def against(url: str, *asked: Asked) -> Replayed:
    async def both() -> Replayed:
        one, other = Database(as_superuser(blank())), Database(as_superuser(url))
        async with one.session() as before, other.session() as now:
            return await replay(before, now, asked or listed(MIGRATIONS))

    return asyncio.run(both())


def test_the_list_of_the_backend_is_what_the_backend_asks() -> None:
    written = [" ".join(one.text.split()) for one in listed(MIGRATIONS)]
    for route in projects.ROUTES:
        sql, names = " ".join(route.sql.split()), list[str]()
        while "%(" in sql:
            name = sql.partition("%(")[2].partition(")s")[0]
            names.append(name)
            sql = sql.replace(f"%({name})s", f"${len(names)}")
        assert sql in written
    assert len(written) == len(projects.ROUTES) + 2


def test_011_breaks_nothing_that_the_running_release_asks() -> None:
    found = against(shared())
    assert (found.broken, found.not_replayable, found.told()) == (
        (),
        (),
        "All 11 statements of the running release still run.",
    )


@pytest.mark.parametrize(
    ("change", "count", "code"),
    [
        ("alter table public.projects add column colour text", 0, ""),
        ("create index on public.generations (model)", 0, ""),
        ("alter table public.projects rename column name to title", 4, "42703"),
        ("alter table public.generations drop column prompt", 3, "42703"),
        ("alter table public.projects rename to works", 7, "42P01"),
        ("revoke select on public.projects from authenticated", 7, "42501"),
        ("revoke insert on public.projects from authenticated", 1, "42501"),
        ("revoke usage on schema public from public, authenticated", 9, "42501"),
        ("drop table public.generations", 3, "42P01"),
    ],
)
def test_what_a_change_breaks_is_found(change: str, count: int, code: str) -> None:
    found = after(change)
    assert (len(found.broken), {broken.code for broken in found.broken}) == (count, {code} if code else set())


def test_a_conflict_key_that_is_gone_is_found() -> None:
    found = after("alter table public.users drop constraint users_email_key", UPSERT)
    assert [(broken.code, broken.role) for broken in found.broken] == [("42P10", "service_role")]


def test_a_column_of_another_type_is_found_where_the_type_matters() -> None:
    shortest = Asked(text="select lower(name) from public.projects", role="service_role")
    found = after("alter table public.projects alter column name type bytea using name::bytea", shortest)
    assert [broken.code for broken in found.broken] == ["42883"]


def test_what_is_broken_is_named_with_its_place_and_its_error() -> None:
    found = after("alter table public.projects rename column name to title")
    assert found.told() == (
        "4 of 11 statements of the running release no longer run; the first, backend.sql line 11, ends in 42703: "
        'column "name" does not exist.'
    )


def test_what_did_not_run_before_either_proves_nothing() -> None:
    found = after("select", Asked(text="select nothing from nowhere"), Asked(text="select 1"))
    assert (found.replayed, [one.code for one in found.not_replayable]) == (1, ["42P01"])
    assert found.told().endswith("; 1 could not be planned before either.")


def test_nothing_is_executed() -> None:
    url = database()
    done(url, "create sequence public.counted")
    against(url, Asked(text="insert into public.users (id, email) select gen_random_uuid(), 'x'"))
    delete = Asked(text="select nextval('public.counted')", role="postgres")
    assert told(url, lambda session: replay(session, session, [delete])).broken == ()
    rows = told(url, lambda session: session.rows("select (select count(*) from users), is_called from counted"))
    assert rows == [(0, False)]


def test_a_role_finds_its_tables_by_its_own_search_path() -> None:
    url = database()
    done(url, "create schema shop; create table shop.goods (id int); grant usage on schema shop to postgres")
    path = f"alter role postgres in database {name_of(url)} set search_path = shop"
    told(url, lambda session: session.run(path))
    found = told(url, lambda session: replay(session, session, [Asked(text="select id from goods", role="postgres")]))
    assert (found.replayed, found.not_replayable) == (1, ())


def test_where_the_server_remembers_statements_the_apps_own_are_taken() -> None:
    url = database()
    done(
        url,
        """
        create table public.remembered (query text, calls bigint, userid oid, dbid oid);
        create view public.pg_stat_statements as select * from public.remembered;
        insert into public.remembered select query, calls, 'authenticated'::regrole, oid
        from pg_database, (values
            ('select id from public.users where email = $1', 7),
            ('/* from the app */ update public.users set email = $1', 9),
            ('SET search_path = x', 90), ('begin', 80), ('select relname from pg_catalog.pg_class', 70),
            ('<insufficient privilege>', 60), ('vacuum', 50)
        ) said (query, calls) where datname = current_database();
        insert into public.remembered
        select 'select 1', 5, 'authenticated'::regrole, oid from pg_database where datname = 'postgres';
        """,
    )
    found = told(url, lambda session: running(session, ["authenticated"]))
    assert [(one.text, one.role, one.origin) for one in found] == [
        ("/* from the app */ update public.users set email = $1", "authenticated", "asked 9 times"),
        ("select id from public.users where email = $1", "authenticated", "asked 7 times"),
    ]


def test_a_record_that_cannot_be_read_is_none() -> None:
    url = database()
    done(url, "create view public.pg_stat_statements as select 1 / 0 as query, 1 calls, 1::oid userid, 1::oid dbid")
    assert told(url, running) == ()


def test_where_the_server_remembers_nothing_nothing_is_known() -> None:
    found = told(shared(), running)
    assert (found, Replayed().told()) == ((), "No statement of the running release is known.")


def test_a_list_says_who_asks(tmp_path: Path) -> None:
    (tmp_path / "statements").mkdir()
    text = "select 1;\n-- bluegreen:as anon\nselect 2;\nselect 3;\n-- bluegreen:as service_role\nselect 4"
    (tmp_path / "statements" / "app.sql").write_text(text, encoding="utf-8")
    assert [(one.text, one.role, one.origin) for one in listed(tmp_path)] == [
        ("select 1", "authenticated", "app.sql line 1"),
        ("select 2", "anon", "app.sql line 3"),
        ("select 3", "anon", "app.sql line 4"),
        ("select 4", "service_role", "app.sql line 6"),
    ]


def test_a_list_that_is_no_sql_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "statements").mkdir()
    (tmp_path / "statements" / "app.sql").write_text("select 1;\nselec 2;", encoding="utf-8")
    with pytest.raises(Refused, match=r"app\.sql is no list of statements: line 2, column 1"):
        listed(tmp_path)


def test_without_a_list_nothing_is_known(tmp_path: Path) -> None:
    assert listed(tmp_path) == ()
