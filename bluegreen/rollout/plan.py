"""What has to move, decided from what is wanted, what is in the gateway and what was done before. Pure: no I/O.

A *rollback* returns every app to a release that passed here before and is still within the window; anything else is
a *rollout*. A move under way that nobody finishes any more is taken back to where it began before anything goes
forward: nothing ever continues upward on an unjudged release.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeGuard

from bluegreen.gateway import Split
from bluegreen.handler import Refused
from bluegreen.rollout.spec import Done, Kind, Lane, Probe, Rollout
from bluegreen.spec import COLOURS, Colour


@dataclass(frozen=True, slots=True)
class Leg:
    """One app's part of a move: from `origin` (None: nothing carries traffic yet) to the colour its lane names."""

    app: str
    lane: Lane
    kind: Kind
    goal: Colour
    origin: Colour | None
    origin_release: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A move that nobody finishes any more: its app goes back to `origin` first."""

    app: str
    upstream: str
    origin: Colour
    probe: Probe


@dataclass(frozen=True, slots=True)
class Move:
    """Everything one update does to traffic, in its order. Empty when all is as wanted."""

    ended: tuple[Ended, ...] = ()
    legs: tuple[Leg, ...] = ()
    leftover: tuple[tuple[str, str, Colour], ...] = ()  # (app, upstream, colour) of colours that no longer exist

    def __bool__(self) -> bool:
        return bool(self.ended or self.legs or self.leftover)

    def __str__(self) -> str:
        said = [f"{end.app}: an unfinished move goes back to {end.origin}" for end in self.ended]
        for leg in self.legs:
            said.append(f"{leg.kind}: {leg.app} {leg.origin or 'nothing'} → {leg.goal} 100 %")
        said += [f"{app}: the unused {colour} target goes" for app, _, colour in self.leftover]
        return "; ".join(said) or "traffic is as wanted"


def plan(
    lanes: Mapping[str, Lane],
    rollout: Rollout,
    actual: Mapping[str, Split],
    history: Sequence[Done],
    now: datetime,
    *,
    mine: str = "",
) -> Move:
    """What has to be done so that every lane is as it is wanted.

    Args:
        actual: the split of every app, by app name.
        mine: the id of this process's own moves; a mark with another id belongs to a move that has ended.

    Raises:
        Refused: a wanted release was rejected and `rollout.retry` does not name it.
    """
    ended = tuple(end for app in sorted(lanes) if (end := unfinished(app, lanes[app], actual[app], mine=mine)))
    back = {end.app: end.origin for end in ended}
    legs = [
        leg
        for app, lane in lanes.items()
        if _is_colour(lane.live) and (leg := _leg(app, lane, lane.live, actual[app], history, back.get(app)))
    ]
    _refuse_rejected(legs, rollout, actual, history)
    moving = [leg for leg in legs if leg.kind == "rollout"]
    returning = bool(moving) and all(_returns(leg, rollout, actual[leg.app], history, now) for leg in moving)
    if returning:
        legs = [replace(leg, kind="rollback") if leg in moving else leg for leg in legs]
    legs.sort(key=lambda leg: _rank(leg.app, rollout), reverse=returning)
    leftover = tuple(
        (app, lane.upstream, colour)
        for app, lane in lanes.items()
        for colour in actual[app].slots
        if colour not in lane.addresses
    )
    return Move(ended, tuple(legs), leftover)


def unfinished(app: str, lane: Lane, split: Split, *, mine: str = "", now: datetime | None = None) -> Ended | None:
    """The move that somebody else began on this app and nobody finishes any more, by the mark it left.

    Under the stack's lock every foreign mark is such; with `now`, only one whose deadline has passed is.
    """
    for colour in COLOURS:
        mark = split.slots[colour].move if colour in split.slots else None
        if mark is None or mark.id == mine or (now is not None and mark.deadline > now):
            continue
        if mark.origin is not None and mark.origin in split.slots:
            return Ended(app, split.upstream, mark.origin, lane.probe)
    return None


def settled(split: Split, lane: Lane) -> bool:
    """Whether the gateway already holds exactly what the lane wants, with no mark left on it."""
    goal = split.slots.get(lane.live) if _is_colour(lane.live) else None
    return (
        goal is not None
        and split.live == lane.live
        and goal.weight == 100
        and goal.release == lane.release
        and goal.address == lane.addresses.get(goal.colour)
        and not any(slot.move for slot in split.slots.values())
    )


def current(app: str, split: Split, history: Sequence[Done]) -> Colour | None:
    """The colour that users get: the one with traffic, or, while it is split, the one that history or weight names."""
    if split.live is not None:
        return split.live
    carrying: dict[Colour, int] = {colour: slot.weight for colour, slot in split.slots.items() if slot.weight > 0}
    for done in reversed(history):
        if done.app == app and done.verdict == "passed" and done.goal in carrying:
            return done.goal
    if not carrying:
        return None
    return "blue" if carrying.get("blue", 0) >= carrying.get("green", 0) else "green"


def rejected(release: str, split: Split, history: Sequence[Done]) -> bool:
    """Whether the last word on this release, in history or on its target, is that it failed."""
    verdicts = [done.verdict for done in history if done.release == release and done.verdict != "stopped"]
    if verdicts:
        return verdicts[-1] == "rejected"
    return any(slot.rejected and slot.release == release for slot in split.slots.values())


def _leg(app: str, lane: Lane, goal: Colour, split: Split, history: Sequence[Done], back: Colour | None) -> Leg | None:
    if settled(split, lane):
        return None
    origin = back or current(app, split, history)
    held = split.slots.get(origin) if origin else None
    known = any(done.app == app and done.verdict == "passed" for done in history)
    kind: Kind = "rollout" if origin not in (None, goal) else "repair" if origin and known else "first"
    return Leg(app, lane, kind, goal, origin, held.release if held else None)


def _returns(leg: Leg, rollout: Rollout, split: Split, history: Sequence[Done], now: datetime) -> bool:
    """Whether this leg goes back to a release that passed here before, was not rejected since and is not too old."""
    if rejected(leg.lane.release, split, history):
        return False
    mine = [done for done in history if done.app == leg.app and done.verdict == "passed"]
    passed = [i for i, done in enumerate(mine) if (done.release, done.goal) == (leg.lane.release, leg.goal)]
    if not passed or passed[-1] == len(mine) - 1:
        return False
    since = mine[passed[-1] + 1 :]
    window = rollout.rollback_window
    return len(since) <= window.revisions and now - since[0].finished <= window.duration


def _refuse_rejected(
    legs: Sequence[Leg], rollout: Rollout, actual: Mapping[str, Split], history: Sequence[Done]
) -> None:
    for leg in legs:
        release = leg.lane.release
        if leg.origin == leg.goal or release == rollout.retry or not rejected(release, actual[leg.app], history):
            continue
        raise Refused(
            f"{leg.app}: release {release} on {leg.goal} was rejected when it was last live.",
            world=f"Traffic stays on {leg.origin or 'nothing'}, unchanged.",
            next=f"Set apps.{leg.app}.live back, stage another release, or allow one more try with "
            f"rollout.retry: {release}.",
        )


def _rank(app: str, rollout: Rollout) -> tuple[int, str]:
    return (list(rollout.order).index(app) if app in rollout.order else len(rollout.order), app)


def _is_colour(live: str) -> TypeGuard[Colour]:
    return live in COLOURS
