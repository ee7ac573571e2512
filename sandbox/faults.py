"""Faults that a stand-in can be told to show, over HTTP, while it runs.

Every stand-in offers the same endpoints on its own port, so that a test or a drill needs one vocabulary:
`PUT /__faults/{name}` arms a `Fault` and answers `Armed`; arming a name again starts its counters afresh.
`GET /__faults` lists them, `GET /__faults/{name}` shows one, `DELETE /__faults[/{name}]` disarms and answers 204.

`where.path` is a shell pattern over the request's operation: its path, or what the stand-in's `operation` callable
says (Railway: the GraphQL operation name); `where.body` is a part of its body as it was sent, such as `"weight":0`.
Every armed fault counts the requests it matches; the oldest one that is due acts, alone. What a `hold` has stopped goes
on, and happens, once that fault is deleted or armed again. A `lag` is no answer to a request: it ignores `where` and is
read by the stand-in through `lag_of`.

Deliberately not here: randomness (a drill must be repeatable) and persistence (a restarted stand-in is healthy).
"""

import asyncio
import contextlib
import os
import signal
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import BaseModel, ConfigDict, Field, ValidationError

PATH = "/__faults"


class Strict(BaseModel):
    """A message that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Where(Strict):
    """The requests a fault is meant for; all must match, `skip` of them pass, then `times` are hit."""

    method: str = "*"
    path: str = "*"
    body: str = ""
    skip: int = Field(default=0, ge=0)
    times: int | None = Field(default=1, ge=1)  # None: until deleted


class Answer(Strict):
    """Answered in the stand-in's place; nothing happened."""

    kind: Literal["answer"] = "answer"
    status: int = Field(ge=100, le=599)
    body: str = ""
    headers: dict[str, str] = {}


class Slow(Strict):
    """Handled as always, but only after this many seconds."""

    kind: Literal["slow"] = "slow"
    seconds: float = Field(ge=0)


class Hold(Strict):
    """Handled as always, but only once this fault is gone or armed again."""

    kind: Literal["hold"] = "hold"


class Reset(Strict):
    """The connection breaks before anything happened."""

    kind: Literal["reset"] = "reset"


class Lost(Strict):
    """It happened, and the reply did not arrive."""

    kind: Literal["lost"] = "lost"


class Crash(Strict):
    """The stand-in's process dies at once, before anything happened."""

    kind: Literal["crash"] = "crash"


class Lag(Strict):
    """Changes take this long to come into force: on one node, or (node null) on every second worker."""

    kind: Literal["lag"] = "lag"
    seconds: float = Field(ge=0)
    node: int | None = None


Effect = Annotated[Answer | Slow | Hold | Reset | Lost | Crash | Lag, Field(discriminator="kind")]


class Fault(Strict):
    """What goes wrong, and for which requests."""

    where: Where = Where()
    effect: Effect


class Armed(BaseModel):
    """A fault that waits for its requests."""

    name: str
    fault: Fault
    hits: int = 0


def die() -> None:
    """End this process as a power cut would: no handler runs, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


def sever(transport: asyncio.BaseTransport | None) -> None:
    """Break a connection so that the other side sees a reset, not an orderly end."""
    if not isinstance(transport, asyncio.WriteTransport):
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):  # it may be closed already
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def path_of(request: web.Request) -> str:
    """The operation of a plain HTTP interface is its path."""
    return request.path


class Faults:
    """The armed faults of one stand-in."""

    def __init__(
        self, operation: Callable[[web.Request], Awaitable[str]] = path_of, crash: Callable[[], None] = die
    ) -> None:
        self._operation = operation
        self._crash = crash
        self._armed: dict[str, Armed] = {}
        self._seen: dict[str, int] = {}
        self._watchers: list[Callable[[], None]] = []
        self._changed = asyncio.Event()  # of what is armed; a new one after every change

    @property
    def quiet(self) -> bool:
        """Nothing is armed."""
        return not self._armed

    @property
    def reads_bodies(self) -> bool:
        """A body may decide which fault is due."""
        return any(armed.fault.where.body for armed in self._armed.values())

    def arm(self, name: str, fault: Fault) -> Armed:
        """Wait for this fault's requests, from now on."""
        self._armed[name] = Armed(name=name, fault=fault.model_copy(deep=True))  # an effect is known by its identity
        self._seen[name] = 0
        self._tell()
        return self._armed[name]

    def disarm(self, names: Iterable[str]) -> None:
        """Forget these faults; unknown names are fine."""
        for name in list(names):
            self._armed.pop(name, None)
            self._seen.pop(name, None)
        self._tell()
        for watcher in self._watchers:
            watcher()

    def on_disarm(self, watcher: Callable[[], None]) -> None:
        """Be called whenever faults went away, so that what a lag held back can come into force."""
        self._watchers.append(watcher)

    def armed(self) -> list[Armed]:
        return list(self._armed.values())

    def take(self, method: str, operation: str, body: bytes = b"") -> Effect | None:
        """Count this request, and say what shall go wrong with it."""
        due: Armed | None = None
        for name, armed in self._armed.items():
            where = armed.fault.where
            if armed.fault.effect.kind == "lag" or where.method not in ("*", method):
                continue
            if not fnmatchcase(operation, where.path) or where.body.encode() not in body:
                continue
            self._seen[name] += 1
            past = self._seen[name] > where.skip
            if due is None and past and (where.times is None or armed.hits < where.times):
                due = armed
        if due is None:
            return None
        due.hits += 1
        if due.fault.effect.kind == "crash":
            self._crash()
        return due.fault.effect

    async def held(self, effect: Hold) -> None:
        """Wait until this very effect is not armed any more."""
        while any(armed.fault.effect is effect for armed in self._armed.values()):
            await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def lag_of(self, node: int, worker: int) -> float:
        """Seconds by which this worker's view stays behind; workers are counted from 0 over all nodes."""
        lags = (armed.fault.effect for armed in self._armed.values())
        meant = (lag for lag in lags if lag.kind == "lag" and lag.node in (node, None))
        return max((lag.seconds for lag in meant if lag.node is not None or worker % 2 == 1), default=0.0)

    def middleware(self) -> Middleware:
        """Put the armed faults between every request and its handler; the `/__` endpoints are spared."""

        @web.middleware
        async def faults(request: web.Request, handler: Handler) -> web.StreamResponse:
            if self.quiet or request.path.startswith("/__"):
                return await handler(request)
            body = await request.read() if self.reads_bodies else b""
            effect = self.take(request.method, await self._operation(request), body)
            match effect:
                case Answer():
                    return answer(effect)
                case Slow():
                    await asyncio.sleep(effect.seconds)
                case Hold():
                    await self.held(effect)
                case Reset():
                    return cut(request)
                case Lost():
                    with contextlib.suppress(web.HTTPException):  # an error answer gets lost like any other
                        await handler(request)
                    return cut(request)
            return await handler(request)

        return faults

    def routes(self, prefix: str = "") -> list[web.RouteDef]:
        """The endpoints, to be added to a stand-in's application."""
        one = prefix + PATH + "/{name}"
        return [
            web.put(one, self._put),
            web.get(one, self._get),
            web.delete(one, self._delete),
            web.get(prefix + PATH, self._list),
            web.delete(prefix + PATH, self._clear),
        ]

    async def _put(self, request: web.Request) -> web.Response:
        try:
            fault = Fault.model_validate_json(await request.read())
        except ValidationError as error:
            return web.Response(status=400, text=error.json(include_url=False), content_type="application/json")
        return shown(self.arm(request.match_info["name"], fault))

    async def _get(self, request: web.Request) -> web.Response:
        armed = self._armed.get(request.match_info["name"])
        return shown(armed) if armed else web.json_response({"message": "no such fault"}, status=404)

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response([armed.model_dump(mode="json") for armed in self.armed()])

    async def _delete(self, request: web.Request) -> web.Response:
        self.disarm([request.match_info["name"]])
        return web.Response(status=204)

    async def _clear(self, _: web.Request) -> web.Response:
        self.disarm(list(self._armed))
        return web.Response(status=204)


def shown(armed: Armed) -> web.Response:
    return web.json_response(armed.model_dump(mode="json"))


def answer(effect: Answer) -> web.Response:
    """The answer that a fault prescribes; JSON unless its headers say otherwise."""
    headers = dict(effect.headers)
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json" if effect.body.lstrip()[:1] in ("{", "[") else "text/plain"
    return web.Response(status=effect.status, body=effect.body.encode(), headers=headers)


def cut(request: web.Request) -> web.Response:
    """Break the request's connection; the answer is for aiohttp alone, it goes nowhere."""
    sever(request.transport)
    return web.Response(status=499)
