"""A door in front of Kong's Admin API that can be shut in a client's face while its request goes on behind it.

That is what a client sees whose patience ends: no answer, and a write that may still land (the stand-in goes on with a
request whose connection is gone). Waiting for a real client's
ten seconds at every write would make a drill an hour long. Deliberately not here: HTTP. It passes bytes on.
"""

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Self

from sandbox.faults import sever

CHUNK = 65_536


class Relay:
    """Passes connections on to one port, and cuts off whoever is waiting when told to."""

    def __init__(self, port: int) -> None:
        self._to, self.port = port, 0
        self._clients: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Every client that is connected now gets no answer any more; what it sent goes on."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    async def _cut(self) -> None:
        for client in list(self._clients):
            sever(client.transport)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _pass(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        there, writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._clients.add(back)
        answers = asyncio.create_task(_copy(there, back))
        try:
            await _copy(client, writer)
        finally:
            answers.cancel()
            self._clients.discard(back)
            for each in (writer, back):
                each.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
