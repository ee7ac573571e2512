"""Requests of our own to every colour of one app, at a steady rate whatever comes back.

Open loop: request k is due at `start + k / rps`, so a slow answer delays no other request and is not hidden by those
that were never sent. All colours get the same question at the same moment. Every other round goes over new connections,
the rest over kept ones, because users come both ways. An error is no answer in time, a 5xx, another status than the
question's, or another release than the wanted one.

At most 64 requests of a colour are under way; one that is due beyond that counts as an error. Only a standstill of this
very process (a laptop that slept) is nobody's error: the schedule then moves on by as much for every colour alike, and
what was not asked is not counted. It deliberately retries nothing and decides nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Self

from bluegreen.analysis import Question, Sample, Seen, Subject
from bluegreen.handler import Context, Halt
from bluegreen.http import Answer, Client, Untrusted
from bluegreen.measure.tally import Tally
from bluegreen.spec import Colour

UNDER_WAY = 64  # requests of one colour
PATIENCE = 5.0  # seconds for one whole answer
STANDSTILL = timedelta(seconds=1)  # this much late is our own doing
SETTLING = 0.25  # seconds that a look waits for what is under way
KEPT = 20_000  # requests of one app between two looks, for whoever wants each of them


@dataclass(slots=True)
class _Side:
    """One colour under probes."""

    colour: Colour
    tally: Tally = field(default_factory=Tally)
    idle: list[Any] = field(default_factory=list)  # kept connections that nobody uses at the moment
    under_way: set[asyncio.Task[None]] = field(default_factory=set)


class Stream:
    """The probes of one app; an async context manager, they run inside it.

    Args:
        gateway: opens a client of the proxy, which the stream closes.
        patience: seconds for one whole answer.
    """

    def __init__(
        self, subject: Subject, rps: float, gateway: Callable[[], Client], ctx: Context, *, patience: float = PATIENCE
    ) -> None:
        self._subject = subject
        self._rps = rps
        self._gateway = gateway
        self._ctx = ctx
        self._patience = patience
        self._sides = {colour: _Side(colour) for colour in subject.colours}
        self._kept = AsyncExitStack()
        self._pacer: asyncio.Task[None] | None = None
        self._obstacle = ""
        self._each: deque[tuple[datetime, Colour, float | None, str]] = deque(maxlen=KEPT)
        self._since = ctx.now()
        self._dropped = 0

    async def __aenter__(self) -> Self:
        if not self._subject.questions:
            self._obstacle = f"{self._subject.app} cannot be probed: it has neither a check by GET nor a health check."
            return self
        try:
            gateway = await self._kept.enter_async_context(self._gateway())
        except Halt as halt:
            self._obstacle = halt.what
        else:
            self._pacer = asyncio.create_task(self._pace(gateway))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pacer is not None:
            self._pacer.cancel()
            await asyncio.gather(self._pacer, return_exceptions=True)  # from here on nothing more is sent
        asking = self._asking()
        try:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        finally:
            await self._kept.aclose()

    async def settle(self) -> None:
        """Give what is under way a moment to come back, so that the last look misses nothing of a healthy release."""
        under_way = self._asking()
        if under_way:
            await asyncio.wait(under_way, timeout=SETTLING)

    def seen(self, colour: Colour) -> Seen:
        """Everything that came back from this colour so far."""
        return Seen(error=self._obstacle) if self._obstacle else self._sides[colour].tally.seen()

    def told(self, colour: Colour) -> str:
        """What was wrong with this colour's answers, in one phrase."""
        return self._sides[colour].tally.told()

    def samples(self) -> Sequence[Sample]:
        """Each request that has ended since this was last asked, the oldest first."""
        since, each = self._since, [*self._each]
        self._since = self._ctx.now()
        self._each.clear()
        return [(round((began - since).total_seconds(), 4), colour, ms, fault) for began, colour, ms, fault in each]

    def dropped(self) -> int:
        """How many of them were too many to be kept."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def _asking(self) -> list[asyncio.Task[None]]:
        return [task for side in self._sides.values() for task in side.under_way]

    async def _pace(self, gateway: Client) -> None:
        start, gap = self._ctx.now(), timedelta(seconds=1 / self._rps)
        for turn in count():
            due = start + turn * gap
            early = (due - self._ctx.now()).total_seconds()
            if early > 0:
                await self._ctx.sleep(early)
            await asyncio.sleep(0)  # however late we are: what came back is counted before more is sent
            if self._ctx.cancelled:
                return
            late = self._ctx.now() - due
            if late > STANDSTILL:
                start += late
            for side in self._sides.values():
                self._send(gateway, side, turn)

    def _send(self, gateway: Client, side: _Side, turn: int) -> None:
        if len(side.under_way) >= UNDER_WAY:
            self._count(side, self._ctx.now(), None, f"not sent in time ({UNDER_WAY} were under way)")
            return
        rounds, position = divmod(turn, len(self._subject.questions))
        asking = self._ask(gateway, side, self._subject.questions[position], kept=rounds % 2 == 1)
        task = asyncio.create_task(asking)
        side.under_way.add(task)
        task.add_done_callback(side.under_way.discard)

    async def _ask(self, gateway: Client, side: _Side, question: Question, *, kept: bool) -> None:
        """Exactly one entry in the tally, whatever happens."""
        began = self._ctx.now()
        try:
            async with asyncio.timeout(self._patience), AsyncExitStack() as line:
                client = side.idle.pop() if kept and side.idle else None
                if client is None:
                    # A kept connection outlives this request; a new one ends with it.
                    client = await (self._kept if kept else line).enter_async_context(gateway.fresh())
                if kept:
                    line.callback(side.idle.append, client)
                began = self._ctx.now()
                answer = await gateway.probe(question.path, headers=self._headers(side, question), client=client)
                took = self._ctx.now() - began
        except TimeoutError:
            self._count(side, began, None, f"no answer within {self._patience:g} s")
        except Untrusted as halt:
            self._obstacle = halt.what  # says nothing about any release, and will be so at every request
        except Exception as problem:  # an error of any kind is a request that went wrong, and must not get lost
            fault = "no answer" if isinstance(problem, Halt) else f"no answer ({type(problem).__name__})"
            self._count(side, began, None, fault)
        else:
            milliseconds = max(0.0, took / timedelta(milliseconds=1))
            self._count(side, began, milliseconds, self._fault(side.colour, question, answer))

    def _count(self, side: _Side, began: datetime, milliseconds: float | None, fault: str) -> None:
        if milliseconds is None:
            side.tally.missed(fault)
        else:
            side.tally.answered(milliseconds, fault)
        self._dropped += len(self._each) == KEPT  # the oldest one goes
        self._each.append((began, side.colour, None if milliseconds is None else round(milliseconds, 3), fault))

    def _headers(self, side: _Side, question: Question) -> dict[str, str]:
        host = {"Host": question.host} if question.host else {}
        return {**host, **self._subject.headers.get(side.colour, {})}

    def _fault(self, colour: Colour, question: Question, answer: Answer) -> str:
        """What is wrong with an answer; empty when nothing is. A release that is not known is not compared."""
        if answer.status >= 500 or answer.status != question.status:
            return f"answered {answer.status}"
        wanted = self._subject.releases.get(colour)
        release = answer.headers.get(self._subject.release_header.lower())
        if wanted is None or release == wanted:
            return ""
        return f"answered by release {release}" if release else f"without the header {self._subject.release_header}"
