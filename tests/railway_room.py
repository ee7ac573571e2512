"""What the tests of the Railway room share: a context, specs, and a handler over the stand-in. No assertions here.

Two contexts: one in which time passes as it does, and one in which it passes only by waiting, for deadlines.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from pydantic import SecretStr

from bluegreen.handler import Held
from bluegreen.railway.api import Railway, TokenKind
from bluegreen.railway.service import ServiceHandler
from bluegreen.railway.spec import ServiceSpec, ServiceState
from bluegreen.spec import Colour
from sandbox import registry
from sandbox.faults import cut
from sandbox.railway_call import Options
from sandbox.railway_clock import Clock
from tests.railway_platform import ENVIRONMENT, PROJECT, REGION, TOKEN, FakeSupervisor, faked, served
from tests.railway_platform import Railway as Platform

POLL = 0.01
PLACE = {"projectId": PROJECT, "environmentId": ENVIRONMENT}
KEPT = ("Content-Type", "Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
KEY = SecretStr("a key that no deployment knows")


@dataclass
class Screen:
    """A context that remembers what was said. `hurried`: no real time passes, only what is waited for."""

    hurried: bool = False
    deadline: datetime | None = None
    cancel_when: str = ""  # a status text that contains this cancels
    cancelled: bool = False
    orphaned: bool = False
    orphaned_when: str = ""  # a status text that contains this takes the parent away
    milestones: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    _passed: float = 0.0

    def now(self) -> datetime:
        if self.hurried:
            return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=self._passed)
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self._passed += seconds
        await asyncio.sleep(0 if self.hurried or self.cancelled else seconds)

    async def milestone(self, text: str) -> None:
        self.milestones.append(text)

    async def status(self, text: str) -> None:
        self.statuses.append(text)
        if self.cancel_when and self.cancel_when in text:
            self.cancelled = True
        if self.orphaned_when and self.orphaned_when in text:
            self.orphaned = True


def image(tag: str) -> str:
    """A pinned image of the sandbox's backend."""
    return registry.resolve(f"registry.sandbox/backend:{tag}")


def service(tag: str = "v1", **changes: Any) -> ServiceSpec:
    """`backend-green` in release `tag`; `release` and any other field can be overridden."""
    release = {"image": image(tag), "replicas": {REGION: 1}, **changes.pop("release", {})}
    spec = {
        "name": "backend-green",
        "app": "backend",
        "colour": "green",
        "place": PLACE,
        "release": release,
        "releaseId": "to be computed",
        "owner": "acme.production",
        "role": "idle",
        **changes,
    }
    parsed = ServiceSpec.model_validate(spec)
    if "releaseId" in changes:
        return parsed
    return parsed.model_copy(update={"release_id": parsed.release.id(parsed.secrets, KEY)})


IdleSince = Callable[[str, Colour], Awaitable[datetime | None]]


async def long_ago(app: str, colour: Colour) -> datetime | None:
    """A colour that lost its traffic before anybody wrote it down."""
    return None


@dataclass
class Traffic:
    """What the gateway would say of the colours, and how often it was asked who serves."""

    carrying: set[tuple[str, Colour]] = field(default_factory=set)
    since: IdleSince = long_ago  # when a colour was asked for the last time
    past: list[str] = field(default_factory=list)  # services of Kong that lead to the colour past the weights
    blocks: set[tuple[str, Colour]] = field(default_factory=set)  # whose previews lead to them
    proven: dict[tuple[str, Colour], str] = field(default_factory=dict)  # what may be gone back to by hand
    told: list[str] = field(default_factory=list)
    asked: int = 0

    async def carries(self, app: str, colour: Colour) -> bool:
        self.asked += 1
        return (app, colour) in self.carrying

    async def quiet_since(self, app: str, colour: Colour) -> datetime | None:
        return await self.since(app, colour)

    async def callers(self, app: str, colour: Colour, host: str) -> Sequence[str]:
        return self.past

    async def declared(self, app: str, colour: Colour, host: str) -> bool:
        return (app, colour) in self.blocks

    async def replacing(self, app: str, colour: Colour) -> bool:
        self.told.append("replacing")
        return self.proven.pop((app, colour), None) is not None

    async def kept(self, app: str, colour: Colour, release: str | None) -> None:
        self.told.append("kept")
        if release is not None:
            self.proven[app, colour] = release


class Nobody(Traffic):
    """A gateway that must not be asked."""

    async def carries(self, app: str, colour: Colour) -> bool:
        raise AssertionError(f"{app} {colour} was asked for")


def offline() -> ServiceHandler:
    """A handler whose Railway cannot be reached, and whose gateway must not be asked."""
    return ServiceHandler(Railway("http://127.0.0.1:9/graphql/v2", SecretStr("t")), Nobody(), poll=POLL)


@dataclass
class Room:
    """The room over a stand-in."""

    platform: Platform
    machines: FakeSupervisor
    railway: Railway
    traffic: Traffic
    screen: Screen
    calls: list[str] = field(default_factory=list)  # the operations that were sent, in order
    sent: dict[str, Any] = field(default_factory=dict)  # the last variables of each
    after: dict[str, Callable[[], None]] = field(default_factory=dict)  # what happens once an operation was answered

    def handler(self, since: IdleSince = long_ago, **options: Any) -> ServiceHandler:
        self.traffic.since = since
        return ServiceHandler(self.railway, self.traffic, **{"poll": POLL, **options})

    async def fault(self, operation: str, effect: Mapping[str, Any], *, skip: int = 0, times: int | None = 1) -> None:
        """Arm a fault for requests of this operation."""
        body = {"where": {"path": operation, "skip": skip, "times": times}, "effect": dict(effect)}
        address = f"{self.platform.address}/__faults/{operation}-{effect['kind']}"
        async with self.platform.session.put(address, json=body) as answer:
            assert answer.status == 200, await answer.text()

    async def hits(self, operation: str, kind: str) -> int:
        """How many requests an armed fault has met."""
        async with self.platform.session.get(f"{self.platform.address}/__faults/{operation}-{kind}") as answer:
            return int((await answer.json())["hits"])

    async def counted(self, operation: str) -> None:
        """Count an operation's requests without hurting them: see `hits`, kind slow."""
        await self.fault(operation, {"kind": "slow", "seconds": 0}, times=None)

    async def running(self, tag: str = "v1", **changes: Any) -> Held[ServiceState]:
        """A service that was created well."""
        return await self.handler().create(Screen(), service(tag, **changes))

    def instance(self, name: str = "backend-green") -> dict[str, Any]:
        """The template that the platform holds for this service."""
        (found,) = [each for each in self.platform.store.world.services if each.name == name and not each.deleted_at]
        instance = self.platform.store.instance(found.id, ENVIRONMENT)
        assert instance is not None
        return {**instance.config, "variables": instance.variables}


@asynccontextmanager
async def recorded(
    platform: Platform, calls: list[str], sent: dict[str, Any], after: Mapping[str, Callable[[], None]]
) -> AsyncIterator[str]:
    """An address in front of the stand-in that keeps what was asked of it, and breaks when it breaks."""

    async def forward(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        asked = json.loads(body)
        calls.append(str(asked["operationName"]))
        sent[calls[-1]] = asked["variables"]
        headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")}
        try:
            async with platform.session.post(platform.address + request.path_qs, data=body, headers=headers) as answer:
                kept = {name: answer.headers[name] for name in KEPT if name in answer.headers}
                told = web.Response(status=answer.status, body=await answer.read(), headers=kept)
            after.get(calls[-1], lambda: None)()
            return told
        except aiohttp.ClientError:
            return cut(request)

    app = web.Application()
    app.router.add_post("/graphql/v2", forward)
    async with served(app) as address:
        yield f"{address}/graphql/v2"


@asynccontextmanager
async def room(
    folder: Path,
    *,
    screen: Screen | None = None,
    options: Options | None = None,
    clock: Clock | None = None,
    token: str = TOKEN,
    kind: TokenKind = "project",
    limit: int = 10_000,
) -> AsyncIterator[Room]:
    """A room whose stand-in runs in this process, beside a fake supervisor; platform seconds are milliseconds."""
    async with AsyncExitStack() as stack:
        platform, machines = await stack.enter_async_context(faked(folder, clock, options, limit))
        calls: list[str] = []
        sent: dict[str, Any] = {}
        after: dict[str, Callable[[], None]] = {}
        url = await stack.enter_async_context(recorded(platform, calls, sent, after))
        railway = await stack.enter_async_context(Railway(url, SecretStr(token), kind=kind))
        yield Room(platform, machines, railway, Traffic(), screen or Screen(), calls, sent, after)


def play(folder: Path, scene: Callable[[Room], Awaitable[None]], **options: Any) -> None:
    """A scene in a room of its own, which ends after half a minute at the latest."""

    async def run() -> None:
        async with asyncio.timeout(30), room(folder, **options) as there:
            await scene(there)

    asyncio.run(run())
