"""What may be written to a gateway, decided by somebody who sees only writes and the verdicts that were told.

After every write: somebody carries traffic, no share goes up that nothing has passed for, a split has a mark that tells
the way back, and no update moves what is held.
"""

from bluegreen.event import Event
from bluegreen.gateway import Slot, Split
from bluegreen.spec import Colour
from tests.memory import Memory

SHARES = (5, 50, 100)


class Judged:
    """Knows what was told, who writes, and what a person has put where; objects to any other write."""

    def __init__(self) -> None:
        self.trusted: set[str] = set()  # releases that arrived, or that a person put there
        self.passed: dict[str, int] = {}  # release: the share at which it was seen and passed, in this attempt
        self.rejected: set[str] = set()
        self.writer = "nobody"
        self.known: dict[str, Split] = {}  # as last written
        self.retry: str | None = None

    def tell(self, event: Event) -> None:
        """Verdicts, as everybody hears them."""
        if event.kind != "analysis-completed":
            return
        for app in event.facts["apps"] if isinstance(event.facts["apps"], list) else ():
            for slot in self.known[str(app)].slots.values() if str(app) in self.known else ():
                if slot.move is not None and slot.release is not None and event.facts["verdict"] == "pass":
                    self.passed[slot.release] = slot.weight

    async def settle(self) -> str:
        return ""

    def written(self, app: str, before: Split, after: Split) -> None:
        """One write of anybody, a moment ago."""
        self.known[app] = after
        assert after.carrying or not before.carrying, f"{app}: nobody carries traffic any more"
        for colour, slot in after.slots.items():
            was = before.slots[colour].weight if colour in before.slots else 0
            if slot.weight > was:
                self._may_rise(slot, was, first=not before.carrying)
            if slot.weight == 0 and slot.release is not None:
                self.passed.pop(slot.release, None)
            if slot.weight == 100 and slot.move is None and slot.release is not None:
                self.trusted.add(slot.release)
        if self.writer == "up":
            assert before.hold is None or weights(before) == weights(after), f"{app} is held, and an update moved it"
        if len(after.carrying) > 1 and len(before.carrying) == 1:
            told = [slot for slot in after.slots.values() if slot.move is not None or slot.hold is not None]
            assert told, f"{app} is split, and nothing tells the way back"

    def _may_rise(self, slot: Slot, was: int, *, first: bool) -> None:
        release = str(slot.release)
        if first or release in self.trusted:
            return
        if slot.release is None and slot.move is not None and slot.move.origin == slot.colour:
            return  # its row was lost with a deployer, and the other one's mark tells that traffic belongs here
        assert release not in self.rejected or release == self.retry, f"{release} was rejected and rises"
        below = max((share for share in SHARES if share < slot.weight), default=0)
        assert slot.weight in SHARES, f"{release} rises to {slot.weight}"
        assert below == 0 or self.passed.get(release) == below, f"{release} rises to {slot.weight}, unjudged at {below}"


def weights(split: Split) -> dict[Colour, int]:
    return {colour: slot.weight for colour, slot in split.slots.items()}


class Watched(Memory):
    """A gateway in memory of which every write is looked at."""

    def __init__(self, judged: Judged) -> None:
        super().__init__()
        self._judged = judged

    async def put(self, upstream: str, slot: Slot, *, seen: Slot | None) -> None:
        before = await self.split(upstream)
        await super().put(upstream, slot, seen=seen)
        self._judged.written(upstream, before, await self.split(upstream))

    async def renew(self, upstream: str, slot: Slot, *, seen: Slot) -> None:
        before = await self.split(upstream)
        await super().renew(upstream, slot, seen=seen)
        self._judged.written(upstream, before, await self.split(upstream))
