"""What the app's users felt: every transaction of the load, with its end and its latency, and the figures of them.

The load is an open loop: a transaction has a moment at which it was due, and its latency is counted from there, so
users who had to queue are not left out because the load was stuck as well.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

SLOW = 100.0  # ms: what a person notices


@dataclass(frozen=True, slots=True)
class Answer:
    """One transaction: when it ended, in seconds of the epoch, and how many milliseconds after it was due."""

    ended: float
    latency: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """The transactions of one run, in the order in which they ended."""

    answers: Sequence[Answer]

    def percentile(self, percent: float) -> float:
        """The latency that so many of 100 transactions do not exceed (nearest rank)."""
        ordered = sorted(answer.latency for answer in self.answers)
        return ordered[max(math.ceil(percent / 100 * len(ordered)), 1) - 1]

    @property
    def longest(self) -> float:
        return max(answer.latency for answer in self.answers)

    @property
    def slow(self) -> float:
        """The percentage that took more than 100 ms."""
        return 100 * sum(answer.latency > SLOW for answer in self.answers) / len(self.answers)

    @property
    def silence(self) -> float:
        """The longest time in which nobody got an answer, in ms."""
        return 1000 * max((after.ended - before.ended for before, after in pairwise(self.answers)), default=0.0)

    def during(self, began: float, ended: float) -> "Traffic":
        """Those that were under way in this time."""
        return Traffic(
            [each for each in self.answers if each.ended >= began and each.ended - each.latency / 1000 <= ended]
        )


def read(lines: Iterable[str]) -> Traffic:
    """pgbench's log of transactions: client, number, latency in µs, script, seconds, µs, and how late it began."""
    answers: list[Answer] = []
    for line in lines:
        _, _, latency, _, seconds, microseconds, *_ = line.split()
        if latency.isdecimal():  # `failed` and `skipped` are no latencies, and neither is asked for
            answers.append(Answer(int(seconds) + int(microseconds) / 1e6, int(latency) / 1000))
    return Traffic(sorted(answers, key=lambda answer: answer.ended))
