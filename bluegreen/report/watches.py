"""Monitors of a release: from their final documents, and from the journal where one never got so far."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from bluegreen.journal import Beat, Pulse
from bluegreen.report.moves import Strand
from bluegreen.report.story import AlertTold, EndpointTold, MonitorTold
from bluegreen.report.timeline import rank


def monitors(watched: Sequence[Strand], documents: Sequence[Mapping[str, Any]]) -> tuple[MonitorTold, ...]:
    """Every watch that the journal holds; a document of the same end adds what only it knows."""
    told = [_watch(strand) for strand in watched]
    for document in sorted(documents, key=lambda each: str(each.get("began", ""))):
        known = _document(document)
        if known is None:
            continue
        at = next((n for n, each in enumerate(told) if abs((each.began - known.began).total_seconds()) < 60), None)
        if at is None:
            told.append(known)
            continue
        filled = {
            name: getattr(known, name) for name in ("baseline", "detect_ms", "rollback_ms") if getattr(known, name)
        }
        trends = {(each.endpoint, each.way): each.trend for each in known.endpoints}
        rows = [
            each.model_copy(update={"trend": trends.get((each.endpoint, each.way), "")}) for each in told[at].endpoints
        ]
        endpoints = tuple(rows) or known.endpoints
        alerts = told[at].alerts or known.alerts
        told[at] = told[at].model_copy(update={**filled, "endpoints": endpoints, "alerts": alerts})
    return tuple(sorted(told, key=lambda each: each.began))


def _watch(strand: Strand) -> MonitorTold:
    pulses = [entry for entry in strand.entries if isinstance(entry, Pulse)]
    ended = strand.ended
    beats: dict[tuple[str, str, str], list[Beat]] = defaultdict(list)
    for pulse in pulses:
        for beat in pulse.beats:
            beats[beat.endpoint, beat.app, beat.way].append(beat)
    return MonitorTold(
        began=strand.entries[0].at,
        ended=ended.at if ended else None,
        verdict=ended.verdict if ended else "",
        text=ended.text if ended else "It has no end in the record.",
        rounds=len(pulses),
        endpoints=tuple(_endpoint(*key, found) for key, found in beats.items()),
        alerts=tuple(
            AlertTold(at=pulse.at, level=each.level, subject=each.subject, text=each.text)
            for pulse in pulses
            for each in pulse.alerts
        ),
        decisions=tuple(strand.decisions),
    )


def _endpoint(endpoint: str, app: str, way: str, beats: Sequence[Beat]) -> EndpointTold:
    times = sorted(beat.ms for beat in beats if beat.ms is not None)
    failed = sum(bool(beat.fault) or beat.status is None for beat in beats)
    return EndpointTold(
        endpoint=endpoint, app=app, way=way, n=len(beats), failed=failed, p50=rank(times, 50), p95=rank(times, 95)
    )


def _document(document: Mapping[str, Any]) -> MonitorTold | None:
    timings, baseline = _within(document, "timings"), _within(document, "baseline")
    compared = baseline.get("release") or baseline.get("endpoints")
    told = {name: document.get(name) for name in ("began", "ended", "verdict", "rounds") if name in document}
    try:
        return MonitorTold.model_validate(
            {
                **told,
                "text": document.get("sentence", ""),
                "baseline": baseline.get("said", "") if compared else "",
                "endpoints": [_told(each) for each in _list(document, "endpoints")],
                "alerts": [{**each, "at": each.get("raised")} for each in _list(document, "alerts")],
                "detectMs": timings.get("detectMs"),
                "rollbackMs": timings.get("rollbackMs"),
            }
        )
    except ValidationError:
        return None


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    ratio = row.get("ratio")
    by = f" ({ratio:.2f} ×)" if isinstance(ratio, int | float) else ""
    kept = {name: row.get(name, "") for name in ("endpoint", "app", "way")}
    counts = {"n": row.get("asked", 0), "failed": row.get("errors", 0)}
    return {**kept, **counts, "p50": row.get("p50Ms"), "p95": row.get("p95Ms"), "trend": f"{row.get('trend', '')}{by}"}


def _within(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}


def _list(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = document.get(name)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
