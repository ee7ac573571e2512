"""Kong's data plane: the port that clients really talk to.

Keeps client connections, each with one worker of one node, so that a client sees that worker's routes and weights.
One port stands for all nodes, as a load balancer does; each node may have a port of its own beside it.
Client connections that break are nobody's error and leave no trace but a counted request.

Deliberately not here: what happens to a request (kong_request.py), TLS and HTTP/2 towards clients.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from functools import partial

from sandbox.faults import Faults
from sandbox.kong_client import Client
from sandbox.kong_cluster import Cluster, Node
from sandbox.kong_request import Gateway, Request
from sandbox.kong_wire import HEAD_LIMIT, BadMessage, head_bytes, read_head
from sandbox.lifecycle import Unfit

SWEEPS = 5.0  # seconds between two looks for dead kept connections
BAD_REQUEST = head_bytes("HTTP/1.1 400 Bad Request", [("Content-Length", "0"), ("Connection", "close")])


class Proxy:
    """The proxy ports of all nodes."""

    def __init__(self, cluster: Cluster, armed: Faults) -> None:
        self.cluster = cluster
        self.gateway = Gateway(armed)
        self._connections: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Keep house while the block runs, and end every client connection with it."""
        sweeping = asyncio.ensure_future(self._sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            for connection in list(self._connections):
                connection.cancel()
            await asyncio.gather(*self._connections, sweeping, return_exceptions=True)
            self.gateway.lines.close()

    @contextlib.asynccontextmanager
    async def listening(self, host: str, port: int, node: Node | None = None) -> AsyncIterator[int]:
        """Take connections at this port, for one node or for whichever; yields the port."""
        accepted = partial(self._accepted, node)
        try:
            server = await asyncio.start_server(accepted, host, port, limit=HEAD_LIMIT, backlog=1024)
        except OSError as error:
            raise Unfit(
                f"Port {port} on {host} cannot be used ({os.strerror(error.errno or 0)}); choose another."
            ) from error
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEPS)
            self.gateway.lines.sweep()

    async def _accepted(self, node: Node | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(Client(reader, writer), node)
        except (OSError, asyncio.CancelledError):
            pass  # a client that went away, or the end of the gateway
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, client: Client, node: Node | None) -> None:
        """Answer request after request until either side has had enough."""
        worker = self.cluster.any_worker(node)
        try:
            while (head := await read_head(client.reader)) is not None:
                if not await Request(self.gateway, worker, client, head).answer():
                    return
        except BadMessage:
            await client.send(BAD_REQUEST)
