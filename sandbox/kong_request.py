"""One client request through the gateway: route, plugins, application, answer, counts.

Kong's own headers and error bodies are written here. Deliberately not here: HTML or plain-text error bodies (Accept is
ignored), TLS towards clients, upgrades.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from sandbox import faults
from sandbox.faults import Faults
from sandbox.kong_call import Answer, Call, Config
from sandbox.kong_client import Client, ClientGone
from sandbox.kong_cluster import Worker
from sandbox.kong_exchange import Body, Exchange, Reply, finishing
from sandbox.kong_lines import Lines
from sandbox.kong_plugins import access
from sandbox.kong_router import Match
from sandbox.kong_wire import (
    CHUNKED,
    LENGTH,
    PIECE,
    REASONS,
    UNTIL_CLOSE,
    BadMessage,
    Framing,
    Head,
    Header,
    head_bytes,
    pieces,
    read_head,
)

SERVER = "kong/3.9.1"
VIA = "1.1 kong/3.9.1"
OWN = "/__"  # paths of the stand-in itself, answered by the admin port's `/__proxy`
BUFFERED = 2**20  # a body up to this size is read before the application is asked, so that it can be repeated
DISCARDED = 64 * 2**20  # a refused request's body up to this size is read and thrown away
NOT_PASSED = frozenset(("connection", "keep-alive", "proxy-connection", "upgrade"))
NO_ROUTE = Answer(404, "no Route matched with those values")
NO_SERVICE = Answer(503, "no Service found with those values")


@dataclass
class Gateway:
    """What all requests share."""

    faults: Faults
    lines: Lines = field(default_factory=Lines)
    own_endpoints: tuple[str, int] = ("127.0.0.1", 0)  # the admin port


class Request:
    """One client request, from its head to the last byte of its answer."""

    def __init__(self, gateway: Gateway, worker: Worker, client: Client, head: Head) -> None:
        self._gateway = gateway
        self._worker = worker
        self._node = worker.node
        self._client = client
        self._head = head
        self._started = time.perf_counter()
        self._id = os.urandom(16).hex()
        self._method, target, self._version = head.first
        self._path, _, self._query = target.partition("?")
        self._framing = head.framing()
        self._unread = not self._framing.empty
        self._streamed = False
        self._lost = False
        self._match: Match | None = None
        self._call: Call | None = None

    async def answer(self) -> bool:
        """Do it all; whether the connection can be used again."""
        if self._path.startswith(OWN):
            return await self._own_endpoint()
        before = self._client.sent
        try:
            return await self._answered()
        finally:
            self._measure(self._client.sent - before)

    async def _answered(self) -> bool:
        self._node.counts.total += 1
        if not self._gateway.faults.quiet:
            done = await self._faulty()
            if done is not None:
                return done
        host = self._head.lower.get("host", "")
        match = self._match = self._worker.router.match(self._method, host, self._path, self._head.lower)
        if match is None:
            return await self._refuse(NO_ROUTE)
        call = self._call = self._called(match)
        refusal = access(call)
        if refusal is None and match.service is None:
            refusal = NO_SERVICE
        if refusal is not None:
            return await self._refuse(refusal)
        reply = await Exchange(call, self._worker, self._gateway.lines, self._id).run(await self._body())
        return await (self._refuse(reply) if isinstance(reply, Answer) else self._relay(reply, call.to_client))

    def _called(self, match: Match) -> Call:
        return Call(
            head=self._head,
            method=self._method,
            path=self._path,
            query=self._query,
            client=self._client.address,
            node=self._node,
            framing=self._framing,
            match=match,
        )

    async def _faulty(self) -> bool | None:
        """Show the armed fault, if one is due; None when the request goes on."""
        effect = self._gateway.faults.take(self._method, self._path)
        match effect:
            case faults.Answer():
                headers = tuple((name, value) for name, value in effect.headers.items())
                plain = "application/json" if effect.body[:1] in "{[" else "text/plain"
                return await self._refuse(
                    Answer(effect.status, body=effect.body.encode(), headers=headers, content_type=plain)
                )
            case faults.Slow():
                await asyncio.sleep(effect.seconds)
            case faults.Reset():
                self._client.sever()
                return False
            case faults.Lost():
                self._lost = True
        return None

    # --- the request's body ---

    async def _body(self) -> Body:
        if self._framing.empty:
            return Body()
        await self._invite()
        self._unread = False
        if self._framing.kind == LENGTH and self._framing.length <= BUFFERED:
            return Body(at_hand=await self._whole())
        self._streamed = True
        return Body(stream=self._arriving())

    async def _invite(self) -> None:
        if self._head.lower.get("expect", "").lower() == "100-continue":
            await self._client.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _whole(self) -> bytes:
        try:
            return await self._client.reader.readexactly(self._framing.length)
        except asyncio.IncompleteReadError:
            raise ClientGone from None

    async def _arriving(self) -> AsyncIterator[bytes]:
        try:
            async for piece in pieces(self._client.reader, self._framing):
                yield piece
        except OSError:
            raise ClientGone from None

    # --- the answer ---

    async def _refuse(self, answer: Answer) -> bool:
        """Answer in Kong's own name."""
        keep = self._keeps()
        discards = self._unread and self._framing.length <= DISCARDED and "expect" not in self._head.lower
        if self._streamed or (self._unread and not (discards and self._framing.kind == LENGTH)):
            keep = False  # nobody knows where the next request would begin
        body = answer.body
        if body is None:
            body = (
                json.dumps({"message": answer.message, "request_id": self._id}, indent=2)
                .replace('": "', '":"')
                .encode()
            )
        took = str(int((time.perf_counter() - self._started) * 1000))
        headers: list[Header] = [("Content-Type", answer.content_type), ("Content-Length", str(len(body)))]
        headers += [("Connection", "keep-alive" if keep else "close"), *answer.headers]
        headers += self._call.to_client if self._call else []
        headers += [("X-Kong-Response-Latency", took), ("Server", SERVER), ("X-Kong-Request-Id", self._id)]
        self._count(answer.status, "kong", None)
        if self._lost:
            self._client.sever()
            return False
        head = head_bytes(f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Unknown')}", headers)
        await self._client.send(head if self._method == "HEAD" else head + body)
        if discards:  # closing now would reset the connection, and the client might not read the answer
            async for _ in pieces(self._client.reader, self._framing):
                pass
        return keep

    async def _relay(self, reply: Reply, added: list[Header]) -> bool:
        """Pass an application's answer on."""
        framing = reply.framing
        keep = self._keeps() and framing.kind != UNTIL_CLOSE
        unchunk = framing.kind == CHUNKED and self._version == "HTTP/1.0"
        head = self._reply_head(reply, added, keep, unchunk)
        self._count(reply.status, "service", reply)
        async with finishing(self._gateway.lines, self._worker.number, reply):
            try:
                if framing.kind == LENGTH and framing.length <= PIECE:
                    body = await reply.line.reader.readexactly(framing.length) if framing.length else b""
                    await self._send_unless_lost(head + body)
                else:
                    await self._send_unless_lost(head)
                    async for piece in pieces(reply.line.reader, framing, raw=not unchunk):
                        await self._send_unless_lost(piece)
            except (OSError, BadMessage, asyncio.IncompleteReadError):
                self._client.sever()  # a client must not take half a body for a whole one
                raise ClientGone from None
        if self._lost:
            self._client.sever()
        return keep and not self._lost

    async def _send_unless_lost(self, data: bytes) -> None:
        if not self._lost:
            await self._client.send(data)

    def _reply_head(self, reply: Reply, added: list[Header], keep: bool, unchunk: bool) -> bytes:
        replaced = {name.lower() for name, _ in added if name not in ("Set-Cookie", "Vary")} | NOT_PASSED
        replaced |= self._call.taken_back if self._call else set()
        if unchunk:
            replaced = replaced | {"transfer-encoding"}
        headers = [header for header in reply.head.headers if header[0].lower() not in replaced]
        waited = int(reply.milliseconds)
        own = max(0, int((time.perf_counter() - self._started) * 1000) - waited)
        headers += [("Connection", "keep-alive" if keep else "close"), *added]
        if "server" not in reply.head.lower:
            headers.append(("Server", SERVER))
        headers += [("X-Kong-Upstream-Latency", str(waited)), ("X-Kong-Proxy-Latency", str(own))]
        headers += [("Via", VIA), ("X-Kong-Request-Id", self._id)]
        return head_bytes(f"HTTP/1.1 {reply.head.first[1]} {reply.head.first[2]}", headers)

    def _keeps(self) -> bool:
        asked = self._head.lower.get("connection", "").lower()
        return asked != "close" if self._version == "HTTP/1.1" else asked == "keep-alive"

    # --- counting ---

    def _count(self, status: int, source: str, reply: Reply | None) -> None:
        counts, (service, route) = self._node.counts, self._way()
        counts.statuses[str(status)] += 1
        if route:
            counts.routes[route] += 1
        if service:
            counts.services[service] += 1
        if reply is not None:
            counts.targets[f"{reply.peer.host}:{reply.peer.port}"] += 1
        config = self._prometheus()
        if config.get("status_code_metrics"):
            self._node.metrics.request(service, route, status, source, self._caller(config))
        if config.get("latency_metrics"):
            whole = (time.perf_counter() - self._started) * 1000
            upstream = reply.milliseconds if reply else 0.0
            self._node.metrics.latency("kong_request_latency_ms", service, route, whole)
            self._node.metrics.latency("kong_kong_latency_ms", service, route, max(0.0, whole - upstream))
            if reply is not None:
                self._node.metrics.latency("kong_upstream_latency_ms", service, route, upstream)

    def _measure(self, sent: int) -> None:
        """Count the bytes in both directions; a chunked request's body is not among them."""
        config = self._prometheus()
        if config.get("bandwidth_metrics"):
            received = self._head.size + self._framing.length
            self._node.metrics.bandwidth(*self._way(), self._caller(config), received, sent)

    def _way(self) -> tuple[str, str]:
        """The names of this request's service and route."""
        match = self._match
        if match is None:
            return "", ""
        service = str(match.service["name"] or match.service["host"]) if match.service else ""
        return service, str(match.route["name"] or match.route["id"])

    def _prometheus(self) -> Config:
        """What is to be measured. Without a route no plugin runs, not even a global one (measured on 3.9.1)."""
        plugin = self._match.plugins.of("prometheus", self._call.who if self._call else None) if self._match else None
        return plugin["config"] if plugin else {}

    def _caller(self, config: Config) -> str:
        consumer = self._call.consumer if self._call and config["per_consumer"] else None
        return str(consumer["username"] or consumer["custom_id"] or "") if consumer else ""

    # --- the stand-in's own endpoints ---

    async def _own_endpoint(self) -> bool:
        """Ask the admin port, where the proxy's faults and counts live."""
        body = await self._whole() if self._framing.kind == LENGTH else b""
        path = self._path if self._path == "/__counts" else f"/__proxy{self._path}"
        reader, writer = await asyncio.open_connection(*self._gateway.own_endpoints)
        try:
            headers = [("Host", "admin"), ("Connection", "close"), ("Content-Length", str(len(body)))]
            writer.write(head_bytes(f"{self._method} {path} HTTP/1.1", headers) + body)
            head = await read_head(reader)
            assert head is not None
            await self._client.send(head_bytes(" ".join(head.first), head.headers))
            async for piece in pieces(reader, head.framing(otherwise=Framing(LENGTH))):
                await self._client.send(piece)
        finally:
            writer.close()
        return False
