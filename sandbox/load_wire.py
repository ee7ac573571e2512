"""One HTTP/1.1 request on one socket: the load generator's own client.

Plain asyncio protocols instead of an HTTP library, for control and for speed. A library's pool retries a request whose
kept connection died, and counts one answer where the network gave none; here no byte is ever sent twice. It also costs
a tenth of the processor time, and the machine's cores belong to the gateway and the apps under test.

It deliberately does not: retry, follow redirects, decompress, speak TLS or HTTP/2, or read an answer's meaning.

What may go wrong has five names: `connect` (no connection), `reset` (closed before the answer's head was whole),
`short body` (closed before the promised end), `bad answer` (not HTTP/1.1), `timeout` (given by the caller's clock).
"""

import asyncio
import socket
from collections import deque
from collections.abc import Mapping
from typing import cast

LONGEST_HEAD = 65_536  # bytes; a head that does not end is no HTTP
KEPT_OF_BODY = 200  # bytes of a body that are worth keeping for a failure's detail


class Failed(Exception):
    """A request without a whole answer, told by one of the five names."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Answer:
    """One answer, read piece by piece; `whole` once its promised end has arrived."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = b""  # its beginning only
        self.whole = False
        self.reusable = False
        self._buffer = bytearray()
        self._left: int | None = None  # bytes until the body or the chunk ends; None: until the connection closes
        self._chunked = False
        self._trailer = False

    def feed(self, data: bytes) -> None:
        """Take what arrived; raises `Failed` when it cannot be HTTP/1.1."""
        self._buffer += data
        if not self.status and not self._read_head():
            return
        if self._chunked:
            self._read_chunks()
        else:
            self._read_body()
        if self.whole and self._buffer:
            raise Failed("bad answer", f"{len(self._buffer)} bytes after the answer's end")

    def end(self) -> None:
        """The connection closed: right only for a body that promised no length."""
        if not self.status:
            raise Failed("reset", "closed before the answer's head")
        if self._chunked or self._left is not None:
            raise Failed("short body", f"closed with {self._left or 'some'} bytes missing")
        self.whole = True

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > LONGEST_HEAD:
                raise Failed("bad answer", "a head without an end")
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, _, rest = lines[0].partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise Failed("bad answer", lines[0][:80])
        if rest[0] == "1":  # an interim answer; the real one follows
            return self._read_head()
        self.status = int(rest[:3])
        pairs = (line.partition(":") for line in lines[1:])
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self._frame(version)
        return True

    def _frame(self, version: str) -> None:
        connection = self.headers.get("connection", "").lower()
        self.reusable = connection != "close" and (version == "HTTP/1.1" or connection == "keep-alive")
        length = self.headers.get("content-length")
        if self.status in (204, 304):
            self._left = 0
        elif "chunked" in self.headers.get("transfer-encoding", "").lower():
            self._chunked = True
        elif length is None:
            self.reusable = False
        elif length.isdigit():
            self._left = int(length)
        else:
            raise Failed("bad answer", f"content-length {length[:40]}")

    def _keep(self, data: bytes | bytearray) -> None:
        if len(self.body) < KEPT_OF_BODY:
            self.body += data[: KEPT_OF_BODY - len(self.body)]

    def _read_body(self) -> None:
        take = len(self._buffer) if self._left is None else min(self._left, len(self._buffer))
        self._keep(self._buffer[:take])
        del self._buffer[:take]
        if self._left is not None:
            self._left -= take
            self.whole = self._left == 0

    def _read_chunks(self) -> None:
        while not self.whole:
            if self._left:  # inside a chunk; the two bytes that close it are part of `_left`
                take = min(self._left, len(self._buffer))
                self._keep(self._buffer[: max(0, min(take, self._left - 2))])
                del self._buffer[:take]
                self._left -= take
                if self._left:
                    return
                self._left = None
            line, found, _ = self._buffer.partition(b"\r\n")
            if not found:
                return
            del self._buffer[: len(line) + 2]
            if self._trailer:
                self.whole = not line
                continue
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                raise Failed("bad answer", "a chunk without a size") from None
            self._trailer = size == 0
            self._left = size + 2 if size else None


class Connection(asyncio.Protocol):
    """One socket, one request at a time; it notices at once when the server closes it while idle."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._waiter: asyncio.Future[Answer] | None = None

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def send(self, request: bytes) -> "asyncio.Future[Answer]":
        """Write the request now; the future brings its answer or a `Failed`."""
        assert self._transport is not None
        self._answer = Answer()
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:  # bytes nobody asked for: this connection cannot be trusted any more
            self.abort()
            return
        try:
            self._answer.feed(data)
        except Failed as failed:
            self.abort()
            self._settle(failed)
            return
        if self._answer.whole:
            self._settle(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is None:
            return
        try:
            if exc is not None and not self._answer.status:
                raise Failed("reset", str(exc))
            if exc is not None:
                raise Failed("short body", str(exc))
            self._answer.end()
        except Failed as failed:
            self._settle(failed)
        else:
            self._settle(None)

    def _settle(self, failed: Failed | None) -> None:
        answer, waiter = self._answer, self._waiter
        self._answer = self._waiter = None
        if answer is None or waiter is None or waiter.done():
            return
        if failed is not None:
            waiter.set_exception(failed)
        else:
            waiter.set_result(answer)


async def connect(ip: str, port: int) -> Connection:
    """A new connection, or `Failed("connect")`."""
    try:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, ip, port)
    except TimeoutError:
        raise
    except OSError as error:
        raise Failed("connect", error.strerror or str(error)) from error
    return connection


class Pool:
    """Kept-alive connections as a browser or an SDK holds them: at least `size`, more when all are busy.

    The longest idle one is taken first, so that every connection, and with it every gateway worker, stays in use.
    """

    def __init__(self, ip: str, port: int, size: int) -> None:
        self._ip = ip
        self._port = port
        self._size = size
        self._idle: deque[Connection] = deque()
        self._busy = 0

    async def take(self) -> Connection:
        self._busy += 1
        while self._idle and self._busy + len(self._idle) > self._size:
            connection = self._idle.popleft()
            if connection.usable:  # otherwise it was closed while idle: no byte was sent, so nothing is lost
                return connection
        try:
            return await connect(self._ip, self._port)
        except BaseException:
            self._busy -= 1
            raise

    def give(self, connection: Connection, reusable: bool) -> None:
        self._busy -= 1
        if reusable and connection.usable:
            self._idle.append(connection)
        else:
            connection.abort()

    def close(self) -> None:
        while self._idle:
            self._idle.popleft().abort()


def resolve(host: str, port: int) -> str:
    """The address behind a name, asked once before the load, so that no request waits for a resolver."""
    found = socket.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
    return str(found[0][4][0])
