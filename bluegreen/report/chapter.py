"""A chapter of a release: what its charts show, as numbers, on one time axis."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from bluegreen.report.said import Said
from bluegreen.spec import Colour, State

NEVER = datetime.min.replace(tzinfo=UTC)
Who = Literal["blue", "green", "users"]


class Point(State):
    """What was asked in one slice of time, `t` seconds after the chapter began; latencies in milliseconds."""

    t: float = 0.0
    n: int = 0
    errors: int = 0
    p50: float | None = None
    p95: float | None = None


class Line(State):
    """The requests to one colour of an app past the weights, or on the users' way."""

    app: Said = ""
    who: Who = "users"
    points: tuple[Point, ...] = ()


class Weight(State):
    """So much of an app's traffic goes there from then on, in percent."""

    t: float = 0.0
    app: Said = ""
    weights: Mapping[Colour, int] = {}


class Moment(State):
    """Something that happened; the chart's lines across carry its number."""

    number: int = 0
    at: datetime = NEVER
    t: float = 0.0
    kind: Literal["step", "verdict", "back", "told", "alert", "begin", "end"] = "told"
    text: Said = ""
    good: bool | None = None


class Bar(State):
    """What an analysis allows: `errors` in percent, `latency` in milliseconds at `percentile`."""

    app: Said = ""
    measures: Literal["errors", "latency"] = "errors"
    most: float = 0.0
    percentile: float = 95


class Chapter(State):
    """A span of time in which something was written down without a long silence; all its charts share one axis."""

    title: Said = ""
    began: datetime = NEVER
    ended: datetime = NEVER
    slice: float = 1.0  # seconds that one point stands for
    weights: tuple[Weight, ...] = ()
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    moments: tuple[Moment, ...] = ()

    @property
    def seconds(self) -> float:
        return (self.ended - self.began).total_seconds()
