"""A line to the database that breaks at the one moment that matters: around a commit.

`before`: what would commit never reaches the server. `after`: it does, and the answer never comes back. Every later
connection is carried faithfully.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal

MARK = b"insert into bluegreen.migrations"
COMMITTED = b"COMMIT\0"  # the server's word for it

When = Literal["before", "after"]


class Line:
    """Carries bytes both ways, and counts how often it broke."""

    def __init__(self, port: int, when: When, times: int) -> None:
        self._port, self._when, self._left = port, when, times
        self.breaks = 0
        self._carrying: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                await self._carry((reader, writer), (there, back))
            finally:
                back.close()
        finally:
            self._carrying.discard(task)
            writer.close()

    async def close(self) -> None:
        if self._carrying:
            await asyncio.wait([*self._carrying])

    async def _carry(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        armed = asyncio.Event()
        ways = {
            asyncio.ensure_future(self._to_server(client[0], server[1], armed)),
            asyncio.ensure_future(self._to_client(server[0], client[1], armed)),
        }
        _, rest = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in rest:
            way.cancel()
        await asyncio.wait(ways)
        for way in ways:
            if not way.cancelled() and way.exception() is not None and not isinstance(way.exception(), ConnectionError):
                way.result()

    async def _to_server(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, armed: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 20):
            if MARK in data and self._left:
                armed.set()
                if self._when == "before":
                    self._break()
                    return
            writer.write(data)

    async def _to_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, armed: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 20):
            if armed.is_set() and COMMITTED in data and self._left:
                self._break()
                return
            writer.write(data)

    def _break(self) -> None:
        self._left -= 1
        self.breaks += 1


@contextlib.asynccontextmanager
async def cut_line(url: str, when: When, times: int = 1) -> AsyncIterator[tuple[str, Line]]:
    """A line to a database that breaks so many times; answers the address to use instead, and the line."""
    head, _, tail = url.rpartition(":")
    port, _, name = tail.partition("/")
    line = Line(int(port), when, times)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    try:
        yield f"{head}:{server.sockets[0].getsockname()[1]}/{name}", line
    finally:
        server.close()
        await line.close()
        await server.wait_closed()
