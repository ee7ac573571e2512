"""A colour to flip to: `python -m benchmarks.flips.app COLOUR`. Answers every GET at once, with who it is.

As small as it can be, because its processor time is taken from the gateway's. It speaks only as much HTTP as the load
and a gateway's kept-alive connections need: heads without bodies, one after another.
"""

import asyncio
import contextlib
import sys
from typing import cast

from benchmarks.child import questions, tell

END = b"\r\n\r\n"


def release(colour: str) -> str:
    """What this colour's release is called: it never changes here."""
    return f"release-{colour}"


class App(asyncio.Protocol):
    """One connection of a gateway."""

    def __init__(self, colour: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Colour: {colour}\r\nX-Release: {release(colour)}\r\n\r\nok\n"
        self._answer = head.encode()
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(END)
        self._transport.write(self._answer * len(heads))


async def serve(colour: str) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: App(colour), "127.0.0.1", 0)
    tell(port=server.sockets[0].getsockname()[1])
    async for _ in questions():
        continue
    server.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(sys.argv[1]))
