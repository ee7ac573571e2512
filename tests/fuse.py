"""A line to the database with a fuse: at a given message the process at its other end is killed with SIGKILL.

Only what the session of the migration itself asks is counted, each question once, simple or prepared. `before`: the
message that blows the fuse never reaches the server. `midway`: it does, and nobody is there for the answer.
"""

import asyncio
import contextlib
import os
import signal
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

NAME = b"application_name\0bluegreen-migrate/"
ASKS = (b"Q", b"P")  # a simple question; the first message of a prepared one

When = Literal["before", "midway"]


@dataclass
class Fuse:
    """Counts down with each message; `pid` is whose end it is, and `heard` what was asked."""

    port: int
    when: When
    left: int
    pid: int = 0
    blown: bool = False
    heard: list[str] = field(default_factory=list)
    carrying: set["asyncio.Task[None]"] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.carrying.add(task)
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        answering = asyncio.ensure_future(_pour(there, writer))
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._carry(reader, back)
        finally:
            self.carrying.discard(task)
            answering.cancel()
            await asyncio.wait({answering})
            back.close()
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        counted = False
        while True:  # messages without a kind come first: wishes for encryption, and who it is
            size = await reader.readexactly(4)
            body = await reader.readexactly(struct.unpack("!i", size)[0] - 4)
            server.write(size + body)
            if body[:2] == b"\0\3":
                # The session that applies is named after its version; those beside it have other names.
                counted = body.partition(NAME)[2][:3].isdigit()
                break
        while True:
            head = await reader.readexactly(5)
            message = head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
            if counted and head[:1] in ASKS and not self.blown:
                self.left -= 1
                self.heard.append(message[5:].split(b"\0")[head[:1] == b"P"].decode())
            if counted and self.left == 0 and not self.blown:
                self.blown = True
                if self.when == "midway":
                    server.write(message + (await reader.read(1 << 16) if head[:1] == b"P" else b""))
                    await server.drain()
                os.kill(self.pid, signal.SIGKILL)
                return
            server.write(message)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


@contextlib.asynccontextmanager
async def fused(url: str, when: When, at: int) -> AsyncIterator[tuple[str, Fuse]]:
    """A line that blows at the message of that number; answers the address to use instead."""
    head, _, tail = url.rpartition(":")
    port, _, name = tail.partition("/")
    fuse = Fuse(int(port), when, at)
    server = await asyncio.start_server(fuse.serve, "127.0.0.1", 0)
    try:
        yield f"{head}:{server.sockets[0].getsockname()[1]}/{name}", fuse
    finally:
        server.close()
        if fuse.carrying:
            await asyncio.wait([*fuse.carrying])
        await server.wait_closed()
