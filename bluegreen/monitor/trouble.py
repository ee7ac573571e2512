"""What is wrong in a round, and how badly. Pure: rows and bars in, troubles out.

    critical   users or the live colour: more than so many percent of a window's requests went wrong, at least 3 of them
               in at least 2 rounds; or endpoints of it gave no answer at all, 2 rounds in a row
    warning    p95 of an endpoint above its bar, or above twice what it was before the release; whatever would be
               critical of the live colour, of a colour that is idle
    info       what changed: weights, releases, holds; and endpoints that are back (`sight.py`, `watch.py`)

A single bad answer is nobody's alert. It deliberately remembers nothing from round to round: `alarm.py` does.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from bluegreen.journal import Beat
from bluegreen.monitor.alarm import Level, Trouble
from bluegreen.monitor.row import Before, Row, percentile
from bluegreen.monitor.wish import Bars
from bluegreen.spec import Colour

LEAST_ERRORS, LEAST_ROUNDS = 3, 2
SILENT = 2  # rounds without any answer
TIMES = 2.0  # the baseline's p95
LEAST_TIMES = 5  # answers of a percentile
CLEARLY = 50.0  # milliseconds above the baseline: twice next to nothing is still next to nothing

Live = Mapping[str, Colour | None]  # by app
Baselines = Mapping[tuple[str, str, str], Before]  # by app, endpoint and role


def troubles(rows: Sequence[Row], live: Live, bars: Bars, before: Baselines) -> list[Trouble]:
    """Everything that is wrong in this round."""
    return [*_errors(rows, live, bars), *_silence(rows, live), *_slowness(rows, live, bars, before)]


def matters(way: str, app: str, live: Live) -> bool:
    """Whether users notice it: their own way, and the colour that serves."""
    return way == "users" or way == live.get(app)


def role(way: str, app: str, live: Live) -> str:
    """`users`, `live` or `idle`: what a way was before, whichever colour that is by now."""
    return "users" if way == "users" else "live" if way == live.get(app) else "idle"


def _errors(rows: Sequence[Row], live: Live, bars: Bars) -> Iterator[Trouble]:
    for (app, way), found in _sides(rows).items():
        windows = [row.window for row in found]
        asked = sum(map(len, windows))
        wrong = sum(bool(beat.fault) for beats in windows for beat in beats)
        rounds = len({at for beats in windows for at, beat in enumerate(reversed(beats)) if beat.fault})
        if wrong < LEAST_ERRORS or rounds < LEAST_ROUNDS or 100 * wrong <= bars.errors * asked:
            continue
        lasts = max(map(len, windows))
        text = (
            f"{100 * wrong / asked:.0f} % of {asked} requests went wrong in the last {lasts} "
            f"rounds (bar {bars.errors:g} %): {_most(windows)}"
        )
        yield Trouble(f"errors {app} {way}", _level(way, app, live), f"{app} {said(way, app, live)}", text)


def _silence(rows: Sequence[Row], live: Live) -> Iterator[Trouble]:
    """One trouble for a whole side: an app that hangs is one thing, however many endpoints it has."""
    for (app, way), found in _sides(rows).items():
        silent = [row for row in found if row.silent >= SILENT]
        if not silent:
            continue
        first, all_of_them = silent[0], f"{len(silent)} of {len(found)} endpoints"
        why = first.last.fault if first.last else "no answer"
        text = f"no answer, {SILENT} rounds in a row ({why})"
        if len(silent) > 1:
            text = f"no answer from {all_of_them}, {SILENT} rounds in a row ({first.endpoint}: {why})"
        subject = f"{first.endpoint if len(silent) == 1 else app} {said(way, app, live)}"
        yield Trouble(f"silent {app} {way}", _level(way, app, live), subject, text)


def _slowness(rows: Sequence[Row], live: Live, bars: Bars, before: Baselines) -> Iterator[Trouble]:
    for row in rows:
        times = row.fresh_times
        if len(times) < LEAST_TIMES or not matters(row.way, row.app, live):
            continue
        p95, subject = percentile(times, 95), f"{row.endpoint} {said(row.way, row.app, live)}"
        was = before.get((row.app, row.endpoint, role(row.way, row.app, live)))
        key = f"slow {row.app} {row.endpoint} {row.way}"
        if p95 > bars.latency:
            text = f"p95 is {p95:,.0f} ms of the last {len(times)} answers (bar {bars.latency:,.0f} ms)"
            yield Trouble(key, "warning", subject, text, rounds=2)
        elif was is not None and p95 > TIMES * was.p95 and p95 > was.p95 + CLEARLY:
            text = f"p95 is {p95:,.0f} ms of the last {len(times)} answers, and was {was.p95:,.0f} ms of {was.n} before"
            yield Trouble(key, "warning", subject, text, rounds=2)


def _sides(rows: Sequence[Row]) -> Mapping[tuple[str, str], Sequence[Row]]:
    """By app and way."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        found[row.app, row.way].append(row)
    return found


def _most(windows: Sequence[Sequence[Beat]]) -> str:
    """The most frequent fault, told with the newest endpoint that had it."""
    faults = [(beat.fault, beat.endpoint) for beats in windows for beat in beats if beat.fault]
    texts = [fault for fault, _ in faults]
    most = max(dict.fromkeys(texts), key=texts.count)
    return f"{next(endpoint for fault, endpoint in reversed(faults) if fault == most)}: {most}"


def _level(way: str, app: str, live: Live) -> Level:
    return "critical" if matters(way, app, live) else "warning"


def said(way: str, app: str, live: Live) -> str:
    """A way as people are told of it."""
    if way == "users":
        return "on the way of users"
    return f"on {way} ({role(way, app, live)})"
