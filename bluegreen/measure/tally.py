"""What came of the requests to one colour: how many, how many wrong and why, and how long they took.

Latencies fall into the classes of Kong's own histograms, so that a probe's percentile and Kong's are read alike. It
deliberately judges nothing, and never forgets: whoever wants a window subtracts two of its answers.
"""

from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from math import inf

from bluegreen.analysis import Seen

BOUNDS = (25.0, 50.0, 80.0, 100.0, 250.0, 400.0, 700.0, 1000.0, 2000.0, 5000.0, 10000.0, 30000.0, 60000.0, inf)
TOLD = 3  # kinds of faults that are told one by one


class Tally:
    """Counts answers, one at a time."""

    def __init__(self) -> None:
        self._classes = [0] * len(BOUNDS)
        self._faults: Counter[str] = Counter()

    def answered(self, milliseconds: float, fault: str = "") -> None:
        """One answer, and what was wrong with it, if anything."""
        self._classes[bisect_left(BOUNDS, milliseconds)] += 1
        if fault:
            self._faults[fault] += 1

    def missed(self, fault: str) -> None:
        """One request without an answer: wrong, and slower than anything that is measured."""
        self.answered(inf, fault)

    def seen(self) -> Seen:
        """Everything so far."""
        within = list(accumulate(self._classes))
        buckets = tuple(zip(BOUNDS, within, strict=True))
        return Seen(requests=within[-1], errors=self._faults.total(), buckets=buckets)

    def told(self) -> str:
        """What was wrong, the most frequent first: `9 answered 503, 2 no answer within 5 s`; empty without errors."""
        common = self._faults.most_common()
        parts = [f"{count} {fault}" for fault, count in common[:TOLD]]
        rest = sum(count for _, count in common[TOLD:])
        return ", ".join([*parts, f"{rest} for other reasons"] if rest else parts)
