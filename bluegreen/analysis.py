"""What an analysis is: which metrics, for how long, with what bars; and how it may end.

Words shared by rollout, which decides, and measure, which asks; neither knows the other. A metric has one source and
one bar. Names follow Argo Rollouts and Flagger where they mean the same (`thresholdRange`, `failureLimit`, `dryRun`).

    pass          the bar is kept, and so much was seen that luck is no explanation
    fail          the bar is broken, and luck is no explanation
    inconclusive  too little was seen to say either
    error         nothing could be measured: a source did not answer, a query answers nothing

Only `pass` lets a move go on. It deliberately holds no arithmetic (`rollout/judge.py`) and no I/O (`measure/`).
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal, Protocol, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from bluegreen.handler import Context
from bluegreen.spec import Colour, Duration, Name, Spec

Verdict = Literal["pass", "fail", "inconclusive", "error"]
Target = Annotated[str, StringConstraints(pattern=r"^/[!-~]*$")]


def _without_credentials(url: str) -> str:
    if "@" in re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0]:
        msg = "holds credentials, which anybody may read here. Put a header into secrets.metrics.<name> instead"
        raise ValueError(msg)
    return url


Url = Annotated[str, StringConstraints(pattern=r"^https?://[!-~]+$"), AfterValidator(_without_credentials)]

SOURCES = ("probe", "kong", "prometheus", "http", "sql", "command")
COUNTED = ("probe", "kong")  # sources that count requests; every other one answers a number
COMPARABLE = ("probe", "prometheus", "command")  # sources that can be asked about the live colour, too
DEFAULT_RPS = 20.0
SAMPLES = 1000  # over (100 - p): ten samples beyond a percentile, or one outlier would be it


class Probes(Spec):
    """Requests of our own, sent at a steady rate whatever comes back, to each colour past the weights.

    They ask what the app's checks ask by GET, or its health check where it has none.
    """

    rps: float = Field(default=DEFAULT_RPS, gt=0, le=200)  # requests a second, to each colour


class KongDeltas(Spec):
    """What Kong itself counted on the app's live service, between two looks at its `/metrics`."""


class Prometheus(Spec):
    """The one value that a Prometheus query answers; `$app`, `$colour`, `$release` and `$window` are filled in."""

    url: Url
    query: str = Field(min_length=1)


class HttpJson(Spec):
    """One number in a JSON answer, at a dotted path such as `data.0.value`."""

    url: Url
    path: str = Field(min_length=1)


class Sql(Spec):
    """The one number of a query that only reads."""

    query: str = Field(min_length=1)


class Command(Spec):
    """The number that a program prints; `APP`, `COLOUR` and `RELEASE` are in its environment."""

    run: Sequence[str] = Field(min_length=1)


class ThresholdRange(Spec):
    """The bar: never below `min`, never above `max`; in percent for errors, milliseconds for latencies."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bars_something(self) -> Self:
        if self.min is None and self.max is None:
            msg = "give min, max or both: without a bar everything would pass"
            raise ValueError(msg)
        if self.min is not None and self.max is not None and self.min > self.max:
            msg = f"min {self.min:g} is above max {self.max:g}: nothing could pass"
            raise ValueError(msg)
        return self


class Metric(Spec):
    """One thing that is measured, and how it is judged.

    `measures` says what of counted requests is meant: the share of `errors` (percent), a percentile of their `latency`
    or of Kong's own `overhead` (milliseconds). A latency or a value that breaks its bar more than `failureLimit` times
    in a row fails; until then it warns. With `allowedIncrease` it has to break its bar *and* be so many times the live
    colour's over the same window. `dryRun`: judged and told, without effect.
    """

    name: Name
    probe: Probes | None = None
    kong: KongDeltas | None = None
    prometheus: Prometheus | None = None
    http: HttpJson | None = None
    sql: Sql | None = None
    command: Command | None = None
    measures: Literal["errors", "latency", "overhead", "value"] = "errors"
    percentile: float = Field(default=95, gt=0, lt=100)
    threshold_range: ThresholdRange
    failure_limit: int = Field(default=0, ge=0)
    allowed_increase: float | None = Field(default=None, ge=1)
    dry_run: bool = False
    authorization: SecretStr | None = None  # the whole header, filled in from secrets.metrics.<name>

    @model_validator(mode="before")
    @classmethod
    def _values_are_values(cls, given: object) -> object:
        if isinstance(given, Mapping) and not any(given.get(name) is not None for name in COUNTED):
            return {"measures": "value", **given}
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        named = [name for name in SOURCES if getattr(self, name) is not None]
        counted = bool(named) and named[0] in COUNTED
        bar = self.threshold_range
        for wrong, msg in (
            (len(named) != 1, f"names {' and '.join(named) or 'no source'}. Name exactly one of {', '.join(SOURCES)}"),
            (counted and self.measures == "value", f"{named and named[0]} measures errors, latency or overhead"),
            (not counted and self.measures != "value", f"{named and named[0]} answers a number: leave `measures` out"),
            (self.probe is not None and self.measures == "overhead", "only kong knows Kong's overhead"),
            (counted and (bar.max is None or bar.min is not None), "errors and latencies have a max and no min"),
            (
                self.allowed_increase is not None and bool(named) and named[0] not in COMPARABLE,
                f"{named and named[0]} cannot tell colours apart, so there is nothing to compare: leave "
                "allowedIncrease out",
            ),
            (
                self.allowed_increase is not None and self.measures == "errors",
                "errors are compared with the live colour anyway: leave allowedIncrease out",
            ),
            (self.measures == "errors" and not 0 < (bar.max or 0) < 100, "max is in percent, between 0 and 100"),
        ):
            if wrong:
                raise ValueError(msg)
        return self

    @property
    def source(self) -> str:
        """The name of the one source it has."""
        return next(name for name in SOURCES if getattr(self, name) is not None)


DEFAULTS = (
    Metric(name="errors", probe=Probes(), threshold_range=ThresholdRange(max=1)),
    Metric(name="slow", probe=Probes(), measures="latency", threshold_range=ThresholdRange(max=2000), failure_limit=3),
)


class Analysis(Spec):
    """Metrics looked at every `interval` for at most `duration`; it ends early when one fails.

    Without `metrics` it is: more than 1 % errors fails, a p95 above 2 s warns and fails when it lasts.

    `minRequests` have to be seen of a counted metric before it can pass. `onNoData` says what nothing at all means.
    """

    metrics: Sequence[Metric] = DEFAULTS
    duration: Duration = timedelta(seconds=60)
    interval: Duration = timedelta(seconds=2)
    min_requests: int = Field(default=300, ge=1)
    on_no_data: Literal["fail", "inconclusive"] = "inconclusive"

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        names = [metric.name for metric in self.metrics]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            msg = f"metrics: {', '.join(twice)} is named twice"
            raise ValueError(msg)
        if self.interval <= timedelta() or self.duration < self.interval:
            msg = "interval has to be more than no time, and duration at least one interval"
            raise ValueError(msg)
        for metric in self.metrics:
            if metric.probe is not None and metric.measures == "latency":
                able, needed = metric.probe.rps * self.duration.total_seconds(), SAMPLES / (100 - metric.percentile)
                if able < needed:
                    msg = (
                        f"metric {metric.name} sees {able:.0f} requests in {self.duration.total_seconds():g} s, and "
                        f"percentile {metric.percentile:g} needs {needed:.0f}. Raise probe.rps or duration"
                    )
                    raise ValueError(msg)
            sent = metric.probe.rps * self.duration.total_seconds() if metric.probe else self.min_requests
            if sent < self.min_requests:
                msg = (
                    f"metric {metric.name} sees {sent:.0f} requests in {self.duration.total_seconds():g} s and needs "
                    f"{self.min_requests} (minRequests). Raise probe.rps or duration, or lower minRequests"
                )
                raise ValueError(msg)
        return self


class Question(Spec):
    """One request that a probe sends: as a check of the app does, past the weights."""

    path: Target
    host: str | None = None
    status: int = 200


@dataclass(frozen=True, slots=True)
class Subject:
    """One app under analysis: who is judged, beside whom, and how each is asked."""

    app: str
    candidate: Colour
    live: Colour | None  # None while nothing else carries traffic
    releases: Mapping[Colour, str]
    headers: Mapping[Colour, Mapping[str, str]]  # what leads a request to one colour, past the weights
    questions: Sequence[Question]
    release_header: str = "X-Release"

    @property
    def colours(self) -> tuple[Colour, ...]:
        """The candidate, then the live one where there is one."""
        return (self.candidate,) if self.live in (None, self.candidate) else (self.candidate, self.live)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one metric has seen of one colour since its analysis began.

    Counted sources fill in the counts and `buckets`: (upper bound in ms, how many were within it), cumulative, the last
    bound infinite. The others fill in `value`. `error` says why nothing could be measured at this look.
    """

    requests: int = 0
    errors: int = 0
    buckets: Sequence[tuple[float, int]] = ()
    value: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one metric of one app: the candidate's side, and the live colour's where it was measured too."""

    app: str
    metric: str
    candidate: Seen
    live: Seen | None = None


# One request of a probe: seconds after the look before it began (below zero: it was under way at that look), colour,
# milliseconds or None without an answer, what was wrong with it.
Sample = tuple[float, Colour, float | None, str]


class Watch(Protocol):
    """Measuring under way: probes run in the background, sources are asked at each look."""

    async def look(self) -> Sequence[Look]:
        """Everything seen so far, one entry for each app and metric. Never raises a Halt: it tells errors as such."""

    def told(self, app: str, colour: Colour) -> str:
        """What was wrong with the answers to the probes of one colour (`9 answered 503`); empty when nothing was."""

    def samples(self) -> Mapping[str, Sequence[Sample]]:
        """Every request of a probe that has ended since this was last asked, by app; for the record alone."""

    def dropped(self) -> int:
        """How many were not kept for `samples` since this was last asked: there were too many between two looks."""


class Meter(Protocol):
    """Begins to measure; leaving the context ends every probe."""

    def watch(
        self, analysis: Analysis, subjects: Sequence[Subject], ctx: Context
    ) -> AbstractAsyncContextManager[Watch]: ...
