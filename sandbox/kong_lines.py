"""Connections to the applications: opened, used for one exchange at a time, kept for the next.

A kept connection that the other side has closed is never used; one that dies under a request is the caller's to judge
(`reused` says whether that may be the old age of the connection). Deliberately not here: verification of
certificates.
"""

import asyncio
import ssl
import time
from collections import deque
from dataclasses import dataclass
from functools import cache

from sandbox.kong_wire import HEAD_LIMIT

IDLE = 60.0  # seconds that a connection is kept (Kong: upstream_keepalive_idle_timeout)
KEPT = 512  # per address (Kong: upstream_keepalive_pool_size)


@dataclass(slots=True)
class Line:
    """One connection to one address."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    reused: bool = False
    since: float = 0.0

    @property
    def alive(self) -> bool:
        return not self.reader.at_eof() and not self.writer.is_closing() and self.reader.exception() is None

    def close(self) -> None:
        self.writer.transport.abort()


@cache
def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Lines:
    """The kept connections of the gateway."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str, int], deque[Line]] = {}

    def take(self, worker: int, ip: str, port: int) -> Line | None:
        """A kept connection that still stands, if there is one."""
        kept = self._kept.get((worker, ip, port))
        while kept:
            line = kept.pop()
            if line.alive and time.monotonic() - line.since < IDLE:
                line.reused = True
                return line
            line.close()
        return None

    async def open(self, ip: str, port: int, seconds: float, tls: str | None = None) -> Line:
        """A new connection; `tls` is the host name to ask for, unverified as in Kong's defaults."""
        context = unverified() if tls else None
        async with asyncio.timeout(seconds):
            opened = await asyncio.open_connection(ip, port, limit=HEAD_LIMIT, ssl=context, server_hostname=tls)
        return Line(*opened)

    def keep(self, worker: int, ip: str, port: int, line: Line) -> None:
        """Hand a connection back after a whole exchange."""
        kept = self._kept.setdefault((worker, ip, port), deque())
        if not line.alive or len(kept) >= KEPT:
            line.close()
            return
        line.since = time.monotonic()
        kept.append(line)

    def drop(self, worker: int) -> None:
        """Close what this worker had kept, as its end does."""
        for address in [address for address in self._kept if address[0] == worker]:
            for line in self._kept.pop(address):
                line.close()

    def sweep(self) -> None:
        """Let go of connections that are dead or too old, wherever they lead."""
        for address, kept in list(self._kept.items()):
            standing = deque(line for line in kept if line.alive and time.monotonic() - line.since < IDLE)
            for line in kept:
                if line not in standing:
                    line.close()
            self._kept[address] = standing
            if not standing:
                del self._kept[address]

    def close(self) -> None:
        for kept in self._kept.values():
            for line in kept:
                line.close()
        self._kept.clear()
