"""A world whose gateway has several nodes: each has its own proxy, and each is killed and started alone."""

import json
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from sandbox.__main__ import main
from sandbox.world import World, WorldError, free_base
from tests.test_world import foreground, run, said, small


def answers(url: str) -> str:
    """What a gateway says to a path that it does not know, or how it does not answer."""
    try:
        urllib.request.urlopen(url, timeout=5)
    except urllib.error.HTTPError as error:
        with error:
            return str(json.load(error)["message"])
    except urllib.error.URLError as error:
        return type(error.reason).__name__
    return "200"


NO_ROUTE = "no Route matched with those values"


def test_one_node_of_two_is_killed_and_started_again(tmp_path: Path) -> None:
    with World(free_base(), tmp_path, ("kong",), nodes=2) as world:
        before = [answers(world.proxy_of(node)) for node in (0, 1)]
        world.kill_node(1)
        killed = [answers(url) for url in (world.proxy_of(0), world.proxy_of(1), world.proxy)]
        World.found(tmp_path).start_node(1)
        after = [answers(world.proxy_of(node)) for node in (0, 1)]
    assert [NO_ROUTE, NO_ROUTE] == before == after
    assert [NO_ROUTE, "ConnectionRefusedError", NO_ROUTE] == killed


def test_a_restarted_gateway_has_all_its_nodes(tmp_path: Path) -> None:
    with World(free_base(), tmp_path, ("kong",), nodes=2) as world:
        world.kill_node(0)
        world.kill("kong")
        world.start("kong")
        assert [NO_ROUTE, NO_ROUTE] == [answers(world.proxy_of(node)) for node in (0, 1)]


def test_a_gateway_of_one_node_answers_on_that_nodes_own_port_too(tmp_path: Path) -> None:
    with World(free_base(), tmp_path, ("kong",)) as world:
        assert (1, NO_ROUTE) == (world.nodes, answers(world.proxy_of(0)))


def test_a_node_that_the_gateway_does_not_have_is_refused(tmp_path: Path) -> None:
    with World(free_base(), tmp_path, ("kong",)) as world:
        with pytest.raises(WorldError, match="Node 1 was not killed: no node 1, only 0 to 0"):
            world.kill_node(1)


def test_a_node_of_a_gateway_that_is_down_cannot_be_started(tmp_path: Path) -> None:
    with small(tmp_path) as world, pytest.raises(WorldError, match="Its nodes are as they were"):
        world.start_node(0)


@pytest.mark.parametrize("nodes", [0, 5])
def test_a_number_of_nodes_that_has_no_ports_is_refused(tmp_path: Path, nodes: int) -> None:
    with pytest.raises(WorldError, match=f"A gateway of {nodes} nodes cannot be played, only one of 1 to 4"):
        World(free_base(), tmp_path, nodes=nodes)


def test_nodes_of_a_real_kong_are_its_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    real = ("--kong-admin", "http://127.0.0.1:1", "--kong-proxy", "http://127.0.0.1:2")
    assert 2 == main(["up", "--data", str(tmp_path), "--nodes", "2", *real])
    assert "a real Kong has its own" in capsys.readouterr().err


def test_a_world_of_two_nodes_tells_the_address_of_each(tmp_path: Path) -> None:
    with foreground(tmp_path, "--nodes", "2") as up:
        world = World.found(tmp_path)
        told = run("status", "--data", tmp_path).stdout
        up.send_signal(signal.SIGTERM)
        said(up)
    assert [f"node {node}      {world.proxy_of(node)}" for node in (0, 1)] == [
        line for line in told.splitlines() if line.startswith("node")
    ]
