"""`bluegreen monitor STACK [DURATION] [INTERVAL]`: watch what serves, judge it as a rollout would, go back if wished.

Every INTERVAL each endpoint is asked on the way of users and of each colour past the weights, and Kong where traffic
goes; beside that the judge's own probes. It needs Kong's proxy alone: without Kong's Admin API it watches on and does
not know the weights, without Pulumi it asks what needs no secret. It survives the loss of anything it asks and of its
terminal. It deliberately writes nothing but the release's record, unless `--rollback-on-fail` says otherwise.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer
from pydantic import JsonValue

from bluegreen.cli.monitor_back import back
from bluegreen.cli.monitor_page import Page
from bluegreen.cli.monitor_terminal import Terminal
from bluegreen.cli.monitor_vigil import Steady, Vigil
from bluegreen.cli.opened import opened
from bluegreen.cli.stack import CONFIG_FILE
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.cli.written import serving
from bluegreen.event import Event, Kind
from bluegreen.evidence.bundle import stamp
from bluegreen.handler import Halt, Refused
from bluegreen.http import Client
from bluegreen.journal import AnyEntry, Ended, Pulse, whole
from bluegreen.monitor.asking import LONGEST, Asker
from bluegreen.monitor.baseline import baseline
from bluegreen.monitor.document import Monitored, ReturnTold
from bluegreen.monitor.end import advice, document, span
from bluegreen.monitor.endpoint import Endpoints
from bluegreen.monitor.judging import analysis_of
from bluegreen.monitor.line import Line
from bluegreen.monitor.picture import Picture, Verdict
from bluegreen.monitor.plain import summary
from bluegreen.monitor.ports import Ports
from bluegreen.monitor.sight import Sight, strangers
from bluegreen.monitor.watch import Watch
from bluegreen.monitor.wish import MAX_ERRORS, MAX_LATENCY, Wish, bars, spans
from bluegreen.observe.exporter import Exporter
from bluegreen.settings import Settings

SUMMARY = "GITHUB_STEP_SUMMARY"

Duration = Annotated[str, typer.Argument(help="For how long: seconds (300) or a span (5m).")]
Interval = Annotated[str, typer.Argument(help="How often every endpoint is asked: seconds (30) or a span.")]
Apps = Annotated[list[str] | None, typer.Option("--app", help="Only this app; may be given more than once.")]
Returns = Annotated[bool, typer.Option("--rollback-on-fail", help="Take traffic back as soon as it fails.")]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="End as soon as it fails, not when the time is over.")]
Before = Annotated[str | None, typer.Option("--baseline", help="The release to compare with, or none.")]
MaxErrors = Annotated[float, typer.Option(help="Percent of errors above which an alert is critical.")]
MaxLatency = Annotated[float, typer.Option(help="Milliseconds of p95 above which an alert is a warning.")]
Listen = Annotated[int | None, typer.Option(help="Serve Prometheus metrics on this port.", min=0, max=65535)]


async def monitor(
    desk: Desk,
    *,
    duration: Duration = "5m",
    interval: Interval = "30s",
    app: Apps = None,
    rollback_on_fail: Returns = False,
    fail_fast: FailFast = False,
    baseline: Before = None,
    max_errors: MaxErrors = MAX_ERRORS,
    max_latency: MaxLatency = MAX_LATENCY,
    listen: Listen = None,
) -> Outcome:
    """Watch what serves for a while, judge it, and take traffic back if wished."""
    whole_, each = spans(duration, interval)
    wish = Wish(whole_, each, bars(max_errors, max_latency), _apps(desk.settings, app), rollback_on_fail, fail_fast)
    analysis_of(desk.settings.rollout, wish.duration)  # refused before anything is asked, opening the config included
    terminal = Terminal()
    vigil = Vigil(desk.ctx, terminal)
    with vigil.listening():
        async with opened(replace(desk, ctx=vigil)) as (mine, closed), contextlib.AsyncExitStack() as opening:
            room = _Room(mine, wish, vigil, terminal, replace(mine, ctx=Steady(desk.ctx, vigil)))
            return await room.watched(opening, baseline, listen, closed)


class _Room:
    """One watch with everything that it needs of the command line."""

    def __init__(self, desk: Desk, wish: Wish, vigil: Vigil, terminal: Terminal, steady: Desk) -> None:
        self.desk, self.wish, self.vigil, self.terminal, self.steady = desk, wish, vigil, terminal, steady
        self.journal = desk.connections.journal(desk.stack.name)
        self.releases: dict[str, str] = {}
        self.exporter: Exporter | None = None
        self.page: Page | None = None
        self.verdict = Verdict()

    async def watched(
        self, opening: contextlib.AsyncExitStack, before: str | None, listen: int | None, closed: str
    ) -> Outcome:
        """From the first look to the outcome."""
        desk, settings = self.desk, self.desk.settings
        endpoints = Endpoints(settings, self.wish.apps, desk.connections.values.get("previewKey", ""))
        proxy = await opening.enter_async_context(self._proxy(endpoints))
        upstreams = {app: lane.upstream for app, lane in settings.lanes().items()}
        line = Line(desk.connections.gateway(), upstreams, self.vigil)
        sight = await line.look()
        _ours(sight, settings.owner)
        self.releases = dict(serving(desk, sight.splits))
        release = whole(self.releases)
        compared = baseline(desk.connections.bundles(desk.stack.name), release, before, _alone(settings))
        if listen is not None:
            live = {app: block.live for app, block in settings.apps.items()}
            self.exporter = opening.enter_context(Exporter(settings.owner, live, port=listen))
            self.page = await opening.enter_async_context(Page(self.steady, self.exporter).kept())
            self.terminal.say(f"Metrics: {self.exporter.url}")
        self.picture = picture = Picture(
            settings.owner, release, self.wish, desk.ctx.now(), compared, sight=sight, verdict=self.verdict
        )
        watch = Watch(
            picture,
            analysis_of(settings.traffic().rollout, self.wish.duration),
            endpoints,
            {app: lane for app, lane in settings.lanes().items() if app in self.wish.apps},
            self._ports(proxy, line),
        )
        if closed:
            endpoints.notes.append(closed)
        self._greet(picture)
        with self.terminal.watching():
            await watch.run()
            self.terminal.finish(picture, desk.ctx.now())
        return await self._ended(watch)

    def _proxy(self, endpoints: Endpoints) -> Client:
        # A check's own time ends a request; the client's patience is there for what is left.
        return self.desk.connections.proxy(secrets=endpoints.secrets, read=LONGEST)

    def _ports(self, proxy: Client, line: Line) -> Ports:
        desk = self.desk
        return Ports(
            ctx=self.vigil,
            line=line,
            meter=desk.connections.meter(),
            ask=Asker(proxy, self.vigil).round,
            show=self.terminal,
            note=self._note,
            tell=self._tell,
            heard=self._heard,
            back=self._back,
        )

    def _greet(self, picture: Picture) -> None:
        wish = self.wish
        what = f"{', '.join(wish.apps)} for {span(wish.duration)}, every {wish.interval.total_seconds():g} s"
        after = "; traffic goes back when it fails" if wish.returns else ""
        self.terminal.say(f"Watching {what}{after}. Compared with {picture.baseline.said}.")

    def _note(self, entry: AnyEntry) -> None:
        self.journal.note(entry, self.releases)
        if self.exporter is not None and not isinstance(entry, Pulse):
            self.exporter.note(entry)

    def _heard(self, pulse: Pulse) -> None:
        if self.exporter is not None:
            self.exporter.pulse(pulse, [each.level for each in self.picture.alarms.open])

    def _tell(self, kind: Kind, text: str, facts: Mapping[str, JsonValue]) -> None:
        """Whoever is configured to hear of it; a wrong address ends no watch."""
        with contextlib.suppress(Refused):
            event = Event(kind, self.desk.settings.owner, text, self.desk.ctx.now(), facts=facts)
            self.desk.connections.notifier().tell(event)

    def reason(self) -> str:
        """What failed, in one word: the judge's first metric that did, else endpoints."""
        rulings = self.verdict.decision.rulings if self.verdict.decision is not None else ()
        return next((ruling.metric for ruling in rulings if ruling.verdict == "fail"), "endpoints")

    async def _back(self, why: str) -> ReturnTold:
        with self.terminal.paused():
            self.terminal.say("Traffic is to go back.")
            told = await back(self.steady, self.wish.apps, why)
            self.terminal.say(told.said)
        if self.exporter is not None and not told.refused:
            for app in told.apps or self.wish.apps:
                self.exporter.rolled_back(app, reason=self.reason(), result="passed" if told.done else "failed")
        if self.page is not None:
            self.page.moved()
        return told

    async def _ended(self, watch: Watch) -> Outcome:
        """Write it down, tell it, and answer."""
        ended = self.desk.ctx.now()
        told = document(watch, self.desk.stack.name, ended, self.vigil.stopped)
        self._note(Ended(at=ended, verdict=told.verdict, text=told.sentence))
        where = self._written(told, ended)
        if complaint := await self.journal.settle():
            self.terminal.say(complaint)
        text = f"{told.verdict} after {span(told.ended - told.began)}: {told.sentence}"
        self._tell("monitor-completed", text, {"verdict": told.verdict, "exit": told.exit})
        with contextlib.suppress(Refused):
            if complaint := await self.desk.connections.notifier().settle():
                self.terminal.say(complaint)
        self._summed(told)
        return _outcome(told, where, advice(told, watch.helpless))

    def _written(self, told: Monitored, at: datetime) -> str:
        """Where the document lies; empty where it could not be written, which is said."""
        bundle = self.desk.connections.bundles(self.desk.stack.name).bundle(told.release)
        try:
            return str(bundle.write_json(f"monitor-{stamp(at)}.json", told))
        except Halt as halt:
            self.terminal.say(halt.what)
            return ""

    def _summed(self, told: Monitored) -> None:
        """The table in a pipeline's own summary, where there is one."""
        if file := os.environ.get(SUMMARY):
            try:
                with open(file, "a", encoding="utf-8") as summed:
                    summed.write(summary(told))
            except OSError as problem:
                self.terminal.say(f"The summary could not be written: {problem.strerror}.")


def _ours(sight: Sight, owner: str) -> None:
    """Two stacks may have one Kong, and a config file may be read under the name of another."""
    for app, other in strangers(sight, owner).items():
        raise Refused(
            f"{app}'s rows in Kong belong to {other}, not to {owner}.",
            world="Nothing was watched, moved or written.",
            next=f"Name that stack, or the config of this one ({CONFIG_FILE} names its file).",
        )


def _apps(settings: Settings, chosen: Sequence[str] | None) -> tuple[str, ...]:
    for app in chosen or ():
        if app not in settings.apps:
            named = f"Name one of {', '.join(settings.order())}."
            raise Refused(f"There is no app {app!r} in the config.", world="Nothing was asked.", next=named)
    return tuple(app for app in settings.order() if not chosen or app in chosen)


def _alone(settings: Settings) -> dict[str, str]:
    """Of every app that probes ask one question of, what that endpoint is called."""
    found = {}
    for app, lane in settings.lanes().items():
        if not lane.probe.questions:
            found[app] = f"{app}-health"
        elif len(lane.probe.questions) == 1:
            found[app] = next(check.name for check in settings.checks if check.app == app and check.question)
    return found


def _outcome(told: Monitored, where: str, next: str) -> Outcome:
    """The end in three beats."""
    wrong = sum(each.errors for each in told.endpoints if each.role == "users")
    asked = sum(each.asked for each in told.endpoints if each.role == "users")
    users = f"{wrong} of {asked} requests on the way of users went wrong" if asked else "users' way was not asked"
    worlds = [f"{users}, in {told.rounds} rounds.", told.rollback.said if told.rollback else ""]
    if told.rollback is not None and told.rollback.well is not None:
        worlds.append("Users are well again." if told.rollback.well else "Users are not well yet.")
    worlds.append(f"Written: {where}." if where else "")
    return Outcome(
        exit=Exit(told.exit),
        what=f"{told.verdict}: {told.sentence.rstrip('.')}.",
        world=" ".join(filter(None, worlds)),
        next=next,
        facts=told,
    )
