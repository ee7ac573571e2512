"""The Kong stand-in's Admin API where no recording covers it: forms, keys in paths, pages, cascades, the root."""

import asyncio
import json
from pathlib import Path
from typing import Any

from multidict import CIMultiDictProxy

from sandbox.kong_store import Store
from tests.kong_room import Room, room

RECORDED = Path(__file__).parent / "recorded"
Asked = tuple[int, Any]


def asked(*calls: tuple[str, str] | tuple[str, str, Any], **settings: Any) -> list[Asked]:
    """Status and body of each call, in order, against a fresh gateway."""

    async def scenario() -> list[Asked]:
        async with room(**settings) as here:
            return [await here.admin(*call) for call in calls]

    return asyncio.run(scenario())


def test_the_root_has_the_shape_of_a_real_one() -> None:
    calls = json.loads((RECORDED / "kong_extra.json").read_text())
    real = next(call["answer"] for call in calls if call["name"] == "root")
    [(_, ours)] = asked(("GET", "/"), db_update_frequency=0.7, worker_state_update_frequency=0.3)
    assert real.keys() == ours.keys()
    assert set() == (real["configuration"].keys() - ours["configuration"].keys()) - {
        *("proxy_listeners", "admin_listeners", "status_listen", "status_listeners")
    }
    assert (0.7, 0.3) == tuple(ours["configuration"][f"{of}_update_frequency"] for of in ("db", "worker_state"))
    assert real["plugins"]["available_on_server"].items() >= ours["plugins"]["available_on_server"].items()


def test_the_names_cache_settings_are_shown() -> None:
    [(_, root)] = asked(("GET", "/"))
    shown = {name: root["configuration"][name] for name in ("dns_stale_ttl", "dns_order", "new_dns_client")}
    assert {"dns_stale_ttl": 3600, "dns_order": ["LAST", "SRV", "A", "CNAME"], "new_dns_client": False} == shown


def test_status_says_that_the_database_is_reachable() -> None:
    [(status, body)] = asked(("GET", "/status"))
    assert (200, {"reachable": True}) == (status, body["database"])


def test_put_is_always_200_replaces_everything_and_starts_created_at_afresh() -> None:
    now = 1000.0

    async def scenario() -> list[Any]:
        nonlocal now
        async with room(Store(clock=lambda: now)) as here:
            first = await here.admin("PUT", "/services/s", {"host": "a", "retries": 1, "tags": ["t"]})
            now = 2000.0
            second = await here.admin("PUT", "/services/s", {"host": "b"})
            now = 3000.0
            third = await here.admin("PATCH", "/services/s", {"retries": 9})
            return [first, second, third]

    first, second, third = asyncio.run(scenario())
    assert [200, 200, 200] == [status for status, _ in (first, second, third)]
    fields = ("id", "created_at", "updated_at", "retries", "tags")
    id = first[1]["id"]
    assert [id, 2000, 2000, 5, None] == [second[1][field] for field in fields]
    assert [id, 2000, 3000, 9, None] == [third[1][field] for field in fields]


def test_null_in_a_patch_asks_for_the_default() -> None:
    answers = asked(("PUT", "/services/s", {"host": "a", "retries": 1}), ("PATCH", "/services/s", {"retries": None}))
    assert 5 == answers[1][1]["retries"]


def test_a_name_that_no_entity_can_have_is_code_10() -> None:
    [(status, body)] = asked(("GET", "/services/bad%20name"))
    assert (400, 10, "invalid unique name") == (status, body["code"], body["name"])


def test_a_service_that_routes_use_stays_and_one_without_takes_its_plugins_along() -> None:
    answers = asked(
        ("PUT", "/services/s", {"host": "a"}),
        ("PUT", "/services/s/routes/r", {"paths": ["/r"]}),
        ("POST", "/services/s/plugins", {"name": "cors"}),
        ("DELETE", "/services/s"),
        ("DELETE", "/routes/r"),
        ("DELETE", "/services/s"),
        ("GET", "/plugins"),
    )
    assert [400, 204, 204] == [status for status, _ in answers[3:6]]
    assert {"@referenced_by": "routes"} == answers[3][1]["fields"]
    assert {"data": [], "next": None} == answers[6][1]


def test_an_upstream_takes_its_targets_along_and_a_consumer_its_keys_and_groups() -> None:
    answers = asked(
        ("PUT", "/upstreams/u", {}),
        ("POST", "/upstreams/u/targets", {"target": "127.0.0.1:1", "tags": ["t"]}),
        ("PUT", "/consumers/c", {}),
        ("PUT", "/consumers/c/key-auth/k", {"tags": ["t"]}),
        ("POST", "/consumers/c/acls", {"group": "g", "tags": ["t"]}),
        ("GET", "/tags/t"),
        ("DELETE", "/upstreams/u"),
        ("DELETE", "/consumers/c"),
        ("GET", "/tags/t"),
    )
    kinds = {entry["entity_name"] for entry in answers[5][1]["data"]}
    assert ({"targets", "keyauth_credentials", "acls"}, []) == (kinds, answers[8][1]["data"])


def test_a_deleted_rows_id_answers_404_for_ever() -> None:
    async def scenario() -> list[int]:
        async with room() as here:
            await here.made("PUT", "/upstreams/u", {})
            old = await here.made("POST", "/upstreams/u/targets", {"target": "127.0.0.1:1"})
            one = f"/upstreams/u/targets/{old['id']}"
            await here.made("DELETE", one)
            new = await here.made("POST", "/upstreams/u/targets", {"target": "127.0.0.1:1"})
            assert new["id"] != old["id"]
            calls = [("GET", None), ("PATCH", {"weight": 1}), ("PUT", {"weight": 1}), ("DELETE", None)]
            return [(await here.admin(method, one, body))[0] for method, body in calls]

    assert [404, 404, 404, 404] == asyncio.run(scenario())


def test_pages_reach_every_row_once_by_the_offset() -> None:
    async def walk(here: Room, path: str) -> list[str]:
        found, offset = [], ""
        while True:
            page = await here.made("GET", f"{path}?size=3{offset}")
            found += [row["id"] for row in page["data"]]
            if page["next"] is None:
                return found
            assert page["next"].startswith(f"{path}?offset=")
            offset = f"&offset={page['offset']}"

    async def scenario() -> list[int]:
        async with room() as here:
            await here.made("PUT", "/upstreams/u", {})
            for number in range(7):
                await here.made("PUT", f"/services/s{number}", {"host": "h"})
                await here.made("POST", "/upstreams/u/targets", {"target": f"127.0.0.1:{number + 1}"})
            return [len(set(await walk(here, path))) for path in ("/services", "/upstreams/u/targets")]

    assert [7, 7] == asyncio.run(scenario())


def test_tags_filter_with_and_and_with_or() -> None:
    answers = asked(
        ("PUT", "/services/one", {"host": "h", "tags": ["a", "b"]}),
        ("PUT", "/services/two", {"host": "h", "tags": ["a"]}),
        ("GET", "/services?tags=a,b"),
        ("GET", "/services?tags=b/a"),
    )
    assert [{"one"}, {"one", "two"}] == [{row["name"] for row in body["data"]} for _, body in answers[2:]]


def test_forms_are_read_with_the_schemas_types() -> None:
    async def scenario() -> Any:
        async with room() as here:
            await here.made("PUT", "/services/s", {"host": "h"})
            url = f"http://127.0.0.1:{here.kong.admin_port}/services/s/routes/r"
            form = {"paths[]": "/a", "strip_path": "false", "regex_priority": "7"}
            async with here.session.put(url, data=form) as answer:
                return await answer.json()

    route = asyncio.run(scenario())
    assert (["/a"], False, 7) == (route["paths"], route["strip_path"], route["regex_priority"])


def test_bodies_of_other_types_and_broken_json_are_refused() -> None:
    async def scenario() -> list[tuple[int, str]]:
        async with room() as here:
            url = f"http://127.0.0.1:{here.kong.admin_port}/services"
            found = []
            for kind, data in (("text/plain", "x"), ("application/json", "{"), ("application/json", "[]")):
                async with here.session.post(url, data=data, headers={"Content-Type": kind}) as answer:
                    found.append((answer.status, answer.content_type))
            return found

    assert [(415, "text/html"), (400, "application/json"), (400, "application/json")] == asyncio.run(scenario())


def test_an_options_request_names_the_methods() -> None:
    async def scenario() -> tuple[int, str]:
        async with room() as here:
            async with here.session.options(f"http://127.0.0.1:{here.kong.admin_port}/services") as answer:
                return answer.status, answer.headers["Allow"]

    assert (204, "GET, HEAD, OPTIONS, POST") == asyncio.run(scenario())


def test_every_answer_carries_kongs_headers() -> None:
    async def scenario() -> CIMultiDictProxy[str]:
        async with room() as here:
            async with here.session.get(f"http://127.0.0.1:{here.kong.admin_port}/nothing") as answer:
                return answer.headers

    headers = asyncio.run(scenario())
    assert ("kong/3.9.1", "*") == (headers["Server"], headers["Access-Control-Allow-Origin"])
    assert headers["X-Kong-Admin-Latency"].isdigit()


def test_a_key_that_lives_for_a_while_counts_down_and_ends() -> None:
    now = 1000.0

    async def scenario() -> list[Any]:
        nonlocal now
        async with room(Store(clock=lambda: now)) as here:
            await here.made("PUT", "/consumers/c", {})
            await here.made("PUT", "/consumers/c/key-auth/k", {"ttl": 60})
            now = 1030.0
            tagged = await here.admin("PATCH", "/consumers/c/key-auth/k", {"tags": ["t"]})
            now = 1061.0
            return [tagged[1]["ttl"], (await here.admin("GET", "/key-auths/k"))[0]]

    assert [29, 404] == asyncio.run(scenario())


def test_validation_touches_nothing() -> None:
    answers = asked(
        ("POST", "/schemas/services/validate", {"name": "s", "host": "h"}),
        (
            "POST",
            "/schemas/targets/validate",
            {"target": "h", "upstream": {"id": "7f3d3f3e-1111-4222-8333-444455556666"}},
        ),
        ("GET", "/services"),
    )
    assert [200, 200, []] == [answers[0][0], answers[1][0], answers[2][1]["data"]]


def test_a_target_without_port_gets_port_8000_and_an_ipv6_address_brackets() -> None:
    targets = ["[::1]:80", "host", "Host.Example:1", "::1"]
    calls = [("POST", "/upstreams/u/targets", {"target": target}) for target in targets]
    answers = asked(("PUT", "/upstreams/u", {}), *calls)
    assert ["[::1]:80", "host:8000", "Host.Example:1", "[::1]:8000"] == [body["target"] for _, body in answers[1:]]
