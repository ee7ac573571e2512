"""What came of one endpoint on one way, round by round: its last answers, percentiles, errors, and its trend.

A trend compares medians, because a mean is one outlier away from anything, and it needs 20 answers on either side. A
difference of a few milliseconds is none, whatever the ratio says. Pure; it deliberately asks nothing.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from bluegreen.journal import Beat

SHOWN = 30  # answers of a sparkline
WINDOW = 6  # rounds that errors are counted in
RECENT = 20  # answers of a percentile that an alert is raised by
KEPT = 10_000  # answers of the whole watch's percentiles
NEEDED = 20  # answers on either side of a trend
BETTER, WORSE = 0.8, 1.25  # ratios of medians
NEGLIGIBLE = 10.0  # milliseconds: less is no trend

Direction = Literal["better", "same", "worse", "too few", "no baseline"]


@dataclass(frozen=True, slots=True)
class Before:
    """How an endpoint was before the release, as far as that was recorded."""

    n: int
    p50: float
    p95: float
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Trend:
    """Where an endpoint goes, beside what it was before; `ratio` is of the medians."""

    direction: Direction
    ratio: float | None = None
    n: int = 0
    before: Before | None = None

    def __str__(self) -> str:
        if self.ratio is None:
            return self.direction
        return f"{self.direction} ×{self.ratio:.2g}"


@dataclass(slots=True)
class Row:
    """One endpoint on one way."""

    app: str
    endpoint: str
    way: str
    asked: int = 0
    errors: int = 0
    unanswered: int = 0
    silent: int = 0  # rounds in a row without any answer
    fresh: int = 0  # the newest answers, which alerts may be raised by
    beats: deque[Beat] = field(default_factory=lambda: deque(maxlen=KEPT))

    def add(self, beat: Beat) -> None:
        self.beats.append(beat)
        self.asked += 1
        self.fresh += 1
        self.errors += bool(beat.fault)
        self.unanswered += beat.status is None
        self.silent = self.silent + 1 if beat.status is None else 0

    def anew(self) -> None:
        """What came before says nothing of what serves now: no alert is raised by it any more."""
        self.silent = self.fresh = 0

    @property
    def window(self) -> list[Beat]:
        """What alerts are raised by: the newest rounds since it began anew."""
        return self._newest(min(self.fresh, WINDOW))

    @property
    def last(self) -> Beat | None:
        return self.beats[-1] if self.beats else None

    @property
    def times(self) -> list[float]:
        """Milliseconds of every answer, the good ones alone: how fast an error came says nothing."""
        return [beat.ms for beat in self.beats if beat.ms is not None and not beat.fault]

    def recent(self, answers: int = RECENT) -> list[float]:
        return self.times[-answers:]

    @property
    def fresh_times(self) -> list[float]:
        """The same of the newest good answers, as far as they count for alerts."""
        return [beat.ms for beat in self._newest(self.fresh) if beat.ms is not None and not beat.fault][-RECENT:]

    def _newest(self, count: int) -> list[Beat]:
        return list(islice(reversed(self.beats), count))[::-1]

    def trend(self, before: Before | None) -> Trend:
        if before is None:
            return Trend("no baseline")
        times = self.times
        if len(times) < NEEDED or before.n < NEEDED:
            return Trend("too few", None, len(times), before)
        now = percentile(times, 50)
        ratio = now / before.p50 if before.p50 else math.inf
        if abs(now - before.p50) < NEGLIGIBLE or BETTER <= ratio <= WORSE:
            return Trend("same", ratio, len(times), before)
        return Trend("better" if ratio < 1 else "worse", ratio, len(times), before)


def percentile(values: Sequence[float], wanted: float) -> float:
    """The nearest rank: a value that was really measured. There has to be one."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * wanted / 100) - 1)]
