"""A move in the words of its record, and a decision made again from what was recorded of it.

What the judge was given at a look is kept whole, so a fresh judge comes to the same verdicts from the record alone, and
to others with other bars. Not in it: credentials of a metric's source. It deliberately writes nothing: whoever does
gets an entry.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import inf, isfinite

from bluegreen.analysis import Analysis, Look, Seen, Subject, Watch
from bluegreen.gateway import Split
from bluegreen.handler import Halt
from bluegreen.journal import Analysed, Began, Ended, LegTold, Looked, LookTold, RulingTold, SeenTold, SubjectTold
from bluegreen.rollout.judge import Decision, Judge
from bluegreen.rollout.plan import Ended as Unfinished
from bluegreen.rollout.plan import Leg, Move
from bluegreen.rollout.ruling import Ruling
from bluegreen.rollout.spec import Done


def began(at: datetime, move: Move, releases: Mapping[str, str], before: Mapping[str, str] | None) -> Began:
    """A move as it was planned; `releases` are every app's once it has arrived, `before` where that is known."""
    legs = (*(_way_back(ended) for ended in move.ended), *(_leg(leg) for leg in move.legs))
    return Began(at=at, move=str(move), legs=legs, releases=releases, before=before or left(move, releases))


def ended(at: datetime, move: Move, done: Sequence[Done] = (), halt: Halt | None = None) -> Ended:
    """How it ended; `done` is what history keeps of it."""
    rejected = any(each.verdict == "rejected" for each in done)
    verdict = "passed" if halt is None else "rejected" if rejected else "stopped"
    kept = tuple(each.model_dump(mode="json", by_alias=True) for each in done)
    return Ended(at=at, verdict=verdict, text=str(halt) if halt is not None else f"{move}: done", done=kept)


def left(move: Move, releases: Mapping[str, str]) -> Mapping[str, str]:
    """Every app's release before a move, as far as known; `releases` are theirs once it has arrived."""
    origins = {leg.app: leg.origin_release for leg in move.legs}
    return {app: release for app in releases if (release := origins.get(app, releases[app]))}


def under_way(wanted: Mapping[str, str], splits: Mapping[str, Split]) -> Mapping[str, str]:
    """Every app's release that a move brings, or leaves, which nobody finishes any more: the one that is not where
    its marks point; where there is none, the one that is wanted.
    """
    return {**wanted, **_marked(splits, home=False)}


def home(wanted: Mapping[str, str], splits: Mapping[str, Split]) -> Mapping[str, str]:
    """Every app's release once such a move is taken back: the one where its marks point."""
    return {**wanted, **_marked(splits, home=True)}


def _marked(splits: Mapping[str, Split], *, home: bool) -> dict[str, str]:
    found = dict[str, str]()
    for app, split in splits.items():
        homes = [slot.move.origin for slot in split.slots.values() if slot.move is not None and slot.move.origin]
        for slot in split.slots.values():
            if homes and (slot.colour in homes) == home and slot.release:
                found[app] = slot.release
    return found


def analysed(at: datetime, share: str, analysis: Analysis, subjects: Sequence[Subject]) -> Analysed:
    """An analysis as it begins."""
    bare = analysis.model_dump(mode="json", by_alias=True, exclude={"metrics": {"__all__": {"authorization"}}})
    told = tuple(
        SubjectTold(app=each.app, candidate=each.candidate, live=each.live, releases=each.releases) for each in subjects
    )
    return Analysed(at=at, share=share, analysis=bare, subjects=told)


def looked(
    at: datetime, share: str, elapsed: timedelta, last: bool, looks: Sequence[Look], watch: Watch, decision: Decision
) -> Looked:
    """One look: what the judge was given, each request since the look before, what the judge said."""
    samples = watch.samples()
    told = Looked(
        at=at,
        share=share,
        elapsed=elapsed.total_seconds(),
        last=last,
        looks=tuple(_look(look) for look in looks),
        dropped=watch.dropped(),
        rulings=tuple(_ruling(ruling) for ruling in decision.rulings),
    )
    # They are what they have to be; to validate thousands would hold up the loop that sends the next ones.
    return told.model_copy(update={"samples": {app: tuple(each) for app, each in samples.items()}})


def looks(entry: Looked) -> tuple[Look, ...]:
    """What the judge was given at this look."""
    return tuple(
        Look(told.app, told.metric, _seen(told.candidate), None if told.live is None else _seen(told.live))
        for told in entry.looks
    )


def analysis_of(entry: Analysed) -> Analysis:
    """The analysis as it was recorded, without credentials.

    Raises:
        ValueError: it was written by another version, or is none.
    """
    return Analysis.model_validate(entry.analysis)


def rejudged(analysis: Analysis, entries: Sequence[Looked]) -> Sequence[Decision]:
    """What a fresh judge says at each of these looks, up to its verdict; they are of one analysis, in their order."""
    judge, said = Judge(analysis), list[Decision]()
    for entry in entries:
        said.append(judge.look(looks(entry), timedelta(seconds=entry.elapsed), last=entry.last))
        if said[-1].verdict is not None:
            break
    return said


def _leg(leg: Leg) -> LegTold:
    return LegTold(
        app=leg.app,
        way=leg.kind,
        origin=leg.origin,
        goal=leg.goal,
        origin_release=leg.origin_release,
        release=leg.lane.release,
        stages=tuple(str(stage) for stage in leg.stages),
    )


def _way_back(unfinished: Unfinished) -> LegTold:
    return LegTold(app=unfinished.app, way="rollback", goal=unfinished.origin, stages=("100 %",))


def _look(look: Look) -> LookTold:
    live = None if look.live is None else _told(look.live)
    return LookTold(app=look.app, metric=look.metric, candidate=_told(look.candidate), live=live)


def _told(seen: Seen) -> SeenTold:
    """JSON has no infinity: the last bound is null, and a value that is no number is the error that the judge makes of
    it.
    """
    value, error = seen.value, seen.error
    if value is not None and not isfinite(value):
        value, error = None, error or f"it answers no number but {value}"
    buckets = tuple((bound if isfinite(bound) else None, within) for bound, within in seen.buckets)
    return SeenTold(requests=seen.requests, errors=seen.errors, buckets=buckets, value=value, error=error)


def _seen(told: SeenTold) -> Seen:
    buckets = tuple((inf if bound is None else bound, within) for bound, within in told.buckets)
    return Seen(told.requests, told.errors, buckets, told.value, told.error)


def _ruling(ruling: Ruling) -> RulingTold:
    numbers = {name: _finite(getattr(ruling, name)) for name in ("value", "bound")}
    return RulingTold(
        app=ruling.app,
        metric=ruling.metric,
        verdict=ruling.verdict,
        sentence=ruling.sentence,
        dry_run=ruling.dry_run,
        seen=ruling.seen,
        value=numbers["value"],
        bound=numbers["bound"],
        warns=ruling.warns,
    )


def _finite(number: float | None) -> float | None:
    return number if number is not None and isfinite(number) else None
