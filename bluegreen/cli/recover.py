"""`bluegreen recover`: after a deployer was killed, everything back to one live colour, and the stack usable again.

Users come first: an unfinished move is taken back straight in the gateway, before the engine is asked anything. Then
a lock whose process is dead is broken, and state is refreshed. The order after a kill is `bluegreen recover`, then
`pulumi up`. A lock that may be alive is never broken, so it is safe to run this on a schedule.
"""

from collections.abc import Mapping
from datetime import timedelta

from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.cli.written import serving, settle
from bluegreen.gateway import Split
from bluegreen.handler import Halt
from bluegreen.rollout.moves import carry_out
from bluegreen.rollout.plan import Move, unfinished
from bluegreen.rollout.record import home, under_way
from bluegreen.rollout.step import Tools
from bluegreen.spec import State


class Recovered(State):
    """What recover found and did."""

    taken_back: tuple[str, ...] = ()
    lock_broken: str | None = None
    live: dict[str, str] = {}


async def recover(desk: Desk) -> Outcome:
    """Take unfinished moves back, break a dead deployer's lock, refresh state."""
    lock = desk.stack.lock()
    if lock is not None and lock.alive is not False:
        whose = "is still running" if lock.alive else "may still be running there"
        return Outcome(
            exit=Exit.LOCKED,
            what=f"The stack is held by {lock}, which {whose}.",
            world="Nothing was changed.",
            next="Wait for it, stop it with ^C, or, if you are sure that it is dead, run pulumi cancel.",
        )
    # Where the backend shows no lock, somebody may be at work: only what has run out of its time is taken back then.
    now = None if desk.stack.shows_locks else desk.ctx.now()
    lanes = desk.settings.lanes()
    splits = await _splits(desk)
    ended = [end for app in splits if (end := unfinished(app, lanes[app], splits[app], now=now))]
    if len(ended) < len([app for app in splits if unfinished(app, lanes[app], splits[app])]):
        return Outcome(
            exit=Exit.LOCKED,
            what="A move is under way, and this backend does not show whether its deployer is alive.",
            world="Nothing was changed.",
            next=f"Run this again when its time is up ({desk.settings.rollout.progress_deadline_seconds} s at most).",
        )
    taken = desk.stack.lock()
    if taken is not None and taken.alive is not False:
        what = f"The stack was taken by {taken} just now."
        return Outcome(exit=Exit.LOCKED, what=what, world="Nothing was changed.", next="Wait for it.")
    tools = _tools(desk, splits)
    try:
        await carry_out(Move(ended=tuple(ended)), tools)
    except Halt as halt:
        return Outcome(exit=Exit.ROLLBACK_FAILED, what=halt.what, world=halt.world, next=halt.next)
    finally:
        await settle(desk, tools.journal)
    if lock is not None:
        desk.stack.break_lock()
    desk.stack.refresh()
    live = {app: split.live or ("split" if split.carrying else "none") for app, split in (await _splits(desk)).items()}
    facts = Recovered(taken_back=tuple(e.app for e in ended), lock_broken=str(lock) if lock else None, live=live)
    said = [f"{end.app} is back on {end.origin}." for end in ended] or ["No move was unfinished."]
    said.append(f"The lock of {lock} is broken." if lock else "The stack was not locked.")
    serves = ", ".join(f"{app} on {colour}" for app, colour in live.items())
    return Outcome(exit=Exit.OK, what=" ".join(said), world=f"Live: {serves}.", next="Run pulumi up.", facts=facts)


def _tools(desk: Desk, splits: Mapping[str, Split]) -> Tools:
    wanted = {app: lane.release for app, lane in desk.settings.lanes().items()}
    return Tools(
        owner=desk.settings.owner,
        id="recover",
        nodes=desk.settings.gateway.nodes,
        deadline=timedelta(seconds=desk.settings.rollout.progress_deadline_seconds),
        gateway=desk.connections.gateway(),
        ask=desk.connections.prober().release,
        ctx=desk.ctx,
        journal=desk.connections.journal(desk.stack.name),
        releases=home(serving(desk, splits), splits),
        record=under_way(wanted, splits),
    )


async def _splits(desk: Desk) -> dict[str, Split]:
    gateway = desk.connections.gateway()
    return {app: await gateway.split(lane.upstream) for app, lane in desk.settings.lanes().items()}
