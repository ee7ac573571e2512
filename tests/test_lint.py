"""The lint as a whole: allows, phases, what a database knows, code that runs, and squawk's answers put into place."""

import asyncio
import sys
from pathlib import Path

import pytest

from benchmarks.lint.cases import migration
from bluegreen.handler import Refused
from bluegreen.postgres import files, lint
from bluegreen.postgres.lint import Finding, Kind, Known, Linted, squawk
from bluegreen.postgres.session import Database
from bluegreen.postgres.spec import Migrations, Phase
from tests.database import as_superuser, database

ROOT = Path(__file__).resolve().parent.parent
DROP = "drop table public.old;"


def linted(sql: str, *, phase: Phase = "expand", known: Known | None = None, major: int = 17) -> Linted:
    return asyncio.run(lint.lint(migration(sql, phase), major=major, known=known))


def rules(sql: str, *, phase: Phase = "expand", known: Known | None = None) -> list[tuple[str, str]]:
    """What is said, by rule and level; infos are left out."""
    findings = linted(sql, phase=phase, known=known).findings
    return [(each.rule, each.level) for each in findings if each.level != "info" and each.allowed is None]


def only(sql: str, rule: str) -> Finding:
    found = [finding for finding in linted(sql).findings if finding.rule == rule]
    assert len(found) == 1
    return found[0]


# ── Allows ──


def test_an_allow_above_a_statement_is_kept_with_its_reason() -> None:
    found = linted(f"-- bluegreen:allow phase-mismatch nobody reads it\n{DROP}")
    assert found.refusals == ()
    assert [(each.rule, each.allowed) for each in found.findings] == [("phase-mismatch", "nobody reads it")]


def test_other_comments_may_stand_between_an_allow_and_its_statement() -> None:
    assert rules(f"-- bluegreen:allow phase-mismatch nobody reads it\n-- old since May\n/* really */ {DROP}") == []


def test_an_allow_counts_for_one_statement_alone() -> None:
    found = linted(f"-- bluegreen:allow phase-mismatch nobody reads it\n{DROP}\ndrop table public.older;")
    assert [each.statement for each in found.refusals] == [2]


def test_a_blank_line_parts_an_allow_from_its_statement() -> None:
    found = rules("-- bluegreen:allow unbounded-write it is empty\n\nupdate public.p set a = 1;")
    assert found == [("unused-allow", "warn"), ("unbounded-write", "refuse")]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("phase-mismatch", id="no-reason"),
        pytest.param("phase-missmatch nobody reads it", id="no-such-rule"),
        pytest.param("syntax-error nobody reads it", id="not-to-be-allowed"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_bad_allow_is_refused_and_allows_nothing(words: str) -> None:
    assert rules(f"-- bluegreen:allow {words}\n{DROP}") == [("bad-allow", "refuse"), ("phase-mismatch", "refuse")]


def test_an_allow_that_allows_nothing_is_warned_of() -> None:
    assert rules("-- bluegreen:allow unbounded-write just in case\nselect 1;") == [("unused-allow", "warn")]


def test_an_allow_below_the_last_statement_is_warned_of() -> None:
    assert rules("select 1;\n-- bluegreen:allow unbounded-write too late") == [("unused-allow", "warn")]


def test_what_only_a_copy_shows_is_allowed_for_the_whole_file_and_never_unused() -> None:
    file = migration("-- bluegreen:allow unproven-reverse by hand\n\nselect 1;")
    assert lint.allowed(file) == {"unproven-reverse": "by hand"}
    assert asyncio.run(lint.lint(file, major=17)).findings == ()


def test_words_of_an_allow_inside_of_a_function_are_its_text() -> None:
    body = "create function public.f() returns int language sql set search_path = '' as $$\n"
    assert rules(f"{body}-- bluegreen:allow phase-mismatch in here\nselect 1 $$;") == []


def test_squawks_findings_are_allowed_by_squawks_names() -> None:
    allowed = "-- bluegreen:allow require-concurrent-index-creation it has ten rows\n"
    assert rules(f"{allowed}create index on public.projects (name);") == []


def test_squawks_own_words_for_silence_are_refused_and_not_obeyed() -> None:
    found = rules("-- squawk-ignore-file\ncreate index on public.projects (name);")
    assert found == [("squawk-ignore", "refuse"), ("require-concurrent-index-creation", "refuse")]


# ── Phases and kinds ──


def test_a_contract_that_takes_nothing_away_is_warned_of() -> None:
    found = linted("create index concurrently i on public.projects (name);", phase="contract")
    assert [(each.rule, each.level, each.statement) for each in found.findings if each.level != "info"] == [
        ("phase-mismatch", "warn", 0)
    ]


@pytest.mark.parametrize(
    ("sql", "what", "cls"),
    [
        ("create table public.t (a bigint);", "CREATE TABLE", "expand"),
        ("alter table public.p add column a text, drop column b;", "ALTER TABLE ADD COLUMN, DROP COLUMN", "contract"),
        ("alter table public.p alter a drop default;", "ALTER TABLE DROP DEFAULT", "restriction"),
        ("alter table public.p alter a set default 1;", "ALTER TABLE SET DEFAULT", "expand"),
        ("alter table public.p enable row level security;", "ALTER TABLE ENABLE ROW LEVEL SECURITY", "contract"),
        ("alter table public.p add check (a > 0);", "ALTER TABLE ADD CONSTRAINT", "contract"),
        ("alter table public.p add check (a > 0) not valid;", "ALTER TABLE ADD CONSTRAINT", "restriction"),
        ("create unique index concurrently i on public.p (a);", "CREATE UNIQUE INDEX CONCURRENTLY", "restriction"),
        ("create index i on public.p (a);", "CREATE INDEX", "expand"),
        ("alter type public.e add value 'x';", "ALTER TYPE", "expand"),
        ("alter type public.e rename value 'x' to 'y';", "ALTER TYPE", "contract"),
        ("alter table public.p rename a to b;", "RENAME COLUMN", "contract"),
        ("drop materialized view public.v;", "DROP MATERIALIZED VIEW", "contract"),
        ("update public.p set a = 1 where id = 1;", "UPDATE", "data"),
        ("with x as (select 1) insert into public.p select * from x;", "INSERT", "data"),
        ("with x as (delete from public.p where id = 1 returning *) select * from x;", "SELECT", "contract"),
        ("comment on table public.p is 'x';", "COMMENT", "neutral"),
        ("alter publication p drop table public.p;", "ALTER PUBLICATION", "contract"),
        ("alter domain public.d drop constraint c;", "ALTER DOMAIN", "contract"),
        ("merge into public.p using public.q on p.a = q.a when matched then delete;", "MERGE", "contract"),
        ("set local role postgres;", "SET", "neutral"),
        ("revoke select on public.p from anon;", "REVOKE", "contract"),
        ("grant select on public.p to authenticated;", "GRANT", "expand"),
        ("do $$ begin drop table public.p; end $$;", "DO", "contract"),
        ("create policy q on public.p using (true);", "CREATE POLICY", "restriction"),
    ],
)
def test_a_statement_is_classified(sql: str, what: str, cls: str) -> None:
    found = linted(sql).kinds
    assert [(kind.what, kind.cls) for kind in found] == [(what, cls)]


def test_kinds_have_numbers_lines_and_objects() -> None:
    found = linted("create table public.t (a bigint);\n\ncreate index i on public.t (a);")
    assert found.kinds == (
        Kind(number=1, line=1, what="CREATE TABLE", cls="expand", objects=("relation public.t",)),
        Kind(number=2, line=3, what="CREATE INDEX", cls="expand", objects=("relation public.i", "relation public.t")),
    )


def test_whatever_is_done_to_what_the_file_has_made_is_an_expand() -> None:
    made = "create schema s; create table s.t (a bigint); create type s.e as enum ('x'); create table s.u (a bigint);"
    undone = "alter table s.t rename to v; alter table s.v alter a set not null; drop table s.u; drop type s.e;"
    found = linted(f"{made} {undone}")
    assert (rules(f"{made} {undone}"), {kind.cls for kind in found.kinds}) == ([], {"expand"})


def test_a_finding_stays_what_it_is_on_its_way_through_a_report() -> None:
    found = linted(DROP)
    assert Linted.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("sql", "writes"),
    [
        ("insert into public.p values (1);", ("public.p",)),
        ("truncate public.p, q;", ("public.p", "public.q")),
        ("delete from public.p where id = 1;", ("public.p",)),
        ("merge into public.p using public.q on p.a = 1 when matched then delete;", ("public.p",)),
        ("copy public.p from '/tmp/p';", ("public.p",)),
        ("copy public.p to '/tmp/p';", ()),
        ("do $$ begin if true then update public.p set a = 1; end if; end $$;", ("public.p",)),
        (
            "with d as (delete from public.p returning *) insert into public.q select * from d;",
            ("public.q", "public.p"),
        ),
        ("create table public.n as with d as (delete from public.p returning *) select * from d;", ("public.p",)),
        ("select * from public.p;", ()),
        ("alter table public.p add column b text;", ()),
    ],
)
def test_a_statement_that_writes_rows_says_so_and_whose_whatever_it_is_else(sql: str, writes: tuple[str, ...]) -> None:
    (kind,) = linted(sql).kinds
    assert (kind.rows, kind.writes) == (bool(writes), writes)


def test_rows_of_a_temporary_table_are_nobodys() -> None:
    found = linted("create temporary table t (a bigint); insert into t values (1);")
    assert [kind.rows for kind in found.kinds] == [False, False]


def test_a_write_to_a_view_or_a_parent_of_the_file_is_one_to_what_is_below() -> None:
    view = "create view v with (security_invoker = true) as select * from public.p; delete from v;"
    parent = "create table q (a bigint); alter table public.p inherit q; update q set a = 1;"
    assert linted(view).kinds[-1].writes == ("public.v", "public.p")
    assert linted(parent).kinds[-1].writes == ("public.q", "public.p")


# ── What is new, and what a database knows ──


def test_a_table_of_the_same_name_in_another_schema_is_not_the_one_that_was_made() -> None:
    other = "set search_path = private; create table projects (id bigint primary key); "
    assert rules(f"{other}drop table public.projects;") == [("phase-mismatch", "refuse")]


def test_a_name_is_looked_for_along_the_files_whole_path() -> None:
    sql = "create schema billing; set local search_path = billing, public; {}"
    there = Known(relations=frozenset({"public.users"}), schemas=frozenset({"public"}))
    for known in (there, None):
        assert "unbounded-write" in [rule for rule, _ in rules(sql.format("delete from users;"), known=known)]
        assert rules(sql.format("create table users (id bigint); update users set id = 1;"), known=known) == []


def test_a_path_that_code_may_have_set_makes_nothing_new() -> None:
    made = "create schema app; create table app.users (id bigint); "
    perhaps = "do $$ begin if false then set local search_path = app; end if; end $$; update users set id = 1;"
    assert ("unbounded-write", "refuse") in rules(made + perhaps)


def test_a_path_for_one_transaction_is_over_with_it() -> None:
    made = "create schema app; set local search_path = app; create table users (id bigint); "
    other = "create index concurrently i on public.p (a); update users set id = 1;"
    assert ("unbounded-write", "refuse") in rules(made + other)


def test_a_temporary_table_that_was_dropped_hides_nothing_any_more() -> None:
    for drop in ("drop table users;", "do $$ begin drop table users; end $$;", "alter table users rename to others;"):
        sql = f"create temporary table users (id bigint); {drop} update users set id = 1;"
        assert ("unbounded-write", "refuse") in rules(sql)


def test_what_code_may_have_made_is_new_only_where_the_database_lacks_it() -> None:
    sql = "do $$ begin if true then create table app.t (a bigint); end if; end $$; update app.t set a = 1;"
    there = Known(relations=frozenset({"app.t"}), schemas=frozenset({"app"}))
    assert rules(sql, known=Known(schemas=frozenset({"app"}))) == []
    assert rules(sql, known=there) == [("unbounded-write", "refuse")]
    assert rules(sql) == [("unbounded-write", "refuse")]


def test_what_if_not_exists_makes_is_new_only_where_the_database_lacks_it() -> None:
    for sql in (
        "create table if not exists app.t (a bigint); update app.t set a = 1;",
        "create schema if not exists app; update app.t set a = 1;",
    ):
        assert rules(sql) == [("unbounded-write", "refuse")]
        assert rules(sql, known=Known()) == []


def test_the_schemas_that_the_api_serves_are_judged_and_storage_with_them() -> None:
    known = Known(roles=frozenset({"anon"}), exposed=("api", "storage"))
    assert rules("create table api.t (a bigint);", known=known) == [("exposed-without-rls", "refuse")]
    assert rules("create table storage.t (a bigint);", known=known) == [("exposed-without-rls", "refuse")]
    assert rules("create table public.t (a bigint);", known=known) == []


def test_an_index_on_a_small_table_may_follow_its_foreign_key() -> None:
    sql = "alter table p add column q_id bigint references q (id); create index on p (q_id);"
    few = Known(relations=frozenset({"public.p", "public.q"}), rows={"public.p": 0, "public.q": 0})
    assert rules(sql, known=few, phase="contract") == [("phase-mismatch", "warn")]
    many = few.model_copy(update={"rows": {"public.p": 90_000, "public.q": 90_000}})
    assert ("foreign-key-before-work", "refuse") in rules(sql, known=many, phase="contract")


def test_a_temporary_table_of_the_same_name_is_not_the_real_one() -> None:
    made = "create temporary table projects (id bigint); "
    assert rules(f"{made}update projects set id = 1; drop table projects;") == []
    assert rules(f"{made}drop table public.projects;") == [("phase-mismatch", "refuse")]


def test_if_not_exists_makes_nothing_where_the_database_has_it() -> None:
    sql = "create table if not exists public.t (a bigint); alter table public.t enable row level security;"
    there = Known(relations=frozenset({"public.t"}), roles=frozenset({"anon"}))
    assert rules(sql, known=there) == [("rls-on-existing-table", "refuse")]
    assert rules(sql, known=Known(roles=frozenset({"anon"}))) == []


def test_dropping_what_the_database_does_not_have_is_nothing() -> None:
    assert rules("drop table if exists public.t;", known=Known()) == []
    assert rules("drop table if exists public.t;") == [("phase-mismatch", "refuse")]


def test_replacing_a_function_that_the_database_does_not_have_makes_it() -> None:
    sql = "create or replace function public.f() returns int language sql set search_path = '' as 'select 1';"
    assert rules(sql, known=Known()) == []
    assert rules(sql, known=Known(functions=frozenset({"public.f"}))) == [("ban-replace-view-function", "warn")]


def test_an_older_function_of_the_same_name_is_not_taken_for_the_new_one() -> None:
    sql = "create function public.f(a int) returns int language sql set search_path = '' as 'select 1';"
    there = Known(functions=frozenset({"public.f"}))
    assert rules(f"{sql} drop function public.f(text);", known=there) == [("phase-mismatch", "refuse")]


def test_a_small_table_may_be_scanned_and_written_whole() -> None:
    sql = "create index on public.p (a); update public.p set a = 1; alter table public.p add column n bigserial;"
    few, many = (Known(relations=frozenset({"public.p"}), rows={"public.p": rows}) for rows in (9_000, 90_000))
    assert rules(sql, known=few) == []
    assert [rule for rule, _ in rules(sql, known=many)] == [
        "require-concurrent-index-creation",
        "unbounded-write",
        "table-rewrite",
    ]


def test_without_the_role_anon_a_table_is_nobodys_by_default() -> None:
    assert rules("create table public.t (a bigint);", known=Known()) == []


def test_an_index_that_the_database_has_serves_a_foreign_key() -> None:
    sql = "alter table public.p add foreign key (a) references public.q (id) not valid;"
    there = Known(relations=frozenset({"public.p", "public.q"}), indexes={"public.p": (("a", "b"),)})
    found = linted(sql, phase="contract", known=there)
    assert [each.rule for each in found.findings if each.level != "info"] == []
    without = linted(sql, phase="contract", known=there.model_copy(update={"indexes": {}}))
    assert [each.rule for each in without.refusals] == ["unindexed-foreign-key"]


def test_what_a_database_has_is_read_from_its_catalog() -> None:
    url = database()

    async def looked() -> Known:
        async with Database(url).session("lint") as session:
            await session.run("analyze public.projects")
            return await lint.look(session)

    found = asyncio.run(looked())
    assert {"public.projects", "public.projects_user_id_idx", "auth.users"} <= found.relations
    assert {"public.handle_new_user", "auth.uid"} <= found.functions
    assert {"anon", "postgres"} <= found.roles
    assert "public" in found.schemas
    assert found.rows["public.projects"] == 0
    assert set(found.indexes["public.generations"]) == {("id",), ("user_id", "created_at"), ("project_id",)}


def test_which_schemas_the_api_serves_is_read_from_its_roles_settings() -> None:
    url = database()

    async def looked() -> tuple[str, ...]:
        async with Database(as_superuser(url)).session("lint") as session:
            before = (await lint.look(session)).exposed
            await session.run("begin; create schema api")
            ((name,),) = await session.rows("select quote_ident(current_database())")
            await session.run(f"alter role authenticator in database {name} set pgrst.db_schemas = 'api, public'")
            after = (await lint.look(session)).exposed
            await session.run("rollback")
            return (*before, "then", *after)

    assert asyncio.run(looked()) == ("public", "storage", "then", "api", "public", "storage")


def test_011_is_applied_to_the_real_schema_without_a_word() -> None:
    url, file = database(), files.read(ROOT / "migrations", Migrations(target="011", baseline="010"))[0]

    async def found() -> Linted:
        async with Database(url).session("lint") as session:
            return await lint.lint(file, major=18, known=await lint.look(session))

    assert asyncio.run(found()).findings == ()


# ── Code ──


def test_what_a_block_runs_is_told_at_its_line() -> None:
    found = only("select 1;\ndo $$\nbegin\n    update public.p set a = 1;\nend $$;", "unbounded-write")
    assert (found.statement, found.line, found.column) == (2, 4, 1)


def test_a_function_that_is_only_made_runs_nothing() -> None:
    sql = "create function public.f() returns void language plpgsql set search_path = '' as $$ begin {} end $$;"
    assert rules(sql.format("delete from public.p; execute 'x' || 'y';")) == []


def test_a_function_that_calls_another_one_of_the_file_is_followed() -> None:
    one = "create function public.f() returns void language sql set search_path = '' as $$ delete from public.p $$;"
    two = "create function public.g() returns void language sql set search_path = '' as $$ select public.f() $$;"
    assert sorted(rules(f"{one} {two} select public.g();")) == [
        ("phase-mismatch", "refuse"),
        ("unbounded-write", "refuse"),
    ]


def test_functions_that_call_each_other_for_ever_come_to_an_end() -> None:
    make = "create function public.{}() returns int language sql set search_path = '' as $$ select public.{}() $$;"
    assert rules(make.format("f", "g") + make.format("g", "f") + "select public.f();") == []


def test_a_function_of_the_database_is_warned_of() -> None:
    known = Known(functions=frozenset({"public.tidy"}))
    assert rules("select public.tidy();", known=known) == [("opaque-code", "warn")]
    assert rules("do $$ begin if public.tidy() then null; end if; end $$;", known=known) == [("opaque-code", "warn")]
    assert rules("select pg_catalog.set_config('a.b', 'c', true), now();") == []


def test_a_statement_that_is_explained_with_analyze_runs() -> None:
    assert [rule for rule, _ in rules("explain analyze delete from public.p;")] == ["phase-mismatch", "unbounded-write"]


# ── squawk ──


def test_a_finding_of_squawks_stands_at_its_character() -> None:
    found = only("-- é\n/* ééé */ alter table public.p alter a type text;", "changing-column-type")
    assert (found.line, found.column, found.statement) == (2, 40, 1)


def test_a_syntax_error_has_its_place_and_cannot_be_passed() -> None:
    found = linted("select 1;\nselekt 2;")
    assert [(each.rule, each.level, each.line, each.column) for each in found.findings] == [
        ("syntax-error", "refuse", 2, 1)
    ]


def test_a_transaction_of_its_own_is_not_held_against_an_index_that_is_built_concurrently() -> None:
    assert rules("create index concurrently if not exists i on public.p (a);") == []
    assert rules("alter table public.p add column b text; create index concurrently i on public.p (b); select 1;") == []


def test_validating_in_a_transaction_of_its_own_is_accepted() -> None:
    add = "alter table public.p add constraint c check (a > 0) not valid;"
    validate = "alter table public.p validate constraint c;"
    between = "create index concurrently if not exists i on public.p (a);"
    assert rules(f"{add} {validate}", phase="contract") == [("constraint-missing-not-valid", "refuse")]
    assert rules(f"{add} {between} {validate}", phase="contract") == []


def test_nobodys_configuration_of_squawk_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".squawk.toml").write_text('excluded_rules = ["require-concurrent-index-creation"]\n')
    monkeypatch.chdir(tmp_path)
    assert rules("create index on public.p (a);") == [("require-concurrent-index-creation", "refuse")]


def test_without_squawk_the_lint_refuses_instead_of_passing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused) as refused:
        linted("select 1;")
    assert refused.value.what == "squawk, which judges migrations, is not installed."


def test_an_answer_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "squawk"
    broken.write_text("#!/bin/sh\ncat > /dev/null\necho 'Failed to find files' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(Refused) as refused:
        linted("select 1;")
    assert refused.value.what == "squawk cannot judge 012_case.sql: Failed to find files."


def test_every_rule_that_is_asked_for_is_one_of_squawks() -> None:
    assert asyncio.run(squawk.ask("select 1;", "x.sql", major=17)) == []


def test_a_file_on_disk_may_allow(tmp_path: Path) -> None:
    path = tmp_path / "012_old.sql"
    path.write_text(f"-- bluegreen:allow phase-mismatch nobody reads it\n{DROP}\n")
    found = asyncio.run(lint.lint(files.one(path), major=17))
    assert [each.allowed for each in found.findings] == ["nobody reads it"]
