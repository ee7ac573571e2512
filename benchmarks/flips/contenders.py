"""Who moves the traffic: bluegreen, and four other ways, each making the writes that its kind of tool makes.

All make them through the same HTTP client, which keeps its connections, so that only what is written and in which
order differs; none pays for starting a program. What the peers stand for:

- `lower-first`: a script of two curl lines, the old colour to 0, then the new one up.
- `delete-and-recreate`: terraform-provider-kong and its bridge pulumi-kong, where a target's weight is ForceNew, so
  both targets are deleted and made again, two independent chains side by side.
- `put-everything`: a declarative apply without a diff, PUT of the upstream and of every target, in the file's order.
- `parallel`: decK, which writes only what differs, all targets of one level at once, in no order.

None of them looks whether a write is in force. Deliberately not here: the tools themselves; their start, their reading
of the whole gateway and their plans would only add time to theirs.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from benchmarks.flips.app import release
from benchmarks.flips.arena import OWNER, Arena
from bluegreen.gateway import Slot, Split
from bluegreen.kong.gateway import KongGateway
from bluegreen.rollout.moves import carry_out
from bluegreen.rollout.plan import plan
from bluegreen.rollout.spec import Rollout
from bluegreen.rollout.step import Tools, set_weight
from bluegreen.spec import COLOURS, Colour

Weights = Mapping[Colour, int]
# Makes the weights so; the seconds from the first write to its own proof, or None when it proves nothing.
Change = Callable[[Arena, Weights, Colour], Awaitable[float | None]]


@dataclass
class Silent:
    """bluegreen's context on real time, without a screen."""

    cancelled: bool = False
    orphaned: bool = False
    deadline: datetime | None = None

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def milestone(self, text: str) -> None:
        return None

    async def status(self, text: str) -> None:
        return None


async def ours(arena: Arena, wanted: Weights, goal: Colour) -> float:
    """A whole move, as an update makes it: ask the candidate, raise, prove, lower, prove, ask again, take the mark off.

    Its time runs from its first look at the rows, not from the first write, to the last weight's proof.
    """
    tools = _tools(arena)
    lanes, actual = {arena.name: arena.lane(goal)}, {arena.name: await arena.gateway.split(arena.name)}
    done = await carry_out(plan(lanes, Rollout(), actual, (), tools.ctx.now(), mine=tools.id), tools)
    return (done[-1].finished - done[-1].started).total_seconds()


async def ours_in_steps(arena: Arena, wanted: Weights, goal: Colour) -> float:
    """One step: raise, prove, lower, prove. The last one is rollout's own `set_weight`, which knows only 100 %; the
    ones before it make the same calls of the same gateway in the same order."""
    gateway, began = KongGateway(arena.kong), asyncio.get_running_loop().time()
    split = await gateway.split(arena.name)
    if wanted[goal] == 100:
        slot = Slot(goal, arena.addresses[goal], 100, owner=OWNER, release=release(goal))
        await set_weight(arena.name, arena.name, slot, _tools(arena), returns=False)
    else:
        within = await gateway.budget()
        for colour in sorted(COLOURS, key=lambda colour: colour != goal):  # raise the goal, then lower the other
            slot = split.slots[colour]
            await gateway.put(arena.name, replace(slot, weight=wanted[colour]), seen=slot)
            now = await gateway.split(arena.name)
            await gateway.prove(Split(arena.name, now.slots), within=within, nodes=arena.nodes)
    return asyncio.get_running_loop().time() - began


async def lower_first(arena: Arena, wanted: Weights, goal: Colour) -> None:
    rows = await arena.rows()
    for colour in sorted(COLOURS, key=lambda colour: colour == goal):
        path = f"/upstreams/{arena.name}/targets/{rows[colour]['id']}"
        await arena.admin.write("PATCH", path, {"weight": wanted[colour]})


async def delete_and_recreate(arena: Arena, wanted: Weights, goal: Colour) -> None:
    rows, path = await arena.rows(), f"/upstreams/{arena.name}/targets"

    async def replaced(colour: Colour) -> None:
        row = rows[colour]
        await arena.admin.write("DELETE", f"{path}/{row['id']}")
        body = {"target": row["target"], "weight": wanted[colour], "tags": row["tags"]}
        await arena.admin.write("POST", path, body)

    await asyncio.gather(*(replaced(colour) for colour in COLOURS))


async def put_everything(arena: Arena, wanted: Weights, goal: Colour) -> None:
    rows, path = await arena.rows(), f"/upstreams/{arena.name}"
    await arena.admin.write("PUT", path, {"tags": [f"owner:{OWNER}"]})
    for colour in COLOURS:  # the file's order, whichever is to be raised
        await arena.admin.write(
            "PUT", f"{path}/targets/{rows[colour]['id']}", _whole(arena, rows[colour], wanted, colour)
        )


async def parallel(arena: Arena, wanted: Weights, goal: Colour) -> None:
    rows, path = await arena.rows(), f"/upstreams/{arena.name}/targets"
    await asyncio.gather(
        *(
            arena.admin.write("PUT", f"{path}/{rows[colour]['id']}", _whole(arena, rows[colour], wanted, colour))
            for colour in COLOURS
        )
    )


PEERS: Mapping[str, Change] = {
    "lower-first": lower_first,
    "delete-and-recreate": delete_and_recreate,
    "put-everything": put_everything,
    "parallel": parallel,
}


def _whole(arena: Arena, row: Mapping[str, object], wanted: Weights, colour: Colour) -> dict[str, object]:
    return {"target": arena.addresses[colour], "weight": wanted[colour], "tags": row["tags"]}


def _tools(arena: Arena) -> Tools:
    id, patience = secrets.token_hex(4), timedelta(minutes=10)
    # A gateway of its own, as every update has: its first proof looks longer than the ones after it.
    return Tools(OWNER, id, arena.nodes, patience, KongGateway(arena.kong), arena.prober.release, Silent())
