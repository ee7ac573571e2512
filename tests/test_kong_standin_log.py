"""http-log in the gateway stand-in: what a record says, how records travel, and that no request ever waits for them."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from sandbox.kong import Kong
from sandbox.kong_cluster import Settings
from sandbox.kong_store import Store
from tests.kong_room import NEVER, App, Room, answer_name, application, response, room

NOON = 1_795_392_020.5
Batch = dict[str, Any] | list[dict[str, Any]]


@dataclass
class LogServer:
    """Where records arrive; it answers 200 unless told otherwise."""

    port: int = 0
    heads: list[str] = field(default_factory=list)
    arrived: "asyncio.Queue[None]" = field(default_factory=asyncio.Queue)  # one for every head
    batches: "asyncio.Queue[Batch]" = field(default_factory=asyncio.Queue)
    statuses: list[int] = field(default_factory=list)  # the next answers; 0 hangs up instead
    gate: asyncio.Event = field(default_factory=asyncio.Event)  # nothing is answered before

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/log"


@contextlib.asynccontextmanager
async def log_server() -> AsyncIterator[LogServer]:
    here = LogServer()
    here.gate.set()

    async def serve(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = next(line for line in head.lower().split("\r\n") if line.startswith("content-length"))
        body = await reader.readexactly(int(length.split(":")[1]))
        here.heads.append(head)
        here.arrived.put_nowait(None)
        await here.gate.wait()
        status = here.statuses.pop(0) if here.statuses else 200
        if not status:
            raise ConnectionResetError
        here.batches.put_nowait(json.loads(body))
        writer.write(response("taken", f"{status} Whatever"))

    async with application("log", serve) as app:
        here.port = app.port
        yield here


Scene = Callable[[Room, App, LogServer], Awaitable[Any]]


async def logged(here: Room, server: LogServer, queue: Mapping[str, Any] | None = None, **config: Any) -> Any:
    """An http-log plugin on the whole gateway, in force."""
    config = {"http_endpoint": server.url, "queue": dict(queue or {}), **config}
    made = await here.made("POST", "/plugins", {"name": "http-log", "config": config})
    here.kong.cluster.settle()
    return made


def play(scene: Scene, **settings: Any) -> Any:
    async def whole() -> Any:
        async with log_server() as server, application("blue") as blue:
            async with room(Store(clock=lambda: NOON), workers=1, **settings) as here:
                await here.routed({blue.target: 100})
                return await scene(here, blue, server)

    return asyncio.run(whole())


# --- what a record says -----------------------------------------------------------------------------------------------


def test_a_record_tells_all_about_a_proxied_request() -> None:
    async def scene(here: Room, app: App, server: LogServer) -> Any:
        await logged(here, server)
        headers = {"Authorization": "Bearer s3cret", "X-Team": "a"}
        async with here.request("/api/x?a=1&b&a=2", "POST", headers, b"12345") as answer:
            await answer.read()
        entities = [await here.made("GET", path) for path in ("/routes/api", "/services/backend")]
        return await server.batches.get(), entities, here.kong.proxy_port, app.port

    told, (route, service), port, app_port = play(scene)
    request, answer = told["request"], told["response"]
    assert ("POST", "/api/x?a=1&b&a=2") == (request["method"], request["uri"])
    assert f"http://127.0.0.1:{port}/api/x?a=1&b&a=2" == request["url"]
    assert {"a": ["1", "2"], "b": True} == request["querystring"]
    assert ("REDACTED", "a", "5") == tuple(
        request["headers"][name] for name in ("authorization", "x-team", "content-length")
    )
    assert request["size"] > len("POST /api/x?a=1&b&a=2 HTTP/1.1") + len("Authorization: Bearer s3cret") + 5
    assert (200, "blue", request["id"]) == (
        answer["status"],
        answer["headers"]["x-colour"],
        answer["headers"]["x-kong-request-id"],
    )
    assert answer["size"] > len("blue\n")
    assert ("200", "/x?a=1&b&a=2", "upstream") == (told["upstream_status"], told["upstream_uri"], told["source"])
    assert ("127.0.0.1", NOON * 1000, "default") == (told["client_ip"], told["started_at"], told["workspace_name"])
    for row, name in ((route, "route"), (service, "service")):
        assert {key: value for key, value in row.items() if value is not None} | {"ws_id": told["workspace"]} == told[
            name
        ]
    (attempt,) = told["tries"]
    assert ("127.0.0.1", app_port) == (attempt["ip"], attempt["port"])
    assert NOON * 1000 == attempt["balancer_start"]
    assert {"request", "kong", "proxy", "receive"} == set(told["latencies"])
    assert all(isinstance(value, int) and value >= 0 for value in told["latencies"].values())
    assert not {"consumer", "authenticated_entity"} & told.keys()


def test_a_record_names_who_called_and_shows_a_key_only_where_it_is_not_hidden() -> None:
    async def scene(here: Room, _: App, server: LogServer) -> Any:
        made = await here.made("POST", "/routes/api/plugins", {"name": "key-auth"})
        ada = await here.made("PUT", "/consumers/ada", {"custom_id": "7"})
        key = await here.made("PUT", "/consumers/ada/key-auth/s3cret", {})
        await logged(here, server)
        await here.call("/api", headers={"apikey": "s3cret"})
        shown = await server.batches.get()
        await here.made("PATCH", f"/plugins/{made['id']}", {"config": {"hide_credentials": True}})
        here.kong.cluster.settle()
        await here.call("/api?apikey=s3cret", headers={"X-Kept": "1"})
        return shown, await server.batches.get(), ada, key

    shown, hidden, ada, key = play(scene)
    assert ("ada", "7") == (shown["consumer"]["username"], shown["consumer"]["custom_id"])
    assert {"id": key["id"], "consumer_id": ada["id"]} == shown["authenticated_entity"]
    assert ("s3cret", "ada") == (
        shown["request"]["headers"]["apikey"],
        shown["request"]["headers"]["x-consumer-username"],
    )
    assert {} == hidden["request"]["querystring"]
    assert "/api?apikey=s3cret" == hidden["request"]["uri"]  # as the client wrote it, in Kong too


@pytest.mark.parametrize(
    ("plugin", "status"), [({"name": "key-auth"}, 401), ({"name": "request-termination", "config": {}}, 503)]
)
def test_what_the_gateway_answers_itself_is_recorded_as_its_own(plugin: Any, status: int) -> None:
    async def scene(here: Room, _: App, server: LogServer) -> Any:
        await here.made("POST", "/routes/api/plugins", plugin)
        await logged(here, server)
        await here.call("/api")
        return await server.batches.get()

    told = play(scene)
    assert (status, "kong", "") == (told["response"]["status"], told["source"], told["upstream_status"])
    assert -1 == told["latencies"]["proxy"]
    assert "tries" not in told


def test_a_retry_is_recorded_with_why_the_first_try_failed() -> None:
    async def whole() -> Any:
        async with log_server() as server, application("blue") as blue:
            async with room(workers=1) as here:
                await here.routed({blue.target: 1, "127.0.0.1:1": 1})
                await logged(here, server)
                while True:  # the ring is shuffled: some request meets the dead target first
                    assert (await here.call("/api"))[0] == 200
                    told: Any = await server.batches.get()
                    if len(told["tries"]) > 1:
                        return told, blue.port

    told, port = asyncio.run(whole())
    failed, last = told["tries"]
    assert (1, "failed", 502) == (failed["port"], failed["state"], failed["code"])
    assert (port, False, False) == (last["port"], "state" in last, "code" in last)
    assert ("502, 200", "upstream") == (told["upstream_status"], told["source"])


def test_every_colour_of_a_split_can_be_counted_from_the_records() -> None:
    async def whole() -> Any:
        async with log_server() as server, application("blue") as blue, application("green") as green:
            async with room(workers=1) as here:
                await here.routed({blue.target: 3, green.target: 1})
                await logged(here, server, {"max_batch_size": 8})
                for _ in range(8):
                    await here.call("/api")
                batch = await server.batches.get()
                ports = [record["tries"][-1]["port"] for record in batch if isinstance(record, dict)]
                return [ports.count(app.port) for app in (blue, green)]

    assert [6, 2] == asyncio.run(whole())


def test_a_request_without_a_route_is_not_recorded() -> None:
    async def scene(here: Room, _: App, server: LogServer) -> Any:
        await logged(here, server)
        for path in ("/nowhere", "/api"):
            await here.call(path)
        return await server.batches.get()

    assert "/api" == play(scene)["request"]["uri"]


# --- how records travel -----------------------------------------------------------------------------------------------


def test_headers_of_the_configuration_are_sent_and_take_no_others_place() -> None:
    async def scene(here: Room, _: App, server: LogServer) -> str:
        endpoint = f"http://bluegreen:pass%40word@127.0.0.1:{server.port}/collect/here?token=left-out"
        headers = {"X-Log-Key": "k-1", "Authorization": "not this one"}
        await logged(here, server, http_endpoint=endpoint, headers=headers, method="PUT")
        await here.call("/api")
        await server.batches.get()
        return server.heads[0]

    lines = play(scene).split("\r\n")
    login = base64.b64encode(b"bluegreen:pass%40word").decode()
    assert "PUT /collect/here HTTP/1.1" == lines[0]
    assert {"X-Log-Key: k-1", "Content-Type: application/json", f"Authorization: Basic {login}"} <= set(lines)
    assert "Authorization: not this one" not in lines


def test_one_record_goes_alone_as_an_object_and_several_as_a_list() -> None:
    async def scene(here: Room, _: App, server: LogServer) -> Any:
        made = await logged(here, server)
        await here.call("/api")
        alone = await server.batches.get()
        await here.made("DELETE", f"/plugins/{made['id']}")
        await logged(here, server, {"max_batch_size": 3}, timeout=9000)
        for number in range(3):
            await here.call(f"/api/{number}")
        return alone, await server.batches.get()

    alone, several = play(scene)
    assert "/api" == alone["request"]["uri"]
    assert ["/api/0", "/api/1", "/api/2"] == [record["request"]["uri"] for record in several]


def test_a_batch_that_is_not_full_leaves_after_the_coalescing_delay_as_a_list() -> None:
    async def scene(here: Room, _: App, server: LogServer) -> Any:
        await logged(here, server, {"max_batch_size": 1000, "max_coalescing_delay": 0.1})
        await here.call("/api")
        return await server.batches.get()

    assert ["/api"] == [record["request"]["uri"] for record in play(scene)]


def test_instances_with_one_log_server_share_a_queue_and_its_batches() -> None:
    async def scene(here: Room, _: App, server: LogServer) -> Any:
        await here.made("PUT", "/services/backend/routes/other", {"paths": ["/other"]})
        for route, size in (("api", 2), ("other", 1)):
            config = {"http_endpoint": server.url, "queue": {"max_batch_size": size}}
            await here.made("POST", f"/routes/{route}/plugins", {"name": "http-log", "config": config})
        here.kong.cluster.settle()
        for path in ("/api", "/other"):
            await here.call(path)
        return await server.batches.get()

    assert ["/api", "/other"] == [record["request"]["uri"] for record in play(scene)]


RETRIES = {"initial_retry_delay": 0.001, "max_retry_delay": 0.001}


@pytest.mark.parametrize("failures", [[500], [0], [302, 503, 0]])
def test_a_batch_that_was_refused_or_lost_is_sent_again(failures: list[int]) -> None:
    async def scene(here: Room, _: App, server: LogServer) -> Any:
        server.statuses += failures
        await logged(here, server, RETRIES)
        await here.call("/api")
        return [await server.batches.get() for status in (*failures, 200) if status], len(server.heads)

    seen, asked = play(scene)
    assert len(failures) + 1 == asked
    assert {"/api"} == {record["request"]["uri"] for record in seen}


def test_a_batch_is_dropped_after_the_retry_time_and_the_next_one_arrives() -> None:
    async def scene(here: Room, _: App, server: LogServer) -> Any:
        server.statuses += [500, 500]
        await logged(here, server, {**RETRIES, "max_retry_time": 0})
        for path in ("/api/lost", "/api/next"):
            await here.call(path)
        uris = []
        while "/api/next" not in uris:
            told: Any = await server.batches.get()
            uris.append(told["request"]["uri"])
        return uris

    seen = play(scene)
    assert "/api/next" == seen[-1]
    assert 1 <= seen.count("/api/lost") <= 2


def test_a_log_server_that_comes_up_later_gets_what_waited() -> None:
    async def scene(here: Room, _: App, server: LogServer) -> Any:
        probe = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = probe.sockets[0].getsockname()[1]
        probe.close()
        await logged(here, server, RETRIES, http_endpoint=f"http://127.0.0.1:{port}/log")
        assert (await here.call("/api"))[0] == 200
        got: asyncio.Queue[str] = asyncio.Queue()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.put_nowait((await reader.readuntil(b"\r\n")).decode())
            writer.write(response("taken", extra="Connection: close\r\n"))
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", port):
            return await got.get()

    assert "POST /log HTTP/1.1\r\n" == play(scene)


def test_beyond_the_entries_that_may_wait_the_oldest_are_dropped() -> None:
    async def scene(here: Room, _: App, server: LogServer) -> Any:
        server.gate.clear()
        await logged(here, server, {"max_entries": 2})
        await here.call("/api/sent")
        await server.arrived.get()  # it is under way, so it does not wait any more
        for number in range(4):
            await here.call(f"/api/{number}")
        server.gate.set()
        told: list[Any] = [await server.batches.get() for _ in range(3)]
        return [one["request"]["uri"] for one in told], server.batches.empty()

    assert (["/api/sent", "/api/2", "/api/3"], True) == play(scene)


def test_a_record_larger_than_the_whole_queue_is_dropped_and_harms_nobody() -> None:
    async def scene(here: Room, _: App, server: LogServer) -> Any:
        await logged(here, server, {"max_bytes": 5_000})
        status = (await here.call("/api/large", headers={"X-Large": "x" * 6_000}))[0]
        await here.call("/api/small")
        return status, (await server.batches.get())["request"]["uri"]  # type: ignore[call-overload]

    assert (200, "/api/small") == play(scene)


def test_an_unlimited_queue_sends_records_side_by_side() -> None:
    async def scene(here: Room, _: App, server: LogServer) -> Any:
        server.gate.clear()
        await logged(here, server, {"concurrency_limit": -1})
        for number in range(3):
            await here.call(f"/api/{number}")
        await asyncio.gather(*(server.arrived.get() for _ in range(3)))
        server.gate.set()
        told: list[Any] = [await server.batches.get() for _ in range(3)]
        return {one["request"]["uri"] for one in told}

    assert {"/api/0", "/api/1", "/api/2"} == play(scene)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1/log", "http://no.such.host.invalid/", "http://a:port/"])
def test_a_log_server_that_is_not_there_fails_and_delays_no_request(endpoint: str) -> None:
    async def scene(here: Room, _: App, server: LogServer) -> list[int]:
        await logged(here, server, http_endpoint=endpoint)
        return [(await here.call("/api"))[0] for _ in range(20)]

    assert [200] * 20 == play(scene)


def test_a_log_server_that_never_answers_holds_up_no_request() -> None:
    async def scene(here: Room, _: App, server: LogServer) -> list[int]:
        server.gate.clear()
        await logged(here, server)
        return [(await here.call("/api"))[0] for _ in range(20)]

    assert [200] * 20 == play(scene)


def test_the_connection_to_a_log_server_is_kept() -> None:
    async def whole() -> int:
        connections = 0

        async def serve(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await answer_name(app, head, reader, writer)
            nonlocal connections
            connections = len(app.connections)
            taken.put_nowait(head)

        taken: asyncio.Queue[str] = asyncio.Queue()
        async with application("blue") as blue, application("log", serve) as log, room(workers=1) as here:
            await here.routed({blue.target: 100})
            config = {"http_endpoint": f"http://127.0.0.1:{log.port}/"}
            await here.made("POST", "/plugins", {"name": "http-log", "config": config})
            here.kong.cluster.settle()
            for _ in range(3):
                await here.call("/api")
                await taken.get()
            return connections

    assert 1 == asyncio.run(whole())


def test_a_killed_node_sends_nothing_that_still_waited() -> None:
    async def whole() -> Any:
        async with log_server() as server, application("blue") as blue:
            timing = Settings(nodes=2, workers=1, worker_state_update_frequency=NEVER, db_update_frequency=NEVER)
            kong = Kong(timing, node_proxy_ports=(0, 0))
            async with kong.serving(), aiohttp.ClientSession() as session:
                here = Room(kong, session)
                await here.routed({blue.target: 100})
                await logged(here, server, {"max_batch_size": 2})
                for node, path in ((0, "/api/lost"), (1, "/api/1")):
                    async with session.get(f"http://127.0.0.1:{kong.node_proxy_ports[node]}{path}") as answer:
                        await answer.read()
                await here.made("PUT", "/__nodes/0", {"up": False})
                async with session.get(f"http://127.0.0.1:{kong.node_proxy_ports[1]}/api/2") as answer:
                    await answer.read()
                batch: Any = await server.batches.get()
                return [record["request"]["uri"] for record in batch], server.batches.empty()

    assert (["/api/1", "/api/2"], True) == asyncio.run(whole())
