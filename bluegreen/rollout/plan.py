"""What has to move, decided from what is wanted, what is in the gateway and what was done before. Pure: no I/O.

A *rollback* returns every app to a release that passed here before and is still within the window; anything else is
a *rollout*. A move under way that nobody finishes any more is taken back to where it began before anything goes
forward: nothing ever continues upward on an unjudged release.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeGuard

from bluegreen.analysis import Analysis
from bluegreen.gateway import Split
from bluegreen.handler import Refused
from bluegreen.rollout.spec import Done, Kind, Lane, Probe, Rollout
from bluegreen.rollout.stages import AT_ONCE, Stage, Weigh, stages
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
    stages: tuple[Stage, ...] = AT_ONCE
    retried: bool = False  # its release was rejected, and rollout.retry names it

    @property
    def weights(self) -> str:
        """The candidate's shares, as `5/25/100`."""
        return "/".join(str(stage.weight) for stage in self.stages if isinstance(stage, Weigh))


@dataclass(frozen=True, slots=True)
class Ended:
    """A move that nobody finishes any more: its app goes back to `origin` first."""

    app: str
    upstream: str
    origin: Colour
    probe: Probe
    address: str = ""  # of origin, for where its row is missing: somebody died between taking it away and its return
    unmarked: Sequence[Colour] = ()  # as the lane says


@dataclass(frozen=True, slots=True)
class Move:
    """Everything one update does to traffic, in its order. Empty when all is as wanted."""

    ended: tuple[Ended, ...] = ()
    legs: tuple[Leg, ...] = ()
    leftover: tuple[tuple[str, str, Colour], ...] = ()  # (app, upstream, colour) of colours that no longer exist
    before: Analysis | None = None  # of every rollout in it, before any traffic
    after: Analysis | None = None  # and once every app has arrived
    released: tuple[tuple[str, str], ...] = ()  # (app, upstream) that somebody held, and that is wanted so by now
    drain: timedelta = timedelta()  # how long a request may still be answered where there is no traffic any more

    def __bool__(self) -> bool:
        return bool(self.ended or self.legs or self.leftover or self.released)

    @property
    def rollouts(self) -> tuple[Leg, ...]:
        """The legs that go to a release that has yet to prove itself."""
        return tuple(leg for leg in self.legs if leg.kind == "rollout")

    def __str__(self) -> str:
        said = [f"{end.app}: an unfinished move goes back to {end.origin}" for end in self.ended]
        for leg in self.legs:
            said.append(f"{leg.kind}: {leg.app} {leg.origin or 'nothing'} → {leg.goal} {leg.weights} %")
        said += [f"{app}: the hold is released, the config agrees with it" for app, _ in self.released]
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
        Refused: somebody holds an app otherwise than it is wanted, or a wanted release was rejected and `rollout.retry`
            does not name it.
    """
    _refuse_held(lanes, actual)
    ended = tuple(end for app in sorted(lanes) if (end := unfinished(app, lanes[app], actual[app], mine=mine)))
    back = {end.app: end.origin for end in ended}
    legs = [
        leg
        for app, lane in lanes.items()
        if _is_colour(lane.live) and (leg := _leg(app, lane, lane.live, actual[app], history, back.get(app)))
    ]
    legs = [_permitted(leg, rollout, actual[leg.app], history) for leg in legs]
    moving = [leg for leg in legs if leg.kind == "rollout"]
    returning = bool(moving) and all(_returns(leg, rollout, actual[leg.app], history, now) for leg in moving)
    if returning:
        legs = [replace(leg, kind="rollback") if leg in moving else leg for leg in legs]
    legs = [replace(leg, stages=stages(rollout, leg.lane)) if leg.kind == "rollout" else leg for leg in legs]
    legs.sort(key=lambda leg: _rank(leg.app, rollout), reverse=returning)
    leftover = tuple(
        (app, lane.upstream, colour)
        for app, lane in lanes.items()
        for colour in actual[app].slots
        if colour not in lane.addresses
    )
    released = tuple((app, lane.upstream) for app, lane in lanes.items() if actual[app].hold)
    before, after = rollout.pre_promotion_analysis, rollout.post_promotion_analysis
    drain = timedelta(seconds=rollout.max_request_seconds)
    return Move(ended, tuple(legs), leftover, before, after, released, drain)


def unfinished(app: str, lane: Lane, split: Split, *, mine: str = "", now: datetime | None = None) -> Ended | None:
    """The move that somebody else began on this app and nobody finishes any more, by the mark it left.

    Under the stack's lock every foreign mark is such; with `now`, only one whose deadline has passed is.
    """
    marks = [slot.move for slot in split.slots.values() if slot.move is not None]
    for mark in sorted(marks, key=lambda mark: mark.deadline, reverse=True):  # the youngest knows best
        if mark.id == mine or (now is not None and mark.deadline > now):
            continue
        address = lane.addresses.get(mark.origin, "") if mark.origin is not None else ""
        if mark.origin is not None and (mark.origin in split.slots or address):
            return Ended(app, split.upstream, mark.origin, lane.probe, address, lane.unmarked)
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
    """Whether its target says that this release failed, or the last word of history on it does.

    The target knows what state does not: a way back by hand. One that is tried again and passes is written anew.
    """
    verdicts = [done.verdict for done in history if done.release == release and done.verdict != "stopped"]
    marked = any(slot.rejected and slot.release == release for slot in split.slots.values())
    return marked or (bool(verdicts) and verdicts[-1] == "rejected")


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
    if not passed:
        return False
    since = mine[passed[-1] + 1 :]
    if not since:
        return True  # somebody has moved it by hand: this is what was live
    window = rollout.rollback_window
    return len(since) <= window.revisions and now - since[0].finished <= window.duration


def _refuse_held(lanes: Mapping[str, Lane], actual: Mapping[str, Split]) -> None:
    for app, lane in lanes.items():
        hold, live = actual[app].hold, actual[app].live
        if hold is not None and lane.live != live:
            raise Refused(
                f"{app} is {hold}: {live or 'no single colour'} serves, and {lane.live} is wanted.",
                world="Traffic is unchanged.",
                next=f"{_agreement(app, live)}, or go on with it: bluegreen hold release --reason …",
            )


def _agreement(app: str, live: Colour | None) -> str:
    return f"Set apps.{app}.live: {live}" if live else f"Finish it by hand: bluegreen rollback {app} --to … --reason …"


def _permitted(leg: Leg, rollout: Rollout, split: Split, history: Sequence[Done]) -> Leg:
    """The leg, where its release was not rejected, or may be tried this once.

    Raises:
        Refused: it was, and `rollout.retry` does not name it or has allowed it before.
    """
    release = leg.lane.release
    if leg.origin == leg.goal or not rejected(release, split, history):
        return leg
    verdicts = [done for done in history if done.release == release and done.verdict != "stopped"]
    again = bool(verdicts) and verdicts[-1].retried
    if release == rollout.retry and not again:
        return replace(leg, retried=True)
    ways = "" if again else f", or allow one more try with rollout.retry: {release}"
    raise Refused(
        f"{leg.app}: release {release} on {leg.goal} was rejected "
        f"{'again when rollout.retry allowed it once more' if again else 'when it was last live'}.",
        world=f"Traffic stays on {leg.origin or 'nothing'}, unchanged.",
        next=f"Set apps.{leg.app}.live back, stage another release{ways}.",
    )


def _rank(app: str, rollout: Rollout) -> tuple[int, str]:
    return (list(rollout.order).index(app) if app in rollout.order else len(rollout.order), app)


def _is_colour(live: str) -> TypeGuard[Colour]:
    return live in COLOURS
