"""Time as the Railway stand-in sees it: platform seconds, which a laptop may shorten and a test may own.

Every wait of the platform (INITIALIZING, health-check timeout, overlap, draining) is given in platform seconds; the
clock turns them into real ones. Timestamps are real. Deliberately not here: the time that a laptop's own processes
take to start, which no scale shortens.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The time, and a wait of so many platform seconds."""

    def now(self) -> datetime: ...

    def span(self, seconds: float) -> timedelta:
        """The real length of so many platform seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait so many platform seconds."""
        ...


class LaptopClock:
    """Real time in which a platform second takes `scale` seconds."""

    def __init__(self, scale: float) -> None:
        self._scale = scale

    def now(self) -> datetime:
        return datetime.now(UTC)

    def span(self, seconds: float) -> timedelta:
        return timedelta(seconds=seconds * self._scale)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._scale)
