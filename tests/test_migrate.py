"""`bluegreen migrate`: what it shows, what it applies, and with which code it ends."""

import asyncio
import json
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest

from bluegreen.cli.migrate import migrate
from bluegreen.cli.migrate_state import Migrated
from bluegreen.cli.stack import Stack
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.connections import Connections
from bluegreen.handler import Refused
from bluegreen.postgres.apply import LOCK
from bluegreen.settings import Settings
from tests.cut_line import cut_line
from tests.database import as_superuser, database
from tests.postgres_room import OWNER, WAITING, Context, ask, book, folder, put_all, until

TEAMS = "create table public.teams (id bigint primary key);\nalter table public.teams enable row level security;\n"
MORE = "alter table public.teams add column name text;\n"
CONTRACT = "-- bluegreen:phase contract\n-- bluegreen:requires-schemaMin 011\ndrop table public.teams;\n"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports and backups go to where nobody looks."""
    monkeypatch.chdir(tmp_path_factory.mktemp("project"))


def desk(url: str, at: Path, target: str = "011", **more: Any) -> Desk:
    release = {"image": f"acme/shop@sha256:{'0' * 64}", "replicas": {"us-west2": 1}} | more.pop("release", {})
    config = {
        "railway": {"projectId": "p", "environmentId": "e"},
        "apps": {"backend": {"kind": "api", "live": "blue", "blue": release}},
        "migrations": {"target": target, "baseline": "010", "folder": str(at), "lockBudget": "1s", "dryRun": "skip"},
        **more,
    }
    settings = Settings.parse("shop", "test", {f"shop:{key}": json.dumps(value) for key, value in config.items()})
    return Desk(Stack("test", "shop", "test"), settings, Connections({"databaseUrl": url}), Context())


def run(at: Desk, action: Literal["status", "apply"]) -> Outcome:
    return asyncio.run(migrate(at, action))


def shown(outcome: Outcome) -> list[tuple[str, str, str]]:
    assert isinstance(outcome.facts, Migrated)
    return [(version.version, version.name, version.state) for version in outcome.facts.versions]


def test_status_shows_every_version_and_changes_nothing(tmp_path: Path) -> None:
    url = database()
    put_all(url, folder(tmp_path, _011_teams=TEAMS))
    at = folder(tmp_path, _012_more=MORE, _013_later="select 1")
    outcome = run(desk(url, at, "012"), "status")
    assert shown(outcome) == [
        ("011", "teams", "applied"),
        ("012", "more", "pending"),
        ("013", "later", "beyond target"),
    ]
    assert (outcome.exit, outcome.what, outcome.world, outcome.next) == (
        Exit.OK,
        "The schema is at 011; 012 is wanted.",
        "Applied: 011. Pending: 012. Beyond target: 013.",
        "Run pulumi up, or bluegreen migrate apply.",
    )
    assert list(book(url).entries) == ["011"]


def test_status_of_a_database_that_has_seen_nothing_makes_no_ledger(tmp_path: Path) -> None:
    url = database()
    outcome = run(desk(url, folder(tmp_path, _011_teams=TEAMS)), "status")
    assert (outcome.what, shown(outcome)) == (
        "The schema is at 010; 011 is wanted.",
        [("011", "teams", "pending")],
    )
    assert ask(url, "select to_regnamespace('bluegreen')") == [(None,)]


def test_status_as_json_says_who_applied_what_and_when(tmp_path: Path) -> None:
    url = database()
    put_all(url, folder(tmp_path, _011_teams=TEAMS))
    facts = run(desk(url, tmp_path), "status").model_dump(mode="json", by_alias=True)["facts"]
    entry = book(url).entries["011"]
    assert facts == {
        "target": "011",
        "schemaVersion": "011",
        "applied": [],
        "versions": [
            {
                "version": "011",
                "name": "teams",
                "state": "applied",
                "phase": "expand",
                "statements": 2,
                "appliedAt": entry.applied_at.isoformat().replace("+00:00", "Z"),
                "appliedBy": "postgres",
                "owner": OWNER,
                "tookMs": entry.took_ms,
                "attempts": 1,
                "report": None,
                "undo": "The ledger keeps no reverse script of it.",
                "half": None,
            }
        ],
    }


def test_status_tells_where_files_and_ledger_disagree(tmp_path: Path) -> None:
    url = database()
    put_all(url, folder(tmp_path, _011_teams=TEAMS, _012_more=MORE, _013_rest="select 1"), "013")
    folder(tmp_path, _011_teams=f"{TEAMS}-- more", _013_rest="select 1", _014_theirs="select 1")
    ask(url, "insert into supabase_migrations.schema_migrations (version) values ('014')")
    ask(url, "update bluegreen.migrations set version = '009' where version = '013'")
    outcome = run(desk(url, tmp_path, "014"), "status")
    assert [(version, state) for version, _, state in shown(outcome)] == [
        ("011", "edited"),
        ("012", "applied"),
        ("013", "foreign"),
        ("014", "foreign"),
    ]
    assert (outcome.exit, outcome.next) == (
        Exit.DRIFT,
        "Files and ledger disagree: docs/migrations.md tells the ways out.",
    )


def test_an_applied_version_below_the_target_without_its_file_is_refused(tmp_path: Path) -> None:
    url = database()
    put_all(url, folder(tmp_path, _011_teams=TEAMS, _012_more=MORE), "012")
    (tmp_path / "012_more.sql").unlink()
    assert shown(run(desk(url, tmp_path, "011"), "status")) == [("011", "teams", "applied"), ("012", "more", "applied")]
    with pytest.raises(Refused, match=r"no file has the number 012"):
        run(desk(url, tmp_path, "012"), "status")


def test_apply_applies_what_is_pending_up_to_the_target_in_order(tmp_path: Path) -> None:
    url = database()
    at = folder(tmp_path, _011_teams=TEAMS, _012_more=MORE, _013_later="select 1")
    outcome = run(desk(url, at, "012"), "apply")
    assert (outcome.exit, outcome.world) == (Exit.OK, "The schema is at 012.")
    assert outcome.what.startswith("012_more: applied, 1 statement in ")
    assert isinstance(outcome.facts, Migrated)
    assert (outcome.facts.applied, list(book(url).entries)) == (("011", "012"), ["011", "012"])
    again = run(desk(url, at, "012"), "apply")
    assert (again.exit, again.what) == (Exit.OK, "Nothing is pending.")


def test_two_who_apply_at_once_apply_once_and_the_other_says_so(tmp_path: Path) -> None:
    url, at = database(), folder(tmp_path, _011_teams=f"{TEAMS}{WAITING}select pg_sleep(0.2);")

    async def both() -> list[Outcome]:
        return list(await asyncio.gather(*(migrate(desk(url, at), "apply") for _ in range(2))))

    said = sorted(outcome.what.partition(",")[0].partition(" on ")[0] for outcome in asyncio.run(both()))
    assert said == ["011_teams: already applied", "011_teams: applied"]


def test_a_file_that_fails_ends_with_ten_and_what_came_before_it_stays(tmp_path: Path) -> None:
    url = database()
    outcome = run(desk(url, folder(tmp_path, _011_teams=TEAMS, _012_more="select * from nowhere"), "012"), "apply")
    assert (outcome.exit, outcome.what, outcome.world) == (
        Exit.FAILED_BEFORE_SWITCH,
        '012_more fails at line 1, column 15: relation "nowhere" does not exist (42P01).',
        "All of it was rolled back: the database is as it was. Applied before it, and staying: 011.",
    )
    assert list(book(url).entries) == ["011"]


def test_a_lock_that_is_never_free_ends_with_sixteen(tmp_path: Path) -> None:
    url = database()
    with psycopg.connect(url) as holder:
        holder.execute("lock table public.projects in share mode")
        at = folder(tmp_path, _011_teams="alter table public.projects add column teams int;")
        outcome = run(desk(url, at), "apply")
    assert (outcome.exit, outcome.what.partition(" within ")[0]) == (Exit.LOCKED, "011_teams did not get its locks")


def test_a_turn_that_never_comes_ends_with_sixteen(tmp_path: Path) -> None:
    url = database()
    with psycopg.connect(url, autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(%s)", [LOCK])
        outcome = run(desk(url, folder(tmp_path, _011_teams=TEAMS)), "apply")
    assert (outcome.exit, outcome.what.partition(" within ")[0]) == (Exit.LOCKED, "011_teams did not get its turn")


def test_a_run_that_is_stopped_ends_with_ten(tmp_path: Path) -> None:
    url = database()
    at = desk(url, folder(tmp_path, _011_teams=f"{TEAMS}{WAITING}select pg_sleep(60);"))
    sleeping = "select exists (select from pg_stat_activity where wait_event = 'PgSleep' and datname = '{}')"

    async def inside() -> Outcome:
        work = asyncio.ensure_future(migrate(at, "apply"))
        await until(as_superuser(url), sleeping.format(url.rpartition("/")[2]))
        assert isinstance(at.ctx, Context)
        at.ctx.cancelled = True
        return await work

    outcome = asyncio.run(inside())
    assert (outcome.exit, outcome.what) == (
        Exit.FAILED_BEFORE_SWITCH,
        "011_teams was asked to stop, and was not applied.",
    )


def test_a_connection_that_never_holds_ends_with_thirteen(tmp_path: Path) -> None:
    async def inside() -> Outcome:
        async with cut_line(database(), "before", times=99) as (address, _):
            return await migrate(desk(address, folder(tmp_path, _011_teams=TEAMS)), "apply")

    assert asyncio.run(inside()).exit == Exit.INCONCLUSIVE


def test_an_edited_file_is_refused_before_anything_is_applied(tmp_path: Path) -> None:
    url = database()
    put_all(url, folder(tmp_path, _011_teams=TEAMS))
    folder(tmp_path, _011_teams=f"{TEAMS}-- more", _012_more=MORE)
    with pytest.raises(Refused, match=r"^011_teams was edited: "):
        run(desk(url, tmp_path, "012"), "apply")
    assert list(book(url).entries) == ["011"]


def test_a_contract_waits_for_every_colour_to_do_without(tmp_path: Path) -> None:
    url, at = database(), folder(tmp_path, _011_teams=TEAMS, _012_gone=CONTRACT)
    with pytest.raises(Refused, match=r"012_gone requires"):
        run(desk(url, at, "012"), "apply")
    assert book(url).entries == {}
    fits = desk(url, at, "012", release={"schemaMin": "011"}, rollout={"rollbackWindow": {"duration": "0s"}})
    assert run(fits, "apply").exit == Exit.OK


def test_a_second_pending_contract_is_refused_before_anything_is_applied(tmp_path: Path) -> None:
    url = database()
    again = "-- bluegreen:phase contract\n-- bluegreen:requires-schemaMin 011\nselect 1"
    at = folder(tmp_path, _011_teams=TEAMS, _012_gone=again, _013_more=again)
    with pytest.raises(Refused, match=r"^013_more cannot be applied before 012"):
        run(desk(url, at, "013"), "apply")
    assert book(url).entries == {}


def test_a_stack_without_migrations_is_told_how_to_have_them(tmp_path: Path) -> None:
    outcome = run(desk(database(), tmp_path, migrations={}), "status")
    assert (outcome.exit, outcome.what) == (Exit.REFUSED, "This stack has no migrations.")


def test_a_stack_without_a_database_is_told_which_key_to_set(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        run(desk("", folder(tmp_path, _011_teams=TEAMS)), "status")
    assert "bluegreen:databaseUrl" in refused.value.next
