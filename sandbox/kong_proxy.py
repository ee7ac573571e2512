"""Kong's data plane: the port that clients really talk to.

Keeps client connections, each with one worker of one node, so that a client sees that worker's routes and weights.
One port stands for all nodes, as a load balancer does; each node may have a port of its own beside it, which refuses
everybody while that node is down.
Client connections that break are nobody's error and leave no trace but a counted request.

Deliberately not here: what happens to a request (kong_request.py), which certificate is shown (kong_tls.py), HTTP/2.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from sandbox.faults import Faults
from sandbox.kong_client import Client
from sandbox.kong_cluster import Cluster, Node, NoNode
from sandbox.kong_request import Gateway, Request
from sandbox.kong_tls import Certificate
from sandbox.kong_wire import HEAD_LIMIT, BadMessage, head_bytes, read_head
from sandbox.kong_worker import Worker
from sandbox.lifecycle import Unfit

SWEEPS = 5.0  # seconds between two looks for dead kept connections
BAD_REQUEST = head_bytes("HTTP/1.1 400 Bad Request", [("Content-Length", "0"), ("Connection", "close")])


@dataclass(slots=True)
class Door:
    """A listening port; `server` is None while it refuses."""

    host: str
    port: int
    server: asyncio.Server | None
    certificate: Certificate | None = None


class Proxy:
    """The proxy ports of all nodes."""

    def __init__(self, cluster: Cluster, armed: Faults) -> None:
        self.cluster = cluster
        self.gateway = Gateway(armed)
        self._connections: dict[asyncio.Task[None], tuple[Client, Node]] = {}
        self._doors: dict[int, Door] = {}  # by node

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
    async def listening(
        self, host: str, port: int, node: Node | None = None, *, certificate: Certificate | None = None
    ) -> AsyncIterator[int]:
        """Take connections at this port, for one node or whichever; over TLS with a certificate. Yields the port."""
        door = Door(host, port, None, certificate)
        await self._open(door, node)
        if node is not None:
            self._doors[node.index] = door
        try:
            yield door.port
        finally:
            if door.server is not None:
                door.server.close()

    def port_of(self, node: Node) -> int | None:
        """The port of this node alone, if it has one."""
        door = self._doors.get(node.index)
        return door.port if door else None

    def close_node(self, node: Node) -> None:
        """Refuse whoever comes to this node, and break what it was about."""
        door = self._doors.get(node.index)
        if door is not None and door.server is not None:
            door.server.close()
            door.server = None
        for task, (client, at) in list(self._connections.items()):
            if at is node:
                client.sever()
                task.cancel()
        for worker in node.workers:
            self.gateway.lines.drop(worker.number)

    async def open_node(self, node: Node) -> None:
        """Take clients at this node's own port again."""
        door = self._doors.get(node.index)
        if door is not None and door.server is None:
            await self._open(door, node)

    async def _open(self, door: Door, node: Node | None) -> None:
        accepted, tls = partial(self._accepted, node), door.certificate.context() if door.certificate else None
        try:
            door.server = await asyncio.start_server(
                accepted, door.host, door.port, limit=HEAD_LIMIT, backlog=1024, ssl=tls
            )
        except OSError as error:
            raise Unfit(
                f"Port {door.port} on {door.host} cannot be used ({os.strerror(error.errno or 0)}); choose another."
            ) from error
        door.port = int(door.server.sockets[0].getsockname()[1])

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEPS)
            self.gateway.lines.sweep()

    async def _accepted(self, node: Node | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        client = Client(reader, writer)
        try:
            worker = self.cluster.any_worker(node)
            self._connections[task] = client, worker.node
            await self._serve(client, worker)
        except NoNode:
            client.sever()
        except (OSError, asyncio.CancelledError):
            pass  # a client that went away, or the end of the node or the gateway
        finally:
            self._connections.pop(task, None)
            writer.close()

    async def _serve(self, client: Client, worker: Worker) -> None:
        """Answer request after request until either side has had enough."""
        try:
            while (head := await read_head(client.reader)) is not None:
                if not await Request(self.gateway, worker, client, head).answer():
                    return
        except BadMessage:
            await client.send(BAD_REQUEST)
