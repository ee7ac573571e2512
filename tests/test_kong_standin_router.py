"""Which route a request takes: regular expressions, what is stripped, and thousands of routes.

Candidates are found by how a path begins; a plain walk over all rules in their order is what they are compared with.
"""

import asyncio
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.kong_router import Router, beginning, rule
from tests.kong_room import application, room

Row = dict[str, Any]


def route(number: int, **fields: Any) -> Row:
    plain = {"service": None, "protocols": ["http"], "paths": None, "methods": None, "hosts": None, "headers": None}
    id = str(uuid.UUID(int=number))
    return {"id": id, "name": f"r{number}", "regex_priority": 0, "created_at": number, **plain, **fields}


def router(*routes: Row, plugins: list[Row] | None = None) -> Router:
    return Router(routes, [], plugins or [])


def taken(found: Router, path: str, **headers: str) -> str | None:
    match = found.match("GET", "shop.example", path, headers)
    return match.route["name"] if match else None


def test_a_model_named_by_a_regular_expression_is_not_met_by_a_longer_name() -> None:
    models = router(route(1, paths=["~/ai/q1(/|$)"]), route(2, paths=["~/ai/q10(/|$)"]))
    paths = ["/ai/q1", "/ai/q1/", "/ai/q1/run", "/ai/q10", "/ai/q10/run", "/ai/q100", "/ai/q"]
    assert ["r1", "r1", "r1", "r2", "r2", None, None] == [taken(models, path) for path in paths]


def test_a_model_named_by_a_plain_path_is() -> None:
    assert "r1" == taken(router(route(1, paths=["/ai/q1"])), "/ai/q10")


@pytest.mark.parametrize(
    ("path", "asked", "arrives"),
    [
        ("~/ai/q1(/|$)", "/ai/q1", "/base"),
        ("~/ai/q1(/|$)", "/ai/q1/run", "/base/run"),
        ("~/ai/(?<model>[a-z]+)", "/ai/flux/run", "/base/run"),
        ("~/ai/\\d+", "/ai/12x", "/base/x"),
        ("/ai/q1", "/ai/q10", "/base/0"),
    ],
)
def test_what_an_expression_matched_is_stripped(path: str, asked: str, arrives: str) -> None:
    async def scenario() -> str:
        async with application("blue") as app, room() as here:
            await here.routed({app.target: 100}, path="/base")
            await here.made("PATCH", "/routes/api", {"paths": [path]})
            here.kong.cluster.settle()
            assert 200 == (await here.call(asked))[0]
            return app.heads[0].split(" ")[1]

    assert arrives == asyncio.run(scenario())


def test_nothing_is_stripped_where_the_route_says_so() -> None:
    async def scenario() -> str:
        async with application("blue") as app, room() as here:
            await here.routed({app.target: 100})
            await here.made("PATCH", "/routes/api", {"paths": ["~/ai/q1(/|$)"], "strip_path": False})
            here.kong.cluster.settle()
            await here.call("/ai/q1/run")
            return app.heads[0].split(" ")[1]

    assert "/ai/q1/run" == asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "start"),
    [
        ("/api", "/api"),
        ("", ""),
        ("~/ai/q1(/|$)", "/ai/q1"),
        ("~/ai/q10?", "/ai/q1"),
        ("~/ai/q1*x", "/ai/q"),
        ("~/ai/q1{2}", "/ai/q"),
        ("~/v1\\.0/x", "/v1"),
        ("~/a|/b", ""),
        ("~/(a|b)/c", "/"),
        ("~/x(a)|/y(b)", ""),
        ("~/x[|]y|/z", ""),
        ("~/a$", "/a"),
    ],
)
def test_the_beginning_of_a_rule_is_what_all_its_paths_share(path: str, start: str) -> None:
    assert start == beginning(rule(route(1), None, None, path))  # type: ignore[arg-type]  # plugins do not matter here


PATHS = st.sampled_from(
    [
        "/",
        "/a",
        "/a/",
        "/a/b",
        "/a/bc",
        "/ab",
        "~/a",
        "~/a(/|$)",
        "~/a/b?",
        "~/a|/ab",
        "~/(a|ab)/b",
        "~/.*c",
        "~/a/\\w+$",
    ]
)
ASKED = st.text("abc/", max_size=5).map(lambda text: "/" + text)
ROUTES = st.lists(
    st.fixed_dictionaries(
        {"paths": st.lists(PATHS, min_size=1, max_size=2, unique=True)},
        optional={
            "headers": st.just({"x-preview-colour": ["green"]}),
            "hosts": st.just(["shop.example"]),
            "regex_priority": st.integers(0, 2),
        },
    ),
    max_size=6,
)


@given(ROUTES, ASKED, st.booleans())
def test_the_index_finds_what_a_walk_over_all_rules_finds(routes: list[Row], path: str, preview: bool) -> None:
    rows = [route(number, **fields) for number, fields in enumerate(routes)]
    headers = {"x-preview-colour": "green"} if preview else {}
    rules = [rule(row, None, None, each) for row in rows for each in row["paths"]]  # type: ignore[arg-type]
    walked = [
        one for one in sorted(rules, key=lambda one: one.order) if one.matched("GET", "shop.example", path, headers)
    ]
    found = router(*rows).match("GET", "shop.example", path, headers)
    expected = (walked[0].route["name"], walked[0].matched("GET", "shop.example", path, headers)) if walked else None
    assert expected == ((found.route["name"], found.prefix) if found else None)


def test_a_request_is_compared_with_few_of_thousands_of_routes() -> None:
    routes = [
        route(number, paths=[f"~/re/q{number}(/|$)" if number % 2 else f"/ai/m{number}"]) for number in range(2000)
    ]
    many = router(*routes, route(2000, paths=["/"]))
    paths = ["/ai/m1998/run", "/re/q1999/run", "/elsewhere"]
    assert ["r1998", "r1999", "r2000"] == [taken(many, path) for path in paths]
    tried = [len(many._index.candidates(path)) for path in paths]
    assert max(tried) <= 5  # /, and the shorter names that the longer one begins with


def test_each_of_many_routes_has_its_own_plugins() -> None:
    def plugin(number: int, of: str | None) -> Row:
        place = {"route": {"id": of} if of else None, "service": None, "consumer": None}
        return {"id": str(number), "name": "rate-limiting", "enabled": True, "config": {"minute": number}, **place}

    routes = [route(number, paths=[f"/m{number}/"]) for number in range(300)]
    plugins = [plugin(1000, None), *(plugin(number, row["id"]) for number, row in enumerate(routes) if number % 2)]
    found = router(*routes, plugins=plugins)
    limits = []
    for path in ("/m10/", "/m11/", "/m299/"):
        match = found.match("GET", "shop.example", path, {})
        assert match is not None
        row = match.plugins.of("rate-limiting", None)
        assert row is not None
        limits.append(row["config"]["minute"])
    assert [1000, 11, 299] == limits


def test_workers_that_load_the_same_routes_share_their_compiled_form() -> None:
    async def scenario() -> tuple[int, int]:
        async with room(workers=3, nodes=2) as here:
            await here.made("PUT", "/routes/a", {"paths": ["/a"]})
            here.kong.cluster.settle()
            workers = [worker for node in here.kong.cluster.nodes for worker in node.workers]
            shared = len({id(worker.router) for worker in workers})
            first = workers[0].router
            await here.made("PUT", "/routes/b", {"paths": ["/b"]})
            here.kong.cluster.settle()
            return shared, len({id(router) for router in (first, *(worker.router for worker in workers))})

    assert (1, 2) == asyncio.run(scenario())


def test_more_than_a_page_of_routes_are_listed_found_and_deleted_through_the_admin_api() -> None:
    async def scenario() -> list[Any]:
        async with room() as here:
            for start in range(0, 1100, 100):
                numbers = range(start, start + 100)
                await asyncio.gather(*(here.made("PUT", f"/routes/r{n}", {"paths": [f"/m{n}/"]}) for n in numbers))
            found, offset = 0, ""
            while True:
                page = await here.made("GET", f"/routes?size=1000{offset}")
                found += len(page["data"])
                if page["next"] is None:
                    break
                offset = f"&offset={page['offset']}"
            here.kong.cluster.settle()
            await here.made("DELETE", "/routes/r7")
            gone = await here.admin("GET", "/routes/r7")
            _, missed = await here.call("/m1099/x")
            return [found, gone[0], json.loads(missed)["message"]]

    assert [1100, 404, "no Service found with those values"] == asyncio.run(scenario())
