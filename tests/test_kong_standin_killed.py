"""One node of two is killed and started again: who answers meanwhile, and what it knows when it is back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from sandbox.faults import Fault, Lag
from sandbox.kong import Kong
from sandbox.kong_cluster import Settings
from tests.kong_room import NEVER, App, Room, answer_name, application

OTHERS_ANSWER = 20  # fresh connections, of which half would have met the other node


@contextlib.asynccontextmanager
async def two_nodes() -> AsyncIterator[Room]:
    """Nodes that hear of nothing by themselves, each with a proxy port of its own."""
    timing = Settings(nodes=2, workers=2, worker_state_update_frequency=NEVER, db_update_frequency=NEVER)
    kong = Kong(timing, node_proxy_ports=(0, 0))
    async with kong.serving(), aiohttp.ClientSession() as session:
        yield Room(kong, session)


async def node(here: Room, index: int, up: bool) -> Any:
    return await here.made("PUT", f"/__nodes/{index}", {"up": up})


async def at(here: Room, port: int, path: str = "/api") -> int | str:
    """What a fresh connection to this port is answered: a status, or how it failed."""
    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                await answer.read()
                return answer.status
    except aiohttp.ClientConnectorError:
        return "refused"
    except aiohttp.ClientError:
        return "broken"


async def at_node(here: Room, index: int, path: str = "/api") -> int | str:
    return await at(here, here.kong.node_proxy_ports[index], path)


def test_a_killed_node_refuses_clients_and_the_other_takes_the_shared_port() -> None:
    async def scenario() -> Any:
        async with application("blue") as blue, two_nodes() as here:
            await here.routed({blue.target: 100})
            shown = await node(here, 0, up=False)
            shared = {await at(here, here.kong.proxy_port) for _ in range(OTHERS_ANSWER)}
            return shown, [await at_node(here, index) for index in (0, 1)], shared, here.kong.node_proxy_ports[0]

    shown, own, shared, port = asyncio.run(scenario())
    assert (0, False, port) == (shown["node"], shown["up"], shown["proxy_port"])
    assert (["refused", 200], {200}) == (own, shared)


def test_the_admin_port_leads_to_living_nodes_only() -> None:
    async def scenario() -> tuple[set[str], str]:
        async with two_nodes() as here:
            await node(here, 1, up=False)
            seen = set()
            for _ in range(OTHERS_ANSWER):
                async with aiohttp.ClientSession() as session:
                    async with session.get(f"http://127.0.0.1:{here.kong.admin_port}/") as answer:
                        seen.add((await answer.json())["node_id"])
            return seen, here.kong.cluster.nodes[0].id

    seen, living = asyncio.run(scenario())
    assert {living} == seen


async def raw(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """A connection that is kept after one answer, and that answer's first line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    await reader.readexactly(int(length.split(b":")[1]))
    return reader, writer, head.split(b"\r\n")[0]


async def ends(reader: asyncio.StreamReader) -> str:
    try:
        return "closed" if await reader.read(1) == b"" else "answered"
    except ConnectionResetError:
        return "reset"


def test_kept_connections_of_a_killed_node_are_reset_at_both_its_ports() -> None:
    async def scenario() -> list[str]:
        async with application("blue") as blue, two_nodes() as here:
            await here.routed({blue.target: 100})
            opened = [await raw(here.kong.node_proxy_ports[0], "/api")]
            opened += [await raw(here.kong.admin_port, "/") for _ in range(OTHERS_ANSWER)]
            for index in (0, 1):
                await node(here, index, up=False)
            seen = [await ends(reader) for reader, _, _ in opened]
            for _, writer, _ in opened:
                writer.close()
            return seen

    assert ["reset"] * (OTHERS_ANSWER + 1) == asyncio.run(scenario())


def test_a_request_in_flight_breaks_with_its_node() -> None:
    arrived, go = asyncio.Event(), asyncio.Event()

    async def slowly(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await go.wait()
        await answer_name(app, head, reader, writer)

    async def scenario() -> str:
        async with application("blue", slowly) as blue, two_nodes() as here:
            await here.routed({blue.target: 100})
            reader, writer = await asyncio.open_connection("127.0.0.1", here.kong.node_proxy_ports[0])
            writer.write(b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n")
            await arrived.wait()
            await node(here, 0, up=False)
            found = await ends(reader)
            writer.close()
            go.set()
            return found

    assert "reset" == asyncio.run(scenario())


def test_a_node_comes_back_with_what_was_stored_meanwhile_whatever_lags() -> None:
    async def scenario() -> list[str]:
        async with application("blue") as blue, application("green") as green, two_nodes() as here:
            ids = await here.routed({blue.target: 100, green.target: 0})
            await node(here, 1, up=False)
            for target, weight in ((green.target, 100), (blue.target, 0)):
                await here.made("PATCH", f"/upstreams/backend/targets/{ids[target]}", {"weight": weight})
            await here.made("PUT", "/services/backend/routes/later", {"paths": ["/later"]})
            here.kong.faults.arm("lag", Fault(effect=Lag(seconds=1e9, node=1)))
            await node(here, 1, up=True)
            found = []
            for path in ("/api", "/later"):
                url = f"http://127.0.0.1:{here.kong.node_proxy_ports[1]}{path}"
                async with here.session.get(url) as answer:
                    found.append((await answer.text()).strip())
            return found

    assert ["green", "green"] == asyncio.run(scenario())


def test_a_dead_node_learns_of_nothing_and_hears_of_writes_again_once_it_is_back() -> None:
    async def scenario() -> list[int | str]:
        async with application("blue") as blue, two_nodes() as here:
            await here.routed({blue.target: 100})
            await node(here, 1, up=False)
            here.kong.cluster.settle()
            await node(here, 1, up=True)
            await here.made("PUT", "/services/backend/routes/later", {"paths": ["/later"]})
            before = await at_node(here, 1, "/later")
            here.kong.cluster.nodes[1].settle()
            return [before, await at_node(here, 1, "/later")]

    assert [404, 200] == asyncio.run(scenario())


def test_limits_health_and_metrics_of_a_restarted_node_begin_anew_and_its_id_stays() -> None:
    async def scenario() -> list[Any]:
        async with application("blue") as blue, two_nodes() as here:
            await here.routed({blue.target: 100})
            checks = {"passive": {"unhealthy": {"http_failures": 1}}}
            await here.made("PATCH", "/upstreams/backend", {"healthchecks": checks})
            await here.made("POST", "/routes/api/plugins", {"name": "rate-limiting", "config": {"year": 1}})
            here.kong.cluster.settle()
            own = here.kong.cluster.nodes[0]
            id, seen = own.id, [await at_node(here, 0) for _ in range(2)]
            upstream = (await here.made("GET", "/upstreams/backend"))["id"]
            own.health.set(upstream, ("127.0.0.1", blue.port), False)
            await node(here, 0, up=False)
            await node(here, 0, up=True)
            return [*seen, await at_node(here, 0), id == own.id, dict(own.metrics.shown())]

    assert [200, 429, 200, True, {}] == asyncio.run(scenario())


def test_the_count_of_client_requests_outlives_a_node() -> None:
    async def scenario() -> int:
        async with application("blue") as blue, two_nodes() as here:
            await here.routed({blue.target: 100})
            for up in (False, True):
                await at_node(here, 0)
                await node(here, 0, up=up)
            return int((await here.made("GET", "/__counts"))["total"])

    assert 1 == asyncio.run(scenario())  # the second one met nobody


def test_without_a_living_node_the_shared_ports_break_and_the_nodes_can_still_be_started() -> None:
    async def scenario() -> list[Any]:
        async with application("blue") as blue, two_nodes() as here:
            await here.routed({blue.target: 100})
            for index in (0, 1):
                await node(here, index, up=False)
            dead = [await at(here, port, "/status") for port in (here.kong.proxy_port, here.kong.admin_port)]
            for index in (0, 1):
                await node(here, index, up=True)
            shared = {await at(here, here.kong.proxy_port) for _ in range(OTHERS_ANSWER)}
            own = [await at_node(here, index) for index in (0, 1)]
            return [dead, shared, own]

    assert [["broken", "broken"], {200}, [200, 200]] == asyncio.run(scenario())


def test_saying_the_same_twice_changes_nothing() -> None:
    async def scenario() -> list[Any]:
        async with two_nodes() as here:
            workers = here.kong.cluster.nodes[0].workers
            shown = [await node(here, 0, up=up) for up in (True, False, False)]
            return [[one["up"] for one in shown], here.kong.cluster.nodes[0].workers is workers]

    assert [[True, False, False], True] == asyncio.run(scenario())


def test_nodes_are_listed_and_an_unknown_one_or_another_word_is_refused() -> None:
    async def scenario() -> list[Any]:
        async with two_nodes() as here:
            await node(here, 1, up=False)
            listed = [(one["node"], one["up"]) for one in await here.made("GET", "/__nodes")]
            return [
                listed,
                (await here.made("GET", "/__nodes/0"))["up"],
                await here.admin("PUT", "/__nodes/2", {"up": False}),
                (await here.admin("GET", "/__nodes/x"))[0],
                (await here.admin("PUT", "/__nodes/0", {"down": True}))[0],
            ]

    unknown = (404, {"message": "no node 2, only 0 to 1"})
    assert [[(0, True), (1, False)], True, unknown, 404, 400] == asyncio.run(scenario())


def test_a_node_whose_port_was_taken_meanwhile_stays_down_and_says_so() -> None:
    async def scenario() -> list[Any]:
        async with two_nodes() as here:
            await node(here, 0, up=False)
            port = here.kong.node_proxy_ports[0]
            async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port):
                status, told = await here.admin("PUT", "/__nodes/0", {"up": True})
            return [status, told["message"], here.kong.cluster.nodes[0].up, port]

    status, said, up, port = asyncio.run(scenario())
    assert (409, False) == (status, up)
    assert f"Port {port} on 127.0.0.1 cannot be used (Address already in use); choose another." == said
