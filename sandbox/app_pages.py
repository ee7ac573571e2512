"""What the demo backend and the demo frontend have in common: health, headers, refusals, the behaviour as shipped.

Every answer carries X-Release, X-Colour and X-Pid, the proof of which release served a request, and X-Correlation-Id:
the caller's own where it is a sane one, else a new one. The log says a line about every answer from 400 on, with that
id, and at most a handful a second, so that a broken release under load does not fill a disk.

`/health` is liveness and asks nobody; `/ready` is readiness. Slow, failing and broken images spoil everything else, so
that they pass the platform's health check and must be caught by whoever watches the traffic.

Deliberately not here: sockets and signals (`sandbox.app`), and what the apps are for (`sandbox.backend`,
`sandbox.frontend`).
"""

import asyncio
import json
import os
import re
import time
import uuid
from collections.abc import Callable

from aiohttp import web

from sandbox.app_setup import Setup
from sandbox.registry import Behaviour

SLOWNESS = 2.5  # seconds that a slow image takes
FAILS_EVERY = 20  # requests; a failing image's error rate is 5 %
LINES = 10  # a second, in the log
IN_DATABASE = web.RequestKey("in_database", float)  # milliseconds, where a request was there at all
SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:#-]{0,99}")  # with `#`, which is in those that Kong makes
FORWARDED = "X-Correlation-Id"


class Refusal(Exception):
    """A request that is not answered as it was meant; the sentence is for the caller, the detail for the log."""

    def __init__(self, status: int, sentence: str, *, detail: str = "", **headers: str) -> None:
        super().__init__(sentence)
        self.status, self.detail, self.headers = status, detail, headers


class Pages:
    """The answers of one process of the demo app, whichever of the two it is."""

    def __init__(self, setup: Setup) -> None:
        self.identity = {"app": setup.app, "colour": setup.colour, "release": setup.release, "pid": os.getpid()}
        self._behaviour = setup.behaviour
        self._answered = 0
        self._log = Log()
        self._headers = {"X-Release": setup.release, "X-Colour": setup.colour, "X-Pid": str(os.getpid())}

    async def close(self) -> None:
        """Let go of whatever is held open."""

    async def answer(self, request: web.Request) -> web.Response:
        given = request.headers.get(FORWARDED, "")
        correlation = given if SANE_ID.fullmatch(given) else uuid.uuid4().hex
        try:
            response = await self._as_shipped(request)
        except Refusal as refusal:
            response = self._refuse(request, refusal, correlation)
        except web.HTTPException as error:
            response = self._refuse(request, Refusal(error.status, f"{error.reason}."), correlation)
        except Exception as error:  # the caller gets a sentence whatever happened, and the log the reason
            unexpected = Refusal(500, "Something went wrong here.", detail=f"{type(error).__name__}: {error}")
            response = self._refuse(request, unexpected, correlation)
        response.headers.update(self._headers)
        response.headers[FORWARDED] = correlation
        if IN_DATABASE in request:
            response.headers["Server-Timing"] = f"db;dur={request[IN_DATABASE]:.1f}"
        return response

    async def page(self, request: web.Request) -> web.Response:
        """The app's own answer."""
        raise web.HTTPNotFound

    async def missing(self) -> str:
        """What this process waits for before it can do its work, in a sentence; empty when it is ready."""
        return ""

    def json(self, body: object, status: int = 200) -> web.Response:
        return self.text(json.dumps(body), "application/json", status)

    def text(self, body: str, kind: str, status: int = 200, cache: str = "no-cache") -> web.Response:
        return web.Response(text=body, content_type=kind, status=status, headers={"Cache-Control": cache})

    async def _as_shipped(self, request: web.Request) -> web.Response:
        if request.path in ("/health", "/ready"):
            return await self._health(request.path)
        self._answered += 1
        if self._behaviour is Behaviour.SLOW:
            await asyncio.sleep(SLOWNESS)
        fails = self._behaviour is Behaviour.FAILING and self._answered % FAILS_EVERY == 0
        if fails or self._behaviour is Behaviour.BROKEN:
            raise Refusal(500, f"This release is {self._behaviour.value}, as shipped.")
        return await self.page(request)

    async def _health(self, path: str) -> web.Response:
        reason = "as shipped" if self._behaviour is Behaviour.UNREADY else ""
        if path == "/ready" and not reason:
            reason = await self.missing()
        if reason:
            return self.json({"status": "unready", "reason": reason, **self.identity}, 503)
        return self.json({"status": "ok", **self.identity})

    def _refuse(self, request: web.Request, refusal: Refusal, correlation: str) -> web.Response:
        told = f"{refusal}{f' [{refusal.detail}]' if refusal.detail else ''}"
        # A path is the caller's text; quoted, it cannot pretend to be a line of ours.
        self._log.say(f"{correlation} {request.method} {request.path[:200]!r} answered {refusal.status}: {told}")
        body = {"error": str(refusal), "correlation_id": correlation}
        response = self.json(body, refusal.status)
        response.headers.update({name.replace("_", "-"): value for name, value in refusal.headers.items()})
        return response


class Log:
    """Lines on stdout, at most a handful a second; what was left out is counted in the next line."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second, self._said, self._left_out = 0, 0, 0

    def say(self, text: str) -> None:
        second = int(self._clock())
        if second != self._second:
            self._second, self._said = second, 0
        if self._said >= LINES:
            self._left_out += 1
            return
        self._said += 1
        more = f" ({self._left_out} lines before it left out)" if self._left_out else ""
        self._left_out = 0
        print(" ".join(text.split()) + more, flush=True)
