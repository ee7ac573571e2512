"""The sandbox's Postgres is like Supabase's where an app notices, keeps what it has, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from sandbox.postgres import Server
from sandbox.postgres_address import address
from sandbox.postgres_binaries import MAJORS, Major, NoPostgres, Owner, programs
from sandbox.postgres_cluster import claim, cluster, forget, leave
from sandbox.world_members import Process, kill, wait_until
from tests.database import as_app, as_superuser, database, server
from tests.test_app import free_port

ROOT = Path(__file__).resolve().parents[1]
ANNA, BERT = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"
majors = pytest.mark.parametrize("major", MAJORS)


def rows(url: str, *statements: LiteralString) -> list[tuple[object, ...]]:
    """What the last of these statements answers, in one transaction that is kept."""
    with psycopg.connect(url) as line:
        for statement in statements[:-1]:
            line.execute(statement)
        return line.execute(statements[-1]).fetchall()


def as_user(url: str, user: str, statement: LiteralString) -> list[tuple[object, ...]]:
    """What the statement answers to a signed-in user of the app."""
    with psycopg.connect(url) as line:
        line.execute("set local role authenticated")
        line.execute("select set_config('request.jwt.claims', %s, true)", [f'{{"sub": "{user}"}}'])
        return line.execute(statement).fetchall()


@contextmanager
def signed_up(major: Major) -> Iterator[str]:
    """A database with two users, and a project of Anna's."""
    url = database(major)
    with psycopg.connect(url) as line:
        for user, email in ((ANNA, "anna@example.com"), (BERT, "bert@example.com")):
            line.execute("insert into auth.users (id, email) values (%s, %s)", [user, email])
        line.execute("insert into public.projects (user_id, name) values (%s, 'Anna''s')", [ANNA])
        line.execute("insert into public.generations (user_id, model, prompt) values (%s, 'm', 'p')", [ANNA])
    yield url


@majors
def test_the_owner_is_no_superuser_and_the_platform_is(major: Major) -> None:
    url = database(major)
    query: LiteralString = "select rolsuper, rolbypassrls from pg_roles where rolname = current_user"
    assert rows(url, query) == [(False, True)]
    assert rows(as_superuser(url, major), query)[0][0] is True


@majors
def test_the_server_is_of_the_major_that_was_asked_for(major: Major) -> None:
    ((version,),) = rows(database(major), "show server_version_num")
    assert int(str(version)) // 10_000 == major


@majors
@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_the_app_logs_in_without_rights_and_becomes_each_of_the_api_roles(major: Major, role: LiteralString) -> None:
    url = as_app(database(major), major)
    assert rows(url, "set role " + role, "select current_user::text") == [(role,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows(url, "select * from public.users")


@majors
def test_a_request_is_whose_its_claims_say(major: Major) -> None:
    url = as_app(database(major), major)
    assert rows(url, "set role anon", "select auth.uid()") == [(None,)]
    assert as_user(url, ANNA, "select auth.uid()::text, auth.jwt() ->> 'sub'") == [(ANNA, ANNA)]


@majors
def test_what_the_owner_makes_is_at_once_open_to_the_api_roles(major: Major) -> None:
    url = database(major)
    made = "create table public.notes (id int generated always as identity primary key, text text)"
    rows(url, made, "insert into public.notes (text) values ('hello') returning id")
    assert rows(as_app(url, major), "set role anon", "select text from public.notes") == [("hello",)]


@majors
def test_everybody_sees_what_is_theirs_and_nothing_else(major: Major) -> None:
    with signed_up(major) as url:
        app = as_app(url, major)
        seen: LiteralString = "select (select count(*) from public.projects), (select count(*) from public.generations)"
        assert as_user(app, ANNA, "select email from public.users") == [("anna@example.com",)]
        assert as_user(app, ANNA, seen) == [(1, 1)]
        assert as_user(app, BERT, seen) == [(0, 0)]
        assert rows(app, "set role anon", seen) == [(0, 0)]
        assert rows(app, "set role service_role", seen) == [(1, 1)]


@majors
def test_nobody_writes_for_somebody_else(major: Major) -> None:
    with signed_up(major) as url:
        for_bert: LiteralString = (
            "insert into public.projects (user_id, name)"
            " select '00000000-0000-0000-0000-00000000000b', 'x' returning id"
        )
        assert len(as_user(as_app(url, major), BERT, for_bert)) == 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            as_user(as_app(url, major), ANNA, for_bert)


@majors
def test_postgress_own_programs_are_at_hand(major: Major) -> None:
    url = database(major)
    told = server(major).run("psql", "--no-align", "--tuples-only", "--command", "select 6 * 7", url)
    dumped = server(major).run("pg_dump", "--schema-only", "--schema=public", url)
    assert (told.returncode, told.stdout) == (0, "42\n")
    assert dumped.returncode == 0, dumped.stderr
    assert "CREATE TABLE public.projects" in dumped.stdout


@majors
def test_a_restart_keeps_the_data_and_so_does_a_kill(tmp_path: Path, major: Major) -> None:
    with Server(tmp_path, free_port(), major=major) as postgres:
        rows(postgres.url(), "create table kept (n int)", "insert into kept values (1) returning n")
        postgres.stop()
        assert postgres.pid is None
        postgres.start()
        rows(postgres.url(), "insert into kept values (2) returning n")
        assert postgres.pid is not None
        os.kill(postgres.pid, signal.SIGKILL)
        assert wait_until(lambda: postgres.pid is None, 10)
        postgres.start()
        assert rows(postgres.url(), "select n from kept order by n") == [(1,), (2,)]


def test_the_server_runs_as_nobody_where_this_user_is_root(tmp_path: Path) -> None:
    with Server(tmp_path, free_port()) as postgres:
        assert postgres.pid is not None
        owner = Path(f"/proc/{postgres.pid}").stat().st_uid
    assert owner == Owner.here().uid
    assert owner != 0


def test_a_killed_server_leaves_no_shared_memory(tmp_path: Path) -> None:
    postgres = Server(tmp_path, free_port())
    postgres.start()
    assert postgres.pid is not None
    files = cluster(tmp_path, Owner.here())
    block = (files / "postmaster.pid").read_text().splitlines()[6].split()[1]
    postmaster = Process.of(postgres.pid)
    assert postmaster is not None
    assert kill([postmaster]) == []
    assert block in _blocks()
    postgres.stop()
    forget(tmp_path)
    assert block not in _blocks()
    assert not files.exists()


def _blocks() -> list[str]:
    """The ids of this computer's System V shared memory."""
    return [line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]


def test_a_killed_server_that_nobody_reaped_does_not_keep_its_cluster_locked(tmp_path: Path) -> None:
    with Server(tmp_path, free_port()) as postgres:
        lock = cluster(tmp_path, Owner.here()) / "postmaster.pid"
        held = lock.read_text().splitlines(keepends=True)
        postgres.stop()
        with subprocess.Popen([sys.executable, "-c", ""]) as unreaped:
            assert wait_until(lambda: Process.of(unreaped.pid) is None, 10)
            lock.write_text("".join([f"{unreaped.pid}\n", *held[1:]]))
            postgres.start()
        assert rows(postgres.url(), "select 1") == [(1,)]


def test_files_outside_go_with_their_world_and_files_in_the_folder_stay(tmp_path: Path) -> None:
    open_folder = Path(tempfile.mkdtemp(prefix="bluegreen-tests-"))
    try:
        private = tmp_path / "private"
        private.mkdir()
        private.chmod(0o700)
        open_folder.chmod(0o755)
        for data in (private, open_folder):
            claim(data, Owner.here()).mkdir()
        leave(private)
        leave(open_folder)
        assert cluster(open_folder, Owner.here()) == open_folder / "cluster"
        assert (open_folder / "cluster").exists()
        outside = Owner.here().foreign  # anybody but root has the files of a private folder in it, too
        assert cluster(private, Owner.here()).exists() is not outside
        assert cluster(private, Owner.here()).parent.exists() is not outside
    finally:
        forget(open_folder)
        open_folder.rmdir()


def test_files_whose_data_folder_has_vanished_go_when_the_next_cluster_is_made(tmp_path: Path) -> None:
    gone, next_one = tmp_path / "gone", tmp_path / "next"
    lost = claim(gone, Owner.here())
    lost.mkdir()
    (lost / "PG_VERSION").touch()
    if lost.parent == gone:
        (lost / "PG_VERSION").unlink()
        lost.rmdir()
    gone.rmdir()
    claim(next_one, Owner.here())
    assert not lost.exists()
    forget(next_one)


def test_a_port_in_use_is_one_sentence_before_any_file_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "sandbox.postgres", "--port", str(port), "--data", str(tmp_path)]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    sentence = f"Port {port} on 127.0.0.1 cannot be used (Address already in use); choose another.\n"
    assert (told.returncode, told.stdout, told.stderr) == (2, "", sentence)
    assert not cluster(tmp_path, Owner.here()).exists()
    forget(tmp_path)


def test_another_majors_files_are_told_in_one_sentence(tmp_path: Path) -> None:
    try:
        Server(tmp_path, free_port(), major=16).__enter__().stop()
        with pytest.raises(NoPostgres, match=r"Postgres cannot start on port \d+: .*incompatible with server.* See "):
            Server(tmp_path, free_port(), major=18).start()
    finally:
        forget(tmp_path)


def test_programs_lie_where_the_servers_user_can_run_them() -> None:
    owner = Owner.here()
    for major in MAJORS:
        found = programs(major, owner)
        assert owner.enters(found)
        for program in ("initdb", "postgres", "psql", "pg_dump", "pg_restore"):
            assert (found / program).exists(), program


def test_an_address_names_who_and_which_database() -> None:
    assert address(5432) == "postgresql://postgres:sandbox-postgres@127.0.0.1:5432/postgres"
    assert address(5432, "authenticator", "x") == "postgresql://authenticator:sandbox-postgres@127.0.0.1:5432/x"
