"""The matrix of who may what: what it asks, what it calls a fault, what it records, and how it tells a difference."""

from dataclasses import replace
from pathlib import Path

import pytest

from bluegreen.handler import Refused
from bluegreen.postgres.catalog import Difference
from bluegreen.postgres.verify.matrix import Matrix, against, compare, matrix
from bluegreen.postgres.verify.people import find, missing, read
from bluegreen.postgres.verify.recording import parsed
from sandbox.postgres_binaries import MAJORS, Major
from tests.postgres_room import ask
from tests.verify_room import MIGRATIONS, PEOPLE, answers, asked, blank, seed, shared, small, told, with_011

NOTES = """
create table public.notes (
    id uuid primary key default gen_random_uuid(), title text not null, owner uuid not null default auth.uid()
);
alter table public.notes enable row level security;
insert into public.notes (title, owner) values
    ('mine', '00000000-0000-0000-0000-00000000000a'), ('theirs', '00000000-0000-0000-0000-00000000000b');
"""
OWN = "owner = (select auth.uid())"
EVERY_VERB = f"create policy own on public.notes for all to authenticated using ({OWN}) with check ({OWN});"


@pytest.mark.parametrize("major", MAJORS)
def test_migration_011_answers_as_it_is_recorded_on_every_major(major: Major) -> None:
    found = asked(with_011(major), seed(), major=major)
    assert (found.text, found.faults, found.bounded) == (seed().recorded, (), ())


def test_asking_leaves_nothing_behind() -> None:
    url = with_011()
    asked(url, seed())
    rows = "select (select count(*) from teams), (select count(*) from auth.users), (select count(*) from projects)"
    triggers = "select count(*) from pg_trigger where tgname like '%bluegreen%'"
    assert (ask(url, rows), ask(url, triggers)) == ([(0, 0, 0)], [(0,)])


def test_a_person_sees_changes_and_removes_what_the_policies_let_them(tmp_path: Path) -> None:
    found = asked(blank(), small(NOTES + EVERY_VERB, tmp_path), only=["public.notes"])
    assert found.told().startswith(f"3 people were asked {found.probes} questions about 1 table in ")
    expected = {
        "select": {"anon": "none", "ann": "mine", "bob": "theirs"},
        "insert": {"anon": "policy", "ann": "mine", "bob": "theirs"},
        "insert returning": {"anon": "policy", "ann": "mine", "bob": "theirs"},
        "insert owner": {"ann": "theirs=ann", "bob": "mine=bob"},
        "update": {"anon": "none", "ann": "mine", "bob": "theirs"},
        "update owner": {"ann": "mine=same; policy: others", "bob": "theirs=same; policy: others"},
        "delete": {"anon": "none", "ann": "mine", "bob": "theirs"},
    }
    assert {verb: answers(found, "public.notes", verb) for verb in expected} == expected


def test_a_policy_that_asks_its_own_table_is_a_fault_without_any_recording(tmp_path: Path) -> None:
    recursive = (
        "create policy seen on public.notes for select using (exists (select from public.notes n where n.id = id));"
    )
    found = asked(blank(), small(NOTES + recursive, tmp_path), only=["public.notes"])
    said = 'infinite recursion detected in policy for relation "notes"'
    assert f"ann: SELECT on public.notes fails with 42P17: {said}" in found.faults


def test_a_refusal_is_no_fault(tmp_path: Path) -> None:
    guarded = """
        create function public.guard() returns trigger language plpgsql as $$ begin
            raise exception 'It stays.' using errcode = '22023';
        end $$;
        create trigger guard before delete on public.notes for each row execute function public.guard();
    """
    found = asked(blank(), small(NOTES + EVERY_VERB + guarded, tmp_path), only=["public.notes"])
    assert (answers(found, "public.notes", "delete")["ann"], found.faults) == ("22023: mine", ())


def test_an_insert_that_may_not_read_back_what_it_wrote_is_seen(tmp_path: Path) -> None:
    blind = f"create policy write on public.notes for insert to authenticated with check ({OWN});"
    found = asked(blank(), small(NOTES + blind, tmp_path), only=["public.notes"])
    both = answers(found, "public.notes", "insert")["ann"], answers(found, "public.notes", "insert returning")["ann"]
    assert both == ("mine", "policy")


def test_an_update_reaches_rows_that_a_person_does_not_see(tmp_path: Path) -> None:
    wide = f"""
        create policy see on public.notes for select to authenticated using ({OWN});
        create policy change on public.notes for update to authenticated using (true);
    """
    found = asked(blank(), small(NOTES + wide, tmp_path), only=["public.notes"])
    both = answers(found, "public.notes", "select")["ann"], answers(found, "public.notes", "update")["ann"]
    assert both == ("mine", "all")


def test_who_may_read_some_columns_alone_is_asked_by_these(tmp_path: Path) -> None:
    columns = """
        revoke select on public.notes from anon, authenticated;
        grant select (title) on public.notes to authenticated;
    """
    found = asked(blank(), small(NOTES + EVERY_VERB + columns, tmp_path), only=["public.notes"])
    assert answers(found, "public.notes", "select") == {"anon": "denied", "ann": "mine", "bob": "theirs"}


def test_views_partitions_and_empty_tables_are_asked_too(tmp_path: Path) -> None:
    odd = """
        create view public.shown as select title from public.notes;
        create table public.parted (day date not null, what text not null) partition by list (day);
        create table public.parted_1 partition of public.parted for values in ('2026-01-01');
        create materialized view public.unfilled as select 1 one with no data;
        create table public.empty (id bigint generated always as identity primary key, what text);
        insert into public.parted values ('2026-01-01', 'a');
    """
    found = asked(blank(), small(NOTES + EVERY_VERB + odd, tmp_path))
    expected = {
        ("public.shown", "select"): "2 rows",
        ("public.shown", "update"): "mine, theirs",
        ("public.shown", "delete"): "mine, theirs",
        ("public.unfilled", "select"): "55000",
        ("public.parted", "delete"): "a",
        ("public.parted_1", "delete"): "a",
        ("public.empty", "select"): "none",
        ("public.empty", "insert"): "a_row_of_defaults",
    }
    assert ({cell: answers(found, *cell)["ann"] for cell in expected}, found.faults) == (expected, ())


def test_no_more_than_forty_rows_are_asked_about_and_it_says_so(tmp_path: Path) -> None:
    many = "insert into public.notes (title) select 'note' || n from generate_series(1, 60) n;".replace(
        "(title) select 'note' || n", "(title, owner) select 'note' || n, gen_random_uuid()"
    )
    found = asked(blank(), small(NOTES + EVERY_VERB + many, tmp_path), only=["public.notes"])
    assert found.bounded == ("public.notes",)


def test_a_role_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    found = asked(blank(), small(NOTES, tmp_path, PEOPLE + "-- bluegreen:person ghost phantom\n"))
    assert found.faults == ("ghost: there is no role phantom",)


def test_a_seed_that_does_not_fit_the_schema_says_why(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        asked(blank(), small("insert into public.nothing values (1);", tmp_path))
    said = 'at line 6: relation "public.nothing" does not exist (42P01).'
    assert refused.value.what == f"{tmp_path}/matrix/012_small.sql does not fit the schema {said}"


def test_without_a_seed_the_catalog_is_told_and_why_nobody_was_asked(tmp_path: Path) -> None:
    said = missing(tmp_path / "migrations", "011")
    found = told(shared(), lambda session: matrix(session, None, missing=said))
    assert (find(tmp_path, "011"), found.missing) == (
        None,
        f"no matrix: {tmp_path}/migrations/matrix/011_*.sql is missing",
    )
    assert {line.verb for line in found.lines} == {"rls", "policy", "grant", "call"}


def test_whoever_is_no_superuser_is_told_what_they_could_not_be_asked() -> None:
    found = told(shared(), lambda session: matrix(session, seed()), owner=True)
    assert found.missing == "no matrix: rows are put back past triggers and keys, which takes a superuser"


def test_a_matrix_is_read_back_as_it_was_written() -> None:
    found = asked(shared(), seed(), only=["public.teams"])
    assert Matrix.model_validate_json(found.model_dump_json()) == found


def test_a_later_version_is_asked_in_the_newest_world_before_it() -> None:
    found = find(MIGRATIONS, "012")
    assert found is not None
    assert (found.version, find(MIGRATIONS, "010")) == ("011", None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-- bluegreen:person ann", "'-- bluegreen:person ann' is no person"),
        ("-- bluegreen person ann authenticated", "'-- bluegreen person ann authenticated' is no person"),
        ("-- bluegreen:person ann authenticated me", "ann says 'me'"),
        ("-- bluegreen:person ann authenticated [1]", "ann says '[1]'"),
        ("-- bluegreen:person anon anon\n-- bluegreen:person anon anon", "anon is in it twice"),
        ("select 1;", "nobody is in it"),
        ("-- bluegreen:person anon anon\ncommit;", "line 2, column 1: BEGIN, COMMIT, ROLLBACK and SAVEPOINT"),
    ],
)
def test_a_person_that_is_told_wrongly_is_refused(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "012_small.sql"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(Exception, match="does not fit") as refused:
        read(path)
    assert said in str(refused.value)


def test_two_worlds_of_one_version_are_refused(tmp_path: Path) -> None:
    small(NOTES, tmp_path)
    (tmp_path / "matrix" / "012_other.sql").write_text(PEOPLE, encoding="utf-8")
    with pytest.raises(Exception, match=r"012_other\.sql and 012_small\.sql are of one version"):
        find(tmp_path, "012")


@pytest.mark.parametrize(
    ("cell", "was", "told"),
    [
        (("select", "admin"), "none", "admin may now SELECT public.teams: studio."),
        (("select", "stranger"), "studio", "stranger may no longer SELECT public.teams: studio."),
        (("delete", "admin"), "42501: studio", "admin no longer ends in 42501 on DELETE public.teams: studio."),
        (("delete", "service_role"), "rivals", "service_role may now DELETE public.teams: studio."),
        (("select", "anon"), "none", "anon gets denied on SELECT public.teams, was none."),
        (("insert", "stranger"), "none", "stranger gets policy on INSERT public.teams, was none."),
    ],
)
def test_a_difference_is_told_in_a_sentence(cell: tuple[str, str], was: str, told: str) -> None:
    found = asked(shared(), seed(), only=["public.teams"])
    verb, who = cell
    lines = [
        line.model_copy(update={"answer": was})
        if (line.what, line.verb, line.who) == ("public.teams", verb, who)
        else line
        for line in found.lines
    ]
    assert compare(found.model_copy(update={"lines": tuple(lines)}).text, found) == (told,)


def test_a_table_that_nobody_recorded_is_told_once() -> None:
    found = asked(shared(), seed(), only=["public.teams", "public.team_members"])
    recorded = "\n".join(line for line in found.text.splitlines() if not line.startswith("public.team_members "))
    assert compare(recorded, found) == ("public.team_members is new: nothing is recorded of it.",)


def test_a_recording_says_the_same_however_wide_its_columns_are() -> None:
    recorded = seed().recorded
    assert recorded is not None
    narrow = "\n".join("  ".join(part for part in line.split("  ") if part) for line in recorded.splitlines())
    assert parsed(narrow) == parsed(recorded)


def test_a_recording_is_written_beside_its_world(tmp_path: Path) -> None:
    world = small(NOTES, tmp_path)
    before = world.recorded
    world.record("text")
    assert (before, world.recorded, (tmp_path / "matrix" / "012_small.matrix").read_text()) == (None, "text", "text")


def test_a_world_of_rows_with_the_same_names_tells_them_apart(tmp_path: Path) -> None:
    twice = replace(
        small(NOTES + EVERY_VERB, tmp_path),
        sql="set local role postgres;"
        + NOTES
        + EVERY_VERB
        + "insert into public.notes (title, owner) select title, owner from public.notes;",
    )
    found = asked(blank(), twice, only=["public.notes"])
    assert answers(found, "public.notes", "select")["ann"].count("#") == 2


def test_each_version_keeps_a_recording_of_its_own_and_what_came_later_changes_none_before_it(tmp_path: Path) -> None:
    small(NOTES, tmp_path)
    (tmp_path / "013_later.sql").write_text("select 1;", encoding="utf-8")
    (tmp_path / "matrix" / "011_older.matrix").write_text("of another world", encoding="utf-8")
    worlds = [found for version in ("012", "013", "014") if (found := find(tmp_path, version))]
    first, second, third = worlds
    assert [each.recorded for each in worlds] == [None, None, None]
    first.record("of 012")
    assert [each.recorded for each in worlds] == ["of 012", "of 012", "of 012"]
    second.record("of 013")
    third.record("of 014")
    assert [each.recorded for each in worlds] == ["of 012", "of 013", "of 014"]
    kept = {path.name for path in (tmp_path / "matrix").glob("*.matrix")}
    assert kept == {"011_older.matrix", "012_small.matrix", "013_later.matrix", "014_small.matrix"}


def test_two_recordings_of_one_version_are_refused(tmp_path: Path) -> None:
    small(NOTES, tmp_path)
    for name in ("012_a", "012_b"):
        (tmp_path / "matrix" / f"{name}.matrix").write_text("", encoding="utf-8")
    with pytest.raises(Refused, match=r"012_a\.matrix and 012_b\.matrix are of one version"):
        find(tmp_path, "012")


def later(change: str, difference: Difference, tmp_path: Path) -> tuple[str, ...]:
    """What a migration 013 that does this is told, where 012 was recorded."""
    first = small(NOTES + EVERY_VERB, tmp_path)
    first.record(asked(blank(), first).text)
    second = find(tmp_path, "013")
    assert second is not None
    return against(second, asked(blank(), replace(second, sql=f"{second.sql}{change}")), difference)


@pytest.mark.parametrize(
    ("change", "added", "gone"),
    [
        ("alter table public.notes add column archived_at timestamptz", ["column public.notes.archived_at"], []),
        ('alter table public.notes add column "Kind" text default 1', ['column public.notes."Kind"'], []),
        ("create table public.other (id int primary key)", ["table public.other"], []),
        ('create table public."Other" (id int)', ['table public."Other"'], []),
        ("create view public.titles as select title from public.notes", ["view public.titles"], []),
        ("create function public.one() returns int language sql return 1", ["function public.one()"], []),
        ("drop table public.generations cascade", [], ["table public.generations"]),
        ("alter table public.projects drop column name", [], ["column public.projects.name"]),
    ],
)
def test_what_a_migration_makes_or_drops_is_no_difference(
    change: str, added: list[str], gone: list[str], tmp_path: Path
) -> None:
    assert later(change, Difference(added=tuple(added), gone=tuple(gone)), tmp_path) == ()


def test_a_new_column_beside_a_policy_that_is_gone_hides_nothing_and_the_way_to_agree_is_told(tmp_path: Path) -> None:
    change = "alter table public.notes add column archived_at timestamptz; drop policy own on public.notes"
    told = later(change, Difference(added=("column public.notes.archived_at",)), tmp_path)
    first, _, meant = told[0].partition(" If that is meant, ")
    assert (first, meant) == (
        "ann may no longer SELECT public.notes: mine.",
        "run bluegreen migrate matrix 013 --record.",
    )
    assert [said for said in told if "archived_at" in said] == []


def test_a_new_function_that_users_call_with_its_owners_rights_is_told(tmp_path: Path) -> None:
    steal = "create function public.steal() returns setof text language sql security definer return 'a'"
    told = later(steal.replace("setof ", ""), Difference(added=("function public.steal()",)), tmp_path)
    assert told[0].startswith("public.steal() is new: anon, authenticated may call it, and it runs as ")


def test_what_no_migration_made_is_told_also_where_it_is_new(tmp_path: Path) -> None:
    told = later("create table public.other (id int)", Difference(), tmp_path)
    assert told[0].startswith("public.other is new: nothing is recorded of it.")
