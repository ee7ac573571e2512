"""How a move is carried out: ask the candidates, app by app and stage by stage, ask again; or take it all back.

Every raising write carries the mark of its move, and the marks go only when every app has arrived: whoever comes after
a killed deployer knows where traffic belongs, for all apps alike. It deliberately decides nothing: what moves and
where is `plan`'s word.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bluegreen.gateway import Moved, Slot
from bluegreen.handler import Halt, Refused
from bluegreen.rollout.analyse import Unfit, analyse, gate, still_ours
from bluegreen.rollout.back import back, end, from_here
from bluegreen.rollout.candidate import Asked, answers, go_on
from bluegreen.rollout.endings import Begun, Stopped, done_of, kept, our_own, release, seal, stopped
from bluegreen.rollout.plan import Leg, Move
from bluegreen.rollout.record import began, ended, left
from bluegreen.rollout.spec import Done
from bluegreen.rollout.stages import Analyse, Gate, Pause, Weigh
from bluegreen.rollout.step import ByHand, Tools, set_weight

READY = 20.0  # seconds a candidate has to answer before anything moves: a Kong router lags up to 5 s
STEADY = 5.0  # seconds it has to answer again once it carries traffic
NAP = 1.0  # seconds between two looks at whether a pause should end


async def carry_out(move: Move, tools: Tools) -> tuple[Done, ...]:
    """Everything the move says, in its order; what it did, for history.

    Raises:
        Refused: a colour does not answer as the release it should be; no traffic went to it.
        Stopped: it went wrong on the way; traffic is back where it was, or the text says where it is.
    """
    if _returns(move):
        tools = replace(tools, record=left(move, tools.releases))
    moves = bool(move.legs or move.ended)
    if moves:
        tools.note(began, move=move, releases=tools.releases, before=tools.record)
    try:
        done = await _carried_out(move, tools)
    except Exception as fault:
        if moves:
            halt = fault if isinstance(fault, Halt) else our_own(fault)
            tools.note(ended, move=move, done=halt.done if isinstance(halt, Stopped) else (), halt=halt)
        raise
    if moves:
        tools.note(ended, move=move, done=done)
    return done


async def _carried_out(move: Move, tools: Tools) -> tuple[Done, ...]:
    onward = {leg.app for leg in move.legs if leg.origin != leg.goal}
    stays = {each.app for each in move.ended if not await end(each, tools, onward)}
    legs = [await from_here(leg, tools) if leg.app in stays else leg for leg in move.legs]
    move = replace(move, legs=tuple(legs))
    for leg in move.legs:
        await _ready(leg, tools)
    by_hand: list[Done] = []
    for app, upstream in move.released:
        by_hand += await release(app, upstream, tools)
    if move.legs:
        tools.event("rollback-started" if _returns(move) else "move-started", str(move))
    done, begun = list(by_hand), list[Begun]()
    try:
        await _through(move, tools, done, begun)
    except Exception as fault:
        problem = fault if isinstance(fault, Halt) else our_own(fault)
        if tools.ctx.orphaned:
            world = "Traffic stays as it is; its mark tells the way back."
            raise stopped(problem, begun, tools, frozenset(), world, before=by_hand) from problem
        # Whoever holds an app may hold any of them; which, its rows say. Another writer is met on the last one.
        taken = begun[-1][0] if isinstance(problem, Moved) and not isinstance(problem, ByHand) and begun else None
        end_of_it = await back(problem, begun, tools, taken=taken, before=by_hand)
        tools.event("rollback-failed" if _returns(move) else "move-failed", str(end_of_it))
        raise end_of_it from problem
    await _finish(move, done, tools)
    if move.legs:
        tools.event("rollback-completed" if _returns(move) else "move-completed", f"{move}: done")
    return kept(done)


async def _through(move: Move, tools: Tools, done: list[Done], begun: list[Begun]) -> None:
    """Every stage of every app, from the analysis before any traffic to the one after all of it."""
    moving = move.rollouts
    try:
        if moving and move.before is not None:
            await analyse(move.before, moving, "preview", tools, tools.until())
    except Unfit as problem:
        begun += [(leg, tools.ctx.now()) for leg in moving]  # nothing is to be taken back, but history has to know
        raise problem
    for leg in move.legs:
        go_on(tools)
        begun.append((leg, tools.ctx.now()))
        done.append(await _carry(leg, [each for each, _ in begun], tools, tools.until()))
    if moving and move.after is not None:
        await analyse(move.after, moving, "100 %", tools, tools.until())


async def _carry(leg: Leg, begun: Sequence[Leg], tools: Tools, end: datetime) -> Done:
    """One app's leg, from its first raise to its last proof; its mark stays on."""
    started, said, share = tools.ctx.now(), "", "0 %"
    for stage in leg.stages:
        match stage:
            case Weigh(weight):
                if said:
                    await _as_left(leg, share, tools)
                share, said = f"{weight} %", await _weigh(leg, weight, tools)
            case Analyse(analysis):
                await analyse(analysis, [each for each in begun if each.kind == "rollout"], share, tools, end)
            case Pause(span):
                await _pause(leg, share, span, tools, end)
            case Gate(timeout):
                await tools.ctx.milestone(f"{leg.app}: {share}, {await gate(leg, share, timeout, tools, end)}")
    if leg.origin is not None:
        await _steady(leg, tools)
    return done_of(leg, "passed", started, tools.ctx.now(), said)


async def _as_left(leg: Leg, share: str, tools: Tools) -> None:
    """Between two steps nobody else has written: whoever has, knows better than what was planned before."""
    slot = (await tools.gateway.split(leg.lane.upstream)).slots.get(leg.goal)
    if slot is None or slot.move is None or slot.move.id != tools.id or f"{slot.weight} %" != share:
        raise Moved(
            f"{leg.app}: {leg.goal} is no longer at {share}, where this move left it; somebody else is writing.",
            world="Its weights were left as they are.",
        )


async def _weigh(leg: Leg, weight: int, tools: Tools) -> str:
    upstream, goal, returns = leg.lane.upstream, leg.goal, leg.kind == "rollback"
    # A way back that nobody finishes is finished by whoever comes next; a way forward is taken back.
    mark = tools.mark(goal if returns else leg.origin)
    slot = Slot(goal, leg.lane.addresses[goal], weight, tools.owner, leg.lane.release, move=mark, rejected=leg.retried)
    said = await set_weight(leg.app, upstream, slot, tools, returns=returns)
    text = f"{leg.app}: {goal} {weight} %, {said}"
    await tools.ctx.milestone(text)
    tools.event("step-completed", text, leg.app, weight=weight, release=leg.lane.release)
    go_on(tools)
    return said


async def _pause(leg: Leg, share: str, span: timedelta, tools: Tools, end: datetime) -> None:
    until = tools.ctx.now() + span
    while (left := (until - tools.ctx.now()).total_seconds()) > 0:
        await still_ours([leg], tools)
        if tools.ctx.now() >= end:
            raise Unfit(
                f"{leg.app}: the move ran out of time at {share}, after {tools.deadline.total_seconds():g} s.",
                world=f"{leg.goal} carries {share}.",
                next="Raise rollout.progressDeadlineSeconds or shorten the steps, then run pulumi up again.",
                guilty=frozenset(),
                verdict="inconclusive",
            )
        await tools.ctx.status(f"{leg.app} {share} {leg.goal} · pause · {left:.0f} s left")
        await tools.ctx.sleep(min(NAP, left))


async def _finish(move: Move, done: Sequence[Done], tools: Tools) -> None:
    """Every app has arrived: the marks go, and what no longer exists goes."""
    try:
        for leg in move.legs:
            await seal(leg.lane.upstream, leg.goal, tools)
        for _, upstream, colour in move.leftover:
            slot = (await tools.gateway.split(upstream)).slots.get(colour)
            if slot is not None and slot.weight == 0:
                await _emptied(upstream, slot, move, tools)
                await tools.gateway.drop(upstream, slot)
    except Halt as problem:
        arrived = "Every app has arrived where it was to go; a mark or an unused target is left."
        world = problem.world if isinstance(problem, Moved) else arrived
        raise Stopped(problem.what, world=world, next="Run pulumi up again.", done=kept(done)) from problem


async def _emptied(upstream: str, slot: Slot, move: Move, tools: Tools) -> None:
    """A target stays until nobody who came by it is waiting for an answer: its service is deleted once it is gone."""
    if slot.since is None:
        return
    until = slot.since + await tools.gateway.budget() + move.drain
    while (left := (until - tools.ctx.now()).total_seconds()) > 0:
        go_on(tools)
        await tools.ctx.status(f"{upstream}: the unused {slot.colour} target drains, {left:.0f} s left")
        await tools.ctx.sleep(min(NAP, left))


async def _ready(leg: Leg, tools: Tools) -> None:
    try:
        seen = await _asked(leg, tools, READY)
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
    seen = await _asked(leg, tools, STEADY)
    if seen:
        raise Unfit(
            f"{leg.app}: {leg.goal} did not answer as release {leg.lane.release} once it was live: {seen}.",
            world=f"{leg.goal} carries the traffic.",
            next=f"Stage another release; {leg.lane.release} is rejected until rollout.retry names it.",
            guilty=frozenset({leg.app}),
        )


async def _asked(leg: Leg, tools: Tools, patience: float) -> str:
    lane = leg.lane
    return await answers(leg.app, leg.goal, lane.release, lane.probe, tools, patience, unmarked=lane.unmarked)


def _returns(move: Move) -> bool:
    return any(leg.kind == "rollback" for leg in move.legs)
