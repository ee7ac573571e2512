"""The context of a watch: real time, ears for signals, and a terminal that may go away.

    SIGINT, SIGTERM   the first one ends the watch with its report; the second one ends the process
    SIGHUP            the terminal is gone: the watch goes on without a view, to its own end

A way back that is under way is not stopped by the first signal: it is finished, and then the watch ends.
"""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from bluegreen.cli.monitor_terminal import Terminal
from bluegreen.handler import Context

STOPS = (signal.SIGINT, signal.SIGTERM)
BREATH = 0.05  # seconds that a pause lasts when it is begun after somebody asked to stop


class Vigil:
    """What a watch knows of time and of its end; implements `bluegreen.handler.Context`."""

    orphaned = False
    deadline: datetime | None = None

    def __init__(self, inner: Context, terminal: Terminal) -> None:
        self._inner = inner
        self._terminal = terminal
        self._asked = asyncio.Event()
        self.stopped: signal.Signals | None = None

    @property
    def cancelled(self) -> bool:
        """Somebody asked for the end."""
        return self.stopped is not None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, signals are heard here."""
        loop = asyncio.get_running_loop()
        for number in STOPS:
            loop.add_signal_handler(number, self._hear, number)
        loop.add_signal_handler(signal.SIGHUP, self._terminal.hang_up)
        try:
            yield
        finally:
            for number in (*STOPS, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def now(self) -> datetime:
        return self._inner.now()

    async def sleep(self, seconds: float) -> None:
        if self.cancelled:
            await asyncio.sleep(min(seconds, BREATH))
            return
        tasks = {asyncio.ensure_future(self._inner.sleep(seconds)), asyncio.ensure_future(self._asked.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def milestone(self, text: str) -> None:
        self._terminal.say(text)

    async def status(self, text: str) -> None:
        """The view has its own."""

    def _hear(self, number: signal.Signals) -> None:
        self.stopped = number
        self._asked.set()
        self._terminal.say("Stopping; once more ends it at once.")
        loop = asyncio.get_running_loop()
        for each in STOPS:
            loop.remove_signal_handler(each)


@dataclass(frozen=True, slots=True)
class Steady:
    """The same, for what is not to be stopped half-way."""

    inner: Context
    vigil: Vigil
    cancelled: bool = False
    orphaned: bool = False
    deadline: datetime | None = None

    def now(self) -> datetime:
        return self.inner.now()

    async def sleep(self, seconds: float) -> None:
        await self.inner.sleep(seconds)

    async def milestone(self, text: str) -> None:
        await self.vigil.milestone(text)

    async def status(self, text: str) -> None:
        """The view has its own."""
