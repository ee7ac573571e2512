"""A way back by hand against an update that writes at the same moment: what is overwritten is written again."""

import asyncio
from datetime import timedelta

import pytest

from bluegreen.gateway import Proof, Slot, Split, Unproven
from bluegreen.handler import Halt
from bluegreen.http import ApiError, Client, Conflict, Unreachable, Untrusted
from bluegreen.kong.api import Kong
from bluegreen.kong.gateway import KongGateway
from bluegreen.rollout.breakglass import PAUSE, TRIES, guard, take_back, way_back
from bluegreen.spec import COLOURS
from sandbox.faults import Fault
from tests.kong_room import room
from tests.memory import Memory, tools
from tests.rollout_room import HOLD, World


class Overwritten(Memory):
    """A gateway that proves nothing but what is stored, as Kong does, and tells how long each proof was to take."""

    waited = timedelta()
    late = 0  # so many proofs find nothing in force

    async def prove(self, split: Split, *, within: timedelta, nodes: int) -> Proof:
        if self.proving is not None:
            self.proving()
        rows = self.rows[split.upstream]
        self.late -= 1
        if self.late >= 0 or any(rows[colour].weight != slot.weight for colour, slot in split.slots.items()):
            self.waited += within
            raise Unproven("not in force", world="Stored.", next="Look.")
        return Proof(2, 1, timedelta(seconds=0.01))


def overwriting(times: int) -> tuple[World, Overwritten]:
    """An update lowers blue just after somebody has raised it: it had read the row a moment before."""
    world = World("backend")
    for colour in COLOURS[::-1]:
        world.move(colour)
    gateway = Overwritten(rows=world.memory.rows)
    world.memory = gateway
    left = iter(range(times))

    def lowered() -> None:
        if next(left, None) is not None:
            world.change("backend", "green", weight=100)
            world.change("backend", "blue", weight=0, hold=None)

    gateway.proving = lowered
    return world, gateway


def back(world: World, gateway: Overwritten) -> str:
    way = way_back("backend", world.lanes("green")["backend"], world.splits()["backend"], to="blue")
    return asyncio.run(take_back(way, HOLD, tools(gateway, world.answers, world.clock)))


@pytest.mark.parametrize("times", [1, 3])
def test_what_an_update_has_overwritten_is_noticed_at_once_and_written_again(times: int) -> None:
    world, gateway = overwriting(times)
    back(world, gateway)
    rows = gateway.rows["backend"]
    assert {colour: (slot.weight, slot.hold) for colour, slot in rows.items()} == {
        "blue": (100, HOLD),
        "green": (0, HOLD),
    }
    assert gateway.waited <= times * timedelta(seconds=0.5) < asyncio.run(gateway.budget())
    assert not gateway.empty


def test_somebody_who_never_stops_is_told_in_the_end() -> None:
    world, gateway = overwriting(1000)
    with pytest.raises(Halt, match="the blue target changed in Kong while it was being proved"):
        back(world, gateway)


def test_what_is_stored_and_only_late_gets_all_its_time() -> None:
    world, gateway = overwriting(0)
    gateway.late = 3
    assert back(world, gateway).startswith("proved by 2 answers")
    assert gateway.waited == timedelta(seconds=3.5)


class Stumbling(Memory):
    """A gateway that takes a row away to make it anew, and then does not make it, so many times."""

    kind: type[ApiError] = Unreachable
    left = 0
    only = ""  # the app that it is about

    async def renew(self, upstream: str, slot: Slot, *, seen: Slot) -> None:
        if self.left and self.only in ("", upstream):
            self.left -= 1
            del self.rows[upstream][slot.colour]
            raise self.kind("Kong stumbled.", world="Nothing was changed.", next="Look.")
        await super().renew(upstream, slot, seen=seen)


def stumbling(times: int, kind: type[ApiError]) -> tuple[World, Stumbling]:
    world = World("backend")
    world.move("green")
    gateway = Stumbling(rows=world.memory.rows)
    gateway.left, gateway.kind = times, kind
    world.memory = gateway
    return world, gateway


@pytest.mark.parametrize("kind", [Unreachable, Conflict])
@pytest.mark.parametrize("times", [1, 4])
def test_a_row_that_was_taken_away_and_not_made_is_made_by_the_next_try(times: int, kind: type[ApiError]) -> None:
    world, gateway = stumbling(times, kind)
    started = world.clock.at
    way = way_back("backend", world.lanes("green")["backend"], world.splits()["backend"])
    asyncio.run(take_back(way, HOLD, tools(gateway, world.answers, world.clock)))
    rows = gateway.rows["backend"]
    assert {colour: (slot.weight, slot.hold) for colour, slot in rows.items()} == {
        "blue": (100, HOLD),
        "green": (0, HOLD),
    }
    assert world.clock.at - started == times * timedelta(seconds=PAUSE)
    assert not gateway.empty


@pytest.mark.parametrize(("kind", "tries"), [(Unreachable, TRIES), (Conflict, TRIES), (Untrusted, 1)])
def test_a_gateway_that_never_does_it_is_told_in_the_end(kind: type[ApiError], tries: int) -> None:
    world, gateway = stumbling(1000, kind)
    way = way_back("backend", world.lanes("green")["backend"], world.splits()["backend"])
    with pytest.raises(kind, match="Kong stumbled"):
        asyncio.run(take_back(way, HOLD, tools(gateway, world.answers, world.clock)))
    assert 1000 - gateway.left == tries


@pytest.mark.parametrize("effect", [{"kind": "answer", "status": 500}, {"kind": "reset"}, {"kind": "lost"}])
def test_a_row_of_kong_that_was_taken_away_is_made_again_at_once(effect: dict[str, object]) -> None:
    async def scene() -> Slot | None:
        async with room() as here:
            address = f"http://127.0.0.1:{here.kong.admin_port}"
            await here.made("PUT", "/upstreams/backend", {})
            async with Client("Kong's Admin API", address, hint="Start it.") as client:
                gateway = KongGateway(Kong(client))
                await gateway.put("backend", Slot("blue", "blue:1", 0), seen=None)
                seen = (await gateway.split("backend")).slots["blue"]
                fault = Fault.model_validate({"where": {"method": "POST"}, "effect": effect})
                here.kong.faults.arm("next", fault)
                await gateway.renew("backend", Slot("blue", "blue:1", 100), seen=seen)
                slot = (await gateway.split("backend")).slots.get("blue")
                assert slot is None or slot.row != seen.row
                return slot

    slot = asyncio.run(scene())
    assert (slot and slot.weight) == 100


def test_an_app_that_cannot_be_put_right_does_not_leave_the_others_alone() -> None:
    """A late writer undoes both; the rows of one app cannot be made anew any more."""
    world = World("backend", "frontend")
    world.move("green")
    splits, lanes = world.splits(), world.lanes("green")
    ways = {app: way_back(app, lanes[app], splits[app]) for app in ("backend", "frontend")}
    gateway = Stumbling(rows=world.memory.rows)
    world.memory = gateway
    with_ = tools(gateway, world.answers, world.clock)
    for way in ways.values():
        asyncio.run(take_back(way, HOLD, with_))
    gateway.only, gateway.left = "backend", 1000
    for app in ways:
        world.change(app, "green", weight=50)
    mended, halts = asyncio.run(guard(ways, HOLD, timedelta(seconds=15), with_))
    assert (mended, {app: halt.what for app, halt in halts.items()}) == (1, {"backend": "Kong stumbled."})
    assert world.splits()["frontend"].live == "blue"


def test_what_is_put_right_in_the_end_did_not_fail() -> None:
    world, gateway = stumbling(0, Unreachable)
    way = way_back("backend", world.lanes("green")["backend"], world.splits()["backend"])
    with_ = tools(gateway, world.answers, world.clock)
    asyncio.run(take_back(way, HOLD, with_))
    world.change("backend", "green", weight=50)
    gateway.left = TRIES
    assert asyncio.run(guard({"backend": way}, HOLD, timedelta(seconds=15), with_)) == (1, {})
