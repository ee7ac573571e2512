"""The journal as chapters: weights as steps, requests in slices of time, and the moments that explain them.

A chapter ends where nothing was written for five minutes: a page that shows a day in one chart shows nothing. Single
requests are counted exactly where they were written down, and read out of the counts of an analysis where not.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil

from bluegreen.analysis import Look, Seen
from bluegreen.journal import (
    Analysed,
    AnyEntry,
    Began,
    Decided,
    Ended,
    Looked,
    Pulse,
    SubjectTold,
    Told,
    Weighed,
)
from bluegreen.report.chapter import Bar, Chapter, Line, Moment, Point, Weight, Who
from bluegreen.report.moves import MONITOR, metrics_of
from bluegreen.report.story import way_of
from bluegreen.rollout.percentile import reading, since
from bluegreen.rollout.record import looks

SILENCE = timedelta(minutes=5)
SLICES = 120  # points of a line at most: more than a page has room for
BRIEF = 12  # seconds in which half of one is a slice
NICE = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400)
MOMENTS = 60  # of one chapter
CHAPTERS = 12

Request = tuple[datetime, float | None, bool]  # when it began, milliseconds, whether it failed
Requests = Mapping[tuple[str, Who], Sequence[Request]]


def chapters(entries: Sequence[AnyEntry]) -> tuple[tuple[Chapter, ...], int]:
    """The last ones with something to draw, and how many there were before."""
    standing: dict[str, Weighed] = {}
    found = []
    for part in _parts(entries):
        found.append(_chapter(part, standing))
        standing |= {entry.app: entry for entry in part if isinstance(entry, Weighed)}
    drawn = [each for each in found if each.weights or each.lines]
    return tuple(drawn[-CHAPTERS:]), max(0, len(drawn) - CHAPTERS)


def _parts(entries: Sequence[AnyEntry]) -> Iterator[list[AnyEntry]]:
    part: list[AnyEntry] = []
    for entry in entries:
        if part and entry.at - part[-1].at > SILENCE:
            yield part
            part = []
        part.append(entry)
    if part:
        yield part


def _chapter(part: Sequence[AnyEntry], standing: Mapping[str, Weighed]) -> Chapter:
    requests, derived = _requests(part), _derived(part)
    began = min([part[0].at, *(each[0] for found in requests.values() for each in found)])
    ended = max(part[-1].at, began + timedelta(seconds=1))
    seconds = (ended - began).total_seconds()
    width = _width(seconds)
    lines = [
        Line(app=app, who=who, points=_points(found, began, seconds, width)) for (app, who), found in requests.items()
    ]
    lines += [
        Line(app=app, who=who, points=tuple(_point(seen, at, began) for at, seen in found))
        for (app, who), found in derived.items()
        if (app, who) not in requests
    ]
    return Chapter(
        title=_title(part),
        began=began,
        ended=ended,
        slice=width,
        weights=tuple(_weights(part, standing, began)),
        lines=tuple(sorted(lines, key=lambda line: (line.app, line.who))),
        bars=tuple(_bars(part)),
        moments=_fewer(tuple(_moments(part, began))),
    )


def _width(seconds: float) -> float:
    if seconds <= BRIEF:
        return 0.5
    return float(next((nice for nice in NICE if seconds / nice <= SLICES), ceil(seconds / SLICES)))


def _weights(part: Sequence[AnyEntry], standing: Mapping[str, Weighed], began: datetime) -> Iterator[Weight]:
    moved = {entry.app for entry in part if isinstance(entry, Weighed)}
    first = {app: dict(entry.weights) for app, entry in standing.items() if app in moved or not moved}
    for entry in part:
        if isinstance(entry, Began):  # before the first write, everybody is where the move found him
            first = {**{leg.app: {leg.origin: 100} for leg in entry.legs if leg.origin is not None}, **first}
            break
    yield from (Weight(t=0, app=app, weights=weights) for app, weights in first.items() if app in moved or not moved)
    for entry in part:
        if isinstance(entry, Weighed):
            yield Weight(t=_t(entry.at, began), app=entry.app, weights=dict(entry.weights))


def _requests(part: Sequence[AnyEntry]) -> dict[tuple[str, Who], list[Request]]:
    """Every single request that was written down, by app and way."""
    found: dict[tuple[str, Who], list[Request]] = defaultdict(list)
    before: dict[str, datetime] = {}
    for entry in part:
        match entry:
            case Analysed():
                before[entry.share] = entry.at
            case Looked():
                start = before.get(entry.share, entry.at - timedelta(seconds=entry.elapsed))
                for app, samples in entry.samples.items():
                    for after, colour, ms, fault in samples:
                        found[app, colour].append((start + timedelta(seconds=after), ms, bool(fault)))
                before[entry.share] = entry.at
            case Pulse():
                for beat in entry.beats:
                    way: Who = "blue" if beat.way == "blue" else "green" if beat.way == "green" else "users"
                    found[beat.app, way].append((entry.at, beat.ms, bool(beat.fault) or beat.status is None))
            case _:
                pass
    return found


def _points(requests: Sequence[Request], began: datetime, seconds: float, width: float) -> tuple[Point, ...]:
    slices: dict[int, list[Request]] = defaultdict(list)
    for request in requests:
        slices[int((request[0] - began).total_seconds() // width)].append(request)
    return tuple(_slice(number, width, seconds, slices[number]) for number in sorted(slices))


def _slice(number: int, width: float, seconds: float, requests: Sequence[Request]) -> Point:
    times = sorted(ms for _, ms, _ in requests if ms is not None)
    return Point(
        t=min((number + 0.5) * width, seconds),
        n=len(requests),
        errors=sum(failed for *_, failed in requests),
        p50=rank(times, 50),
        p95=rank(times, 95),
    )


def rank(times: Sequence[float], percentile: float) -> float | None:
    """The nearest-rank percentile of sorted values; None of nothing."""
    return times[max(0, ceil(len(times) * percentile / 100) - 1)] if times else None


def _derived(part: Sequence[AnyEntry]) -> dict[tuple[str, Who], list[tuple[datetime, Seen]]]:
    """What each look added to the one before, where an analysis counted requests."""
    found: dict[tuple[str, Who], list[tuple[datetime, Seen]]] = defaultdict(list)
    kinds: Mapping[str, str] = {}
    subjects: Mapping[str, SubjectTold] = {}
    held: dict[tuple[str, str, str], Seen] = {}
    for entry in part:
        if isinstance(entry, Analysed):
            kinds = {name: "kong" if each.get("kong") is not None else "" for name, each in metrics_of(entry).items()}
            subjects, held = {each.app: each for each in entry.subjects}, {}
        elif isinstance(entry, Looked):
            given = looks(entry)
            told = dict.fromkeys((look.app, who) for look in given for who in _sides(look, kinds, subjects))
            for app, who in told:
                added = [
                    _added(held, (look.app, look.metric, who), side)
                    for look in given
                    if look.app == app
                    for name, side in _sides(look, kinds, subjects).items()
                    if name == who
                ]
                found[app, who].append((entry.at, max(added, key=lambda seen: (bool(seen.buckets), seen.requests))))
    return {key: rows for key, rows in found.items() if any(seen.requests for _, seen in rows)}


def _sides(look: Look, kinds: Mapping[str, str], subjects: Mapping[str, SubjectTold]) -> dict[Who, Seen]:
    if kinds.get(look.metric) == "kong":  # it counts what everybody asks
        return {"users": look.candidate}
    subject = subjects.get(look.app)
    if subject is None:
        return {}
    sides: dict[Who, Seen] = {subject.candidate: look.candidate}
    if look.live is not None and subject.live is not None and subject.live != subject.candidate:
        sides[subject.live] = look.live
    return sides


def _added(held: dict[tuple[str, str, str], Seen], key: tuple[str, str, str], now: Seen) -> Seen:
    before, held[key] = held.get(key, Seen()), now
    return since(now, before)


def _point(seen: Seen, at: datetime, began: datetime) -> Point:
    p50, p95 = reading(seen.buckets, 50), reading(seen.buckets, 95)
    return Point(
        t=_t(at, began),
        n=seen.requests,
        errors=seen.errors,
        p50=p50.value if p50 else None,
        p95=p95.value if p95 else None,
    )


def _bars(part: Iterable[AnyEntry]) -> Iterator[Bar]:
    """The strictest bar of each kind for each app."""
    least: dict[tuple[str, str], Bar] = {}
    for entry in part:
        for subject in entry.subjects if isinstance(entry, Analysed) else ():
            for metric in metrics_of(entry).values() if isinstance(entry, Analysed) else ():
                limits, kind = metric.get("thresholdRange"), metric.get("measures", "errors")
                most = limits.get("max") if isinstance(limits, Mapping) else None
                if kind not in ("errors", "latency") or not isinstance(most, int | float):
                    continue
                percentile = metric.get("percentile")
                of = float(percentile) if isinstance(percentile, int | float) else 95.0
                bar = Bar.model_validate({"app": subject.app, "measures": kind, "most": most, "percentile": of})
                if (subject.app, kind) not in least or bar.most < least[subject.app, kind].most:
                    least[subject.app, kind] = bar
    yield from least.values()


def _moments(part: Sequence[AnyEntry], began: datetime) -> Iterator[Moment]:
    number, decided, before = 0, "", ""
    for entry in part:
        for kind, told, good in _happened(entry):
            if kind in ("told", "alert") and told == before:  # an alert is told as well, and again in every round
                continue
            number, before = number + 1, told
            # What follows a verdict says it again, word by word.
            text = told.replace(decided, "…") if decided and kind != "verdict" else told
            decided = entry.sentence if isinstance(entry, Decided) else decided
            where = {"number": number, "at": entry.at, "t": _t(entry.at, began)}
            yield Moment.model_validate({**where, "kind": kind, "text": text, "good": good})


def _fewer(moments: Sequence[Moment]) -> tuple[Moment, ...]:
    """How it began and how it ended; what a page has no room for is told as a number."""
    more = len(moments) - MOMENTS
    if more <= 0:
        return tuple(moments)
    half = MOMENTS // 2
    gap = moments[half].model_copy(
        update={"kind": "told", "text": f"… and {more:,} more, in the journal", "good": None}
    )
    return (*moments[:half], gap, *moments[-half:])


def _happened(entry: AnyEntry) -> Iterator[tuple[str, str, bool | None]]:
    match entry:
        case Began():
            legs = ", ".join(f"{leg.app} to {leg.goal}" for leg in entry.legs)
            way = _way(entry)
            yield "begin", f"{way[0].upper()}{way[1:]} begins: {legs}" if legs else "A move begins", None
        case Weighed():
            shares = ", ".join(f"{colour} {weight} %" for colour, weight in sorted(entry.weights.items()))
            yield "step", f"{entry.app}: {shares}{f' ({entry.said})' if entry.said else ''}", None
        case Decided() if entry.share != MONITOR:  # a monitor says it again when it ends
            why = f" ({entry.because})" if entry.because else ""
            yield "verdict", f"{stage_of(entry.share)}: {entry.verdict}. {entry.sentence}{why}", entry.verdict == "pass"
        case Told():
            yield "told", f"{entry.app}: {entry.text}" if entry.app else entry.text, None
        case Ended():
            yield "end", f"Ended: {entry.verdict}. {entry.text}".strip(), entry.verdict in ("passed", "pass")
        case Pulse():
            for alert in entry.alerts:
                yield "alert", f"{alert.level}: {alert.subject}: {alert.text}", alert.level == "info"
        case _:
            return


def stage_of(share: str) -> str:
    """Where an analysis looked: `At 25 %`, `In the preview`."""
    return {"preview": "In the preview", MONITOR: "While it was watched"}.get(share, f"At {share}")


def _way(began: Began) -> str:
    way = way_of([leg.way for leg in began.legs])
    return f"a {way}" if way in ("rollback", "repair") else "a rollout"


def _title(part: Sequence[AnyEntry]) -> str:
    told = []
    for entry in part:
        if isinstance(entry, Began):
            told.append(f"{_way(entry)} of {' and '.join(leg.app for leg in entry.legs)}" if entry.legs else "a move")
        elif isinstance(entry, Pulse) or (isinstance(entry, Analysed) and entry.share == MONITOR):
            told.append("a monitor")
    title = ", then ".join(dict.fromkeys(told)) or "what was written down"
    return title[0].upper() + title[1:]


def _t(at: datetime, began: datetime) -> float:
    return max(0.0, (at - began).total_seconds())
