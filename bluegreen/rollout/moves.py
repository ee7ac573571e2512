"""How a move is carried out: ask the candidates, one step per app, ask again; or take it all back.

Every raising write carries the mark of its move, and the marks go only when every app has arrived: whoever comes after
a killed deployer knows where traffic belongs, for all apps alike. It deliberately decides nothing: what moves and
where is `plan`'s word.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from bluegreen.gateway import Moved, Slot
from bluegreen.handler import Halt, Refused
from bluegreen.rollout.candidate import Asked, answers, go_on
from bluegreen.rollout.plan import Ended, Leg, Move
from bluegreen.rollout.spec import Done, Verdict
from bluegreen.rollout.step import Tools, set_weight
from bluegreen.spec import Colour

READY = 20.0  # seconds a candidate has to answer before anything moves: a Kong router lags up to 5 s
STEADY = 5.0  # seconds it has to answer again once it carries traffic

Begun = tuple[Leg, datetime]  # and when


class Stopped(Halt):
    """A move that did not arrive; `done` is what history keeps of it, `cancelled` whether somebody asked for it."""

    def __init__(self, what: str, *, world: str, next: str, done: Sequence[Done], cancelled: bool = False) -> None:
        super().__init__(what, world=world, next=next)
        self.done = tuple(done)
        self.cancelled = cancelled


class Unsteady(Halt):
    """The candidate did not answer as itself once it carried traffic: its release is to blame."""


async def carry_out(move: Move, tools: Tools) -> tuple[Done, ...]:
    """Everything the move says, in its order; what it did, for history.

    Raises:
        Refused: a colour does not answer as the release it should be; no traffic went to it.
        Stopped: it went wrong on the way; traffic is back where it was, or the text says where it is.
    """
    onward = {leg.app for leg in move.legs if leg.origin != leg.goal}
    for ended in move.ended:
        await _take_back(ended, tools, onward)
    for leg in move.legs:
        await _ready(leg, tools)
    done: list[Done] = []
    begun: list[Begun] = []
    try:
        for leg in move.legs:
            go_on(tools)
            begun.append((leg, tools.ctx.now()))
            done.append(await _carry(leg, tools))
    except Halt as problem:
        if tools.ctx.orphaned:
            world = "Traffic stays as it is; its mark tells the way back."
            raise _stopped(problem, begun, tools, "stopped", world) from problem
        taken = begun[-1][0] if isinstance(problem, Moved) else None
        raise await _back(problem, begun, tools, taken=taken) from problem
    await _finish(move, done, tools)
    return _kept(done)


async def _carry(leg: Leg, tools: Tools) -> Done:
    """One app's leg, from its raise to its last proof; its mark stays on."""
    started = tools.ctx.now()
    upstream, goal = leg.lane.upstream, leg.goal
    # A way back that nobody finishes is finished by whoever comes next; a way forward is taken back.
    belongs = goal if leg.kind == "rollback" else leg.origin
    slot = Slot(
        goal, leg.lane.addresses[goal], 100, owner=tools.owner, release=leg.lane.release, move=tools.mark(belongs)
    )
    said = await set_weight(leg.app, upstream, slot, tools, returns=leg.kind == "rollback")
    finished = tools.ctx.now()
    await tools.ctx.milestone(f"{leg.app}: {goal} 100 %, {said}")
    go_on(tools)
    if leg.origin is not None:
        await _steady(leg, tools)
    return _done(leg, "passed", started, finished, said)


async def _finish(move: Move, done: Sequence[Done], tools: Tools) -> None:
    """Every app has arrived: the marks go, and what no longer exists goes."""
    try:
        for leg in move.legs:
            await _seal(leg.lane.upstream, leg.goal, tools)
        for _, upstream, colour in move.leftover:
            slot = (await tools.gateway.split(upstream)).slots.get(colour)
            if slot is not None and slot.weight == 0:
                await tools.gateway.drop(upstream, slot)
    except Halt as problem:
        world = "Every app has arrived where it was to go; a mark or an unused target is left."
        raise Stopped(problem.what, world=world, next="Run pulumi up again.", done=_kept(done)) from problem


async def _seal(upstream: str, goal: Colour, tools: Tools) -> None:
    """The move is over: its mark goes, the time it went live stays."""
    split = await tools.gateway.split(upstream)
    slot = split.slots.get(goal)
    if slot is None or slot.weight != 100 or split.live != goal:
        raise Moved(
            f"{upstream}: {goal} no longer carries all the traffic; somebody else is writing.",
            world="Its weights were left as they are.",
        )
    sealed = replace(slot, move=None, since=tools.ctx.now().replace(microsecond=0))
    await tools.gateway.put(upstream, sealed, seen=slot)


async def _take_back(ended: Ended, tools: Tools, onward: Collection[str]) -> None:
    """A move that nobody finishes any more goes where it belongs, unless nobody is well there."""
    split = await tools.gateway.split(ended.upstream)
    origin = split.slots[ended.origin]
    if set(split.carrying) - {ended.origin} and origin.release is not None:
        seen = await answers(ended.app, ended.origin, origin.release, ended.probe, tools, STEADY)
        if seen:
            what = f"{ended.app}: an unfinished move cannot go back to {ended.origin}, which is not well: {seen}."
            if ended.app in onward:
                await tools.ctx.milestone(f"{what} It starts again from where it is.")
                return
            on = " and ".join(split.carrying)
            next_ = f"Bring {ended.app}-{ended.origin} back, or name the other colour live."
            raise Refused(what, world=f"Traffic stays on {on}.", next=next_)
    raised = replace(origin, weight=100, move=tools.mark(ended.origin))
    said = await set_weight(ended.app, ended.upstream, raised, tools, returns=True, fences=True)
    await _seal(ended.upstream, ended.origin, tools)
    await tools.ctx.milestone(f"{ended.app}: an unfinished move is taken back to {ended.origin}, {said}")


async def _back(problem: Halt, begun: Sequence[Begun], tools: Tools, taken: Leg | None = None) -> Stopped:
    """Everything that moved goes back, last first, except what somebody else has taken; the answer is what to tell."""
    verdict: Verdict = "rejected" if isinstance(problem, Unsteady) else "stopped"
    said: list[str] = [problem.world] if taken is not None else []
    failed = False
    for leg, _ in reversed(begun):
        if leg is taken:
            said.append(f"{leg.app} is left to whoever moves it.")
            continue
        try:
            said.append(await _return(leg, tools, rejects=verdict == "rejected"))
        except Halt as worse:
            failed = True
            said.append(f"{leg.app} could not be taken back: {worse.what}")
    next_ = "Run bluegreen recover, then pulumi up again." if failed else None
    return _stopped(problem, begun, tools, verdict, " ".join(filter(None, said)) or problem.world, next_)


async def _return(leg: Leg, tools: Tools, *, rejects: bool) -> str:
    """One leg undone; what to say about it."""
    split = await tools.gateway.split(leg.lane.upstream)
    held = split.slots.get(leg.origin) if leg.origin is not None else None
    if held is None or held.colour == leg.goal:
        return f"{leg.app} stays on {leg.goal}, where it was."
    origin = replace(held, weight=100, move=tools.mark(held.colour))
    said = await set_weight(leg.app, leg.lane.upstream, origin, tools, returns=True, rejects=rejects)
    await _seal(leg.lane.upstream, held.colour, tools)
    await tools.ctx.milestone(f"{leg.app}: back on {held.colour}, {said}")
    return f"{leg.app} is back on {held.colour}, {said}."


async def _ready(leg: Leg, tools: Tools) -> None:
    try:
        seen = await answers(leg.app, leg.goal, leg.lane.release, leg.lane.probe, tools, READY)
    except Asked as problem:
        raise Refused(problem.what, world="No traffic moved.", next=problem.next) from problem
    if seen:
        raise Refused(
            f"{leg.app}: {leg.goal} does not answer as release {leg.lane.release}: {seen}.",
            world=f"Traffic stays on {leg.origin or 'nothing'}.",
            next=f"Look at {leg.app}-{leg.goal} and at its probe route (pulumi refresh shows what the gateway lost), "
            "then run pulumi up again.",
        )


async def _steady(leg: Leg, tools: Tools) -> None:
    seen = await answers(leg.app, leg.goal, leg.lane.release, leg.lane.probe, tools, STEADY)
    if seen:
        raise Unsteady(
            f"{leg.app}: {leg.goal} did not answer as release {leg.lane.release} once it was live: {seen}.",
            world=f"{leg.goal} carries the traffic.",
            next=f"Stage another release; {leg.lane.release} is rejected until rollout.retry names it.",
        )


def _stopped(
    problem: Halt, begun: Sequence[Begun], tools: Tools, verdict: Verdict, world: str, next: str | None = None
) -> Stopped:
    now = tools.ctx.now()
    done = [_done(leg, verdict, started, now, problem.what) for leg, started in begun]
    cancelled = isinstance(problem, Asked)
    return Stopped(problem.what, world=world, next=next or problem.next, done=_kept(done), cancelled=cancelled)


def _kept(done: Sequence[Done]) -> tuple[Done, ...]:
    """What history keeps: putting a weight right is no move."""
    return tuple(entry for entry in done if entry.kind != "repair")


def _done(leg: Leg, verdict: Verdict, started: datetime, finished: datetime, said: str) -> Done:
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
    )
