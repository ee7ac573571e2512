"""The rows about traffic that moves: flips, flips on two nodes, shifts in steps.

One node runs with Kong's default timers. With two, the second hears of a write when it polls, at most 5 s later, and
about half of the load's connections are its.
"""

import asyncio
import contextlib
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks.flips.arena import Place, arena, stand_in
from benchmarks.flips.contenders import PEERS, Change, ours, ours_in_steps
from benchmarks.flips.match import OURS, figures, play
from benchmarks.result import Result
from benchmarks.row import NotMeasured, Wanted
from bluegreen.handler import Halt

STEPS = (5, 25, 50, 100)


@dataclass(frozen=True, slots=True)
class Match:
    """What one row plays: so many changes of weights by everybody, a turn being a whole way to the other colour."""

    row: str
    ours: Change
    nodes: int
    changes: int
    steps: Sequence[int]
    called: str


def flips(wanted: Wanted) -> Sequence[Result]:
    """Everything from one colour to the other at once."""
    return _played(wanted, Match("flips", ours, wanted.nodes, wanted.flips, (100,), "flips"))


def flips_on_two_nodes(wanted: Wanted) -> Sequence[Result]:
    """The same, where a change reaches the second node late."""
    if wanted.admin is not None and wanted.nodes < 2:
        raise NotMeasured(
            "This Kong has one node, as far as was said. What the file holds of this row stays. "
            "Name a cluster with --kong-nodes, or leave out --kong-admin and --kong-proxy."
        )
    return _played(wanted, Match("flips-nodes", ours, max(wanted.nodes, 2), wanted.flips, (100,), "flips"))


def shifts_in_steps(wanted: Wanted) -> Sequence[Result]:
    """Everything from one colour to the other, step by step; about as many changes of weights as there are flips."""
    changes = math.ceil(wanted.flips / len(STEPS)) * len(STEPS)
    return _played(wanted, Match("flips-steps", ours_in_steps, wanted.nodes, changes, STEPS, "steps"))


def _played(wanted: Wanted, match: Match) -> Sequence[Result]:
    place: AbstractContextManager[Place] = stand_in(nodes=match.nodes)
    if wanted.admin is not None and wanted.proxy is not None:
        place = contextlib.nullcontext(Place(wanted.admin, wanted.proxy, match.nodes))
    with place as found:
        try:
            return asyncio.run(_on(found, wanted, match))
        except Halt as problem:
            said = " ".join(filter(None, (problem.what, problem.world, problem.next)))
            raise NotMeasured(f"{said} Nothing of this row was written.") from problem


async def _on(place: Place, wanted: Wanted, match: Match) -> Sequence[Result]:
    contenders = {OURS: match.ours, **PEERS}
    async with arena(place) as here:
        tallies = await play(here, contenders, changes=match.changes, steps=match.steps, say=wanted.say)
        reasons = (await here.counted()).reasons
    wanted.say("  what failed: " + (", ".join(f"{why} {count}" for why, count in reasons.items()) or "nothing"))
    return figures(match.row, tallies, f"{match.changes} {match.called}")
