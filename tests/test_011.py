"""Migration 011 as a file: it applies as production would apply it, makes what it says, and touches nothing else."""

import re
from typing import Any

import psycopg
import pytest
from pglast import ast, parse_plpgsql, parse_sql

from sandbox.postgres_binaries import MAJORS, Major
from tests.database import as_superuser, database, server
from tests.teams_world import MIGRATION, TABLES, acting, apply, shape, world

SQL = MIGRATION.read_text(encoding="utf-8")
VERIFY = re.findall(r"^-- bluegreen:verify (.+)$", SQL, re.M)
EXISTING = ("users", "projects", "generations")

# Everything about the tables of before that a running release or an operator could notice.
_EXISTING = """
select 'table', relname, jsonb_build_array(relfilenode, relrowsecurity, relforcerowsecurity, relacl::text, relhasrules)
    from pg_class where oid = any (%(tables)s)
union all select 'column', attrelid::regclass || '.' || attname, jsonb_build_array(atttypid::regtype, attnotnull)
    from pg_attribute where attrelid = any (%(tables)s) and attnum > 0
union all select 'index', indexrelid::regclass::text, to_jsonb(pg_get_indexdef(indexrelid))
    from pg_index where indrelid = any (%(tables)s)
union all select 'constraint', conname, to_jsonb(pg_get_constraintdef(oid))
    from pg_constraint where conrelid = any (%(tables)s)
union all select 'trigger', tgname, to_jsonb(pg_get_triggerdef(oid))
    from pg_trigger where tgrelid = any (%(tables)s) and not tgisinternal
union all select 'policy', polname, jsonb_build_array(polcmd, polpermissive, polroles::text,
        pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
    from pg_policy where polrelid = any (%(tables)s)
union all select 'function', oid::regprocedure::text, jsonb_build_array(prosrc, proacl::text, proconfig)
    from pg_proc where pronamespace in ('public'::regnamespace, 'auth'::regnamespace) and proname = any (%(functions)s)
union all select 'default privileges', defaclobjtype::text, to_jsonb(defaclacl::text) from pg_default_acl
union all select 'schema', nspname, to_jsonb(nspacl::text) from pg_namespace where nspname in ('public', 'auth')
order by 1, 2
"""


def existing(line: psycopg.Connection) -> list[Any]:
    tables = line.execute(
        "select array_agg(x::regclass::oid) from unnest('{auth.users,public.users,projects,generations}'::text[]) x"
    ).fetchone()
    functions = ["handle_new_user", "touch_updated_at", "uid", "jwt", "role"]
    return line.execute(_EXISTING, {"tables": tables and tables[0], "functions": functions}).fetchall()


@pytest.mark.parametrize("major", MAJORS)
def test_it_applies_as_an_owner_who_is_no_superuser(major: Major) -> None:
    with psycopg.connect(database(major)) as line:
        assert line.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() == (False,)
        line.execute(SQL.encode())
        assert shape(line).tables == 6


@pytest.mark.parametrize("major", MAJORS)
def test_psql_applies_it_in_one_transaction_to_the_same_end(major: Major) -> None:
    by_psql, by_us = database(major), database(major)
    apply(by_us)
    done = server(major).run("psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", str(MIGRATION), by_psql)
    dumps = [server(major).run("pg_dump", "-s", "--restrict-key=x", url).stdout for url in (by_psql, by_us)]
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "CREATE TABLE public.team_members" in dumps[0]
    assert dumps[0] == dumps[1]


@pytest.mark.parametrize("major", MAJORS)
def test_the_catalog_has_what_was_promised(major: Major) -> None:
    with psycopg.connect(world(major)) as line:
        found = shape(line)
    assert (found.tables, found.indexes >= 20, found.policies >= 15) == (6, True, True)


@pytest.mark.parametrize("major", MAJORS)
def test_the_tables_of_before_keep_their_files_columns_policies_triggers_and_grants(major: Major) -> None:
    with psycopg.connect(database(major)) as line:
        then = existing(line)
        line.execute(SQL.encode())
        assert existing(line) == then
        assert len(then) > 40


def test_every_verify_line_is_false_or_impossible_before_and_true_after() -> None:
    url = database()
    with psycopg.connect(url, autocommit=True) as line:
        held = []
        for question in VERIFY:
            try:
                held.append(line.execute(question).fetchone())
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction):
                held.append((None,))
        apply(url)
        assert (True,) not in held
        assert [line.execute(question).fetchone() for question in VERIFY] == [(True,)] * len(VERIFY)


def test_it_is_an_expand_migration_without_transaction_control() -> None:
    statements = [raw.stmt for raw in parse_sql(SQL)]
    assert re.findall(r"^-- bluegreen:phase (\w+)$", SQL, re.M) == ["expand"]
    assert [stmt for stmt in statements if isinstance(stmt, ast.TransactionStmt)] == []


def test_a_failure_in_the_middle_leaves_nothing() -> None:
    url = database()
    with psycopg.connect(url, autocommit=True) as line:
        line.execute("create table public.generation_collaborations ()")
        with pytest.raises(psycopg.errors.DuplicateTable):
            apply(url)
        assert line.execute("select to_regclass('public.teams')").fetchone() == (None,)


def test_nothing_touches_a_table_in_use_before_the_foreign_keys_at_the_end() -> None:
    def touches(statement: Any) -> bool:
        keys = [found.def_ for found in getattr(statement, "cmds", None) or () if hasattr(found, "def_")]
        return any(getattr(key, "pktable", None) and key.pktable.relname in EXISTING for key in keys)

    order = [touches(raw.stmt) for raw in parse_sql(SQL)]
    assert order == sorted(order)
    assert sum(order) == 6


def test_it_never_takes_a_lock_that_stops_readers_of_a_table_in_use() -> None:
    url = database()
    with psycopg.connect(url) as migrating:
        migrating.execute(SQL.encode())
        locks = migrating.execute(
            "select relation::regclass::text, mode from pg_locks where pid = pg_backend_pid() and locktype = 'relation'"
            " and relation = any ('{users,projects,generations,auth.users}'::regclass[])"
        ).fetchall()
        with psycopg.connect(url) as reading:
            reading.execute("set lock_timeout = '2s'")
            assert reading.execute("select count(*) from projects").fetchone() == (0,)
    strongest = {(table, mode) for table, mode in locks if mode not in ("AccessShareLock", "RowShareLock")}
    assert strongest == {(table, "ShareRowExclusiveLock") for table in EXISTING}


@pytest.mark.parametrize("major", MAJORS)
def test_every_foreign_key_has_an_index_that_begins_with_it(major: Major) -> None:
    with psycopg.connect(world(major)) as line:
        bare = line.execute(
            "select conname from pg_constraint c where contype = 'f' and conrelid = any (%s::text[]::regclass[])"
            " and not exists (select from pg_index i where i.indrelid = c.conrelid and i.indpred is null"
            " and i.indisvalid and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] = c.conkey)",
            ([f"public.{table}" for table in TABLES],),
        ).fetchall()
    assert bare == []


def test_no_two_indexes_begin_with_all_that_the_other_has() -> None:
    with psycopg.connect(world()) as line:
        doubled = line.execute(
            "select a.indexrelid::regclass, b.indexrelid::regclass from pg_index a join pg_index b"
            " on a.indrelid = b.indrelid and a.indexrelid <> b.indexrelid and not a.indisunique"
            " and a.indpred is null and b.indpred is null"
            " and (b.indkey::int2[])[0:a.indnkeyatts - 1] = (a.indkey::int2[])[0:a.indnkeyatts - 1]"
            " where a.indrelid = any (%s::text[]::regclass[])",
            ([f"public.{table}" for table in TABLES],),
        ).fetchall()
    assert doubled == []


def test_all_six_have_row_level_security_with_a_policy_for_signed_in_people_only() -> None:
    with psycopg.connect(world()) as line:
        secured = line.execute(
            "select relname from pg_class where relrowsecurity and relname = any (%s) order by 1", (list(TABLES),)
        ).fetchall()
        roles = line.execute(
            "select distinct tablename, roles::text, permissive from pg_policies where tablename = any (%s) order by 1",
            (list(TABLES),),
        ).fetchall()
    assert secured == [(table,) for table in sorted(TABLES)]
    assert roles == [(table, "{authenticated}", "PERMISSIVE") for table in sorted(TABLES)]


def test_no_policy_asks_who_is_signed_in_once_a_row() -> None:
    with psycopg.connect(world()) as line:
        rules = line.execute("select policyname, concat(qual, with_check) from pg_policies").fetchall()
    assert [name for name, rule in rules if "auth.uid()" in re.sub(r"SELECT auth\.uid\(\)", "", rule)] == []


@pytest.mark.parametrize("major", MAJORS)
def test_every_function_has_an_empty_search_path_and_none_is_for_anon_or_everybody(major: Major) -> None:
    with psycopg.connect(world(major)) as line:
        rows = line.execute(
            "select proname, proconfig::text, has_function_privilege('anon', oid, 'execute'),"
            " coalesce(proacl::text ~ '[{,]=', true) from pg_proc where pronamespace = 'public'::regnamespace"
            " and proname <> 'touch_updated_at'"
        ).fetchall()
        assert {name: rest for name, *rest in rows if rest != ['{"search_path=\\"\\""}', False, False]} == {}
        assert len(rows) == shape(line).functions + 1  # and handle_new_user


def test_trigger_functions_are_for_nobody_and_the_others_for_signed_in_people() -> None:
    with psycopg.connect(world()) as line:
        rows = line.execute(
            "select proname, prorettype = 'trigger'::regtype or proname in ('belongs_to', 'explain_refusal'),"
            " has_function_privilege('authenticated', oid, 'execute') from pg_proc"
            " where pronamespace = 'public'::regnamespace and proname <> 'touch_updated_at'"
        ).fetchall()
    assert [name for name, inner, allowed in rows if inner == allowed] == []


def test_the_bodies_of_all_plpgsql_functions_parse() -> None:
    made = [raw.stmt for raw in parse_sql(SQL) if isinstance(raw.stmt, ast.CreateFunctionStmt)]
    bodies = re.findall(r"^create function .+?^\$\$;", SQL, re.M | re.S)
    assert len(bodies) == len(made)
    written = [body for body in bodies if "language plpgsql" in body]
    assert [len(parse_plpgsql(body)) for body in written] == [1] * len(written)


def test_every_table_says_what_it_is_for() -> None:
    with psycopg.connect(world()) as line:
        silent = line.execute(
            "select relname from pg_class where relname = any (%s) and obj_description(oid) is null", (list(TABLES),)
        ).fetchall()
    assert silent == []


def test_no_line_is_longer_than_120_characters() -> None:
    lines = [line for line in SQL.splitlines() if not line.startswith("-- bluegreen:")]  # a header is one line
    assert [line for line in lines if len(line) > 120] == []


def test_lists_of_ones_own_never_read_the_whole_table() -> None:
    url = world()
    with psycopg.connect(as_superuser(url), autocommit=True) as line:
        line.execute(_MANY)
        line.execute("analyze")
    with psycopg.connect(url, autocommit=True) as line, acting(line, "editor"):
        for table in ("teams", "team_members", "team_invitations", "project_privacy_settings", "project_teams"):
            plan = "\n".join(text for (text,) in line.execute(f"explain select * from public.{table}").fetchall())
            assert f"Seq Scan on {table}" not in plan, plan


# Three thousand people, each with a team, a project that is shared with it, its settings and an invitation.
_MANY = """
set session_replication_role = replica;
create temporary table people as select gen_random_uuid() as id, n from generate_series(1, 3000) n;
insert into public.users (id, email) select id, n || '@many.test' from people;
insert into public.teams (id, name, slug, created_by) select id, n::text, 'team-' || n, id from people;
insert into public.team_members (team_id, user_id, role) select id, id, 'owner' from people;
insert into public.projects (id, user_id, name) select id, id, n::text from people;
insert into public.project_teams (project_id, team_id, shared_by) select id, id, id from people;
insert into public.project_privacy_settings (project_id, visibility) select id, 'team' from people;
insert into public.team_invitations (team_id, email, role, token_sha256, invited_by)
    select id, 'guest@many.test', 'viewer', sha256(n::text::bytea), id from people;
set session_replication_role = origin;
"""
