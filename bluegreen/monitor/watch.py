"""A watch: a round every interval, the judge beside it, alerts from what both see; until its time is over.

A round that is due while another is under way is skipped and counted, never made up for. Whatever goes away and comes
back (an endpoint, Kong's Admin API, the proxy, the network) is told as such and looked at again by itself. A failure is
the judge's `fail` or a critical alert, and is never taken back; where that was wished for, traffic goes back at once,
and a few more rounds tell whether users are well again. Who shows it, who writes it down and how traffic goes back is
handed in. It deliberately reads no clock but its context's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Protocol

from pydantic import JsonValue

from bluegreen.analysis import Analysis, Meter, Subject
from bluegreen.event import Kind
from bluegreen.gateway import Gateway
from bluegreen.handler import Context
from bluegreen.journal import Alert, AnyEntry, Beat, Pulse, Told
from bluegreen.monitor.alarm import Raised
from bluegreen.monitor.asking import Asker, blind, closed, of_users
from bluegreen.monitor.document import ReturnTold, Timings
from bluegreen.monitor.endpoint import Endpoints
from bluegreen.monitor.judging import Judging, Onset, configured, subjects
from bluegreen.monitor.picture import Picture
from bluegreen.monitor.sight import Sight, look, news
from bluegreen.monitor.trouble import matters, troubles
from bluegreen.rollout.spec import Lane
from bluegreen.spec import COLOURS, Colour

AFTER = 3  # rounds that follow a way back
AFTERWARDS = timedelta(seconds=5)  # the longest interval between them
TICK = 0.5  # seconds between two looks at whether something happened
QUIET_ROUNDS = 2
FAREWELL = 1.0  # seconds that the judge's last look may take beyond its interval


class Show(Protocol):
    """Whoever shows a watch to a person or a log; never raises, whatever becomes of the terminal."""

    def draw(self, picture: Picture, now: datetime) -> None:
        """Something may look otherwise now."""

    def round(self, picture: Picture, beats: Sequence[Beat], at: datetime) -> None:
        """A round is over."""

    def say(self, text: str) -> None:
        """One sentence, which stays."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside that a watch works with."""

    ctx: Context
    gateway: Gateway
    meter: Meter
    asker: Asker
    show: Show
    note: Callable[[AnyEntry], None]
    tell: Callable[[Kind, str, Mapping[str, JsonValue]], None]
    heard: Callable[[Pulse], None]
    back: Callable[[str], Awaitable[ReturnTold]]


@dataclass(slots=True)
class Watch:
    """One watch of one stack; `run` it once."""

    picture: Picture
    analysis: Analysis
    endpoints: Endpoints
    lanes: Mapping[str, Lane]  # those that are watched
    upstreams: Mapping[str, str]  # of every app
    ports: Ports
    returned: ReturnTold | None = None
    timings: Timings = field(default_factory=Timings)
    beats: Sequence[Beat] = ()
    _first: Onset = field(default_factory=lambda: Onset(QUIET_ROUNDS))
    _over: bool = False
    _away: bool = False  # nothing answered in the round before

    async def run(self) -> None:
        """Until its time is over, somebody stops it, or traffic went back and the rounds after that are done."""
        judging = self._judging(self._ends)
        await self._round()
        async with asyncio.TaskGroup() as tasks:
            judge = tasks.create_task(judging.run(self._subjects))
            clock = tasks.create_task(self._redraw())
            await self._rounds(judging)
            self._over = True
            if not self._acts():
                await asyncio.wait({judge}, timeout=self.analysis.interval.total_seconds() + FAREWELL)
            self._judged(judging)
            if self._acts():
                await self._after_failure()
            judge.cancel()
            clock.cancel()

    @property
    def _ends(self) -> datetime:
        return self.picture.began + self.picture.wish.duration

    async def _rounds(self, judging: Judging) -> None:
        """One round each interval, until there are no more or there is something to act on."""
        ctx, wish, began = self.ports.ctx, self.picture.wish, self.picture.began
        turn = 1
        while (due := began + turn * wish.interval) <= self._ends:
            await self._until(due, judging)
            if ctx.cancelled or self._acts():
                return
            await self._round()
            next_ = max(turn + 1, ceil((ctx.now() - began) / wish.interval))
            if missed := min(next_, wish.duration // wish.interval + 1) - turn - 1:
                self.picture.skipped += missed
                self._say(f"{missed} round{'s were' if missed > 1 else ' was'} skipped: the one before took too long.")
            turn = next_
        await self._until(self._ends, judging)

    async def _until(self, due: datetime, judging: Judging) -> None:
        """Until then, or until there is something to act on."""
        ctx = self.ports.ctx
        while (left := (due - ctx.now()).total_seconds()) > 0 and not ctx.cancelled:
            await ctx.sleep(min(TICK, left))
            self._judged(judging)
            if self._acts():
                return

    def _acts(self) -> bool:
        wish = self.picture.wish
        return bool(self.picture.failed) and (wish.returns or wish.fail_fast)

    def _judged(self, judging: Judging) -> None:
        """Take notice of the judge's end."""
        decision = judging.verdict.decision
        if decision is not None and decision.verdict == "fail":
            why = f" ({judging.verdict.because})" if judging.verdict.because else ""
            self._fail(f"{decision.sentence}{why}", judging.onset.since)

    def _fail(self, why: str, since: datetime | None) -> None:
        if self.picture.failed:
            return
        now = self.ports.ctx.now()
        began = min(filter(None, (since, self._first.since)), default=now)
        self.picture.failed = why
        detect = round(max(0.0, (now - began) / timedelta(milliseconds=1)), 1)
        self.timings = self.timings.model_copy(update={"detect_ms": detect})
        self._say(f"fail, {detect / 1000:.1f} s after the first that went wrong: {why}")

    async def _after_failure(self) -> None:
        """Back, where that is wished for, and a few rounds that tell how users fare then."""
        wish, ctx = self.picture.wish, self.ports.ctx
        if not wish.returns:
            return None
        if unwell := self._unwell():
            self.returned = ReturnTold(refused=True, said=unwell)
            return self._say(unwell)
        began = ctx.now()
        self.picture.doing = "traffic goes back"
        self.returned = await self.ports.back(self.picture.failed)
        self.picture.doing = ""
        if not self.returned.done:
            return None
        took = round((ctx.now() - began) / timedelta(milliseconds=1), 1)
        proved = self.returned.seconds
        self.timings = self.timings.model_copy(update={"rollback_ms": took if proved is None else 1000 * proved})
        for _ in range(AFTER):
            await self._round()
            if ctx.cancelled:
                break
            await ctx.sleep(min(wish.interval, AFTERWARDS).total_seconds())
        users = of_users(self.beats) or [beat for beat in self.beats if matters(beat.way, beat.app, self._live())]
        self.returned = self.returned.model_copy(update={"well": bool(users) and not any(b.fault for b in users)})
        return None

    def _unwell(self) -> str:
        """Why nothing goes back: by hand somebody may know better, but nobody is asked here."""
        live = self._live()
        idle = [beat for beat in self.beats if beat.way in COLOURS and beat.way != live.get(beat.app)]
        faulty = next((beat for beat in idle if beat.fault and live.get(beat.app) is not None), None)
        if faulty is None:
            return ""
        return (
            f"No way back was gone: {faulty.app}'s {faulty.way} was not well in the last round either "
            f"({faulty.endpoint}: {faulty.fault})."
        )

    async def _round(self) -> None:
        """Ask everything, take in what came, tell what is new."""
        picture, ctx = self.picture, self.ports.ctx
        endpoints, at = self.endpoints.round(picture.sight.splits), ctx.now()
        beats, sight = await asyncio.gather(
            self.ports.asker.round(endpoints), look(self.ports.gateway, self.upstreams, picture.sight)
        )
        shut = closed(beats, endpoints)
        for app in sorted(shut - self.endpoints.shut):
            self.endpoints.close(app)
        self.beats = [beat for beat in beats if not (beat.app in self.endpoints.shut and beat.way in COLOURS)]
        changed = list(news(picture.sight, sight))
        was_silent = {key for key, row in picture.rows.items() if row.silent}
        picture.sight, picture.rounds = sight, picture.rounds + 1
        for beat in self.beats:
            picture.add(beat)
        for note in self.endpoints.notes[len(picture.notes) :]:
            self._say(note)
        picture.notes = list(self.endpoints.notes)
        live = self._live()
        wrong = any(beat.fault and matters(beat.way, beat.app, live) for beat in self.beats)
        self._first.bad(at) if wrong else self._first.good()
        told = [picture.alarms.tell(at, app, text) for app, text in changed if app in self.lanes]
        told += self._back_again(at, was_silent)
        self._tell_round(at, sight, told)

    def _tell_round(self, at: datetime, sight: Sight, told: Sequence[Raised]) -> None:
        picture = self.picture
        found = troubles(list(picture.rows.values()), self._live(), picture.wish.bars, picture.baseline.rows)
        raised, resolved = picture.alarms.round(at, found)
        alerts = [Alert(level=each.level, subject=each.subject, text=each.text) for each in (*told, *raised)]
        alerts += [Alert(level="info", subject=each.subject, text=f"resolved: {each.text}") for each in resolved]
        weights: dict[str, Mapping[Colour, int]] = dict(sight.weights)
        pulse = Pulse(at=at, number=picture.rounds, beats=tuple(self.beats), weights=weights, alerts=tuple(alerts))
        self.ports.note(pulse)
        self.ports.heard(pulse)
        self.ports.show.round(picture, self.beats, at)
        for each in told:
            self._say(f"info: {each.subject}: {each.text}")
        for each in raised:
            self._say(f"{each.level}: {each.subject}: {each.text}")
            self.ports.tell("monitor-alert", f"{each.level}: {each.subject}: {each.text}", _facts(each))
        for each in resolved:
            self._say(f"resolved: {each.subject}: {each.text}")
            self.ports.tell("monitor-resolved", f"{each.subject}: {each.text}", _facts(each))
        self._blindness()
        critical = [each for each in raised if each.level == "critical"]
        if critical and self.returned is None:
            self._fail("; ".join(f"{each.subject}: {each.text}" for each in critical), self._first.since)

    def _back_again(self, at: datetime, silent: set[tuple[str, str, str]]) -> list[Raised]:
        """Endpoints that had not answered, and do again."""
        rows = [row for key, row in self.picture.rows.items() if key in silent and not row.silent]
        if len(rows) > 3:
            return [self.picture.alarms.tell(at, "endpoints", f"{len(rows)} answer again")]
        return [self.picture.alarms.tell(at, f"{row.endpoint} on {row.way}", "answers again") for row in rows]

    def _blindness(self) -> None:
        """Say once that nothing can be seen, and once that it can again."""
        away = blind(self.beats) and bool(self.picture.sight.unread)
        if away and not self._away:
            self._say("Nothing answers, Kong's Admin API included: the network from here may be away. It goes on.")
        if self._away and not away:
            self._say("There are answers again.")
        self._away = away

    def _live(self) -> dict[str, Colour | None]:
        """What serves, as Kong said last; before it ever did, what the config says."""
        known = {app: configured(lane) for app, lane in self.lanes.items()}
        return {**known, **{app: colour for app, colour in self.picture.sight.live.items() if app in self.lanes}}

    def _subjects(self) -> Sequence[Subject]:
        lanes = {app: lane for app, lane in self.lanes.items() if app not in self.endpoints.shut}
        return subjects(lanes, self.picture.sight.splits, self._beside())

    def _beside(self) -> dict[str, Colour]:
        """The idle colours that were well in the last round: only those say what the environment does."""
        found: dict[str, Colour] = {}
        for app, live in self._live().items():
            for colour in COLOURS:
                mine = [beat for beat in self.beats if (beat.app, beat.way) == (app, colour)]
                if colour != live and mine and not any(beat.fault for beat in mine):
                    found[app] = colour
        return found

    def _judging(self, ends: datetime) -> Judging:
        return Judging(
            self.analysis,
            self.ports.meter,
            self.ports.ctx,
            ends,
            self.picture.verdict,
            lambda: self._over or self.ports.ctx.cancelled,
            self.ports.note,
        )

    async def _redraw(self) -> None:
        while True:
            self.ports.show.draw(self.picture, self.ports.ctx.now())
            await asyncio.sleep(TICK)

    def _say(self, text: str) -> None:
        self.ports.show.say(text)
        self.ports.note(Told(at=self.ports.ctx.now(), text=text))


def _facts(alert: Raised) -> Mapping[str, JsonValue]:
    return {"level": alert.level, "subject": alert.subject}
