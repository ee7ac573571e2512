"""The load: so many kept-alive connections, each asking again as soon as it has its answer.

`python -m benchmarks.flips.load URL CONNECTIONS` runs it as a process of its own, so that it takes no time from the
tool that is measured. Asked `{"expects": COLOUR}` it knows who may answer from now on (null: anybody); asked
`{"counts": true}` it tells all counts once every connection has had an answer to a request sent after the question, so
that whatever happened before is in them.

Closed loop on purpose: it finds the moment without a target that an open loop at a human rate would step over. Response
times are deliberately not measured, since a closed loop waits with the server (`sandbox/load.py` does that).
"""

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.child import questions, tell
from sandbox.load_wire import Connection, Failed, connect, resolve

PATIENCE = 10.0  # seconds for one answer
AGAIN = 0.005  # seconds before the next try where not even a connection came about


@dataclass(slots=True)
class Counts:
    """What became of the requests; `stale` had a whole answer, by a colour that was not to answer any more."""

    requests: int = 0
    failed: int = 0
    stale: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class ClosedLoop:
    """The connections and what they count."""

    def __init__(self, url: str, connections: int) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._ip = resolve(self._host, self._port)
        path = parts.path or "/"
        self._request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
        self._answered = [0] * connections
        self._progress = asyncio.Event()
        self.counts = Counts()
        self.expects: str | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["ClosedLoop"]:
        """Ask and ask until the block ends."""
        tasks = [asyncio.ensure_future(self._ask_and_ask(number)) for number in range(len(self._answered))]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def settled(self) -> Counts:
        """The counts, once every connection had an answer to a request sent after this call."""
        # The next answer may belong to a request that is under way now; the one after it does not.
        goals = [answered + 2 for answered in self._answered]
        while any(answered < goal for answered, goal in zip(self._answered, goals, strict=True)):
            self._progress.clear()
            await self._progress.wait()
        return self.counts

    async def _ask_and_ask(self, number: int) -> None:
        connection: Connection | None = None
        try:
            while True:
                connection = await self._ask(connection)
                self._answered[number] += 1
                self._progress.set()
        finally:
            if connection is not None:
                connection.abort()

    async def _ask(self, connection: Connection | None) -> Connection | None:
        """One request; the connection, if it can be used again."""
        expected = self.expects
        self.counts.requests += 1
        try:
            async with asyncio.timeout(PATIENCE):
                if connection is None or not connection.usable:
                    connection = await connect(self._ip, self._port)
                answer = await connection.send(self._request)
        except (Failed, TimeoutError) as problem:
            self._failed(problem.reason if isinstance(problem, Failed) else "timeout")
            if connection is not None:
                connection.abort()
            else:
                await asyncio.sleep(AGAIN)
            return None
        if answer.status != 200:
            self._failed(f"status {answer.status}")
        elif expected is not None and answer.headers.get("x-colour") != expected:
            self.counts.stale += 1
        if not answer.reusable:
            connection.abort()
            return None
        return connection

    def _failed(self, reason: str) -> None:
        self.counts.failed += 1
        self.counts.reasons[reason] += 1


async def serve(url: str, connections: int) -> None:
    async with ClosedLoop(url, connections).running() as load:
        tell(connections=connections)
        async for question in questions():
            if "expects" in question:
                load.expects = question["expects"]
                tell()
            else:
                counts = await load.settled()
                told = {"requests": counts.requests, "failed": counts.failed, "stale": counts.stale}
                tell(**told, reasons=dict(counts.reasons))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
