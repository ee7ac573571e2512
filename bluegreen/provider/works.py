"""Handler calls are owned here, so that nobody can cut one in two.

The engine may be killed at any moment, and gRPC then cancels the call that it was waiting for. A handler that has
raised one colour and not yet lowered the other must go on: it runs as a task of its own, the call only watches it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

R = TypeVar("R")


class Works:
    """The handler calls that are under way."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Its result. When whoever waits for it is cancelled, the work goes on to its end."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def idle(self) -> None:
        """Return once no work is under way."""
        while self._running:
            await asyncio.wait(self._running)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left to hear of it; asyncio would complain on stderr
