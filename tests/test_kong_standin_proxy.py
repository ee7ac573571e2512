"""The Kong stand-in's data plane: routing, rings, retries, bodies, and Kong's own answers."""

import asyncio
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp

from sandbox.kong_exchange import upstream_path
from sandbox.kong_store import Store
from tests.kong_room import App, Room, application, response, room

RECORDED = Path(__file__).parent / "recorded"
CHANGING = {
    "x-request-id",
    "x-kong-request-id",
    "x-kong-upstream-latency",
    "x-kong-proxy-latency",
    "x-kong-response-latency",
}


async def recorded_setup(here: Room, blue: App, green: App) -> None:
    """The configuration under which the recorded conversation was held."""
    for colour, app in (("blue", blue), ("green", green)):
        name = "ai" if colour == "blue" else "ai-green"
        await here.made("PUT", f"/services/{name}", {"url": f"http://127.0.0.1:{app.port}"})
    await here.made("PUT", "/services/ai/routes/ai", {"paths": ["/ai/m1"]})
    await here.made("PUT", "/services/ai/routes/ai2", {"paths": ["/ai/m2"]})
    await here.made(
        "PUT", "/services/ai-green/routes/preview", {"paths": ["/ai/m1"], "headers": {"x-colour": ["green"]}}
    )
    await here.made("PUT", "/consumers/alice", {})
    await here.made("PUT", "/consumers/alice/key-auth/k1", {})
    headers = {"header_name": "X-Request-ID", "generator": "uuid", "echo_downstream": True}
    cors = {"origins": ["https://app.example.com"], "credentials": True, "exposed_headers": ["X-Request-ID"]}
    cors |= {"methods": ["GET", "POST"], "headers": ["X-Api-Key", "Content-Type"], "max_age": 3600}
    for plugin, config in (
        ("correlation-id", headers),
        ("cors", cors),
        ("key-auth", {"key_names": ["x-api-key"]}),
        ("rate-limiting", {"minute": 4, "policy": "local"}),
        ("request-size-limiting", {"allowed_payload_size": 1, "size_unit": "kilobytes"}),
    ):
        await here.made("POST", "/services/ai/plugins", {"name": plugin, "config": config})
    here.kong.cluster.settle()


def told(body: str) -> Any:
    """A body without the request's id."""
    return json.loads(body) | {"request_id": "…"} if body.startswith("{") else body


def test_the_proxy_answers_the_recorded_conversation_alike() -> None:
    calls = json.loads((RECORDED / "kong_proxy.json").read_text())

    async def replay() -> list[str]:
        wrong = []
        async with application("blue") as blue, application("green") as green:
            async with room(Store(clock=lambda: 1795384043.0)) as here:
                await recorded_setup(here, blue, green)
                for call in calls:
                    data = b"x" * 2048 if call["method"] == "POST" else None
                    async with here.request(call["path"], call["method"], call["headers"], data) as answer:
                        body = await answer.text()
                        said = {name.lower(): value for name, value in answer.headers.items()}
                    if (call["status"], told(call["body"])) != (answer.status, told(body)):
                        wrong.append(f"{call['name']}: {answer.status} {body}")
                    for name, value in call["answer_headers"].items():
                        same = name in said if name in CHANGING else said.get(name) == value
                        if not same:
                            wrong.append(f"{call['name']}: {name} recorded {value!r}, answered {said.get(name)!r}")
        return wrong

    # 1795384043 is 37 s before the next minute, as in the recording.
    assert [] == asyncio.run(replay())


def test_weights_decide_which_target_answers() -> None:
    async def scenario() -> list[int]:
        async with application("blue") as blue, application("green") as green, room() as here:
            await here.routed({blue.target: 75, green.target: 25})
            answers = [await here.call("/api") for _ in range(40)]
            return [answers.count((200, f"{name}\n")) for name in ("blue", "green")]

    assert [30, 10] == asyncio.run(scenario())


def test_a_ring_without_weight_answers_503_and_a_raise_heals_it() -> None:
    async def scenario() -> list[Any]:
        async with application("blue") as blue, room() as here:
            ids = await here.routed({blue.target: 0})
            empty = await here.call("/api")
            await here.made("PATCH", f"/upstreams/backend/targets/{ids[blue.target]}", {"weight": 1})
            here.kong.cluster.settle()
            return [empty[0], json.loads(empty[1])["message"], await here.call("/api")]

    assert [503, "failure to get a peer from the ring-balancer", (200, "blue\n")] == asyncio.run(scenario())


def test_raising_first_fails_no_request_and_lowering_first_does() -> None:
    async def flip(order: tuple[int, int]) -> set[int]:
        async with application("blue") as blue, application("green") as green, room() as here:
            ids = await here.routed({blue.target: 100, green.target: 0})
            writes = [(ids[green.target], 100), (ids[blue.target], 0)]
            statuses = set()
            for step in order:
                row, weight = writes[step]
                await here.made("PATCH", f"/upstreams/backend/targets/{row}", {"weight": weight})
                here.kong.cluster.settle()
                statuses |= {(await here.call("/api"))[0] for _ in range(5)}
            return statuses

    assert ({200}, {200, 503}) == (asyncio.run(flip((0, 1))), asyncio.run(flip((1, 0))))


def test_a_request_in_flight_ends_on_its_old_target_although_the_row_is_gone() -> None:
    async def scenario() -> tuple[tuple[int, str], tuple[int, str]]:
        arrived, go_on = asyncio.Event(), asyncio.Event()

        async def slow(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            arrived.set()
            await go_on.wait()
            writer.write(response("old\n"))

        async with application("blue", slow) as blue, application("green") as green, room() as here:
            ids = await here.routed({blue.target: 100})
            flying = asyncio.create_task(here.call("/api"))
            await arrived.wait()
            await here.made("POST", "/upstreams/backend/targets", {"target": green.target})
            await here.made("DELETE", f"/upstreams/backend/targets/{ids[blue.target]}")
            here.kong.cluster.settle()
            fresh = await here.call("/api")
            go_on.set()
            return await flying, fresh

    assert ((200, "old\n"), (200, "green\n")) == asyncio.run(scenario())


def test_a_kept_connection_that_dies_under_a_request_costs_the_client_nothing() -> None:
    async def scenario() -> tuple[list[tuple[int, str]], int]:
        seen = 0

        async def moody(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal seen
            seen += 1
            if seen == 2:  # the kept connection: gone as soon as the next request arrives on it
                writer.transport.abort()
                raise ConnectionResetError
            writer.write(response("blue\n"))

        async with application("blue", moody) as blue, room() as here:
            await here.routed({blue.target: 100}, retries=0)
            return [await here.call("/api"), await here.call("/api")], len(blue.connections)

    assert ([(200, "blue\n")] * 2, 2) == asyncio.run(scenario())


def test_a_post_that_was_sent_is_not_repeated() -> None:
    async def scenario() -> tuple[int, int]:
        async def hang_up(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()
            raise ConnectionResetError

        async with application("blue", hang_up) as blue, room() as here:
            await here.routed({blue.target: 100})
            status, _ = await here.call("/api", "POST", data=b"once")
            return status, len(blue.heads)

    assert (502, 1) == asyncio.run(scenario())


def test_a_dead_target_is_stepped_over_while_retries_last() -> None:
    async def scenario(retries: int) -> set[int]:
        async with application("blue") as blue, application("gone") as gone:
            dead = gone.target
        async with application("blue") as blue, room(workers=1) as here:
            await here.routed({blue.target: 50, dead: 50}, retries=retries)
            return {(await here.call("/api"))[0] for _ in range(4)}

    assert ({200}, {200, 502}) == (asyncio.run(scenario(5)), asyncio.run(scenario(0)))


def test_an_application_that_is_too_slow_is_answered_504() -> None:
    async def scenario() -> tuple[int, str]:
        async def never(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with application("blue", never) as blue, room() as here:
            await here.routed({blue.target: 100}, read_timeout=20, retries=0)
            status, body = await here.call("/api")
            return status, json.loads(body)["message"]

    assert (504, "The upstream server is timing out") == asyncio.run(scenario())


def test_a_host_that_is_neither_upstream_nor_name_cannot_be_resolved() -> None:
    async def scenario() -> tuple[int, str]:
        async with room() as here:
            await here.made("PUT", "/services/s", {"host": "nothing.invalid"})
            await here.made("PUT", "/services/s/routes/s", {"paths": ["/"]})
            here.kong.cluster.settle()
            status, body = await here.call("/x")
            return status, json.loads(body)["message"]

    assert (503, "name resolution failed") == asyncio.run(scenario())


def test_header_routes_beat_plain_ones_and_longer_paths_beat_shorter_ones() -> None:
    routes: dict[str, dict[str, Any]] = {
        "plain": {"paths": ["/ai"]},
        "longer": {"paths": ["/ai/flux"]},
        "regex": {"paths": ["~/ai/m\\d+$"]},
        "header": {"paths": ["/ai"], "headers": {"x-preview-colour": ["Green"]}},
        "host": {"paths": ["/ai"], "hosts": ["*.example.com"]},
        "method": {"paths": ["/only"], "methods": ["POST"]},
    }
    asked: list[tuple[str, str, dict[str, str]]] = [
        ("/ai/x", "GET", {}),
        ("/ai/flux/1", "GET", {}),
        ("/ai/m12", "GET", {}),
        ("/ai/m12x", "GET", {}),
        ("/ai/flux", "GET", {"X-Preview-Colour": "green"}),
        ("/ai/flux", "GET", {"X-Preview-Colour": "blue"}),
        ("/ai/flux", "GET", {"Host": "a.example.com"}),
        ("/only", "POST", {}),
        ("/only", "GET", {}),
    ]

    async def scenario() -> list[str]:
        async with room() as here:
            for name, route in routes.items():
                await here.made("PUT", f"/routes/{name}", route)
                config = {"status_code": 299, "message": name}
                await here.made("POST", f"/routes/{name}/plugins", {"name": "request-termination", "config": config})
            here.kong.cluster.settle()
            answers = [await here.call(path, method, headers) for path, method, headers in asked]
            return [json.loads(body)["message"] for _, body in answers]

    expected = ["plain", "longer", "regex", "plain", "header", "longer", "host", "method"]
    assert [*expected, "no Route matched with those values"] == asyncio.run(scenario())


def test_the_application_sees_the_stripped_path_its_own_host_and_where_the_request_came_from() -> None:
    async def scenario() -> str:
        async with application("blue") as blue, room() as here:
            await here.routed({blue.target: 100}, path="/base")
            await here.call("/api/items?q=1", headers={"X-Forwarded-For": "10.0.0.9"})
            return blue.heads[0]

    head = asyncio.run(scenario())
    assert head.startswith("GET /base/items?q=1 HTTP/1.1\r\nHost: backend-blue.railway.internal:")
    assert "X-Forwarded-For: 10.0.0.9, 127.0.0.1\r\n" in head
    assert "X-Forwarded-Prefix: /api\r\n" in head


def test_the_clients_host_is_kept_where_the_route_says_so() -> None:
    async def scenario() -> str:
        async with application("blue") as blue, room() as here:
            await here.routed({blue.target: 100})
            await here.made("PATCH", "/routes/api", {"preserve_host": True, "strip_path": False})
            here.kong.cluster.settle()
            await here.call("/api/items", headers={"Host": "www.example.com"})
            return blue.heads[0]

    assert asyncio.run(scenario()).startswith("GET /api/items HTTP/1.1\r\nHost: www.example.com\r\n")


def test_paths_are_joined_without_doubled_or_missing_slashes() -> None:
    def joined(path: str, prefix: str, base: str | None, strip: bool = True) -> str:
        call: Any = type("C", (), {})()
        call.path, call.match = path, type("M", (), {"prefix": prefix, "route": {"strip_path": strip}})()
        return upstream_path(call, {"path": base})

    cases = [
        (("/api", "/api", None), "/"),
        (("/api/", "/api", None), "/"),
        (("/api/x", "/api/", None), "/x"),
        (("/api/x", "/api", "/v1/"), "/v1/x"),
        (("/api", "/api", "/v1"), "/v1"),
        (("/api/x", "/api", "/v1", False), "/v1/api/x"),
    ]
    assert [expected for _, expected in cases] == [joined(*given) for given, _ in cases]  # type: ignore[arg-type]


def test_large_and_chunked_bodies_pass_whole_in_both_directions() -> None:
    async def scenario() -> tuple[int, int, int]:
        sent = b"u" * 3_000_000

        async def echo(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            size = 0
            while length := int(await reader.readline(), 16):
                size += len(await reader.readexactly(length))
                await reader.readline()
            await reader.readline()
            app.bodies.append(b"%d" % size)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(3):
                writer.write(b"80000\r\n" + b"d" * 0x80000 + b"\r\n")
                await writer.drain()
            writer.write(b"0\r\n\r\n")

        async def in_pieces() -> Any:
            for start in range(0, len(sent), 500_000):
                yield sent[start : start + 500_000]

        async with application("blue", echo) as blue, room() as here:
            await here.routed({blue.target: 100})
            async with here.request("/api", "POST", data=in_pieces()) as answer:
                received = await answer.read()
            return answer.status, int(blue.bodies[0]), len(received)

    assert (200, 3_000_000, 3 * 0x80000) == asyncio.run(scenario())


def test_the_first_part_of_a_streamed_answer_arrives_before_the_last_is_sent() -> None:
    async def scenario() -> list[bytes]:
        seen = asyncio.Event()

        async def events(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
            await seen.wait()
            writer.write(b"5\r\nlast\n\r\n0\r\n\r\n")

        async with application("blue", events) as blue, room() as here:
            await here.routed({blue.target: 100})
            async with here.request("/api") as answer:
                first = await answer.content.readline()
                seen.set()
                return [first, await answer.content.readline()]

    assert [b"first\n", b"last\n"] == asyncio.run(scenario())


def test_half_an_answer_is_never_passed_off_as_a_whole_one() -> None:
    async def scenario() -> str:
        async def half(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            await writer.drain()
            writer.close()
            raise ConnectionResetError

        async with application("blue", half) as blue, room() as here:
            await here.routed({blue.target: 100})
            try:
                await here.call("/api")
            except aiohttp.ClientError:
                return "broken"
            return "whole"

    assert "broken" == asyncio.run(scenario())


def test_a_client_that_hangs_up_disturbs_nobody_else() -> None:
    async def scenario() -> tuple[int, str]:
        arrived, go_on = asyncio.Event(), asyncio.Event()

        async def slow_once(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(app.heads) == 1:
                arrived.set()
                await go_on.wait()
            writer.write(response("blue\n"))

        async with application("blue", slow_once) as blue, room() as here:
            await here.routed({blue.target: 100})
            _, writer = await asyncio.open_connection("127.0.0.1", here.kong.proxy_port)
            writer.write(b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n")
            await arrived.wait()
            writer.transport.abort()
            go_on.set()
            return await here.call("/api")

    assert (200, "blue\n") == asyncio.run(scenario())


def test_a_sticky_client_never_moves_back_while_its_new_colour_grows() -> None:
    async def scenario() -> list[int]:
        async with application("blue") as blue, application("green") as green, room() as here:
            ids = await here.routed({blue.target: 95, green.target: 5})
            await here.made("PATCH", "/upstreams/backend", {"hash_on": "cookie", "hash_on_cookie": "sid"})
            here.kong.cluster.settle()
            moved: list[set[str]] = []
            for share in (5, 25, 50, 100):
                for target, weight in ((green.target, share), (blue.target, 100 - share)):
                    await here.made("PATCH", f"/upstreams/backend/targets/{ids[target]}", {"weight": weight})
                here.kong.cluster.settle()
                clients = [f"client-{number}" for number in range(60)]
                answers = {who: (await here.call("/api", headers={"Cookie": f"sid={who}"}))[1] for who in clients}
                moved.append({who for who, colour in answers.items() if colour == "green\n"})
            assert all(earlier <= later for earlier, later in pairwise(moved))
            return [len(moved[0]) < 15, len(moved[-1])]

    assert [True, 60] == asyncio.run(scenario())


def test_a_client_without_the_sticky_cookie_gets_one() -> None:
    async def scenario() -> str:
        async with application("blue") as blue, room() as here:
            await here.routed({blue.target: 100})
            await here.made("PATCH", "/upstreams/backend", {"hash_on": "cookie", "hash_on_cookie": "sid"})
            here.kong.cluster.settle()
            async with here.request("/api") as answer:
                return str(answer.headers["Set-Cookie"])

    assert asyncio.run(scenario()).startswith("sid=")


def test_an_acl_lets_only_its_groups_pass() -> None:
    async def scenario() -> list[int]:
        async with application("blue") as blue, room() as here:
            await here.routed({blue.target: 100})
            for name in ("alice", "bob"):
                await here.made("PUT", f"/consumers/{name}", {})
                await here.made("PUT", f"/consumers/{name}/key-auth/key-{name}", {})
            await here.made("POST", "/consumers/alice/acls", {"group": "preview"})
            await here.made("POST", "/routes/api/plugins", {"name": "key-auth"})
            await here.made("POST", "/routes/api/plugins", {"name": "acl", "config": {"allow": ["preview"]}})
            here.kong.cluster.settle()
            keys: list[dict[str, str]] = [{}, {"apikey": "key-bob"}, {"apikey": "key-alice"}]
            return [(await here.call("/api", headers=headers))[0] for headers in keys]

    assert [401, 403, 200] == asyncio.run(scenario())


def test_the_most_specific_configuration_of_a_plugin_wins() -> None:
    async def scenario() -> list[int]:
        async with application("blue") as blue, room() as here:
            await here.routed({blue.target: 100})
            for place, status in (("", 501), ("/services/backend", 502), ("/routes/api", 503)):
                config = {"status_code": status}
                await here.made("POST", f"{place}/plugins", {"name": "request-termination", "config": config})
            here.kong.cluster.settle()
            first = (await here.call("/api"))[0]
            listed = await here.made("GET", "/routes/api/plugins")
            await here.made("PATCH", f"/plugins/{listed['data'][0]['id']}", {"enabled": False})
            here.kong.cluster.settle()
            return [first, (await here.call("/api"))[0]]

    assert [503, 502] == asyncio.run(scenario())


def test_passive_checks_eject_a_failing_target_until_an_operator_readmits_it() -> None:
    async def scenario() -> list[Any]:
        async def fails(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(response("broken\n", "500 Internal Server Error"))

        async with application("blue") as blue, application("green", fails) as green, room() as here:
            await here.routed({blue.target: 50, green.target: 50})
            passive = {"unhealthy": {"http_failures": 2}, "healthy": {"successes": 1}}
            await here.made("PATCH", "/upstreams/backend", {"healthchecks": {"passive": passive}})
            here.kong.cluster.settle()
            failed = [(await here.call("/api"))[0] for _ in range(20)].count(500)
            health = (await here.made("GET", "/upstreams/backend/health"))["data"]
            states = {row["target"]: row["health"] for row in health}
            await here.made("PUT", f"/upstreams/backend/targets/{green.target}/healthy")
            health = (await here.made("GET", "/upstreams/backend/health"))["data"]
            return [failed, states[blue.target], states[green.target], {row["health"] for row in health}]

    assert [2, "HEALTHY", "UNHEALTHY", {"HEALTHY"}] == asyncio.run(scenario())


def test_active_checks_find_a_target_that_stops_answering_and_one_that_recovers() -> None:
    async def health(here: Room, wanted: str) -> str:
        async with asyncio.timeout(5):
            while True:
                rows = (await here.made("GET", "/upstreams/backend/health"))["data"]
                if rows[0]["health"] == wanted:
                    return wanted

    async def scenario() -> list[str]:
        broken = False

        async def moody(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(response("", "500 Internal Server Error" if broken else "200 OK"))

        async with application("blue", moody) as blue, room() as here:
            await here.routed({blue.target: 100})
            active = {
                "healthy": {"interval": 0.01, "successes": 1},
                "unhealthy": {"interval": 0.01, "http_failures": 1},
            }
            await here.made("PATCH", "/upstreams/backend", {"healthchecks": {"active": active}})
            here.kong.cluster.settle()
            seen = [await health(here, "HEALTHY")]
            broken = True
            seen.append(await health(here, "UNHEALTHY"))
            broken = False
            return [*seen, await health(here, "HEALTHY")]

    assert ["HEALTHY", "UNHEALTHY", "HEALTHY"] == asyncio.run(scenario())


def test_every_client_request_is_counted_by_its_way_and_its_answer() -> None:
    async def scenario() -> tuple[Any, str]:
        async with application("blue") as blue, room(nodes=2) as here:
            await here.routed({blue.target: 100})
            config = {"status_code_metrics": True, "latency_metrics": True, "upstream_health_metrics": True}
            await here.made("POST", "/plugins", {"name": "prometheus", "config": config})
            here.kong.cluster.settle()
            for path in ("/api", "/api/x", "/nowhere"):
                await here.call(path, headers={"User-Agent": "reader/1.2 (tests)"})
            counts = await here.made("GET", "/__counts")
            url = f"http://127.0.0.1:{here.kong.admin_port}/metrics"
            async with here.session.get(url) as answer:
                metrics = await answer.text()
            counts["targets"] = list(counts["targets"].values())
            return counts, metrics

    counts, metrics = asyncio.run(scenario())
    ways = {"routes": {"api": 2}, "services": {"backend": 2}, "statuses": {"200": 2, "404": 1}, "targets": [2]}
    assert {"total": 3, **ways, "agents": {"reader": 3}} == counts
    assert "kong_upstream_target_health{" in metrics


def test_metrics_name_service_route_code_and_source() -> None:
    async def scenario() -> str:
        async with application("blue") as blue, room() as here:
            ids = await here.routed({blue.target: 100})
            config = {"status_code_metrics": True, "latency_metrics": True}
            await here.made("POST", "/plugins", {"name": "prometheus", "config": config})
            here.kong.cluster.settle()
            await here.call("/api")
            await here.made("PATCH", f"/upstreams/backend/targets/{ids[blue.target]}", {"weight": 0})
            here.kong.cluster.settle()
            await here.call("/api")
            async with here.session.get(f"http://127.0.0.1:{here.kong.admin_port}/metrics") as answer:
                return await answer.text()

    lines = asyncio.run(scenario()).splitlines()
    labels = 'service="backend",route="api",code="{}",source="{}",workspace="default",consumer=""'
    assert f"kong_http_requests_total{{{labels.format(200, 'service')}}} 1" in lines
    assert f"kong_http_requests_total{{{labels.format(503, 'kong')}}} 1" in lines
    assert 'kong_upstream_latency_ms_count{service="backend",route="api",workspace="default"} 1' in lines
