"""One client's connection to the gateway's proxy: bytes in, bytes out, and how it ends.

Deliberately not here: what the bytes mean (kong_request.py).
"""

import asyncio

from sandbox.faults import sever
from sandbox.kong_wire import PIECE


class ClientGone(ConnectionError):
    """The client closed before its request was whole."""


class Client:
    """One client's connection: what arrives on it, and what is sent back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        self.sent = 0  # bytes so far
        self.scheme = "http" if writer.get_extra_info("sslcontext") is None else "https"
        self.port = int((writer.get_extra_info("sockname") or ("", 0))[1])  # the gateway's, where it arrived
        self.address = str((writer.get_extra_info("peername") or ("127.0.0.1",))[0])

    async def send(self, data: bytes) -> None:
        if self._writer.is_closing():
            raise ClientGone
        self._writer.write(data)
        self.sent += len(data)
        if len(data) >= PIECE:
            await self._writer.drain()

    def sever(self) -> None:
        sever(self._writer.transport)
