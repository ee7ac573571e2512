"""What an advisor remarks on new objects: each remark on what deserves it, and not on what was there before."""

import psycopg
import pytest
from psycopg import sql

from bluegreen.postgres.session import Session
from bluegreen.postgres.verify.advise import Advice, advise
from bluegreen.postgres.verify.exposed import exposed
from bluegreen.postgres.verify.lints import LINTS
from tests.database import as_superuser, database, name_of
from tests.teams_world import TABLES
from tests.verify_room import blank, shared, told

TABLE = """
create table public.things (
    id uuid primary key, owner uuid, other uuid constraint other_thing references public.things (id), what text
);
create index things_other_idx on public.things (other);
alter table public.things enable row level security;
"""
OWN = "create policy own on public.things for {verb} to authenticated using ({condition});"


def policy(condition: str, verb: str = "select") -> str:
    return TABLE + OWN.format(condition=condition, verb=verb)


PLAIN = policy("owner = (select auth.uid())")
VIEW = "create view public.shown {options} as select * from public.things;"
# remark → (what deserves it, what does not), both made on a fresh database
CASES = {
    "auth_rls_initplan": (policy("owner = auth.uid()"), PLAIN),
    "multiple_permissive_policies": (
        PLAIN + "create policy too on public.things for all to authenticated using (what = 'x');",
        PLAIN + "create policy too on public.things for insert to authenticated with check (what = 'x');",
    ),
    "policy_exists_rls_disabled": (PLAIN + "alter table public.things disable row level security;", PLAIN),
    "rls_enabled_no_policy": (TABLE, TABLE + "revoke all on public.things from anon, authenticated;"),
    "rls_disabled_in_public": (
        PLAIN + "alter table public.things disable row level security;",
        TABLE
        + "alter table public.things disable row level security; revoke all on public.things from anon, authenticated;",
    ),
    "rls_references_user_metadata": (
        policy("(select auth.jwt() -> 'user_metadata' ->> 'role') = 'admin'"),
        policy("(select auth.jwt() -> 'app_metadata' ->> 'role') = 'admin'"),
    ),
    "rls_policy_always_true": (policy("true", "update"), policy("true")),
    "function_search_path_mutable": (
        "create function public.made() returns int language sql as 'select 1';",
        "create function public.made() returns int language sql set search_path = '' as 'select 1';",
    ),
    "anon_security_definer_function_executable": (
        "create function public.made() returns int language sql security definer set search_path = '' as 'select 1';",
        "create function public.made() returns int language sql security definer set search_path = '' as 'select 1';"
        "revoke execute on function public.made() from public, anon;",
    ),
    "unindexed_foreign_keys": (PLAIN + "drop index public.things_other_idx;", PLAIN),
    "security_definer_view": (
        PLAIN + VIEW.format(options=""),
        PLAIN + VIEW.format(options="with (security_invoker = on)"),
    ),
    "materialized_view_in_api": (
        PLAIN + "create materialized view public.kept as select 1 one;",
        PLAIN
        + "create materialized view public.kept as select 1 one; revoke all on public.kept from anon, authenticated;",
    ),
    "foreign_table_in_api": (
        "create foreign table public.far (id int) server elsewhere;",
        "create foreign table public.far (id int) server elsewhere; revoke all on public.far from anon, authenticated;",
    ),
    "no_primary_key": (PLAIN + "alter table public.things drop constraint things_pkey cascade;", PLAIN),
    "duplicate_index": (
        PLAIN + "create index again on public.things (other);",
        PLAIN + "create index again on public.things (other desc);",
    ),
}
ELSEWHERE = """
create foreign data wrapper far;
create server elsewhere foreign data wrapper far;
grant usage on foreign server elsewhere to postgres;
"""
NAMED = (
    "table public.things",
    "view public.shown",
    "materialized view public.kept",
    "foreign table public.far",
    "function public.made()",
)


def remarks(url: str, *named: str) -> list[str]:
    return [advice.name for advice in told(url, lambda session: advise(session, named or NAMED), owner=True)]


def made(sql: str, *named: str) -> list[Advice]:
    """The remarks on what this makes, as its owner; it is gone afterwards."""

    async def and_gone(session: Session) -> list[Advice]:
        await session.run(f"begin; {ELSEWHERE if 'elsewhere' in sql else ''} set local role postgres; {sql}")
        try:
            return list(await advise(session, named or NAMED))
        finally:
            await session.run("rollback")

    return told(blank(), and_gone)


def names(found: list[Advice]) -> list[str]:
    return [advice.name for advice in found]


def test_011_deserves_no_remark() -> None:
    assert remarks(shared(), *(f"table public.{table}" for table in TABLES), "function public.my_teams(text[])") == []


@pytest.mark.parametrize("name", CASES)
def test_a_remark_is_made_on_what_deserves_it_and_not_on_what_does_not(name: str) -> None:
    deserving, innocent = CASES[name]
    assert (name in names(made(deserving)), name in names(made(innocent))) == (True, False)


def test_every_remark_has_a_case() -> None:
    assert sorted(CASES) == sorted(lint.name for lint in LINTS)


def test_what_was_there_before_is_not_remarked_on() -> None:
    older = PLAIN + "alter table public.things disable row level security; drop index public.things_other_idx;"
    late = "create policy late on public.things for insert to authenticated with check (owner = auth.uid());"
    assert names(made(older + late, "policy public.things.late")) == ["auth_rls_initplan"]


def test_a_remark_names_its_object_and_what_to_do() -> None:
    advice = made(TABLE + "alter table public.things disable row level security;", "public.things")[0]
    assert (advice.object, advice.hint) == (
        "public.things",
        "Run ALTER TABLE public.things ENABLE ROW LEVEL SECURITY and write its policies.",
    )


def test_the_search_path_of_the_session_stays_as_it_was() -> None:
    async def around(session: Session) -> list[object]:
        before = await session.rows("show search_path")
        await advise(session, NAMED)
        return [before, await session.rows("show search_path")]

    before, after = told(shared(), around)
    assert before == after


def test_the_api_serves_public_where_nothing_else_is_said() -> None:
    assert told(blank(), exposed, owner=True) == ("public",)


def test_what_postgrest_is_told_to_serve_is_read_but_for_the_platforms_own() -> None:
    url = database()
    schemas = 'public, "Api", storage, graphql_public, nowhere'
    with psycopg.connect(as_superuser(url), autocommit=True) as line:
        line.execute('create schema "Api"; create schema if not exists storage')
        setting = sql.SQL("alter role authenticator in database {} set pgrst.db_schemas = {}")
        line.execute(setting.format(sql.Identifier(name_of(url)), schemas))
    assert told(url, exposed, owner=True) == ("public", "Api")
