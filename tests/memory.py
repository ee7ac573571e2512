"""A gateway in memory and a clock that tests own: what rollout is tried against without a server.

The gateway keeps Kong's manners that decide moves: a row has an id, a re-created row has another, a write names what
it has seen. It can be told to lag (weights stored, never in force) and to die before the n-th write. The meter plays
what a test has written for each app, by the seconds that an analysis has lasted.
"""

import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from bluegreen.analysis import Analysis, Look, Meter, Sample, Seen, Subject
from bluegreen.event import Tell, silent
from bluegreen.gateway import Gateway, Moved, Proof, Slot, Split, Unproven
from bluegreen.handler import Context
from bluegreen.rollout.step import Tools
from bluegreen.spec import Colour

START = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


class Died(BaseException):
    """The deployer is gone, between two writes. Not an Exception: nothing may catch it, as nothing catches kill -9."""


@dataclass
class Clock:
    """A context whose time passes only in `sleep`."""

    at: datetime = START
    cancelled: bool = False
    orphaned: bool = False
    deadline: datetime | None = None
    milestones: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)  # every status, in its order
    passing: Callable[[], None] | None = None  # what happens meanwhile, whenever somebody sleeps

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        if self.passing is not None:
            self.passing()

    async def milestone(self, text: str) -> None:
        self.milestones.append(text)

    async def status(self, text: str) -> None:
        self.rows.append(text)


@dataclass
class Memory:
    """Upstreams and their rows; `writes` records each weight as it was written."""

    rows: dict[str, dict[Colour, Slot]] = field(default_factory=dict)
    writes: list[tuple[str, Colour, int]] = field(default_factory=list)
    ids: "itertools.count[int]" = field(default_factory=itertools.count)
    proofs: list[tuple[str, Colour, int]] = field(default_factory=list)
    dies_before: int | None = None
    lagging: frozenset[Colour] = frozenset()
    unseen: bool = False
    proving: Callable[[], None] | None = None  # what happens meanwhile
    empty: bool = False  # was any ring ever without weight after it had one?

    async def split(self, upstream: str) -> Split:
        return Split(upstream, dict(self.rows.get(upstream, {})))

    async def put(self, upstream: str, slot: Slot, *, seen: Slot | None) -> None:
        self._alive()
        slots = self.rows.setdefault(upstream, {})
        if slots.get(slot.colour) != seen:
            raise Moved("not as seen", world="", next="")
        row = seen.row if seen is not None else f"row-{next(self.ids)}"
        had = any(held.weight for held in slots.values())
        slots[slot.colour] = replace(slot, row=row)
        self.empty = self.empty or (had and not any(held.weight for held in slots.values()))
        if seen is None or seen.weight != slot.weight:
            self.writes.append((upstream, slot.colour, slot.weight))

    async def renew(self, upstream: str, slot: Slot, *, seen: Slot) -> None:
        self._alive()
        slots = self.rows[upstream]
        if slots.get(slot.colour) != seen:
            raise Moved("not as seen", world="", next="")
        del slots[slot.colour]
        self.empty = self.empty or not any(held.weight for held in slots.values())
        self._alive()
        slots[slot.colour] = replace(slot, row=f"row-{next(self.ids)}")
        if seen.weight != slot.weight:
            self.writes.append((upstream, slot.colour, slot.weight))

    async def drop(self, upstream: str, slot: Slot) -> None:
        self._alive()
        if self.rows[upstream].get(slot.colour) != slot:
            raise Moved("not as seen", world="", next="")
        del self.rows[upstream][slot.colour]

    async def budget(self) -> timedelta:
        return timedelta(seconds=11)

    async def prove(self, split: Split, *, within: timedelta, nodes: int) -> Proof:
        if self.proving is not None:
            self.proving()
        for slot in split.slots.values():
            stored = self.rows[split.upstream].get(slot.colour)
            assert stored is not None
            assert stored.weight == slot.weight, "a proof of what is not stored"
            self.proofs.append((split.upstream, slot.colour, slot.weight))
            if slot.colour in self.lagging and slot.weight:
                raise Unproven(f"{slot.colour} lags", world="Stored.", next="Look.", unseen=self.unseen)
        return Proof(2, 1, timedelta(seconds=0.01))

    def weights(self, upstream: str) -> dict[Colour, int]:
        return {colour: slot.weight for colour, slot in self.rows.get(upstream, {}).items()}

    def _alive(self) -> None:
        if self.dies_before is not None:
            self.dies_before -= 1
            if self.dies_before < 0:
                raise Died


@dataclass
class Answers:
    """What each colour of each app says about itself on its preview route; None is a 503."""

    releases: dict[tuple[str, str], str | None] = field(default_factory=dict)
    dies_when_live: tuple[Memory, str, Colour] | None = None
    every_other: bool = False  # every second answer is a 503
    asked: int = 0

    async def __call__(self, path: str, headers: Mapping[str, str], release_header: str) -> tuple[str | None, str]:
        app, colour = headers["app"], headers["colour"]
        assert colour == "blue" or colour == "green"
        if self.dies_when_live is not None:
            memory, upstream, dying = self.dies_when_live
            if (app, colour) == (upstream, dying) and memory.weights(upstream).get(dying):
                return None, f"GET {path} answered 503"
        self.asked += 1
        release = None if self.every_other and self.asked % 2 else self.releases.get((app, colour))
        return release, f"GET {path} answered {200 if release else 503}"


Course = Callable[[float], Seen]  # what is seen of a colour after so many seconds, since the beginning


def good(seconds: float) -> Seen:
    """A hundred requests a second, and none fails."""
    return Seen(round(100 * seconds), 0)


def bad(seconds: float) -> Seen:
    """A hundred requests a second, and every fifth fails."""
    return Seen(round(100 * seconds), round(20 * seconds))


def nothing(seconds: float) -> Seen:
    """Nobody comes."""
    return Seen()


def unanswered(seconds: float) -> Seen:
    """The source does not answer."""
    return Seen(error="GET /metrics answered 502")


@dataclass
class Script:
    """A meter that plays: `courses` by app and metric, by app, or by release; `good` for whatever is not in it."""

    courses: dict[str | tuple[str, str], Course] = field(default_factory=dict)
    watched: list[tuple[str, ...]] = field(default_factory=list)  # the apps of every analysis that was begun
    looking: Callable[[], None] | None = None  # what happens meanwhile, at every look
    under_way: int = 0

    @asynccontextmanager
    async def watch(self, analysis: Analysis, subjects: Sequence[Subject], ctx: Context) -> AsyncIterator["Playing"]:
        self.watched.append(tuple(subject.app for subject in subjects))
        self.under_way += 1
        try:
            yield Playing(self, analysis, subjects, ctx, ctx.now())
        finally:
            self.under_way -= 1


@dataclass
class Playing:
    """One watch of a script."""

    script: Script
    analysis: Analysis
    subjects: Sequence[Subject]
    ctx: Context
    began: datetime

    async def look(self) -> Sequence[Look]:
        if self.script.looking is not None:
            self.script.looking()
        seconds = (self.ctx.now() - self.began).total_seconds()
        return [
            Look(subject.app, metric.name, self._course(subject, metric.name)(seconds), _live(subject, seconds))
            for subject in self.subjects
            for metric in self.analysis.metrics
        ]

    def told(self, app: str, colour: Colour) -> str:
        return "9 answered 503" if self.script.courses.get(app) is bad else ""

    def samples(self) -> Mapping[str, Sequence[Sample]]:
        return {}

    def dropped(self) -> int:
        return 0

    def _course(self, subject: Subject, metric: str) -> Course:
        courses, release = self.script.courses, subject.releases[subject.candidate]
        return courses.get((subject.app, metric)) or courses.get(subject.app) or courses.get(release) or good


def _live(subject: Subject, seconds: float) -> Seen | None:
    return good(seconds) if subject.live is not None else None


def tools(
    gateway: Gateway,
    answers: Answers,
    clock: Clock,
    *,
    id: str = "mine",
    minutes: float = 10,
    meter: Meter | None = None,
    tell: Tell = silent,
) -> Tools:
    return Tools("velro.test", id, 1, timedelta(minutes=minutes), gateway, answers, clock, meter, tell)
