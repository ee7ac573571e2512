"""The last good gateway: kept in Kong itself, put back row by row, and held, over the wire against the stand-in."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bluegreen.gateway import Hold
from bluegreen.handler import Halt, Refused
from bluegreen.http import ApiError, Client
from bluegreen.kong import kept as kong
from bluegreen.kong.api import Entity, Kong
from bluegreen.kong.kept import Kept, Rows
from bluegreen.kong.restore import TIMES, restore, taken
from sandbox.faults import Fault
from tests.kong_room import room

OWNER = "shop.test"
OURS = ["owner:shop.test", "part:front"]
AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
HOLD = Hold("ann@ops", AT, "a colleague's change, in a hurry")
SECRET = "Bearer of-the-log"
ENDPOINT = "http://ann:word@log.test/in"  # a secret by Kong's own schema
SECRETS = {"http-log": ["headers.Authorization"], "request-termination": ["message"]}
LOG = {"http_endpoint": ENDPOINT, "headers": {"Authorization": SECRET, "X-From": "kong"}, "timeout": 2000}
T = TypeVar("T")


class World:
    """A Kong, its client, and everything in it that users meet."""

    def __init__(self, client: Client, kong: Kong, arm: Callable[[str, Fault], object]) -> None:
        self.client, self.kong, self._arm = client, kong, arm

    async def put(self, path: str, **body: Any) -> Entity:
        return await self.kong.entity_upsert(path, {"tags": OURS, **body})

    async def example(self) -> None:
        """An app's service that is not ours to keep, a model of ours, a route to each, and what stands on them."""
        await self.put("/services/backend", host="backend", tags=["owner:shop.test"])
        await self.put("/services/ai-q1", host="models.test", protocol="https")
        await self.put("/routes/backend-api", service={"name": "backend"}, paths=["/api"], headers={"X-Team": ["a"]})
        await self.put("/routes/ai-q1", service={"name": "ai-q1"}, paths=["/ai/q1"])
        await self.put("/routes/gateway-front", paths=["/.bluegreen/front/good"])
        await self.put("/routes/gateway-kept", paths=["/"], headers={"X-Bluegreen-Kept": ["nobody"]})
        await self.put("/plugins/backend-api-key-auth", name="key-auth", route={"name": "backend-api"})
        await self.put("/plugins/gateway-cors", name="cors", config={"origins": ["https://shop.test"]})
        await self.put("/plugins/gateway-http-log", name="http-log", config=LOG)

    async def rows(self) -> dict[str, dict[str, Entity]]:
        """Everything in Kong, ours or not, without Kong's own times."""
        whole: dict[str, dict[str, Entity]] = {}
        for kind, key in kong.KINDS.items():
            found = await self.kong.entities(f"/{kind}")
            whole[kind] = {str(row[key] or row["id"]): _timeless(row) for row in found}
        return whole

    async def taken(self) -> Rows:
        return await taken(self.kong, OWNER, secrets=SECRETS)

    async def stored(self) -> str:
        """What is kept, as Kong holds it."""
        row = await self.kong.entity("/plugins/gateway-kept")
        assert row is not None
        return json.dumps(row)

    def fault(self, effect: Mapping[str, Any], **where: Any) -> None:
        self._arm("next", Fault.model_validate({"where": where, "effect": effect}))


def play(scene: Callable[[World], Awaitable[T]]) -> T:
    """A scene in a Kong of its own."""

    async def whole() -> T:
        async with world() as here:
            return await scene(here)

    return asyncio.run(whole())


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with room() as here:
        address = f"http://127.0.0.1:{here.kong.admin_port}"
        async with Client("Kong's Admin API", address, hint="Start it.") as client:
            yield World(client, Kong(client), here.kong.faults.arm)


def _timeless(row: Entity) -> Entity:
    return {name: value for name, value in row.items() if name not in TIMES}


Edit = Callable[[World], Awaitable[object]]


async def _route_moved(here: World) -> None:
    await here.kong.entity_update("/routes/backend-api", {"paths": ["/apix"], "strip_path": False})


async def _header_asked_for(here: World) -> None:
    await here.kong.entity_update("/routes/backend-api", {"headers": {"X-Team": ["a"], "X-New": ["b"]}})


async def _plugin_changed(here: World) -> None:
    await here.kong.entity_update("/plugins/gateway-cors", {"config": {"origins": ["*"], "credentials": True}})


async def _plugin_off(here: World) -> None:
    await here.kong.entity_update("/plugins/backend-api-key-auth", {"enabled": False})


async def _plugin_of_another_type(here: World) -> None:
    row = await here.kong.entity("/plugins/backend-api-key-auth")
    assert row is not None
    body = {"name": "request-termination", "instance_name": "backend-api-key-auth", "route": row["route"]}
    await here.put(f"/plugins/{row['id']}", config={"status_code": 503}, **body)


async def _plugin_added(here: World) -> None:
    on = {"route": {"name": "backend-api"}}
    await here.put("/plugins/backend-api-end", name="request-termination", config={"status_code": 503}, **on)


async def _plugin_in_the_place_of_another(here: World) -> None:
    await here.kong.entity_delete("/plugins/gateway-cors")
    await here.put("/plugins/other-cors", name="cors", config={"origins": ["*"]})


async def _types_swapped(here: World) -> None:
    await here.kong.entity_delete("/plugins/gateway-cors")
    await here.put("/plugins/gateway-http-log", name="cors", config={"origins": ["*"]})


async def _route_and_its_plugins_deleted(here: World) -> None:
    await here.kong.entity_delete("/plugins/backend-api-key-auth")
    await here.kong.entity_delete("/routes/backend-api")


async def _model_deleted(here: World) -> None:
    await here.kong.entity_delete("/routes/ai-q1")
    await here.kong.entity_delete("/services/ai-q1")


async def _model_made_anew(here: World) -> None:
    await _model_deleted(here)
    await here.put("/services/ai-q1", host="elsewhere.test")
    await here.put("/routes/ai-q1", service={"name": "ai-q1"}, paths=["/ai/q1"])


async def _model_added(here: World) -> None:
    await here.put("/services/ai-q2", host="models.test")
    await here.put("/routes/ai-q2", service={"name": "ai-q2"}, paths=["/ai/q2"])
    await here.put("/plugins/ai-q2-acl", name="acl", config={"allow": ["x"]}, route={"name": "ai-q2"})


async def _mark_lost(here: World) -> None:
    await here.kong.entity_update("/routes/backend-api", {"tags": [], "paths": ["/apix"]})


async def _route_renamed(here: World) -> None:
    await here.kong.entity_update("/routes/backend-api", {"name": "backend-old"})


KEEPING_IDS = [
    _route_moved,
    _header_asked_for,
    _plugin_changed,
    _plugin_off,
    _plugin_of_another_type,
    _plugin_added,
    _plugin_in_the_place_of_another,
    _route_and_its_plugins_deleted,
    _model_deleted,
    _model_added,
    _mark_lost,
    _route_renamed,
]


@pytest.mark.parametrize("edit", KEEPING_IDS, ids=lambda edit: edit.__name__.strip("_"))
def test_every_row_is_as_it_was_with_its_id_and_a_second_run_writes_nothing(edit: Edit) -> None:
    async def scene(here: World) -> None:
        await here.example()
        before, rows = await here.rows(), await here.taken()
        await edit(here)
        assert before != await here.rows(), "the edit changed nothing"
        assert await restore(here.kong, OWNER, rows) != []
        assert before == await here.rows()
        here.fault({"kind": "answer", "status": 599}, body="{", times=None)  # every write but a deletion
        assert [] == await restore(here.kong, OWNER, rows)

    play(scene)


def test_what_was_made_anew_keeps_its_new_id_and_is_led_to_by_it() -> None:
    async def scene(here: World) -> None:
        await here.example()
        before, rows = await here.rows(), await here.taken()
        await _model_made_anew(here)
        await restore(here.kong, OWNER, rows)
        service = (await here.rows())["services"]["ai-q1"]
        assert {**before["services"]["ai-q1"], "id": service["id"]} == service
        assert {"id": service["id"]} == (await here.rows())["routes"]["ai-q1"]["service"]
        assert [] == await restore(here.kong, OWNER, rows)

    play(scene)


def test_what_is_not_of_this_stacks_front_is_untouched() -> None:
    async def scene(here: World) -> None:
        await here.example()
        rows = await here.taken()
        on = {"route": {"name": "backend-api"}}
        await here.put("/plugins/theirs", name="acl", config={"allow": ["x"]}, tags=["owner:other.stack"], **on)
        await here.put("/plugins/nobodys", name="correlation-id", tags=None)
        await here.put("/routes/preview", paths=["/preview"], tags=["owner:shop.test"])
        before = await here.rows()
        await _plugin_added(here)
        assert ["plugin backend-api-end is gone"] == await restore(here.kong, OWNER, rows)
        assert before == await here.rows()

    play(scene)


def test_a_name_that_another_stack_has_taken_is_refused_before_anything_is_written() -> None:
    async def scene(here: World) -> None:
        await here.example()
        rows = await here.taken()
        await _plugin_changed(here)
        await here.kong.entity_update("/routes/ai-q1", {"tags": ["owner:other.stack"]})
        before = await here.rows()
        with pytest.raises(Refused) as refused:
            await restore(here.kong, OWNER, rows)
        assert "route ai-q1 belongs to other.stack by now." == refused.value.what
        assert before == await here.rows()

    play(scene)


def test_the_witness_is_written_after_everything_else() -> None:
    async def scene(here: World) -> list[str]:
        await here.example()
        rows = await here.taken()
        await here.kong.entity_update("/routes/gateway-front", {"paths": ["/.bluegreen/front/bad"]})
        await _plugin_changed(here)
        await _plugin_added(here)
        return await restore(here.kong, OWNER, rows, last="gateway-front")

    done = play(scene)
    assert ["plugin gateway-cors: config", "plugin backend-api-end is gone", "route gateway-front: paths"] == done


# Secrets


def test_a_secret_of_a_plugin_is_not_in_what_is_kept() -> None:
    async def scene(here: World) -> str:
        await here.example()
        await kong.keep(here.kong, OWNER, Kept("good", AT, 3, await here.taken()))
        return await here.stored()

    stored = play(scene)
    assert [secret for secret in (SECRET, ENDPOINT) if secret in stored] == []
    assert "X-From" in stored


def test_a_restore_of_a_plugin_leaves_its_secret_as_it_is_by_now() -> None:
    async def scene(here: World) -> dict[str, Any]:
        await here.example()
        rows = await here.taken()
        rotated = {"Authorization": "Bearer rotated", "X-From": "elsewhere", "X-More": "y"}
        change = {"config": {"headers": rotated, "http_endpoint": "http://new.test/", "timeout": 1}}
        await here.kong.entity_update("/plugins/gateway-http-log", change)
        assert ["plugin gateway-http-log: config"] == await restore(here.kong, OWNER, rows)
        config: dict[str, Any] = (await here.rows())["plugins"]["gateway-http-log"]["config"]
        return config

    config = play(scene)
    assert {"Authorization": "Bearer rotated", "X-From": "kong"} == config["headers"]
    assert ("http://new.test/", 2000) == (config["http_endpoint"], config["timeout"])


def test_a_rotated_secret_alone_is_nothing_to_put_back() -> None:
    async def scene(here: World) -> list[str]:
        await here.example()
        rows = await here.taken()
        headers = {"Authorization": "Bearer rotated", "X-From": "kong"}
        await here.kong.entity_update("/plugins/gateway-http-log", {"config": {"headers": headers}})
        return await restore(here.kong, OWNER, rows)

    assert [] == play(scene)


def test_that_a_secret_went_with_its_plugin_is_said() -> None:
    async def scene(here: World) -> list[str]:
        await here.example()
        body = {"instance_name": "api-end", "name": "request-termination", "config": {"message": SECRET}}
        await here.put("/plugins/api-end", **body, route={"name": "backend-api"})
        rows = await here.taken()
        await here.kong.entity_delete("/plugins/api-end")
        return await restore(here.kong, OWNER, rows)

    assert ["plugin api-end is back, without message: no secret is kept"] == play(scene)


def test_a_plugin_that_cannot_be_without_its_secret_is_told_and_the_rest_is_put_back() -> None:
    async def scene(here: World) -> tuple[list[str], dict[str, Entity]]:
        await here.example()
        rows = await here.taken()
        await _types_swapped(here)
        await _route_moved(here)
        return await restore(here.kong, OWNER, rows), (await here.rows())["plugins"]

    done, left = play(scene)
    lost = "it cannot be put back without http_endpoint and headers.Authorization, and no secret is kept"
    assert [
        "plugin gateway-http-log is gone",
        "plugin gateway-cors is back",
        f"plugin gateway-http-log is gone: {lost}",
        "route backend-api: paths, strip_path",
    ] == done
    assert ["backend-api-key-auth", "gateway-cors"] == sorted(left)


# Interrupted


EFFECTS: Sequence[Mapping[str, Any]] = ({"kind": "lost"}, {"kind": "answer", "status": 500}, {"kind": "reset"})


async def _everything(here: World) -> None:
    for edit in (_route_moved, _plugin_changed, _model_deleted, _model_added, _plugin_of_another_type):
        await edit(here)


def writes() -> int:
    async def scene(here: World) -> int:
        await here.example()
        rows = await here.taken()
        await _everything(here)
        return len(await restore(here.kong, OWNER, rows))

    return play(scene)


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect["kind"])
def test_a_restore_cut_short_at_any_write_is_finished_by_a_second_run(effect: Mapping[str, Any]) -> None:
    async def scene(here: World, method: str, skip: int) -> bool:
        await here.example()
        before, rows = await here.rows(), await here.taken()
        await _everything(here)
        here.fault(effect, method=method, path="*", skip=skip)
        try:
            await restore(here.kong, OWNER, rows)
        except ApiError:
            cut = True
        else:
            cut = False
        await restore(here.kong, OWNER, rows)
        assert before == await here.rows(), (method, skip)
        return cut

    many = dict.fromkeys(("PUT", "PATCH", "DELETE"), 0)
    for method in many:
        while asyncio.run(_in_a_world(scene, method, many[method])):
            many[method] += 1
    assert writes() + 1 == sum(many.values()), many  # the model's route is made shut before its plugins come


async def _in_a_world(scene: Callable[[World, str, int], Awaitable[bool]], method: str, skip: int) -> bool:
    async with world() as here:
        return await scene(here, method, skip)


# What is kept, and what cannot be used


def test_what_is_kept_is_read_back_whole() -> None:
    async def scene(here: World) -> None:
        await here.example()
        for hold in (None, HOLD):
            whole = Kept("good", AT, 3, await here.taken(), hold)
            await kong.keep(here.kong, OWNER, whole)
            assert whole == await kong.kept(here.kong, OWNER)

    play(scene)


def test_what_is_kept_answers_nobody_and_is_no_part_of_itself() -> None:
    async def scene(here: World) -> None:
        await here.example()
        before = await here.taken()
        await kong.keep(here.kong, OWNER, Kept("good", AT, 3, before))
        row = await here.kong.entity("/plugins/gateway-kept")
        assert row is not None
        assert False is row["enabled"]
        assert before == await here.taken()

    play(scene)


def test_where_nothing_is_kept_nothing_is_kept_or_held() -> None:
    async def scene(here: World) -> tuple[Kept | None, Hold | None]:
        return await kong.kept(here.kong, OWNER), await kong.held(here.kong)

    assert (None, None) == play(scene)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"tags": ["kept-for:other.stack"]}, "it is kept for other.stack, not for shop.test"),
        ({"tags": []}, "it is kept for nobody, not for shop.test"),
        ({"config": {"body": '{"format":2}'}}, "it has format 2, and this version reads 1"),
        ({"config": {"body": '{"format":1,"gateway":"good"}'}}, "it is no text of ours any more"),
        ({"config": {"body": "cut sho"}}, "it is no text of ours any more"),
        ({"config": {"body": "[]"}}, "it is no text of ours any more"),
        ({"config": {"body": None, "content_type": None}}, "it is no text of ours any more"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(change: Mapping[str, Any], why: str) -> None:
    async def scene(here: World) -> Halt:
        await here.example()
        await kong.keep(here.kong, OWNER, Kept("good", AT, 3, await here.taken()))
        await here.kong.entity_update("/plugins/gateway-kept", change)
        with pytest.raises(Refused) as refused:
            await kong.kept(here.kong, OWNER)
        return refused.value

    halt = play(scene)
    assert f"What Kong keeps as the last good gateway cannot be used: {why}." == halt.what
    assert "Nothing was changed." == halt.world
    assert halt.next.startswith("Delete the plugin gateway-kept; ")


def test_a_hold_is_set_told_and_released_and_what_is_kept_stays() -> None:
    async def scene(here: World) -> None:
        await here.example()
        rows = await here.taken()
        await kong.keep(here.kong, OWNER, Kept("good", AT, 3, rows))
        await kong.hold_on(here.kong, OWNER, HOLD)
        assert HOLD == await kong.held(here.kong)
        with pytest.raises(Refused) as refused:
            await kong.must_be_free(here.kong, "route 'api'")
        assert "held by ann@ops since 2026-03-01 03:00 UTC (a colleague's change, in a hurry)" in refused.value.what
        assert ("Revert" in refused.value.next, "bluegreen hold release" in refused.value.next) == (True, True)
        await kong.hold_on(here.kong, OWNER, None)
        assert Kept("good", AT, 3, rows) == await kong.kept(here.kong, OWNER)
        await kong.must_be_free(here.kong, "route 'api'")

    play(scene)


# Whatever was there, and whatever was done to it

NAMES = ("a", "b", "c")
TYPES = ("key-auth", "cors", "acl", "request-termination")
CONFIG: Mapping[str, Mapping[str, Any]] = {"acl": {"allow": ["x"]}}

some_paths = st.lists(st.sampled_from(["/x", "/y", "/z"]), min_size=1, max_size=2, unique=True)
services = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["one.test", "two.test"]), max_size=3)
routes = st.dictionaries(st.sampled_from(NAMES), st.tuples(some_paths, st.sampled_from(["", *NAMES])), max_size=3)
plugins = st.dictionaries(
    st.sampled_from(NAMES), st.tuples(st.sampled_from(TYPES), st.sampled_from(["", *NAMES]), st.booleans()), max_size=3
)
gateways = st.tuples(services, routes, plugins)
Small = tuple[dict[str, str], dict[str, tuple[list[str], str]], dict[str, tuple[str, str, bool]]]


async def become(here: World, gateway: Small) -> None:
    """Make the front this one, as a careless person would: what is not in it goes, what is in it is put."""
    hosts, ways, stands = gateway
    ways = {name: (paths, service if service in hosts else "") for name, (paths, service) in ways.items()}
    for name in NAMES:
        await here.kong.entity_delete(f"/plugins/{name}")
    for name in set(NAMES) - set(ways):
        await here.kong.entity_delete(f"/routes/{name}")
    for name, host in hosts.items():
        await here.put(f"/services/{name}", host=host)
    for name, (paths, service) in ways.items():
        await here.put(f"/routes/{name}", paths=paths, service={"name": service} if service else None)
    for name in set(NAMES) - set(hosts):
        await here.kong.entity_delete(f"/services/{name}")
    taken_places = set()
    for name, (type_, route, enabled) in stands.items():
        on = route if route in ways else ""
        if (type_, on) not in taken_places:
            taken_places.add((type_, on))
            body = {"name": type_, "enabled": enabled, "config": CONFIG.get(type_, {})}
            await here.put(f"/plugins/{name}", **body, **({"route": {"name": on}} if on else {}))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(gateways, gateways)
def test_any_gateway_comes_back_from_any_other(good: Small, bad: Small) -> None:
    async def scene(here: World) -> None:
        await become(here, good)
        before, rows = await here.rows(), await here.taken()
        await become(here, bad)
        changes = await restore(here.kong, OWNER, rows)
        assert _named(before) == _named(await here.rows())
        assert [] == await restore(here.kong, OWNER, rows), changes

    play(scene)


def _named(rows: Mapping[str, Mapping[str, Entity]]) -> Any:
    """Rows with names instead of ids: what was deleted and made anew by hand has another id."""
    names = {row["id"]: name for kind in rows.values() for name, row in kind.items()}
    text = json.dumps(rows, sort_keys=True)
    for id, name in names.items():
        text = text.replace(str(id), name)
    return json.loads(text)
