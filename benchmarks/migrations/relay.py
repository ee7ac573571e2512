"""A network between a client and its server: `python -m benchmarks.migrations.relay PORT SECONDS`.

Every byte arrives so many seconds after it was sent, each way; nothing is lost and nothing is slowed but by that. It is
a process of its own, so whoever is measured does not wait for its processor time.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

from benchmarks.child import questions, tell

CHUNK = 65536
HOST = "127.0.0.1"

Wait = Callable[[float], Awaitable[None]]


@contextlib.asynccontextmanager
async def relay(port: int, delay: float, wait: Wait = asyncio.sleep) -> AsyncIterator[int]:
    """The port at which the server behind `port` is so far away."""
    lines: set[asyncio.Task[None]] = set()

    async def line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        lines.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await _both(reader, writer, port, delay, wait)
        finally:
            lines.discard(task)

    server = await asyncio.start_server(line, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(lines):
            task.cancel()
        await asyncio.gather(*lines, return_exceptions=True)
        await server.wait_closed()


async def _both(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, delay: float, wait: Wait
) -> None:
    try:
        behind, before = await asyncio.open_connection(HOST, port)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_carried(reader, before, delay, wait))
                ways.create_task(_carried(behind, writer, delay, wait))
        except* OSError:
            pass  # one end was reset: the other is closed below
        finally:
            await _closed(before)
    finally:
        await _closed(writer)


async def _carried(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float, wait: Wait) -> None:
    """One way, to the end of what is sent. Each piece waits for its own moment, so a stream keeps its speed."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while True:
            due, piece = await under_way.get()
            await wait(due - loop.time())
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async with asyncio.TaskGroup() as both:
        both.create_task(arrive())
        piece = b"begin"
        while piece:
            piece = await reader.read(CHUNK)
            under_way.put_nowait((loop.time() + delay, piece))


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def main(port: int, delay: float) -> None:
    async with relay(port, delay) as here:
        tell(port=here)
        async for _ in questions():
            continue


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
