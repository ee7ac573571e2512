"""What may be sent again, and when: the two ways in which a mutation ends without an end.

Railway refuses a call while it is at work on the same service, or because calls come too quickly: then nothing
happened, and the same call is sent again after a pause. A lost reply or a 5xx leaves open whether it happened: then
the state is read first. Time comes from the context, and a deadline ends all patience: a wait that would reach beyond
it is not begun, and whoever asks to stop is heard within a second. Pauses that nobody asked for are spread a little,
so that services which began together do not ask together for ever.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from bluegreen.handler import Context
from bluegreen.http import ApiError, RateLimited
from bluegreen.railway.answers import Busy, open_ended, passing

R = TypeVar("R")
AGAIN = 3  # times that a write is sent when reading shows that it did not happen
LONGEST = 15  # polls: no pause grows beyond
SPREAD = 0.2  # of a pause that nobody asked for: by how much at most it is drawn out
BREATH = 15.0  # seconds: a longer pause is made in slices
SLICE = 1.0  # seconds of a wait until somebody who asked to stop is heard


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for Railway: `poll` seconds at first, growing, and never beyond `until`."""

    ctx: Context
    until: datetime
    poll: float
    chance: Callable[[], float] = random.random

    @property
    def over(self) -> bool:
        """Whether the time is up, or somebody asked to stop, or nobody is left to report to."""
        return self.ctx.cancelled or self.ctx.orphaned or self.ctx.now() >= self.until

    def at_most(self, seconds: float) -> "Patience":
        """The same, ending sooner."""
        until = min(self.until, self.ctx.now() + timedelta(seconds=seconds))
        return Patience(self.ctx, until, self.poll, self.chance)

    async def pause(self, seconds: float) -> None:
        """Sleep about so long, but not past the end."""
        seconds = min(self._spread(seconds), (self.until - self.ctx.now()).total_seconds())
        if seconds > BREATH:
            await self._slept(self.ctx.now() + timedelta(seconds=seconds))
        else:
            await self.ctx.sleep(max(0.0, seconds))

    async def wait(self, problem: ApiError, seconds: float) -> None:
        """Wait as long as Railway asked for, or for `seconds`, if that is longer.

        Raises:
            ApiError: the problem itself, when the time would not do or somebody asked to stop meanwhile.
        """
        asked = (problem.retry_after if isinstance(problem, RateLimited) else None) or 0.0
        seconds = asked if asked >= seconds else self._spread(seconds)
        until = self.ctx.now() + timedelta(seconds=seconds)
        if self.over or until > self.until:
            raise problem
        await self.ctx.status(f"waits {seconds:.0f} s: {problem.what}")
        await self._slept(until)
        if self.ctx.cancelled or self.ctx.orphaned:
            raise problem

    def _spread(self, seconds: float) -> float:
        return seconds * (1 + SPREAD * self.chance())

    async def _slept(self, until: datetime) -> None:
        while (left := (until - self.ctx.now()).total_seconds()) > 0 and not self.over:
            await self.ctx.sleep(min(SLICE, left))

    async def while_busy(self, call: Callable[[], Awaitable[R]]) -> R:
        """Make the call again for as long as Railway answers that it is not the time for it."""
        pause = self.poll
        while True:
            try:
                return await call()
            except (Busy, RateLimited) as problem:
                await self.wait(problem, pause)
                pause = min(pause * 2, self.poll * LONGEST)

    async def while_away(self, read: Callable[[], Awaitable[R]]) -> R:
        """Make the read again for as long as Railway is out of reach or asks for patience."""
        pause = self.poll
        while True:
            try:
                return await read()
            except ApiError as problem:
                if not passing(problem):
                    raise
                await self.wait(problem, pause)
                pause = min(pause * 2, self.poll * LONGEST)

    async def settled(self, write: Callable[[], Awaitable[None]], applied: Callable[[], Awaitable[bool]]) -> None:
        """Write; when its reply is lost, look whether it happened, and only then write again."""
        for left in reversed(range(AGAIN)):
            try:
                return await self.while_busy(write)
            except ApiError as problem:
                if not open_ended(problem):
                    raise
                if await applied():
                    return None
                if not left or self.over:
                    raise
                await self.ctx.milestone(f"{problem.what} It did not take effect, so it is sent again.")
                await self.pause(self.poll)
        return None
