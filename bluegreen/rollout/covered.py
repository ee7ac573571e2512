"""How much of its time an analysis has news of: a pass speaks for all of it, so at least half has to be known.

A count includes everything since the analysis began, so a look that was missed is made up for by the next; what it
does not make up for is a long stretch in which nothing new was counted, which says nothing of the release. Stretches up
to a tenth of the duration are no news: little traffic comes like that. An answered number speaks for the moment it was
answered, so it covers the time since the look before, and a look without an answer covers none. It deliberately judges
nothing else.
"""

from abc import ABC, abstractmethod
from datetime import timedelta

from bluegreen.analysis import COUNTED, Analysis, Metric, Seen
from bluegreen.rollout.percentile import samples

LEAST = 0.5  # of the time has to be covered
SPARSE = 0.1  # of the duration: so long nothing may be counted before it counts as a gap


class Covered(ABC):
    """The looks so far, and the time that they tell about."""

    @abstractmethod
    def add(self, seen: Seen | None, elapsed: timedelta) -> None:
        """One more look; None when it was an error."""

    @abstractmethod
    def missed(self) -> str:
        """What is missing for a pass, in words; empty when nothing is."""


def coverage(metric: Metric, analysis: Analysis) -> Covered:
    """How the time is covered that this metric is looked at."""
    return Counting(metric, analysis) if metric.source in COUNTED else Answering()


class Counting(Covered):
    """Covers all but the long stretches in which nothing new was counted."""

    def __init__(self, metric: Metric, analysis: Analysis) -> None:
        self._errors = metric.measures == "errors"
        self._sparse = max(SPARSE * analysis.duration, analysis.interval)
        self._count = 0
        self._news = self._heard = timedelta()  # when something new was counted last, and when a count was heard last
        self._gaps = timedelta()  # those that have ended

    def add(self, seen: Seen | None, elapsed: timedelta) -> None:
        if seen is None:
            return
        count = seen.requests if self._errors else samples(seen.buckets)
        if count != self._count:
            self._gaps += self._gap()
            self._count, self._news = count, elapsed
        self._heard = elapsed

    def missed(self) -> str:
        gaps = self._gaps + self._gap()
        if self._heard - gaps >= LEAST * self._heard:
            return ""
        return f"nothing new was counted for {_seconds(gaps)} of {_seconds(self._heard)}, and a pass needs half"

    def _gap(self) -> timedelta:
        """How long it is known by now that nothing new comes, where that is long."""
        quiet = self._heard - self._news
        return quiet if quiet > self._sparse else timedelta()


class Answering(Covered):
    """Covers the time up to each look that was answered, from the look before it."""

    def __init__(self) -> None:
        self._at = self._answered = timedelta()
        self._ends = False  # with an answer

    def add(self, seen: Seen | None, elapsed: timedelta) -> None:
        self._ends = seen is not None and seen.value is not None
        if self._ends:
            self._answered += elapsed - self._at
        self._at = elapsed

    def missed(self) -> str:
        if not self._ends:
            return "the last look had no answer"
        if self._answered >= LEAST * self._at:
            return ""
        return f"there were answers for {_seconds(self._answered)} of {_seconds(self._at)}, and a pass needs half"


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():,.3g} s" if span < timedelta(seconds=10) else f"{span.total_seconds():,.0f} s"
