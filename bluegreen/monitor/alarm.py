"""Alerts: each is raised once and resolved once for one trouble, however the trouble flickers. Pure.

What is wrong in one round is a `Trouble` by its key. It is raised after so many rounds in a row as its kind needs, and
resolved after CALM rounds in a row without it; in between nothing is said again. It deliberately decides neither what
a trouble is (`trouble.py`) nor who hears of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

CALM = 2  # rounds in a row without it

Level = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong in this round; `rounds` in a row are needed before anybody hears of it."""

    key: str
    level: Level
    subject: str
    text: str
    rounds: int = 1


@dataclass(frozen=True, slots=True)
class Raised:
    """One alert, from when it was raised until it was resolved; `text` is what was said when it was raised."""

    key: str
    level: Level
    subject: str
    text: str
    at: datetime
    resolved: datetime | None = None


def worst(raised: Sequence[Raised]) -> str:
    """One sentence for what was raised at once: the first of it, and how many others; each is told by itself anyway."""
    first, others = raised[0], len(raised) - 1
    more = f"; and {others} more alert{'s' if others > 1 else ''}" if others else ""
    return f"{first.subject}: {first.text}{more}"


@dataclass(slots=True)
class _Track:
    """How one trouble went lately."""

    bad: int = 0  # rounds in a row with it
    calm: int = 0  # and without
    open: Raised | None = None


@dataclass(slots=True)
class Alarms:
    """Every alert of one watch."""

    past: list[Raised] = field(default_factory=list)  # resolved, in the order in which they were
    _tracks: dict[str, _Track] = field(default_factory=dict)

    @property
    def open(self) -> list[Raised]:
        """What is raised and not resolved, the worst first."""
        found = [track.open for track in self._tracks.values() if track.open is not None]
        return sorted(found, key=lambda raised: (raised.level != "critical", raised.level != "warning", raised.at))

    @property
    def all(self) -> list[Raised]:
        """Everything that was ever raised, in that order."""
        return sorted([*self.past, *self.open], key=lambda raised: raised.at)

    def round(self, at: datetime, troubles: Iterable[Trouble]) -> tuple[Sequence[Raised], Sequence[Raised]]:
        """What this round raises, and what it resolves."""
        now = {trouble.key: trouble for trouble in troubles}
        raised = [each for trouble in now.values() if (each := self._bad(at, trouble)) is not None]
        resolved = [each for key in self._tracks.keys() - now.keys() if (each := self._calm(at, key)) is not None]
        return raised, sorted(resolved, key=lambda each: each.at)

    def tell(self, at: datetime, subject: str, text: str) -> Raised:
        """Something that happened, and is over with being told."""
        told = Raised(f"info {subject} {len(self.past)}", "info", subject, text, at, at)
        self.past.append(told)
        return told

    def _bad(self, at: datetime, trouble: Trouble) -> Raised | None:
        track = self._tracks.setdefault(trouble.key, _Track())
        track.bad, track.calm = track.bad + 1, 0
        if track.open is not None or track.bad < trouble.rounds:
            return None
        track.open = Raised(trouble.key, trouble.level, trouble.subject, trouble.text, at)
        return track.open

    def _calm(self, at: datetime, key: str) -> Raised | None:
        track = self._tracks[key]
        track.bad, track.calm = 0, track.calm + 1
        if track.open is None or track.calm < CALM:
            return None
        resolved, track.open = replace(track.open, resolved=at), None
        self.past.append(resolved)
        return resolved
