"""The row about two writers: how often a request fails, or traffic ends elsewhere, where an update meets a rollback."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from statistics import mean, median

from benchmarks.drill.collisions import OURS, Tally, Watched, collide
from benchmarks.flips.arena import Place, arena, stand_in
from benchmarks.result import Goal, Result
from benchmarks.row import NotMeasured, Wanted
from bluegreen.handler import Halt
from bluegreen.http import Client
from bluegreen.kong.api import Kong
from bluegreen.kong.gateway import KongGateway

ROW = "drill"
CONNECTIONS = 4
# Where a proof fails it waits for as long as these say; whether one fails does not depend on them.
TIMERS = ("--worker-state-update-frequency", "0.1", "--db-update-frequency", "0.1")
EACH = 10  # collisions for every flip that is asked for: 200 by default
SEED = 7


def drill(wanted: Wanted) -> Sequence[Result]:
    """An update and a rollback by hand at once, again and again."""
    place: AbstractContextManager[Place] = stand_in(nodes=wanted.nodes, timers=TIMERS)
    if wanted.admin is not None and wanted.proxy is not None:
        place = contextlib.nullcontext(Place(wanted.admin, wanted.proxy, wanted.nodes))
    with place as found:
        try:
            return figures(asyncio.run(collisions(found, EACH * wanted.flips, wanted.say)))
        except Halt as problem:
            said = " ".join(filter(None, (problem.what, problem.world, problem.next)))
            raise NotMeasured(f"{said} Nothing of this row was written.") from problem


async def collisions(place: Place, count: int, say: Callable[[str], None]) -> dict[str, Tally]:
    """So many of them on this gateway, under load; update and rollback have connections of their own."""
    chance = random.Random(SEED)
    async with arena(place, CONNECTIONS) as here, Client("Kong's Admin API", place.admin) as line:
        tallies = await collide(here, Watched(here.kong), KongGateway(Kong(line)), count, chance, say)
        reasons = (await here.counted()).reasons
    say("  what failed: " + (", ".join(f"{why} {times}" for why, times in reasons.items()) or "nothing"))
    for name, tally in tallies.items():
        ends = {end: tally.astray.count(end) for end in dict.fromkeys(tally.astray)}
        say(f"  {name}: " + ("; ".join(f"{end} ({times})" for end, times in ends.items()) or "always as it must be"))
    return tallies


def figures(tallies: Mapping[str, Tally]) -> list[Result]:
    """The collisions in figures. The other way back had fewer, so sums are told by collision."""
    count = len(tallies[OURS].failed)
    failed = {name: [float(each) for each in tally.failed] for name, tally in tallies.items()}
    hit = {name: _percent(sum(map(bool, tally.failed)), tally) for name, tally in tallies.items()}
    astray = {name: _percent(len(tally.astray), tally) for name, tally in tallies.items()}
    took = {name: [1000 * each for each in tally.seconds] for name, tally in tallies.items()}
    requests = {name: float(tally.requests) for name, tally in tallies.items()}
    others = {name: len(tally.failed) for name, tally in tallies.items() if name != OURS}
    tried = ", ".join(f"{name}: {times}" for name, times in others.items())
    return [
        _of_all(f"failed requests a collision, mean of {count} ({tried})", "requests", failed, mean, Goal(0)),
        _told("collisions in which a request failed", "%", hit, count, Goal(0)),
        _told("collisions that ended elsewhere than 100/0 on the colour gone back to", "%", astray, count, Goal(0)),
        _of_all("rollback by hand against an update, first look to last proof, median", "ms", took, median),
        replace(_told("requests sent meanwhile", "requests", requests, count), compared=False),
    ]


def _percent(part: int, tally: Tally) -> float:
    return round(100 * part / len(tally.failed), 2)


def _told(metric: str, unit: str, values: dict[str, float], count: int, goal: Goal | None = None) -> Result:
    return Result(ROW, metric, unit, values.pop(OURS), values, goal, count)


def _of_all(
    metric: str,
    unit: str,
    measured: Mapping[str, Sequence[float]],
    of: Callable[[Sequence[float]], float],
    goal: Goal | None = None,
) -> Result:
    values = {name: round(of(each), 2) for name, each in measured.items() if each}
    spread = {name: (round(min(each), 2), round(max(each), 2)) for name, each in measured.items() if each}
    return Result(ROW, metric, unit, values.pop(OURS), values, goal, len(measured[OURS]), spread)
