"""What would other bars have said? The recorded looks of every analysis, judged once more by the same judge.

It tells what the judge would have said at each look that was made, no more: where an analysis ended early, nobody
looked afterwards, and a verdict that needed more is not made up.

    minRequests: 100
    metrics:
      errors: {thresholdRange: {max: 0.5}}
      slow: {thresholdRange: {max: 500}, failureLimit: 1, percentile: 95}
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from bluegreen.analysis import Analysis, ThresholdRange
from bluegreen.handler import Refused
from bluegreen.journal import Analysed, AnyEntry, Decided, Looked
from bluegreen.report.chapter import NEVER
from bluegreen.report.moves import metrics_of
from bluegreen.report.said import Said, lasted
from bluegreen.rollout.record import rejudged
from bluegreen.spec import Name, Spec, State, problems

UNTOUCHED = "Nothing was judged or written."


class Bars(Spec):
    """What is judged otherwise of one metric; what is not named stays as it was."""

    threshold_range: ThresholdRange | None = None
    failure_limit: int | None = Field(default=None, ge=0)
    percentile: float | None = Field(default=None, gt=0, lt=100)
    allowed_increase: float | None = Field(default=None, ge=1)
    dry_run: bool | None = None


class Thresholds(Spec):
    """Other bars for analyses that are over."""

    min_requests: int | None = Field(default=None, ge=1)
    on_no_data: Literal["fail", "inconclusive"] | None = None
    metrics: Mapping[Name, Bars] = {}


class Judgement(State):
    """A verdict and when it came, in seconds after the analysis began; None where there was none."""

    verdict: Said | None = None
    sentence: Said = ""
    after: float = 0.0


class Again(State):
    """One analysis, judged then and now; `sooner` is how many seconds earlier the verdict comes now."""

    at: datetime = NEVER
    share: Said = ""
    then: Judgement = Judgement()
    now: Judgement = Judgement()
    sooner: float | None = None
    told: Said = ""
    unjudged: Said = ""  # why these bars do not fit this analysis; it is not judged again then


class Rejudged(State):
    """Every analysis of one release, judged once more."""

    schema_version: int = 1
    stack: Said = ""
    release: Said = ""
    made: datetime = NEVER
    thresholds: Mapping[str, Any] = {}
    analyses: tuple[Again, ...] = ()


@dataclass(slots=True)
class _Held:
    """One analysis of the record with its looks."""

    began: Analysed
    looked: list[Looked] = field(default_factory=list)
    decided: Decided | None = None


def thresholds(file: Path) -> Thresholds:
    """The bars in a file.

    Raises:
        Refused: it cannot be read, or something in it is not known; every fault is named by its path.
    """
    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
        return Thresholds.model_validate(read if read is not None else {})
    except ValidationError as error:
        what = f"{file}: {'; '.join(problems(error))}."
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as problem:
        what = f"{file} cannot be read: {str(problem).splitlines()[0]}."
    raise Refused(what, world=UNTOUCHED, next="Write it as docs/report.md shows.")


def judge_again(entries: Sequence[AnyEntry], bars: Thresholds) -> tuple[Again, ...]:
    """Every analysis of a record by these bars.

    Raises:
        Refused: no analysis has a metric that is named, or the bars fit none of them.
    """
    held = list(_analyses(entries))
    known = {name for each in held for name in metrics_of(each.began)}
    unknown = [f"metrics.{name}" for name in bars.metrics if name not in known]
    if unknown:
        there = f"its metrics are {', '.join(sorted(known))}" if known else "nothing was analysed"
        raise Refused(
            f"{' and '.join(unknown)}: not in the record of this release; {there}.",
            world=UNTOUCHED,
            next="Name metrics of the record.",
        )
    judged = tuple(_again(each, bars) for each in held)
    if judged and all(each.unjudged for each in judged):
        raise Refused(
            f"The analysis at {judged[0].share} cannot be judged so: {judged[0].unjudged}.",
            world=UNTOUCHED,
            next="Choose bars that fit what was measured, or leave that metric out.",
        )
    return judged


def _analyses(entries: Sequence[AnyEntry]) -> Iterator[_Held]:
    """In the order in which they ended; one that was cut off comes last."""
    open_: dict[str, _Held] = {}
    for entry in entries:
        if isinstance(entry, Analysed):
            if entry.share in open_:
                yield open_.pop(entry.share)
            open_[entry.share] = _Held(entry)
        elif isinstance(entry, Looked) and entry.share in open_:
            open_[entry.share].looked.append(entry)
        elif isinstance(entry, Decided) and entry.share in open_:
            open_[entry.share].decided = entry
            yield open_.pop(entry.share)
    yield from open_.values()


def _again(held: _Held, bars: Thresholds) -> Again:
    decided, looked = held.decided, held.looked
    then = Judgement(
        verdict=decided.verdict if decided is not None else None,
        sentence=decided.sentence if decided is not None else "the record ends before a verdict",
        after=looked[-1].elapsed if looked else 0.0,
    )
    wanted = _otherwise(held.began, bars)
    if isinstance(wanted, str):
        began, before = held.began, _ended(then)
        told = f"{before}; it cannot be judged so: {wanted}"
        return Again(at=began.at, share=began.share, then=then, told=told, unjudged=wanted)
    said = rejudged(wanted, looked)
    last = looked[len(said) - 1] if said else None
    verdict = said[-1].verdict if said else None
    now = Judgement(verdict=verdict, sentence=said[-1].sentence if said else "", after=last.elapsed if last else 0.0)
    both = then.verdict is not None and verdict is not None
    sooner = then.after - now.after if both else None
    return Again(
        at=held.began.at, share=held.began.share, then=then, now=now, sooner=sooner, told=_told(then, now, sooner)
    )


def _otherwise(began: Analysed, bars: Thresholds) -> Analysis | str:
    """The recorded analysis with these bars in it, or why they do not fit it: it was too short for them, say."""
    changed = bars.model_dump(mode="json", by_alias=True, exclude_none=True)
    metrics = [{**each, **changed.get("metrics", {}).get(name, {})} for name, each in metrics_of(began).items()]
    over = {key: value for key, value in changed.items() if key != "metrics"}
    try:
        return Analysis.model_validate({**began.analysis, **over, "metrics": metrics})
    except ValidationError as error:
        # What is advised there is for a config: what is over sends no more probes.
        return "; ".join(each.partition(". ")[0] for each in problems(error))


def _ended(then: Judgement) -> str:
    return f"then {then.verdict or 'no verdict'} after {lasted(then.after)}"


def _told(then: Judgement, now: Judgement, sooner: float | None) -> str:
    before = _ended(then)
    if now.verdict is None:
        if not now.after:
            return f"{before}; nobody looked, so there is nothing to judge"
        return f"{before}; now it would have gone on: the record ends after {lasted(now.after)} without a verdict"
    when = f"{now.verdict} after {lasted(now.after)}"
    if sooner is None or abs(sooner) < 0.05:
        return f"{before}; now {when}"
    return f"{before}; now {when}, {lasted(abs(sooner))} {'earlier' if sooner > 0 else 'later'}"
