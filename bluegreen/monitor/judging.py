"""The exact judge of a rollout, over whatever serves: the same probes, the same looks, the same words.

What serves is judged as a candidate, beside the idle colour where that is up and well: what fails on both is the
environment's doing, and no way back would help. When another release begins to serve, judging begins anew with the time
that is left, because nothing seen of the one says anything of the other. It deliberately moves nothing, and goes on
after a verdict that is no failure: a monitor is there for its whole time. What was asked while the line from here was
gone (`line.py`) is judged by nobody: then, too, it begins anew.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import ValidationError

from bluegreen.analysis import Analysis, Look, Meter, Subject
from bluegreen.gateway import Split
from bluegreen.handler import Context, Refused
from bluegreen.journal import AnyEntry, Decided, Looked, Told
from bluegreen.monitor.line import Line
from bluegreen.monitor.picture import Verdict
from bluegreen.rollout.judge import Decision, Judge
from bluegreen.rollout.record import analysed, looked
from bluegreen.rollout.spec import Lane, Rollout
from bluegreen.spec import COLOURS, Colour, problems

SHARE = "monitor"
UNSEEN = "nothing answered here, Kong's Admin API included, so no release is judged by it"
UNHEARD = "nothing has ever answered through the proxy (bluegreen:kongProxyUrl), so no release is judged by it"
NOBODY = "no colour carried all traffic and could be asked past the weights"
AGAIN = 1.0  # seconds until it is tried again whether the line is there
QUIET = 5  # looks in a row without anything wrong, after which a trouble is over


def analysis_of(rollout: Rollout, duration: timedelta) -> Analysis:
    """The stack's own bars for a release that is live: those after the promotion, else of its steps, else before it.

    Raises:
        Refused: so short a watch could never tell.
    """
    own = rollout.post_promotion_analysis or rollout.step_analysis or rollout.pre_promotion_analysis or Analysis()
    interval = min(own.interval, duration)
    given = own.model_copy(update={"duration": duration, "interval": interval})
    try:
        # Built again from its own fields: a copy is checked by nobody.
        return Analysis(**{name: getattr(given, name) for name in Analysis.model_fields})
    except ValidationError as error:
        raise Refused(
            f"A watch of {duration.total_seconds():g} s is too short to judge anything: {problems(error)[0]}.",
            world="Nothing was asked.",
            next="Give a longer DURATION.",
        ) from None


@dataclass(slots=True)
class Onset:
    """Since when something has been wrong, once it is; a few quiet looks end it."""

    quiet_after: int
    since: datetime | None = None
    _quiet: int = 0

    def bad(self, at: datetime) -> None:
        self._quiet = 0
        self.since = self.since or at

    def good(self) -> None:
        self._quiet += 1
        if self._quiet >= self.quiet_after:
            self.since = None


def subjects(lanes: Mapping[str, Lane], splits: Mapping[str, Split], beside: Mapping[str, Colour]) -> list[Subject]:
    """Whatever serves, of every app of which that is one colour; `beside` are the idle colours that are well."""
    found = []
    for app, lane in lanes.items():
        split = splits.get(app)
        live = split.live if split is not None else configured(lane)
        if live is None:
            continue
        slots = split.slots if split is not None else {}
        releases = {
            colour: release
            for colour in COLOURS
            if (slot := slots.get(colour)) is not None and (release := slot.release) and colour not in lane.unmarked
        }
        other = beside.get(app)
        questions = lane.probe.questions or [lane.probe.health]
        headers = {
            colour: {name: values[colour] for name, values in lane.probe.headers.items() if colour in values}
            for colour in COLOURS
        }
        compared = other if other != live and other in lane.addresses else None
        found.append(Subject(app, live, compared, releases, headers, questions, lane.probe.release_header))
    return found


@dataclass(slots=True)
class Judging:
    """Judges until the watch is over; what it says so far is in `verdict`.

    Args:
        line: whether it is us who see nothing.
        ends: when the watch does.
        over: whether the watch has ended before its time.
        note: keeps what is written down of it: how each analysis began, every look, every verdict.
    """

    analysis: Analysis
    meter: Meter
    ctx: Context
    line: Line
    ends: datetime
    verdict: Verdict
    over: Callable[[], bool]
    note: Callable[[AnyEntry], None]
    onset: Onset = field(default_factory=lambda: Onset(QUIET))

    async def run(self, wanted: Callable[[], Sequence[Subject]]) -> None:
        """Until the watch ends, or a release failed."""
        while not self.over() and self.ends - self.ctx.now() >= self.analysis.interval / 2:
            chosen = wanted()
            if not chosen:
                self.verdict.unseen = NOBODY
                await self.ctx.sleep(self.analysis.interval.total_seconds())
                continue
            if self.verdict.unseen and self.line.away:
                await self.ctx.sleep(AGAIN)
                continue
            left = max(self.analysis.interval, self.ends - self.ctx.now())
            await self._same(self.analysis.model_copy(update={"duration": left}), chosen, wanted)
            if self.verdict.decision is not None and self.verdict.decision.verdict == "fail":
                return

    async def _same(
        self, analysis: Analysis, chosen: Sequence[Subject], wanted: Callable[[], Sequence[Subject]]
    ) -> None:
        """One analysis, for as long as the same releases serve."""
        judge, began, last = Judge(analysis), self.ctx.now(), False
        self.note(analysed(began, SHARE, analysis, chosen))
        self.verdict.colours = {subject.app: subject.candidate for subject in chosen}
        self.verdict.unseen = self.verdict.unseen.removeprefix(NOBODY)
        before = began
        async with self.meter.watch(analysis, chosen, self.ctx) as watch:
            while not last:
                await self.ctx.sleep(analysis.interval.total_seconds())
                now = self.ctx.now()
                last = self.over() or now - began >= analysis.duration
                if not last and _serving(wanted()) != _serving(chosen):
                    return
                looks = await watch.look()
                decision = judge.look(looks, now - began, last=last)
                because = "; ".join(filter(None, (watch.told(each.app, each.candidate) for each in chosen)))
                last = last or decision.verdict == "fail"
                entry = looked(now, SHARE, now - began, last, looks, watch, decision)
                if await self._unseen(entry, before):
                    return
                self._notice(entry, before, decision)
                self._keep(decision, because, looks)
                before = now
        self.note(
            Decided(at=now, share=SHARE, verdict=decision.verdict or "", sentence=decision.sentence, because=because)
        )

    async def _unseen(self, entry: Looked, before: datetime) -> bool:
        """Whether this look says nothing of a release; what the looks before it said goes with it."""
        asked = [
            (before + timedelta(seconds=seconds), ms is not None)
            for samples in entry.samples.values()
            for seconds, _, ms, _ in samples
        ]
        if any(not answered for _, answered in asked):
            await self.line.look()  # an absence that has just begun
        if not self.line.lost(asked):
            return False
        self.verdict.unseen = UNSEEN if self.line.heard else UNHEARD
        self.verdict.decision, self.verdict.because, self.verdict.seen = None, "", 0
        self.note(Told(at=entry.at, text=f"Judging begins anew: {self.verdict.unseen}."))
        return True

    def _notice(self, entry: Looked, before: datetime, decision: Decision) -> None:
        """Since when something is wrong: the first request of a serving colour that was."""
        self.note(entry)
        wrong = [
            seconds
            for app, samples in entry.samples.items()
            for seconds, colour, _, fault in samples
            if fault and colour == self.verdict.colours.get(app)
        ]
        if wrong or any(ruling.warns for ruling in decision.rulings):
            self.onset.bad(before + timedelta(seconds=min(wrong, default=0.0)))
        else:
            self.onset.good()

    def _keep(self, decision: Decision, because: str, looks: Sequence[Look]) -> None:
        self.verdict.decision, self.verdict.because = decision, because
        most: dict[str, int] = {}
        for look in looks:
            most[look.app] = max(most.get(look.app, 0), look.candidate.requests)
        self.verdict.seen = sum(most.values())


def _serving(chosen: Sequence[Subject]) -> dict[str, tuple[Colour, str | None]]:
    return {each.app: (each.candidate, each.releases.get(each.candidate)) for each in chosen}


def configured(lane: Lane) -> Colour | None:
    """What serves as the config has it, where Kong never said."""
    return next((colour for colour in COLOURS if colour == lane.live), None)
