"""What the records of a load amount to: by phase, by failure, by colour. Pure functions of what was written down.

A request belongs to the phase in which it was sent. Every record counts: failures are part of the percentiles with the
time they took, and what was sent outside every phase is shown as a phase of its own, so that the phases always sum up
to the total.

`wrong_colour` is an answer from a colour that could not carry traffic: its weight was proved 0 before the request was
sent and was not raised before the answer came. Spans say which colours are allowed from when until when; a request that
was still in flight when the next span began may be answered by that span's colours too, because nobody can tell whether
the gateway chose before or after. A 200 that names no colour, within a span, counts as wrong: it proves nothing.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from sandbox.load_records import Kind, Record, Totals

OUTSIDE = "outside every phase"


@dataclass(frozen=True, slots=True)
class Phase:
    """A named stretch of the run; `until` itself is no longer part of it."""

    name: str
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` until `until` only these colours may answer for this app."""

    app: str
    colours: frozenset[str]
    since: float
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds from the scheduled moment to the end of the answer, nearest rank."""

    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Row:
    """The counts of one phase, or of the whole run."""

    name: str
    seconds: float
    requests: int
    failed: int
    wrong_colour: int
    kept: Percentiles | None = None
    new: Percentiles | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The whole load in numbers."""

    phases: tuple[Row, ...]
    total: Row
    failures: Mapping[str, int] = field(default_factory=dict)
    slow_gap_seconds: Mapping[str, float] = field(default_factory=dict)  # longest moment without a slow request
    generator: Totals | None = None

    def as_json(self) -> dict[str, Any]:
        whole = asdict(self)
        del whole["total"]["name"]
        return whole


def phases_of(marks: Sequence[tuple[str, float]], end: float) -> tuple[Phase, ...]:
    """Each mark opens a phase and closes the one before it."""
    ends = [moment for _, moment in marks[1:]] + [end]
    return tuple(Phase(name, since, until) for (name, since), until in zip(marks, ends, strict=True))


def tally(records: Iterable[Record], phases: Sequence[Phase], serving: Sequence[Span] = ()) -> Report:
    """Count everything once."""
    records = list(records)
    groups: list[list[Record]] = [[] for _ in phases]
    outside: list[Record] = []
    for record in records:
        holder = next((n for n, phase in enumerate(phases) if phase.since <= record.sent < phase.until), None)
        (outside if holder is None else groups[holder]).append(record)
    spans: dict[str, list[Span]] = {}
    for span in sorted(serving, key=lambda span: span.since):
        spans.setdefault(span.app, []).append(span)
    rows = [_row(p.name, p.until - p.since, group, spans) for p, group in zip(phases, groups, strict=True)]
    if outside:
        rows.append(_row(OUTSIDE, 0.0, outside, spans))
    apps = sorted({record.app for record in records if record.kind == "slow"})
    return Report(
        phases=tuple(rows),
        total=_row("total", sum(row.seconds for row in rows), records, spans),
        failures=dict(Counter(record.failure for record in records if record.failure is not None)),
        slow_gap_seconds={app: round(slow_gap(records, app), 3) for app in apps},
    )


def _row(name: str, seconds: float, records: Sequence[Record], spans: Mapping[str, Sequence[Span]]) -> Row:
    return Row(
        name=name,
        seconds=round(seconds, 3),
        requests=len(records),
        failed=sum(record.failure is not None for record in records),
        wrong_colour=sum(is_wrong(record, spans.get(record.app, ())) for record in records),
        kept=percentiles(_milliseconds(records, "kept")),
        new=percentiles(_milliseconds(records, "new")),
    )


def _milliseconds(records: Iterable[Record], kind: Kind) -> list[float]:
    return [record.ms for record in records if record.kind == kind]


def is_wrong(record: Record, spans: Sequence[Span]) -> bool:
    """Whether a colour answered that could not have been chosen; `spans` are this app's, in order of time."""
    if record.colour is None and record.status != 200:
        return False  # not an app's answer; it is counted as failed already
    covered = record.sent
    allowed: set[str] = set()
    for span in spans:
        if span.until <= record.sent or span.since > record.answered:
            continue
        if span.since > covered:
            return False  # a moment in which any colour was allowed
        covered = max(covered, span.until)
        allowed |= span.colours
    return bool(allowed) and covered > record.answered and record.colour not in allowed


def percentiles(milliseconds: Sequence[float]) -> Percentiles | None:
    """None where there is nothing to rank."""
    if not milliseconds:
        return None
    ranked = sorted(milliseconds)
    p50, p95, p99 = (ranked[math.ceil(len(ranked) * share) - 1] for share in (0.5, 0.95, 0.99))
    return Percentiles(p50=p50, p95=p95, p99=p99, max=ranked[-1])


def slow_gap(records: Iterable[Record], app: str) -> float:
    """The longest stretch, between the first slow request and the last one's sending, with none in flight."""
    slow = sorted((r.sent, r.answered) for r in records if r.kind == "slow" and r.app == app)
    gap, covered = 0.0, slow[0][1] if slow else 0.0
    for sent, answered in slow[1:]:
        gap = max(gap, sent - covered)
        covered = max(covered, answered)
    return gap


def table(report: Report) -> Table:
    """The report as people read it in a terminal."""
    view = Table(
        title=_title(report.generator), title_justify="left", box=SIMPLE, pad_edge=False, collapse_padding=True
    )
    view.add_column("phase", no_wrap=True)
    for heading in ("seconds", "requests", "failed", "wrong colour", "p99 ms"):
        view.add_column(heading, justify="right", no_wrap=True)
    for row in report.phases:
        view.add_row(*_cells(row))
    view.add_section()
    view.add_row(*_cells(report.total), style="bold")
    if report.failures:
        view.caption = ", ".join(f"{count} × {reason}" for reason, count in sorted(report.failures.items()))
    return view


def _title(generator: Totals | None) -> str | None:
    if generator is None or generator.ended == "asked":
        return None
    return f"The load ended early, by its own bound: {generator.ended}. Later phases were not loaded."


def _cells(row: Row) -> list[str]:
    counts = [f"[red]{count}[/red]" if count else "0" for count in (row.failed, row.wrong_colour)]
    slowest = [ranked.p99 for ranked in (row.kept, row.new) if ranked is not None]
    return [row.name, f"{row.seconds:.1f}", f"{row.requests:,}", *counts, f"{max(slowest):.1f}" if slowest else "–"]
