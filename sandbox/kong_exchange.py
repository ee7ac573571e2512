"""One request to an application and its answer: whom to ask, what to send, when to ask somebody else.

As nginx does under Kong: a failed connect or a timeout goes to the next peer of the ring, up to `service.retries`
times; a request that was already sent is repeated only if its method is idempotent and its body is still at hand; a
kept connection that dies of old age costs no retry. A request that a peer has taken stays with it, whatever happens to
the target's row. Deliberately not here: `write_timeout`, client certificates.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from sandbox.kong_balancer import Balancer, Peer
from sandbox.kong_call import Answer, Call, Try
from sandbox.kong_client import ClientGone
from sandbox.kong_errors import Row
from sandbox.kong_lines import Line, Lines
from sandbox.kong_wire import BadMessage, Framing, Head, Header, head_bytes, read_head
from sandbox.kong_worker import Worker

IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))
FORWARDED = ("for", "proto", "host", "port", "path", "prefix")
NOT_PASSED = frozenset(
    (
        *("host", "connection", "keep-alive", "proxy-connection", "te", "upgrade", "expect"),
        *(f"x-forwarded-{part}" for part in FORWARDED),
        *("x-real-ip", "x-kong-request-id"),
    )
)
NO_PEER = Answer(503, "failure to get a peer from the ring-balancer")
NO_ADDRESS = Answer(503, "name resolution failed")
BROKEN = Answer(502, "An invalid response was received from the upstream server")
TOO_LATE = Answer(504, "The upstream server is timing out")


@dataclass(slots=True)
class Body:
    """A request's body: at hand, or a stream that can be sent once."""

    at_hand: bytes = b""
    stream: AsyncIterator[bytes] | None = None
    begun: bool = False

    @property
    def repeatable(self) -> bool:
        return self.stream is None or not self.begun


@dataclass(slots=True)
class Reply:
    """An application's answer whose body is still to be read."""

    head: Head
    framing: Framing
    line: Line
    peer: Peer
    balancer: Balancer | None
    milliseconds: float

    @property
    def status(self) -> int:
        return int(self.head.first[1])


class Failed(Exception):
    """A peer gave no answer."""

    def __init__(self, how: str, sent: bool, stale: bool = False) -> None:
        super().__init__(how)
        self.how = how  # as the health checker counts it
        self.sent = sent
        self.stale = stale  # the connection had been kept, so the peer is not to blame


class Exchange:
    """One client request on its way to an application."""

    def __init__(self, call: Call, worker: Worker, lines: Lines, id: str) -> None:
        assert call.match.service is not None
        self._call = call
        self._service: Row = call.match.service
        self._worker = worker
        self._lines = lines
        self._id = id
        self._balancer = worker.balancer_for(self._service["host"])

    async def run(self, body: Body) -> Reply | Answer:
        """The answer, from the first peer that gives one."""
        failures = 0
        key = self._hash_key()
        while True:
            began, at = self._worker.node.cluster.store.clock(), time.perf_counter()
            peer = await self._peer(key)
            if peer is None:
                return NO_ADDRESS if self._balancer is None else NO_PEER
            attempt = Try(peer.ip, peer.port, began, time.perf_counter() - at)
            self._call.tries.append(attempt)
            try:
                return self._noted(attempt, await self._ask(peer, body, fresh=False))
            except Failed as failed:
                failure = failed
            if failure.stale and self._may_repeat(failure, body):
                try:
                    return self._noted(attempt, await self._ask(peer, body, fresh=True))
                except Failed as failed:
                    failure = failed
            attempt.status = (TOO_LATE if failure.how == "timeouts" else BROKEN).status
            if self._balancer is not None:
                self._worker.node.health.failed(self._balancer.upstream, peer.address, failure.how, "passive")
            failures += 1
            if failures > self._service["retries"] or not self._may_repeat(failure, body):
                return TOO_LATE if failure.how == "timeouts" else BROKEN

    def _noted(self, attempt: Try, reply: Reply) -> Reply:
        attempt.status = reply.status
        return reply

    def _may_repeat(self, failure: Failed, body: Body) -> bool:
        return body.repeatable and (not failure.sent or self._call.method in IDEMPOTENT)

    async def _peer(self, key: str) -> Peer | None:
        if self._balancer is not None:
            return self._balancer.pick(key)
        if self._service["host"] in self._worker.upstreams:
            return None
        ips = await self._worker.node.cluster.resolver.resolve(self._service["host"])
        return Peer(self._service["host"], ips[0], self._service["port"], 1) if ips else None

    async def _ask(self, peer: Peer, body: Body, fresh: bool) -> Reply:
        line = None if fresh else self._lines.take(self._worker.number, peer.ip, peer.port)
        if line is None:
            line = await self._connect(peer)
        peer.active += 1
        try:
            return await self._talk(peer, line, body)
        except BaseException:
            line.close()
            raise
        finally:
            peer.active -= 1

    async def _connect(self, peer: Peer) -> Line:
        try:
            tls = peer.host if self._service["protocol"] == "https" else None
            return await self._lines.open(peer.ip, peer.port, self._service["connect_timeout"] / 1000, tls)
        except TimeoutError:
            raise Failed("timeouts", sent=False) from None
        except OSError:
            raise Failed("tcp_failures", sent=False) from None

    async def _talk(self, peer: Peer, line: Line, body: Body) -> Reply:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._service["read_timeout"] / 1000):
                line.writer.write(self._head(peer) + body.at_hand)
                if body.stream is not None:
                    body.begun = True
                    async for piece in body.stream:
                        line.writer.write(piece)
                        await line.writer.drain()
                head = await self._final_head(line)
        except TimeoutError:
            raise Failed("timeouts", sent=True) from None
        except BadMessage:
            raise Failed("http_failures", sent=True) from None
        except ClientGone:
            raise
        except OSError:
            raise Failed("tcp_failures", sent=True, stale=line.reused) from None
        if head is None:
            raise Failed("tcp_failures", sent=True, stale=line.reused)
        milliseconds = (time.perf_counter() - began) * 1000
        bodiless = self._call.method == "HEAD" or head.first[1] in ("204", "304")
        framing = Framing("length") if bodiless else head.framing(otherwise=Framing("until close"))
        if self._balancer is not None and self._balancer.checked:
            health, status = self._worker.node.health, int(head.first[1])
            health.answered(self._balancer.upstream, peer.address, status, "passive")
        return Reply(head, framing, line, peer, self._balancer, milliseconds)

    async def _final_head(self, line: Line) -> Head | None:
        while True:
            head = await read_head(line.reader)
            if head is None or not head.first[1].startswith("1"):
                return head

    def _head(self, peer: Peer) -> bytes:
        call = self._call
        hidden = NOT_PASSED | call.hidden | {name.lower() for name, _ in call.to_upstream}
        headers: list[Header] = [("Host", self._host(peer)), ("Connection", "keep-alive")]
        headers += self._forwarded()
        headers += [header for header in call.head.headers if header[0].lower() not in hidden]
        headers += call.to_upstream
        call.upstream_uri = upstream_path(call, self._service) + (f"?{call.query}" if call.query else "")
        return head_bytes(f"{call.method} {call.upstream_uri} HTTP/1.1", headers)

    def _host(self, peer: Peer) -> str:
        given = self._call.head.lower.get("host")
        if self._call.match.route["preserve_host"] and given:
            return given
        if self._balancer is not None and self._balancer.upstream["host_header"]:
            return str(self._balancer.upstream["host_header"])
        usual = 443 if self._service["protocol"] == "https" else 80
        return peer.host if peer.port == usual else f"{peer.host}:{peer.port}"

    def _forwarded(self) -> Iterator[Header]:
        call, lower = self._call, self._call.head.lower
        earlier = lower.get("x-forwarded-for")
        host, _, port = lower.get("host", "").partition(":")
        yield "X-Real-IP", call.client
        yield "X-Forwarded-For", f"{earlier}, {call.client}" if earlier else call.client
        yield "X-Forwarded-Proto", call.scheme
        yield "X-Forwarded-Host", host
        yield "X-Forwarded-Port", port or ("443" if call.scheme == "https" else "80")
        yield "X-Forwarded-Path", call.path
        if call.match.route["strip_path"] and call.match.prefix:
            yield "X-Forwarded-Prefix", call.match.prefix
        yield "X-Kong-Request-Id", self._id

    def _hash_key(self) -> str:
        """What a hashing upstream hashes on; sets the sticky cookie where there is none."""
        if self._balancer is None or self._balancer.upstream["hash_on"] == "none":
            return ""
        upstream = self._balancer.upstream
        for which in ("hash_on", "hash_fallback"):
            found = hash_value(self._call, upstream, which)
            if found:
                return found
        return ""


def hash_value(call: Call, upstream: Row, which: str) -> str | None:
    kind = upstream[which]
    if kind == "ip":
        return call.client
    if kind == "consumer":
        return call.who
    if kind == "path":
        return call.path
    if kind == "header":
        name = upstream[f"{which}_header"]
        # Kong 3.9 looks a name with a dash up under a name that never exists, so everybody hashes alike.
        return "-" if "-" in name else call.head.lower.get(name.lower().replace("_", "-"))
    if kind == "cookie":
        return sticky(call, upstream)
    return None


def sticky(call: Call, upstream: Row) -> str:
    name = upstream["hash_on_cookie"]
    for part in call.head.lower.get("cookie", "").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name and value:
            return value
    value = str(uuid.uuid4())
    # The attribute's misspelling is Kong's own.
    call.to_client.append(("Set-Cookie", f"{name}={value}; Path={upstream['hash_on_cookie_path']}; Same-Site=Lax"))
    return value


def upstream_path(call: Call, service: Row) -> str:
    """The path that the application sees: the service's own path, then what the route leaves."""
    base = service["path"] or "/"
    rest = call.path[len(call.match.prefix) :] if call.match.route["strip_path"] else call.path
    if base.endswith("/"):
        if rest:
            return base + rest.lstrip("/") if rest.startswith("/") else base + rest
        return base if base == "/" or call.path.endswith("/") else base[:-1]
    if not rest:
        return base + ("/" if call.path.endswith("/") else "")
    return base + rest if rest.startswith("/") else f"{base}/{rest}"


@contextlib.asynccontextmanager
async def finishing(lines: Lines, worker: int, reply: Reply) -> AsyncIterator[None]:
    """Keep the reply's connection if its body was read to the end in good order, else close it."""
    try:
        yield
    except BaseException:
        reply.line.close()
        raise
    closing = reply.head.lower.get("connection", "").lower() == "close" or reply.head.first[0] == "HTTP/1.0"
    if closing or reply.framing.kind == "until close":
        reply.line.close()
    else:
        lines.keep(worker, reply.peer.ip, reply.peer.port, reply.line)
