"""`bluegreen migrate analyze | dry-run | apply --plan | verify | rollback | accept | matrix`: how each of them ends."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from bluegreen.cli.migrate import Action, migrate
from bluegreen.cli.migrate_look import Looked, Plans
from bluegreen.cli.migrate_state import Migrated, Version
from bluegreen.cli.stack import Stack
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.connections import Connections
from bluegreen.handler import Halt, Refused
from bluegreen.settings import Settings
from sandbox.postgres_address import PASSWORD
from tests.change_room import SIGN_UP, TEAMS, UNLIKE, Room
from tests.postgres_room import Context, book, put_all
from tests.published import faults, fits

MORE = "alter table public.teams add column name text;\n"
WORLD = "-- bluegreen:person anon anon\ninsert into public.teams (id) values (1);\n"
LOOSE = (
    "create policy all_may_read on public.teams for select to anon using (true);\ngrant select on public.teams to anon;"
)


def desk(room: Room, target: str = "011", ctx: Context | None = None, **more: Any) -> Desk:
    release = {"image": f"acme/shop@sha256:{'0' * 64}", "replicas": {"us-west2": 1}} | more.pop("release", {})
    folders = {"reports": str(room.at / "reports"), "backup": {"folder": str(room.at / "backups")}}
    config = {
        "railway": {"projectId": "p", "environmentId": "e"},
        "apps": {"backend": {"kind": "api", "live": "blue", "blue": release}},
        "migrations": {"target": target, "baseline": "010", "folder": str(room.files), **folders, **more},
    }
    settings = Settings.parse("shop", "test", {f"shop:{key}": json.dumps(value) for key, value in config.items()})
    known = {"databaseUrl": room.url} if room.url else {}
    return Desk(Stack("test", "shop", "test"), settings, Connections(known), ctx or Context())


def run(room: Room, action: Action, version: str | None = None, *, at: Desk | None = None, **options: Any) -> Outcome:
    """How the verb ends, as the command line would print it; no secret is in it."""
    try:
        outcome = asyncio.run(migrate(at or desk(room), action, version, **options))
    except Halt as halt:
        outcome = Outcome(exit=Exit.REFUSED, what=halt.what, world=halt.world, next=halt.next)
    assert PASSWORD not in outcome.model_dump_json()
    return fits("migrate", outcome)


def test_an_analysis_needs_no_database_and_says_what_it_finds(tmp_path: Path) -> None:
    room = Room(tmp_path, url="")
    room.write(_011_teams=TEAMS, _012_gone="drop table public.projects;\n")
    well = run(room, "analyze")
    assert (well.exit, well.what, well.world) == (
        Exit.OK,
        "011_teams: pending, 2 statements, expand; not tried on a copy.",
        "Nothing was asked of a database.",
    )
    assert run(room, "status").what == "The address of the database is not configured."
    refused = run(room, "analyze", "012")  # beyond the target
    assert (refused.exit, refused.what.partition(": line")[0]) == (
        Exit.REFUSED,
        "1 thing speaks against 012_gone: 012_gone",
    )
    assert not (tmp_path / "reports").exists()
    assert run(room, "analyze", "009").what == "There is no migration 009 above the baseline 010."
    assert run(room, "analyze", "nonsense").exit == Exit.REFUSED


def test_a_dry_run_tries_what_is_pending_each_on_top_of_the_one_before(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(_011_teams=TEAMS, _012_more=MORE, _013_wrong="select * from nowhere;\n")
    outcome = run(room, "dry-run", at=desk(room, "012"))
    assert (outcome.exit, outcome.world) == (Exit.OK, "The database was only read.")
    assert isinstance(outcome.facts, Plans)
    assert [plan.rehearsed for plan in outcome.facts.plans] == [True, True]
    assert outcome.facts.plans[1].difference is not None
    assert outcome.facts.plans[1].difference.added == ("column public.teams.name",)

    told = outcome.model_dump(mode="json", by_alias=True)["facts"]["plans"]
    assert [] == [fault for plan in told for fault in faults("migration-plan", plan)]
    assert [] != faults("migration-plan", {**told[0], "traced": {"statements": "many"}})

    failed = run(room, "dry-run", "013")  # two beyond the target
    assert (failed.exit, failed.what, failed.world) == (
        Exit.FAILED_BEFORE_SWITCH,
        '013_wrong fails at line 1, column 15: relation "nowhere" does not exist (42P01).',
        "Nothing was changed: it ran on a copy.",
    )
    assert room.ask("select to_regclass('public.teams'), to_regclass('bluegreen.migrations')") == [(None, None)]


def test_a_dry_run_of_a_refused_file_ends_with_fifteen_and_one_that_is_stopped_with_ten(tmp_path: Path) -> None:
    room, ctx = Room(tmp_path), Context(cancelled=True)
    room.write(_011_gone="drop table public.projects;\n")
    refused = run(room, "dry-run")
    assert (refused.exit, refused.what.partition(" (relation")[0]) == (
        Exit.REFUSED,
        "1 thing speaks against 011_gone: 011_gone: line 1: DROP TABLE",
    )
    both: tuple[Action, ...] = ("dry-run", "apply")
    for action in both:
        stopped = run(room, action, at=desk(room, ctx=ctx))
        assert (stopped.exit, stopped.what) == (
            Exit.FAILED_BEFORE_SWITCH,
            "The dry run of 011_gone was given up: somebody asked to stop.",
        )


def test_an_approved_plan_is_applied_while_it_fits_looked_at_and_taken_back(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(_011_teams=TEAMS)
    assert run(room, "dry-run").exit == Exit.OK
    approved = tmp_path / "approved.json"
    approved.write_bytes((tmp_path / "reports" / "test" / "migrations" / "011_teams" / "plan.json").read_bytes())

    room.write(_011_teams=f"{TEAMS}-- more\n")
    edited = run(room, "apply", plan=approved)
    assert (edited.exit, edited.what) == (
        Exit.REFUSED,
        f"{approved}, the plan of 011_teams, was made for another text.",
    )
    room.write(_011_teams=TEAMS)
    room.ask("create table public.odd (id bigint primary key)")
    stale = run(room, "apply", plan=approved)
    assert (stale.exit, stale.what, stale.next) == (
        Exit.REFUSED,
        f"{approved}, the plan of 011_teams, was made on another schema than the database has now.",
        "Run bluegreen migrate dry-run, and have its plan approved.",
    )
    room.ask("drop table public.odd")
    room.write(_012_more=MORE)
    assert run(room, "apply", at=desk(room, "012"), plan=approved).what == (
        f"{approved} is the plan of 011_teams, and pending is 011_teams, 012_more."
    )
    assert book(room.url).entries == {}
    assert run(room, "apply", plan=approved).exit == Exit.OK

    standing = run(room, "status", at=desk(room, "012")).facts
    assert isinstance(standing, Migrated)
    folder = tmp_path / "reports" / "test" / "migrations" / "011_teams"
    assert [(each.report, each.undo, each.half) for each in standing.versions] == [
        (f"{folder}/plan.md", "bluegreen migrate rollback 011: reversible with loss, proven.", None),
        (None, None, None),
    ]
    assert run(room, "verify").what == "The database is as its migrations left it."
    room.ask("alter table public.teams disable row level security")
    drifted = run(room, "verify")
    assert drifted.exit == Exit.DRIFT
    assert isinstance(drifted.facts, Looked)
    assert [said.partition(":")[0] for said in drifted.facts.found] == [
        "table public.teams is not as it was there",
        "changed by hand since 011_teams",
    ]
    assert run(room, "accept").what == "There is no --reason."
    taken = run(room, "accept", reason="nobody reads it")
    assert (taken.exit, taken.what) == (Exit.OK, "The schema is taken as it is: different: table public.teams.")
    assert run(room, "verify").exit == Exit.OK

    room.ask("insert into public.teams (id) values (1), (2)")
    needed = run(room, "rollback", "011", at=desk(room, release={"schemaMin": "011"}))
    assert (needed.exit, needed.what) == (
        Exit.REFUSED,
        "011 cannot be taken back: apps.backend.blue declares a schemaMin that needs it.",
    )
    assert run(room, "rollback").what == "Which migration is to be taken back?"
    assert run(room, "rollback", "012").what == "012 is not applied, so there is nothing to take back."
    loss = run(room, "rollback", "011")
    assert (loss.exit, loss.what) == (Exit.REFUSED, "Taking 011_teams back would lose 2 rows of public.teams.")
    back = run(room, "rollback", "011", accept_data_loss=True)
    assert back.what.startswith("011_teams is taken back in "), back
    assert back.next.startswith('Set migrations.target below "011" and run pulumi refresh; ')
    assert (room.ask("select to_regclass('public.teams')"), book(room.url).entries) == ([(None,)], {})

    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in written} >= {".json", ".md", ".html", ".sql", ".dump"}
    secrets = (PASSWORD.encode(), base64.b64encode(PASSWORD.encode()))
    assert PASSWORD in room.url
    assert [path for path in written if any(secret in path.read_bytes() for secret in secrets)] == []


def test_what_was_applied_and_is_not_as_on_the_copy_ends_with_fourteen_until_it_is_mended(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.ask(SIGN_UP)
    room.write(_011_unlike=UNLIKE)
    assert (run(room, "apply").exit, list(book(room.url).entries)) == (Exit.DRIFT, ["011"])
    again = run(room, "apply")
    assert (again.exit, again.what.partition(": ")[0]) == (
        Exit.DRIFT,
        "011_unlike is applied, and the database is not as its copy was",
    )
    room.ask("create schema notes")
    mended = run(room, "apply")
    assert (mended.exit, mended.what) == (Exit.OK, "Nothing is pending.")


def test_later_migrations_may_change_what_earlier_ones_made(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(_011_teams=TEAMS)
    room.planned()
    room.write(_012_loose="alter table public.teams disable row level security;\n")
    put_all(room.url, room.files, "012")
    assert run(room, "verify", at=desk(room, "012")).exit == Exit.OK
    room.ask("truncate bluegreen.catalog")  # as a run leaves it that ended before it was recorded
    unsure = run(room, "verify", at=desk(room, "012"))
    assert (unsure.what, unsure.world.partition("Not known: ")[2]) == (
        "Nothing is found that is not as it was left.",
        "it was not recorded after 012_loose.",
    )


def test_a_matrix_is_recorded_and_a_loosened_policy_differs_from_it(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(_011_teams=TEAMS)
    assert run(room, "matrix").what == f"no matrix: {room.files}/matrix/011_*.sql is missing."
    room.beside("matrix/011_world.sql", WORLD)
    recorded = run(room, "matrix", record=True)
    recording = room.files / "matrix" / "011_world.matrix"
    assert (recorded.exit, recorded.what.endswith(f"answers are kept beside {room.files}/matrix/011_world.sql.")) == (
        Exit.OK,
        True,
    )
    assert "public.teams" in recording.read_text(encoding="utf-8")
    assert run(room, "matrix").what == "The matrix is as it was recorded."
    room.write(_011_teams=f"{TEAMS}{LOOSE}")
    loosened = run(room, "matrix")
    assert (loosened.exit, "anon may now SELECT public.teams: 1." in loosened.what) == (Exit.DRIFT, True)
    assert room.ask("select to_regclass('public.teams')") == [(None,)]


def test_where_nothing_is_wanted_there_is_nothing_to_try(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(_011_teams=TEAMS)
    at = desk(room, "010")
    assert run(room, "matrix", at=at).what == "Nothing is wanted above the baseline."
    assert run(room, "analyze", at=at).what == "Nothing is wanted above the baseline."
    assert run(room, "dry-run", at=at).what == "Nothing is pending."


def test_status_tells_what_is_half_done_and_what_has_to_go_back_first(tmp_path: Path) -> None:
    room = Room(tmp_path)
    mixed = f"-- bluegreen:verify select false\ncreate index concurrently by_name on public.projects (name);\n{MORE}"
    room.write(_011_teams=TEAMS, _012_more="select 1;\n", _013_mixed=mixed)
    with pytest.raises(Refused):
        put_all(room.url, room.files, "013")
    outcome = run(room, "status", at=desk(room, "013"))
    assert isinstance(outcome.facts, Migrated)
    standing: dict[str, Version] = {each.version: each for each in outcome.facts.versions}
    assert (standing["011"].undo, standing["012"].undo) == (
        "Take 012 back first.",
        "The ledger keeps no reverse script of it.",
    )
    assert standing["013"].half == "goes on where it stopped, with 1 segment of it done"
    assert outcome.world == "Applied: 011, 012. Begun: 013. 013 goes on where it stopped, with 1 segment of it done."
    tried = run(room, "dry-run", at=desk(room, "013"))
    assert (tried.exit, "not tried on a copy" in tried.what) == (Exit.OK, True)


@pytest.mark.parametrize(
    ("action", "version", "options", "said"),
    [
        ("rollback", "abc", {}, "'abc' is no version"),
        ("rollback", "", {}, "'' is no version"),
        ("analyze", "²", {}, "'²' is no version"),
        ("rollback", "٣", {}, "'٣' is no version"),
        ("apply", "011", {}, "bluegreen migrate apply does not take '011'."),
        ("verify", None, {"record": True}, "bluegreen migrate verify does not take --record."),
        ("status", None, {"reason": "why"}, "bluegreen migrate status does not take --reason."),
    ],
)
def test_what_an_action_does_not_take_is_refused(
    tmp_path: Path, action: Action, version: str | None, options: dict[str, Any], said: str
) -> None:
    room = Room(tmp_path, url="")
    outcome = run(room, action, version, **options)
    assert (outcome.exit, outcome.what.startswith(said), outcome.world) == (Exit.REFUSED, True, "Nothing was changed.")
