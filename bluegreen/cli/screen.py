"""A person's screen, or a CI log, as a handler's context: milestones are lines on standard error.

A passing state is one line that the next one overwrites, on a terminal; elsewhere it is left out. A verb that has more
to do than to die when somebody asks it to stop listens: the first ^C is a wish, which it hears at its next step; the
second one ends the process.
"""

import asyncio
import shutil
import signal
import sys
from datetime import UTC, datetime

CLEAR = "\r\x1b[2K"
BREATH = 0.05  # seconds that a pause lasts when it is begun after somebody asked to stop
WISHES = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Screen:
    """The context of a verb: real time, and text on standard error."""

    orphaned = False
    deadline: datetime | None = None

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    @property
    def cancelled(self) -> bool:
        """Without `listen` never: ^C ends the process, and what a verb writes is safe to be cut between two writes."""
        return self._asked.is_set()

    def listen(self) -> None:
        """From now on a first signal to stop is a wish."""
        loop = asyncio.get_running_loop()

        def hear() -> None:
            self._asked.set()
            print(f"{self._clear}Stopping; once more ends it at once.", file=sys.stderr, flush=True)
            for number in WISHES:
                loop.remove_signal_handler(number)

        for number in WISHES:
            loop.add_signal_handler(number, hear)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        if self.cancelled:
            await asyncio.sleep(min(seconds, BREATH))  # a loop that polls must not spin
            return
        try:
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        except TimeoutError:
            return

    @property
    def _clear(self) -> str:
        return CLEAR if sys.stderr.isatty() else ""

    async def milestone(self, text: str) -> None:
        print(f"{self._clear}{text}", file=sys.stderr, flush=True)

    async def status(self, text: str) -> None:
        """Overwritten by whatever comes next."""
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(f"{CLEAR}{text[:width]}", end="", file=sys.stderr, flush=True)

    def leave(self) -> None:
        """Take the passing state away, for what is printed after it."""
        print(self._clear, end="", file=sys.stderr, flush=True)
