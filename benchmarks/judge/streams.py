"""A release as the judges see it: requests at a steady rate, each failing with the same share, independently.

Only the places of the errors are drawn, so a run costs what it has of errors and not what it has of requests.
"""

import math
import random
from bisect import bisect_left
from dataclasses import dataclass

SECONDS = 600  # of every run


@dataclass(frozen=True, slots=True)
class Release:
    """What is true of a release and its traffic."""

    share: float
    rps: int

    def __str__(self) -> str:
        return f"{100 * self.share:g} % at {self.rps} rps"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a release: which of its requests failed, in their order."""

    release: Release
    failed: tuple[int, ...]

    def requests(self, until: float) -> int:
        return round(until * self.release.rps)

    def errors(self, until: float) -> int:
        return bisect_left(self.failed, self.requests(until))


def drawn(release: Release, chance: random.Random) -> Run:
    """One run of it: the gaps between errors are geometric."""
    requests, ends = SECONDS * release.rps, math.log1p(-release.share)
    failed: list[int] = []
    place = -1
    while True:
        place += 1 + int(math.log(1 - chance.random()) / ends)
        if place >= requests:
            return Run(release, tuple(failed))
        failed.append(place)
