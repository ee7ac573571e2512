"""How a move ends, whichever way: its marks taken off, its hold let go, what history keeps of it, what is told.

It deliberately moves no weight.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from bluegreen.gateway import Moved
from bluegreen.handler import Halt
from bluegreen.rollout.candidate import Asked
from bluegreen.rollout.plan import Leg
from bluegreen.rollout.spec import Done, Verdict
from bluegreen.rollout.step import Tools
from bluegreen.spec import Colour

KEPT = 20  # moves that state remembers, of each app
Begun = tuple[Leg, datetime]  # and when


class Stopped(Halt):
    """A move that did not arrive; `done` is what history keeps of it, `cancelled` whether somebody asked for it."""

    def __init__(self, what: str, *, world: str, next: str, done: Sequence[Done], cancelled: bool = False) -> None:
        super().__init__(what, world=world, next=next)
        self.done = tuple(done)
        self.cancelled = cancelled


def our_own(fault: Exception) -> Halt:
    """A fault of this program ends a move as everything else does: traffic goes back. What it says is left out."""
    return Halt(
        f"The move met a fault of bluegreen itself: {type(fault).__name__}.",
        world="",
        next="Report it with the provider's log, then run pulumi up again.",
    )


async def seal(upstream: str, goal: Colour, tools: Tools) -> None:
    """The move is over: its mark goes; the time it went live stays, and that it did."""
    split = await tools.gateway.split(upstream)
    slot = split.slots.get(goal)
    if slot is None or slot.weight != 100 or split.live != goal:
        raise Moved(
            f"{upstream}: {goal} no longer carries all the traffic; somebody else is writing.",
            world="Its weights were left as they are.",
        )
    since = tools.ctx.now().replace(microsecond=0)
    sealed = replace(slot, move=None, approved=None, rejected=False, proven=True, since=since)
    await tools.gateway.put(upstream, sealed, seen=slot)


async def release(app: str, upstream: str, tools: Tools) -> tuple[Done, ...]:
    """The config agrees with what somebody held: the hold goes, the weights stay. What was done, for history."""
    split = await tools.gateway.split(upstream)
    hold = split.hold
    for slot in split.slots.values():
        if slot.hold is not None:
            await tools.gateway.put(upstream, replace(slot, hold=None), seen=slot)
    text = f"{app}: no longer {hold}"
    await tools.ctx.milestone(text)
    tools.event("hold-released", text, app)
    tools.say(text, app)
    live = split.slots.get(split.live) if split.live is not None else None
    if hold is None or live is None or live.release is None:
        return ()
    other = next((slot for slot in split.slots.values() if slot is not live), None)
    by_hand = Done(
        app=app,
        kind="rollback",
        verdict="passed",
        origin=other.colour if other else None,
        goal=live.colour,
        origin_release=other.release if other else None,
        release=live.release,
        started=hold.at,
        finished=hold.at,
        said=f"by hand, {hold.by}: {hold.reason}",
    )
    return (by_hand,)


def stopped(
    problem: Halt,
    begun: Sequence[Begun],
    tools: Tools,
    guilty: frozenset[str],
    world: str,
    next: str | None = None,
    *,
    before: Sequence[Done] = (),
) -> Stopped:
    """What a move says that did not arrive; `before` is what was done by hand before it, for history."""
    now = tools.ctx.now()
    verdicts: dict[bool, Verdict] = {True: "rejected", False: "stopped"}
    done = [done_of(leg, verdicts[leg.app in guilty], started, now, problem.what) for leg, started in begun]
    cancelled = isinstance(problem, Asked)
    return Stopped(
        problem.what, world=world, next=next or problem.next, done=kept((*before, *done)), cancelled=cancelled
    )


def kept(done: Sequence[Done]) -> tuple[Done, ...]:
    """What history keeps: putting a weight right is no move."""
    return tuple(entry for entry in done if entry.kind != "repair")


def recent(history: Sequence[Done]) -> tuple[Done, ...]:
    """The last moves of each app, in their order."""
    left: Counter[str] = Counter()
    found: list[Done] = []
    for done in reversed(history):
        left[done.app] += 1
        if left[done.app] <= KEPT:
            found.append(done)
    return tuple(reversed(found))


def done_of(leg: Leg, verdict: Verdict, started: datetime, finished: datetime, said: str) -> Done:
    return Done(
        app=leg.app,
        kind=leg.kind,
        verdict=verdict,
        origin=leg.origin,
        goal=leg.goal,
        origin_release=leg.origin_release,
        release=leg.lane.release,
        started=started,
        finished=finished,
        said=said,
        retried=leg.retried,
    )
