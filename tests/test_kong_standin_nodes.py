"""Two Kong nodes, each with a proxy of its own: who serves what when, and when a proof may say so."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from bluegreen.gateway import Slot, Unproven
from bluegreen.http import Client
from bluegreen.kong.api import Kong as KongApi
from bluegreen.kong.gateway import KongGateway
from sandbox.faults import Fault, Lag
from sandbox.kong import Kong
from sandbox.kong_cluster import Settings
from tests.kong_room import NEVER, App, Room, application

ROOT = Path(__file__).parent.parent
SOON = timedelta(seconds=0.4)


@contextlib.asynccontextmanager
async def two_nodes() -> AsyncIterator[Room]:
    """Workers and nodes that hear of a write only when told to."""
    timing = Settings(nodes=2, workers=1, worker_state_update_frequency=NEVER, db_update_frequency=NEVER)
    kong = Kong(timing, node_proxy_ports=(0, 0))
    async with kong.serving(), aiohttp.ClientSession() as session:
        yield Room(kong, session)


async def served_by(here: Room, node: int) -> str:
    """Which colour this node's own proxy leads to."""
    async with here.session.get(f"http://127.0.0.1:{here.kong.node_proxy_ports[node]}/api") as answer:
        return (await answer.text()).strip()


async def written_at(here: Room, node: int, path: str, body: object) -> None:
    """A write that this node takes: a connection is anybody's, so new ones are made until one is this node's."""
    base = f"http://127.0.0.1:{here.kong.admin_port}"
    wanted = here.kong.cluster.nodes[node].id
    while True:
        async with aiohttp.ClientSession() as session:
            async with session.get(base) as answer:
                if (await answer.json())["node_id"] != wanted:
                    continue
            async with session.patch(base + path, json=body) as answer:
                assert answer.status == 200
                return


async def moved_at_the_first_node(here: Room, blue: App, green: App) -> None:
    """All weight to green, written at node 0, whose worker has heard of it; node 1 has not."""
    ids = await here.routed({blue.target: 100, green.target: 0})
    for target, weight in ((green.target, 100), (blue.target, 0)):
        await written_at(here, 0, f"/upstreams/backend/targets/{ids[target]}", {"weight": weight})
    here.kong.cluster.nodes[0].workers[0].hear_targets((await here.made("GET", "/upstreams/backend"))["id"])


def test_each_nodes_own_proxy_shows_what_that_node_knows() -> None:
    async def scenario() -> list[list[str]]:
        async with application("blue") as blue, application("green") as green, two_nodes() as here:
            await moved_at_the_first_node(here, blue, green)
            before = [await served_by(here, node) for node in (0, 1)]
            here.kong.cluster.nodes[1].settle()
            return [before, [await served_by(here, node) for node in (0, 1)]]

    assert [["green", "blue"], ["green", "green"]] == asyncio.run(scenario())


def test_a_lag_of_one_node_keeps_only_that_node_behind() -> None:
    async def scenario() -> list[str]:
        async with application("blue") as blue, application("green") as green, two_nodes() as here:
            here.kong.faults.arm("lag", Fault(effect=Lag(seconds=1e9, node=1)))
            ids = await here.routed({blue.target: 100, green.target: 0})
            here.kong.faults.disarm(["lag"])
            here.kong.cluster.settle()
            here.kong.faults.arm("lag", Fault(effect=Lag(seconds=1e9, node=1)))
            for target, weight in ((green.target, 100), (blue.target, 0)):
                await here.made("PATCH", f"/upstreams/backend/targets/{ids[target]}", {"weight": weight})
            upstream = (await here.made("GET", "/upstreams/backend"))["id"]
            for node in here.kong.cluster.nodes:
                node.workers[0].hear_targets(upstream)
            return [await served_by(here, node) for node in (0, 1)]

    assert ["green", "blue"] == asyncio.run(scenario())


def test_the_shared_proxy_leads_to_both_nodes() -> None:
    async def scenario() -> set[str]:
        async with application("blue") as blue, application("green") as green, two_nodes() as here:
            await moved_at_the_first_node(here, blue, green)
            seen: set[str] = set()
            while len(seen) < 2:  # a fresh connection ends up anywhere
                async with aiohttp.ClientSession() as session:
                    async with session.get(f"http://127.0.0.1:{here.kong.proxy_port}/api") as answer:
                        seen.add((await answer.text()).strip())
            return seen

    assert {"blue", "green"} == asyncio.run(scenario())


def test_a_move_is_proved_only_when_both_nodes_serve_it() -> None:
    async def scenario() -> tuple[str, int]:
        async with application("blue") as blue, application("green") as green, two_nodes() as here:
            async with Client("Kong's Admin API", f"http://127.0.0.1:{here.kong.admin_port}") as client:
                gateway = KongGateway(KongApi(client))
                await here.made("PUT", "/upstreams/backend", {})
                for colour, app, weight in (("blue", blue, 100), ("green", green, 0)):
                    slot = Slot("blue" if colour == "blue" else "green", app.target, weight, owner="shop.test")
                    await gateway.put("backend", slot, seen=None)
                here.kong.cluster.settle()
                rows = {
                    row["target"]: row["id"] for row in (await here.made("GET", "/upstreams/backend/targets"))["data"]
                }
                for app, weight in ((green, 100), (blue, 0)):
                    await written_at(here, 0, f"/upstreams/backend/targets/{rows[app.target]}", {"weight": weight})
                split = await gateway.split("backend")
                with pytest.raises(Unproven) as unproven:
                    await gateway.prove(split, within=SOON, nodes=2)
                here.kong.cluster.settle()
                proof = await gateway.prove(split, within=timedelta(seconds=30), nodes=2)
                return unproven.value.what, proof.nodes

    what, nodes = asyncio.run(scenario())
    assert "1 of 2 Kong workers do not serve blue 0 / green 100" in what
    assert 2 == nodes


def test_every_node_counts_requests_against_a_limit_for_itself() -> None:
    async def scenario() -> list[int]:
        async with application("blue") as app, two_nodes() as here:
            await here.routed({app.target: 100})
            await here.made("POST", "/routes/api/plugins", {"name": "rate-limiting", "config": {"year": 1}})
            here.kong.cluster.settle()
            found = []
            for port in (here.kong.node_proxy_ports[0], *here.kong.node_proxy_ports):
                async with here.session.get(f"http://127.0.0.1:{port}/api") as answer:
                    found.append(answer.status)
            return found

    assert [200, 429, 200] == asyncio.run(scenario())


def test_the_process_gives_each_node_the_port_it_is_told() -> None:
    sockets = [socket.socket() for _ in range(4)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    admin, proxy, *own = (str(one.getsockname()[1]) for one in sockets)
    for one in sockets:
        one.close()
    command = [sys.executable, "-m", "sandbox.kong", "--admin-port", admin, "--proxy-port", proxy, "--nodes", "2"]
    command += [argument for port in own for argument in ("--node-proxy-port", port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        told = []
        for port in (proxy, *own):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/nothing", timeout=5)
            except urllib.error.HTTPError as error:
                with error:
                    told.append(json.load(error)["message"])
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(timeout=10)
    assert ["no Route matched with those values"] * 3 == told
