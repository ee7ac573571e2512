"""What is written down of a release while it happens, an entry a line: whatever ends it leaves what came before.

Rollout and monitor write, the report reads; neither knows the other. An entry holds what was seen and what was decided
on it, whole: every decision can be made again from its looks, with other thresholds. Writing never waits and never
fails: a release does not depend on its record. What an entry must not hold is a secret: the analysis goes in without
its metrics' credentials. It deliberately opens no file: `bluegreen/evidence/` does.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from bluegreen import analysis
from bluegreen.spec import Colour, State

NEVER = datetime.min.replace(tzinfo=UTC)


class Entry(State):
    """One thing that happened; `at` is UTC."""

    at: datetime = NEVER


class LegTold(State):
    """One app's part of a move, as it was planned. `way` is `first`, `rollout`, `rollback` or `repair`."""

    app: str = ""
    way: str = "rollout"
    origin: Colour | None = None
    goal: Colour = "blue"
    origin_release: str | None = None
    release: str = ""
    stages: tuple[str, ...] = ()  # in words: `5 %`, `analysis of 60 s`


class Began(Entry):
    """A move began. `by` is who ran it, `reason` why, as far as either is known."""

    kind: Literal["began"] = "began"
    move: str = ""
    legs: tuple[LegTold, ...] = ()
    releases: Mapping[str, str] = {}  # of every app, once it has arrived
    before: Mapping[str, str] = {}  # and before it, as far as known
    by: str = ""
    reason: str = ""
    commit: str = ""


class Weighed(Entry):
    """So much of one app's traffic goes there from now on, in percent; `said` is how that was proved."""

    kind: Literal["weighed"] = "weighed"
    app: str = ""
    weights: Mapping[Colour, int] = {}
    said: str = ""


class Analysed(Entry):
    """An analysis began: what it measures and which bars it has, as in the config, without credentials."""

    kind: Literal["analysed"] = "analysed"
    share: str = ""  # `preview`, `25 %`, `100 %`, or `monitor`
    analysis: Mapping[str, Any] = {}
    subjects: tuple["SubjectTold", ...] = ()


class SubjectTold(State):
    """Who is judged in it, beside whom."""

    app: str = ""
    candidate: Colour = "blue"
    live: Colour | None = None
    releases: Mapping[Colour, str] = {}


class SeenTold(State):
    """What one metric has seen of one colour since its analysis began; `buckets`: (bound in ms or null, within it)."""

    requests: int = 0
    errors: int = 0
    buckets: tuple[tuple[float | None, int], ...] = ()
    value: float | None = None
    error: str = ""


class LookTold(State):
    """One look at one metric of one app."""

    app: str = ""
    metric: str = ""
    candidate: SeenTold = SeenTold()
    live: SeenTold | None = None


class RulingTold(State):
    """What the judge said of one metric of one app."""

    app: str = ""
    metric: str = ""
    verdict: str | None = None
    sentence: str = ""
    dry_run: bool = False
    seen: int = 0
    value: float | None = None
    bound: float | None = None
    warns: bool = False


Sample = analysis.Sample  # as a list in JSON


class Looked(Entry):
    """One look: all that was seen since its analysis began, every request since the look before, the rulings."""

    kind: Literal["looked"] = "looked"
    share: str = ""
    elapsed: float = 0.0  # seconds since the analysis began
    last: bool = False
    looks: tuple[LookTold, ...] = ()
    samples: Mapping[str, tuple[Sample, ...]] = {}  # by app
    dropped: int = 0  # requests that are not among the samples, because there were too many
    rulings: tuple[RulingTold, ...] = ()


class Decided(Entry):
    """What an analysis came to: `pass`, `fail`, `inconclusive` or `error`, with the judge's own sentence."""

    kind: Literal["decided"] = "decided"
    share: str = ""
    verdict: str = ""
    sentence: str = ""
    because: str = ""  # what was wrong with the answers: `9 answered 503`


class Pulse(Entry):
    """One round of a monitor over every endpoint, on the ways that users take and past the weights."""

    kind: Literal["pulse"] = "pulse"
    number: int = 0
    beats: tuple["Beat", ...] = ()
    weights: Mapping[str, Mapping[Colour, int]] = {}  # by app, as Kong says; missing where it did not answer
    alerts: tuple["Alert", ...] = ()


class Beat(State):
    """One endpoint asked once; `way` is `users`, `blue` or `green`."""

    endpoint: str = ""
    app: str = ""
    way: str = "users"
    status: int | None = None  # None: there was no answer
    ms: float | None = None
    fault: str = ""  # empty: as expected
    release: str | None = None


class Alert(State):
    """Something that somebody should know; `level` is `critical`, `warning` or `info`."""

    level: str = "info"
    subject: str = ""
    text: str = ""


class Told(Entry):
    """A sentence for the record: a milestone, a gate's approval, a complaint."""

    kind: Literal["told"] = "told"
    text: str = ""
    app: str | None = None


class Ended(Entry):
    """The end: `passed`, `rejected`, `stopped`, or a monitor's verdict; and what history keeps."""

    kind: Literal["ended"] = "ended"
    verdict: str = ""
    text: str = ""
    done: tuple[Mapping[str, Any], ...] = ()


AnyEntry = Annotated[Began | Weighed | Analysed | Looked | Decided | Pulse | Told | Ended, Field(discriminator="kind")]


class Journal(Protocol):
    """Whoever writes it down."""

    def note(self, entry: AnyEntry, releases: Mapping[str, str]) -> None:
        """Keep one entry of the record of this release (every app with its release id); never waits, never raises."""

    async def settle(self) -> str:
        """Everything is on disk, or a sentence about what is not."""


class Deaf:
    """Keeps nothing: for where nobody asked for a record."""

    def note(self, entry: AnyEntry, releases: Mapping[str, str]) -> None:
        """Forgets it."""

    async def settle(self) -> str:
        """Nothing was lost that was to be kept."""
        return ""


def whole(releases: Mapping[str, str]) -> str:
    """The id of a stack's release: sixteen hex digits over every app's release id."""
    return hashlib.sha256(json.dumps(sorted(releases.items())).encode()).hexdigest()[:16]
