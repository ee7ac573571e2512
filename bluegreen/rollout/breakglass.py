"""The way back by hand: no engine, no state; a gateway and a healthy target are enough.

Whoever was at work before, a running update included, may still have a write on its way. So every row is made anew
with a hold on it: a late write of an old row finds nothing, and an update that reads the rows stops and leaves them (0
of 2.8 million requests failed in 320 such collisions on a real Kong 3.9.1; 503s in 19 of 120 with repair alone).
Where to is read off the gateway itself: back to where an unfinished move began, or to the colour that does not serve.
Whoever is cut off half-way runs it again: a hold that is not on every row yet tells that, and where it was going.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bluegreen.gateway import Hold, Moved, Slot, Split
from bluegreen.handler import Halt, Refused
from bluegreen.http import ApiError, Conflict, LostReply, Unavailable, Unreachable, Untrusted
from bluegreen.rollout.candidate import answers
from bluegreen.rollout.spec import Lane
from bluegreen.rollout.step import Tools, set_weight
from bluegreen.spec import Colour

WELL = 2.0  # seconds that a target has to show that it is well
TRIES = 5  # against somebody who writes at the same moment, and against a gateway that does not answer
PAUSE = 0.5  # seconds before another try, where it was the gateway that did not do it
GLANCE = 0.25  # seconds between two looks while it is guarded
SHUT = ("answered 401", "answered 403")

OTHER: Mapping[Colour, Colour] = {"blue": "green", "green": "blue"}


@dataclass(frozen=True, slots=True)
class Way:
    """One app's way back: from the colours that carry traffic now to the one that is wanted."""

    app: str
    lane: Lane
    split: Split
    goal: Colour

    @property
    def release(self) -> str | None:
        """The release that users get again."""
        return self.split.slots[self.goal].release

    @property
    def left(self) -> tuple[str, ...]:
        """The releases that are moved away from."""
        slots = self.split.slots
        return tuple(slots[colour].release or "" for colour in self.split.carrying if colour != self.goal)


class InForce(Refused):
    """Somebody has taken this app back already, and it is held there."""


def unreached(splits: Mapping[str, Split]) -> frozenset[str]:
    """The apps that a rollout under way has not come to: they still serve what everything else goes back to.

    One that has arrived loses its mark when all have, and then went live no earlier than the others lost their traffic.
    """
    under_way = {app: split for app, split in splits.items() if any(_forward(slot) for slot in split.slots.values())}
    ends = [slot.since for split in under_way.values() for slot in split.slots.values() if not slot.weight]
    lost = max((since for since in ends if since is not None), default=None)
    sealing = all(split.live is not None for split in under_way.values())
    rest = {app: split for app, split in splits.items() if not any(slot.move for slot in split.slots.values())}
    return frozenset(app for app, split in rest.items() if under_way and not (sealing and _since(split, lost)))


def way_back(app: str, lane: Lane, split: Split, *, to: Colour | None = None, waits: bool = False) -> Way:
    """Where an app goes back to.

    Args:
        to: the colour to go to, where the gateway itself cannot tell or would tell otherwise.
        waits: a rollout under way has not come to this app: it stays where it is, and is held there.

    Raises:
        InForce: it is held already, whole.
        Refused: there is no such place, it was rejected, or nobody can tell.
    """
    goal = to or _goal(app, split, waits=waits)
    slot = split.slots.get(goal)
    serves = " and ".join(split.carrying) or "nothing"
    address = lane.addresses.get(goal)
    if slot is None and address is not None and (to or split.hold):
        # Whoever was cut off between taking a row away and making it anew left none; the config knows its address.
        owner = next((each.owner for each in split.slots.values()), None)
        slot = Slot(goal, address, 0, owner=owner)
        split = replace(split, slots={**split.slots, goal: slot})
    if slot is None:
        raise Refused(
            f"{app}: there is no {goal} target in the gateway to go back to.",
            world=f"Traffic stays on {serves}.",
            next="Stage a good release and move there with pulumi up.",
        )
    if slot.rejected and to is None:
        raise Refused(
            f"{app}: release {slot.release} on {goal} was rejected itself.",
            world=f"Traffic stays on {serves}.",
            next=f"If it is better all the same: bluegreen rollback {app} --to {goal} --reason …",
        )
    begun = any(each.move is not None and each.move.origin for each in split.slots.values())
    if to is None and goal != split.live and not (slot.proven or split.hold or begun):
        raise Refused(
            f"{app}: release {slot.release} on {goal} has never carried all the traffic, or is being replaced,"
            " so that is no way back.",
            world=f"Traffic stays on {serves}.",
            next=f"If it is better all the same: bluegreen rollback {app} --to {goal} --reason …",
        )
    return Way(app, lane, split, goal)


def _goal(app: str, split: Split, *, waits: bool) -> Colour:
    begun = [slot.move.origin for slot in split.slots.values() if slot.move is not None and slot.move.origin]
    if split.hold is not None:
        return _held_for(app, split, begun)
    if begun:
        return begun[0]
    if split.live is None:
        shares = " / ".join(f"{colour} {slot.weight}" for colour, slot in split.slots.items())
        raise Refused(
            f"{app}: traffic is split ({shares or 'no target'}), and no move says where it came from.",
            world="Traffic is unchanged.",
            next="Name the colour with --to.",
        )
    return split.live if waits else OTHER[split.live]


def _held_for(app: str, split: Split, begun: Sequence[Colour]) -> Colour:
    """Where a way back was going that was cut off: its own row went live with the hold, or is the one that is not held.

    Raises:
        InForce: nothing is left to be done.
    """
    hold = _newest(split)
    ours = [slot for slot in split.slots.values() if slot.hold == hold]
    arrived = next((slot for slot in ours if slot.since == hold.at and slot.weight), None)
    whole = split.live is not None and len(ours) == len(split.slots) and not any(slot.move for slot in ours)
    if (arrived is not None and _done(split, arrived)) or (arrived is None and whole and len(ours) > 1):
        raise InForce(
            f"{app} is {hold} already.",
            world=f"Traffic stays on {' and '.join(split.carrying)}.",
            next="To go elsewhere, name the colour with --to.",
        )
    if arrived is not None:
        return arrived.colour
    return begun[0] if begun else OTHER[ours[0].colour]


async def well(way: Way, tools: Tools) -> None:
    """The target answers as the release that its row names.

    Where it cannot be asked (no preview key here, no address of the proxy or no way to it) this is told and stops
    nothing: the gateway's own health checks still have to agree before anything is lowered.

    Raises:
        Refused: it answers, and not well.
    """
    if way.release is None:
        await tools.ctx.milestone(f"{way.app}: nobody knows which release {way.goal} is. Going on unasked.")
        return
    try:
        seen = await _asked(way, way.release, tools, 0.0)
        if seen and not seen.endswith(SHUT):  # a shut door stays shut, everything else may get better
            seen = await _asked(way, way.release, tools, WELL)
    except (ApiError, Refused) as problem:
        await tools.ctx.milestone(f"{way.app}: {way.goal} could not be asked ({problem.what.rstrip('.')}). Going on.")
        return
    if seen.endswith(SHUT):
        await tools.ctx.milestone(f"{way.app}: {way.goal} could not be asked without the preview key. Going on.")
        return
    if seen:
        raise Refused(
            f"{way.app}: {way.goal} is not well: {seen}.",
            world=f"Traffic stays on {' and '.join(way.split.carrying)}.",
            next=f"Bring {way.app}-{way.goal} back first, or go on all the same with --unchecked.",
        )


async def _asked(way: Way, release: str, tools: Tools, patience: float) -> str:
    return await answers(way.app, way.goal, release, way.lane.probe, tools, patience, unmarked=way.lane.unmarked)


async def take_back(way: Way, hold: Hold, tools: Tools) -> str:
    """All of an app's traffic to where it goes back to, held; answers how it was proved.

    Raises:
        Moved: somebody keeps writing at the same time.
        Halt: the gateway does not answer, or does not do it; what was begun is held already.
    """
    for again in range(TRIES):
        try:
            return await _taken_back(way, hold, tools)
        except (Moved, Unreachable, Conflict, LostReply, Unavailable) as problem:
            # What was begun may have taken a row away: only another try makes it anew.
            if again == TRIES - 1 or isinstance(problem, Untrusted):
                raise
            await tools.ctx.milestone(f"{way.app}: {problem.what} Once more.")
            if isinstance(problem, ApiError):
                await tools.ctx.sleep(PAUSE)
    raise AssertionError


async def _taken_back(way: Way, hold: Hold, tools: Tools) -> str:
    upstream = way.split.upstream
    split = await tools.gateway.split(upstream)
    _not_another(way.app, split, hold)
    for slot in split.slots.values():
        # First of all: whoever is cut off after this can be followed, and an update at work meets it everywhere.
        if slot.colour != way.goal and slot.weight and slot.hold != hold:
            await tools.gateway.put(upstream, replace(slot, hold=hold), seen=slot)
    for lost in [each for colour, each in way.split.slots.items() if colour not in split.slots and colour != way.goal]:
        # Taken away to be made anew, and never made: it keeps a late write of its kind out, and says what was left.
        again = replace(lost, weight=0, move=None, approved=None, hold=hold, row=None, rejected=bool(way.left))
        await tools.gateway.put(upstream, again, seen=None)
    split = await tools.gateway.split(upstream)
    slot = split.slots.get(way.goal) or way.split.slots[way.goal]
    if way.split.slots[way.goal].proven and not (slot.proven or slot.weight):
        raise Refused(
            f"{way.app}: release {slot.release} on {way.goal} is being replaced since this began.",
            world=f"Traffic stays on {' and '.join(split.carrying)}.",
            next="Look at that update; it goes back by pulumi up, with live: as it was.",
        )
    goal = replace(slot, weight=100, move=None, approved=None, rejected=False, hold=hold, since=hold.at, row=None)
    done = _done(split, goal)
    return await set_weight(way.app, upstream, goal, tools, returns=True, rejects=bool(way.left), fences=not done)


async def guard(ways: Mapping[str, Way], hold: Hold, span: timedelta, tools: Tools) -> tuple[int, dict[str, Halt]]:
    """Look for so long whether it stays so, and put it back where it does not; answers how often that was.

    A hold that somebody has taken off is not put on again: from then on that app is theirs. One that cannot be put back
    does not leave the others alone: it is tried again at the next look, and answered if that fails to the end.
    """
    end, mended, let_go, halts = tools.ctx.now() + span, 0, set[str](), dict[str, Halt]()
    while tools.ctx.now() < end:
        for way in ways.values():
            try:
                split = await tools.gateway.split(way.split.upstream)
                stays = split.live == way.goal and not any(slot.move for slot in split.slots.values())
                if stays and not any(slot.hold == hold for slot in split.slots.values()):
                    let_go.add(way.app)
                elif not stays and way.app not in let_go:
                    await take_back(way, hold, tools)
                    mended += 1
                halts.pop(way.app, None)
            except Halt as halt:
                halts[way.app] = halt
        left = (end - tools.ctx.now()).total_seconds()
        await tools.ctx.status(f"guarding {', '.join(ways)} · {max(0.0, left):.0f} s left")
        await tools.ctx.sleep(min(GLANCE, max(0.0, left)))
    return mended, halts


def _done(split: Split, goal: Slot) -> bool:
    """Whether only this colour carries traffic, all of it, and every row is held as the goal is."""
    stored = split.slots.get(goal.colour)
    rest = [slot for slot in split.slots.values() if slot.colour != goal.colour]
    return (
        stored is not None
        and stored.weight == 100
        and stored.move is None
        and all(slot.weight == 0 and slot.move is None for slot in rest)
        and all(slot.hold == goal.hold for slot in (stored, *rest))
    )


def _not_another(app: str, split: Split, hold: Hold) -> None:
    """Of two who take an app back at once, the later one has it; neither takes it from the other for ever."""
    other = next((slot.hold for slot in split.slots.values() if slot.hold and slot.hold != hold), None)
    if other is not None and (other.at > hold.at or (other.at == hold.at and other.by != hold.by)):
        raise Halt(
            f"{app} is {other} by now.",
            world=f"It is left so: {' and '.join(split.carrying)} serves.",
            next="Speak with them; bluegreen hold show says what is held.",
        )


def _newest(split: Split) -> Hold:
    return max((slot.hold for slot in split.slots.values() if slot.hold is not None), key=lambda hold: hold.at)


def _forward(slot: Slot) -> bool:
    """A mark on the way to somewhere else than where traffic belongs if nobody finishes it."""
    return slot.move is not None and slot.move.origin != slot.colour


def _since(split: Split, moment: datetime | None) -> bool:
    """Whether what serves went live then or later."""
    since = split.slots[split.live].since if split.live is not None else None
    return moment is not None and since is not None and since >= moment
