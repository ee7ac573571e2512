"""The Admin API below a path prefix: Kong serves its own at `/admin-api`, behind a key, as an open-source Kong can."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from bluegreen.connections import connect
from bluegreen.gateway import Slot
from bluegreen.http import Unauthorized
from bluegreen.kong.api import Kong
from bluegreen.kong.gateway import KongGateway
from tests.kong_room import Room, room

KEY = "key-of-the-deployer"
Scene = Callable[[Kong, Room], Awaitable[Any]]


def play(scene: Scene, key: str = KEY) -> Any:
    """Run a scene with a client that knows only the proxy's address and the prefix."""

    async def whole() -> Any:
        async with room() as here:
            await here.made("PUT", "/services/admin-api", {"url": f"http://127.0.0.1:{here.kong.admin_port}"})
            await here.made("PUT", "/services/admin-api/routes/admin-api", {"paths": ["/admin-api"]})
            await here.made("POST", "/services/admin-api/plugins", {"name": "key-auth"})
            await here.made("PUT", "/consumers/deployer", {})
            await here.made("PUT", f"/consumers/deployer/key-auth/{KEY}", {})
            here.kong.cluster.settle()
            base = f"http://127.0.0.1:{here.kong.proxy_port}/admin-api/"
            connections = connect({"kongAdminUrl": base, "kongAdminKey": key}, {})
            try:
                return await scene(connections.kong(), here)
            finally:
                await connections.close()

    return asyncio.run(whole())


def test_every_page_below_a_prefix_is_reached_by_its_offset() -> None:
    async def scene(kong: Kong, here: Room) -> set[str]:
        for number in range(250):
            await here.made("PUT", f"/consumers/c{number}", {})
        return {row["username"] for row in await kong.entities("/consumers")}

    assert play(scene) == {"deployer", *(f"c{number}" for number in range(250))}


def test_everything_can_be_written_below_a_prefix() -> None:
    async def scene(kong: Kong, _: Room) -> list[Any]:
        made = await kong.entity_create("/services", {"name": "s", "host": "h"})
        changed = await kong.entity_update(f"/services/{made['id']}", {"retries": 1})
        await kong.validate("services", {"name": "t", "host": "h"})
        await kong.entity_delete("/services/s")
        return [changed["retries"], await kong.entity("/services/s")]

    assert play(scene) == [1, None]


def test_a_missing_key_is_told_in_one_sentence() -> None:
    async def scene(kong: Kong, _: Room) -> str:
        with pytest.raises(Unauthorized) as refused:
            await kong.node()
        return str(refused.value)

    told = play(scene, key="wrong")
    assert told.startswith("Kong's Admin API answered 401 to GET /: ")
    assert told.endswith("Nothing was changed. Check the credentials for Kong's Admin API.")


def test_a_proof_below_a_prefix_goes_by_samples_because_no_connection_is_one_workers() -> None:
    async def scene(kong: Kong, here: Room) -> tuple[Any, bool]:
        gateway = KongGateway(kong)
        await here.made("PUT", "/upstreams/backend", {})
        await gateway.put("backend", Slot("blue", "127.0.0.1:9001", 100, owner="shop.test"), seen=None)
        here.kong.cluster.settle()
        sample = await kong.sample("backend")
        assert sample is not None
        proof = await gateway.prove(await gateway.split("backend"), within=timedelta(seconds=30), nodes=1)
        return sample.worker, proof.answers >= 11

    assert play(scene) == (None, True)
