"""What happened to one release, in order and with numbers: all that a report says, before anybody decides how it looks.

It is what `report.json` holds. The page and the Markdown are made of it alone, so neither can say what a program
cannot read. What others wrote goes in cut and without the signs that would turn a line around; nothing is rounded
here. It deliberately asks nobody and knows neither files nor HTML.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from bluegreen.report.chapter import NEVER, Chapter, Who
from bluegreen.report.said import Said
from bluegreen.spec import Colour, State

FORM = 1
Standing = Literal["shipped", "caught", "stopped", "rolledBack", "failed", "unfinished", "empty"]
Ticked = Literal["yes", "no", "unknown", "person"]


class AppTold(State):
    """One app's part: which colour and release a move took it from, and to; images where they are known.

    `weights` are the last that the record has of it, in percent by colour; empty where it has none.
    """

    app: Said = ""
    origin: Colour | None = None
    goal: Colour | None = None
    before: Said = ""
    release: Said = ""
    image_before: Said = ""
    image: Said = ""
    weights: Mapping[Colour, int] = {}


class RulingRow(State):
    """One metric of one app in a decision, by which it had seen `n` requests in `window` seconds.

    The value of a latency is that of the last of them, as its sentence says; `bound` is the upper bound of an error
    share.
    """

    app: Said = ""
    metric: Said = ""
    verdict: Said | None = None
    value: float | None = None
    unit: str = ""
    bar: Said = ""
    n: int = 0
    bound: float | None = None
    window: float = 0.0
    dry_run: bool = False
    warns: bool = False
    sentence: Said = ""


class DecisionTold(State):
    """What one analysis came to, `after` seconds from its beginning."""

    at: datetime = NEVER
    share: Said = ""
    verdict: Said = ""
    sentence: Said = ""
    because: Said = ""
    after: float = 0.0
    looks: int = 0
    rulings: tuple[RulingRow, ...] = ()


class LegRow(State):
    """One app's part of a move, as it was planned."""

    app: Said = ""
    way: Said = ""
    origin: Colour | None = None
    goal: Colour | None = None
    origin_release: Said = ""
    release: Said = ""
    stages: tuple[Said, ...] = ()


class MoveTold(State):
    """One move from its beginning to its end; `detected` and `back` are seconds, None where there was no such thing.

    `detected` is from the first users on the candidate to the verdict against it, `back` from there to the proof that
    nobody is on it any more. `highest` is the largest share that the candidate of an app had, in percent, and `left` is
    the largest that one had when the move ended.
    """

    move: Said = ""
    began: datetime = NEVER
    ended: datetime | None = None
    verdict: Said = ""
    text: Said = ""
    by: Said = ""
    reason: Said = ""
    commit: Said = ""
    legs: tuple[LegRow, ...] = ()
    decisions: tuple[DecisionTold, ...] = ()
    highest: int = 0
    left: int = 0
    detected: float | None = None
    back: float | None = None

    @property
    def way(self) -> str:
        return way_of([leg.way for leg in self.legs])


def way_of(ways: Sequence[str]) -> str:
    """What a move of such legs is: a rollback where nothing else moves, a repair where nothing moves at all."""
    moving = [way for way in ways if way != "repair"]
    other = next((way for way in moving if way != "rollback"), None)
    return other or ("rollback" if moving else "repair" if ways else "rollout")


class Counted(State):
    """Requests of one kind, as far as somebody counted them."""

    what: Said = ""
    app: Said = ""
    who: Who = "users"
    judged: bool = False  # the release itself was probed, past the weights
    n: int = 0
    failed: int = 0
    users: bool = False  # on the way that users take


class FindingTold(State):
    """One check of a validation."""

    id: Said = ""
    group: Said = ""
    app: Said | None = None
    severity: Said = ""
    status: Said = ""
    observed: Said = ""
    expected: Said = ""
    n: int = 0
    duration_ms: float | None = None
    hint: Said = ""


class ValidationTold(State):
    """One run of all checks."""

    began: datetime = NEVER
    way: Said = ""
    took_ms: float = 0.0
    verdict: Said = ""
    findings: tuple[FindingTold, ...] = ()


class AlertTold(State):
    """Something that a monitor raised."""

    at: datetime = NEVER
    level: Said = "info"
    subject: Said = ""
    text: Said = ""


class EndpointTold(State):
    """One endpoint on one way, as a monitor saw it."""

    endpoint: Said = ""
    app: Said = ""
    way: Said = ""
    n: int = 0
    failed: int = 0
    p50: float | None = None
    p95: float | None = None
    trend: Said = ""


class MonitorTold(State):
    """One watch over the release after it was live."""

    began: datetime = NEVER
    ended: datetime | None = None
    verdict: Said = ""
    text: Said = ""
    baseline: Said = ""
    rounds: int = 0
    endpoints: tuple[EndpointTold, ...] = ()
    alerts: tuple[AlertTold, ...] = ()
    decisions: tuple[DecisionTold, ...] = ()
    detect_ms: float | None = None
    rollback_ms: float | None = None


class LockRow(State):
    """A lock that a migration holds, and who waits for it."""

    relation: Said = ""
    mode: Said = ""
    stops: Said = ""
    held_ms: float = 0.0


class MigrationTold(State):
    """One file of SQL that belongs to the release."""

    label: Said = ""
    standing: Said = ""
    phase: Said = ""
    sentence: Said = ""
    took_ms: float | None = None
    estimate_ms: float | None = None
    reverse: Said = ""
    locks: tuple[LockRow, ...] = ()
    page: Said = ""  # its own report, beside this one


class ChangeTold(State):
    """One difference of the config, as text."""

    path: Said = ""
    before: Said = ""
    after: Said = ""


class Duty(State):
    """One line of the list for after a release; `person`: nobody but a person can tick it."""

    key: str = ""
    text: str = ""
    ticked: Ticked = "person"
    evidence: Said = ""
    link: str = ""


class Period(State):
    """What is due in one span of time after a release."""

    title: str = ""
    duties: tuple[Duty, ...] = ()


class Story(State):
    """Everything that the record says about one release; `missing` is what it does not say."""

    schema_version: int = Field(default=FORM)
    stack: Said = ""
    release: Said = ""
    standing: Standing = "empty"
    sentence: Said = ""
    began: datetime | None = None
    ended: datetime | None = None
    by: Said = ""
    reason: Said = ""
    commit: Said = ""
    apps: tuple[AppTold, ...] = ()
    moves: tuple[MoveTold, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    counted: tuple[Counted, ...] = ()
    validations: tuple[ValidationTold, ...] = ()
    monitors: tuple[MonitorTold, ...] = ()
    migrations: tuple[MigrationTold, ...] = ()
    changes: tuple[ChangeTold, ...] | None = None  # None: there is nothing to compare with
    versions: Mapping[Said, Said] = {}
    files: Mapping[Said, Said] = {}  # name: sha256, as sealed
    broken: tuple[Said, ...] = ()  # what is otherwise than sealed
    missing: tuple[Said, ...] = ()
    checklist: tuple[Period, ...] = ()
    made: datetime | None = None
