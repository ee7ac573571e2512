"""Whether each app can be rolled back, now and once the change is made.

The second answer is the first one's own judgement, asked of the world as it will be: traffic moved, the move in
history, the idle colour with what is deployed there by then. Nothing is promised: a colour may be ill when needed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bluegreen.gateway import Slot, Split
from bluegreen.planning.document import Back, Side
from bluegreen.rollout.admissible import Admissible, Known, admissible
from bluegreen.rollout.plan import Move
from bluegreen.rollout.spec import Done, Rollout
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour
from bluegreen.standing import Recorded


@dataclass(frozen=True, slots=True)
class World:
    """What the way back follows from: as it is now, and the change that comes."""

    settings: Settings
    splits: Mapping[str, Split]
    recorded: Recorded
    move: Move
    schema_now: str | None
    schema_after: str | None
    now: datetime
    took: timedelta
    in_force: Rollout  # as the last update had it


def now(app: str, world: World, sides: Sequence[Side]) -> Back:
    """As it is before the change: with the blocks that run, whatever the config says of them by now."""
    split, traffic = world.splits.get(app), world.recorded.traffic
    if traffic is None or split is None:
        return _unknown(app, traffic is None)
    runs = {side.colour: side.before for side in sides if side.before is not None}
    known = Known(
        releases={colour: each.release for colour, each in runs.items() if each.release},
        schema_min={colour: each.schema_min for colour, each in runs.items()},
        schema=world.schema_now,
        hold=split.hold,
        stopped=[colour for which, colour in world.recorded.stopped if which == app],
    )
    lane = world.settings.lanes()[app]
    # What was deployed and never live has no target yet, and could be gone to all the same.
    addresses = {colour: address for colour, address in lane.addresses.items() if colour in runs}
    addresses |= {colour: slot.address for colour, slot in split.slots.items()}
    there = split.slots.get(split.live) if split.live else None
    found = {"live": split.live or lane.live, "release": there.release if there and there.release else lane.release}
    was = lane.model_copy(update={"addresses": addresses, **found})
    history = tuple(done for done in traffic.history if done.app == app)
    return _told(admissible(app, was, split, history, world.in_force, world.now, known), "")


def after(app: str, world: World) -> Back:
    """The same, once the change is made."""
    split = world.splits.get(app)
    if world.recorded.traffic is None or split is None:
        return _unknown(app, world.recorded.traffic is None)
    lane, settings = world.settings.lanes()[app], world.settings
    blocks = {colour: block for colour in COLOURS if (block := settings.apps[app].release(colour)) is not None}
    known = Known(
        releases={colour: settings.release_id(app, colour) for colour in blocks},
        schema_min={colour: block.schema_min for colour, block in blocks.items()},
        schema=world.schema_after,
        stopped=[colour for which, colour in world.recorded.stopped if which == app and colour != lane.live],
    )
    end = world.now + world.took
    said = admissible(
        app, lane, _moved(world, app, split, blocks), _history(world, app, end), settings.rollout, end, known
    )
    return _told(said, _gone(world, app, split))


def _unknown(app: str, state: bool) -> Back:
    why = "what was live before is in Pulumi's state, which is unknown now" if state else "the gateway did not say"
    return Back(why=f"{app}: nobody can tell whether a rollback is possible: {why}.")


def _told(said: Admissible, gone: str) -> Back:
    why = f"{said.why.rstrip('.')}; {gone}." if gone and not said.possible else said.why
    return Back(possible=said.possible, until=said.until, why=why, blocks=tuple(said.blocks))


def _gone(world: World, app: str, split: Split) -> str:
    """What this very change takes from whoever wants to go back."""
    lane = world.settings.lanes()[app]
    for colour, slot in split.slots.items():
        left = colour != lane.live and slot.release is not None
        if left and colour not in lane.addresses:
            return f"this change takes {colour} away"
        if left and slot.release != world.settings.release_id(app, colour):
            return f"this change deploys another release on {colour}"
    return ""


def _moved(world: World, app: str, split: Split, there: Mapping[Colour, object]) -> Split:
    lane = world.settings.lanes()[app]
    slots: dict[Colour, Slot] = {}
    for colour in COLOURS:
        if colour not in there:
            continue
        held, live = split.slots.get(colour), colour == lane.live
        # A target keeps the name of what was last live there, whatever is deployed behind it.
        release = lane.release if live else held.release if held else None
        slots[colour] = Slot(colour, lane.addresses[colour], 100 if live else 0, release=release)
    return Split(lane.upstream, slots)


def _history(world: World, app: str, end: datetime) -> tuple[Done, ...]:
    traffic = world.recorded.traffic
    past = tuple(done for done in traffic.history if done.app == app) if traffic else ()
    mine = [leg for leg in world.move.legs if leg.app == app]
    moves = [
        Done(
            app=app,
            kind=leg.kind,
            verdict="passed",
            origin=leg.origin,
            goal=leg.goal,
            origin_release=leg.origin_release,
            release=leg.lane.release,
            started=world.now,
            finished=end,
        )
        for leg in mine
    ]
    return (*past, *moves)
