"""Moves and watches out of a journal: which entries belong to which, when each was noticed and how fast it was undone.

A move begins with `Began`, a monitor with an analysis of the share `monitor`; each ends with an `Ended` of its own
kind. Two may overlap, because a monitor watches while somebody moves traffic back. It deliberately judges nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bluegreen.journal import (
    Analysed,
    AnyEntry,
    Began,
    Decided,
    Ended,
    LegTold,
    Looked,
    Pulse,
    RulingTold,
    Told,
    Weighed,
)
from bluegreen.report.story import DecisionTold, LegRow, MoveTold, RulingRow

MONITOR = "monitor"
MOVE_ENDS = ("passed", "rejected", "stopped")
AGAINST = ("fail", "inconclusive", "error")


@dataclass(slots=True)
class Strand:
    """The entries of one move or of one watch, and the decisions in it."""

    began: Began | None = None
    entries: list[AnyEntry] = field(default_factory=list)
    decisions: list[DecisionTold] = field(default_factory=list)
    ended: Ended | None = None
    analysed: Analysed | None = None
    looked: list[Looked] = field(default_factory=list)

    def take(self, entry: AnyEntry) -> None:
        self.entries.append(entry)
        match entry:
            case Analysed():
                self.analysed, self.looked = entry, []
            case Looked():
                self.looked.append(entry)
            case Decided():
                self.decisions.append(_decision(entry, self.analysed, self.looked))
            case Ended():
                self.ended = entry
            case _:
                pass


def strands(entries: Iterable[AnyEntry]) -> tuple[list[Strand], list[Strand]]:
    """Moves and watches, each in the order in which it began."""
    moves: list[Strand] = []
    watches: list[Strand] = []
    for entry in entries:
        if isinstance(entry, Began):
            moves.append(Strand(began=entry, entries=[entry]))
        elif _of_a_monitor(entry):
            if not watches or watches[-1].ended is not None or (isinstance(entry, Analysed) and watches[-1].looked):
                watches.append(Strand())
            watches[-1].take(entry)
        elif moves and (moves[-1].ended is None or isinstance(entry, Weighed | Told)):
            moves[-1].take(entry)
        elif isinstance(entry, Weighed | Analysed | Looked | Decided | Ended):
            moves.append(Strand())  # its beginning is not in the record
            moves[-1].take(entry)
    return moves, watches


def _of_a_monitor(entry: AnyEntry) -> bool:
    match entry:
        case Analysed() | Looked() | Decided():
            return entry.share == MONITOR
        case Ended():
            return entry.verdict not in MOVE_ENDS
        case _:
            return isinstance(entry, Pulse)


def move(strand: Strand) -> MoveTold:
    """One move, told."""
    began, ended = strand.began or Began(at=strand.entries[0].at), strand.ended
    goals = {leg.app: leg.goal for leg in began.legs if leg.goal != leg.origin}  # a repair moves nobody
    weighed = [entry for entry in strand.entries if isinstance(entry, Weighed) and entry.app in goals]
    shares = [(entry.at, entry.weights.get(goals[entry.app], 0), entry.app) for entry in weighed]
    left = max({app: share for _, share, app in shares}.values(), default=0)
    bad = next((each.at for each in reversed(strand.decisions) if each.verdict in AGAINST), None)
    first = next((at for at, share, _ in shares if share > 0), None)
    if ended is not None and ended.verdict == "passed":
        bad = None
    after = [at for at, share, _ in shares if bad is not None and at >= bad and share == 0]
    return MoveTold(
        move=began.move,
        began=began.at,
        ended=ended.at if ended else None,
        verdict=ended.verdict if ended else "",
        text=ended.text if ended else "",
        by=began.by,
        reason=began.reason,
        commit=began.commit,
        legs=tuple(_leg(leg) for leg in began.legs),
        decisions=tuple(strand.decisions),
        highest=max((share for _, share, _ in shares), default=0),
        left=left,
        detected=_between(first, bad) if first is not None and bad is not None and first <= bad else None,
        back=_between(bad, max(after)) if bad is not None and after and not left else None,
    )


def _leg(leg: LegTold) -> LegRow:
    return LegRow(
        app=leg.app,
        way=leg.way,
        origin=leg.origin,
        goal=leg.goal,
        origin_release=leg.origin_release or "",
        release=leg.release,
        stages=leg.stages,
    )


def _between(first: datetime, then: datetime) -> float:
    return max(0.0, (then - first).total_seconds())


def _decision(decided: Decided, analysed: Analysed | None, looked: Sequence[Looked]) -> DecisionTold:
    last = looked[-1] if looked else Looked()
    metrics = metrics_of(analysed)
    return DecisionTold(
        at=decided.at,
        share=decided.share,
        verdict=decided.verdict,
        sentence=decided.sentence,
        because=decided.because,
        after=last.elapsed,
        looks=len(looked),
        rulings=tuple(_row(ruling, metrics.get(ruling.metric, {}), last.elapsed) for ruling in last.rulings),
    )


def metrics_of(analysed: Analysed | None) -> Mapping[str, Mapping[str, Any]]:
    listed = analysed.analysis.get("metrics") if analysed is not None else None
    found = [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list | tuple) else []
    return {str(each.get("name")): each for each in found}


def _row(ruling: RulingTold, metric: Mapping[str, Any], window: float) -> RulingRow:
    kept = ruling.model_dump(include={"app", "metric", "verdict", "value", "bound", "dry_run", "warns", "sentence"})
    unit = {"errors": "%", "latency": "ms", "overhead": "ms"}.get(str(metric.get("measures")), "")
    return RulingRow.model_validate(
        {**kept, "n": ruling.seen, "window": window, "unit": unit, "bar": bar(metric, unit)}
    )


def bar(metric: Mapping[str, Any], unit: str) -> str:
    """`≤ 1 %`, `p95 ≤ 2,000 ms`, `≥ 3`, or nothing where none is known."""
    limits = metric.get("thresholdRange")
    if not isinstance(limits, Mapping):
        return ""
    of = f"p{metric.get('percentile', 95):g} " if unit == "ms" and _number(metric.get("percentile", 95)) else ""
    tail = f" {unit}" if unit else ""
    found = [
        f"{of}{sign} {limits[key]:,g}{tail}" for key, sign in (("min", "≥"), ("max", "≤")) if _number(limits.get(key))
    ]
    return " and ".join(found)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
