"""One client request through the gateway: route, plugins, application, answer.

Kong's own headers and error bodies are written here; counts, metrics and logs in kong_account.py. A route without a
service runs its plugins, and if none of them answers it is 503 `no Service found with those values` (Kong's
runloop/handler.lua and its router specs say so word for word).

Deliberately not here: HTML or plain-text error bodies (Accept is ignored), TLS towards clients (kong_tls.py), upgrades.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from sandbox import faults
from sandbox.faults import Faults
from sandbox.kong_account import Account
from sandbox.kong_call import Answer, Call
from sandbox.kong_client import Client, ClientGone
from sandbox.kong_exchange import Body, Exchange, Reply, finishing
from sandbox.kong_lines import Lines
from sandbox.kong_own import OWN, own_endpoint
from sandbox.kong_plugins import access
from sandbox.kong_router import Match
from sandbox.kong_transformer import transformed
from sandbox.kong_wire import (
    CHUNKED,
    LENGTH,
    PIECE,
    REASONS,
    UNTIL_CLOSE,
    BadMessage,
    Head,
    Header,
    head_bytes,
    pieces,
)
from sandbox.kong_worker import Worker

SERVER = "kong/3.9.1"
VIA = "1.1 kong/3.9.1"
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
        self._id = os.urandom(16).hex()
        self._method, target, self._version = head.first
        self._path, _, self._query = target.partition("?")
        self._framing = head.framing()
        self._account = Account(worker, client, head, self._framing, self._id)
        self._unread = not self._framing.empty
        self._streamed = False
        self._lost = False
        self._at_hand: bytes | None = None
        self._call: Call | None = None

    async def answer(self) -> bool:
        """Do it all; whether the connection can be used again."""
        if self._path.startswith(OWN):
            asked = await self._whole() if self._framing.kind == LENGTH else b""
            await own_endpoint(self._client, self._method, self._path, asked, self._gateway.own_endpoints)
            return False
        try:
            return await self._answered()
        finally:
            self._account.ended()

    async def _answered(self) -> bool:
        self._node.counts.taken(self._head.lower.get("user-agent", ""))
        if not self._gateway.faults.quiet:
            done = await self._faulty()
            if done is not None:
                return done
        host = self._head.lower.get("host", "")
        match = self._account.match = self._worker.router.match(self._method, host, self._path, self._head.lower)
        if match is None:
            return await self._refuse(NO_ROUTE)
        call = self._call = self._account.call = self._called(match)
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
            scheme=self._client.scheme,
            node=self._node,
            framing=self._framing,
            match=match,
        )

    async def _faulty(self) -> bool | None:
        """Show the armed fault, if one is due; None when the request goes on."""
        body = await self._looked_at() if self._gateway.faults.reads_bodies else b""
        effect = self._gateway.faults.take(self._method, self._path, body)
        match effect:
            case faults.Answer():
                headers = tuple((name, value) for name, value in effect.headers.items())
                plain = "application/json" if effect.body[:1] in "{[" else "text/plain"
                return await self._refuse(
                    Answer(effect.status, body=effect.body.encode(), headers=headers, content_type=plain)
                )
            case faults.Slow():
                await asyncio.sleep(effect.seconds)
            case faults.Hold():
                await self._gateway.faults.held(effect)
            case faults.Reset():
                self._client.sever()
                return False
            case faults.Lost():
                self._lost = True
        return None

    # --- the request's body ---

    async def _looked_at(self) -> bytes:
        """The body, for faults that ask for it; one that is streamed is not looked at."""
        if self._framing.kind != LENGTH or self._framing.empty or self._framing.length > BUFFERED:
            return b""
        await self._invite()
        self._unread = False
        self._at_hand = await self._whole()
        return self._at_hand

    async def _body(self) -> Body:
        if self._framing.empty or self._at_hand is not None:
            return Body(at_hand=self._at_hand or b"")
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
        headers: list[Header] = [("Content-Type", answer.content_type)] if body else []
        headers.append(("Content-Length", str(len(body))))
        headers += [("Connection", "keep-alive" if keep else "close"), *answer.headers]
        headers += self._call.to_client if self._call else []
        headers = transformed(self._call, headers)
        headers += [("X-Kong-Response-Latency", str(self._account.elapsed)), ("Server", SERVER)]
        headers.append(("X-Kong-Request-Id", self._id))
        self._account.answered(answer.status, headers)
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
        headers = self._reply_headers(reply, added, keep, unchunk)
        head = head_bytes(f"HTTP/1.1 {reply.head.first[1]} {reply.head.first[2]}", headers)
        self._account.answered(reply.status, headers, reply)
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

    def _reply_headers(self, reply: Reply, added: list[Header], keep: bool, unchunk: bool) -> list[Header]:
        replaced = {name.lower() for name, _ in added if name not in ("Set-Cookie", "Vary")} | NOT_PASSED
        replaced |= self._call.taken_back if self._call else set()
        if unchunk:
            replaced = replaced | {"transfer-encoding"}
        headers = [header for header in reply.head.headers if header[0].lower() not in replaced]
        waited = int(reply.milliseconds)
        own = max(0, self._account.elapsed - waited)
        headers = transformed(self._call, [*headers, *added])
        headers.append(("Connection", "keep-alive" if keep else "close"))
        if "server" not in reply.head.lower:
            headers.append(("Server", SERVER))
        headers += [("X-Kong-Upstream-Latency", str(waited)), ("X-Kong-Proxy-Latency", str(own))]
        headers += [("Via", VIA), ("X-Kong-Request-Id", self._id)]
        return headers

    def _keeps(self) -> bool:
        asked = self._head.lower.get("connection", "").lower()
        return asked != "close" if self._version == "HTTP/1.1" else asked == "keep-alive"
