"""What a handler sees of the engine: its row in `pulumi up`, the clock, and whether to stop.

A handler is never held up and never disturbed by its audience. What it says is put in a queue and sent in order from
there; an engine that is slow or gone costs nothing. Nothing here decides what a cancelled handler should do.
"""

import asyncio
from collections import deque
from datetime import UTC, datetime, timedelta

import grpc

from bluegreen.provider.protos import engine_pb2, engine_pb2_grpc
from bluegreen.provider.redaction import Redactor

SENDING = 5.0  # seconds after which one log call is given up
BREATH = 0.05  # seconds that a pause lasts when it is begun after cancelling: a loop that polls must not spin


class Signals:
    """Whether somebody asked to stop, and whether the engine is gone."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.orphaned = False


class Journal:
    """The way to the engine's log: in order, without secrets, never waited for, never failing."""

    def __init__(self, redact: Redactor) -> None:
        self._redact = redact
        self._waiting: deque[engine_pb2.LogRequest] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._channel: grpc.aio.Channel | None = None
        self._engine: engine_pb2_grpc.EngineAsyncStub | None = None

    async def connect(self, address: str) -> None:
        """Speak to the engine at this address from now on."""
        await self.close()
        self._channel = grpc.aio.insecure_channel(address)
        self._engine = engine_pb2_grpc.EngineStub(self._channel)  # type: ignore[assignment]  # the stub fits both

    async def close(self) -> None:
        """Send what can still be sent, then hang up."""
        await self.drain()
        if self._channel is not None:
            await self._channel.close(grace=None)
            self._channel = self._engine = None

    def say(self, text: str, *, urn: str, ephemeral: bool = False) -> None:
        """Queue one message; an ephemeral one replaces an ephemeral one that has not been sent yet."""
        request = engine_pb2.LogRequest(
            severity=engine_pb2.INFO, message=self._redact(text), urn=urn, ephemeral=ephemeral
        )
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last.ephemeral and ephemeral and last.urn == urn:
            self._waiting[-1] = request
        else:
            self._waiting.append(request)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())

    async def drain(self) -> None:
        """Return once everything was sent, or after a while."""
        if self._sender is not None and not self._sender.done():
            await asyncio.wait({self._sender}, timeout=SENDING)

    async def _send(self) -> None:
        while self._waiting:
            request = self._waiting.popleft()
            if self._engine is None:
                continue
            try:
                await self._engine.Log(request, timeout=SENDING)
            except grpc.aio.AioRpcError:
                continue  # the engine is gone or does not listen: no reason to disturb anybody


class Row:
    """One resource operation as its handler sees it; implements `bluegreen.handler.Context`."""

    def __init__(self, urn: str, seconds: float, signals: Signals, journal: Journal) -> None:
        self._urn = urn
        self._signals = signals
        self._journal = journal
        self._deadline = self.now() + timedelta(seconds=seconds) if seconds > 0 else None

    @property
    def cancelled(self) -> bool:
        return self._signals.cancelled.is_set()

    @property
    def orphaned(self) -> bool:
        return self._signals.orphaned

    @property
    def deadline(self) -> datetime | None:
        return self._deadline

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        if self.cancelled:
            await asyncio.sleep(min(seconds, BREATH))
            return
        try:
            async with asyncio.timeout(seconds):
                await self._signals.cancelled.wait()
        except TimeoutError:
            return

    async def milestone(self, text: str) -> None:
        self._journal.say(text, urn=self._urn)

    async def status(self, text: str) -> None:
        self._journal.say(text, urn=self._urn, ephemeral=True)
