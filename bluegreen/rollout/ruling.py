"""What the judge says of one metric of one app, and what every kind of metric has in common: silence, its own end.

A source that does not answer, or answers no number, is an error of that look. More than 4 in a row end it, which is
the `consecutiveErrorLimit` that Argo Rollouts defaults to: one lost answer is no news, five are. Where they are the
last looks, fewer suffice: a pass has to have heard the end, and news of at least half of the time (`covered`). It
deliberately knows neither counts nor bars: those are `error_share` and `bars`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bluegreen.analysis import COUNTED, Analysis, Look, Metric, Seen, Verdict
from bluegreen.rollout.covered import Covered, coverage

ERRORS_TOLERATED = 4


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is to be said of one metric of one app after a look; the verdict is None while it goes on.

    `value` is in percent for errors, in milliseconds for latencies; `bound` is the upper bound of errors, in percent.
    `seen` counts requests, or answers of a source that answers a number. `warns`: its bar is broken, and still
    tolerated.
    """

    app: str
    metric: str
    verdict: Verdict | None
    sentence: str
    dry_run: bool = False
    seen: int = 0
    value: float | None = None
    bound: float | None = None
    warns: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What a metric's own rules found: the value and what surrounds it as text, and the verdict with its reason."""

    verdict: Verdict | None
    told: str
    because: str = ""
    seen: int = 0
    value: float | None = None
    bound: float | None = None
    warns: bool = False


class Track(ABC):
    """One metric of one app, from its first look to its verdict, which it keeps."""

    def __init__(self, app: str, metric: Metric, analysis: Analysis) -> None:
        self.app = app
        self.metric = metric
        self.analysis = analysis
        self._kept: Ruling | None = None
        self._silent = 0  # looks in a row that were errors
        self._problem = ""  # the last of them
        self._heard = False  # whether any look was none
        self._covered: Covered = coverage(metric, analysis)

    def look(self, look: Look, elapsed: timedelta, *, last: bool) -> Ruling:
        """What one more look says; the last one always has a verdict."""
        if self._kept is None:
            ruling = ruled(self.app, self.metric, self._found(look, elapsed, last=last))
            if ruling.verdict is None:
                return ruling
            self._kept = ruling
        return self._kept

    @abstractmethod
    def rule(self, look: Look, elapsed: timedelta) -> Finding:
        """What this look says. It answers without a verdict unless nothing later could change it."""

    @abstractmethod
    def end(self) -> Finding | None:
        """The verdict on everything that was seen; None when nothing was."""

    def _found(self, look: Look, elapsed: timedelta, *, last: bool) -> Finding:
        problem = _problem(look.candidate)
        self._covered.add(None if problem else look.candidate, elapsed)
        if problem:
            self._silent, self._problem = self._silent + 1, problem
            if self._silent > ERRORS_TOLERATED:
                return Finding("error", f"{problem}, {self._silent} looks in a row, {window(elapsed)}")
            if not last:
                return Finding(None, f"{problem}, at the look {window(elapsed, 'after')}")
        else:
            self._silent, self._heard = 0, True
            found = self.rule(look, elapsed)
            if found.verdict is not None or not last:
                return found
        return self._whole(self.end() or self._nothing(elapsed))

    def _whole(self, found: Finding) -> Finding:
        """The finding; no pass, though, where the end was not heard, or too little of the time before it."""
        if found.verdict != "pass":
            return found
        if self._silent:
            looks = "the last look" if self._silent == 1 else f"the last {self._silent} looks"
            return replace(found, verdict="error", because=f"{self._problem}, at {looks}")
        missed = self._covered.missed()
        if not missed:
            return found
        if self._problem and self.metric.source not in COUNTED:
            return replace(found, verdict="error", because=f"{self._problem}: {missed}")
        return replace(found, verdict="inconclusive", because=missed)

    def _nothing(self, elapsed: timedelta) -> Finding:
        if self._problem and not self._heard:
            return Finding("error", f"{self._problem}, at every look {window(elapsed)}")
        return nothing(self.analysis, elapsed)


def ruled(app: str, metric: Metric, found: Finding) -> Ruling:
    """The finding as a sentence that names what it is about."""
    subject = f"{app} {metric.name}".strip()
    return Ruling(
        app,
        metric.name,
        found.verdict,
        f"{subject}: {found.told}: {_said(found, dry_run=metric.dry_run)}",
        metric.dry_run,
        found.seen,
        found.value,
        found.bound,
        found.warns,
    )


def nothing(analysis: Analysis, elapsed: timedelta) -> Finding:
    """No look saw anything: what that means, the analysis says."""
    return Finding(analysis.on_no_data, f"nothing was seen {window(elapsed)} (onNoData)")


def window(span: timedelta, words: str = "in") -> str:
    """`in 60 s`, as it stands in a sentence."""
    seconds = span.total_seconds()
    return f"{words} {seconds:,.0f} s" if seconds >= 10 else f"{words} {seconds:.2g} s"


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The one that decides for all of them."""
    order: Sequence[Verdict] = ("fail", "error", "inconclusive", "pass")
    return min(verdicts, key=order.index)


def _problem(seen: Seen) -> str:
    if seen.error:
        return seen.error.rstrip(".")
    if seen.value is not None and not math.isfinite(seen.value):
        return f"it answers no number but {seen.value}"
    return ""


def _said(found: Finding, *, dry_run: bool) -> str:
    word: str = found.verdict or ("warns" if found.warns else "goes on")
    if dry_run and found.verdict is not None:
        be = {"inconclusive": "be ", "error": "be an "}.get(found.verdict, "")
        word = f"dry run: would {be}{found.verdict}"
    elif dry_run:
        word = f"dry run, {word}"
    return f"{word}, {found.because}" if found.because else word
