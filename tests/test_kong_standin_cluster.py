"""When a change comes into force: workers, nodes, ticks, lags, and the process as others start it."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import aiohttp

from sandbox.faults import Fault, Faults, Lag
from sandbox.kong_cluster import Cluster, Settings
from sandbox.kong_entities import TARGETS, UPSTREAMS
from sandbox.kong_journal import Journal
from sandbox.kong_store import Store
from sandbox.kong_writes import Writes
from tests.kong_room import NEVER, Room, application, room

ROOT = Path(__file__).parent.parent


class World:
    """A cluster without ports, for looking at its views; node 0 takes the writes."""

    def __init__(self, **settings: Any) -> None:
        timing = {"worker_state_update_frequency": NEVER, "db_update_frequency": NEVER}
        self.store = Store()
        self.faults = Faults()
        self.cluster = Cluster(Settings(**{**timing, **settings}), self.store, self.faults)
        self.writes = Writes(self.store, 0)
        self.upstream = self.writes.create(UPSTREAMS, {"name": "u"})
        self.target = self.writes.create(TARGETS, {"target": "127.0.0.1:1", "weight": 5, "upstream": self._reference()})
        self.cluster.settle()

    def _reference(self) -> dict[str, str]:
        return {"id": str(self.upstream["id"])}

    def weigh(self, weight: int) -> None:
        self.target = self.writes.merge(TARGETS, {"weight": weight}, self.target)

    def views(self) -> list[list[int]]:
        """The weight in force, per node and worker."""
        return [
            [worker.balancers[self.upstream["id"]].members[0].row["weight"] for worker in node.workers]
            for node in self.cluster.nodes
        ]

    async def until(self, views: list[list[int]]) -> list[list[int]]:
        async with asyncio.timeout(1):
            while True:
                if self.views() == views:
                    return views
                await asyncio.sleep(0)


def test_a_weight_reaches_every_worker_of_the_node_that_took_it_and_no_other_node() -> None:
    async def scenario() -> list[list[int]]:
        world = World(nodes=2)
        world.weigh(9)
        views = await world.until([[9, 9], [5, 5]])
        world.cluster.close()
        return views

    assert [[9, 9], [5, 5]] == asyncio.run(scenario())


def test_another_node_hears_of_a_weight_at_its_next_poll() -> None:
    async def scenario() -> list[list[int]]:
        world = World(nodes=2, db_update_frequency=0.01)
        world.weigh(9)
        views = await world.until([[9, 9], [9, 9]])
        world.cluster.close()
        return views

    assert [[9, 9], [9, 9]] == asyncio.run(scenario())


def test_a_permanent_lag_keeps_every_second_worker_at_the_old_weight_until_it_is_disarmed() -> None:
    async def scenario() -> list[list[list[int]]]:
        world = World()
        world.faults.arm("lag", Fault(effect=Lag(seconds=1e9)))
        world.weigh(9)
        for worker in world.cluster.nodes[0].workers:
            worker.hear_targets(str(world.upstream["id"]))
        behind = world.views()
        world.faults.disarm(["lag"])
        caught_up = world.views()
        world.cluster.close()
        return [behind, caught_up]

    assert [[[9, 5]], [[9, 9]]] == asyncio.run(scenario())


def test_a_lag_that_passes_lets_the_newest_change_win() -> None:
    async def scenario() -> list[list[list[int]]]:
        world = World(workers=1)
        worker = world.cluster.nodes[0].workers[0]
        world.faults.arm("lag of node 0", Fault(effect=Lag(seconds=0.01, node=0)))
        for weight in (6, 7):
            world.weigh(weight)
            worker.hear_targets(str(world.upstream["id"]))
        before = world.views()
        after = await world.until([[7]])
        world.cluster.close()
        return [before, after]

    assert [[[5]], [[7]]] == asyncio.run(scenario())


def test_a_new_upstream_has_no_health_to_report_until_the_worker_has_loaded_it() -> None:
    async def scenario() -> list[Any]:
        async with room(workers=1) as here:
            await here.made("PUT", "/upstreams/u", {})
            await here.made("POST", "/upstreams/u/targets", {"target": "127.0.0.1:1"})
            before = await here.made("GET", "/upstreams/u/health")
            ring = await here.made("GET", "/upstreams/u/health?balancer_health=1")
            here.kong.cluster.settle()
            after = await here.made("GET", "/upstreams/u/health")
            return ["health" in before["data"][0], "data" in ring, after["data"][0]["data"]["nodeWeight"]]

    assert [False, False, 100] == asyncio.run(scenario())


def test_a_patched_upstream_keeps_serving_while_its_health_is_not_reported() -> None:
    async def scenario() -> list[Any]:
        async with application("blue") as blue, room(workers=1) as here:
            await here.routed({blue.target: 100})
            await here.made("PATCH", "/upstreams/backend", {"slots": 20})
            health = await here.made("GET", "/upstreams/backend/health")
            return ["health" in health["data"][0], (await here.call("/api"))[0]]

    assert [False, 200] == asyncio.run(scenario())


def test_a_recreated_upstream_is_served_by_the_old_ring_until_the_tick() -> None:
    async def scenario() -> list[str]:
        async with application("blue") as blue, application("green") as green, room(workers=1) as here:
            await here.routed({blue.target: 100})
            await here.made("DELETE", "/upstreams/backend")
            await here.made("PUT", "/upstreams/backend", {})
            await here.made("POST", "/upstreams/backend/targets", {"target": green.target})
            before = await here.call("/api")
            here.kong.cluster.settle()
            return [before[1], (await here.call("/api"))[1]]

    assert ["blue\n", "green\n"] == asyncio.run(scenario())


def test_a_route_is_in_force_only_after_the_workers_tick() -> None:
    async def scenario() -> list[int]:
        async with application("blue") as blue, room() as here:
            await here.routed({blue.target: 100})
            await here.made("PUT", "/services/backend/routes/other", {"paths": ["/other"]})
            before = (await here.call("/other"))[0]
            here.kong.cluster.settle()
            return [before, (await here.call("/other"))[0]]

    assert [404, 200] == asyncio.run(scenario())


def test_a_target_without_address_is_a_dns_error_and_gets_nothing() -> None:
    async def scenario() -> tuple[Any, Any]:
        async with application("blue") as blue, room(workers=1) as here:
            await here.routed({blue.target: 1, "nothing.invalid:80": 100})
            while True:  # the name is asked for in the background
                rows = (await here.made("GET", "/upstreams/backend/health"))["data"]
                health = {row["target"]: row.get("health") for row in rows}
                if health[blue.target]:
                    return health["nothing.invalid:80"], await here.call("/api")

    assert ("DNS_ERROR", (200, "blue\n")) == asyncio.run(scenario())


async def workers_seen(here: Room) -> set[tuple[str, int]]:
    """The workers that fresh connections end up at."""
    seen = set()
    for _ in range(64):
        async with aiohttp.ClientSession() as session:
            base = f"http://127.0.0.1:{here.kong.admin_port}"
            async with session.get(f"{base}/") as root:
                node = (await root.json())["node_id"]
            async with session.get(f"{base}/timers") as timers:
                seen.add((node, (await timers.json())["worker"]["id"]))
    return seen


def test_fresh_connections_reach_every_worker_of_every_node() -> None:
    async def scenario() -> int:
        async with room(nodes=2, workers=2, seed=1) as here:
            return len(await workers_seen(here))

    assert 4 == asyncio.run(scenario())


def test_a_kept_connection_stays_at_its_worker() -> None:
    async def scenario() -> set[tuple[int, int]]:
        async with room(workers=4) as here:
            answers = [(await here.made("GET", "/timers"))["worker"] for _ in range(12)]
            return {(worker["id"], worker["count"]) for worker in answers}

    assert 1 == len(asyncio.run(scenario()))


def test_a_lagging_worker_tells_and_routes_by_the_old_weights() -> None:
    async def scenario() -> list[Any]:
        async with application("blue") as blue, application("green") as green, room(workers=1) as here:
            ids = await here.routed({blue.target: 100, green.target: 0})
            here.kong.faults.arm("lag", Fault(effect=Lag(seconds=1e9, node=0)))
            for target, weight in ((green.target, 100), (blue.target, 0)):
                await here.made("PATCH", f"/upstreams/backend/targets/{ids[target]}", {"weight": weight})
            here.kong.cluster.nodes[0].workers[0].hear_targets((await here.made("GET", "/upstreams/backend"))["id"])
            rows = (await here.made("GET", "/upstreams/backend/health"))["data"]
            told = {row["target"]: (row["weight"], row["data"]["nodeWeight"]) for row in rows}
            return [told[green.target], (await here.call("/api"))[1]]

    assert [(100, 0), "blue\n"] == asyncio.run(scenario())


def test_three_503s_are_answered_on_the_proxy_when_three_are_armed_there() -> None:
    async def scenario() -> list[int]:
        async with application("blue") as blue, room() as here:
            await here.routed({blue.target: 100})
            fault = {"where": {"path": "/api*", "times": 3}, "effect": {"kind": "answer", "status": 503, "body": "{}"}}
            base = f"http://127.0.0.1:{here.kong.proxy_port}"
            async with here.session.put(f"{base}/__faults/bad", json=fault) as answer:
                assert answer.status == 200
            return [(await here.call("/api"))[0] for _ in range(5)]

    assert [503, 503, 503, 200, 200] == asyncio.run(scenario())


def test_a_lost_reply_on_the_proxy_reached_the_application() -> None:
    async def scenario() -> tuple[str, int]:
        async with application("blue") as blue, room() as here:
            await here.routed({blue.target: 100})
            here.kong.proxy_faults.arm("lost", Fault.model_validate({"effect": {"kind": "lost"}}))
            try:
                await here.call("/api", "POST", data=b"once")
            except aiohttp.ClientError:
                return "broken", len(blue.heads)
            return "answered", len(blue.heads)

    assert ("broken", 1) == asyncio.run(scenario())


# --- the process ------------------------------------------------------------------------------------------------------


def test_on_the_proxy_the_request_with_the_words_in_its_body_is_held_and_arrives_whole() -> None:
    async def scenario() -> tuple[int, int, bool, int, list[bytes]]:
        async with application("blue") as blue, room() as here:
            await here.routed({blue.target: 100})
            proxy = f"http://127.0.0.1:{here.kong.proxy_port}/__faults/f"
            async with here.session.put(proxy, json={"where": {"body": "slow"}, "effect": {"kind": "hold"}}) as armed:
                assert armed.status == 200
            asking = asyncio.ensure_future(here.call("/api", "POST", data=b"a slow one"))
            told = {"hits": 0}
            while not told["hits"]:
                async with here.session.get(proxy) as answer:
                    told = await answer.json()
            passed = (await here.call("/api", "POST", data=b"quick"))[0]
            before, held = len(blue.bodies), not asking.done()
            async with here.session.delete(proxy):
                return passed, before, held, (await asking)[0], blue.bodies

    assert (200, 1, True, 200, [b"quick", b"a slow one"]) == asyncio.run(scenario())


def test_the_write_that_lowers_is_the_one_that_a_fault_can_be_meant_for() -> None:
    async def scenario() -> list[int]:
        async with application("blue") as blue, application("green") as green, room() as here:
            ids = await here.routed({blue.target: 100, green.target: 0})
            fault = {"where": {"method": "PATCH", "body": '"weight": 0'}, "effect": {"kind": "answer", "status": 500}}
            await here.made("PUT", "/__faults/f", fault)
            writes = ((green.target, 100), (blue.target, 0), (blue.target, 0))
            found = []
            for target, weight in writes:
                path = f"/upstreams/backend/targets/{ids[target]}"
                found.append((await here.admin("PATCH", path, {"weight": weight}))[0])
            return found

    assert [200, 500, 200] == asyncio.run(scenario())


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def started(admin: int, proxy: int, *further: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "sandbox.kong", "--admin-port", str(admin), "--proxy-port", str(proxy), *further]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_process_says_ready_answers_and_ends_on_sigterm() -> None:
    admin, proxy = free_ports()
    with started(admin, proxy) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/status", timeout=5) as answer:
            reachable = json.load(answer)["database"]["reachable"]
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=10)
    assert ("ready\n", True, "", "", 0) == (ready, reachable, rest, errors, process.returncode)


def test_a_port_in_use_is_one_sentence_and_exit_code_2() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with started(0, port) as process:
            output, errors = process.communicate(timeout=10)
    assert ("", 2) == (output, process.returncode)
    assert f"Port {port} on 127.0.0.1 cannot be used (Address already in use); choose another.\n" == errors


def test_a_crash_fault_ends_the_process_at_once() -> None:
    admin, proxy = free_ports()
    with started(admin, proxy) as process:
        assert process.stdout is not None
        process.stdout.readline()
        fault = json.dumps({"where": {"method": "GET", "path": "/status"}, "effect": {"kind": "crash"}}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{admin}/__faults/crash", data=fault, method="PUT")
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status == 200
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{admin}/status", timeout=5)
        except OSError:
            answered = False
        else:
            answered = True
        process.communicate(timeout=10)
    assert (False, -signal.SIGKILL) == (answered, process.returncode)


def asked(url: str, method: str = "GET", body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def test_a_killed_gateway_comes_back_with_what_it_had_committed(tmp_path: Path) -> None:
    seen = []
    for life in range(2):
        admin, proxy = free_ports()
        base = f"http://127.0.0.1:{admin}"
        with started(admin, proxy, "--data", str(tmp_path)) as process:
            assert process.stdout is not None
            process.stdout.readline()
            if life == 0:
                asked(f"{base}/upstreams/u", "PUT", {})
                for port in (1, 2):
                    asked(f"{base}/upstreams/u/targets", "POST", {"target": f"127.0.0.1:{port}"})
                asked(f"{base}/upstreams/u/targets/127.0.0.1:2", "DELETE")
            rows = asked(f"{base}/upstreams/u/targets")["data"]
            seen.append((asked(f"{base}/")["node_id"], rows))
            health = asked(f"{base}/upstreams/u/health")["data"]
            process.kill()
            process.communicate(timeout=10)
    assert seen[0] == seen[1]
    assert ("127.0.0.1:1", 100) == (health[0]["target"], health[0]["data"]["nodeWeight"])


def test_a_write_that_was_cut_off_by_the_kill_never_happened(tmp_path: Path) -> None:
    store = Store()
    Journal(tmp_path).restore(store)
    Writes(store, 0).create(UPSTREAMS, {"name": "whole"})
    with (tmp_path / "kong.jsonl").open("a") as file:
        file.write('{"kind": "upstreams", "operation": "cre')
    again = Store()
    Journal(tmp_path).restore(again)
    assert ["whole"] == [row["name"] for row in again.all(UPSTREAMS)]
