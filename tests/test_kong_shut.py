"""A route and what guards it, over the wire: whoever asks at any moment meets nobody or the guard, never the app."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from bluegreen.handler import Held, Refused
from bluegreen.http import ApiError, Client
from bluegreen.kong.api import Kong
from bluegreen.kong.entities import PluginHandler, RouteHandler
from bluegreen.kong.restore import restore, taken
from bluegreen.kong.spec import EntityState
from sandbox.faults import Fault
from tests.kong_room import Room, application, room
from tests.test_kong_entities import OURS, OWNER, Row

T = TypeVar("T")
ROUTE = {"owner": OWNER, "name": "api", "service": "backend", "paths": ["/v1"], "tags": ["part:front"]}
GUARD = {"owner": OWNER, "instanceName": "api-key", "name": "key-auth", "route": "api", "tags": ["part:front"]}


class Scene:
    """A gateway with one service and nobody's route; what users meet at `/v1` is asked after every step."""

    def __init__(self, here: Room, kong: Kong) -> None:
        self.here, self.kong, self.ctx = here, kong, Row()
        self.route, self.plugin = RouteHandler(kong), PluginHandler(kong)

    async def met(self) -> int:
        self.here.kong.cluster.settle()
        return (await self.here.call("/v1"))[0]

    async def guard(self) -> Held[EntityState]:
        return await self.plugin.create(self.ctx, self.plugin.spec.model_validate(GUARD))

    async def opened(self) -> Held[EntityState]:
        return await self.route.create(self.ctx, self.route.spec.model_validate(ROUTE))

    def fault(self, **where: Any) -> None:
        effect = {"kind": "answer", "status": 500, "body": '{"message":"An unexpected error occurred"}'}
        self.here.kong.faults.arm("next", Fault.model_validate({"where": where, "effect": effect}))


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    async with room() as here, application("blue") as app:
        await here.made("PUT", "/services/backend", {"host": "127.0.0.1", "port": app.port, "tags": [OURS]})
        async with Client("Kong's Admin API", f"http://127.0.0.1:{here.kong.admin_port}") as client:
            yield Scene(here, Kong(client))


def play(does: Callable[[Scene], Awaitable[T]]) -> T:
    async def whole() -> T:
        async with scene() as here:
            return await does(here)

    return asyncio.run(whole())


def test_a_route_is_met_first_with_its_guard_and_goes_with_it() -> None:
    async def does(here: Scene) -> list[int]:
        met = [await here.met()]
        guard = await here.guard()
        met.append(await here.met())
        route = await here.opened()
        met.append(await here.met())
        await here.route.delete(here.ctx, route)
        met.append(await here.met())
        await here.plugin.delete(here.ctx, guard)
        assert ([], []) == (await here.kong.entities("/plugins"), here.ctx.said)
        return met

    assert [404, 404, 401, 404] == play(does)


def test_a_route_whose_guard_could_not_be_written_takes_nobody_and_opens_with_the_next_run() -> None:
    async def does(here: Scene) -> list[int]:
        here.fault(method="POST", path="/plugins")
        with pytest.raises(ApiError):
            await here.guard()
        met = [await here.met()]
        await here.guard()
        await here.opened()
        return [*met, await here.met()]

    assert [404, 401] == play(does)


def test_nothing_is_hung_on_a_route_that_is_somebody_elses() -> None:
    async def does(here: Scene) -> None:
        for tags in (["owner:shop.other"], []):
            theirs = {"paths": ["/v1"], "service": {"name": "backend"}, "tags": tags}
            await here.here.made("PUT", "/routes/api", theirs)
            with pytest.raises(Refused):
                await here.guard()
            assert [] == await here.kong.entities("/plugins")

    play(does)


def test_two_guards_at_once_stand_on_one_route() -> None:
    async def does(here: Scene) -> int:
        other = here.plugin.spec.model_validate({**GUARD, "instanceName": "api-cors", "name": "cors"})
        await asyncio.gather(here.guard(), here.plugin.create(here.ctx, other))
        assert 1 == len(await here.kong.entities("/routes"))
        await here.opened()
        return await here.met()

    assert 401 == play(does)


@pytest.mark.parametrize("skip", range(4))
def test_a_route_that_is_put_back_is_met_first_with_its_guard(skip: int) -> None:
    """However often the way back is cut short."""

    async def does(here: Scene) -> list[int]:
        await here.opened()
        await here.guard()
        rows = await taken(here.kong, OWNER, secrets={})
        await here.kong.entity_delete("/routes/api")
        here.fault(method="PUT", path="*", skip=skip)
        try:
            done = await restore(here.kong, OWNER, rows)
        except ApiError:
            done = []
        met = [await here.met()]
        done += await restore(here.kong, OWNER, rows)
        assert "route api is shut" not in done
        return [*met, await here.met()]

    assert [404 if skip < 3 else 401, 401] == play(does)
