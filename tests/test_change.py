"""One change whole: which plan it goes by, what it makes sure of in its turn, and what it says of the end."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from bluegreen.handler import Held, Partial, Refused
from bluegreen.postgres import drift, report
from bluegreen.postgres.apply import LOCK
from bluegreen.postgres.migration import MigrationHandler
from bluegreen.postgres.plan import Plan
from bluegreen.postgres.session import Database
from bluegreen.postgres.spec import Backups, MigrationState
from bluegreen.postgres.verify.promised import verified
from tests.change_room import ANN, SIGN_UP, TEAMS, UNLIKE, Room, Watcher, never, run
from tests.postgres_room import Context, book, halted, put_all

WIDER = "alter table public.projects add column teams text;\n"
NOTES = "create schema notes"
# On the database, where there is somebody, the question is not true; the first two segments stay.
MIXED = f"""
-- bluegreen:verify select not exists (select from public.users)
{TEAMS}
create index concurrently projects_by_name on public.projects (name);
alter table public.projects add column teams text;
"""
HELD = "select count(*) from pg_locks where locktype = 'advisory' and granted and database = "
HERE = "(select oid from pg_database where datname = current_database())"


def handler(room: Room) -> MigrationHandler:
    return MigrationHandler(lambda: Database(room.url), never)


def kept(room: Room, version: str = "011", target: str = "011") -> Plan:
    found = room.change(None, version, target).kept()
    assert found is not None
    return found


def test_a_plan_is_taken_as_it_is_while_nothing_that_it_is_made_of_has_changed(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(_011_teams=TEAMS)
    first = room.planned()
    assert room.planned() == first
    assert run(room.change().stale(first)) == ""

    room.write(_011_teams=f"{TEAMS}-- more\n")
    assert run(room.change().stale(first)) == "was made for another text"
    room.write(_011_teams=TEAMS)
    room.beside("statements/backend.sql", "select 1;\n")
    assert run(room.change().stale(first)) == "was made with another matrix, or other statements, beside the file"
    (room.files / "statements" / "backend.sql").unlink()
    assert room.planned() == first
    room.ask("create table public.more (id bigint primary key)")
    assert run(room.change().stale(first)) == "was made on another schema than the database has now"
    again = room.planned()
    assert (again.production == first.production, again.written_at == first.written_at) == (False, False)
    (tmp_path / "backups").write_text("a file", encoding="utf-8")
    halt = halted(room.change().carried_out())
    assert f"Not a directory: '{tmp_path}/backups/test/011_teams'" in halt.what
    assert halt.world.startswith("Nothing was changed.")
    assert book(room.url).entries == {}
    assert run(room.change().stale(room.planned(dry_run="skip"))) == "was made without a copy"


def test_a_schema_that_changes_between_the_plan_and_the_first_statement_is_refused(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(_011_teams=TEAMS)

    with psycopg.connect(room.url, autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", [LOCK])

        def meddle(said: str) -> None:
            if ": waits for " in said:  # so the plan is made, and the turn is not had yet
                other.execute("create table public.more (id bigint primary key)")
                other.execute("select pg_advisory_unlock(%s)", [LOCK])

        halt = halted(room.change(Context(on_milestone=meddle)).carried_out())
    assert (type(halt), halt.what, halt.world) == (
        Refused,
        "011_teams was tried on another schema than this: somebody changed it meanwhile.",
        "Nothing was changed.",
    )
    assert (room.ask("select to_regclass('public.teams')"), book(room.url).entries) == ([(None,)], {})
    assert room.points() == []


def test_a_point_to_come_back_to_is_made_once_in_the_turn_and_the_report_holds_what_became_of_it(
    tmp_path: Path,
) -> None:
    room, held = Room(tmp_path), list[int]()
    room.ask(SIGN_UP)
    room.ask(f"insert into public.projects (user_id, name) values ('{ANN}', 'film')")
    room.write(_011_wider=WIDER)
    with psycopg.connect(room.url) as other:
        other.execute("lock table public.projects in share mode")  # nobody who reads waits for it
        pid = other.info.backend_pid

        def let_go(said: str) -> None:
            if "is tried again until a lock is free" in said:
                other.rollback()

        def look(said: str) -> None:
            if said.startswith("backup: dumps"):
                [(count,)] = room.ask(f"{HELD}{HERE}")
                held.append(int(count))
                assert room.ask("select count(*) from bluegreen.migrations") == [(0,)]

        run(room.change(Watcher(on_milestone=let_go, on_status=look)).carried_out())
    plan = kept(room)
    assert (held, len(room.points())) == ([1], 1)
    assert plan.backup is not None
    assert (plan.backup.restored, plan.backup.asked, plan.backup.folder) == (
        True,
        ("public.projects",),
        str(room.points()[0]),
    )
    assert plan.applied is not None
    assert plan.backup.at is not None
    assert plan.applied.applied_at is not None
    assert plan.backup.at < plan.applied.applied_at
    assert plan.verified is not None
    assert plan.verified.well
    (blocker,) = plan.blockers
    assert f"process {pid}" in blocker
    assert blocker in (room.change().folder / "plan.md").read_text(encoding="utf-8").replace("\\", "")
    (script,) = room.change().folder.glob("rollback_011_wider_*.sql")
    assert room.ask("select reverse from bluegreen.migrations") == [(script.read_text(encoding="utf-8"),)]


def test_a_half_applied_file_is_previewed_as_what_it_is_and_its_plan_is_kept(tmp_path: Path) -> None:
    room, later = Room(tmp_path), {"version": "012", "target": "012"}
    room.ask(SIGN_UP)
    room.write(_010_before="select 1", _011_mixed=MIXED, _012_more="alter table public.teams add column name text;\n")
    halt = halted(room.change(None, target="012").carried_out())
    assert halt.what.startswith("011_mixed ")
    assert halt.world.startswith("2 of its 3 segments "), halt.world
    point = kept(room, target="012").backup
    assert (len(room.points()), point is not None) == (1, True)

    ctx = Context()
    run(handler(room).preview(ctx, room.spec(target="012"), None))
    run(handler(room).preview(ctx, room.spec(**later), None))
    assert ctx.milestones[0] == "011_mixed: goes on where it stopped, with 2 segments of it done"
    assert "not tried on a copy. 011 is half applied, with 2 segments of it done: the rest " in ctx.milestones[1]
    alone = run(room.plans(room.change(None, target="012"), anew=True)).not_checked
    assert alone == ("011 is half applied, with 2 segments of it done: the rest can only be tried in its place.",)
    assert kept(room, target="012").backup == point


def test_a_half_applied_file_goes_on_by_the_plan_that_it_began_with(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.ask(SIGN_UP)
    room.write(_011_mixed=MIXED)
    halted(room.change().carried_out())
    began = kept(room)
    room.ask("delete from auth.users")
    assert run(room.change().carried_out()).fresh
    ended = kept(room)
    assert began.backup is not None
    assert (len(room.points()), ended.backup) == (1, began.backup)
    assert (ended.applied is not None, ended.verified is not None and ended.verified.well) == (True, True)
    assert room.ask("select reverse from bluegreen.migrations") == [(report.reverse_script(began),)]


def test_what_is_not_as_on_the_copy_stays_partial_until_it_is_mended(tmp_path: Path) -> None:
    room, said = Room(tmp_path), "011_unlike is applied, and the database is not as its copy was: "
    room.ask(SIGN_UP)
    room.write(_011_unlike=UNLIKE)
    held = left_partial(room, None)
    assert (held.id, held.state.version, held.state.attempts) == ("011", "011", 1)
    plan = kept(room)
    assert plan.verified is not None
    assert "schema notes is missing" in plan.verified.differences
    assert left_partial(room, held).state == held.state
    first = halted(handler(room).update(Context(), room.spec(), held))
    assert first.what.startswith(said)
    assert first.next.endswith("or take it back (bluegreen migrate rollback 011).")

    room.ask(NOTES)
    assert run(handler(room).update(Context(), room.spec(), held)) == held.state
    mended = kept(room).verified
    assert mended is not None
    assert mended.well
    assert len(room.points()) == 1


def test_what_is_not_as_on_the_copy_may_be_taken_as_it_is(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.ask(SIGN_UP)
    room.write(_011_unlike=UNLIKE)
    held = left_partial(room, None)
    assert run(room.change().changed(book(room.url)))
    run(drift.accept(Database(room.url), "ann", "it is only notes", Context()))
    assert run(handler(room).update(Context(), room.spec(), held)) == held.state
    assert run(room.change().changed(book(room.url))) == ()


def test_whoever_never_came_to_look_looks_the_next_time(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(_011_teams=TEAMS)
    planned = room.planned()
    put_all(room.url, room.files)  # by a run that ended before it looked, or by a colleague
    room.ask("alter table public.teams disable row level security")
    halt = halted(room.change().carried_out())
    assert "table public.teams is not as it was there" in halt.what
    elsewhere = planned.model_copy(update={"tried_on": 17})  # which tells the same table in other words
    assert run(verified(Database(room.url), elsewhere)).same
    room.ask("alter table public.teams enable row level security")
    assert run(room.change().carried_out()).fresh is False
    seen = kept(room)
    assert (seen.written_at, seen.applied, seen.verified is not None and seen.verified.well) == (
        planned.written_at,
        book(room.url).entries["011"].state(),
        True,
    )


def test_a_schema_that_was_changed_by_hand_is_refused_in_a_preview_or_told_there(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(_011_teams=TEAMS, _012_more="alter table public.teams add column name text;\n")
    put_all(room.url, room.files)
    run(drift.accept(Database(room.url), "ann", "it begins here", Context()))
    room.ask("create table public.odd (id bigint primary key)")
    for refused in (
        halted(handler(room).preview(Context(), room.spec("012", "012"), None)),
        halted(handler(room).create(Context(), room.spec("012", "012"))),
    ):
        assert refused.what.startswith("The schema was changed by hand since 011_teams: new: ")
        assert "table public.odd" in refused.what
    ctx = Context()
    run(handler(room).preview(ctx, room.spec("012", "012", drift="warn"), None))
    assert ctx.milestones[0].startswith("012_more: the schema was changed by hand since 011_teams: new: ")
    assert ctx.milestones[1].startswith("012_more: pending, 1 statement, expand; ")


def test_what_the_text_tells_is_refused_before_anything_is_tried(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(_011_gone="drop table public.projects;\n")
    for halt in (
        halted(handler(room).preview(Context(), room.spec(), None)),
        halted(handler(room).create(Context(), room.spec())),
    ):
        assert halt.what.startswith("011_gone is refused: line 1: DROP TABLE ")
        assert "-- bluegreen:allow phase-mismatch REASON" in halt.next
    assert room.ask("select to_regclass('bluegreen.migrations')") == [(None,)]


def test_a_report_that_cannot_be_written_stops_what_is_not_begun(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(_011_teams=TEAMS)
    (tmp_path / "reports").write_text("a file", encoding="utf-8")
    halt = halted(room.change(dry_run="skip").carried_out())
    assert (halt.what, halt.world, halt.next) == (
        f"The report cannot be written to {room.change().folder}: Not a directory.",
        "Nothing was changed.",
        "Make room for it there, or name another folder (migrations.reports).",
    )
    assert book(room.url).entries == {}


def left_partial(room: Room, old: Held[MigrationState] | None) -> Held[MigrationState]:
    """What an apply leaves that ends with the database being unlike its copy."""
    asked = handler(room)
    with pytest.raises(Partial) as partial:
        asyncio.run(asked.update(Context(), room.spec(), old) if old else asked.create(Context(), room.spec()))
    held: Held[MigrationState] = partial.value.held
    return held


def test_what_is_left_of_a_half_applied_file_is_read_again_when_it_was_edited(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.ask(SIGN_UP)
    room.write(_011_mixed=MIXED)
    halted(room.change().carried_out())
    edited = MIXED.replace("alter table public.projects add column teams text;", "drop table public.generations;")
    room.write(_011_mixed=edited.replace("-- bluegreen:verify select not exists (select from public.users)", "--"))
    for refused in (
        halted(room.change().carried_out()),
        halted(handler(room).preview(Context(), room.spec(), None)),
    ):
        assert "DROP TABLE (relation public.generations)" in refused.what
    assert room.ask("select to_regclass('public.generations') is not null") == [(True,)]


def test_a_contract_that_takes_from_what_no_dump_holds_is_refused_until_the_file_says_why_it_may(
    tmp_path: Path,
) -> None:
    room, small = Room(tmp_path), Backups(folder=str(tmp_path / "backups"), megabytes=0)
    room.ask(f"{SIGN_UP}; insert into public.projects (user_id, name) values ('{ANN}', 'one')")
    gone = (
        "-- bluegreen:phase contract\n-- bluegreen:requires-schemaMin 010\n"
        "alter table public.projects drop column description;\n"
    )
    room.write(_011_gone=gone)
    refused = halted(room.change(backup=small).carried_out())
    assert refused.what.startswith("011_gone takes from what no dump holds: public.projects")
    assert room.ask("select count(*) from information_schema.columns where column_name = 'description'") != [(0,)]
    room.write(_011_gone=f"-- bluegreen:allow no-backup it is in the warehouse\n{gone}")
    assert run(room.change(backup=small).carried_out()).fresh


def test_rows_that_are_written_behind_a_statement_s_back_refuse_the_file(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.ask(
        "create table public.heard (id bigint); "
        "create function public.hear() returns trigger language plpgsql as $$ begin "
        "delete from public.projects; return null; end $$; "
        "create trigger hears after insert on public.heard for each statement execute function public.hear()"
    )
    sql = "insert into public.heard values (1);\n"
    room.write(_011_says=sql)
    assert "writes rows of public.projects, which its text does not tell (hidden-write)" in room.planned().refusals[0]
    room.write(_011_says=f"-- bluegreen:allow hidden-write nobody has a project yet\n{sql}")
    assert room.planned().refusals == ()
