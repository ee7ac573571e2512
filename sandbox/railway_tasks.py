"""What is under way for each deployment: one task at a time, and a new one takes the place of the one before.

Deliberately not here: what is done. A task that cannot reach its machines is given up with a warning; the next look of
`sandbox.railway_keeping` takes its deployment up.
"""

import asyncio
import logging
from collections.abc import Coroutine

from sandbox.railway_machines import Down, Impossible

log = logging.getLogger("railway")


class Tasks:
    """The tasks under way, by whom they are for."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._under_way

    def begin(self, key: str, work: Coroutine[None, None, None]) -> None:
        """Do this for the deployment instead of whatever was under way for it."""
        if before := self._under_way.get(key):
            before.cancel()
        task = self._under_way[key] = asyncio.create_task(self._logged(work))

        def done(ended: asyncio.Task[None]) -> None:
            if self._under_way.get(key) is ended:
                del self._under_way[key]

        task.add_done_callback(done)

    async def _logged(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except (Down, Impossible) as error:
            log.warning("given up for now, the next look takes it up: %s", error)
        except Exception:
            log.exception("a deployment's task failed")

    async def close(self) -> None:
        """Stop everything that is under way, and return when it has ended."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
