"""What a rehearsal makes of what it sees: what a file means to leave so, and who may what in its own things."""

from pathlib import Path

import psycopg

from bluegreen.postgres.rehearsal import met, rehearse_from
from bluegreen.postgres.session import Database
from bluegreen.postgres.verify.matrix import compare
from tests.change_room import ANN, SIGN_UP, TEAMS, Room, run
from tests.database import as_superuser, name_of
from tests.postgres_room import put_all, read

WORLD = f"-- bluegreen:person ann authenticated {ANN}\n-- bluegreen:person anon anon\n{SIGN_UP};\n"
MIGRATIONS = Path("migrations").resolve()
ARCHIVE = "alter table public.projects add column archived_at timestamptz;\n"


def record(room: Room, version: str) -> None:
    """As `bluegreen migrate matrix VERSION --record` does, on a database that has not seen the file yet."""
    change = room.change(version=version)
    found, seed = run(met(change.database, change.file, (change.file,)))
    assert seed is not None
    seed.record(found.text)


def test_a_new_column_or_table_is_not_refused_by_an_older_recording(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.beside("matrix/010_world.sql", WORLD)
    room.write(_011_more=f"{ARCHIVE}{TEAMS}")
    change = room.change()
    before, seed = run(met(change.database, change.file, ()))
    assert seed is not None
    room.beside("matrix/010_world.matrix", before.text)
    assert room.planned().refusals == ()


def test_what_was_recorded_of_a_later_version_refuses_no_earlier_one(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.beside("matrix/011_world.sql", WORLD)
    room.write(_011_more=ARCHIVE)
    record(room, "011")
    room.write(_012_open="create policy all_of_them on public.projects for select to anon using (true);\n")
    room.beside("matrix/012_open.matrix", "public.projects  select  anon  all\n")
    assert room.planned().matrix_differences == ()


def test_a_new_value_of_an_enum_is_forward_only_and_refuses_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.ask("create type public.mood as enum ('calm')")
    room.write(_011_mood=f"alter type public.mood add value 'wild';\n{TEAMS}")
    plan = room.planned()
    assert plan.reverse is not None
    assert (plan.refusals, plan.reverse.verdict, plan.reverse.proven) == ((), "forward only", True)
    assert plan.counts is not None
    assert plan.counts.tables == 1  # what is looked at is what the file has made, and not what is left of it


def test_a_constraint_that_the_file_itself_adds_not_valid_is_told_and_not_refused(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(
        _011_named="-- bluegreen:allow catalog-phase nobody writes that\n"
        "-- bluegreen:allow new-restriction nobody writes that\n"
        "alter table public.projects add constraint named check (name <> 'x') not valid;\n"
    )
    plan = room.planned()
    assert ([fault.object for fault in plan.leftovers], plan.refusals) == (["public.projects.named"], ())
    assert run(room.change().carried_out()).fresh


def test_whoever_serves_another_schema_is_asked_about_that_too(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.ask("create schema api; grant usage on schema api to anon; create table api.open (id int); ")
    with psycopg.connect(as_superuser(room.url), autocommit=True) as line:
        setting = f"alter role authenticator in database {name_of(room.url)} set pgrst.db_schemas = 'public, api'"
        line.execute(setting.encode())
    room.write(_011_teams=TEAMS)
    plan = room.planned()
    assert plan.matrix is not None
    assert "api.open" in {line.what for line in plan.matrix.lines}


def test_on_a_copy_of_what_was_migrated_the_answers_are_those_of_the_database(tmp_path: Path) -> None:
    """Foreign keys act in the order in which they were made, and pg_dump tells them by name."""
    room = Room(tmp_path)
    put_all(room.url, MIGRATIONS)
    (file,) = read(MIGRATIONS)
    found, seed = run(met(Database(room.url), file, ()))
    assert seed is not None
    assert seed.recorded is not None
    assert compare(seed.recorded, found) == ()


def test_a_file_is_rehearsed_on_a_schema_that_a_file_of_sql_makes(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(_011_teams=TEAMS)
    baseline = tmp_path / "010.sql"
    baseline.write_text("create table public.projects (id bigint primary key);\n", encoding="utf-8")
    change = room.change()
    plan = run(rehearse_from(baseline, change.file, (), change.wanted, change.ctx))
    assert (plan.refusals, plan.rehearsed, plan.production, plan.where) == ((), True, "", "")
    assert plan.not_checked[-1] == "No database was asked: the schema is that of 010.sql, on Postgres 18."
