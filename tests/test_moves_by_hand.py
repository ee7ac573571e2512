"""A way back by hand against an update that writes at the same moment: what is overwritten is written again."""

import asyncio
from datetime import timedelta

import pytest

from bluegreen.gateway import Proof, Split, Unproven
from bluegreen.handler import Halt
from bluegreen.rollout.breakglass import take_back, way_back
from bluegreen.spec import COLOURS
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
