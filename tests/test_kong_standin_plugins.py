"""The plugins that act on a request, through the proxy: what they refuse, what they add, what they count.

Where no recording tells how a real Kong 3.9.1 does it, its handlers' documented behaviour is the measure.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from sandbox.kong_store import Store
from tests.kong_room import App, Room, application, room

RECORDED = Path(__file__).parent / "recorded" / "kong_metrics.txt"
NOON = 1_795_392_000.0 + 20  # 20 seconds into a minute, an hour and a day
Headers = Mapping[str, str]
Scene = Callable[[Room, App], Awaitable[Any]]


def play(scene: Scene, *plugins: tuple[str, Mapping[str, Any]], app_says: str = "", **settings: Any) -> Any:
    """Run a scene on a gateway with one application at `/api`, behind these plugins of its route."""

    async def serve(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        app.bodies.append(await reader.readexactly(int(length[1]) if length else 0))
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{app_says}\r\nok".encode())

    async def whole() -> Any:
        async with application("blue", serve) as app, room(Store(clock=lambda: NOON), **settings) as here:
            await here.routed({app.target: 100})
            for name, config in plugins:
                await here.made("POST", "/routes/api/plugins", {"name": name, "config": config})
            here.kong.cluster.settle()
            return await scene(here, app)

    return asyncio.run(whole())


async def asked(here: Room, path: str = "/api", method: str = "GET", headers: Headers | None = None) -> Any:
    """Status and headers; a header that came twice holds both."""
    async with here.request(path, method, headers) as answer:
        await answer.read()
        names = {name.lower() for name in answer.headers}
        return answer.status, {name: ", ".join(answer.headers.getall(name)) for name in names}


def told(headers: Headers, *names: str) -> list[str | None]:
    return [headers.get(name) for name in names]


async def consumer(here: Room, name: str, **fields: Any) -> None:
    await here.made("PUT", f"/consumers/{name}", fields)
    await here.made("PUT", f"/consumers/{name}/key-auth/key-{name}", {})


# --- rate-limiting ----------------------------------------------------------------------------------------------------


def test_a_rate_limit_is_told_in_every_header_on_200_and_on_429() -> None:
    async def scene(here: Room, _: App) -> list[Any]:
        return [await asked(here) for _ in range(3)]

    first, second, refused = play(scene, ("rate-limiting", {"minute": 2, "hour": 9, "policy": "local"}))
    names = ("x-ratelimit-limit-minute", "x-ratelimit-remaining-minute", "x-ratelimit-limit-hour")
    more = ("x-ratelimit-remaining-hour", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after")
    assert (200, ["2", "1", "9", "8", "2", "1", "40", None]) == (first[0], told(first[1], *names, *more))
    assert (200, ["2", "0", "9", "7", "2", "0", "40", None]) == (second[0], told(second[1], *names, *more))
    assert (429, ["2", "0", "9", "7", "2", "0", "40", "40"]) == (refused[0], told(refused[1], *names, *more))


def test_of_two_limits_as_near_the_longer_one_is_told() -> None:
    async def scene(here: Room, _: App) -> Any:
        return (await asked(here))[1]

    headers = play(scene, ("rate-limiting", {"minute": 5, "hour": 5}))
    assert ["5", "4", "3580"] == told(headers, "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


def test_hidden_limits_are_kept_and_not_told() -> None:
    async def scene(here: Room, _: App) -> list[Any]:
        return [await asked(here) for _ in range(2)]

    answers = play(scene, ("rate-limiting", {"minute": 1, "hide_client_headers": True}))
    assert [200, 429] == [status for status, _ in answers]
    assert set() == {name for _, headers in answers for name in headers if "ratelimit" in name or "retry" in name}


def test_a_limit_may_have_its_own_status_and_words() -> None:
    async def scene(here: Room, _: App) -> Any:
        await here.call("/api")
        return await here.call("/api")

    status, body = play(scene, ("rate-limiting", {"minute": 1, "error_code": 503, "error_message": "later"}))
    assert (503, "later") == (status, json.loads(body)["message"])


def test_consumers_are_counted_each_on_their_own() -> None:
    async def scene(here: Room, _: App) -> list[int]:
        for name in ("alice", "bob"):
            await consumer(here, name)
        here.kong.cluster.settle()
        keys = ("alice", "alice", "bob")
        return [(await asked(here, headers={"apikey": f"key-{name}"}))[0] for name in keys]

    assert [200, 429, 200] == play(scene, ("key-auth", {}), ("rate-limiting", {"minute": 1, "limit_by": "consumer"}))


def test_an_address_is_counted_over_all_its_keys() -> None:
    async def scene(here: Room, _: App) -> list[int]:
        for name in ("alice", "bob"):
            await consumer(here, name)
        here.kong.cluster.settle()
        return [(await asked(here, headers={"apikey": f"key-{name}"}))[0] for name in ("alice", "bob")]

    assert [200, 429] == play(scene, ("key-auth", {}), ("rate-limiting", {"minute": 1, "limit_by": "ip"}))


def test_a_header_is_counted_by_its_value_and_by_address_where_it_is_missing() -> None:
    async def scene(here: Room, _: App) -> list[int]:
        sent: list[Headers] = [{"X-Team": "a"}, {"X-Team": "a"}, {"X-Team": "b"}, {}, {}]
        return [(await asked(here, headers=headers))[0] for headers in sent]

    config = {"minute": 1, "limit_by": "header", "header_name": "X-Team"}
    assert [200, 429, 200, 200, 429] == play(scene, ("rate-limiting", config))


def test_a_window_that_has_passed_is_forgotten() -> None:
    now = NOON

    async def whole() -> list[int]:
        nonlocal now
        async with application("blue") as app, room(Store(clock=lambda: now)) as here:
            await here.routed({app.target: 100})
            await here.made("POST", "/routes/api/plugins", {"name": "rate-limiting", "config": {"minute": 1}})
            here.kong.cluster.settle()
            seen = [(await here.call("/api"))[0] for _ in range(2)]
            now += 40
            return [*seen, (await here.call("/api"))[0]]

    assert [200, 429, 200] == asyncio.run(whole())


# --- cors -------------------------------------------------------------------------------------------------------------

ALLOW = ("access-control-allow-origin", "access-control-allow-credentials", "vary")
SHOP, EVIL = "https://shop.example", "https://evil.example"


def preflight(origin: str, config: Mapping[str, Any]) -> tuple[int, list[str | None], int]:
    """Status, who is allowed, and how often the application was asked."""

    async def scene(here: Room, app: App) -> Any:
        headers = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
        status, said = await asked(here, "/api", "OPTIONS", headers)
        return status, told(said, *ALLOW), len(app.heads)

    found: tuple[int, list[str | None], int] = play(scene, ("cors", config))
    return found


def test_one_allowed_origin_is_told_to_everybody() -> None:
    config = {"origins": [SHOP], "credentials": True}
    assert (200, [SHOP, "true", "Origin"], 0) == preflight(SHOP, config)
    assert (200, [SHOP, "true", "Origin"], 0) == preflight(EVIL, config)


def test_of_several_allowed_origins_the_asking_one_is_named_and_a_foreign_one_is_not() -> None:
    config = {"origins": [SHOP, "https://admin.example:8443"]}
    assert (200, [SHOP, None, "Origin"], 0) == preflight(SHOP, config)
    assert (200, ["https://admin.example:8443", None, "Origin"], 0) == preflight("https://admin.example:8443", config)
    assert (200, [SHOP, None, "Origin"], 0) == preflight(f"{SHOP}:443", config)
    assert (200, [None, None, "Origin"], 0) == preflight(EVIL, config)


def test_an_origin_may_be_a_regular_expression() -> None:
    config = {"origins": [r"https://.*\.example\.com"]}
    assert (200, ["https://a.example.com", None, "Origin"], 0) == preflight("https://a.example.com", config)
    assert (200, [None, None, "Origin"], 0) == preflight("https://a.example.com.evil.org", config)


def test_everybody_is_a_star_and_with_credentials_the_one_who_asks() -> None:
    assert (200, ["*", None, None], 0) == preflight(EVIL, {})
    assert (200, [EVIL, "true", "Origin"], 0) == preflight(EVIL, {"credentials": True})


def test_a_preflight_may_be_left_to_the_application() -> None:
    assert (200, [None, None, None], 1) == preflight(SHOP, {"origins": [SHOP], "preflight_continue": True})


def test_a_plain_answer_names_the_origin_instead_of_what_the_application_says_of_it() -> None:
    async def scene(here: Room, _: App) -> list[Any]:
        sent: list[Headers] = [{"Origin": SHOP}, {"Origin": EVIL}]
        return [told((await asked(here, headers=headers))[1], *ALLOW) for headers in sent]

    found = play(
        scene, ("cors", {"origins": [SHOP, "https://b.example"]}), app_says="Access-Control-Allow-Origin: *\r\n"
    )
    assert [[SHOP, None, "Origin"], [None, None, "Origin"]] == found


# --- who calls --------------------------------------------------------------------------------------------------------


def test_hidden_credentials_reach_no_application_whichever_way_they_came() -> None:
    async def scene(here: Room, app: App) -> list[str]:
        await consumer(here, "alice")
        here.kong.cluster.settle()
        await here.call("/api", headers={"apikey": "key-alice"})
        await here.call("/api?a=1&apikey=key-alice&b=2")
        return app.heads

    by_header, by_query = play(scene, ("key-auth", {"hide_credentials": True}))
    assert "key-alice" not in by_header + by_query
    assert by_query.startswith("GET /?a=1&b=2 HTTP/1.1\r\n")


def test_a_key_in_the_query_counts_only_where_it_may_be_there() -> None:
    async def scene(here: Room, _: App) -> list[int]:
        await consumer(here, "alice")
        here.kong.cluster.settle()
        return [(await here.call("/api?apikey=key-alice"))[0], (await here.call("/api?apikey=wrong"))[0]]

    assert [200, 401] == play(scene, ("key-auth", {}))
    assert [401, 401] == play(scene, ("key-auth", {"key_in_query": False}))


def test_the_application_learns_who_calls_from_the_gateway_alone() -> None:
    async def scene(here: Room, app: App) -> str:
        await consumer(here, "alice")
        here.kong.cluster.settle()
        claimed = {"X-Consumer-Username": "admin", "X-Consumer-Custom-ID": "1", "X-Anonymous-Consumer": "true"}
        await here.call("/api", headers={"apikey": "key-alice", **claimed})
        return app.heads[0]

    head = play(scene, ("key-auth", {}))
    assert ["alice"] == re.findall(r"X-Consumer-Username: (.*)\r", head)
    assert "Custom-ID" not in head
    assert "Anonymous" not in head
    assert "X-Credential-Identifier: " in head


def test_a_denied_group_is_403_and_a_nameless_caller_401() -> None:
    async def scene(here: Room, _: App) -> list[Any]:
        for name in ("alice", "bob"):
            await consumer(here, name)
        await here.made("POST", "/consumers/bob/acls", {"group": "barred"})
        here.kong.cluster.settle()
        calls: list[Headers] = [{"apikey": "key-alice"}, {"apikey": "key-bob"}]
        return [await here.call("/api", headers=headers) for headers in calls]

    alice, bob = play(scene, ("key-auth", {}), ("acl", {"deny": ["barred"]}))
    assert (200, 403, "You cannot consume this service") == (alice[0], bob[0], json.loads(bob[1])["message"])

    async def nameless(here: Room, _: App) -> int:
        return (await here.call("/api"))[0]

    assert 401 == play(nameless, ("acl", {"allow": ["any"]}))


# --- what is refused or marked ----------------------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_413_and_one_of_the_size_passes() -> None:
    async def scene(here: Room, app: App) -> list[Any]:
        answers = [await here.call("/api", "POST", data=b"x" * size) for size in (1024, 1025)]
        return [answers[0][0], answers[1][0], json.loads(answers[1][1])["message"], len(app.bodies)]

    found = play(scene, ("request-size-limiting", {"allowed_payload_size": 1, "size_unit": "kilobytes"}))
    assert [200, 413, "Request size limit exceeded", 1] == found


def test_a_body_of_unknown_length_is_411_where_a_length_is_required() -> None:
    async def pieces() -> Any:
        yield b"x"

    async def scene(here: Room, _: App) -> int:
        async with here.request("/api", "POST", data=pieces()) as answer:
            return int(answer.status)

    assert 411 == play(scene, ("request-size-limiting", {"require_content_length": True}))


def test_a_correlation_id_is_kept_made_and_echoed_once() -> None:
    async def scene(here: Room, app: App) -> list[Any]:
        _, kept = await asked(here, headers={"X-Request-ID": "mine"})
        _, made = await asked(here)
        sent = [re.findall(r"X-Request-ID: (.*)\r", head, re.IGNORECASE) for head in app.heads]
        return [kept["x-request-id"], sent[0], [made["x-request-id"]] == sent[1]]

    config = {"header_name": "X-Request-ID", "generator": "uuid", "echo_downstream": True}
    found = play(scene, ("correlation-id", config), app_says="X-Request-ID: the application's own\r\n")
    assert ["mine", ["mine"], True] == found


def test_a_counted_correlation_id_keeps_its_uuid_and_counts() -> None:
    async def scene(here: Room, _: App) -> list[str]:
        config = ("kong-request-id",)
        return [str(told((await asked(here))[1], *config)[0]) for _ in range(2)]

    first, second = play(scene, ("correlation-id", {"echo_downstream": True}))
    assert first.partition("#")[0] == second.partition("#")[0]
    assert (1, 2) == (int(first.partition("#")[2]), int(second.partition("#")[2]))


def test_a_terminated_route_answers_with_its_own_body_or_message_and_only_when_triggered() -> None:
    async def scene(here: Room, app: App) -> list[Any]:
        plain, triggered = await here.call("/api"), await here.call("/api", headers={"X-Stop": "1"})
        return [plain, triggered, len(app.heads)]

    config = {"status_code": 503, "body": "<p>soon</p>", "content_type": "text/html", "trigger": "X-Stop"}
    assert [(200, "ok"), (503, "<p>soon</p>"), 1] == play(scene, ("request-termination", config))


# --- prometheus -------------------------------------------------------------------------------------------------------

MEMORY = "kong_memory_"  # not measured here
EVERYTHING = ("status_code_metrics", "latency_metrics", "bandwidth_metrics", "upstream_health_metrics")


def shape(page: str) -> dict[str, set[tuple[str, ...]]]:
    """Per metric its help and type, and the names of its labels, with the values that are the same everywhere."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for line in page.splitlines():
        comment = re.fullmatch(r"# (HELP|TYPE) (\w+) (.*)", line)
        if comment:
            found.setdefault(comment[2], set()).add((comment[1], comment[3]))
            continue
        series = re.fullmatch(r"(\w+)(?:\{(.*)\})? \S+", line)
        assert series is not None, line
        labels = [(name, text) for name, text in re.findall(r'(\w+)="([^"]*)"', series[2] or "")]
        fixed = ("le", "state", "direction", "subsystem", "workspace", "version")
        told = (f"{name}={text}" if name in fixed else name for name, text in labels)
        found.setdefault(series[1], set()).add(tuple(told))
    return found


async def scraped(here: Room) -> str:
    async with here.session.get(f"http://127.0.0.1:{here.kong.admin_port}/metrics") as answer:
        return str(await answer.text())


def test_metrics_have_the_names_labels_and_buckets_of_a_real_kong() -> None:
    async def scene(here: Room, _: App) -> str:
        await here.made("POST", "/plugins", {"name": "prometheus", "config": dict.fromkeys(EVERYTHING, True)})
        await here.made("POST", "/upstreams/backend/targets", {"target": "127.0.0.1:1", "weight": 0})
        here.kong.cluster.settle()
        await here.call("/api")
        return await scraped(here)

    recorded = {name: lines for name, lines in shape(RECORDED.read_text()).items() if not name.startswith(MEMORY)}
    assert recorded == shape(play(scene))


def test_without_its_switches_prometheus_shows_no_request() -> None:
    async def scene(here: Room, _: App) -> set[str]:
        await here.made("POST", "/plugins", {"name": "prometheus"})
        here.kong.cluster.settle()
        await here.call("/api")
        return set(shape(await scraped(here)))

    parts = ("bandwidth", "http_requests", "latency", "target_health")
    assert [] == [name for name in play(scene) for part in parts if part in name]


def test_requests_show_only_after_the_flush() -> None:
    async def scene(here: Room, _: App) -> str:
        await here.made("POST", "/plugins", {"name": "prometheus", "config": {"status_code_metrics": True}})
        here.kong.cluster.settle()
        await here.call("/api")
        return await scraped(here)

    assert "kong_http_requests_total" not in play(scene, metrics_flush=3600.0)


def test_a_request_without_a_route_shows_in_no_series() -> None:
    async def scene(here: Room, _: App) -> str:
        await here.made("POST", "/plugins", {"name": "prometheus", "config": {"status_code_metrics": True}})
        here.kong.cluster.settle()
        for path in ("/nowhere", "/api"):
            await here.call(path)
        return await scraped(here)

    series = [line for line in play(scene).splitlines() if line.startswith("kong_http_requests_total")]
    assert ["200"] == [code for line in series for code in re.findall(r'code="(\d+)"', line)]


def test_a_consumer_is_named_where_that_is_asked_for() -> None:
    async def scene(here: Room, _: App) -> str:
        config = {"status_code_metrics": True, "per_consumer": True}
        await here.made("POST", "/plugins", {"name": "prometheus", "config": config})
        await consumer(here, "alice")
        here.kong.cluster.settle()
        await here.call("/api", headers={"apikey": "key-alice"})
        return await scraped(here)

    assert 'consumer="alice"} 1' in play(scene, ("key-auth", {}))


def test_bandwidth_is_what_went_over_the_wire() -> None:
    async def scene(here: Room, _: App) -> tuple[int, int, str]:
        await here.made("POST", "/plugins", {"name": "prometheus", "config": {"bandwidth_metrics": True}})
        here.kong.cluster.settle()
        reader, writer = await asyncio.open_connection("127.0.0.1", here.kong.proxy_port)
        request = b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
        writer.write(request)
        received = await reader.read()
        writer.close()
        await writer.wait_closed()
        return len(request), len(received), await scraped(here)

    sent, received, page = play(scene)
    found = dict(re.findall(r'kong_bandwidth_bytes\{.*direction="(\w+)".*\} (\d+)', page))
    assert {"ingress": str(sent), "egress": str(received)} == found
