"""Ways back: of a move that went wrong, and of one that nobody finishes any more.

Traffic goes back to where it was, last app first; not to a colour that is not well, not from whoever has taken an app
into his own hands, and never upward on a release that has yet to prove itself.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import dropwhile

from bluegreen.gateway import Slot, Split
from bluegreen.handler import Halt, Refused
from bluegreen.http import ApiError
from bluegreen.rollout.analyse import Unfit
from bluegreen.rollout.candidate import Asked, answers
from bluegreen.rollout.endings import Begun, Stopped, our_own, seal, stopped
from bluegreen.rollout.plan import Ended, Leg
from bluegreen.rollout.spec import Done
from bluegreen.rollout.stages import Weigh
from bluegreen.rollout.step import Tools, set_weight

STEADY = 5.0  # seconds in which the colour of an unfinished move's origin has to answer
WELL = 2.0  # seconds for the same, while users wait for the way back


async def end(ended: Ended, tools: Tools, onward: Collection[str]) -> bool:
    """A move that nobody finishes any more goes where it belongs; False where nobody is well there, and it stays.

    Raises:
        Refused: nobody is well there, and nothing is to go on from here either.
    """
    split = await tools.gateway.split(ended.upstream)
    origin = split.slots.get(ended.origin) or Slot(ended.origin, ended.address, 0, owner=tools.owner)
    if set(split.carrying) - {ended.origin} and origin.release is not None:
        on = " and ".join(split.carrying)
        try:
            seen = await answers(
                ended.app, ended.origin, origin.release, ended.probe, tools, STEADY, unmarked=ended.unmarked
            )
        except Asked as problem:
            raise Refused(problem.what, world=f"Traffic stays on {on}.", next=problem.next) from problem
        if seen:
            what = f"{ended.app}: an unfinished move cannot go back to {ended.origin}, which is not well: {seen}."
            if ended.app in onward:
                await tools.ctx.milestone(f"{what} It goes on from where it is.")
                return False
            next_ = f"Bring {ended.app}-{ended.origin} back, or name the other colour live."
            raise Refused(what, world=f"Traffic stays on {on}.", next=next_)
    raised = replace(origin, weight=100, move=tools.mark(ended.origin))
    said = await set_weight(ended.app, ended.upstream, raised, tools, returns=True, fences=True)
    await seal(ended.upstream, ended.origin, tools)
    text = f"{ended.app}: an unfinished move is taken back to {ended.origin}, {said}"
    tools.say(text, ended.app)
    await tools.ctx.milestone(text)
    return True


async def from_here(leg: Leg, tools: Tools) -> Leg:
    """What is left of a leg whose origin is not well: no stage that would send anybody back there."""
    there = (await tools.gateway.split(leg.lane.upstream)).slots.get(leg.goal)
    share = there.weight if there is not None else 0
    left = dropwhile(lambda stage: not (isinstance(stage, Weigh) and stage.weight >= share), leg.stages)
    return replace(leg, stages=tuple(left))


async def back(
    problem: Halt, begun: Sequence[Begun], tools: Tools, taken: Leg | None = None, before: Sequence[Done] = ()
) -> Stopped:
    """Everything that moved goes back, last first, except what somebody else has taken; the answer is what to tell."""
    guilty = problem.guilty if isinstance(problem, Unfit) else frozenset()
    tools.say(f"It goes back: {problem.what}")
    said: list[str] = [problem.world] if taken is not None else []
    failed = False
    for leg, _ in reversed(begun):
        if leg is taken:
            said.append(f"{leg.app} is left to whoever moves it.")
            continue
        try:
            said.append(await _return(leg, tools, rejects=leg.app in guilty))
        except Exception as fault:
            worse = fault if isinstance(fault, Halt) else our_own(fault)
            failed = True
            said.append(f"{leg.app} could not be taken back: {worse.what} {worse.world}".rstrip())
    next_ = "Run bluegreen recover, then pulumi up again." if failed else None
    world = " ".join(filter(None, said)) or problem.world or "No traffic moved."
    return stopped(problem, begun, tools, guilty, world, next_, before=before)


async def _return(leg: Leg, tools: Tools, *, rejects: bool) -> str:
    """One leg undone; what to say about it. One that never carried anything stays as it is, but for the verdict."""
    split = await tools.gateway.split(leg.lane.upstream)
    if split.hold is not None:
        return f"{leg.app} is left as it is, {split.hold}."
    goal = split.slots.get(leg.goal)
    if leg.origin is not None and split.live == leg.origin and (goal is None or goal.move is None):
        if rejects and goal is not None and goal.release == leg.lane.release:
            await tools.gateway.put(leg.lane.upstream, replace(goal, rejected=True), seen=goal)
        return f"{leg.app} stays on {leg.origin}."
    held = split.slots.get(leg.origin) if leg.origin is not None else None
    if held is None or held.colour == leg.goal:
        return f"{leg.app} stays on {leg.goal}, where it was."
    if seen := await _unwell(leg, held, tools):
        raise Refused(
            f"{held.colour} is not well: {seen}.",
            world=f"{leg.app} stays on {_shares(split)}.",
            next=f"Bring {leg.app}-{held.colour} back, then run bluegreen recover.",
        )
    origin = replace(held, weight=100, move=tools.mark(held.colour))
    said = await set_weight(leg.app, leg.lane.upstream, origin, tools, returns=True, rejects=rejects)
    await seal(leg.lane.upstream, held.colour, tools)
    await tools.ctx.milestone(f"{leg.app}: back on {held.colour}, {said}")
    return f"{leg.app} is back on {held.colour}, {said}."


async def _unwell(leg: Leg, origin: Slot, tools: Tools) -> str:
    """Why nobody should be sent back there; empty where it answers as its release, or cannot be asked."""
    if origin.release is None:
        return ""
    try:
        lane = leg.lane
        return await answers(
            leg.app, origin.colour, origin.release, lane.probe, tools, WELL, stoppable=False, unmarked=lane.unmarked
        )
    except ApiError:
        return ""


def _shares(split: Split) -> str:
    return " / ".join(f"{colour} {slot.weight} %" for colour, slot in split.slots.items())
