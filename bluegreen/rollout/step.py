"""One step: a share of an app's traffic to one colour. Raise it, prove it, lower the others, prove that.

The order is the whole secret: raise-then-lower lost 0 of 359,203 requests in 20 flips of a real Kong, lower-first
lost 29 a flip. It deliberately knows nothing of moves, apps in order, or ways back.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pydantic import JsonValue

from bluegreen.analysis import Meter
from bluegreen.event import Event, Kind, Tell, silent
from bluegreen.gateway import Gateway, Hold, Moved, MoveTag, Proof, Slot, Split, Unproven
from bluegreen.handler import Context
from bluegreen.journal import AnyEntry, Deaf, Journal, Told, Weighed
from bluegreen.spec import Colour

# Which release answers at this path, asked with these headers, told by that answer's header: (release, what was seen).
# Raises an ApiError when there was no answer at all.
Ask = Callable[[str, Mapping[str, str], str], Awaitable[tuple[str | None, str]]]

# After so long it is looked whether what is being proved still stands, where somebody may be at work.
GLANCES = (timedelta(seconds=0.5), timedelta(seconds=1), timedelta(seconds=2))


@dataclass(frozen=True, slots=True)
class Tools:
    """What every step of one move works with; `id` is the move's.

    `releases` are every app's once the move has arrived; `record` are those of the release whose record it belongs to,
    where that is another one: a way back is part of the life of what it leaves.
    """

    owner: str
    id: str
    nodes: int
    deadline: timedelta
    gateway: Gateway
    ask: Ask
    ctx: Context
    meter: Meter | None = None  # None where nothing is ever analysed: on a way back
    tell: Tell = silent
    journal: Journal = field(default_factory=Deaf)
    releases: Mapping[str, str] = field(default_factory=dict)
    record: Mapping[str, str] | None = None

    def event(self, kind: Kind, text: str, app: str | None = None, **facts: JsonValue) -> None:
        """Tell whoever listens, without waiting."""
        self.tell(Event(kind, self.owner, text, self.ctx.now(), app, {"move": self.id, **facts}))

    def note(self, make: Callable[..., AnyEntry], **given: object) -> None:
        """Write down what this makes of what is given; a release does not depend on its record."""
        releases = self.releases if self.record is None else self.record
        try:
            self.journal.note(make(at=self.ctx.now(), **given), releases)
        except Exception as fault:  # what cannot be put into words is missing in the record, and nowhere else
            with suppress(Exception):
                lack = f"What was to stand here could not be written: {type(fault).__name__}."
                self.journal.note(Told(at=self.ctx.now(), text=lack), releases)

    def say(self, text: str, app: str | None = None) -> None:
        """Write down a sentence."""
        self.note(Told, text=text, app=app)

    def until(self) -> datetime:
        """When what begins now runs out of time."""
        return self.ctx.now() + self.deadline

    def mark(self, origin: Colour | None) -> MoveTag:
        """The mark of this move: where traffic belongs if nobody finishes it."""
        return MoveTag(self.id, origin, (self.ctx.now() + self.deadline).replace(microsecond=0))


async def set_weight(
    app: str, upstream: str, goal: Slot, tools: Tools, *, returns: bool, rejects: bool = False, fences: bool = False
) -> str:
    """As much of an app's traffic to one slot as it says, the rest to the other: raise it, prove, lower the other,
    prove. Answers how it was proved.

    Args:
        goal: the slot as it shall be, with its weight in percent and the move's mark.
        returns: this is a way back, so a node that never answers does not stop it; it is said instead.
        rejects: what is lowered is marked as rejected.
        fences: whoever was at work before may still have a write on its way: every row is made anew, so that it
            finds nothing.

    Raises:
        Moved: somebody else wrote meanwhile; nothing further was written.
        Unproven: the raise is not in force everywhere, so nothing was lowered; or the lowering is not.
    """
    gateway = tools.gateway
    within = await gateway.budget()
    split = await gateway.split(upstream)
    if split.hold is not None and goal.hold is None:
        raise held(app, split.hold)
    goal = replace(goal, row=_row(split, goal.colour))
    if split.slots.get(goal.colour) != goal:
        await gateway.put(upstream, goal, seen=split.slots.get(goal.colour))
        split = await _as_written(upstream, goal, gateway)
    if fences and split.live != goal.colour:
        await _proved(app, Split(upstream, {goal.colour: split.slots[goal.colour]}), tools, within, returns=returns)
        await gateway.renew(upstream, goal, seen=split.slots[goal.colour])
        split = await gateway.split(upstream)
    raised = split.slots[goal.colour]
    # Only the raised slot counts here: where a worker lags, the way back must not wait for what that worker missed.
    said = await _proved(app, Split(upstream, {goal.colour: raised}), tools, within, returns=returns)
    for slot in [slot for slot in split.slots.values() if slot.colour != goal.colour]:
        lowered = _lowered(slot, goal, tools.ctx.now(), rejects=rejects)
        if lowered == slot and not fences:
            continue
        now = await gateway.split(upstream)
        if _unapproved(now.slots.get(goal.colour)) != _unapproved(raised):
            raise Moved(
                f"{app}: the {goal.colour} target changed in Kong after it was raised; somebody else is writing.",
                world=f"{slot.colour} was not lowered.",
            )
        write = gateway.renew if fences else gateway.put
        await write(upstream, lowered, seen=slot)
        said = await _proved(app, await gateway.split(upstream), tools, within, returns=returns)
    shares = {colour: goal.weight if colour == goal.colour else 100 - goal.weight for colour in split.slots}
    tools.note(Weighed, app=app, weights=shares, said=said)
    return said


class ByHand(Moved):
    """Somebody has taken an app into his own hands."""


def held(app: str, hold: Hold) -> ByHand:
    """What an update says that finds an app held: it stops there and leaves that app as it is."""
    return ByHand(f"{app} is {hold}.", world="It is left so.", next="bluegreen hold show tells the ways out.")


def _lowered(slot: Slot, goal: Slot, now: datetime, *, rejects: bool) -> Slot:
    """The other slot, with what the goal leaves to it, and since when; where a hold is set, it is on both."""
    rest = 100 - goal.weight
    since = slot.since if bool(rest) == bool(slot.weight) else now.replace(microsecond=0)
    return replace(
        slot, weight=rest, move=None, since=since, rejected=rejects or slot.rejected, hold=goal.hold, approved=None
    )


async def _proved(app: str, split: Split, tools: Tools, within: timedelta, *, returns: bool) -> str:
    await tools.ctx.status(
        f"{app}: proving {' / '.join(f'{slot.colour} {slot.weight}' for slot in split.slots.values())}"
    )
    try:
        if any(slot.hold for slot in split.slots.values()):
            return str(await _proved_while_it_stands(app, split, tools, within))
        return str(await tools.gateway.prove(split, within=within, nodes=tools.nodes))
    except Unproven as problem:
        if not (returns and problem.unseen):
            raise
        going_on = f"{problem.what} {problem.world} Going on, because this is the way back."
        tools.say(going_on, app)
        await tools.ctx.milestone(going_on)
        return f"unproven: {problem.what}"


async def _proved_while_it_stands(app: str, split: Split, tools: Tools, within: timedelta) -> Proof:
    """By hand somebody writes against an update: what that one has overwritten is never in force, however long one
    waits, and users are waiting for the way back."""
    for glance in GLANCES:
        if 2 * glance > within:
            break
        try:
            return await tools.gateway.prove(split, within=glance, nodes=tools.nodes)
        except Unproven:
            within -= glance
        now = (await tools.gateway.split(split.upstream)).slots
        if changed := [c for c, slot in split.slots.items() if _unapproved(now.get(c)) != _unapproved(slot)]:
            raise Moved(
                f"{app}: the {changed[0]} target changed in Kong while it was being proved; somebody else is writing.",
                world="Nothing further was written.",
            )
    return await tools.gateway.prove(split, within=within, nodes=tools.nodes)


async def _as_written(upstream: str, slot: Slot, gateway: Gateway) -> Split:
    split = await gateway.split(upstream)
    stored = _unapproved(split.slots.get(slot.colour))
    if stored is None or replace(stored, row=slot.row) != _unapproved(slot):
        raise Moved(
            f"{upstream}: the {slot.colour} target in Kong is not what was just written; somebody else is writing.",
            world="Nothing further was written.",
        )
    return split


def _unapproved(slot: Slot | None) -> Slot | None:
    """A slot without anybody's word for it: an approval is no other writer's work, whenever it comes."""
    return replace(slot, approved=None) if slot is not None else None


def _row(split: Split, colour: Colour) -> str | None:
    slot = split.slots.get(colour)
    return slot.row if slot is not None else None
