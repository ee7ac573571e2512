"""How events are told: at once for whoever tells, in order and in their own time for whoever hears.

A release does not depend on its audience. `tell` only puts an event into a queue; each audience has its own, so that
one that hangs holds up no other. What does not arrive is counted and told once, at the end, without an address. It
deliberately keeps nothing on disk and knows no delivery twice: after a timeout an event may arrive a second time.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence

from bluegreen.event import Event
from bluegreen.http import ApiError, Untrusted
from bluegreen.notify.audience import PATIENCE, Audience

WAITING = 64  # events that one audience may lag behind
FAREWELL = 5.0  # seconds for what is left at the end


class Line:
    """What waits for one audience, in order, and the task that sends it while there is something to send."""

    def __init__(self, audience: Audience, patience: float) -> None:
        self._told = 0
        self._missed: Counter[str] = Counter()  # by the reason
        self._audience = audience
        self._patience = patience
        self._waiting: deque[Event] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, event: Event) -> None:
        self._told += 1
        if len(self._waiting) >= WAITING:
            self._missed[f"{self._audience.client.name} was {WAITING} events behind"] += 1
            return
        self._waiting.append(event)
        self.wake()

    def wake(self) -> asyncio.Task[None] | None:
        """The task at work, if there is anything to do and a loop to do it in."""
        if self._waiting and (self._task is None or self._task.done()):
            try:
                self._task = asyncio.get_running_loop().create_task(self._send())
            except RuntimeError:  # told where nothing runs yet: it waits for the next event, or for the end
                return None
        return self._task

    async def stop(self) -> None:
        """No more is sent; whatever still waits did not arrive."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if self._waiting:
            self._missed[f"{self._audience.client.name} did not take them in time"] += len(self._waiting)
            self._waiting.clear()

    def account(self) -> tuple[int, Counter[str]]:
        """How many events there were since the last account, and why some did not arrive."""
        told, missed = self._told, self._missed
        self._told, self._missed = 0, Counter()
        return told, missed

    async def _send(self) -> None:
        while self._waiting:
            why = await self._deliver(self._waiting[0])
            self._waiting.popleft()  # only now: what is cut off half-way is still waiting
            if why:
                self._missed[why] += 1

    async def _deliver(self, event: Event) -> str:
        """Tried twice at most. Why it did not arrive; nothing when it did."""
        why, again = await self._post(event)
        if again:
            why, _ = await self._post(event)
        return why

    async def _post(self, event: Event) -> tuple[str, bool]:
        """Why it did not arrive, and whether a second try may go better."""
        client = self._audience.client
        try:
            async with asyncio.timeout(self._patience):
                body = self._audience.body(event)
                answer = await client.probe(self._audience.path, method="POST", body=body)
        except TimeoutError:
            return f"{client.name} did not answer within {self._patience:g} s", True
        except ApiError as problem:
            return client.redact(problem.what).rstrip("."), not isinstance(problem, Untrusted)
        except Exception as problem:  # an event that cannot be spelled out is no reason to end a release
            return f"{client.name} was not asked: {type(problem).__name__} in the event", False
        if 200 <= answer.status < 300:
            return "", False
        return f"{client.name} answered {answer.status}", answer.status >= 500


class Notifier:
    """Tells every audience of every event, and at the end tells one person what did not arrive.

    Args:
        audiences: none at all is fine: then nobody is told.
        complain: is called by `close`, once, when something did not arrive.
        patience: seconds for one request.
        farewell: seconds for what is left at the end.
    """

    def __init__(
        self,
        audiences: Sequence[Audience],
        *,
        complain: Callable[[str], None],
        patience: float = PATIENCE,
        farewell: float = FAREWELL,
    ) -> None:
        self._audiences = tuple(audiences)
        self._lines = [Line(audience, patience) for audience in audiences]
        self._complain = complain
        self._farewell = farewell

    def tell(self, event: Event) -> None:
        """Never waits, never raises."""
        for line in self._lines:
            line.put(event)

    async def settle(self) -> str:
        """Send what is left while there is time; what did not arrive since the last time, in one sentence, or nothing.

        For whoever is about to be ended from outside, as a plugin is: more can be told afterwards.
        """
        try:
            tasks = [task for line in self._lines if (task := line.wake())]
            if tasks:
                await asyncio.wait(tasks, timeout=self._farewell)
        finally:
            for line in self._lines:
                await line.stop()
        accounts = [line.account() for line in self._lines]
        return _complaint(sum(told for told, _ in accounts), sum((missed for _, missed in accounts), Counter[str]()))

    async def close(self) -> None:
        """Settle, complain if there is something to complain about, end every connection."""
        try:
            complaint = await self.settle()
        finally:
            for audience in self._audiences:
                await audience.client.close()
        if complaint:
            self._complain(complaint)


def _complaint(told: int, missed: Counter[str]) -> str:
    if not missed:
        return ""
    reasons = "; ".join(f"{_within(why)} ({count})" for why, count in missed.items())
    plural = "" if told == 1 else "s"
    return f"{missed.total()} of {told} notification{plural} did not arrive: {reasons}."


def _within(sentence: str) -> str:
    """A sentence as part of another: its article is small."""
    return sentence[0].lower() + sentence[1:] if sentence.startswith("The ") else sentence
