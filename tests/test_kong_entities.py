"""Kong's entities as resources, over the wire against the Kong stand-in in its own process."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bluegreen.handler import Halt, Held, Partial, Refused
from bluegreen.http import Client, LostReply, Unreachable
from bluegreen.kong.api import Entity, Kong
from bluegreen.kong.entities import ConsumerHandler, PluginHandler, RouteHandler, ServiceHandler, UpstreamHandler
from bluegreen.kong.entity import EntityHandler
from bluegreen.kong.spec import EntityState

OWNER = "shop.test"
OURS = "owner:shop.test"
T = TypeVar("T")
Any5 = EntityHandler[Any]
REFUSALS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "recorded" / "kong-refusals.json").read_text())


class Row:
    """A context that remembers what was said; its clock stands still."""

    cancelled = False
    orphaned = False
    deadline = None

    def __init__(self) -> None:
        self.said: list[str] = []

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    async def sleep(self, seconds: float) -> None:
        return None

    async def milestone(self, text: str) -> None:
        self.said.append(text)

    async def status(self, text: str) -> None:
        return None


class World:
    """A Kong with nothing in it, and the five handlers that speak to it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.kong = Kong(client)
        self.ctx = Row()
        self.upstream = UpstreamHandler(self.kong)
        self.service = ServiceHandler(self.kong)
        self.route = RouteHandler(self.kong)
        self.plugin = PluginHandler(self.kong)
        self.consumer = ConsumerHandler(self.kong)

    async def empty(self) -> None:
        await self.client.write("DELETE", "/__faults")
        for kind in ("plugins", "routes", "services", "upstreams", "consumers"):
            for row in await self.kong.entities(f"/{kind}"):
                await self.kong.entity_delete(f"/{kind}/{row['id']}")

    async def fault(self, effect: Mapping[str, Any], **where: Any) -> None:
        await self.client.write("PUT", "/__faults/next", {"where": where, "effect": dict(effect)})

    async def forbid_writes(self) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            await self.client.write(
                "PUT",
                f"/__faults/no-{method}",
                {"where": {"method": method, "times": None}, "effect": {"kind": "answer", "status": 599}},
            )

    async def one(self, path: str) -> Entity:
        found = await self.kong.entity(path)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(str(probe.getsockname()[1]))
    command = [sys.executable, "-m", "sandbox.kong", "--admin-port", ports[0], "--proxy-port", ports[1]]
    with subprocess.Popen(
        [*command, "--die-with-parent", str(os.getpid())], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield f"http://127.0.0.1:{ports[0]}"
        finally:
            process.terminate()


Play = Callable[[Callable[[World], Awaitable[T]]], T]


@pytest.fixture
def play(address: str) -> Callable[[Callable[[World], Awaitable[Any]]], Any]:
    def run(scene: Callable[[World], Awaitable[Any]]) -> Any:
        async def whole() -> Any:
            async with Client("Kong's Admin API", address, hint="Start it.") as client:
                world = World(client)
                await world.empty()
                return await scene(world)

        return asyncio.run(whole())

    return run


@asynccontextmanager
async def refused(kind: type[Halt] = Refused) -> AsyncIterator[list[str]]:
    """What was said, after a block that ends in a refusal."""
    said: list[str] = []
    with pytest.raises(kind) as caught:
        yield said
    said += [caught.value.what, caught.value.world, caught.value.next]


async def made(world: World, handler: Any5, **inputs: Any) -> Held[EntityState]:
    return await handler.create(world.ctx, handler.spec.model_validate({"owner": OWNER, **inputs}))


async def changed(world: World, handler: Any5, held: Held[EntityState], **inputs: Any) -> EntityState:
    return await handler.update(world.ctx, handler.spec.model_validate({"owner": OWNER, **inputs}), held)


async def again(world: World, handler: Any5, held: Held[EntityState]) -> Held[EntityState]:
    """As a refresh reads it."""
    found = await handler.read(world.ctx, held.id, held)
    assert found is not None
    return found


FULL: dict[str, dict[str, Any]] = {
    "upstream": {
        "name": "shop",
        "hashOn": "cookie",
        "hashOnCookie": "sid",
        "slots": 1000,
        "tags": ["b", "a"],
        "healthchecks": {
            "active": {"httpPath": "/health", "healthy": {"interval": 5, "successes": 1}, "timeout": 2.5},
            "passive": {"unhealthy": {"httpStatuses": [503, 500], "httpFailures": 3}},
        },
    },
    "service": {"name": "api", "host": "shop", "protocol": "http", "port": 80, "retries": 2, "readTimeout": 300000},
    "route": {
        "name": "api",
        "service": "api",
        "paths": ["/v1", "~/ai/m1(?:/|$)"],
        "hosts": [],
        "methods": ["PUT", "GET"],
        "protocols": ["https", "http"],
        "headers": {"x-preview-colour": ["green"], "X-Other": ["b", "a"]},
        "stripPath": False,
        "responseBuffering": False,
        "regexPriority": 5,
        "httpsRedirectStatusCode": 301,
    },
    "plugin": {
        "instanceName": "api-limit",
        "name": "rate-limiting",
        "service": "api",
        "protocols": ["http", "grpc"],
        "config": {"minute": 60, "limit_by": "ip", "redis": {"host": "redis.internal", "timeout": 1500}},
        "secrets": {"redis.password": "hunter-22"},
    },
    "consumer": {
        "username": "alice smith/1",
        "customId": "c-1",
        "groups": ["preview", "beta"],
        "keys": ["key-of-alice-1", "key-of-alice-0"],
        "tags": ["team:a b"],
    },
}
KINDS = tuple(FULL)


async def one_of_each(world: World, *kinds: str) -> dict[str, Held[EntityState]]:
    return {kind: await made(world, getattr(world, kind), **FULL[kind]) for kind in KINDS if kind in (kinds or KINDS)}


# An unchanged stack


@pytest.mark.parametrize("kind", KINDS)
def test_a_refresh_of_what_was_just_created_shows_no_difference(play: Play[None], kind: str) -> None:
    async def scene(world: World) -> None:
        held = (await one_of_each(world))[kind]
        found = await again(world, getattr(world, kind), held)
        assert {"owner": OWNER, **FULL[kind]} == found.inputs
        assert held == found
        assert world.ctx.said == []

    play(scene)


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_with_nothing_to_change_writes_nothing(play: Play[None], kind: str) -> None:
    async def scene(world: World) -> None:
        held = (await one_of_each(world))[kind]
        await world.forbid_writes()
        assert held.state == await changed(world, getattr(world, kind), held, **FULL[kind])

    play(scene)


@pytest.mark.parametrize("kind", KINDS)
def test_an_import_by_name_or_uuid_reads_what_is_not_at_its_default(play: Play[None], kind: str) -> None:
    async def scene(world: World) -> None:
        held = (await one_of_each(world))[kind]
        handler: Any5 = getattr(world, kind)
        by_name = await handler.read(world.ctx, held.state.name, None)
        by_uuid = await handler.read(world.ctx, held.id, None)
        assert by_name == by_uuid
        assert by_name is not None
        assert held.id == by_name.id
        expected = {"owner": OWNER, **FULL[kind]}
        for name in {"service": ("protocol", "port"), "route": ("hosts", "protocols")}.get(kind, ()):
            del expected[name]  # declared, and at its default
        handler.spec.model_validate(dict(by_name.inputs))
        assert _unordered(expected) == _unordered(by_name.inputs)

    play(scene)


def _unordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _unordered(item) for name, item in value.items()}
    return sorted(value, key=str) if isinstance(value, list) else value


def test_an_entity_of_defaults_alone_imports_as_its_name(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        await world.kong.entity_create("/services", {"name": "s", "host": "h"})
        found = await world.service.read(world.ctx, "s", None)
        assert found is not None
        assert found.inputs == {"owner": "", "name": "s", "host": "h"}

    play(scene)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_gone_reads_as_nothing(play: Play[None], kind: str) -> None:
    async def scene(world: World) -> None:
        held = (await one_of_each(world))[kind]
        await world.empty()
        handler: Any5 = getattr(world, kind)
        assert await handler.read(world.ctx, held.id, held) is None
        assert await handler.read(world.ctx, "nobody", None) is None

    play(scene)


def test_an_empty_map_around_a_secret_is_no_difference(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        config = {"minute": 60, "redis": {}}
        secrets = {"redis.password": "hunter-22"}
        held = await made(world, world.plugin, instanceName="p", name="rate-limiting", config=config, secrets=secrets)
        assert held == await again(world, world.plugin, held)

    play(scene)


# Drift


def test_drift_shows_the_declared_path_and_nothing_else(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = (await one_of_each(world))["route"]
        await world.kong.entity_update("/routes/api", {"strip_path": True, "preserve_host": True, "paths": ["/v2"]})
        found = await again(world, world.route, held)
        assert {"owner": OWNER, **FULL["route"], "stripPath": True, "paths": ["/v2"]} == found.inputs

    play(scene)


def test_drift_inside_a_config_shows_the_leaf(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = (await one_of_each(world))["plugin"]
        config = {"config": {"minute": 61, "hour": 5000, "redis": {"password": "changed!"}}}
        await world.kong.entity_update("/plugins/api-limit", config)
        found = (await again(world, world.plugin, held)).inputs
        assert FULL["plugin"]["config"] | {"minute": 61} == found["config"]
        assert found["secrets"] == {"redis.password": "changed!"}

    play(scene)


def test_a_lost_owner_tag_shows_and_is_written_again(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = (await one_of_each(world))["service"]
        await world.kong.entity_update("/services/api", {"tags": ["by-hand"]})
        found = await again(world, world.service, held)
        assert found.inputs["owner"] == ""
        await changed(world, world.service, found, **FULL["service"])
        assert (await world.one("/services/api"))["tags"] == ["by-hand", OURS]

    play(scene)


def test_another_service_behind_a_route_shows_by_its_name(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = (await one_of_each(world))["route"]
        await world.kong.entity_create("/services", {"name": "other", "host": "h"})
        await world.kong.entity_update("/routes/api", {"service": {"name": "other"}})
        assert (await again(world, world.route, held)).inputs["service"] == "other"
        await changed(world, world.route, held, **FULL["route"])
        assert (await world.one("/routes/api"))["service"] == {"id": (await world.one("/services/api"))["id"]}

    play(scene)


# Writing


def test_a_change_keeps_what_is_not_declared(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = await made(world, world.service, name="s", host="h")
        await world.kong.entity_update("/services/s", {"retries": 9, "tags": ["by-hand", OURS]})
        await changed(world, world.service, held, name="s", host="h2")
        service = await world.one("/services/s")
        assert (service["host"], service["retries"], service["tags"]) == ("h2", 9, ["by-hand", OURS])

    play(scene)


def test_a_field_taken_out_goes_back_to_its_default(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        await made(world, world.service, name="s", host="h")
        route = {"name": "r", "service": "s", "paths": ["/a"], "hosts": ["a.test"], "stripPath": False, "tags": ["x"]}
        held = await made(world, world.route, **route)
        await changed(world, world.route, held, name="r", service="s", paths=["/a"])
        found = await world.one("/routes/r")
        assert (found["hosts"], found["strip_path"], found["tags"]) == (None, True, [OURS])
        await changed(world, world.route, held, name="r", paths=["/a"])
        assert (await world.one("/routes/r"))["service"] is None

    play(scene)


def test_a_config_key_taken_out_goes_back_to_its_default(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = (await one_of_each(world))["plugin"]
        plugin = {**FULL["plugin"], "config": {"minute": 60, "hour": 100}, "secrets": None}
        await changed(world, world.plugin, held, **plugin)
        config = (await world.one("/plugins/api-limit"))["config"]
        assert (config["minute"], config["hour"], config["limit_by"]) == (60, 100, "consumer")
        assert tuple(config["redis"][name] for name in ("host", "timeout", "password")) == (None, 2000, None)

    play(scene)


def test_a_nested_healthcheck_changes_alone(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = (await one_of_each(world))["upstream"]
        upstream = {**FULL["upstream"], "healthchecks": {"active": {"httpPath": "/ready"}}}
        await changed(world, world.upstream, held, **upstream)
        active = (await world.one("/upstreams/shop"))["healthchecks"]["active"]
        assert (active["http_path"], active["timeout"], active["healthy"]["interval"]) == ("/ready", 1, 0)

    play(scene)


@pytest.mark.parametrize("algorithm", ["least-connections", "latency", "round-robin"])
def test_a_sticky_upstream_can_stop_being_one(play: Play[None], algorithm: str) -> None:
    async def scene(world: World) -> None:
        held = await made(world, world.upstream, name="u", hashOn="cookie", hashOnCookie="sid")
        assert (await world.one("/upstreams/u"))["algorithm"] == "consistent-hashing"
        await changed(world, world.upstream, held, name="u", algorithm=algorithm)
        found = await world.one("/upstreams/u")
        assert (algorithm, "none", None) == (found["algorithm"], found["hash_on"], found["hash_on_cookie"])
        assert world.ctx.said == []

    play(scene)


def test_an_adopted_sticky_upstream_needs_no_write(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        await made(world, world.upstream, name="u", hashOn="cookie", hashOnCookie="sid")
        await world.forbid_writes()
        await made(world, world.upstream, name="u", hashOn="cookie", hashOnCookie="sid")
        assert world.ctx.said == ["upstream 'u' is there with our tag: adopted as it is"]

    play(scene)


@pytest.mark.parametrize(("times", "host", "said"), [(1, "h2", []), (None, "h", ["host"])])
def test_what_kong_does_not_store_at_once_is_written_again_and_told_if_it_stays_so(
    play: Play[None], times: int | None, host: str, said: list[str]
) -> None:
    async def scene(world: World) -> None:
        held = await made(world, world.service, name="s", host="h")
        body = json.dumps(await world.one("/services/s"))
        await world.fault({"kind": "answer", "status": 200, "body": body}, method="PATCH", times=times)
        await changed(world, world.service, held, name="s", host="h2")
        assert host == (await world.one("/services/s"))["host"]
        assert [f"service 's': Kong does not store {field} as asked" for field in said] == world.ctx.said

    play(scene)


def test_a_plugin_may_change_its_type_and_its_place(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = (await one_of_each(world))["plugin"]
        plugin = {
            "instanceName": "api-limit",
            "name": "cors",
            "route": "api",
            "config": {"origins": ["https://a.test"]},
        }
        assert held.state == await changed(world, world.plugin, held, **plugin)
        found = await world.one(f"/plugins/{held.id}")
        assert (found["name"], found["service"]) == ("cors", None)
        assert "minute" not in found["config"]
        new = Held(held.id, {"owner": OWNER, **plugin}, held.state)
        assert {"owner": OWNER, **plugin} == (await again(world, world.plugin, new)).inputs

    play(scene)


def test_a_new_name_is_a_rename_in_place(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = (await one_of_each(world))["service"]
        state = await changed(world, world.service, held, **{**FULL["service"], "name": "api2"})
        assert EntityState(id=held.id, name="api2") == state
        assert (await world.one("/services/api2"))["id"] == held.id

    play(scene)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_deleted_by_hand_is_made_again_under_the_same_uuid(play: Play[None], kind: str) -> None:
    async def scene(world: World) -> None:
        held = await one_of_each(world)
        handler: Any5 = getattr(world, kind)
        if kind == "service":
            await world.kong.entity_delete(f"/routes/{held['route'].id}")
        await world.kong.entity_delete(handler.all.path(held[kind].id))
        assert held[kind].state == await changed(world, handler, held[kind], **FULL[kind])
        assert {"owner": OWNER, **FULL[kind]} == (await again(world, handler, held[kind])).inputs
        (said,) = world.ctx.said
        assert said.endswith("was gone from Kong: created again")

    play(scene)


# Whose it is


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_ours_is_not_taken_over(play: Play[None], kind: str) -> None:
    async def scene(world: World) -> None:
        held = (await one_of_each(world))[kind]
        handler: Any5 = getattr(world, kind)
        path = handler.all.path(held.id)
        noun, address = handler.row.noun, f"{world.kong.where}{path}"
        before = await world.kong.entity_update(path, {"tags": None})
        new = handler.spec.model_validate({"owner": OWNER, **FULL[kind]})
        for attempt in (handler.create(world.ctx, new), handler.preview(world.ctx, new, None)):
            async with refused() as said:
                await attempt
            assert said == [
                f"Kong already has a {noun} {held.state.name!r}, and it is not marked as anybody's.",
                "Nothing was changed.",
                "Give yours another name, or mark this one as yours and run pulumi up again, which then adopts it: "
                f"curl -X PATCH {address} -H 'Content-Type: application/json' -d '{{\"tags\": [\"{OURS}\"]}}'",
            ]
        assert before == await world.one(path)

    play(scene)


def test_what_another_stack_has_taken_is_neither_changed_nor_deleted(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = await made(world, world.service, name="s", host="h")
        await world.kong.entity_update("/services/s", {"tags": ["owner:other.test"]})
        async with refused() as said:
            await changed(world, world.service, held, name="s", host="h2")
        assert said == [
            "Kong already has a service 's', and it belongs to 'other.test', not to 'shop.test'.",
            "Nothing was changed.",
            "Give yours another name, or take it out of 'other.test' first.",
        ]
        await world.service.delete(world.ctx, held)
        assert (await world.one("/services/s"))["host"] == "h"
        assert world.ctx.said == ["service 's' belongs to 'other.test' by now: left as it is"]

    play(scene)


def test_what_carries_our_tag_is_adopted_and_becomes_as_declared(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        left = await world.kong.entity_create(
            "/services", {"name": "s", "host": "old", "retries": 9, "tags": ["x", OURS]}
        )
        preview = await world.service.preview(
            world.ctx, world.service.spec.model_validate({"owner": OWNER, "name": "s", "host": "h"}), None
        )
        held = await made(world, world.service, name="s", host="h")
        assert left["id"] == held.id == preview.id
        found = await world.one("/services/s")
        assert (found["host"], found["retries"], found["tags"]) == ("h", 5, [OURS])
        assert world.ctx.said == ["service 's' is there with our tag: adopted, which changes host, retries, tags"] * 2

    play(scene)


def test_an_imported_entity_is_marked_by_the_next_update(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        await world.kong.entity_create("/services", {"name": "s", "host": "h"})
        held = await world.service.read(world.ctx, "s", None)
        assert held is not None
        await changed(world, world.service, held, name="s", host="h")
        assert (await world.one("/services/s"))["tags"] == [OURS]

    play(scene)


def test_an_entity_without_an_owner_is_refused(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        async with refused() as said:
            await made(world, world.service, owner="", name="s", host="h")
        assert said[0] == "service 's' has no owner."
        assert await world.kong.entity("/services/s") is None

    play(scene)


# Lost replies


@pytest.mark.parametrize("kind", KINDS)
def test_a_create_whose_reply_is_lost_is_found_again(play: Play[None], kind: str) -> None:
    async def scene(world: World) -> None:
        others = [other for other in KINDS if other != kind and KINDS.index(other) < KINDS.index(kind)]
        await one_of_each(world, *others) if others else None
        handler: Any5 = getattr(world, kind)
        await world.fault({"kind": "lost"}, method="POST", path=handler.all.path())
        held = await made(world, handler, **FULL[kind])
        assert held == await again(world, handler, held)

    play(scene)


def test_a_create_that_never_arrived_is_told_as_lost(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        await world.fault({"kind": "reset"}, method="POST", path="/services")
        async with refused(LostReply) as said:
            await made(world, world.service, name="s", host="h")
        assert said[1] == "Whether it took effect is unknown."
        assert await world.kong.entity("/services/s") is None

    play(scene)


@pytest.mark.parametrize("lost", [True, False])
def test_an_update_whose_reply_is_lost_is_judged_by_what_kong_has(play: Play[None], lost: bool) -> None:
    async def scene(world: World) -> None:
        held = await made(world, world.service, name="s", host="h")
        await world.fault({"kind": "lost" if lost else "reset"}, method="PATCH", path="/services/*")
        if lost:
            await changed(world, world.service, held, name="s", host="h2")
        else:
            async with refused(LostReply):
                await changed(world, world.service, held, name="s", host="h2")
        assert (await world.one("/services/s"))["host"] == ("h2" if lost else "h")

    play(scene)


def test_a_delete_whose_reply_is_lost_is_done(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = await made(world, world.service, name="s", host="h")
        await world.fault({"kind": "lost"}, method="DELETE", path="/services/*")
        await world.service.delete(world.ctx, held)
        assert await world.kong.entity("/services/s") is None

    play(scene)


# Deleting


def test_everything_can_be_deleted_leaf_first_and_twice(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = await one_of_each(world)
        for kind in ("consumer", "plugin", "route", "service", "upstream", "upstream"):
            await getattr(world, kind).delete(world.ctx, held[kind])
        assert await world.kong.entities(f"/tags/{OURS}") == []
        assert await world.kong.entities("/key-auths") == []

    play(scene)


def test_a_service_with_routes_says_which_hold_it(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = await one_of_each(world)
        async with refused() as said:
            await world.service.delete(world.ctx, held["service"])
        assert said == [
            "service 'api' cannot be deleted: its routes api still lead to it.",
            "It is still there.",
            "Delete these routes first, then run it again.",
        ]

    play(scene)


# Preview


def test_a_preview_tells_what_will_be_and_writes_nothing(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = await made(world, world.service, name="s", host="h")
        spec = world.service.spec
        new = spec.model_validate({"owner": OWNER, "name": "new", "host": "h"})
        other = spec.model_validate({"owner": OWNER, "name": "s2", "host": "h2"})
        assert EntityState(id=None, name="new") == await world.service.preview(world.ctx, new, None)
        assert EntityState(id=held.id, name="s2") == await world.service.preview(world.ctx, other, held)
        assert [(row["name"], row["host"]) for row in await world.kong.entities("/services")] == [("s", "h")]

    play(scene)


@pytest.mark.parametrize("exists", [True, False])
def test_a_preview_already_says_what_kong_would_refuse(play: Play[None], exists: bool) -> None:
    async def scene(world: World) -> None:
        held = await made(world, world.plugin, instanceName="p", name="rate-limiting", config={"minute": 1})
        bad = {"owner": OWNER, "instanceName": "p" if exists else "q", "name": "rate-limiting", "config": {"minute": 0}}
        async with refused() as said:
            await world.plugin.preview(world.ctx, world.plugin.spec.model_validate(bad), held if exists else None)
        name = bad["instanceName"]
        assert said[0] == f"Kong refuses plugin {name!r}: config.minute: value must be greater than 0."

    play(scene)


def test_a_preview_accepts_a_route_whose_service_comes_with_it(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        new = world.route.spec.model_validate({"owner": OWNER, **FULL["route"]})
        assert EntityState(id=None, name="api") == await world.route.preview(world.ctx, new, None)

    play(scene)


def test_a_preview_without_kong_fails_unless_it_is_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> EntityState:
        async with Client("Kong's Admin API", "http://127.0.0.1:9", connect=0.1) as client:
            handler = ServiceHandler(Kong(client))
            new = handler.spec.model_validate({"owner": OWNER, "name": "s", "host": "h"})
            return await handler.preview(Row(), new, None)

    monkeypatch.setenv("BLUEGREEN_OFFLINE", "1")
    assert EntityState(id=None, name="s") == asyncio.run(scene())
    monkeypatch.delenv("BLUEGREEN_OFFLINE")
    monkeypatch.setattr("bluegreen.http.ATTEMPTS", 1)
    with pytest.raises(Unreachable):
        asyncio.run(scene())


# Refusals


def test_a_plugin_that_the_server_lacks_is_refused_before_writing(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        await world.forbid_writes()
        async with refused() as said:
            await made(world, world.plugin, instanceName="c", name="canary")
        assert said[0] == "plugin 'c' needs the plugin 'canary', which this Kong does not have."
        assert "rate-limiting" in said[1]

    play(scene)


def test_a_deprecated_config_key_is_refused_before_writing(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        await world.forbid_writes()
        async with refused() as said:
            config = {"minute": 1, "redis_host": "r"}
            await made(world, world.plugin, instanceName="l", name="rate-limiting", config=config)
        assert said[2] == "Write config.redis.host, then run pulumi up again."

    play(scene)


def test_a_route_to_a_service_that_is_not_there_says_so(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        async with refused() as said:
            await made(world, world.route, name="r", paths=["/a"], service="nope")
        assert said == [
            "Kong refuses route 'r': there is no service 'nope'.",
            "Nothing was changed.",
            "Correct it, then run pulumi up again.",
        ]

    play(scene)


def test_a_second_plugin_of_a_type_in_one_place_says_so(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        await one_of_each(world)
        async with refused() as said:
            await made(world, world.plugin, **{**FULL["plugin"], "instanceName": "second"})
        assert said[0] == "Kong refuses plugin 'second': there is already another rate-limiting plugin on that service."

    play(scene)


def test_every_refusal_that_a_real_kong_gave_arrives_as_a_refusal(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        recorded = [row for row in REFUSALS if row["method"] in ("POST", "PUT") and row["answer"].get("fields")]
        assert len(recorded) > 40
        for row in recorded:
            answer = {"kind": "answer", "status": row["status"], "body": json.dumps(row["answer"])}
            await world.fault(answer, method="POST", path="/services")
            async with refused() as said:
                await made(world, world.service, name="s", host="h")
            assert said[0].startswith("Kong refuses service 's': ")
            assert said[1] == "Nothing was changed."

    play(scene)


# Consumers


async def keys(world: World) -> list[str]:
    return sorted(row["key"] for row in await world.kong.entities("/key-auths"))


def test_a_consumer_has_exactly_its_keys_and_groups_and_they_are_marked(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = await made(world, world.consumer, **FULL["consumer"])
        assert await keys(world) == ["key-of-alice-0", "key-of-alice-1"]
        for sort in ("key-auth", "acls"):
            rows = await world.kong.entities(f"/consumers/{held.id}/{sort}")
            assert [row["tags"] for row in rows] == [[OURS], [OURS]]

    play(scene)


def test_a_new_key_is_there_before_the_old_one_goes(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = await made(world, world.consumer, username="alice", keys=["key-one-11"])
        await world.fault({"kind": "answer", "status": 503}, method="DELETE", path="*/key-auth/*")
        async with refused(Partial) as said:
            await changed(world, world.consumer, held, username="alice", keys=["key-two-22"])
        assert await keys(world) == ["key-one-11", "key-two-22"]
        assert said[1] == "consumer 'alice' exists; which of its keys do is not certain."
        await changed(world, world.consumer, held, username="alice", keys=["key-two-22"])
        assert await keys(world) == ["key-two-22"]

    play(scene)


def test_keys_that_nobody_declared_are_left_until_a_refresh_has_shown_them(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = await made(world, world.consumer, username="alice", keys=["key-one-11"])
        await world.kong.entity_create(f"/consumers/{held.id}/key-auth", {"key": "by-hand-33"})
        await changed(world, world.consumer, held, username="alice", keys=["key-two-22"])
        assert await keys(world) == ["by-hand-33", "key-two-22"]
        found = await again(world, world.consumer, held)
        assert sorted(found.inputs["keys"]) == ["by-hand-33", "key-two-22"]
        await changed(world, world.consumer, found, username="alice", keys=["key-two-22"])
        assert await keys(world) == ["key-two-22"]

    play(scene)


def test_keys_no_longer_declared_are_taken_away_and_undeclared_groups_are_not(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        held = await made(world, world.consumer, username="alice", keys=["key-one-11"])
        await world.kong.entity_create(f"/consumers/{held.id}/acls", {"group": "by-hand"})
        await changed(world, world.consumer, held, username="alice")
        assert await keys(world) == []
        assert [row["group"] for row in await world.kong.entities("/acls")] == ["by-hand"]

    play(scene)


def test_a_key_that_is_somebody_elses_is_refused_without_being_shown(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        await made(world, world.consumer, username="bob", keys=["key-of-bob-7"])
        with pytest.raises(Partial) as caught:
            await made(world, world.consumer, username="alice", keys=["key-one-11", "key-of-bob-7"], groups=["g"])
        assert caught.value.what == "consumer 'alice': keys[1] belongs to another consumer already."
        assert "key-of-bob-7" not in str(caught.value)
        assert caught.value.held.inputs["username"] == "alice"
        assert (await world.one("/consumers/alice"))["id"] == caught.value.held.id
        fixed = {"username": "alice", "keys": ["key-one-11"], "groups": ["g"]}
        await changed(world, world.consumer, caught.value.held, **fixed)
        assert fixed == {
            name: value
            for name, value in (await again(world, world.consumer, caught.value.held)).inputs.items()
            if name in fixed
        } | {"keys": ["key-one-11"]}

    play(scene)


@pytest.mark.parametrize("sort", ["key-auth", "acls"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_lost_reply_about_a_credential_is_judged_by_what_kong_has(play: Play[None], sort: str, method: str) -> None:
    async def scene(world: World) -> None:
        held = await made(world, world.consumer, username="alice", keys=["key-one-11"], groups=["one"])
        await world.fault({"kind": "lost"}, method=method, path=f"*/{sort}*")
        wanted = {"username": "alice", "keys": ["key-two-22"], "groups": ["two"]}
        await changed(world, world.consumer, held, **wanted)
        assert await keys(world) == ["key-two-22"]
        assert [row["group"] for row in await world.kong.entities("/acls")] == ["two"]

    play(scene)


@pytest.mark.parametrize("status", [400, 409, 500])
def test_no_message_about_keys_quotes_what_kong_says(play: Play[None], status: int) -> None:
    async def scene(world: World) -> None:
        body = json.dumps({"code": 2, "message": "bad key-one-11", "fields": {"key": "key-one-11"}})
        await world.fault({"kind": "answer", "status": status, "body": body}, method="POST", path="*/key-auth")
        with pytest.raises(Partial) as caught:
            await made(world, world.consumer, username="alice", keys=["key-one-11"])
        assert "key-one-11" not in str(caught.value)
        assert caught.value.__suppress_context__

    play(scene)


def test_a_secret_of_a_config_is_written_and_never_told(play: Play[None]) -> None:
    async def scene(world: World) -> None:
        await one_of_each(world)
        assert (await world.one("/plugins/api-limit"))["config"]["redis"]["password"] == "hunter-22"
        body = json.dumps({"code": 2, "message": "x", "fields": {"config": {"redis": {"password": "bad 'hunter-22'"}}}})
        await world.fault({"kind": "answer", "status": 400, "body": body}, method="POST", path="/plugins")
        async with refused() as said:
            await made(world, world.plugin, **{**FULL["plugin"], "instanceName": "q", "service": None})
        assert said[0] == "Kong refuses plugin 'q': config.redis.password: bad '***'."

    play(scene)
