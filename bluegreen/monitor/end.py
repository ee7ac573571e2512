"""What a watch came to: its verdict, its exit code, its sentence, its document. Pure.

    fail           the judge said so, or an alert was critical: taken back by nothing that came afterwards
    inconclusive   somebody stopped it, too little was seen, the environment failed as a whole, nothing could be judged
    error          nothing could be measured
    pass           the judge's pass over the whole time, without a critical alert

Exits: 0 pass; 10 failed, and nothing was moved; 11 failed, traffic went back and users are well; 12 failed, and the way
back did not work or did not help; 13 inconclusive or error; 128 + the signal's number where somebody stopped it.
"""

import signal
from collections import Counter
from datetime import datetime, timedelta

from bluegreen.monitor.document import (
    AlertTold,
    BaselineTold,
    BeforeTold,
    EndpointTold,
    JudgedTold,
    Monitored,
    ReturnTold,
)
from bluegreen.monitor.picture import Picture
from bluegreen.monitor.row import Row, percentile
from bluegreen.monitor.watch import Watch

PASS, FAILED, RETURNED, UNRETURNED, INCONCLUSIVE = 0, 10, 11, 12, 13
EARLY = "it ended before there was anything to judge"


def document(watch: Watch, stack: str, ended: datetime, stopped: signal.Signals | None) -> Monitored:
    """The whole watch."""
    picture = watch.picture
    verdict = _verdict(picture, stopped)
    exit = _exit(verdict, watch.returned, stopped)
    wish, sight = picture.wish, picture.sight
    return Monitored(
        owner=picture.owner,
        stack=stack,
        release=picture.release,
        began=picture.began,
        ended=ended,
        duration_seconds=wish.duration.total_seconds(),
        interval_seconds=wish.interval.total_seconds(),
        rounds=picture.rounds,
        skipped=picture.skipped,
        verdict=verdict,
        exit=exit,
        sentence=_sentence(picture, verdict, stopped),
        interrupted=stopped.name if stopped else "",
        judged=_judged(picture),
        endpoints=tuple(_endpoint(picture, row) for row in picture.sorted()),
        alerts=tuple(
            AlertTold(level=each.level, subject=each.subject, text=each.text, raised=each.at, resolved=each.resolved)
            for each in picture.alarms.all
        ),
        weights={
            app: {colour: slot.weight for colour, slot in split.slots.items()} for app, split in sight.splits.items()
        },
        releases=sight.releases,
        baseline=BaselineTold(
            release=picture.baseline.release, endpoints=len(picture.baseline.rows), said=picture.baseline.said
        ),
        timings=watch.timings,
        rollback=watch.returned,
        notes=tuple(picture.notes),
    )


def _verdict(picture: Picture, stopped: signal.Signals | None) -> str:
    decision = picture.verdict.decision
    if picture.failed:
        return "fail"
    if picture.rows and not any(row.asked > row.unanswered for row in picture.rows.values()):
        return "error"  # whatever the judge says: nobody has ever answered
    if stopped is not None or decision is None or decision.verdict is None:
        return "inconclusive"
    return decision.verdict


def _exit(verdict: str, returned: ReturnTold | None, stopped: signal.Signals | None) -> int:
    if verdict != "fail":
        return 128 + stopped if stopped is not None else PASS if verdict == "pass" else INCONCLUSIVE
    if returned is None or returned.refused:
        return FAILED
    return RETURNED if returned.done and returned.well else UNRETURNED


def _sentence(picture: Picture, verdict: str, stopped: signal.Signals | None) -> str:
    if picture.failed:
        return picture.failed
    decision = picture.verdict.decision
    said = _unjudged(picture) if decision is None else decision.sentence
    return f"stopped by {stopped.name}; {said}" if stopped is not None else said


def _unjudged(picture: Picture) -> str:
    return f"nothing was judged: {picture.verdict.unseen or EARLY}"


def _judged(picture: Picture) -> JudgedTold:
    verdict, decision = picture.verdict, picture.verdict.decision
    if decision is None:
        return JudgedTold(sentence=_unjudged(picture))
    return JudgedTold(
        verdict=decision.verdict or "inconclusive",
        sentence=decision.sentence,
        because=verdict.because,
        n=verdict.seen,
        colours=verdict.colours,
    )


def _endpoint(picture: Picture, row: Row) -> EndpointTold:
    times, trend = row.times, picture.trend(row)
    before = trend.before
    return EndpointTold(
        app=row.app,
        endpoint=row.endpoint,
        way=row.way,
        role=picture.role(row),
        asked=row.asked,
        errors=row.errors,
        unanswered=row.unanswered,
        n=len(times),
        last_ms=times[-1] if times else None,
        p50_ms=percentile(times, 50) if times else None,
        p95_ms=percentile(times, 95) if times else None,
        max_ms=max(times) if times else None,
        faults=dict(Counter(beat.fault for beat in row.beats if beat.fault).most_common(5)),
        trend=trend.direction,
        ratio=round(trend.ratio, 3) if trend.ratio is not None else None,
        before=BeforeTold(n=before.n, p50_ms=before.p50, p95_ms=before.p95, errors=before.errors) if before else None,
    )


def advice(told: Monitored, helpless: str) -> str:
    """What to do now; `helpless` is why no way back would have helped, where that is known."""
    match told.exit:
        case 10 if told.rollback is not None:
            return "bluegreen status says what serves, and whether traffic can go back by hand."
        case 10 if helpless:
            return f"Nothing was moved, and no way back would have helped: {helpless}. Look at what both share."
        case 10:
            return "Nothing was moved: bluegreen rollback full --reason … takes traffic back."
        case 12:
            return "Somebody has to look now: bluegreen status says what serves."
        case 13 if told.verdict == "error":
            return "Check bluegreen:kongProxyUrl and the way there from here, or what could not be measured."
        case 13:
            return "Watch longer, or look at what could not be told."
        case _:
            return ""


def span(seconds: timedelta) -> str:
    """`1:05`, `1:02:03`."""
    whole = round(seconds.total_seconds())
    minutes, left = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
