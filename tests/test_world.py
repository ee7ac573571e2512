"""The world starts what it is asked to, each member falls and rises alone, and nothing is ever left behind."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.__main__ import main
from sandbox.ports import SPAN, Ports
from sandbox.world import World, WorldError, free_base
from sandbox.world_members import Process, wait_until
from sandbox.world_record import Written

ROOT = Path(__file__).resolve().parents[1]


def small(data: Path, *, detached: bool = False) -> World:
    """A world of the supervisor alone: all that most promises need."""
    return World(free_base(), data, ("supervisor",), detached=detached)


def ask(world: World, method: str, path: str, body: object = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", world.ports.supervisor, timeout=10)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def start_app(world: World, name: str = "backend-1") -> int:
    """An app process under the world's supervisor; its pid."""
    wanted = {"group": "backend", "port": world.ports.app("backend", "blue"), "env": {}}
    assert ask(world, "PUT", f"/processes/{name}", wanted) == 201
    return world.apps()[name]


@contextlib.contextmanager
def foreground(data: Path, *more: str) -> "Iterator[subprocess.Popen[str]]":
    """`python -m sandbox up` in a process of its own, up."""
    command = [sys.executable, "-m", "sandbox", "up", "--data", str(data), "--port-base", str(free_base()), *more]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        while up.stdout.readline() != "Ctrl-C ends it.\n":
            assert up.poll() is None
        yield up


def said(up: "subprocess.Popen[str]") -> str:
    """Everything it says until it ends in order."""
    assert up.stdout is not None
    words = up.stdout.read()
    assert up.wait(10) == 0
    return words


def gone(pid: int) -> bool:
    return Process.of(pid) is None


def test_a_world_has_living_members_while_it_is_open_and_none_afterwards(tmp_path: Path) -> None:
    with small(tmp_path) as world:
        (pid,) = world.pids().values()
        assert list(world.pids()) == ["supervisor"]
        assert ask(world, "GET", "/health") == 200
    assert world.pids() == {}
    assert gone(pid)


def test_all_stand_ins_start_side_by_side(tmp_path: Path) -> None:
    with World(free_base(), tmp_path) as world:
        assert set(world.pids()) == {"postgres", "kong", "supervisor", "railway"}
        for port in (world.ports.kong_admin, world.ports.kong_proxy, world.ports.railway, world.ports.supervisor):
            socket.create_connection(("127.0.0.1", port), 5).close()
        pids = list(world.pids().values())
    assert all(gone(pid) for pid in pids)


def test_a_killed_member_falls_alone_and_comes_back_on_its_port(tmp_path: Path) -> None:
    with World(free_base(), tmp_path, ("supervisor", "railway")) as world:
        before = world.pids()
        world.kill("railway")
        assert world.pids() == {"supervisor": before["supervisor"]}
        world.start("railway")
        after = world.pids()
        assert after["supervisor"] == before["supervisor"]
        assert after["railway"] != before["railway"]
        socket.create_connection(("127.0.0.1", world.ports.railway), 5).close()


def test_a_stopped_member_is_gone_when_stop_returns(tmp_path: Path) -> None:
    with small(tmp_path) as world:
        pid = world.pids()["supervisor"]
        world.stop("supervisor")
        assert gone(pid)
        assert world.apps() == {}
        world.stop("supervisor")  # a second time is no error
        world.start("supervisor")
        assert ask(world, "GET", "/health") == 200


def test_starting_a_running_member_changes_nothing(tmp_path: Path) -> None:
    with small(tmp_path) as world:
        before = world.pids()
        world.start("supervisor")
        assert world.pids() == before


def test_a_member_that_the_world_does_not_have_is_refused(tmp_path: Path) -> None:
    with small(tmp_path) as world:
        with pytest.raises(WorldError, match="kong is no member of this sandbox"):
            world.start("kong")


def test_app_processes_are_known_and_end_with_their_world(tmp_path: Path) -> None:
    with small(tmp_path) as world:
        pid = start_app(world)
        assert not gone(pid)
    assert gone(pid)


def test_app_processes_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    with small(tmp_path) as world:
        pid = start_app(world)
        world.kill("supervisor")
    assert gone(pid)


def test_a_port_in_use_is_told_and_nothing_is_started(tmp_path: Path) -> None:
    base = free_base()
    with socket.create_server(("127.0.0.1", Ports(base).app("backend", "green"))):
        with pytest.raises(WorldError, match=rf"Port {base + 11} on 127\.0\.0\.1 is in use\. No process was started\."):
            World(base, tmp_path, ("supervisor",)).open()
    assert Written.read(tmp_path) is None


def test_a_real_kong_may_hold_the_gateways_ports(tmp_path: Path) -> None:
    base = free_base()
    with socket.create_server(("127.0.0.1", base)):
        world = World(base, tmp_path, ("supervisor",), admin="http://kong:8001", proxy="http://kong:8000")
        with world:
            assert (world.admin, world.proxy) == ("http://kong:8001", "http://kong:8000")


def test_a_member_that_cannot_start_takes_the_others_with_it(tmp_path: Path) -> None:
    world = World(free_base(), tmp_path, ("supervisor", "railway"), extra={"railway": ("--no-such-option",)})
    with pytest.raises(
        WorldError, match=r"railway did not start: .*unrecognized arguments: --no-such-option. Nothing is left"
    ):
        world.open()
    assert world.pids() == {}
    found = Written.read(tmp_path)
    assert found is not None
    assert found.running == {}


def test_a_free_base_has_every_port_of_its_span_free() -> None:
    base = free_base()
    for port in range(base, base + SPAN):
        socket.create_server(("127.0.0.1", port)).close()


def test_token_and_ids_belong_to_the_folder(tmp_path: Path) -> None:
    first, other = small(tmp_path / "one"), small(tmp_path / "two")
    with first, other:
        mine = (first.railway_token, first.project_id, first.environment_id)
        assert len({*mine, other.railway_token, other.project_id, other.environment_id}) == 6
    again = small(tmp_path / "one")
    assert (again.railway_token, again.project_id, again.environment_id) == mine


def test_the_record_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    with small(tmp_path):
        assert stat.S_IMODE((tmp_path / "world.json").stat().st_mode) == 0o600


def test_a_second_world_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with small(tmp_path) as world:
        with pytest.raises(WorldError, match=r"already up in .* \(supervisor \d+\). It was left as it is."):
            small(tmp_path)
        assert list(world.pids()) == ["supervisor"]


def test_another_process_finds_the_world_and_moves_its_members(tmp_path: Path) -> None:
    with small(tmp_path) as world:
        other = World.found(tmp_path)
        assert other.pids() == world.pids()
        other.kill("supervisor")
        assert world.pids() == {}
        other.start("supervisor")
        assert list(world.pids()) == ["supervisor"]
    assert other.pids() == {}


def test_a_number_that_was_given_to_another_process_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    try:
        with small(tmp_path) as world:
            pass
        written = Written.read(tmp_path)
        assert written is not None
        mistaken = {**json.loads((tmp_path / "world.json").read_text())}
        mistaken["running"] = {"supervisor": {"pid": stranger.pid, "started": "long ago"}}
        (tmp_path / "world.json").write_text(json.dumps(mistaken))
        World.found(tmp_path).close()
        assert stranger.poll() is None
        assert world.pids() == {}
    finally:
        stranger.communicate(b"\n")


def test_members_end_when_the_process_that_opened_their_world_is_gone(tmp_path: Path) -> None:
    driver = (
        "import os, sys; from pathlib import Path; from sandbox.world import World, free_base\n"
        "World(free_base(), Path(sys.argv[1]), ('supervisor',)).open(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", driver, str(tmp_path)], cwd=ROOT, check=False)
    world = World.found(tmp_path)
    assert wait_until(lambda: world.pids() == {}, 10)


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text('{"base": 1')
    with pytest.raises(WorldError, match=r"world.json cannot be read .* Nothing was changed."):
        World.found(tmp_path)


# The command line


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "sandbox", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_hosts_names_every_address_without_a_running_world(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["hosts", "--port-base", "21000", "--data", str(tmp_path)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "127.0.0.1 backend-blue.railway.internal  # backend blue listens on 127.0.0.1:21010"
    assert [line.split()[1] for line in told] == [
        f"{app}-{colour}.railway.internal" for app in ("backend", "frontend") for colour in ("blue", "green")
    ]


def test_a_detached_world_stays_until_down(tmp_path: Path) -> None:
    up = run("up", "--detach", "--data", tmp_path, "--port-base", free_base())
    assert (up.returncode, up.stderr) == (0, "")
    status = run("status", "--data", tmp_path)
    assert status.returncode == 0
    pids = [int(pid) for pid in re.findall(r"pid (\d+)", status.stdout)]
    assert len(pids) == 4
    down = run("down", "--data", tmp_path)
    ended = r"Ended postgres \d+, kong \d+, supervisor \d+, railway \d+; nothing is left running.\n"
    assert re.fullmatch(ended, down.stdout)
    assert all(gone(pid) for pid in pids)
    assert run("status", "--data", tmp_path).returncode == 1
    assert run("down", "--data", tmp_path).stdout == "Nothing was running.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_foreground_world_with_everything_in_it(tmp_path: Path, number: signal.Signals) -> None:
    with foreground(tmp_path) as up:
        world = World.found(tmp_path)
        pids = [*world.pids().values(), start_app(world)]
        up.send_signal(number)
        assert said(up) == "The sandbox has ended; nothing is left running.\n"
    assert len(pids) == 5
    assert all(gone(pid) for pid in pids)


def test_what_a_crashed_up_left_is_ended_by_the_next_down(tmp_path: Path) -> None:
    with foreground(tmp_path) as up:
        world = World.found(tmp_path)
        pids = [*world.pids().values(), start_app(world)]
        up.kill()
    assert main(["down", "--data", str(tmp_path)]) == 0
    assert all(gone(pid) for pid in pids)
    with small(tmp_path) as again:
        assert list(again.pids()) == ["supervisor"]


def test_down_ends_a_foreground_up_as_well(tmp_path: Path) -> None:
    with foreground(tmp_path) as up:
        assert main(["down", "--data", str(tmp_path)]) == 0
        assert said(up) == "The sandbox has ended; nothing is left running.\n"


def test_down_without_a_world_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["down", "--data", str(tmp_path)]) == 2
    expected = f"There is no sandbox in {tmp_path}. Nothing was changed. Start one: python -m sandbox up.\n"
    assert capsys.readouterr().err == expected


def test_half_of_a_real_kong_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["up", "--data", str(tmp_path), "--kong-admin", "http://127.0.0.1:8001"]) == 2
    assert "Give both --kong-admin and --kong-proxy." in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_an_impossible_port_base_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["up", "--data", str(tmp_path), "--port-base", "80"]) == 2
    assert "Port base 80 is not between 1024 and 65000." in capsys.readouterr().err
