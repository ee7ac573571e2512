"""A line to a server that writes down every write in the order in which it was sent, and carries all of it faithfully.

One connection in is one connection out, because who answers may depend on the connection.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Write:
    """One request that may have changed something."""

    method: str
    path: str
    body: dict[str, Any]


@dataclass
class Tap:
    """Where it listens, and what went through."""

    url: str
    writes: list[Write] = field(default_factory=list)


@contextmanager
def tapped(url: str) -> Iterator[Tap]:
    """An address that leads to this one, for as long as the block."""
    there = (str(urlsplit(url).hostname), int(urlsplit(url).port or 80))
    carrying: list[tuple[threading.Thread, socket.socket, socket.socket]] = []
    with socket.create_server(("127.0.0.1", 0)) as door:
        tap = Tap(f"http://127.0.0.1:{door.getsockname()[1]}")

        def welcome() -> None:
            while True:
                try:
                    here, _ = door.accept()
                except OSError:
                    return
                beyond = socket.create_connection(there)
                for end in (here, beyond):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for start, arguments in ((_carry, (here, beyond, _Reader(tap))), (_carry, (beyond, here, None))):
                    thread = threading.Thread(target=start, args=arguments)
                    thread.start()
                    carrying.append((thread, here, beyond))

        welcoming = threading.Thread(target=welcome)
        welcoming.start()
        try:
            yield tap
        finally:
            door.shutdown(socket.SHUT_RDWR)
            welcoming.join()
            for _, here, beyond in carrying:
                for end in (here, beyond):
                    with suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
            for thread, here, beyond in carrying:
                thread.join()
                here.close()
                beyond.close()


class _Reader:
    """Requests as they come along one connection, each whole."""

    def __init__(self, tap: Tap) -> None:
        self._tap, self._held = tap, b""

    def read(self, data: bytes) -> None:
        self._held += data
        while b"\r\n\r\n" in self._held:
            head, _, rest = self._held.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            named = dict(line.lower().split(": ", 1) for line in lines)
            length = int(named.get("content-length", 0))
            if len(rest) < length:
                return
            method, path, _ = first.split(" ")
            if method not in SAFE:
                self._tap.writes.append(Write(method, path, json.loads(rest[:length] or b"{}")))
            self._held = rest[length:]


def _carry(here: socket.socket, there: socket.socket, reader: _Reader | None) -> None:
    with suppress(OSError):
        while data := here.recv(1 << 20):
            if reader is not None:
                reader.read(data)
            there.sendall(data)
    with suppress(OSError):
        there.shutdown(socket.SHUT_WR)
