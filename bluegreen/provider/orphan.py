"""Notices when the engine is gone.

A killed engine (SIGKILL, a closed pipe) takes none of its plugins along: they stay behind as orphans and would serve
nobody for ever. A process whose parent dies is given another parent, and that is all there is to see.
"""

import asyncio
import os

EVERY = 0.25  # seconds


async def orphaned(parent: int) -> None:
    """Return once `parent`, which started this process, is gone."""
    while os.getppid() == parent:  # noqa: ASYNC110 -- the kernel tells nobody, it has to be asked
        await asyncio.sleep(EVERY)
