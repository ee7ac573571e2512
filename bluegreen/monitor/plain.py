"""A watch as plain lines, for a log and for a pipeline's summary. Pure.

One line for each round, and one for each thing that is news; no line is ever overwritten.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from bluegreen.journal import Beat
from bluegreen.monitor.document import EndpointTold, Monitored
from bluegreen.monitor.end import span
from bluegreen.monitor.picture import Picture
from bluegreen.spec import Colour


def round_line(picture: Picture, beats: Sequence[Beat], at: datetime) -> str:
    """`12:00:30 round 2: users 2 of 2 well · blue 2 of 2 · green 1 of 2 · backend blue 0 / green 100 · none yet`."""
    ways = [_way(way, [beat for beat in beats if beat.way == way]) for way in ("users", "blue", "green")]
    weights = [f"{app} {shares(each)}" for app, each in picture.sight.weights.items()]
    routed = ", ".join(weights) or f"Kong: {picture.sight.unread or 'unknown'}"
    parts = [*filter(None, ways), routed, f"verdict {picture.so_far}"]
    return f"{at:%H:%M:%S} round {picture.rounds}: {' · '.join(parts)}"


def _way(way: str, beats: Sequence[Beat]) -> str:
    if not beats:
        return ""
    well = sum(not beat.fault for beat in beats)
    times = [beat.ms for beat in beats if beat.ms is not None and not beat.fault]
    slowest = f", slowest {max(times):,.0f} ms" if times else ""
    return f"{way} {well} of {len(beats)} well{slowest}"


def shares(weights: Mapping[Colour, int]) -> str:
    return " / ".join(f"{colour} {weight}" for colour, weight in sorted(weights.items()))


def summary(told: Monitored) -> str:
    """The watch as Markdown, for the summary of a pipeline's run."""
    lines = [
        f"### Monitor of {_safe(told.stack)}: {told.verdict}",
        "",
        _safe(told.sentence),
        "",
        f"{told.rounds} rounds in {span(told.ended - told.began)}, {told.skipped} skipped · "
        f"{told.judged.n:,} requests judged · exit {told.exit} · {_safe(told.baseline.said)}",
        "",
        "| App | Endpoint | Way | Asked | Errors | p50 ms | p95 ms | Trend |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |",
        *(_cells(each) for each in told.endpoints),
    ]
    if told.alerts:
        lines += ["", "| Alert | Subject | What | Raised | Resolved |", "| --- | --- | --- | --- | --- |"]
        lines += [
            f"| {each.level} | {_safe(each.subject)} | {_safe(each.text)} | {each.raised:%H:%M:%S} UTC | "
            f"{f'{each.resolved:%H:%M:%S} UTC' if each.resolved else 'open'} |"
            for each in told.alerts
        ]
    if told.rollback is not None:
        lines += ["", f"**Way back:** {_safe(told.rollback.said)}"]
    return "\n".join([*lines, *(f"\n{_safe(note)}" for note in told.notes)]) + "\n"


def _cells(each: EndpointTold) -> str:
    trend = f"{each.trend} ×{each.ratio:.2g}" if each.ratio is not None else each.trend
    way = each.way if each.role in ("users", "idle") and each.way == "users" else f"{each.way} ({each.role})"
    return (
        f"| {each.app} | {each.endpoint} | {way} | {each.asked} | {each.errors} | {number(each.p50_ms)} | "
        f"{number(each.p95_ms)} | {trend} |"
    )


def number(milliseconds: float | None) -> str:
    """`3.1`, `120`, `–`."""
    if milliseconds is None:
        return "–"
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:,.0f}"


def _safe(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
