"""Whether one app can be rolled back now: to what, until when, and what is in the way, each in a sentence.

The answer is `plan`'s own: a plan that goes to the other colour is drawn up and never carried out. What is added here
is what a plan does not look at, and the reasons. Pure, and it takes plain values: nothing is asked of a gateway, a
database or a colour, so a possible rollback may still find nobody well there. A release of several apps comes back as
one, so it is possible when it is for each of them; that is for whoever asks to put together.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bluegreen.gateway import Hold, Split
from bluegreen.handler import Refused
from bluegreen.rollout.plan import current, plan, rejected, unfinished
from bluegreen.rollout.spec import Done, Lane, Rollout
from bluegreen.spec import COLOURS, Colour


@dataclass(frozen=True, slots=True)
class Admissible:
    """Whether a rollback is possible now. `why` is the whole answer for a person, `blocks` each reason against it.

    `until` is the end of the rollback window, wherever there was a move that began it.
    """

    possible: bool
    colour: Colour | None
    release: str | None
    until: datetime | None
    why: str
    blocks: Sequence[str] = ()

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside traffic; whatever is not known blocks nothing.

    `releases` and `schema_min` are by colour, as the config has them; `schema` is what the database holds; `hold` is
    the one on what is live now; `took` is how long such a rollback was measured to take; `stopped` are the colours that
    do not run while they are idle: going back there is `pulumi up`'s alone, which starts them first.
    """

    releases: Mapping[Colour, str] | None = None
    schema_min: Mapping[Colour, str | None] | None = None
    schema: str | None = None
    hold: Hold | None = None
    took: timedelta | None = None
    stopped: Collection[Colour] = ()


@dataclass(frozen=True, slots=True)
class _Way:
    """The way back of one app, as history tells it; nothing in it is a judgement."""

    app: str
    goal: Colour
    origin: Colour
    release: str | None  # what the goal runs now, as far as anybody can tell
    was: Done | None  # when that release was last live there
    last: Done | None  # what was last live there, whatever it was
    since: Sequence[Done]  # the moves that have passed since `was`, the one that left it first
    until: datetime | None

    def __str__(self) -> str:
        as_of = f", as of {_clock(self.was.finished)}" if self.was else ""
        return f"{self.goal} (release {self.release}{as_of})" if self.release else self.goal


NOTHING = Known()


def admissible(
    app: str,
    lane: Lane,
    split: Split,
    history: Sequence[Done],
    rollout: Rollout,
    now: datetime,
    known: Known = NOTHING,
) -> Admissible:
    """Whether this app can be rolled back now, by plan's own judgement and by what is known beside it.

    Args:
        lane: as the stack's config has it; it may already name the colour to go back to.
        split: as the gateway has it now.
    """
    origin = current(app, split, history)
    if origin is None:
        why = f"{app}: a rollback is not possible: nothing carries traffic."
        return Admissible(False, None, None, None, why, ("nothing carries traffic",))
    way = _way(app, origin, lane, split, history, rollout, known)
    blocks = (*_in_the_way(way, lane, split, known), *_no_return(way, lane, split, history, rollout, now))
    if blocks:
        why = f"{app}: a rollback to {way} is not possible: {'; '.join(blocks)}."
        return Admissible(False, way.goal, way.release, way.until, why, blocks)
    until = f" until {_clock(way.until)}" if way.until else ""
    took = f", in about {_about(known.took)}" if known.took is not None else ""
    starts = f"; {way.goal} is stopped, and pulumi up restarts it first" if way.goal in known.stopped else ""
    why = f"{app}: a rollback to {way} is possible{until}{took}{starts}."
    return Admissible(True, way.goal, way.release, way.until, why)


def _way(
    app: str, origin: Colour, lane: Lane, split: Split, history: Sequence[Done], rollout: Rollout, known: Known
) -> _Way:
    goal: Colour = COLOURS[1] if origin == COLOURS[0] else COLOURS[0]
    passed = [done for done in history if done.app == app and done.verdict == "passed"]
    there = [at for at, done in enumerate(passed) if done.goal == goal]
    last = passed[there[-1]] if there else None
    held = split.slots.get(goal)
    # A target's tag tells what was last live there; the config tells what was deployed there since.
    runs = lane.release if lane.live == goal else (known.releases or {}).get(goal)
    release = runs or (held.release if held else None) or (last.release if last else None)
    same = [at for at in there if passed[at].release == release]
    since = passed[same[-1] + 1 :] if same else ()
    until = since[0].finished + rollout.rollback_window.duration if since else None
    return _Way(app, goal, origin, release, passed[same[-1]] if same else None, last, since, until)


def _in_the_way(way: _Way, lane: Lane, split: Split, known: Known) -> Iterator[str]:
    """What stands against it although the release itself could be returned to."""
    ended = unfinished(way.app, lane, split)
    if ended is not None:
        yield f"a move is under way or was cut short, and goes back to {ended.origin} first"
    elif len(split.carrying) > 1:
        shares = " and ".join(f"{colour} {split.slots[colour].weight}" for colour in split.carrying)
        yield f"traffic is split ({shares}), and is put right first"
    if known.hold is not None:
        yield f"{way.origin} is {known.hold}"
    if way.goal not in lane.addresses:
        yield f"{way.goal} has no block in the config, so there is no address to go to"
    needs = (known.schema_min or {}).get(way.goal)
    if needs is not None and known.schema is not None and int(needs) > int(known.schema):
        yield f"{way.goal} needs schema {needs}, and the database holds {known.schema}"


def _no_return(
    way: _Way, lane: Lane, split: Split, history: Sequence[Done], rollout: Rollout, now: datetime
) -> tuple[str, ...]:
    """Why going there would be no return; nothing where it would be one, and plan has the only say in that."""
    if way.release is not None and _returns(way, lane, split, history, rollout, now):
        return ()
    reasons = tuple(_reasons(way, split, history, rollout, now))
    return reasons or (f"pulumi up would take {way.goal} for a new rollout",)


def _returns(way: _Way, lane: Lane, split: Split, history: Sequence[Done], rollout: Rollout, now: datetime) -> bool:
    wanted = lane.model_copy(update={"live": way.goal, "release": way.release})
    # Without marks: a move that is under way is a reason of its own, and says nothing about this release.
    calm = Split(split.upstream, {colour: replace(slot, move=None) for colour, slot in split.slots.items()})
    try:
        move = plan({way.app: wanted}, rollout, {way.app: calm}, history, now)
    except Refused:
        return False
    return any(leg.kind == "rollback" for leg in move.legs)


def _reasons(way: _Way, split: Split, history: Sequence[Done], rollout: Rollout, now: datetime) -> Iterator[str]:
    if way.release is not None and rejected(way.release, split, history):
        yield f"release {way.release} was rejected when it was last live"
    if way.was is None:
        yield _never(way)
    elif not way.since:
        yield f"no move away from {way.goal} is on record"
    window = rollout.rollback_window
    if len(way.since) > window.revisions:
        moves = "1 move has" if len(way.since) == 1 else f"{len(way.since)} moves have"
        yield f"{moves} passed since, and rollbackWindow.revisions is {window.revisions}"
    if way.until is not None and now > way.until:
        yield f"the rollback window is over since {_clock(way.until)}"


def _never(way: _Way) -> str:
    if way.last is None:
        return "nothing older has passed here"
    left = _clock(way.last.finished)
    return f"{way.goal} runs another release by now: {way.last.release} was live there, as of {left}"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _about(took: timedelta) -> str:
    """A measured time, as nobody reads more of it: in whole seconds, and at least one."""
    seconds = max(1, round(took.total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min"
