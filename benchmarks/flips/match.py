"""The match: everybody changes the same upstream's weights in turn, under the same load, and is counted alone.

A change is over when it is in force on every worker and each connection has had one more answer; only then does the
next one begin, so every failed request belongs to the one who caused it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from benchmarks.flips.arena import Arena
from benchmarks.flips.contenders import Change
from benchmarks.result import Goal, Result
from bluegreen.spec import Colour

OURS = "ours"
OTHER: Mapping[Colour, Colour] = {"blue": "green", "green": "blue"}


@dataclass(slots=True)
class Tally:
    """What one contender's changes cost."""

    failed: list[int] = field(default_factory=list)
    stale: list[int] = field(default_factory=list)
    requests: int = 0
    seconds: list[float] = field(default_factory=list)  # from the first write until it was in force everywhere


async def play(
    arena: Arena,
    contenders: Mapping[str, Change],
    *,
    changes: int,
    steps: Sequence[int],
    say: Callable[[str], None],
) -> dict[str, Tally]:
    """So many changes by each contender, taking turns; a turn moves all traffic to the other colour in these steps."""
    tallies = {name: Tally() for name in contenders}
    turns = 0
    goal: Colour = "green"
    while any(len(tally.failed) < changes for tally in tallies.values()):
        for name, change in contenders.items():
            for weight in steps:
                await _count(arena, change, {goal: weight, OTHER[goal]: 100 - weight}, goal, tallies[name])
            goal = OTHER[goal]
        turns += 1
        say(f"  turn {turns}: " + ", ".join(_said(name, tally) for name, tally in tallies.items()))
    return tallies


async def _count(arena: Arena, change: Change, wanted: Mapping[Colour, int], goal: Colour, tally: Tally) -> None:
    await arena.expects(None)
    before = await arena.counted()
    clock = asyncio.get_running_loop()
    began = clock.time()
    proved = await change(arena, wanted, goal)
    await arena.expects(goal if wanted[goal] == 100 else None)
    await arena.in_force()
    tally.seconds.append(clock.time() - began if proved is None else proved)
    after = await arena.counted()
    tally.failed.append(after.failed - before.failed)
    tally.stale.append(after.stale - before.stale)
    tally.requests += after.requests - before.requests


def figures(row: str, tallies: Mapping[str, Tally], what: str) -> list[Result]:
    """The match in figures; `what` names the changes, as in `20 flips`."""
    failed = {name: [float(count) for count in tally.failed] for name, tally in tallies.items()}
    stale = {name: [float(count) for count in tally.stale] for name, tally in tallies.items()}
    took = {name: [1000 * seconds for seconds in tally.seconds] for name, tally in tallies.items()}
    sent = {name: [float(tally.requests)] for name, tally in tallies.items()}
    repetitions = len(tallies[OURS].failed)
    return [
        _figure(row, f"failed requests in {what}", "requests", failed, sum, Goal(0)),
        _figure(row, f"stale answers in {what}", "answers", stale, sum, Goal(0)),
        _figure(row, "from its first call to in force, median", "ms", took, median),
        replace(
            _figure(row, f"requests sent during {what}", "requests", sent, sum),
            compared=False,
            repetitions=repetitions,
            spread={},
        ),
    ]


def _figure(
    row: str,
    metric: str,
    unit: str,
    measured: Mapping[str, Sequence[float]],
    of: Callable[[Sequence[float]], float],
    goal: Goal | None = None,
) -> Result:
    values = {name: round(of(counts), 2) for name, counts in measured.items()}
    spread = {name: (round(min(counts), 2), round(max(counts), 2)) for name, counts in measured.items()}
    mine = values.pop(OURS)
    return Result(row, metric, unit, mine, values, goal, len(measured[OURS]), spread)


def _said(name: str, tally: Tally) -> str:
    return f"{name} {sum(tally.failed)} failed"
