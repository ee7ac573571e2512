"""Since when a colour is idle everywhere, read from the Kong stand-in over the wire: what a drain counts from."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from bluegreen.gateway import Slot
from bluegreen.http import Client
from bluegreen.kong.api import Kong
from bluegreen.kong.gateway import KongGateway
from tests.kong_room import Room, room

LOST = datetime(2026, 3, 1, 3, 10, tzinfo=UTC)
Scene = Callable[[KongGateway, Room], Awaitable[None]]


def play(scene: Scene, *slots: Slot) -> None:
    """Run a scene on a fresh Kong whose upstream `backend` holds these."""

    async def run() -> None:
        async with room() as here, Client("Kong's Admin API", f"http://127.0.0.1:{here.kong.admin_port}") as client:
            gateway = KongGateway(Kong(client))
            await here.made("PUT", "/upstreams/backend", {})
            for slot in slots:
                await gateway.put("backend", slot, seen=None)
            await scene(gateway, here)

    asyncio.run(run())


def slot(weight: int, since: datetime | None) -> Slot:
    return Slot("green", "127.0.0.1:9002", weight, owner="shop.test", release="r-green", since=since)


def test_a_colour_is_idle_once_its_weight_must_be_in_force_everywhere() -> None:
    async def scene(gateway: KongGateway, _: Room) -> None:
        # What Kong may take until its last worker knows: an hour for each of the stand-in's two frequencies, and 1 s.
        assert await gateway.quiet_since("backend", "green") == LOST + timedelta(hours=2, seconds=1)

    play(scene, slot(0, LOST))


@pytest.mark.parametrize("held", [[slot(100, LOST)], [slot(0, None)], []], ids=["serves", "unknown", "nobody"])
def test_a_colour_that_serves_or_whose_loss_nobody_noted_is_idle_since_no_moment(held: list[Slot]) -> None:
    async def scene(gateway: KongGateway, _: Room) -> None:
        assert await gateway.quiet_since("backend", "green") is None

    play(scene, *held)
