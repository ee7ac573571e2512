"""Work that is given up when somebody asks to stop, is gone, or when its time is over.

Only for work that tidies up after itself when it is cancelled; a statement on the database itself is not of that kind.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from bluegreen.handler import Context, Refused
from bluegreen.postgres.session import NOTHING

LOOK_SECONDS = 0.1
T = TypeVar("T")


class NotWanted(Refused):
    """Somebody asked to stop; nothing was changed."""


async def until_stopped(work: Awaitable[T], ctx: Context, what: str) -> T:
    """The end of some work; `what` it is begins the sentence when it is given up: `The dry run of 011`.

    Raises:
        NotWanted: it was given up.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
            late = ctx.deadline is not None and ctx.now() >= ctx.deadline
            if (ctx.cancelled or ctx.orphaned or late) and not task.done():
                why = "ran too long" if late and not ctx.cancelled else "was given up: somebody asked to stop"
                raise NotWanted(f"{what} {why}.", world=NOTHING, next="Run this again when you want it.")
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})
