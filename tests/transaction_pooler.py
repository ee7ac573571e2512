"""A connection pooler for tests: enough of Postgres's protocol to hand out backends by transaction, or by session.

In transaction mode a client has a backend from its first message until the server is idle again, so two clients share
one with all that a session leaves in it; that is what makes such a pooler unfit for migrations. It greets with a
process id that no backend has, as PgBouncer does. Passwords are not asked for: the pooler logs in by itself.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Literal

from psycopg import pq
from psycopg.pq.abc import PGconn

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
MADE_UP_PID = 4_000_000
GREETING = b"R" + struct.pack("!ii", 8, 0)
KEY = b"K" + struct.pack("!iii", 12, MADE_UP_PID, 7)
READY = b"Z" + struct.pack("!i", 5) + b"I"

Mode = Literal["transaction", "session"]


class Backend:
    """One logged-in connection to the server: libpq opens it, and its socket is used from then on."""

    def __init__(self, line: PGconn, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.line, self.reader, self.writer = line, reader, writer

    @classmethod
    async def open(cls, url: str) -> "Backend":
        line = pq.PGconn.connect(url.encode())
        assert line.status == pq.ConnStatus.OK, line.error_message
        # The socket is the test's to close, and libpq keeps its own end of it.
        reader, writer = await asyncio.open_connection(
            sock=socket.fromfd(line.socket, socket.AF_INET, socket.SOCK_STREAM)
        )
        return cls(line, reader, writer)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()
        self.line.finish()


class Pooler:
    """Clients come and go, backends stay."""

    def __init__(self, mode: Mode, backends: list[Backend]) -> None:
        self._mode = mode
        self._backends = backends
        self._free: asyncio.LifoQueue[Backend] = asyncio.LifoQueue()
        self._clients: set[asyncio.Task[None]] = set()
        for backend in backends:
            self._free.put_nowait(backend)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                if await self._greeted(reader, writer):
                    await self._carry(reader, writer)
        finally:
            self._clients.discard(task)
            writer.close()

    async def close(self) -> None:
        for task in [*self._clients]:
            task.cancel()
        if self._clients:
            await asyncio.wait([*self._clients])
        for backend in self._backends:
            await backend.close()

    async def _greeted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        while True:
            length, code = struct.unpack("!ii", await reader.readexactly(8))
            await reader.readexactly(length - 8)
            if code in (SSL_REQUEST, GSS_REQUEST):
                writer.write(b"N")
                continue
            if code == CANCEL_REQUEST:
                return False
            writer.write(GREETING + _told("server_version", "18.0") + _told("client_encoding", "UTF8") + KEY + READY)
            return True

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        backend: Backend | None = None
        state = b"I"
        try:
            while (message := await _message(reader))[:1] != b"X":
                backend = backend or await self._free.get()
                backend.writer.write(message)
                if message[:1] not in (b"Q", b"S"):
                    continue
                state = await _answer(backend, writer)
                if state == b"I" and self._mode == "transaction":
                    self._free.put_nowait(backend)
                    backend = None
        finally:
            if backend is not None:
                await _reset(backend)
                self._free.put_nowait(backend)


@contextlib.asynccontextmanager
async def pooler(url: str, mode: Mode = "transaction", backends: int = 1) -> AsyncIterator[str]:
    """A pooler before a database; answers the address to use instead."""
    pool = Pooler(mode, [await Backend.open(url) for _ in range(backends)])
    server = await asyncio.start_server(pool.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"postgresql://anybody:anything@127.0.0.1:{port}/{url.rpartition('/')[2]}"
    finally:
        server.close()
        await pool.close()
        await server.wait_closed()


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


async def _answer(backend: Backend, writer: asyncio.StreamWriter) -> bytes:
    """Everything until the server is ready again, and whether it is in a transaction then."""
    while True:
        message = await _message(backend.reader)
        writer.write(message)
        if message[:1] == b"Z":
            await writer.drain()
            return message[5:6]


async def _reset(backend: Backend) -> None:
    for query in (b"rollback", b"discard all"):
        backend.writer.write(b"Q" + struct.pack("!i", len(query) + 5) + query + b"\0")
        while (await _message(backend.reader))[:1] != b"Z":
            pass


def _told(name: str, value: str) -> bytes:
    body = f"{name}\0{value}\0".encode()
    return b"S" + struct.pack("!i", len(body) + 4) + body
