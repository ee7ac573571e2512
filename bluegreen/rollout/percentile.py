"""Percentiles out of cumulative histogram buckets, as Prometheus' `histogram_quantile` reads them, and what they need.

Within a bucket every value is taken to be equally likely. What falls into the last, infinite bucket is known only to be
more than the last finite bound, and is said so instead of being guessed. It deliberately knows no bar.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bluegreen.analysis import Seen

Buckets = Sequence[tuple[float, int]]  # (upper bound, how many were within it), cumulative, the last bound infinite

# A percentile rests on what lies beyond it: with 10 expected there, luck alone halves or doubles that number only once
# in some 30 times (Poisson: P(X <= 5) = 0.067, P(X >= 20) = 0.003); with 1 it would be as likely none as not.
BEYOND = 10


@dataclass(frozen=True, slots=True)
class Reading:
    """A percentile in the buckets' unit; `open` when all that is known is that it is more than that."""

    value: float
    open: bool = False


def needed(percentile: float) -> int:
    """How many samples this percentile needs before it means anything: 200 for the 95th, 1,000 for the 99th."""
    return math.ceil(round(100 * BEYOND / (100 - percentile), 3))


def samples(buckets: Buckets) -> int:
    """How many values the buckets hold."""
    return buckets[-1][1] if buckets else 0


def reading(buckets: Buckets, percentile: float) -> Reading | None:
    """The percentile; None when there is nothing to read."""
    rank = samples(buckets) * percentile / 100
    if not rank:
        return None
    for (low, before), (bound, within) in pairwise([(0.0, 0), *buckets]):
        if within >= rank and within > before:
            if math.isinf(bound):
                return Reading(low, open=True)
            return Reading(low + (bound - low) * (rank - before) / (within - before))
    return None


def since(now: Seen, before: Seen) -> Seen:
    """What was counted after `before`; everything, when the source has begun to count anew."""
    if now.requests < before.requests or samples(now.buckets) < samples(before.buckets):
        return now
    counted = dict(before.buckets)
    buckets = [(bound, within - counted.get(bound, 0)) for bound, within in now.buckets]
    return Seen(now.requests - before.requests, now.errors - before.errors, buckets)
