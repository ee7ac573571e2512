"""Whatever is wrong with what somebody gives us: one clear sentence, before anything changes, and nothing is lost.

Every case goes through the real engine, as a person would meet it. `unchanged` compares what was there before with
what is there after: the state, the gateway and the database.
"""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sandbox.postgres_address import PASSWORD
from sandbox.registry import HOST
from sandbox.stack import ROOT
from sandbox.stack_runs import Run
from tests.box import Box, box, touched
from tests.transaction_pooler import pooler

DIGEST = "sha256:" + "0" * 64
CLOSED = "http://127.0.0.1:1"
FILE = "011_team_collaboration_foundation.sql"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Blue live at schema 010; green does not exist."""
    with box(tmp_path_factory.mktemp("bad"), database=True) as one:
        one.bootstrap()
        yield one


def schema(here: Box) -> list[tuple[object, ...]]:
    """Every relation and function of the database that is not Postgres's own."""
    if "postgres" not in here.world.members:
        return []
    asked = """
        select 'relation', oid::regclass::text from pg_class
        where relnamespace::regnamespace::text !~ '^(pg_|information)'
        union all select 'function', oid::regprocedure::text from pg_proc
        where pronamespace::regnamespace::text !~ '^(pg_|information)' order by 1, 2
    """
    with psycopg.connect(here.world.database_url) as line:
        return line.execute(asked).fetchall()


def unchanged(here: Box) -> dict[str, Any]:
    state = here.stack.exported()["deployment"].get("resources", [])
    return {
        **{row["urn"]: (row["id"], row["inputs"], row["outputs"]) for row in state if row["custom"]},
        "gateway": sorted(row["entity_id"] for row in here.tagged_ours()),
        "targets": here.weights(),
        "railway": here.world.apps(),
        "database": schema(here),
    }


def refused(here: Box, command: str = "preview", **variables: str) -> Run:
    """The command fails, says something a person can read, and leaves everything as it was."""
    before = unchanged(here)
    run = here.stack.run(command, *(["--yes"] if command == "up" else []), **variables)
    assert run.code != 0, run.output
    assert "Traceback" not in run.output
    after = unchanged(here)
    assert {key: value for key, value in after.items() if value != before[key]} == {}
    return run


def green(here: Box, **changes: Any) -> None:
    here.stack.deploy("backend", "green", "v1")
    here.stack.config["velro:apps"]["backend"]["green"].update(changes)
    here.stack.write()


def unknown_key(here: Box) -> None:
    here.stack.config["velro:rollout"]["oder"] = ["backend"]


def unknown_colour(here: Box) -> None:
    here.stack.config["velro:apps"]["backend"]["live"] = "red"


def colour_without_a_block(here: Box) -> None:
    here.stack.config["velro:apps"]["backend"]["live"] = "green"


MISTAKES: list[tuple[str, Callable[[Box], None], str]] = [
    ("an unknown key", unknown_key, "velro:rollout.oder: unknown key. Nothing was changed. Correct Pulumi.sandbox"),
    ("an unknown colour", unknown_colour, "velro:apps.backend.live: "),
    ("a colour without a block", colour_without_a_block, "live is green, which has no block here"),
    ("a tag", lambda here: green(here, image=f"{HOST}/backend:v2"), "is not pinned to a digest"),
    ("a hyphen", lambda here: green(here, healthcheckPath="/health-check"), "contains a hyphen, which Railway rejects"),
    ("a schema that nobody makes", lambda here: green(here, schemaMin="011"), "needs schema 011, and migrations"),
    ("a target without a file", lambda here: here.stack.migrate("077"), "no file has the number 012 to 077"),
]


@pytest.mark.parametrize(("edit", "said"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
def test_a_mistake_in_the_config_stops_the_preview(here: Box, edit: Callable[[Box], None], said: str) -> None:
    before = here.stack.snapshot()
    edit(here)
    here.stack.write()
    try:
        assert said in refused(here).output
    finally:
        here.stack.restore(before)


CONNECTIONS = {
    "Kong": ({"BLUEGREEN_KONG_ADMIN_URL": CLOSED}, "Kong's Admin API"),
    "Railway": ({"BLUEGREEN_RAILWAY_URL": CLOSED}, "Railway"),
    "a token that Railway does not know": (
        {"BLUEGREEN_RAILWAY_TOKEN": "wrong"},
        "token belongs to one environment of one",
    ),
    "no token": ({"BLUEGREEN_RAILWAY_TOKEN": ""}, "Set BLUEGREEN_RAILWAY_TOKEN to a project token"),
}


@pytest.mark.parametrize(("variables", "said"), CONNECTIONS.values(), ids=CONNECTIONS)
def test_what_cannot_be_reached_or_entered_is_named(here: Box, variables: dict[str, str], said: str) -> None:
    before = here.stack.snapshot()
    here.stack.deploy("backend", "green", "v1")
    try:
        assert said in refused(here, "up", **variables).output
    finally:
        here.stack.restore(before)


DATABASES = {
    "nobody listens": (f"postgresql://postgres:{PASSWORD}@127.0.0.1:1/postgres", "127.0.0.1"),
    "a wrong password": ("postgresql://postgres:hunter2@127.0.0.1:{port}/postgres", "password"),
    "no such database": (f"postgresql://postgres:{PASSWORD}@127.0.0.1:{{port}}/nowhere", "nowhere"),
    "no address at all": ("", "bluegreen:databaseUrl"),
}


@pytest.mark.parametrize(("url", "said"), DATABASES.values(), ids=DATABASES)
def test_a_database_that_cannot_be_entered_is_named_and_its_password_is_not(here: Box, url: str, said: str) -> None:
    before = here.stack.snapshot()
    here.stack.migrate("011")
    try:
        run = refused(here, "up", BLUEGREEN_DATABASE_URL=url.format(port=here.world.ports.postgres))
        assert said in run.output
        assert "hunter2" not in run.output
        assert PASSWORD not in run.output
    finally:
        here.stack.restore(before)


def numbered(folder: Path, *names: str) -> None:
    for name in names:
        table = f"public.t{name[:3]}"
        sql = f"create table {table} (id bigint primary key);\nalter table {table} enable row level security;\n"
        (folder / name).write_text(sql, encoding="utf-8")


FOLDERS = {
    "a gap": (("011_one.sql", "013_three.sql"), "013", "012"),
    "a number twice": (("011_one.sql", "011_two.sql"), "011", "011"),
}


@pytest.mark.parametrize(("names", "target", "said"), FOLDERS.values(), ids=FOLDERS)
def test_files_that_do_not_count_up_stop_the_preview(
    here: Box, tmp_path: Path, names: tuple[str, ...], target: str, said: str
) -> None:
    before = here.stack.snapshot()
    numbered(tmp_path, *names)
    here.stack.config["velro:migrations"].update(folder=str(tmp_path), target=target)
    here.stack.write()
    try:
        assert said in refused(here).output
    finally:
        here.stack.restore(before)


def test_a_file_that_was_edited_after_it_was_applied_stops_the_preview_and_the_update(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    with box(tmp_path_factory.mktemp("edited"), database=True) as one:
        numbered(tmp_path, "011_one.sql")
        one.stack.config["velro:migrations"].update(folder=str(tmp_path), target="011")
        one.stack.write()
        one.bootstrap()
        with (tmp_path / "011_one.sql").open("a", encoding="utf-8") as file:
            file.write("alter table public.t011 add note text;\n")
        for command in ("preview", "up"):
            assert "An applied migration never changes" in refused(one, command).output


def test_a_truncated_state_is_told_in_one_sentence_and_put_back_as_it_says(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with box(tmp_path_factory.mktemp("truncated")) as one:
        one.bootstrap()
        file = one.stack.folder / "state/.pulumi/stacks/velro/sandbox.json"
        whole, weights = file.read_text(encoding="utf-8"), one.weights()
        file.write_text(whole[: len(whole) // 2], encoding="utf-8")
        command = [str(ROOT / "bin" / "bluegreen"), "recover", "--stack", "sandbox"]
        told = subprocess.run(
            command, cwd=ROOT, env=one.stack.environment(), capture_output=True, text=True, check=False
        )
        assert (told.returncode, one.weights(), one.stack.up("--skip-preview").code) == (15, weights, 1)
        said, _, after = told.stdout.partition("Put the newest whole copy back: ")
        assert said == (
            "The state of stack sandbox cannot be read: place 1: unexpected end of JSON input. "
            "Nothing was changed; traffic goes on as the gateway has it. "
        )
        subprocess.run(after.partition(";")[0], shell=True, check=True)
        assert touched(one.ok("--skip-preview")) == []


def test_a_transaction_pooler_is_no_way_into_the_database(here: Box) -> None:
    before = here.stack.snapshot()
    here.stack.migrate("011")

    async def run() -> Run:
        async with pooler(here.world.database_url, "transaction", 1) as url:
            return await asyncio.to_thread(refused, here, "up", BLUEGREEN_DATABASE_URL=url)

    try:
        assert (
            "is a transaction pooler, where a session's lock and settings are anybody's." in asyncio.run(run()).output
        )
    finally:
        here.stack.restore(before)
