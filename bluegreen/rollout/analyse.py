"""One analysis under way: look, judge, look again, until there is a verdict; and one gate.

Only a pass lets a move go on. A fail names the apps whose release is to blame; inconclusive and error blame nobody, and
end the move all the same. It deliberately moves nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bluegreen.analysis import Analysis, Look, Seen, Subject, Verdict
from bluegreen.handler import Halt
from bluegreen.journal import Decided
from bluegreen.rollout.candidate import go_on
from bluegreen.rollout.judge import Decision, Judge
from bluegreen.rollout.plan import Leg
from bluegreen.rollout.record import analysed, looked
from bluegreen.rollout.step import Tools, held
from bluegreen.spec import COLOURS

ASKED_AGAIN = 2.0  # seconds between two looks at a gate


class Unfit(Halt):
    """A release did not prove itself; `guilty` are the apps whose release is to blame, `verdict` the judge's."""

    def __init__(self, what: str, *, world: str, next: str, guilty: frozenset[str], verdict: Verdict = "fail") -> None:
        super().__init__(what, world=world, next=next)
        self.guilty = guilty
        self.verdict = verdict


async def analyse(analysis: Analysis, legs: Sequence[Leg], share: str, tools: Tools, end: datetime) -> str:
    """What the judge said, when it is a pass.

    Args:
        share: how far the candidates are, for the status row: `25 %`, or `preview`.
        end: when the whole move runs out of time.

    Raises:
        Unfit: any other verdict, or no time left for one.
        Asked: somebody wants this to end.
    """
    assert tools.meter is not None, "a rollout is always given a meter"
    judge, began, subjects = Judge(analysis), tools.ctx.now(), [_subject(leg) for leg in legs]
    tools.note(analysed, share=share, analysis=analysis, subjects=subjects)
    async with tools.meter.watch(analysis, subjects, tools.ctx) as watch:
        while True:
            await tools.ctx.sleep(analysis.interval.total_seconds())
            await still_ours(legs, tools)
            now = tools.ctx.now()
            looks = await watch.look()
            elapsed, last = now - began, now - began >= analysis.duration or now >= end
            decision = judge.look(looks, elapsed, last=last)
            tools.note(looked, share=share, elapsed=elapsed, last=last, looks=looks, watch=watch, decision=decision)
            left = max(timedelta(), analysis.duration - elapsed)
            await tools.ctx.status(_row(legs, share, looks, decision, analysis, left))
            if decision.verdict is not None:
                why = "; ".join(filter(None, (watch.told(leg.app, leg.goal) for leg in legs)))
                break
    for ruling in decision.rulings:
        if ruling.dry_run or ruling.warns:
            await tools.ctx.milestone(ruling.sentence)
    text = f"{share}: {decision.sentence}"
    tools.note(Decided, share=share, verdict=decision.verdict, sentence=decision.sentence, because=why)
    tools.event("analysis-completed", text, verdict=decision.verdict, apps=[leg.app for leg in legs])
    if decision.verdict == "pass":
        await tools.ctx.milestone(text)
        return decision.sentence
    guilty = {ruling.app for ruling in decision.rulings if ruling.verdict == "fail" and not ruling.dry_run}
    raise _unfit(legs, share, decision, frozenset(guilty) if decision.verdict == "fail" else frozenset(), why)


async def gate(leg: Leg, share: str, span: timedelta, tools: Tools, end: datetime) -> str:
    """Who approved, once somebody has.

    Raises:
        Unfit: nobody has in time; a gate never promotes.
    """
    until = min(end, tools.ctx.now() + span)
    how = f"bluegreen approve {leg.app} --reason …"
    tools.event("gate-waiting", f"{leg.app} waits at {share} until {until:%H:%M} UTC for: {how}", leg.app)
    await tools.ctx.milestone(f"{leg.app}: waits at {share} until {until:%Y-%m-%d %H:%M:%S} UTC for: {how}")
    while True:
        await still_ours([leg], tools)
        slot = (await tools.gateway.split(leg.lane.upstream)).slots.get(leg.goal)
        if slot is not None and slot.approved is not None:
            # An approval lets one gate open: the next one asks again.
            await tools.gateway.put(leg.lane.upstream, replace(slot, approved=None), seen=slot)
            said = f"approved by {slot.approved.by} ({slot.approved.reason})"
            tools.event("gate-approved", f"{leg.app} at {share}: {said}", leg.app)
            tools.say(f"{leg.app} at {share}: {said}", leg.app)
            return said
        if tools.ctx.now() >= until:
            raise Unfit(
                f"{leg.app}: nobody approved {leg.lane.release} at {share} within {span.total_seconds():g} s.",
                world=f"{leg.goal} carries {share}.",
                next="Run pulumi up again when somebody is there to approve.",
                guilty=frozenset(),
                verdict="inconclusive",
            )
        await tools.ctx.status(f"{leg.app} {share} {leg.goal} · waiting for approval · until {until:%H:%M:%S} UTC")
        await tools.ctx.sleep(ASKED_AGAIN)


async def still_ours(legs: Sequence[Leg], tools: Tools) -> None:
    """Nobody wants this to end, and nobody has taken an app into his own hands.

    Raises:
        Asked: somebody wants it to end.
        Moved: somebody holds one of these apps.
    """
    go_on(tools)
    for leg in legs:
        hold = (await tools.gateway.split(leg.lane.upstream)).hold
        if hold is not None:
            raise held(leg.app, hold)


def _unfit(legs: Sequence[Leg], share: str, decision: Decision, guilty: frozenset[str], why: str) -> Unfit:
    releases = ", ".join(leg.lane.release for leg in legs if leg.app in guilty)
    blamed = f"Stage another release; {releases} is rejected until rollout.retry names it."
    return Unfit(
        f"{', '.join(leg.app for leg in legs)} at {share}: {decision.sentence}{f' ({why})' if why else ''}.",
        world=f"The candidates carry {share}.",
        next=blamed if guilty else "Nothing is rejected: look at what could not be told, then run pulumi up again.",
        guilty=guilty,
        verdict=decision.verdict or "inconclusive",
    )


def _subject(leg: Leg) -> Subject:
    probe, lane = leg.lane.probe, leg.lane
    live = leg.origin if leg.origin != leg.goal else None
    releases = {leg.goal: lane.release}
    if live is not None and leg.origin_release is not None:
        releases[live] = leg.origin_release
    # What somebody else deployed names no release: its answers count without one.
    releases = {colour: release for colour, release in releases.items() if colour not in lane.unmarked}
    headers = {
        colour: {name: values[colour] for name, values in probe.headers.items() if colour in values}
        for colour in COLOURS
    }
    questions = probe.questions or [probe.health]
    return Subject(leg.app, leg.goal, live, releases, headers, questions, probe.release_header)


def _row(
    legs: Sequence[Leg], share: str, looks: Sequence[Look], decision: Decision, analysis: Analysis, left: timedelta
) -> str:
    """`backend 25 % green · 1,204 req · 0.2 % err (≤ 1 %) · p95 210 ms · 40 s left`."""
    rows = []
    for leg in legs:
        said = [f"{leg.app} {share} {leg.goal}"]
        for metric in analysis.metrics:
            seen = next((look.candidate for look in looks if (look.app, look.metric) == (leg.app, metric.name)), Seen())
            ruling = next((r for r in decision.rulings if (r.app, r.metric) == (leg.app, metric.name)), None)
            value = ruling.value if ruling is not None else None
            if metric.measures == "errors" and seen.requests:
                said.append(f"{seen.requests:,} req · {100 * seen.errors / seen.requests:.1f} % err")
                said[-1] += f" (≤ {metric.threshold_range.max:g} %)"
            elif metric.measures in ("latency", "overhead") and value is not None:
                said.append(f"p{metric.percentile:g} {value:.0f} ms")
            elif value is not None:
                said.append(f"{metric.name} {value:g}")
        rows.append(" · ".join(said))
    return f"{'; '.join(rows)} · {left.total_seconds():.0f} s left"
