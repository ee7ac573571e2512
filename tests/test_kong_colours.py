"""What Kong says of one colour before its service is touched, read from the stand-in over the wire."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bluegreen.gateway import Slot
from bluegreen.http import Client
from bluegreen.kong.api import Kong
from bluegreen.kong.colours import Colours
from bluegreen.kong.gateway import KongGateway
from tests.kong_room import Room, room

LOST = datetime(2026, 3, 1, 3, 10, tzinfo=UTC)
Scene = Callable[[Colours, Room], Awaitable[None]]


def play(scene: Scene, *slots: Slot) -> None:
    """Run a scene on a fresh Kong whose upstream `backend` holds these."""

    async def run() -> None:
        async with room() as here, Client("Kong's Admin API", f"http://127.0.0.1:{here.kong.admin_port}") as client:
            kong = Kong(client)
            gateway = KongGateway(kong)
            await here.made("PUT", "/upstreams/backend", {})
            for slot in slots:
                await gateway.put("backend", slot, seen=None)
            await scene(Colours(kong, gateway), here)

    asyncio.run(run())


def slot(weight: int, since: datetime | None) -> Slot:
    return Slot("green", "127.0.0.1:9002", weight, owner="shop.test", release="r-green", since=since)


def test_a_colour_is_idle_once_its_weight_must_be_in_force_everywhere() -> None:
    async def scene(colours: Colours, _: Room) -> None:
        # What Kong may take until its last worker knows: an hour for each of the stand-in's two frequencies, and 1 s.
        assert await colours.quiet_since("backend", "green") == LOST + timedelta(hours=2, seconds=1)

    play(scene, slot(0, LOST))


@pytest.mark.parametrize("held", [[slot(100, LOST)], [slot(0, None)], []], ids=["serves", "unknown", "nobody"])
def test_a_colour_that_serves_or_whose_loss_nobody_noted_is_idle_since_no_moment(held: list[Slot]) -> None:
    async def scene(colours: Colours, _: Room) -> None:
        assert await colours.quiet_since("backend", "green") is None

    play(scene, *held)


def test_nobody_carries_anything_behind_an_upstream_that_does_not_exist() -> None:
    async def scene(colours: Colours, _: Room) -> None:
        assert not await colours.carries("nobody", "blue")

    play(scene)


HOST = "backend-green.railway.internal"


def test_whoever_leads_to_a_colour_past_the_weights_is_named_and_its_own_preview_is_not() -> None:
    async def scene(colours: Colours, here: Room) -> None:
        for name, host in (("backend-green", HOST), ("by-hand", f"{HOST.upper()}."), ("other", "example.org")):
            await here.made("PUT", f"/services/{name}", {"host": host})
        assert await colours.callers("backend", "green", HOST) == ["by-hand"]

    play(scene)


@pytest.mark.parametrize(("absent", "declared"), [(None, True), (False, True), (True, False)])
def test_a_colour_is_declared_while_its_preview_leads_to_it(absent: bool | None, declared: bool) -> None:
    async def scene(colours: Colours, here: Room) -> None:
        assert not await colours.declared("backend", "green", HOST)
        service = await here.made("PUT", "/services/backend-green", {"host": HOST})
        if absent is not None:
            plugin = {"name": "request-termination", "enabled": absent, "service": {"id": service["id"]}}
            await here.made("POST", "/plugins", {**plugin, "instance_name": "backend-green-absent"})
        assert await colours.declared("backend", "green", HOST) is declared
        assert not await colours.declared("backend", "green", "another.railway.internal")

    play(scene)


def test_what_is_being_replaced_is_proven_no_longer_and_what_is_there_after_all_is_again() -> None:
    async def scene(colours: Colours, _: Room) -> None:
        async def proven() -> bool:
            return (await colours.gateway.split("backend")).slots["green"].proven

        assert (await colours.replacing("backend", "green"), await proven()) == (True, False)
        assert await colours.replacing("backend", "green") is False
        await colours.kept("backend", "green", "r-other")
        await colours.kept("backend", "green", None)
        assert not await proven()
        await colours.kept("backend", "green", "r-green")
        assert await proven()

    play(scene, replace(slot(0, LOST), proven=True))
