"""Migrations through the real engine and a real Postgres: what a person meets, and what a crash leaves."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sandbox.stack import ROOT
from sandbox.stack_runs import Run
from tests.box import Box, box, children, kill, moment, touched, wait
from tests.postgres_room import WAITING

TEAMS = "011_team_collaboration_foundation"
MIGRATION = f"postgres:Migration {TEAMS}"
SLEEPING = f"{WAITING}select pg_sleep(4);"


@pytest.fixture
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Blue live at schema 010."""
    with box(tmp_path_factory.mktemp("migrations"), database=True) as one:
        one.bootstrap()
        yield one


def ask(here: Box, question: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(here.world.database_url, autocommit=True) as line:
        return line.execute(question.encode()).fetchall()


def ledger(here: Box) -> list[str]:
    if ask(here, "select to_regclass('bluegreen.migrations')") == [(None,)]:
        return []
    return [str(row[0]) for row in ask(here, "select version from bluegreen.migrations order by version")]


def tables(here: Box) -> int:
    """How many of 011's tables there are."""
    [(count,)] = ask(here, "select count(*) from pg_tables where tablename like 'team%' and schemaname = 'public'")
    return int(count)


def slow_teams(here: Box, folder: Path) -> None:
    """Edit: 011 as it is, with a pause in its middle, so that there is a moment to die in."""
    text = (ROOT / "migrations" / f"{TEAMS}.sql").read_text(encoding="utf-8")
    before, policies, after = text.partition("create policy ")
    assert policies
    (folder / f"{TEAMS}.sql").write_text(f"{before}{SLEEPING}\n{policies}{after}", encoding="utf-8")
    # Untried: the copy would sleep as well.
    here.stack.config["velro:migrations"] |= {"folder": str(folder), "dryRun": "skip"}
    here.stack.migrate("011")


def in_the_middle(here: Box) -> bool:
    asked = "select count(*) from pg_stat_activity where state = 'active' and wait_event = 'PgSleep'"
    return ask(here, asked) == [(1,)]


def cli(here: Box, *arguments: str) -> "subprocess.Popen[str]":
    command = [str(ROOT / "bin" / "bluegreen"), *arguments, "--stack", here.stack.name]
    return subprocess.Popen(
        command, cwd=ROOT, env=here.stack.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_schema_grows_with_the_release_that_needs_it_and_stays_when_both_are_reverted(here: Box) -> None:
    stack, before = here.stack, here.stack.snapshot()
    stack.migrate("011")
    stack.deploy("backend", "green", "v2")
    stack.shift("green")
    preview = stack.run("preview").output
    assert f"{TEAMS}: pending, 109 statements, expand; locks users, projects, generations (writes wait ≈ " in preview
    assert "; reversible with loss; matrix as recorded (" in preview
    report = stack.folder / "reports" / stack.name / "migrations" / TEAMS
    assert {"plan.html", "plan.json", "plan.md"} <= {path.name for path in report.iterdir()}
    run = here.ok("--skip-preview")
    order = [
        moment(run, f"create {MIGRATION}"),
        moment(run, "create railway:Service backend-green", "pre"),
        moment(run, "create command:local:Command backend-green-verified"),
        moment(run, "update rollout:Traffic traffic", "pre"),
    ]
    assert (order, ledger(here), here.weights()) == (sorted(order), ["011"], {"blue": 0, "green": 100})

    stack.restore(before)  # the revert of all three
    preview = stack.run("preview").output
    assert "is not applied. Where it was applied before, its schema stays and nothing is dropped." in preview
    assert f"bluegreen:postgres:Migration {TEAMS} delete[retain]" in preview
    reverted = here.ok("--skip-preview")
    assert here.weights() == {"blue": 100, "green": 0} or here.weights() == {"blue": 100}
    assert (ledger(here), tables(here)) == (["011"], 3)
    assert not [said for said in touched(reverted) if said.startswith("create ")]

    stack.migrate("011")
    again = here.ok()
    assert touched(again) == [f"create {MIGRATION}"]
    assert f"{TEAMS}: already applied" in again.output


def test_files_of_one_phase_are_applied_one_after_the_other(here: Box, tmp_path: Path) -> None:
    for version, sql in (
        ("011", "create table a (id bigint primary key); alter table a enable row level security;"),
        ("012", "alter table a add column name text;"),
    ):
        (tmp_path / f"{version}_step.sql").write_text(f"{WAITING}select pg_sleep(0.5);\n{sql}\n", encoding="utf-8")
    here.stack.config["velro:migrations"]["folder"] = str(tmp_path)
    here.stack.migrate("012")
    run = here.ok("--skip-preview")
    ends, begins = "create postgres:Migration 011_step", "create postgres:Migration 012_step"
    assert moment(run, ends) < moment(run, begins, "pre")


def test_a_rollback_needs_neither_railway_nor_postgres(here: Box) -> None:
    stack = here.stack
    stack.migrate("011")
    stack.deploy("backend", "green", "v2")
    here.ok("--skip-preview")
    stack.shift("green")
    here.ok("--skip-preview")
    here.world.stop("railway")
    here.world.stop("postgres")
    stack.shift("blue")
    run = here.ok("--skip-preview")
    assert (touched(run), here.weights()) == (["update rollout:Traffic traffic"], {"blue": 100, "green": 0})
    here.world.start("postgres")
    here.world.start("railway")
    assert (ledger(here), touched(here.ok())) == (["011"], [])


@pytest.mark.parametrize("whom", ["engine", "provider", "both"])
def test_a_deployer_that_dies_in_the_middle_of_a_migration_leaves_all_of_it_or_nothing(
    here: Box, tmp_path: Path, whom: str
) -> None:
    slow_teams(here, tmp_path)
    started = here.stack.start("up", "--yes", "--skip-preview")
    wait(lambda: in_the_middle(here))
    providers = [pid for pid, said in children(started.process.pid).items() if "bluegreen.provider" in said]
    assert providers
    for pid in [*([started.process.pid] if whom != "provider" else []), *(providers if whom != "engine" else [])]:
        kill(pid)
    started.finish()
    wait(lambda: ask(here, "select count(*) from pg_stat_activity where application_name like 'bluegreen%'") == [(0,)])
    assert (ledger(here), tables(here)) in [([], 0), (["011"], 3)]
    recovered = cli(here, "recover")
    recovered.communicate()
    assert recovered.returncode == 0
    here.ok("--skip-preview")
    assert (ledger(here), tables(here), touched(here.ok())) == (["011"], 3, [])


def test_two_that_apply_at_once_apply_it_once(here: Box, tmp_path: Path) -> None:
    slow_teams(here, tmp_path)
    first, second = cli(here, "migrate", "apply"), cli(here, "migrate", "apply")
    ran: list[Run] = []
    update = threading.Thread(target=lambda: ran.append(here.stack.up("--skip-preview")))
    update.start()
    said = [one.communicate()[0] for one in (first, second)]
    update.join()
    told = [*said, ran[0].output]
    assert (first.returncode, second.returncode, ran[0].code) == (0, 0, 0), told
    applied = [text for text in told if f"{TEAMS}: applied, " in text]
    assert (len(applied), ledger(here), tables(here)) == (1, ["011"], 3), told


def test_what_a_release_still_needs_is_not_taken_away_and_goes_last_when_none_does(here: Box, tmp_path: Path) -> None:
    stack = here.stack
    shutil.copy(ROOT / "migrations" / f"{TEAMS}.sql", tmp_path)
    contract = (
        "-- bluegreen:phase contract\n-- bluegreen:requires-schemaMin 011\nalter table users drop display_name;\n"
    )
    (tmp_path / "012_no_display_name.sql").write_text(contract, encoding="utf-8")
    stack.config["velro:migrations"]["folder"] = str(tmp_path)
    stack.migrate("012")
    refused = stack.up()
    assert "backend.blue needs 010" in refused.output
    assert (refused.code != 0, ledger(here)) == (True, [])

    stack.deploy("backend", "blue", "v2")  # the only colour: v1 leaves with it
    stack.migrate("011")
    stack.deploy("backend", "green", "v2")
    stack.config["velro:apps"]["backend"]["blue"] = stack.block("backend", "blue", "v1")
    stack.write()
    here.ok("--skip-preview")
    stack.shift("green")
    here.ok("--skip-preview")
    del stack.config["velro:apps"]["backend"]["blue"]
    stack.migrate("012")
    run = here.ok("--skip-preview")
    created = f"create {MIGRATION.replace(TEAMS, '012_no_display_name')}"
    assert moment(run, created) == max(
        event.seq for event in run.events() if event.kind == "done" and event.op == "create"
    )
    assert ledger(here) == ["011", "012"]

    stack.config["velro:apps"]["backend"]["blue"] = stack.block("backend", "blue", "v1")  # the revert of that commit
    (tmp_path / "012_no_display_name.sql").unlink()
    stack.migrate("011")
    reverted = stack.up("--skip-preview")
    assert (reverted.code != 0, here.weights()["green"]) == (True, 100)
    assert (
        "backend-blue does not fit the database: 012_no_display_name, applied already, requires that every release "
        "needs schema 011 or newer, and backend.blue needs 010. No traffic was moved."
    ) in reverted.output
