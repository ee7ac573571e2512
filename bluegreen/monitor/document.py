"""What a monitor leaves behind: one document, from its first round to its verdict.

Every number says of how many it is. It deliberately holds no single round: those are in the journal.
"""

from collections.abc import Mapping
from datetime import datetime

from bluegreen.journal import NEVER
from bluegreen.spec import Colour, State


class EndpointTold(State):
    """One endpoint on one way (`users`, `blue`, `green`); times are milliseconds of the answers that were good."""

    app: str = ""
    endpoint: str = ""
    way: str = "users"
    role: str = "users"  # `users`, `live` or `idle`, as it was at the end
    asked: int = 0
    errors: int = 0
    unanswered: int = 0
    n: int = 0  # answers that the times are of
    last_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    max_ms: float | None = None
    faults: Mapping[str, int] = {}
    trend: str = "no baseline"  # `better`, `same`, `worse`, `too few`, `no baseline`
    ratio: float | None = None  # of the medians, now to before
    before: "BeforeTold | None" = None


class BeforeTold(State):
    """How it was before the release."""

    n: int = 0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    errors: int = 0


class AlertTold(State):
    """One alert; an `info` is over as soon as it is told."""

    level: str = "info"
    subject: str = ""
    text: str = ""
    raised: datetime = NEVER
    resolved: datetime | None = None


class JudgedTold(State):
    """What the judge of rollouts said, in its own words; `n` requests of its own probes, `colours` by app."""

    verdict: str = "inconclusive"
    sentence: str = ""
    because: str = ""
    n: int = 0
    colours: Mapping[str, Colour] = {}


class BaselineTold(State):
    """What the trends are compared with; `said` tells where it is from, or why there is none."""

    release: str | None = None
    endpoints: int = 0
    said: str = ""


class ReturnTold(State):
    """The way back that a failure began; `well`: users were well in the last round that followed it."""

    done: bool = False
    refused: bool = False  # there was no way back, and nothing was moved
    said: str = ""
    apps: Mapping[str, Colour] = {}
    seconds: float | None = None  # from the decision until the last app was proved to be back
    well: bool | None = None


class Timings(State):
    """Milliseconds, as measured: from the first thing that went wrong to the decision, and from there to the proof."""

    detect_ms: float | None = None
    rollback_ms: float | None = None


class Monitored(State):
    """A whole watch. `verdict` is `pass`, `fail`, `inconclusive` or `error`; `exit` what the command ended with."""

    schema_version: int = 1
    owner: str = ""
    stack: str = ""
    release: str = ""
    began: datetime = NEVER
    ended: datetime = NEVER
    duration_seconds: float = 0.0
    interval_seconds: float = 0.0
    rounds: int = 0
    skipped: int = 0  # rounds that were due while another was under way
    verdict: str = "inconclusive"
    exit: int = 13
    sentence: str = ""
    interrupted: str = ""  # `SIGINT`, `SIGTERM`, or empty
    judged: JudgedTold = JudgedTold()
    endpoints: tuple[EndpointTold, ...] = ()
    alerts: tuple[AlertTold, ...] = ()
    weights: Mapping[str, Mapping[Colour, int]] = {}
    releases: Mapping[str, str] = {}  # by app, what served at the end
    baseline: BaselineTold = BaselineTold()
    timings: Timings = Timings()
    rollback: ReturnTold | None = None
    notes: tuple[str, ...] = ()  # what could not be asked, and why
