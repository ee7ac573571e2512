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
class Hold:
    """Somebody took the wheel by hand: until it is released, an update that wants something else is refused."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class MoveTag:
    """The mark of a move under way, written together with the weight that it raises."""

    id: str
    origin: Colour | None  # where traffic was before the move: None when there was none
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Slot:
    """One colour behind one upstream, written in one call. `row` is the vendor's id of what was read: the fence."""

    colour: Colour
    address: str
    weight: int
    release: str | None = None
    since: datetime | None = None
    hold: Hold | None = None
    move: MoveTag | None = None
    row: str | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """All slots of one upstream, as last read."""

    upstream: str
    slots: Mapping[Colour, Slot]

    @property
    def live(self) -> Colour | None:
        """The colour that carries all the traffic; None while it is split, or while nothing carries any."""
        carrying = [colour for colour, slot in self.slots.items() if slot.weight > 0]
        return carrying[0] if len(carrying) == 1 else None


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


class Unproven(Halt):
    """Stored, but not in force everywhere in time."""


class Gateway(Protocol):
    """The four things rollout asks of a gateway."""

    async def split(self, upstream: str) -> Split:
        """Every slot of the upstream that is ours, as it is stored now."""

    async def put(self, upstream: str, slot: Slot, *, seen: Slot | None) -> None:
        """Write one slot, new (`seen` None) or changed, or raise `Moved` because it is not as seen."""

    async def drop(self, upstream: str, slot: Slot) -> None:
        """Take away a slot that carries nothing; one that is already gone is fine."""

    async def prove(self, split: Split, *, within: timedelta) -> Proof:
        """Wait until these weights are in force on every worker of every node, or raise `Unproven`."""
