"""A world's Postgres is a member like the others: it falls and rises alone with its data, and leaves nothing behind."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import LiteralString

import psycopg
import pytest

from sandbox.__main__ import main
from sandbox.postgres_binaries import Owner
from sandbox.postgres_cluster import cluster
from sandbox.world import World, WorldError, free_base
from sandbox.world_members import Process, beneath, wait_until
from tests.test_world import foreground, gone, run, said

ROOT = Path(__file__).resolve().parents[1]


def alone(data: Path) -> World:
    """A world of Postgres alone."""
    return World(free_base(), data, ("postgres",))


def ask(world: World, *statements: LiteralString) -> list[tuple[object, ...]]:
    with psycopg.connect(world.database_url, autocommit=True) as line:
        for statement in statements[:-1]:
            line.execute(statement)
        return line.execute(statements[-1]).fetchall()


def everything(world: World) -> list[Process]:
    """The stand-in and all that it started."""
    found = [process for pid in world.pids().values() if (process := Process.of(pid)) is not None]
    return [*found, *beneath(found)]


def files(world: World) -> Path:
    return cluster(world.data / "postgres", Owner.here())


@contextmanager
def open_folder() -> Iterator[Path]:
    """A data folder that the server's user can enter, so that the files lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="bluegreen-tests-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        rmtree(folder)


def test_the_owner_and_the_app_each_have_an_address(tmp_path: Path) -> None:
    with alone(tmp_path) as world:
        assert ask(world, "select current_user::text, count(*) from public.users") == [("postgres", 0)]
        with psycopg.connect(world.app_database_url) as line:
            assert line.execute("select current_user::text").fetchall() == [("authenticator",)]


def test_a_world_without_postgres_has_no_database(tmp_path: Path) -> None:
    world = World(free_base(), tmp_path, ("supervisor",))
    for url in ("database_url", "app_database_url"):
        with pytest.raises(WorldError, match=r"postgres is no member of this sandbox \(supervisor\); it has no"):
            getattr(world, url)


def test_data_outlive_a_stop_and_a_kill(tmp_path: Path) -> None:
    with alone(tmp_path) as world:
        ask(world, "create table kept (n int)", "insert into kept values (1) returning n")
        world.stop("postgres")
        assert world.pids() == {}
        world.start("postgres")
        ask(world, "insert into kept values (2) returning n")
        world.kill("postgres")
        world.start("postgres")
        assert ask(world, "select n from kept order by n") == [(1,), (2,)]


def test_a_kill_takes_every_process_of_the_server_along_busy_or_not(tmp_path: Path) -> None:
    with alone(tmp_path) as world:
        with psycopg.connect(world.database_url) as busy:
            busy.pgconn.send_query(b"select count(*) from generate_series(1, 10000000000)")
            whole = everything(world)
            assert len(whole) > 5
            world.kill("postgres")
            assert not any(process.alive for process in whole)
            busy.close()


def test_nothing_of_a_temporary_world_is_left_outside_its_folder(tmp_path: Path) -> None:
    with alone(tmp_path) as world:
        whole, where = everything(world), files(world)
        assert where.exists()
    assert not any(process.alive for process in whole)
    assert where.exists() is where.is_relative_to(tmp_path)


def test_a_killed_server_leaves_nothing_outside_either(tmp_path: Path) -> None:
    with alone(tmp_path) as world:
        where = files(world)
        world.kill("postgres")
    assert where.exists() is where.is_relative_to(tmp_path)


def test_data_that_lie_in_the_folder_are_there_when_the_world_comes_back() -> None:
    with open_folder() as folder:
        with alone(folder) as world:
            ask(world, "create table kept (n int)", "insert into kept values (1) returning n")
        with alone(folder) as again:
            assert ask(again, "select n from kept") == [(1,)]


def test_two_worlds_have_two_databases(tmp_path: Path) -> None:
    with alone(tmp_path / "one") as one, alone(tmp_path / "two") as two:
        ask(one, "create table only_here (n int)", "select 1")
        there: LiteralString = "select to_regclass('public.only_here') is null"
        assert (ask(one, there), ask(two, there)) == ([(False,)], [(True,)])


def test_a_member_may_be_of_another_major(tmp_path: Path) -> None:
    with World(free_base(), tmp_path, ("postgres",), extra={"postgres": ("--major", "16")}) as world:
        ((version,),) = ask(world, "show server_version_num")
    assert int(str(version)) // 10_000 == 16


def test_no_process_of_the_server_outlives_the_process_that_opened_its_world(tmp_path: Path) -> None:
    driver = (
        "import sys; from pathlib import Path; from sandbox.world import World, free_base\n"
        "World(free_base(), Path(sys.argv[1]), ('postgres',)).open(); print('up', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", driver, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        world = World.found(tmp_path)
        whole, where = everything(world), files(world)
        parent.kill()
    assert wait_until(lambda: not any(process.alive for process in whole), 15)
    assert where.exists() is where.is_relative_to(tmp_path)


def test_no_process_of_the_server_outlives_its_stand_in(tmp_path: Path) -> None:
    with alone(tmp_path) as world:
        (stand_in, *rest) = everything(world)
        os.kill(stand_in.pid, 9)
        assert wait_until(lambda: not any(process.alive for process in rest), 15)
        world.start("postgres")
        assert ask(world, "select 1") == [(1,)]


def test_the_member_ends_when_its_server_does(tmp_path: Path) -> None:
    with alone(tmp_path) as world:
        (stand_in, server) = everything(world)[:2]
        os.kill(server.pid, 9)
        assert wait_until(lambda: world.pids() == {}, 15)
        assert gone(stand_in.pid)


def test_up_and_status_tell_both_addresses(tmp_path: Path) -> None:
    up = run("up", "--detach", "--data", tmp_path, "--port-base", free_base())
    try:
        world = World.found(tmp_path)
        for told in (up.stdout, run("status", "--data", tmp_path).stdout):
            assert f"database    {world.database_url}  (owner of the tables)\n" in told
            assert f"app login   {world.app_database_url}\n" in told
    finally:
        assert main(["down", "--data", str(tmp_path)]) == 0


def test_an_interrupted_up_ends_its_database(tmp_path: Path) -> None:
    with foreground(tmp_path) as up:
        whole = everything(World.found(tmp_path))
        up.terminate()
        assert said(up).endswith("nothing is left running.\n")
    assert not any(process.alive for process in whole)
