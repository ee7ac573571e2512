"""How a stand-in process begins and ends, the same for each: `ready`, signals, a port in use, a vanished parent.

A stand-in prints `ready` once it accepts connections, ends within 2 s of SIGTERM or SIGINT, says in one sentence when
its port is taken (exit 2), and with `--die-with-parent PID` ends by itself once that process is gone.

Deliberately not here: what a stand-in serves. Cleaning up belongs in the application's `on_shutdown`/`on_cleanup`.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from aiohttp import web

ENDING = 0.5  # seconds that requests in flight get at the end; the whole end must stay below 2 s
LOOKS = 0.25  # seconds between two looks for the parent

Build = Callable[[], Awaitable[web.Application]]


class Unfit(Exception):
    """The stand-in cannot start; the text says why in one sentence."""


def add_parent_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help="end when this process is gone")


def alive(pid: int) -> bool:
    """Whether this process exists and is more than a zombie's entry of ours."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def orphaned(pid: int) -> None:
    """Return once this process is gone."""
    while alive(pid):  # noqa: ASYNC110  no event tells that a foreign process has ended
        await asyncio.sleep(LOOKS)


async def asked_to_end() -> None:
    """Return at the first SIGTERM or SIGINT."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()


async def _serve(build: Build, port: int, parent: int | None) -> None:
    ends = [asyncio.ensure_future(asked_to_end())]
    if parent is not None:
        ends.append(asyncio.ensure_future(orphaned(parent)))
    runner = web.AppRunner(await build(), access_log=None, shutdown_timeout=ENDING, handle_signals=False)
    try:
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise Unfit(f"Port {port} on 127.0.0.1 cannot be used ({reason}); choose another.") from error
        print("ready", flush=True)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
        await runner.cleanup()


def run(build: Build, port: int, parent: int | None) -> int:
    """Serve until asked to end; the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(build, port, parent))
    except Unfit as error:
        print(error, file=sys.stderr)
        return 2
    return 0
