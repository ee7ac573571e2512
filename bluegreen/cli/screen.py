"""A person's screen, or a CI log, as a handler's context: milestones are lines on standard error."""

import asyncio
import sys
from datetime import UTC, datetime


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
        print(text, file=sys.stderr, flush=True)

    async def status(self, text: str) -> None:
        """Nothing overwrites a line here, so passing states are left out."""
