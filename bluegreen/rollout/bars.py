"""Percentiles of latencies and answered numbers, judged against a bar; how often in a row it may break.

A look that breaks its bar warns, and fails once that happened more than `failureLimit` times in a row; a look that
keeps it takes the warning back. A run that ends while it warns is `inconclusive`: it neither kept its bar nor broke it
for long enough. With `allowedIncrease`, a look breaks its bar only when it is also that many times the live colour's
over the same window; where the live colour cannot be compared, the bar stands alone.

A percentile is judged on what was counted since it was last judged, as soon as that suffices (`percentile.needed`); at
the end, what is left over is judged together with the stretch before it. It deliberately does not smooth or weigh:
a value is judged as it stands, so the bar has to leave room for its noise.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from datetime import timedelta

from bluegreen.analysis import Analysis, Look, Metric, Seen
from bluegreen.rollout.percentile import Reading, needed, reading, samples, since
from bluegreen.rollout.ruling import Finding, Track, window

ORDINALS = {1: "st", 2: "nd", 3: "rd"}


class Barred(Track):
    """Counts how often in a row a bar was broken."""

    def __init__(self, app: str, metric: Metric, analysis: Analysis) -> None:
        super().__init__(app, metric, analysis)
        self._broken = 0  # in a row
        self._last: Finding | None = None  # of the last look that could be judged

    def counted(self, found: Finding, *, broken: bool) -> Finding:
        """This look, told as what it is in its row."""
        self._broken = self._broken + 1 if broken else 0
        limit = self.metric.failure_limit
        if self._broken > limit:
            row = f", {self._broken} times in a row" if limit else ""
            self._last = replace(found, verdict="fail", because=f"the bar is broken{row}")
        elif self._broken:
            self._last = replace(found, warns=True, because=f"{self._broken} in a row, {limit} tolerated")
        else:
            self._last = found
        return self._last

    def end(self) -> Finding | None:
        if self._last is None or self._last.verdict is not None:
            return self._last
        if self._broken:
            because = f"it ends over its bar, {self._broken} in a row, {self.metric.failure_limit} tolerated"
            return replace(self._last, verdict="inconclusive", because=because, warns=False)
        return self.kept(self._last)

    @abstractmethod
    def kept(self, found: Finding) -> Finding:
        """The verdict when the last look kept its bar."""

    def over(self, value: float, live: float | None) -> bool:
        """Whether this value breaks the bar, and is worse than live by more than is allowed."""
        bar, times = self.metric.threshold_range, self.metric.allowed_increase
        above = bar.max is not None and value > bar.max
        below = bar.min is not None and value < bar.min
        if times is None or live is None:
            return above or below
        return (above and value > times * live) or (below and value * times < live)

    def bar(self, live: str) -> str:
        """The bar as text, and what the value is compared with."""
        bar, unit = self.metric.threshold_range, "" if self.metric.measures == "value" else " ms"
        ends = [f"{end:,g}{unit}" for end in (bar.min, bar.max) if end is not None]
        said = f"bar {' to '.join(ends)}" if bar.max is not None else f"bar at least {ends[0]}"
        if self.metric.allowed_increase is None:
            return said
        return f"{said} and {self.metric.allowed_increase:g} times live's{f' {live}' if live else ', not known'}"


class Answered(Barred):
    """A number that a source answers: judged at every look."""

    def __init__(self, app: str, metric: Metric, analysis: Analysis) -> None:
        super().__init__(app, metric, analysis)
        self._answers = 0

    def rule(self, look: Look, elapsed: timedelta) -> Finding:
        value, live = look.candidate.value, look.live.value if look.live and not look.live.error else None
        if value is None:
            return Finding(None, f"no answer yet {window(elapsed)}")
        if live is not None and not math.isfinite(live):
            live = None
        self._answers += 1
        compared = self.bar("" if live is None else f"{live:,.4g}")
        told = f"{value:,.4g} ({compared}; {ordinal(self._answers)} answer) {window(elapsed)}"
        return self.counted(Finding(None, told, seen=self._answers, value=value), broken=self.over(value, live))

    def kept(self, found: Finding) -> Finding:
        return replace(found, verdict="pass")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a stretch begins or ends: what both sides had counted then."""

    at: timedelta
    candidate: Seen
    live: Seen | None


BEGINNING = Mark(timedelta(), Seen(), Seen())


class Percentile(Barred):
    """A percentile of counted latencies: judged whenever enough is new."""

    def __init__(self, app: str, metric: Metric, analysis: Analysis) -> None:
        super().__init__(app, metric, analysis)
        self._needed = needed(metric.percentile)
        self._before = self._judged = BEGINNING  # where the stretch that was judged last began, and where it ended
        self._now = BEGINNING
        self._told = ""  # why nothing could be said of the last stretch, if so

    def rule(self, look: Look, elapsed: timedelta) -> Finding:
        live = None if look.live is None or look.live.error else look.live
        self._now = Mark(elapsed, look.candidate, live)
        fresh = samples(since(look.candidate, self._judged.candidate).buckets)
        if fresh < self._needed:
            told = f"{fresh:,} new samples of the {self._needed:,} that a {self._called()} needs {window(elapsed)}"
            return Finding(None, told, seen=samples(look.candidate.buckets))
        self._before, self._judged = self._judged, self._now
        return self._stretch(self._before, again=False)

    def end(self) -> Finding | None:
        seen = samples(self._now.candidate.buckets)
        if not seen:
            return None
        if self._last is None and not self._told:
            told = f"{seen:,} samples {window(self._now.at)}"
            return Finding("inconclusive", told, f"a {self._called()} needs {self._needed:,}", seen)
        if self._now is not self._judged:
            found = self._stretch(self._before, again=True)
            if found.verdict is not None:
                return found
        if self._told:
            return Finding("inconclusive", self._told, "the bar lies beyond the last bucket", seen)
        return super().end()

    def kept(self, found: Finding) -> Finding:
        least, seen = self.analysis.min_requests, samples(self._now.candidate.buckets)
        if seen < least:
            because = f"{seen:,} requests in all, and it needs {least:,} to pass"
            return replace(found, verdict="inconclusive", because=because)
        return replace(found, verdict="pass")

    def _stretch(self, begin: Mark, *, again: bool) -> Finding:
        """What was counted since then; `again` when a part of it was judged before, so that no break counts twice."""
        fresh = since(self._now.candidate, begin.candidate)
        found = reading(fresh.buckets, self.metric.percentile) or Reading(0.0, open=True)
        live = self._live(begin)
        more = "more than " if found.open else ""
        compared = self.bar("" if live is None else f"{live:,.4g} ms")
        told = (
            f"{self._called()} is {more}{found.value:,.4g} ms of {samples(fresh.buckets):,} samples "
            f"({compared}) {window(self._now.at - begin.at, 'in the last')}"
        )
        self._told = told if found.open and found.value < (self.metric.threshold_range.max or 0) else ""
        finding = Finding(None, told, seen=samples(self._now.candidate.buckets), value=found.value)
        if self._told:
            return replace(finding, because="the bar lies beyond the last bucket")
        broken = self.over(math.nextafter(found.value, math.inf) if found.open else found.value, live)
        if again and broken and self._broken:
            self._broken -= 1
        return self.counted(finding, broken=broken)

    def _live(self, begin: Mark) -> float | None:
        """The live colour's percentile over the same stretch, where it has enough samples."""
        if self._now.live is None or begin.live is None:
            return None
        buckets = since(self._now.live, begin.live).buckets
        found = reading(buckets, self.metric.percentile)
        return found.value if found is not None and samples(buckets) >= self._needed else None

    def _called(self) -> str:
        return f"p{self.metric.percentile:g}"


def ordinal(number: int) -> str:
    """1st, 2nd, 11th."""
    return f"{number:,}{'th' if number % 100 in (11, 12, 13) else ORDINALS.get(number % 10, 'th')}"
