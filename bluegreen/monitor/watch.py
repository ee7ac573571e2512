"""A watch: a round every interval, the judge beside it, alerts from what both see; until its time is over.

A round that is due while another is under way is skipped and counted, never made up for. Whatever goes away and comes
back (an endpoint, Kong's Admin API, the proxy, the network) is told as such and looked at again by itself; a round that
saw nothing raises no alert. A failure is the judge's `fail` or a critical alert, and is never taken back; where that
was wished for, traffic goes back at once (or `barred.py` says why not), and a few more rounds tell whether users are
well again. Who shows it, who writes it down and how traffic goes back is handed in (`ports.py`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from pydantic import JsonValue

from bluegreen.analysis import Analysis, Subject
from bluegreen.journal import Alert, Beat, Pulse, Told
from bluegreen.monitor.alarm import Raised, worst
from bluegreen.monitor.asking import closed, of_users
from bluegreen.monitor.barred import barred, unwell
from bluegreen.monitor.document import ReturnTold, Timings
from bluegreen.monitor.endpoint import Endpoints
from bluegreen.monitor.judging import Judging, Onset, configured, subjects
from bluegreen.monitor.picture import Picture
from bluegreen.monitor.ports import Ports
from bluegreen.monitor.sight import Sight, news, turned
from bluegreen.monitor.trouble import matters, said, troubles
from bluegreen.rollout.spec import Lane
from bluegreen.spec import COLOURS, Colour

AFTER = 3  # rounds that follow a way back
AFTERWARDS = timedelta(seconds=5)  # the longest interval between them
TICK = 0.5  # seconds between two looks at whether something happened
QUIET_ROUNDS = 2
FAREWELL = 1.0  # seconds that the judge's last look may take beyond its interval


@dataclass(slots=True)
class Watch:
    """One watch of one stack; `run` it once."""

    picture: Picture
    analysis: Analysis
    endpoints: Endpoints
    lanes: Mapping[str, Lane]  # those that are watched
    ports: Ports
    returned: ReturnTold | None = None
    timings: Timings = field(default_factory=Timings)
    beats: Sequence[Beat] = ()
    helpless: str = ""  # why no way back would have helped, as of the last round in which users met something wrong
    _first: Onset = field(default_factory=lambda: Onset(QUIET_ROUNDS))
    _over: bool = False
    _away: bool = False  # nothing was to be seen in the round before
    _failed_on: Mapping[str, Colour | None] = field(default_factory=dict)

    async def run(self) -> None:
        """Until its time is over, somebody stops it, or traffic went back and the rounds after that are done."""
        judging = self._judging(self._ends)
        await self._round()
        async with asyncio.TaskGroup() as tasks:
            judge = tasks.create_task(judging.run(self._subjects))
            besides = [tasks.create_task(self._redraw()), tasks.create_task(self.ports.line.run())]
            await self._rounds(judging)
            self._over = True
            if not self._acts():
                await asyncio.wait({judge}, timeout=self.analysis.interval.total_seconds() + FAREWELL)
            self._judged(judging)
            if self._acts():
                await self._after_failure()
            for task in (judge, *besides):
                task.cancel()

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
            self._fail(f"{decision.sentence}{why}", judging.onset.since, judging.verdict.colours)

    def _fail(self, why: str, since: datetime | None, on: Mapping[str, Colour | None]) -> None:
        if self.picture.failed:
            return
        now = self.ports.ctx.now()
        began = min(filter(None, (since, self._first.since)), default=now)
        self.picture.failed, self._failed_on = why, dict(on)
        detect = round(max(0.0, (now - began) / timedelta(milliseconds=1)), 1)
        self.timings = self.timings.model_copy(update={"detect_ms": detect})
        self._say(f"fail, {detect / 1000:.1f} s after the first that went wrong: {why}")

    async def _after_failure(self) -> None:
        """Back, where that is wished for, and a few rounds that tell how users fare then."""
        wish, ctx = self.picture.wish, self.ports.ctx
        if not wish.returns:
            return None
        began = ctx.now()
        sight = await self._readable()
        if why := barred(self.picture.owner, sight, self._failed_on, self.beats, ctx.now()):
            self.picture.sight, self.returned = sight, ReturnTold(refused=True, said=why)
            return self._say(why)
        self.picture.doing, started = "traffic goes back", ctx.now()
        self.returned = await self.ports.back(self.picture.failed)
        self.picture.doing = ""
        if not self.returned.done:
            self.picture.sight = await self.ports.line.look()
            return None
        seconds = self.returned.seconds
        proved = ctx.now() if seconds is None else started + timedelta(seconds=seconds)
        took = round((proved - began) / timedelta(milliseconds=1), 1)
        self.timings = self.timings.model_copy(update={"rollback_ms": took})
        for _ in range(AFTER):
            await self._round()
            if ctx.cancelled:
                break
            await ctx.sleep(min(wish.interval, AFTERWARDS).total_seconds())
        users = of_users(self.beats) or [beat for beat in self.beats if matters(beat.way, beat.app, self._live())]
        self.returned = self.returned.model_copy(update={"well": bool(users) and not any(b.fault for b in users)})
        return None

    async def _readable(self) -> Sight:
        """What Kong says now; while its Admin API is away, traffic cannot be moved, so it is waited for to the end."""
        ctx, line = self.ports.ctx, self.ports.line
        if (sight := await line.look()).fresh:
            return sight
        self.picture.doing = "traffic is to go back, and Kong's Admin API does not answer"
        self._say(f"Traffic is to go back, and Kong's Admin API does not answer ({sight.unread}).")
        while not sight.fresh and ctx.now() < self._ends and not ctx.cancelled:
            await ctx.sleep(TICK)
            sight = await line.look()
        self.picture.doing = ""
        await self._round()  # by now the round before is old
        return line.sight

    async def _round(self) -> None:
        """Ask everything, take in what came, tell what is new."""
        picture, ctx = self.picture, self.ports.ctx
        endpoints, at = self.endpoints.round(picture.sight.splits), ctx.now()
        beats, sight = await asyncio.gather(self.ports.ask(endpoints), self.ports.line.look())
        shut = closed(beats, endpoints)
        for app in sorted(shut - self.endpoints.shut):
            self.endpoints.close(app)
        self.beats = [beat for beat in beats if not (beat.app in self.endpoints.shut and beat.way in COLOURS)]
        changed, others = list(news(picture.sight, sight)), turned(picture.sight, sight)
        away = self.ports.line.silent(self.beats, sight)
        was_silent = {key for key, row in picture.rows.items() if row.silent}
        picture.sight, picture.rounds = sight, picture.rounds + 1
        for beat in self.beats:
            picture.add(beat)
        for row in picture.rows.values():
            if away or row.app in others:
                row.anew()
        for note in self.endpoints.notes[len(picture.notes) :]:
            self._say(note)
        picture.notes = list(self.endpoints.notes)
        live = self._live()
        wrong = any(beat.fault and matters(beat.way, beat.app, live) for beat in self.beats)
        if not away:
            self._first.bad(at) if wrong else self._first.good()
            self.helpless = unwell(sight, self.beats) if wrong else self.helpless
        told = [picture.alarms.tell(at, app, text) for app, text in changed if app in self.lanes]
        told += self._back_again(at, was_silent)
        self._tell_round(at, sight, told, away=away)

    def _tell_round(self, at: datetime, sight: Sight, told: Sequence[Raised], *, away: bool) -> None:
        picture = self.picture
        found = troubles(list(picture.rows.values()), self._live(), picture.wish.bars, picture.baseline.rows)
        # What nobody saw neither raises an alert nor resolves one.
        raised, resolved = picture.alarms.round(at, found) if not away else ((), ())
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
        self._blindness(at, away=away)
        critical = [each for each in raised if each.level == "critical"]
        if critical and self.returned is None:
            self._fail(worst(critical), self._first.since, self._live())

    def _back_again(self, at: datetime, silent: set[tuple[str, str, str]]) -> list[Raised]:
        """Endpoints that had not answered, and do again."""
        rows = [row for key, row in self.picture.rows.items() if key in silent and row.last and row.last.status]
        if len(rows) > 3:
            return [self.picture.alarms.tell(at, "endpoints", f"{len(rows)} answer again")]
        live, tell = self._live(), self.picture.alarms.tell
        return [tell(at, f"{row.endpoint} {said(row.way, row.app, live)}", "answers again") for row in rows]

    def _blindness(self, at: datetime, *, away: bool) -> None:
        """Say once that nothing can be seen, and once that it can again."""
        if away and not self._away:
            what = "Nothing answers, Kong's Admin API included: the network from here may be away."
            if not self.ports.line.heard:
                what = "Nothing has answered through the proxy yet: is bluegreen:kongProxyUrl right?"
            self._keep_in_mind(f"{at:%H:%M:%S}: {what} What happens meanwhile is not known.")
        if self._away and not away:
            self._keep_in_mind(f"{at:%H:%M:%S}: There are answers again.")
        self._away = away

    def _keep_in_mind(self, text: str) -> None:
        self.endpoints.notes.append(text)
        self.picture.notes = list(self.endpoints.notes)
        self._say(text)

    def _live(self) -> dict[str, Colour | None]:
        """What serves, as Kong said last; before it ever did, what the config says."""
        known = {app: configured(lane) for app, lane in self.lanes.items()}
        return {**known, **{app: colour for app, colour in self.picture.sight.live.items() if app in self.lanes}}

    def _subjects(self) -> Sequence[Subject]:
        lanes = {app: lane for app, lane in self.lanes.items() if app not in self.endpoints.shut}
        return subjects(lanes, self.ports.line.sight.splits, self._beside())

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
            self.ports.line,
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
