"""A whole watch without a clock and a gateway: time passes when everybody waits, and the world follows a script.

The loop's own clock jumps to the next moment at which something is due, so a watch of minutes takes no time and ends
the same on any machine. The gateway is the one in memory (`memory.py`); what each colour answers and whether anything
can be reached is a function of the second. The engine is the real one, from its first round to its document.
"""

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from signal import Signals
from typing import Any, TypeVar

from bluegreen.analysis import Analysis, Look, Sample, Seen, Subject
from bluegreen.event import Kind
from bluegreen.gateway import Hold, Slot, Split
from bluegreen.handler import Context
from bluegreen.http import Unreachable
from bluegreen.journal import AnyEntry, Beat, Pulse
from bluegreen.monitor.baseline import Baseline
from bluegreen.monitor.document import Monitored, ReturnTold
from bluegreen.monitor.end import advice, document
from bluegreen.monitor.endpoint import Endpoint, Endpoints
from bluegreen.monitor.judging import analysis_of
from bluegreen.monitor.line import Line
from bluegreen.monitor.picture import Picture
from bluegreen.monitor.ports import Ports
from bluegreen.monitor.watch import Watch
from bluegreen.monitor.wish import Wish
from bluegreen.settings import Settings
from bluegreen.spec import Colour
from tests.memory import START, Memory

T = TypeVar("T")
RPS = 10
BLOCKS = {
    colour: {"image": f"ghcr.io/acme/shop@sha256:{digit * 64}", "replicas": {"us-west2": 1}}
    for colour, digit in (("blue", "a"), ("green", "b"))
}
SETTINGS = Settings.parse(
    "shop",
    "test",
    {
        "shop:railway": '{"projectId": "p", "environmentId": "e"}',
        "shop:apps": str({"shop": {"kind": "web", "live": "green", **BLOCKS}}).replace("'", '"'),
        "shop:checks": '[{"name": "hello", "app": "shop", "path": "/hello"}]',
    },
)
RELEASES: Mapping[Colour, str] = {
    "blue": SETTINGS.release_id("shop", "blue"),
    "green": SETTINGS.release_id("shop", "green"),
}
Answers = Callable[[float], int | None]  # what comes of a question in this second; None: nothing


class _Jumping(selectors.DefaultSelector):
    """Waits for nobody: the time that a loop would wait has passed at once."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everybody waits for ever"
            self.passed += timeout
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.passed


def played(course: Coroutine[Any, Any, T]) -> T:
    """What it comes to, in no time."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(course)


def always(seconds: float) -> int:
    return 200


def during(first: float, last: float, *, instead: int | None = 503) -> Answers:
    """Well, but for these seconds."""
    return lambda seconds: instead if first <= seconds < last else 200


def never(seconds: float) -> bool:
    return False


@dataclass
class World(Memory):
    """Green serves the app `shop`; `dark` are the seconds in which the proxy, or Kong's Admin API, is out of reach."""

    blue: Answers = always
    green: Answers = always
    proxy_dark: Callable[[float], bool] = never
    admin_dark: Callable[[float], bool] = never
    meanwhile: Callable[["World", float], None] = lambda world, seconds: None
    said: list[str] = field(default_factory=list)
    entries: list[AnyEntry] = field(default_factory=list)
    told: list[tuple[Kind, str]] = field(default_factory=list)
    cancelled: bool = False
    orphaned: bool = False
    deadline: datetime | None = None
    advice: str = ""  # what the watch ends with
    returns: Callable[["World", str], ReturnTold] | None = None
    hearing: Callable[[str], None] = lambda text: None

    def __post_init__(self) -> None:
        slots = (Slot("blue", "b:1", 0, release=RELEASES["blue"]), Slot("green", "g:1", 100, release=RELEASES["green"]))
        self.rows["shop"] = {slot.colour: slot for slot in slots}

    # Time

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    @property
    def seconds(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds if not self.cancelled else min(seconds, 0.05))
        self.meanwhile(self, self.seconds)

    async def milestone(self, text: str) -> None:
        self.said.append(text)

    async def status(self, text: str) -> None:
        """Nobody reads it."""

    # What is asked

    async def split(self, upstream: str) -> Split:
        if self.admin_dark(self.seconds):
            raise Unreachable("Kong's Admin API cannot be reached.", world="", next="")
        return await super().split(upstream)

    @property
    def serving(self) -> Colour:
        return "blue" if self.rows["shop"]["blue"].weight else "green"

    def status_of(self, way: str, seconds: float) -> int | None:
        if self.proxy_dark(seconds):
            return None
        colour = self.serving if way == "users" else way
        return self.blue(seconds) if colour == "blue" else self.green(seconds)

    async def ask(self, endpoints: Sequence[Endpoint]) -> Sequence[Beat]:
        at = self.seconds
        await asyncio.sleep(0.01)
        return [self._beat(endpoint, self.status_of(endpoint.way, at)) for endpoint in endpoints]

    def _beat(self, endpoint: Endpoint, status: int | None) -> Beat:
        fault = "no answer: it cannot be reached" if status is None else "" if status == 200 else f"answered {status}"
        answered = status is not None
        name, app = endpoint.check.name, endpoint.check.app
        return Beat(endpoint=name, app=app, way=endpoint.way, status=status, ms=10.0 if answered else None, fault=fault)

    @asynccontextmanager
    async def watch(self, analysis: Analysis, subjects: Sequence[Subject], ctx: Context) -> AsyncIterator["Probing"]:
        yield Probing(self, analysis, subjects, self.seconds)

    # Who hears of it

    def draw(self, picture: Picture, now: datetime) -> None:
        """Nobody looks."""

    def round(self, picture: Picture, beats: Sequence[Beat], at: datetime) -> None:
        """Nobody looks."""

    def say(self, text: str) -> None:
        self.said.append(text)
        self.hearing(text)

    def tell(self, kind: Kind, text: str, facts: Mapping[str, Any]) -> None:
        self.told.append((kind, text))

    def heard(self, pulse: Pulse) -> None:
        """Nobody fetches it."""

    async def back(self, why: str) -> ReturnTold:
        if self.returns is not None:
            return self.returns(self, why)
        held = Hold("monitor@test", self.now(), why)
        for colour, weight in (("blue", 100), ("green", 0)):
            self.to("blue" if colour == "blue" else "green", weight, hold=held)
        return ReturnTold(done=True, said="Traffic is back.", apps={"shop": "blue"}, seconds=0.1)

    def to(self, colour: Colour, weight: int, **given: Any) -> None:
        """Somebody writes a row."""
        release = self.rows["shop"][colour].release
        self.rows["shop"][colour] = Slot(colour, f"{colour[0]}:1", weight, **{"release": release, **given})


@dataclass
class Probing:
    """The judge's own requests, so many a second to each colour."""

    world: World
    analysis: Analysis
    subjects: Sequence[Subject]
    began: float
    since: float = -1.0

    async def look(self) -> Sequence[Look]:
        return [
            Look(each.app, metric.name, self._seen(each.candidate), self._seen(each.live) if each.live else None)
            for each in self.subjects
            for metric in self.analysis.metrics
        ]

    def told(self, app: str, colour: Colour) -> str:
        return ""

    def samples(self) -> Mapping[str, Sequence[Sample]]:
        since = max(self.since, self.began)
        self.since = self.world.seconds
        return {
            each.app: [
                (round(at - since, 4), colour, 10.0 if status else None, "" if status == 200 else "went wrong")
                for at in self._moments(since)
                for colour in each.colours
                for status in [self.world.status_of(colour, at)]
            ]
            for each in self.subjects
        }

    def dropped(self) -> int:
        return 0

    def _moments(self, since: float) -> list[float]:
        return [since + turn / RPS for turn in range(round((self.world.seconds - since) * RPS))]

    def _seen(self, colour: Colour) -> Seen:
        statuses = [self.world.status_of(colour, at) for at in self._moments(self.began)]
        return Seen(len(statuses), sum(status != 200 for status in statuses))


JUDGED = Analysis.model_validate(
    {
        "metrics": [{"name": "errors", "probe": {"rps": RPS}, "thresholdRange": {"max": 5}}],
        "interval": "9s",
        "duration": "60s",
        "minRequests": 50,
    }
)


def watched(world: World, seconds: float = 120, interval: float = 5, **given: Any) -> Monitored:
    """A whole watch of this world, and its document."""
    wish = Wish(timedelta(seconds=seconds), timedelta(seconds=interval), **given)

    async def whole() -> Monitored:
        line = Line(world, {"shop": "shop"}, world)
        picture = Picture("shop.test", "0" * 16, wish, world.now(), Baseline(), sight=await line.look())
        lanes = SETTINGS.lanes()
        ports = Ports(world, line, world, world.ask, world, world.entries.append, world.tell, world.heard, world.back)
        rollout = SETTINGS.rollout.model_copy(update={"post_promotion_analysis": JUDGED})
        watch = Watch(
            picture, analysis_of(rollout, wish.duration), Endpoints(SETTINGS, ["shop"], "preview"), lanes, ports
        )
        await watch.run()
        told = document(watch, "test", world.now(), Signals.SIGTERM if world.cancelled else None)
        world.advice = advice(told, watch.helpless)
        return told

    return played(whole())
