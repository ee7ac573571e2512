"""The open-loop generator: requests leave when the schedule says so, whatever the answers do.

Each target's requests leave evenly spaced, alternately on a kept and on a new connection, and beside them slow requests
leave every `slow_every` seconds, so that they overlap. Nobody ever waits for an answer before sending the next request,
and time is counted from the scheduled moment: coordinated omission cannot happen. It deliberately has no warm-up, no
retry and no exclusion: every request that was due is in the ledger, with its status or with its failure.

A request on a kept connection that the server had closed *while idle* goes out on a new one, because no byte of it had
been sent. Once a byte has left, a closed connection is a failure, also where a browser would have asked again.
"""

import asyncio
import os
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from sandbox.load_records import Config, Ended, Kind, Ledger, Record, Target
from sandbox.load_wire import Answer, Connection, Failed, Pool, connect, resolve

AGENT = "sandbox-load"  # what the gateway counts the load's requests by
FLUSH_SECONDS = 0.1
DRAIN_SECONDS = 35.0  # longer than the longest timeout a config may ask for


def render(target: Target, path: str, keep: bool) -> bytes:
    """The bytes of one request, made once and sent often."""
    host, port = target.address
    headers = {
        "Host": target.host or f"{host}:{port}",
        "User-Agent": AGENT,
        "Accept": "*/*",
        "Connection": "keep-alive" if keep else "close",
        **target.headers,
    }
    body = target.body.encode()
    if target.method == "POST":
        headers["Content-Length"] = str(len(body))
    lines = [f"{target.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body if target.method == "POST" else b"")


class Stream:
    """One target made ready: its address, its pool, its rendered requests."""

    def __init__(self, target: Target, kept: int) -> None:
        host, port = target.address
        self.target = target
        self.ip, self.port = resolve(host, port), port
        self.pool = Pool(self.ip, port, kept)
        slow = target.slow_path or target.path
        self.requests: dict[Kind, bytes] = {
            "kept": render(target, target.path, keep=True),
            "new": render(target, target.path, keep=False),
            "slow": render(target.model_copy(update={"method": "GET"}), slow, keep=False),
        }


@dataclass(slots=True)
class Attempt:
    """A request on its way: when it was due and when its first byte left."""

    app: str
    kind: Kind
    due: float
    sent: float
    sent_mono: float

    def leaves(self) -> None:
        self.sent, self.sent_mono = time.time(), time.monotonic()

    def record(self, answer: Answer | None, failed: Failed | None) -> Record:
        now_mono, now = time.monotonic(), time.time()
        headers = answer.headers if answer else {}
        failure = failed.reason if failed else None
        detail = failed.detail if failed else None
        if answer and answer.status != 200:
            failure, detail = f"status {answer.status}", answer.body.decode("utf-8", "replace")
        return Record(
            app=self.app,
            kind=self.kind,
            scheduled=round(now - (now_mono - self.due), 6),
            sent=round(self.sent, 6),
            answered=round(now, 6),
            sent_mono=round(self.sent_mono, 6),
            answered_mono=round(now_mono, 6),
            ms=round((now_mono - self.due) * 1000, 3),
            status=answer.status if answer else None,
            failure=failure,
            detail=detail,
            colour=headers.get("x-colour"),
            release=headers.get("x-release"),
            pid=headers.get("x-pid"),
        )


class Generator:
    """Sends what the config asks for until it is stopped or a bound is reached, and records every request."""

    def __init__(self, config: Config, ledger: Ledger) -> None:
        self._config = config
        self._ledger = ledger
        self._streams = [Stream(target, config.kept_connections) for target in config.targets]
        self._in_flight: set[asyncio.Task[None]] = set()
        self._launched = 0
        self._stopped = asyncio.Event()
        self._ended: Ended = "asked"

    def stop(self, ended: Ended = "asked") -> None:
        if not self._stopped.is_set():
            self._ended = ended
            self._stopped.set()

    async def run(self) -> None:
        start = time.monotonic()
        clocks = [asyncio.create_task(work) for work in self._clocks(start)]
        bound = asyncio.get_running_loop().call_later(self._config.max_seconds, self.stop, "max_seconds")
        stopped = asyncio.create_task(self._stopped.wait())
        await asyncio.wait([stopped, *clocks], return_when=asyncio.FIRST_COMPLETED)  # a clock ends only by its error
        bound.cancel()
        for task in [stopped, *clocks[1:]]:
            task.cancel()
        await self._drain(0 if self._ended == "orphaned" else DRAIN_SECONDS)
        clocks[0].cancel()
        for stream in self._streams:
            stream.pool.close()
        totals = self._ledger.totals
        totals.ended, totals.seconds = self._ended, round(time.monotonic() - start, 3)
        totals.cpu_seconds = round(time.process_time(), 3)
        for outcome in await asyncio.gather(*clocks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    def _clocks(self, start: float) -> list[Coroutine[Any, Any, None]]:
        works = [self._flush()]  # first, because it goes on while the others have stopped
        for number, stream in enumerate(self._streams):
            rps = stream.target.rps
            if stream.target.slow_path:
                works.append(self._arrivals(stream, start, stream.target.slow_every, ("slow",)))
            works.append(self._arrivals(stream, start + number / (rps * len(self._streams)), 1 / rps, ("kept", "new")))
        return works

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self._ledger.flush()

    async def _arrivals(self, stream: Stream, first: float, spacing: float, kinds: tuple[Kind, ...]) -> None:
        number = 0
        while True:
            due = first + number * spacing
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            if self._launched >= self._config.max_requests:
                self.stop("max_requests")
            if self._stopped.is_set():
                return
            self._launched += 1
            task = asyncio.create_task(self._send(stream, kinds[number % len(kinds)], due))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)
            number += 1
            if wait <= 0 and number % 16 == 0:  # behind schedule: let answers in between
                await asyncio.sleep(0)

    async def _drain(self, seconds: float) -> None:
        """Wait for what is in flight; what is not answered by then is cut and recorded as timed out."""
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=seconds)
        for task in list(self._in_flight):
            task.cancel()
        if self._in_flight:
            await asyncio.wait(self._in_flight)

    async def _send(self, stream: Stream, kind: Kind, due: float) -> None:
        attempt = Attempt(stream.target.app, kind, due, time.time(), time.monotonic())
        self._ledger.totals.late_ms_max = max(
            self._ledger.totals.late_ms_max, round((attempt.sent_mono - due) * 1000, 3)
        )
        answer, failed = None, None
        try:
            async with asyncio.timeout_at(due + self._config.timeout_seconds):
                answer = await self._ask(stream, kind, attempt)
        except Failed as failure:
            failed = failure
        except TimeoutError:
            failed = Failed("timeout", f"no whole answer {self._config.timeout_seconds:g} s after it was due")
        except asyncio.CancelledError:
            failed = Failed("timeout", "still unanswered when the load had to end")
        self._ledger.add(attempt.record(answer, failed))

    async def _ask(self, stream: Stream, kind: Kind, attempt: Attempt) -> Answer:
        connection: Connection
        if kind == "kept":
            connection = await stream.pool.take()
        else:
            connection = await connect(stream.ip, stream.port)
        reusable = False
        try:
            attempt.leaves()
            answer = await connection.send(stream.requests[kind])
            reusable = answer.reusable
            return answer
        finally:
            if kind == "kept":
                stream.pool.give(connection, reusable)
            else:
                connection.abort()


async def orphaned(parent: int) -> None:
    """Returns when the process that started this one is gone."""
    while True:
        await asyncio.sleep(0.5)
        if os.getppid() != parent:
            return
