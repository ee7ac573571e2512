"""The checks of database and migrations: each passes on a healthy one, and one fault is exactly one finding."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from bluegreen.postgres.turn import LOCK
from bluegreen.validation import database as checks
from bluegreen.validation import sessions
from bluegreen.validation.finding import Finding
from sandbox.postgres import Server
from tests.database import as_app, as_superuser, database, name_of
from tests.postgres_room import folder, put_all
from tests.transaction_pooler import pooler
from tests.validation_room import Found, config, once, parsed, wrong

GROUP = ("database",)
ADD = "alter table public.users add column note text;"
TWO = "create table public.labels (id bigint primary key);"


def stack(at: Path, target: str = "011", needs: str | None = None) -> dict[str, object]:
    keys = config(migrations={"target": target, "baseline": "010", "folder": str(at)})
    if needs is not None:
        keys["apps"]["backend"]["blue"]["schemaMin"] = needs
    return keys


def migrated(at: Path) -> tuple[str, Path]:
    """A database that has seen 011, and the folder that it came from."""
    url, files = database(), folder(at / "migrations", _011_notes=ADD)
    put_all(url, files)
    return url, files


def look(url: str, keys: dict[str, object]) -> Found:
    return asyncio.run(once(parsed(keys), {"databaseUrl": url}, groups=GROUP))


def run(url: str, text: str) -> None:
    with psycopg.connect(url, autocommit=True) as line:
        line.execute(text.encode())


@contextmanager
def client(url: str, *texts: str, name: str = "app") -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """Somebody who has said this, and is still there."""
    with psycopg.connect(url, autocommit=True, application_name=name) as line:
        for text in texts:
            line.execute(text.encode())
        yield line


def the_only(found: Found, id: str, remedy: str) -> Finding:
    """The one finding that is not well, of which the remedy is told."""
    assert [id] == [each.partition(":")[0] for each in wrong(found)], wrong(found)
    (finding,) = wrong(found).values()
    assert remedy in finding.hint
    return finding


def test_every_check_of_a_database_that_is_well_passes(tmp_path: Path) -> None:
    url, files = migrated(tmp_path)
    found = look(url, stack(files, needs="011"))
    assert {"pass"} == {each.status for each in found.values()}, found
    assert len(found) == 18
    assert "Postgres 18" in found["database-reachable"].observed
    assert "the database is at 011_notes" == found["migrations-applied"].observed


def test_a_database_that_is_away_fails_one_check_and_the_others_are_skipped(tmp_path: Path) -> None:
    found = look("postgresql://ann:word-of-ann@127.0.0.1:9/none", stack(tmp_path))
    finding = the_only(found, "database-reachable", "Check bluegreen:databaseUrl")
    assert "fail" == finding.status
    assert {"skipped"} == {each.status for id, each in found.items() if id != "database-reachable"}
    assert not any("word-of-ann" in each.model_dump_json() for each in found.values())


def test_no_database_in_the_config_is_skipped_with_the_keys_name() -> None:
    found = asyncio.run(once(parsed(config()), {}, groups=GROUP))
    assert {"skipped"} == {each.status for each in found.values()}
    assert "BLUEGREEN_DATABASE_URL" in found["database-reachable"].observed


def test_a_transaction_pooler_fails_the_session_alone(tmp_path: Path) -> None:
    async def scene() -> Found:
        async with pooler(database()) as url:
            return await once(parsed(stack(tmp_path)), {"databaseUrl": url}, groups=GROUP)

    the_only(asyncio.run(scene()), "database-session", "Name the session port (5432)")


def test_a_server_older_than_what_is_read_here_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "OLDEST", 190_000)
    url, files = migrated(tmp_path)
    assert "Postgres 18" in the_only(look(url, stack(files)), "database-version", "Upgrade").observed


def test_a_database_that_takes_no_writes_is_told(tmp_path: Path) -> None:
    url, files = migrated(tmp_path)
    read_only = f"{url}?options=-c%20default_transaction_read_only%3Don"
    the_only(look(read_only, stack(files)), "database-writable", "Name the primary")


def test_a_superuser_is_a_warning_and_an_app_that_may_not_migrate_a_fault(tmp_path: Path) -> None:
    url, files = migrated(tmp_path)
    finding = the_only(look(as_superuser(url), stack(files)), "database-role", "is no superuser")
    assert ("warn", True) == (finding.status, "whom nothing stops" in finding.observed)
    keys = config()  # without migrations: nobody asks for the ledger, which is not the app's to read
    found = asyncio.run(once(parsed(keys), {"databaseUrl": as_app(url)}, "database-role"))
    finding = the_only(found, "database-role", "GRANT USAGE ON SCHEMA bluegreen")
    assert "fail" == finding.status


def test_a_table_of_somebody_else_is_named_with_its_owner() -> None:
    url = database()
    run(as_superuser(url), "create table public.foreign_one (id int)")
    found = asyncio.run(once(parsed(config()), {"databaseUrl": url}, "database-role"))
    assert (
        "public.foreign_one (supabase_admin's)" in the_only(found, "database-role", "Name the tables' owner").observed
    )


def test_too_few_connections_for_two_fleets_are_counted(tmp_path: Path) -> None:
    url, files = migrated(tmp_path)
    run(as_superuser(url), f"alter database {name_of(url)} connection limit 4")
    with client(as_app(url)), client(as_app(url)):
        finding = the_only(look(url, stack(files)), "database-connections", "Lower the pool of each replica")
    assert "1 of 4 are free; the apps have 2 (authenticator 2)" in finding.observed


@pytest.mark.parametrize(
    ("name", "remedy"), [("report", "pg_terminate_backend({pid})"), ("bluegreen up", "Let it end, then validate again")]
)
def test_whoever_waits_for_a_lock_is_named_with_who_is_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, remedy: str
) -> None:
    monkeypatch.setattr(sessions, "WAITING", 0.0)
    url, files = migrated(tmp_path)
    with client(url, "begin", "lock table public.users", name=name) as blocker:
        pid = blocker.info.backend_pid
        with client(url, "set lock_timeout = '20s'") as waiter:
            waiter.pgconn.send_query(b"select count(*) from public.users")
            waits = "select count(*) = 1 from pg_locks where not granted"
            while blocker.execute(f"{waits} and pid = {waiter.info.backend_pid}".encode()).fetchone() != (True,):
                pass
            found = look(url, stack(files))
            blocker.execute(b"rollback")
            while waiter.pgconn.get_result() is not None:
                pass
    finding = the_only(found, "database-locks", remedy.format(pid=pid))
    assert f"because of process {pid} ({name}, postgres)" in finding.observed


def test_a_transaction_that_is_open_for_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "OPEN", 0.0)
    url, files = migrated(tmp_path)
    with client(url, "begin", "select 1", name="batch") as line:
        found = look(url, stack(files))
        the_only(found, "database-transactions", f"pg_terminate_backend({line.info.backend_pid})")


def test_who_sleeps_in_a_transaction_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "IDLE", 0.0)
    url, files = migrated(tmp_path)
    with client(url, "begin", "select 1"):
        finding = the_only(look(url, stack(files)), "database-idle-transactions", "idle_in_transaction_session_timeout")
    assert "warn" == finding.status


@pytest.mark.parametrize("id", ["database-transactions", "database-idle-transactions", "database-connections"])
def test_a_role_that_sees_only_itself_takes_nobody_for_calm(id: str) -> None:
    found = asyncio.run(once(parsed(config()), {"databaseUrl": as_app(database())}, id))
    assert "skipped" == found[id].status
    assert "GRANT pg_read_all_stats TO authenticator" in found[id].observed


def test_a_slot_that_nobody_reads_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "BEHIND", -1)
    url, files = migrated(tmp_path)
    with client(as_superuser(url), "select pg_create_physical_replication_slot('left_over', true)") as line:
        try:
            the_only(look(url, stack(files)), "database-slots", "select pg_drop_replication_slot('left_over');")
        finally:
            line.execute(b"select pg_drop_replication_slot('left_over')")


def test_a_prepared_transaction_is_a_warning(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Server(tmp_path / "data", port) as server:
        run(server.url("supabase_admin"), "alter system set max_prepared_transactions = 2")
        server.stop()
        server.start()
        with client(server.url(), "begin", "lock table public.users", "prepare transaction 'it''s left'"):
            pass
        found = asyncio.run(once(parsed(config()), {"databaseUrl": server.url()}, groups=GROUP))
    the_only(found, "database-prepared", "ROLLBACK PREPARED 'it''s left'")


def _invalid_index(url: str) -> None:
    run(url, "create index broken on public.users (id)")
    run(as_superuser(url), "update pg_index set indisvalid = false where indexrelid = 'public.broken'::regclass")


def _not_valid(url: str) -> None:
    run(url, "alter table public.users add constraint positive check (id is not null) not valid")


@pytest.mark.parametrize(
    ("plant", "id", "remedy"),
    [
        (_invalid_index, "database-indexes", "DROP INDEX CONCURRENTLY public.broken"),
        (_not_valid, "database-constraints", "VALIDATE CONSTRAINT positive"),
    ],
)
def test_what_is_there_and_not_in_force_is_told(plant: Callable[[str], None], id: str, remedy: str) -> None:
    url = database()
    plant(url)
    the_only(asyncio.run(once(parsed(config()), {"databaseUrl": url}, groups=GROUP)), id, remedy)


def test_an_edited_migration_is_named(tmp_path: Path) -> None:
    url, files = migrated(tmp_path)
    folder(files, _011_notes=f"{ADD} -- and more")
    finding = the_only(look(url, stack(files)), "migrations-unedited", "restore the file, and write the next one")
    assert "011_notes was edited" in finding.observed


def test_a_migration_whose_file_is_gone_is_named(tmp_path: Path) -> None:
    url, files = migrated(tmp_path)
    folder(files, _012_labels=TWO)
    put_all(url, files, "012")
    (files / "011_notes.sql").unlink()
    finding = the_only(look(url, stack(files, "012")), "migrations-unedited", "")
    assert "011" in finding.observed


def test_while_somebody_migrates_nothing_is_taken_for_broken(tmp_path: Path) -> None:
    url, files = migrated(tmp_path)
    with client(url, f"select pg_advisory_lock({LOCK})", "create table public.half ()", name="bluegreen up"):
        found = look(url, stack(files))
    finding = the_only(found, "migrations-whole", "Wait for its end")
    assert ("warn", "skipped") == (finding.status, found["database-drift"].status)
    assert "(bluegreen up) is migrating this database" in finding.observed


def test_an_index_that_is_being_built_is_a_warning(tmp_path: Path) -> None:
    url, files = migrated(tmp_path)
    writes = "lock table public.users in row exclusive mode"
    with client(url, "begin", writes) as writer, client(url) as builder:
        builder.pgconn.send_query(b"create index concurrently slow_idx on public.users (id)")
        waits = b"select count(*) = 1 from pg_stat_progress_create_index where phase like 'waiting for%'"
        while writer.execute(waits).fetchone() != (True,):
            writer.execute(b"select pg_stat_clear_snapshot()")
        found = look(url, stack(files))
        writer.execute(b"rollback")
        while builder.pgconn.get_result() is not None:
            pass
    finding = found["database-indexes:public.slow_idx"]
    assert ("warn", True) == (finding.status, "Wait for its end" in finding.hint)


def test_a_pending_migration_is_a_warning(tmp_path: Path) -> None:
    url, files = migrated(tmp_path)
    folder(files, _012_labels=TWO)
    finding = the_only(look(url, stack(files, "012")), "migrations-applied", "bluegreen migrate dry-run")
    assert ("warn", "012_labels is pending") == (finding.status, finding.observed)


def test_a_half_applied_migration_is_told(tmp_path: Path) -> None:
    url, files = migrated(tmp_path)
    folder(files, _012_labels=TWO)
    row = "('012', 1, repeat('a', 64), 'transaction', 'done', now())"
    run(url, f"insert into bluegreen.segments (version, number, sha256, kind, state, done_at) values {row}")
    the_only(look(url, stack(files, "012")), "migrations-whole", "Run pulumi up")


def test_a_schema_that_was_changed_by_hand_is_told(tmp_path: Path) -> None:
    url, files = migrated(tmp_path)
    run(url, "alter table public.users add column by_hand text")
    finding = the_only(look(url, stack(files)), "database-drift", "bluegreen migrate accept")
    assert "public.users" in finding.observed


def test_a_live_release_that_needs_a_newer_schema_fails(tmp_path: Path) -> None:
    url, files = migrated(tmp_path)
    for ledger in ("bluegreen.migrations", "supabase_migrations.schema_migrations"):
        run(as_superuser(url), f"delete from {ledger} where version = '011'")
    found = wrong(look(url, stack(files, needs="011")))
    assert {"schema-fit:backend-blue", "migrations-applied"} == set(found)
    assert "migrations.target" in found["schema-fit:backend-blue"].hint
