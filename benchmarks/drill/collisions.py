"""A collision: an update from blue to green, and a rollback by hand to blue that starts near one of its two writes.

Both are bluegreen's own, on their own connections to Kong's real HTTP. What is compared is the way back by hand with
its fence and its hold, and the same writes in the same order without them: raise, prove, lower, prove, and once more
where it meets somebody else. Left out in everybody's favour: the start of a program, and the guard of 15 s that would
put right later what went wrong.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from statistics import median

from benchmarks.flips.app import release
from benchmarks.flips.arena import OWNER, Arena
from benchmarks.flips.contenders import Silent
from bluegreen.gateway import Hold, Moved, Slot, Split
from bluegreen.handler import Halt
from bluegreen.kong.gateway import KongGateway
from bluegreen.rollout.breakglass import TRIES, take_back, way_back
from bluegreen.rollout.moves import carry_out
from bluegreen.rollout.plan import plan
from bluegreen.rollout.spec import Rollout
from bluegreen.rollout.step import Tools, set_weight
from bluegreen.spec import COLOURS, Colour

OURS, UNFENCED = "ours", "without fence and hold"
NEAR = 0.03  # seconds before or after a write of the update
EVERY = 5  # so many collisions for one of the other way, which takes seconds wherever it goes wrong
LEARNT = 5  # updates that nobody interferes with, to know when they write
DEADLINE = timedelta(minutes=1)

ByHand = Callable[[Arena, KongGateway], Awaitable[None]]


@dataclass(slots=True)
class Tally:
    """What one way back's collisions came to."""

    failed: list[int] = field(default_factory=list)
    astray: list[str] = field(default_factory=list)  # how it was at the end, where that was not as it must be
    seconds: list[float] = field(default_factory=list)  # from the start of the way back to its last proof
    requests: int = 0


class Watched(KongGateway):
    """The update's gateway, which remembers when it wrote."""

    began = 0.0

    async def put(self, upstream: str, slot: Slot, *, seen: Slot | None) -> None:
        self.writes.append(asyncio.get_running_loop().time() - self.began)
        await super().put(upstream, slot, seen=seen)

    def watch(self) -> None:
        self.began, self.writes = asyncio.get_running_loop().time(), list[float]()


async def fenced(arena: Arena, gateway: KongGateway) -> None:
    """`bluegreen rollback`: a hold on every row, and every row made anew."""
    hold = Hold("bench@here", datetime.now(UTC).replace(microsecond=0), "collision")
    way = way_back(arena.name, arena.lane("green"), await gateway.split(arena.name), to="blue")
    await take_back(way, hold, _tools(arena, gateway))


async def unfenced(arena: Arena, gateway: KongGateway) -> None:
    """The same order of writes on the rows as they are, with nothing that tells an update to stop."""
    for again in range(TRIES):
        slot = (await gateway.split(arena.name)).slots["blue"]
        goal = replace(slot, weight=100, move=None)
        try:
            await set_weight(arena.name, arena.name, goal, _tools(arena, gateway), returns=True)
        except Moved:
            if again == TRIES - 1:
                raise
        else:
            return


CONTENDERS: Mapping[str, ByHand] = {OURS: fenced, UNFENCED: unfenced}


async def collide(
    arena: Arena, watched: Watched, theirs: KongGateway, count: int, chance: random.Random, say: Callable[[str], None]
) -> dict[str, Tally]:
    """So many collisions of ours; at every fifth moment the other way back is tried as well."""
    tallies = {name: Tally() for name in CONTENDERS}
    moments = await _learnt(arena, watched)
    say(f"  an update raises {1000 * moments[0]:.0f} ms after its start, and lowers after {1000 * moments[1]:.0f} ms")
    for turn in range(count):
        after = max(0.0, chance.choice(moments) + chance.uniform(-NEAR, NEAR))
        for name, by_hand in CONTENDERS.items():
            if name != OURS and turn % EVERY:
                continue
            await _one(arena, watched, theirs, by_hand, after, tallies[name], held=name == OURS)
        if (turn + 1) % 20 == 0:
            say(f"  {'; '.join(_said(who, each) for who, each in tallies.items())}")
    return tallies


def _said(who: str, tally: Tally) -> str:
    return f"{who}, {len(tally.failed)} collisions: {sum(tally.failed)} failed, {len(tally.astray)} astray"


async def _learnt(arena: Arena, watched: Watched) -> Sequence[float]:
    """When an update writes: its raise and its lowering, in seconds after its start."""
    seen = []
    for _ in range(LEARNT):
        await reset(arena)
        watched.watch()
        await _update(arena, watched)
        seen.append(watched.writes)
    return [median(writes[number] for writes in seen) for number in (0, 1)]


async def _one(
    arena: Arena, watched: Watched, theirs: KongGateway, by_hand: ByHand, after: float, tally: Tally, *, held: bool
) -> None:
    await reset(arena)
    before, clock = await arena.counted(), asyncio.get_running_loop()
    watched.watch()
    update = asyncio.ensure_future(_update(arena, watched))
    await asyncio.sleep(after)
    began, wrong = clock.time(), ""
    try:
        await by_hand(arena, theirs)
        tally.seconds.append(clock.time() - began)
    except Halt as problem:
        wrong = problem.what
    await update
    split = await theirs.split(arena.name)
    if wrong := wrong or astray(split, held=held):
        tally.astray.append(wrong)
    await arena.in_force()
    counted = await arena.counted()
    tally.failed.append(counted.failed - before.failed)
    tally.requests += counted.requests - before.requests


async def _update(arena: Arena, gateway: KongGateway) -> None:
    """An update that wants green, however it ends."""
    tools = _tools(arena, gateway)
    try:
        actual = {arena.name: await gateway.split(arena.name)}
        move = plan({arena.name: arena.lane("green")}, Rollout(), actual, (), tools.ctx.now(), mine=tools.id)
        await carry_out(move, tools)
    except Halt:
        return


def astray(split: Split, *, held: bool) -> str:
    """What is otherwise than whoever took everything back to blue has to find; empty when it is so."""
    weights = {colour: slot.weight for colour, slot in split.slots.items()}
    if weights != {"blue": 100, "green": 0}:
        return f"it ended with {weights}"
    if any(slot.move for slot in split.slots.values()):
        return "a mark is left"
    if held and not all(slot.hold for slot in split.slots.values()):
        return "a row is not held"
    return ""


async def reset(arena: Arena) -> None:
    """Blue live, green beside it, no mark and no hold; in force. Raised before it is lowered."""
    for colour in COLOURS:
        body = {"target": arena.addresses[colour], "weight": 100 if colour == "blue" else 0, "tags": _tags(colour)}
        found = {str(row["target"]): row for row in await arena.kong.targets(arena.name) or ()}
        row = found.get(arena.addresses[colour])
        if row is None:
            await arena.kong.target_create(arena.name, body)
        else:
            await arena.kong.target_update(arena.name, str(row["id"]), body)
    await arena.in_force()


def _tags(colour: Colour) -> list[str]:
    return [f"owner:{OWNER}", f"colour:{colour}", f"release:{release(colour)}", f"proven:{release(colour)}"]


def _tools(arena: Arena, gateway: KongGateway) -> Tools:
    return Tools(OWNER, token_hex(4), arena.nodes, DEADLINE, gateway, arena.prober.release, Silent())
