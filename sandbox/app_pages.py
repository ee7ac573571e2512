"""What the demo backend and the demo frontend answer, by path and by the behaviour they were shipped with.

Every answer carries X-Release, X-Colour and X-Pid: they are the proof of which release served a request. `/health`
is liveness and `/ready` readiness; only an unready image fails them. Slow and failing images spoil everything else,
so that they pass the platform's health check and must be caught by whoever watches the traffic.

Deliberately not here: sockets, signals, anything of the process (`sandbox.app`).
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable

from aiohttp import web

from sandbox.registry import Behaviour

SLOWNESS = 2.5  # seconds that a slow image takes
LONGEST = 30.0  # seconds that /api/slow may be asked for
SHOWN_FAILURES = 20  # a failing image under load must not fill the disk with its log


class Pages:
    """What both apps have in common: the health paths, the headers, the behaviour."""

    def __init__(self, app: str, behaviour: Behaviour, release: str, colour: str) -> None:
        self.identity = {"app": app, "colour": colour, "release": release, "pid": os.getpid()}
        self._behaviour = behaviour
        self._failures = 0
        self._headers = {"X-Release": release, "X-Colour": colour, "X-Pid": str(os.getpid())}

    async def answer(self, request: web.Request) -> web.Response:
        if request.path in ("/health", "/ready"):
            unready = self._behaviour is Behaviour.UNREADY
            return self.json({"status": "unready" if unready else "ok", **self.identity}, 503 if unready else 200)
        if self._behaviour is Behaviour.SLOW:
            await asyncio.sleep(SLOWNESS)
        if self._behaviour is Behaviour.FAILING:
            return self._fail(request)
        return await self.page(request)

    async def page(self, request: web.Request) -> web.Response:
        """The app's own answer."""
        raise web.HTTPNotFound

    def _fail(self, request: web.Request) -> web.Response:
        self._failures += 1
        if self._failures <= SHOWN_FAILURES:
            print(f"error: {request.method} {request.path} failed, as shipped", flush=True)
        return self.json({"error": "this release is broken, as shipped", **self.identity}, 500)

    def json(self, body: object, status: int = 200) -> web.Response:
        return self.text(json.dumps(body), "application/json", status)

    def text(self, body: str, kind: str, status: int = 200, cache: str = "no-cache") -> web.Response:
        headers = {**self._headers, "Cache-Control": cache}
        return web.Response(text=body, content_type=kind, status=status, headers=headers)


class Backend(Pages):
    """JSON on every path; `/api/slow?seconds=S` takes its time and sends nothing before."""

    async def page(self, request: web.Request) -> web.Response:
        if request.path == "/api/slow":
            try:
                seconds = float(request.query.get("seconds", "1"))
            except ValueError:
                return self.json({"error": f"seconds is {request.query['seconds']!r}, not a number"}, 400)
            await asyncio.sleep(min(max(seconds, 0.0), LONGEST))
        return self.json({**self.identity, "method": request.method, "path": request.path})


class Frontend(Pages):
    """A page and its one script, whose name depends on the release as a bundler's would."""

    def __init__(self, app: str, behaviour: Behaviour, release: str, colour: str) -> None:
        super().__init__(app, behaviour, release, colour)
        self._script = f"document.title += ' · {colour} · {release}';\n"
        self.asset = f"/assets/app-{hashlib.sha256(self._script.encode()).hexdigest()[:12]}.js"

    async def page(self, request: web.Request) -> web.Response:
        if request.path == self.asset:
            return self.text(self._script, "text/javascript", cache="public, max-age=31536000, immutable")
        if request.path.startswith("/assets/"):
            return self.text("no such asset in this release\n", "text/plain", 404)
        return self.text(
            f'<!doctype html><title>Demo</title><div id="app">{self.identity["release"]}</div>'
            f'<script src="{self.asset}"></script>\n',
            "text/html",
        )


PAGES: dict[str, Callable[[str, Behaviour, str, str], Pages]] = {"backend": Backend, "frontend": Frontend}
