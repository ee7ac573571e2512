"""A gateway stand-in and applications for its tests, in one event loop.

The applications speak HTTP over bare streams, so that a test decides byte by byte what an application does; the gateway
changes its workers' views only when told to `settle`, so no test waits for a clock.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from sandbox.kong import Kong
from sandbox.kong_cluster import Settings
from sandbox.kong_store import Store

NEVER = 3600.0  # seconds; longer than any test
Serve = Callable[["App", str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class App:
    """An application behind the gateway."""

    name: str
    port: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def target(self) -> str:
        return f"backend-{self.name}.railway.internal:{self.port}"


def response(body: str, status: str = "200 OK", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n{body}".encode()


async def answer_name(app: App, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the request's body and answer with the application's name."""
    length = next((line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length")), "0")
    app.bodies.append(await reader.readexactly(int(length)))
    writer.write(response(f"{app.name}\n", extra=f"X-Colour: {app.name}\r\n"))


@contextlib.asynccontextmanager
async def application(name: str, serve: Serve = answer_name) -> AsyncIterator[App]:
    app = App(name)

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        app.connections.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                app.heads.append(head)
                await serve(app, head, reader, writer)
        writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    app.port = int(server.sockets[0].getsockname()[1])
    try:
        yield app
    finally:
        server.close()
        for writer in app.connections:
            writer.transport.abort()


@dataclass
class Room:
    """A gateway and a client of both its ports."""

    kong: Kong
    session: aiohttp.ClientSession

    async def admin(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{self.kong.admin_port}{path}"
        async with self.session.request(method, url, json=body) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def made(self, method: str, path: str, body: object = None) -> Any:
        status, answer = await self.admin(method, path, body)
        assert status in (200, 201, 204), answer
        return answer

    async def call(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, data: bytes | None = None
    ) -> tuple[int, str]:
        async with self.request(path, method, headers, data) as answer:
            return answer.status, await answer.text()

    def request(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, data: Any = None
    ) -> Any:
        url = f"http://127.0.0.1:{self.kong.proxy_port}{path}"
        return self.session.request(method, url, headers=headers, data=data, allow_redirects=False)

    async def routed(self, weights: Mapping[str, int], **service: object) -> dict[str, str]:
        """One service on the upstream `backend` with these targets, at `/api`; the ids of the target rows."""
        await self.made("PUT", "/upstreams/backend", {})
        ids = {}
        for target, weight in weights.items():
            body = {"target": target, "weight": weight}
            ids[target] = str((await self.made("POST", "/upstreams/backend/targets", body))["id"])
        await self.made("PUT", "/services/backend", {"host": "backend", **service})
        await self.made("PUT", "/services/backend/routes/api", {"paths": ["/api"]})
        self.kong.cluster.settle()
        return ids


@contextlib.asynccontextmanager
async def room(store: Store | None = None, **settings: Any) -> AsyncIterator[Room]:
    timing = {"worker_state_update_frequency": NEVER, "db_update_frequency": NEVER, "metrics_flush": 0.0}
    kong = Kong(Settings(**{**timing, **settings}), store=store)
    async with kong.serving(), aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Room(kong, session)
