"""Charts of a chapter: weights, errors and latency of one app over the same axis.

It says what is drawn and what that means in words; `drawing.py` draws it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10

from bluegreen.report.chapter import Bar, Chapter, Line, Who
from bluegreen.report.drawing import NARROW, WIDE, Curve, Drawing, Points, svg
from bluegreen.report.said import amount, lasted

GAP = 12.0  # seconds: below it, rounds of a monitor are still one line


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing in both widths, and what it says to whoever does not see it."""

    key: str
    title: str
    told: str
    wide: str
    narrow: str


def charts(chapter: Chapter, app: str, key: str) -> tuple[Chart, ...]:
    """What there is to draw of one app, from top to bottom."""
    lines = [line for line in chapter.lines if line.app == app]
    bars = {bar.measures: bar for bar in chapter.bars if bar.app == app}
    apart = max(GAP, 4 * chapter.slice)
    wanted = (
        _weights(chapter, app),
        _errors(lines, bars.get("errors"), apart),
        _latency(lines, bars.get("latency"), apart),
    )
    drawn = [each for each in wanted if each is not None]
    return tuple(
        Chart(
            f"{key}-{number}",
            drawing.title,
            drawing.told,
            svg(drawing, chapter, WIDE, f"{key}-{number}-wide", flags=number == 0),
            svg(drawing, chapter, NARROW, f"{key}-{number}-narrow", flags=number == 0),
        )
        for number, drawing in enumerate(drawn)
    )


def _weights(chapter: Chapter, app: str) -> Drawing | None:
    steps = [weight for weight in chapter.weights if weight.app == app]
    if not steps:
        return None
    curves = []
    for colour in sorted({colour for step in steps for colour in step.weights}):
        points: list[tuple[float, float]] = []
        for step in steps:
            weight = float(step.weights.get(colour, 0))
            points += [(step.t, points[-1][1])] if points else []
            points.append((step.t, weight))
        curves.append(Curve(colour, (*points, (chapter.seconds, points[-1][1])), dots=False))
    told = "; ".join(
        f"at {lasted(step.t)} " + ", ".join(f"{colour} {weight} %" for colour, weight in sorted(step.weights.items()))
        for step in steps[:20]
    )
    return Drawing(
        "Share of traffic", f"Share of traffic by colour: {told}.", tuple(curves), 100, lambda v: f"{v:.0f} %"
    )


def _errors(lines: Sequence[Line], bar: Bar | None, apart: float) -> Drawing | None:
    if not lines:
        return None
    curves = tuple(
        Curve(line.who, _broken([(p.t, 100 * p.errors / p.n if p.n else None) for p in line.points], apart))
        for line in lines
    )
    top = max((value for curve in curves for _, value in curve.points if value is not None), default=0)
    told = "; ".join(_asked(line) for line in lines)
    most = min(100.0, _top(max(top, 2 * bar.most if bar else 1)))
    return Drawing(
        "Failed requests", f"Failed requests: {told}.", curves, most, lambda v: f"{v:g} %", bar.most if bar else None
    )


def _broken(points: Points, apart: float) -> Points:
    """With a gap wherever nobody asked for more than `apart` seconds: a line across would claim that somebody had."""
    found: list[tuple[float, float | None]] = []
    for t, value in points:
        if found and t - found[-1][0] > apart:
            found.append((t, None))
        found.append((t, value))
    return found


def _asked(line: Line) -> str:
    return f"{line.who} {sum(point.errors for point in line.points):,} of {sum(point.n for point in line.points):,}"


def _latency(lines: Sequence[Line], bar: Bar | None, apart: float) -> Drawing | None:
    timed = [line for line in lines if any(point.p95 is not None for point in line.points)]
    if not timed:
        return None
    curves = [
        Curve(line.who, _broken([(p.t, p.p50) for p in line.points], apart), thin=True, dots=False) for line in timed
    ]
    curves += [Curve(line.who, _broken([(p.t, p.p95) for p in line.points], apart)) for line in timed]
    values = [value for curve in curves for _, value in curve.points if value is not None]
    shown = bar.most if bar is not None and bar.most <= 1.5 * max(values) else None
    top = _top(max([*values, *([shown] if shown is not None else [])]))
    told = "; ".join(
        f"{line.who} p95 up to {amount(max(p.p95 for p in line.points if p.p95 is not None), 'ms')}" for line in timed
    )
    above = f" (the bar, {_milliseconds(bar.most)}, is above the drawing)" if bar is not None and shown is None else ""
    said = f"p50 and p95 by slice of time: {told}."
    return Drawing(f"Latency, p95 and p50{above}", said, tuple(curves), top, _milliseconds, shown)


def _milliseconds(value: float) -> str:
    return f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"


def _top(value: float) -> float:
    """The round number above it at which an axis ends."""
    size = 10.0 ** floor(log10(value)) if value > 0 else 1.0
    return next((nice * size for nice in (1, 2, 3, 4, 5, 6, 8, 10) if nice * size >= value), 10 * size)


def whos(chapter: Chapter, app: str) -> tuple[Who, ...]:
    """Whose lines the charts of an app show."""
    lines = [line.who for line in chapter.lines if line.app == app]
    colours = [colour for weight in chapter.weights if weight.app == app for colour in weight.weights]
    return tuple(who for who in ("blue", "green", "users") if who in (*lines, *colours))
