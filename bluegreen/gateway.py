"""What rollout needs of a gateway: read a split, write one slot, drop one, prove what is in force.

Kong implements it (`bluegreen/kong/gateway.py`); tests implement it in memory. There is no compare-and-swap in a
gateway, so every write says which slot it has seen and is refused (`Moved`) when that is no longer true.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bluegreen.handler import Halt
from bluegreen.spec import Colour


@dataclass(frozen=True, slots=True)
class MoveTag:
    """The mark of a move under way, written together with the weight that it raises."""

    id: str
    origin: Colour | None  # where traffic belongs if nobody finishes the move; None when there is no such place
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """Somebody has put things as they are by hand, and no update may undo it silently."""

    by: str  # user@host
    at: datetime
    reason: str

    def __str__(self) -> str:
        return f"held by {self.by} since {self.at:%Y-%m-%d %H:%M} UTC ({self.reason})"


@dataclass(frozen=True, slots=True)
class Slot:
    """One colour behind one upstream, written in one call.

    `row` is the vendor's id of what was read, and the fence: whoever re-creates the row takes it from every writer that
    still knows the old one. `rejected` marks the release here as one that was moved away from because it failed; `hold`
    says that somebody has put the weights as they are by hand. `since` is when it began to carry traffic,
    or with weight 0 when it ceased to.
    """

    colour: Colour
    address: str
    weight: int
    owner: str | None = None
    release: str | None = None
    since: datetime | None = None
    move: MoveTag | None = None
    rejected: bool = False
    proven: bool = False  # this release has carried all the traffic, and arrived
    hold: Hold | None = None
    approved: Hold | None = None  # who let a move pass its gate
    row: str | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """All slots of one upstream, as last read."""

    upstream: str
    slots: Mapping[Colour, Slot]

    @property
    def live(self) -> Colour | None:
        """The colour that carries all the traffic; None while it is split, or while nothing carries any."""
        return self.carrying[0] if len(self.carrying) == 1 else None

    @property
    def hold(self) -> Hold | None:
        """Who holds this app's weights by hand; None when nobody does."""
        return next((slot.hold for slot in self.slots.values() if slot.hold), None)

    @property
    def carrying(self) -> tuple[Colour, ...]:
        """Every colour that carries traffic."""
        return tuple(colour for colour, slot in self.slots.items() if slot.weight > 0)


@dataclass(frozen=True, slots=True)
class Proof:
    """How it is known that weights are in force: so many answers, from so many nodes, within so much time."""

    answers: int
    nodes: int
    took: timedelta

    def __str__(self) -> str:
        nodes = f"{self.nodes} node{'' if self.nodes == 1 else 's'}"
        return f"proved by {self.answers} answers from {nodes} in {self.took.total_seconds():.2f} s"


class Moved(Halt):
    """Not as last seen; nothing was written."""

    def __init__(
        self, what: str, *, world: str, next: str = "Find the other writer, then run pulumi up again."
    ) -> None:
        super().__init__(what, world=world, next=next)


class Unproven(Halt):
    """Stored, but not in force everywhere in time.

    `unseen` is True when every node that answered agrees and only some node was never met: a rollback may go on then,
    because nobody is known to hold the old weights. With a disagreeing worker nothing may be lowered.
    """

    def __init__(self, what: str, *, world: str, next: str, unseen: bool = False) -> None:
        super().__init__(what, world=world, next=next)
        self.unseen = unseen


class Gateway(Protocol):
    """The six things rollout asks of a gateway."""

    async def split(self, upstream: str) -> Split:
        """Every slot of the upstream that is ours, as it is stored now."""

    async def put(self, upstream: str, slot: Slot, *, seen: Slot | None) -> None:
        """Write one slot, new (`seen` None) or changed, or raise `Moved` because it is not as seen."""

    async def renew(self, upstream: str, slot: Slot, *, seen: Slot) -> None:
        """Write one slot as a new row, or raise `Moved`: whoever still knows the old row finds nothing."""

    async def drop(self, upstream: str, slot: Slot) -> None:
        """Take away a slot, or raise `Moved` because it is not as it was read; one that is already gone is fine."""

    async def budget(self) -> timedelta:
        """The longest a change may take to be in force everywhere: the deadline of a proof, never a wait."""

    async def prove(self, split: Split, *, within: timedelta, nodes: int) -> Proof:
        """Wait until these weights are in force on every worker of so many nodes, or raise `Unproven`."""
