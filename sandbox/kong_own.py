"""The stand-in's own paths on the proxy's port, `/__faults` and `/__counts`: handed to the admin port, where they live.

So a test or a drill needs no second address to trouble clients. Deliberately not here: what they answer.
"""

import asyncio

from sandbox.kong_client import Client
from sandbox.kong_wire import LENGTH, Framing, head_bytes, pieces, read_head

OWN = "/__"


async def own_endpoint(client: Client, method: str, path: str, body: bytes, endpoint: tuple[str, int]) -> None:
    """Ask the admin port and pass its answer on."""
    there = path if path == "/__counts" else f"/__proxy{path}"
    reader, writer = await asyncio.open_connection(*endpoint)
    try:
        headers = [("Host", "admin"), ("Connection", "close"), ("Content-Length", str(len(body)))]
        writer.write(head_bytes(f"{method} {there} HTTP/1.1", headers) + body)
        head = await read_head(reader)
        assert head is not None
        await client.send(head_bytes(" ".join(head.first), head.headers))
        async for piece in pieces(reader, head.framing(otherwise=Framing(LENGTH))):
            await client.send(piece)
    finally:
        writer.close()
