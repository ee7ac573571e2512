"""A clock that a test moves by hand, and a gateway of two releases, for whoever measures them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aiohttp import web

from bluegreen.analysis import Analysis, Look, Metric, Question, Seen, Subject, ThresholdRange
from bluegreen.http import Client
from bluegreen.measure.meter import Sampling, Watching
from tests.memory import START

RELEASES = {"blue": "r-blue", "green": "r-green"}
PATIENT = 20.0  # seconds after which a test that waits for an event has failed
Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Hand:
    """A context whose time passes only when the test moves it; then whoever slept wakes, in order."""

    at: datetime = START
    cancelled: bool = False
    orphaned: bool = False
    deadline: datetime | None = None
    sleepers: list[tuple[datetime, "asyncio.Future[None]"]] = field(default_factory=list)
    slept: asyncio.Condition = field(default_factory=asyncio.Condition)

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        waking = asyncio.get_running_loop().create_future()
        async with self.slept:
            self.sleepers.append((self.at + timedelta(seconds=seconds), waking))
            self.slept.notify_all()
        await waking

    async def move(self, seconds: float) -> None:
        """Let time pass, from one waking to the next."""
        end = self.at + timedelta(seconds=seconds)
        await self.asleep(1)
        while (due := min(at for at, _ in self.sleepers)) <= end:
            self.at = max(self.at, due)
            woken = [sleeper for sleeper in self.sleepers if sleeper[0] <= self.at]
            self.sleepers = [sleeper for sleeper in self.sleepers if sleeper[0] > self.at]
            for _, waking in woken:
                waking.set_result(None)
            await self.asleep(len(self.sleepers) + len(woken))
        self.at = end

    async def asleep(self, many: int) -> None:
        """Return once so many sleep."""
        async with asyncio.timeout(PATIENT), self.slept:
            await self.slept.wait_for(lambda: len(self.sleepers) >= many)

    async def milestone(self, text: str) -> None:
        return None

    async def status(self, text: str) -> None:
        return None


@dataclass
class Door:
    """A server that a test tells how to answer, and what came to it."""

    port: int = 0
    came: "Counter[str]" = field(default_factory=Counter)  # requests by colour
    requests: list[web.Request] = field(default_factory=list)
    peers: list[object] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Client:
        return Client("The gateway", self.url)


def colour_of(request: web.Request) -> str:
    return request.headers.get("x-preview-colour", "")


def well(request: web.Request, status: int = 200) -> web.Response:
    """What the release of that colour answers."""
    return web.Response(status=status, headers={"X-Release": RELEASES.get(colour_of(request), "")})


async def as_they_should(request: web.Request) -> web.StreamResponse:
    return well(request)


@asynccontextmanager
async def door(answer: Answering = as_they_should) -> AsyncIterator[Door]:
    """A real server on a free port."""
    opened = Door()

    async def handle(request: web.Request) -> web.StreamResponse:
        opened.came[colour_of(request)] += 1
        opened.requests.append(request)
        opened.peers.append(request.transport.get_extra_info("peername") if request.transport else None)
        return await answer(request)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(
        application, handler_cancellation=True, shutdown_timeout=0.1
    )  # whoever hangs up ends a slow answer, too
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    opened.port = runner.addresses[0][1]
    try:
        yield opened
    finally:
        await runner.cleanup()


def subject(*, live: bool = True, questions: Sequence[Question] = (Question(path="/health"),)) -> Subject:
    """Green is judged, beside blue."""
    headers = {"blue": {"x-preview-colour": "blue"}, "green": {"x-preview-colour": "green"}}
    return Subject(
        app="shop",
        candidate="green",
        live="blue" if live else None,
        releases={"blue": RELEASES["blue"], "green": RELEASES["green"]},
        headers={"blue": headers["blue"], "green": headers["green"]},
        questions=questions,
    )


def metric(name: str = "errors", most: float = 1, **fields: object) -> Metric:
    return Metric.model_validate({"name": name, "thresholdRange": ThresholdRange(max=most), **fields})


def analysis(*metrics: Metric) -> Analysis:
    return Analysis(metrics=metrics, duration=timedelta(seconds=30), min_requests=1)


@asynccontextmanager
async def watched(
    sampling: Sampling, *metrics: Metric, by: Subject | None = None
) -> AsyncIterator[tuple[Hand, Watching]]:
    """One app under these metrics, and the clock that moves it."""
    clock = Hand()
    async with sampling.watch(analysis(*metrics), [by or subject()], clock) as watch:
        yield clock, watch


async def looked(watch: Watching, enough: Callable[[Seen], bool]) -> Sequence[Look]:
    """Look until so much came back from the candidate."""
    async with asyncio.timeout(PATIENT):
        while True:
            looks = await watch.look()
            if enough(looks[0].candidate):
                return looks
