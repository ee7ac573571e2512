"""Routes that need no application: without a service, ended by request-termination, and which plugin's word counts.

A real Kong's own specs are the measure: a route without a service runs its plugins and is then 503 (`no Service found
with those values`), and of all instances of one plugin the most specific runs, in the order of its plugins iterator.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import combinations
from typing import Any
from urllib.parse import quote

import pytest

from tests.kong_room import Room, application, room

Scene = Callable[[Room], Awaitable[Any]]
LARGE = "<!doctype html>" + "ü<p>\n\"\\'" * 25_000 + "</html>"  # over 200 KB with everything that needs escaping

# Most specific first.
PLACES: tuple[tuple[str, ...], ...] = (
    ("consumer", "route", "service"),
    ("consumer", "route"),
    ("consumer", "service"),
    ("route", "service"),
    ("consumer",),
    ("route",),
    ("service",),
    (),
)
OWNERS = {"consumer": {"username": "ada"}, "route": {"name": "alone"}, "service": {"name": "backend"}}


def play(scene: Scene) -> Any:
    """Run a scene on a gateway whose route `alone` at `/alone` has no service."""

    async def whole() -> Any:
        async with room() as here:
            await here.made("PUT", "/routes/alone", {"paths": ["/alone"]})
            here.kong.cluster.settle()
            return await scene(here)

    return asyncio.run(whole())


async def plugged(here: Room, name: str, path: str = "/routes/alone/plugins", **fields: Any) -> Any:
    made = await here.made("POST", path, {"name": name, **fields})
    here.kong.cluster.settle()
    return made


async def terminated(here: Room, **config: Any) -> Any:
    return await plugged(here, "request-termination", config=config)


async def message(here: Room, path: str = "/alone", **headers: str) -> tuple[int, str]:
    status, body = await here.call(path, headers=headers)
    told = json.loads(body)
    assert {"message", "request_id"} == set(told)
    return status, told["message"]


# --- a route without a service ----------------------------------------------------------------------------------------


def test_a_route_without_a_service_is_503_and_says_so() -> None:
    assert (503, "no Service found with those values") == play(message)


def test_a_route_without_a_service_is_answered_by_its_plugin() -> None:
    async def scene(here: Room) -> Any:
        await terminated(here, status_code=418, message="Nothing is brewed here.")
        return await message(here)

    assert (418, "Nothing is brewed here.") == play(scene)


def test_a_route_without_a_service_asks_for_a_key_first() -> None:
    async def scene(here: Room) -> list[Any]:
        await plugged(here, "key-auth")
        await here.made("PUT", "/consumers/ada", {})
        await here.made("PUT", "/consumers/ada/key-auth/s3cret", {})
        here.kong.cluster.settle()
        return [await message(here), await message(here, apikey="s3cret")]

    refused = (401, "No API key found in request")
    assert [refused, (503, "no Service found with those values")] == play(scene)


def test_a_route_without_a_service_answers_a_preflight_and_marks_its_refusals() -> None:
    async def scene(here: Room) -> list[Any]:
        await plugged(here, "cors", config={"origins": ["https://shop.example"]})
        asking = {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"}
        seen = []
        for method in ("OPTIONS", "GET"):
            async with here.request("/alone", method, asking) as answer:
                seen.append((answer.status, answer.headers["Access-Control-Allow-Origin"]))
        return seen

    assert [(200, "https://shop.example"), (503, "https://shop.example")] == play(scene)


def test_a_route_that_is_given_a_service_begins_to_proxy() -> None:
    async def scenario() -> list[int]:
        async with application("blue") as blue, room() as here:
            await here.routed({blue.target: 100})
            await here.made("PUT", "/routes/alone", {"paths": ["/alone"]})
            here.kong.cluster.settle()
            seen = [(await here.call("/alone"))[0]]
            for service in ({"name": "backend"}, None):
                await here.made("PATCH", "/routes/alone", {"service": service})
                here.kong.cluster.settle()
                seen.append((await here.call("/alone"))[0])
            return seen

    assert [503, 200, 503] == asyncio.run(scenario())


def test_a_service_that_routes_no_longer_refer_to_can_go() -> None:
    async def scene(here: Room) -> int:
        await here.made("PUT", "/services/backend", {"host": "nowhere"})
        await here.made("PATCH", "/routes/alone", {"service": {"name": "backend"}})
        await here.made("PATCH", "/routes/alone", {"service": None})
        return (await here.admin("DELETE", "/services/backend"))[0]

    assert 204 == play(scene)


# --- what request-termination answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "status", "said"),
    [
        ({}, 503, "Service unavailable"),
        ({"status_code": 401}, 401, "Unauthorized"),
        ({"status_code": 404}, 404, "Not found"),
        ({"status_code": 405}, 405, "Method not allowed"),
        ({"status_code": 500}, 500, "An unexpected error occurred"),
        ({"status_code": 502}, 502, "Bad Gateway"),
        ({"status_code": 406, "message": "Invalid"}, 406, "Invalid"),
    ],
)
def test_a_termination_says_its_message_or_what_its_status_means(config: Any, status: int, said: str) -> None:
    async def scene(here: Room) -> Any:
        await terminated(here, **config)
        return await message(here)

    assert (status, said) == play(scene)


def test_a_termination_of_any_other_status_is_empty_without_a_message() -> None:
    async def scene(here: Room) -> Any:
        await terminated(here, status_code=204)
        async with here.request("/alone") as answer:
            return answer.status, await answer.read(), answer.headers.get("Content-Type")

    assert (204, b"", None) == play(scene)


@pytest.mark.parametrize(
    ("given", "content_type"),
    [({"content_type": "text/html"}, "text/html"), ({}, "application/json; charset=utf-8")],
)
def test_a_terminations_body_is_sent_as_its_type(given: Any, content_type: str) -> None:
    async def scene(here: Room) -> Any:
        await terminated(here, status_code=451, body='{"gone":true}', **given)
        async with here.request("/alone") as answer:
            return answer.status, await answer.text(), answer.headers["Content-Type"]

    assert (451, '{"gone":true}', content_type) == play(scene)


def test_a_termination_answers_head_without_its_body() -> None:
    async def scene(here: Room) -> Any:
        await terminated(here, body="<p>soon</p>", content_type="text/html")
        async with here.request("/alone", "HEAD") as answer:
            return answer.status, answer.headers["Content-Length"], await answer.read()

    assert (503, "11", b"") == play(scene)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"message": "m", "body": "b"}, "message cannot be used with content_type or body"),
        ({"message": "m", "content_type": "text/html"}, "message cannot be used with content_type or body"),
        ({"content_type": "text/html"}, "content_type requires a body"),
        ({"echo": True, "body": "b"}, "echo cannot be used with content_type and body"),
    ],
)
def test_a_termination_that_answers_two_things_is_refused(config: Any, said: str) -> None:
    async def scene(here: Room) -> Any:
        body = {"name": "request-termination", "config": config}
        return await here.admin("POST", "/routes/alone/plugins", body)

    status, refusal = play(scene)
    assert (400, {"config": said}) == (status, refusal["fields"])
    assert f"schema violation (config: {said})" == refusal["message"]


def test_a_termination_changes_from_a_body_to_a_message_when_the_body_is_taken_back() -> None:
    async def scene(here: Room) -> Any:
        made = await terminated(here, body="<p>soon</p>", content_type="text/html")
        change = {"config": {"body": None, "content_type": None, "message": "soon"}}
        await here.made("PATCH", f"/plugins/{made['id']}", change)
        here.kong.cluster.settle()
        return await message(here)

    assert (503, "soon") == play(scene)


@pytest.mark.parametrize("change", [{"enabled": False}, {"enabled": True}])
def test_a_plugin_that_is_not_enabled_never_runs(change: Any) -> None:
    async def scene(here: Room) -> Any:
        made = await plugged(here, "request-termination", config={"status_code": 500}, enabled=not change["enabled"])
        before = (await message(here))[0]
        await here.made("PATCH", f"/plugins/{made['id']}", change)
        here.kong.cluster.settle()
        return before, (await message(here))[0]

    assert ((503, 500) if change["enabled"] else (500, 503)) == play(scene)


def test_a_large_page_is_stored_changed_shown_and_served_unharmed() -> None:
    async def scene(here: Room) -> list[str]:
        made = await terminated(here, status_code=503, body="<p>small</p>", content_type="text/html; charset=utf-8")
        plugin = f"/plugins/{made['id']}"
        changed = await here.made("PATCH", plugin, {"config": {"body": LARGE}})
        here.kong.cluster.settle()
        listed = await here.made("GET", "/routes/alone/plugins")
        shown = [row["config"]["body"] for row in (changed, await here.made("GET", plugin), listed["data"][0])]
        put = await here.made("PUT", plugin, {key: changed[key] for key in ("name", "route", "config")})
        return [*shown, put["config"]["body"], (await here.call("/alone"))[1]]

    assert 200 * 1024 < len(LARGE.encode())
    assert {LARGE} == set(play(scene))


def test_twenty_tags_with_encoded_values_are_kept_and_found() -> None:
    tags = [f"note-{number}:{quote('Ökonomie, 100 % / später', safe='')}" for number in range(19)] + ["owner:a.b"]

    async def scene(here: Room) -> Any:
        made = await plugged(here, "request-termination", tags=tags)
        by_tag = await here.made("GET", f"/tags/{quote(tags[0], safe='')}")
        by_filter = await here.made("GET", f"/plugins?tags={quote(','.join(tags), safe='')}")
        return made["tags"], [row["entity_id"] for row in by_tag["data"]], by_filter["data"], made

    kept, found, filtered, made = play(scene)
    assert tags == kept
    assert ([made["id"]], [made]) == (found, filtered)


# --- which instance of a plugin runs ----------------------------------------------------------------------------------


async def owned(here: Room) -> None:
    """The route `alone` gets a service and asks for keys; `ada` has one, and so has `bob`."""
    await here.made("PUT", "/services/backend", {"host": "nowhere"})
    await here.made("PATCH", "/routes/alone", {"service": {"name": "backend"}})
    await here.made("POST", "/routes/alone/plugins", {"name": "key-auth"})
    for name in ("ada", "bob"):
        await here.made("PUT", f"/consumers/{name}", {})
        await here.made("PUT", f"/consumers/{name}/key-auth/key-of-{name}", {})


def name_of(place: tuple[str, ...]) -> str:
    return "+".join(place) or "everything"


async def placed(here: Room, place: tuple[str, ...]) -> Any:
    owners = {owner: OWNERS[owner] for owner in place}
    return await plugged(here, "request-termination", "/plugins", config={"message": name_of(place)}, **owners)


def test_of_all_instances_the_most_specific_runs_one_after_the_other() -> None:
    async def scene(here: Room) -> list[str]:
        await owned(here)
        made = [await placed(here, place) for place in reversed(PLACES)]
        seen = []
        for plugin in reversed(made):
            seen.append((await message(here, apikey="key-of-ada"))[1])
            await here.made("DELETE", f"/plugins/{plugin['id']}")
            here.kong.cluster.settle()
        return seen

    assert [name_of(place) for place in PLACES] == play(scene)


@pytest.mark.parametrize(("winner", "loser"), list(combinations(PLACES, 2)))
def test_of_two_instances_the_more_specific_runs_and_bob_gets_no_consumers(winner: Any, loser: Any) -> None:
    async def scene(here: Room) -> list[Any]:
        await owned(here)
        for place in (winner, loser):
            await placed(here, place)
        return [await message(here, apikey=f"key-of-{name}") for name in ("ada", "bob")]

    for_all = [place for place in (winner, loser) if "consumer" not in place]
    bob = name_of(for_all[0]) if for_all else "name resolution failed"
    assert [(503, name_of(winner)), (503, bob)] == play(scene)


def test_a_plugin_of_another_route_or_service_never_runs_here() -> None:
    async def scene(here: Room) -> Any:
        await here.made("PUT", "/services/other", {"host": "nowhere"})
        await here.made("PUT", "/services/other/routes/other", {"paths": ["/other"]})
        for path in ("/services/other/plugins", "/routes/other/plugins"):
            await plugged(here, "request-termination", path, config={"message": "other"})
        return [await message(here), await message(here, "/other")]

    assert [(503, "no Service found with those values"), (503, "other")] == play(scene)


def test_a_disabled_instance_leaves_the_word_to_the_next() -> None:
    async def scene(here: Room) -> Any:
        await owned(here)
        await placed(here, ("service",))
        route = await placed(here, ("route",))
        await here.made("PATCH", f"/plugins/{route['id']}", {"enabled": False})
        here.kong.cluster.settle()
        return await message(here, apikey="key-of-ada")

    assert (503, "service") == play(scene)
