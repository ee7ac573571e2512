"""HTTP/1.1 on the wire, for the gateway's both sides: heads, body framing, and bytes passed on as they come.

Bodies are never decoded: a chunked body is relayed with its chunk lines, so the gateway only has to know where it ends.
Deliberately not here: HTTP/2, upgrades, and content codings.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

HEAD_LIMIT = 64 * 1024
PIECE = 64 * 1024
Header = tuple[str, str]
LENGTH, CHUNKED, UNTIL_CLOSE = "length", "chunked", "until close"
REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 413: "Payload Too Large",
    426: "Upgrade Required", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip


class BadMessage(Exception):
    """Bytes that are no HTTP/1.1 message."""


@dataclass(frozen=True, slots=True)
class Framing:
    """Where a body ends."""

    kind: str
    length: int = 0

    @property
    def empty(self) -> bool:
        return self.kind == LENGTH and self.length == 0


NO_BODY = Framing(LENGTH)


@dataclass(slots=True)
class Head:
    """A message's first line and headers."""

    first: tuple[str, str, str]
    headers: list[Header]
    lower: dict[str, str]  # by lower-case name; repeated ones joined
    size: int = 0  # bytes on the wire

    def framing(self, otherwise: Framing = NO_BODY) -> Framing:
        coding = self.lower.get("transfer-encoding")
        if coding is not None:
            return Framing(CHUNKED) if "chunked" in coding.lower() else Framing(UNTIL_CLOSE)
        length = self.lower.get("content-length")
        if length is None:
            return otherwise
        if not length.isdigit():
            raise BadMessage(f"Content-Length: {length}")
        return Framing(LENGTH, int(length))


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next head, None when the other side has closed in good order."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise ConnectionResetError("closed inside a head") from None
        return None
    except asyncio.LimitOverrunError:
        raise BadMessage("head too large") from None
    lines = raw.decode("latin-1").split("\r\n")
    first = lines[0].split(" ", 2)
    if len(first) < 2 or "" in first[:2]:
        raise BadMessage(lines[0])
    headers: list[Header] = []
    lower: dict[str, str] = {}
    for line in lines[1:-2]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadMessage(line)
        value, key = value.strip(), name.lower()
        headers.append((name, value))
        lower[key] = f"{lower[key]}, {value}" if key in lower else value
    return Head((first[0], first[1], first[2] if len(first) > 2 else ""), headers, lower, len(raw))


def head_bytes(first: str, headers: Sequence[Header]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


async def pieces(reader: asyncio.StreamReader, framing: Framing, raw: bool = True) -> AsyncIterator[bytes]:
    """The body in pieces as they arrive; chunk lines are kept unless `raw` is false."""
    if framing.kind == LENGTH:
        async for piece in exactly(reader, framing.length):
            yield piece
    elif framing.kind == UNTIL_CLOSE:
        while piece := await reader.read(PIECE):
            yield piece
    else:
        async for piece in chunks(reader, raw):
            yield piece


async def exactly(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    while length:
        piece = await reader.read(min(length, PIECE))
        if not piece:
            raise ConnectionResetError("closed inside a body")
        length -= len(piece)
        yield piece


async def chunks(reader: asyncio.StreamReader, raw: bool) -> AsyncIterator[bytes]:
    while True:
        line = await chunk_line(reader)
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError:
            raise BadMessage("chunk size") from None
        if size == 0:
            trailer = await chunk_line(reader)
            while trailer != b"\r\n":
                line += trailer
                trailer = await chunk_line(reader)
            if raw:
                yield line + trailer
            return
        if raw:
            yield line
        async for piece in exactly(reader, size):
            yield piece
        end = await chunk_line(reader)
        if raw:
            yield end


async def chunk_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise ConnectionResetError("closed inside a chunked body") from None
