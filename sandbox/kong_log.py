"""The http-log plugin's way out: queues of records, sent in batches behind the requests' backs.

As Kong 3.9 does it (tools/queue.lua, plugins/http-log/handler.lua): a queue per worker and log server, shared by all
instances with the same server, with the parameters of whoever opened it; a batch leaves when `max_batch_size` records
wait or `max_coalescing_delay` has passed since the first; a server that does not answer below 300 is asked again after
`initial_retry_delay`, doubled every time up to `max_retry_delay`, and after `max_retry_time` the batch is dropped;
beyond `max_entries` (or `max_bytes`) the oldest waiting records go. `max_batch_size: 1` sends one object, anything
else a list, even of one. Kong sends to the endpoint's path and leaves its query out; so does this.

Nothing here can slow or fail a request. What waits when a gateway or node ends is lost. Deliberately not here:
`custom_fields_by_lua`, and the deprecated `queue_size`, `flush_timeout` and `retry_count`.
"""

import asyncio
import base64
import json
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from sandbox.kong_lines import Line, Lines
from sandbox.kong_resolver import Resolver
from sandbox.kong_wire import BadMessage, Framing, Header, head_bytes, pieces, read_head

SHORTEST_WAIT = 0.05  # a rest of the coalescing delay that Kong does not wait for
Config = dict[str, Any]
Spawn = Callable[[Coroutine[object, object, None]], object]
log = logging.getLogger("kong.http-log")


class Unsent(Exception):
    """The log server did not take a batch."""


class Logs:
    """One worker's queues."""

    def __init__(self, resolver: Callable[[], Resolver], spawn: Spawn) -> None:
        self._resolver = resolver
        self._spawn = spawn
        self._queues: dict[tuple[Any, ...], Queue] = {}
        self._ended = False

    def add(self, config: Config, record: Config) -> None:
        """Have this record sent, some time."""
        if self._ended:
            return
        name = tuple(config.get(part) for part in ("http_endpoint", "method", "content_type", "timeout", "keepalive"))
        if name not in self._queues:
            self._queues[name] = Queue(config["queue"], Server(self._resolver, config))
        queue = self._queues[name]
        queue.server.config = config
        work = queue.add(json.dumps(record, separators=(",", ":")))
        if work is not None:
            self._spawn(work)

    def end(self) -> None:
        """Send nothing any more."""
        self._ended = True
        for queue in self._queues.values():
            queue.end()


class Server:
    """One log server, and the connection that is kept to it."""

    def __init__(self, resolver: Callable[[], Resolver], config: Config) -> None:
        self.config = config
        self._resolver = resolver
        self._line: Line | None = None
        self._closed = False

    async def send(self, records: Sequence[str], one: bool) -> None:
        """Hand these records over, or raise Unsent."""
        payload = (records[0] if one else f"[{','.join(records)}]").encode()
        try:
            async with asyncio.timeout(self.config["timeout"] / 1000):
                status = await self._asked(payload)
        except (OSError, ValueError, BadMessage, asyncio.IncompleteReadError) as error:
            raise Unsent(str(error) or type(error).__name__) from None
        if status >= 300:
            raise Unsent(f"it answered {status}")

    async def _asked(self, payload: bytes) -> int:
        url = urlsplit(self.config["http_endpoint"])
        line, self._line = self._line, None
        if line is None or not line.alive:
            line = await self._connected(url)
        try:
            line.writer.write(self._head(url, len(payload)) + payload)
            head = await read_head(line.reader)
            if head is None:
                raise ConnectionResetError("closed without an answer")
            bodiless = head.first[1] in ("204", "304")
            framing = Framing("length") if bodiless else head.framing(otherwise=Framing("until close"))
            async for _ in pieces(line.reader, framing):
                pass
        except BaseException:
            line.close()
            raise
        ends = framing.kind == "until close" or head.lower.get("connection", "").lower() == "close"
        if ends or self._closed or self._line:
            line.close()
        else:
            self._line = line
        return int(head.first[1])

    async def _connected(self, url: SplitResult) -> Line:
        host = url.hostname or ""
        ips = await self._resolver().resolve(host)
        if not ips:
            raise ConnectionError(f"{host} has no address")
        tls = host if url.scheme == "https" else None
        port = url.port or (443 if tls else 80)
        return await Lines().open(ips[0], port, self.config["timeout"] / 1000, tls)

    def _head(self, url: SplitResult, length: int) -> bytes:
        headers: list[Header] = [("Host", url.netloc.rpartition("@")[2]), ("Content-Length", str(length))]
        headers.append(("Content-Type", self.config["content_type"]))
        if url.username is not None:
            login = base64.b64encode(url.netloc.rpartition("@")[0].encode()).decode()
            headers.append(("Authorization", f"Basic {login}"))
        own = {name.lower() for name, _ in headers}
        given = (self.config["headers"] or {}).items()
        headers += [(name, value) for name, value in given if name.lower() not in own | {"host"}]
        return head_bytes(f"{self.config['method']} {url.path or '/'} HTTP/1.1", headers)

    def close(self) -> None:
        self._closed = True
        if self._line is not None:
            self._line.close()
            self._line = None


class Queue:
    """Records that wait for one log server."""

    def __init__(self, parameters: Config, server: Server) -> None:
        self.server = server
        self._parameters = parameters
        self._waiting: deque[str] = deque()
        self._bytes = 0
        self._more = asyncio.Event()
        self._working = False
        self._ended = False

    def add(self, entry: str) -> Coroutine[object, object, None] | None:
        """Take a record; the work to start, if none goes on that will send it."""
        if self._parameters["concurrency_limit"] == -1:
            return self._deliver([entry])
        if not self._make_room(len(entry)):
            return None
        self._waiting.append(entry)
        self._bytes += len(entry)
        self._more.set()
        if self._working:
            return None
        self._working = True
        return self._work()

    def end(self) -> None:
        self._ended = True
        self._waiting.clear()
        self._more.set()
        self.server.close()

    def _make_room(self, size: int) -> bool:
        """Drop the oldest where there is no room; False when there never will be."""
        most, bytes = self._parameters["max_entries"], self._parameters["max_bytes"]
        if bytes is not None and size > bytes:
            log.error("a record of %d bytes is larger than the whole queue of %d bytes", size, bytes)
            return False
        while len(self._waiting) >= most or (bytes is not None and self._waiting and self._bytes + size > bytes):
            self._bytes -= len(self._waiting.popleft())
        return True

    async def _work(self) -> None:
        """Send until nothing waits."""
        try:
            while self._waiting:
                await self._coalesce()
                count = min(len(self._waiting), self._parameters["max_batch_size"])
                batch = [self._waiting.popleft() for _ in range(count)]
                self._bytes -= sum(map(len, batch))
                await self._deliver(batch)
        finally:
            self._working = False

    async def _coalesce(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._parameters["max_coalescing_delay"]
        while len(self._waiting) < self._parameters["max_batch_size"] and not self._ended:
            rest = until - loop.time()
            if rest < SHORTEST_WAIT:
                return
            self._more.clear()
            try:
                async with asyncio.timeout(rest):
                    await self._more.wait()
            except TimeoutError:
                return

    async def _deliver(self, batch: Sequence[str]) -> None:
        """Send one batch, again and again while it is worth trying."""
        loop, parameters = asyncio.get_running_loop(), self._parameters
        began, tried = loop.time(), 0
        while batch and not self._ended:
            try:
                await self.server.send(batch, one=parameters["max_batch_size"] == 1)
                return
            except Unsent as error:
                if loop.time() - began > parameters["max_retry_time"]:
                    log.error("gave up after %d retries, %d records were lost: %s", tried, len(batch), error)
                    return
            await asyncio.sleep(min(parameters["max_retry_delay"], 2**tried * parameters["initial_retry_delay"]))
            tried += 1
