"""The drill's row: two writers really meet, and whatever goes wrong with either way back is counted."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.drill.collisions import OURS, UNFENCED, Tally, Watched, astray, collide
from benchmarks.drill.rows import figures
from benchmarks.flips.arena import Place, arena
from bluegreen.gateway import Hold, MoveTag, Slot, Split
from bluegreen.http import Client
from bluegreen.kong.api import Kong
from bluegreen.kong.gateway import KongGateway
from tests.kong_room import room
from tests.memory import START

HOLD = Hold("ann@laptop", START, "logins fail")
SPLIT = Split("api", {"blue": Slot("blue", "b:1", 100, hold=HOLD), "green": Slot("green", "g:1", 0, hold=HOLD)})
QUICK: Mapping[str, Any] = {"worker_state_update_frequency": 0.05, "db_update_frequency": 0.05}


def test_an_update_and_a_rollback_by_hand_collide_and_no_request_fails() -> None:
    async def run() -> dict[str, Tally]:
        async with room(**QUICK) as here:
            place = Place(f"http://127.0.0.1:{here.kong.admin_port}", f"http://127.0.0.1:{here.kong.proxy_port}", 1)
            async with arena(place, 2) as there, Client("Kong's Admin API", place.admin) as line:
                watched, theirs = Watched(there.kong), KongGateway(Kong(line))
                return await collide(there, watched, theirs, 4, random.Random(1), lambda text: None)

    tallies = asyncio.run(run())
    ours = tallies[OURS]
    assert (ours.failed, ours.astray, len(ours.seconds)) == ([0] * 4, [], 4)
    assert (len(tallies[UNFENCED].failed), ours.requests > 0) == (1, True)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"blue": {"weight": 0}}, "it ended with {'blue': 0, 'green': 0}"),
        ({"green": {"weight": 100}}, "it ended with {'blue': 100, 'green': 100}"),
        ({"green": {"hold": None}}, "a row is not held"),
        ({"blue": {"move": MoveTag("1a2b3c4d", "blue", START)}}, "a mark is left"),
    ],
)
def test_how_a_collision_has_to_end(changed: Mapping[str, Mapping[str, Any]], said: str) -> None:
    slots = {colour: replace(slot, **changed.get(colour, {})) for colour, slot in SPLIT.slots.items()}
    assert astray(replace(SPLIT, slots=slots), held=True) == said


def test_the_figures_count_failures_collisions_and_ends() -> None:
    tallies = {
        OURS: Tally([0, 0], [], [0.1, 0.3], 40),
        UNFENCED: Tally([7, 0], ["it ended with {'blue': 0, 'green': 0}"], [0.2], 50),
    }
    shown = [(each.ours, each.peers[UNFENCED], each.met) for each in figures(tallies)]
    assert shown == [(0, 3.5, True), (0, 50, True), (0, 50, True), (200, 200, None), (40, 50, None)]
