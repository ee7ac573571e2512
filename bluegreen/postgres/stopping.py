"""Work that is given up when somebody asks to stop, is gone, or when its time is over.

Only for work that tidies up after itself when it is cancelled: programs, copies, and questions to the database, which
the server then gives up. A statement that changes the database is not of that kind.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from bluegreen.handler import Context
from bluegreen.postgres.errand import Stopped
from bluegreen.postgres.session import NOTHING

LOOK_SECONDS = 0.1
T = TypeVar("T")


class NotWanted(Stopped):
    """Work that only looks was given up, because somebody asked to stop or its time was over; nothing was changed."""


async def until_stopped(work: Awaitable[T], ctx: Context, what: str) -> T:
    """The end of some work; `what` it is begins the sentence when it is given up: `The dry run of 011`.

    Raises:
        NotWanted: it was given up.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
            if (why := _why_not(ctx)) and not task.done():
                raise NotWanted(f"{what} {why}.", world=NOTHING, next="Run this again when you want it.")
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})


def _why_not(ctx: Context) -> str:
    """Why nobody wants it any more; nothing while somebody does."""
    if ctx.cancelled:
        return "was given up: somebody asked to stop"
    if ctx.orphaned:
        return "was given up: whoever asked for it is gone"
    return "ran too long" if ctx.deadline is not None and ctx.now() >= ctx.deadline else ""
