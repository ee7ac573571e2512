"""A person's screen, or a CI log, as a handler's context: milestones are lines on standard error.

A passing state is one line that the next one overwrites, on a terminal; elsewhere it is left out.
"""

import asyncio
import shutil
import sys
from datetime import UTC, datetime

CLEAR = "\r\x1b[2K"


class Screen:
    """The context of a verb: real time, and text on standard error."""

    cancelled = False  # ^C ends the process; what a verb writes is safe to be cut between two writes
    orphaned = False
    deadline: datetime | None = None

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def milestone(self, text: str) -> None:
        print(f"{CLEAR if sys.stderr.isatty() else ''}{text}", file=sys.stderr, flush=True)

    async def status(self, text: str) -> None:
        """Overwritten by whatever comes next."""
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(f"{CLEAR}{text[:width]}", end="", file=sys.stderr, flush=True)

    def leave(self) -> None:
        """Take the passing state away, for what is printed after it."""
        if sys.stderr.isatty():
            print(CLEAR, end="", file=sys.stderr, flush=True)
