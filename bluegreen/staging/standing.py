"""What Kong says of an app before its config is edited, and of what will follow from the edit.

Staging while a move is under way would be an edit of what is about to carry traffic; it is refused in Kong's own
words. What `pulumi preview` will say, and whether the way back will be open, is answered by the same functions that
answer it then.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bluegreen.connections import Connections
from bluegreen.gateway import Slot, Split
from bluegreen.handler import Halt, Refused
from bluegreen.rollout.admissible import Admissible, Known, admissible
from bluegreen.rollout.plan import plan
from bluegreen.rollout.spec import Done, Lane
from bluegreen.settings import Settings
from bluegreen.spec import Colour

WORLD = "Nothing was changed."
PATIENCE = 3.0  # seconds that Kong has to answer: an edit of a file does not depend on it


async def splits(connections: Connections, apps: Iterable[str]) -> tuple[Mapping[str, Split], str]:
    """Every app's weights in Kong; or, in the second place, why some of them cannot be told."""
    found = dict[str, Split]()
    try:
        async with asyncio.timeout(PATIENCE):
            for app in apps:
                found[app] = await connections.gateway().split(app)
    except TimeoutError:
        return found, f"Kong gave no answer within {PATIENCE:g} s"
    except Halt as halt:
        return found, halt.what.rstrip(".")
    return found, ""


def must_be_calm(app: str, idle: Colour, split: Split, *, promoted: bool = False) -> None:
    """Nothing is under way, nobody holds it, and the idle colour is idle.

    Args:
        promoted: the idle colour is to be live, so it is no fault that it is already, or is held there.

    Raises:
        Refused: otherwise.
    """
    mark = next(((slot.colour, slot.move) for slot in split.slots.values() if slot.move), None)
    if mark is not None and (move := mark[1]) is not None:
        raise Refused(
            f"{app}: a move to {mark[0]} is under way, until {move.deadline:%Y-%m-%d %H:%M} UTC at the latest.",
            world=WORLD,
            next="Wait for its end, or run bluegreen recover where nobody carries it on.",
        )
    if split.hold is not None and not (promoted and split.live == idle):
        raise Refused(
            f"{app} is {split.hold}.",
            world=WORLD,
            next="Settle that first: write what is held into the config, or bluegreen hold release --reason …",
        )
    if idle in split.carrying and not promoted:
        raise Refused(
            f"{app}: {idle} is idle in the config, and carries {split.slots[idle].weight} % of the traffic in Kong.",
            world=WORLD,
            next="bluegreen status shows both; pulumi up makes Kong as the config says.",
        )


@dataclass(frozen=True, slots=True)
class Ahead:
    """What will follow from an edit of `live`, as far as is known; `releases` where the config cannot tell."""

    settings: Settings  # as the file will be
    splits: Mapping[str, Split]
    history: Sequence[Done]
    now: datetime
    releases: Mapping[tuple[str, Colour], str]

    def move(self) -> str:
        """What `pulumi preview` will say of traffic.

        Raises:
            Refused: as the update would be.
        """
        lanes = {app: self._lane(app) for app in self.settings.order() if app in self.splits}
        return str(plan(lanes, self.settings.rollout, self.splits, self.history, self.now))

    def back(self, app: str, origin: Colour) -> Admissible:
        """Whether the app can be rolled back right after that move has passed."""
        goal, lane, split = self.settings.apps[app].live, self._lane(app), self.splits[app]
        done = Done(
            app=app,
            verdict="passed",
            origin=origin,
            goal=goal,
            release=lane.release,
            started=self.now,
            finished=self.now,
        )
        slots = {colour: replace(slot, weight=0, move=None) for colour, slot in split.slots.items()}
        before = slots.get(goal) or Slot(goal, lane.addresses.get(goal, ""), 0)  # what was just staged has no row yet
        slots[goal] = replace(before, weight=100, release=lane.release)
        blocks = {colour: self.settings.apps[app].release(colour) for colour in (origin, goal)}
        known = Known(
            releases={colour: self._release(app, colour) for colour, block in blocks.items() if block},
            schema_min={colour: block.schema_min for colour, block in blocks.items() if block},
            stopped=[origin] if self.settings.apps[app].idle == "stopped" else (),
        )
        then = Split(split.upstream, slots)
        return admissible(app, lane, then, (*self.history, done), self.settings.rollout, self.now, known)

    def _lane(self, app: str) -> Lane:
        lane = self.settings.lanes()[app]
        return lane.model_copy(update={"release": self._release(app, self.settings.apps[app].live)})

    def _release(self, app: str, colour: Colour) -> str:
        return self.releases.get((app, colour)) or self.settings.release_id(app, colour)
