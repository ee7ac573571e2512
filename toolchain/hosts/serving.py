"""Serve one plugin the way the engine expects: the port on the first line, a quiet end, and never longer than the CLI
lives.

The engine reads the port from the first line of stdout, dials it, and at the end sends SIGINT to the plugin's process
group; a killed CLI sends nothing. So a plugin ends on SIGINT, on SIGTERM, and when the process that started it is gone.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc

LOOPBACK = "127.0.0.1"
MESSAGE_LIMIT = 400 << 20  # the engine's own: a program's state may travel in one message
ORPHAN_CHECK_SECONDS = 0.5


def new_server() -> grpc.aio.Server:
    """A server with the engine's message limits, not yet listening."""
    sizes = [("grpc.max_receive_message_length", MESSAGE_LIMIT), ("grpc.max_send_message_length", MESSAGE_LIMIT)]
    return grpc.aio.server(options=sizes)


async def serve(add: Callable[[grpc.aio.Server], Callable[[], Awaitable[None]]], parent: int) -> None:
    """Serve what `add` puts on the server, say the port, and run its clean-up when told to end or `parent` is gone."""
    server = new_server()
    clean_up = add(server)
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    await server.start()
    told = told_to_end()
    print(port, flush=True)
    await told_or_orphaned(told, parent)
    await clean_up()
    await server.stop(grace=0.2)


async def refuse(context: Any, text: str, code: grpc.StatusCode = grpc.StatusCode.FAILED_PRECONDITION) -> NoReturn:
    """End a call with one text for the user, under a code that the engine takes for a well understood failure."""
    await context.abort(code, text)
    raise AssertionError("abort never returns")


def told_to_end() -> asyncio.Event:
    """Set by SIGINT and SIGTERM from here on."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told


async def told_or_orphaned(told: asyncio.Event, parent: int) -> None:
    """Return once told, or once this process has another parent."""
    while os.getppid() == parent:
        try:
            await asyncio.wait_for(told.wait(), ORPHAN_CHECK_SECONDS)
        except TimeoutError:
            continue
        return
