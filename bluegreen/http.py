"""The one door to HTTP: how calls are made, what an error says, what is never shown.

Reads are repeated as `bluegreen.faults` tells, where the kinds of errors are; writes never are. At most ten calls of
one client are under way at a time (those of `fresh` apart); the others wait, for as long as it takes. httpx is known
here and nowhere else. It deliberately knows no vendor: rooms give it their name, address and headers.
"""

import json
import ssl
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, Self

import stamina

from bluegreen.faults import (
    ATTEMPTS,
    PATIENCE,
    ApiError,
    Conflict,
    LostReply,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreachable,
    Untrusted,
    come_back,
    meaning,
    retry_after,
    soon,
)
from bluegreen.tls import Trust

CORRECT = "Correct what it names, then run it again."

# httpx imports its own command line (click, rich, pygments: 0.2 s of 0.3 s) whenever those are installed.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
import httpx

__all__ = [
    "Answer",
    "ApiError",
    "Client",
    "Conflict",
    "LostReply",
    "Method",
    "NotFound",
    "RateLimited",
    "Rejected",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "Untrusted",
]

stamina.instrumentation.set_on_retry_hooks([])  # a read that is tried again is nobody's news

BODY_SHOWN = 256  # characters of an answer that an error quotes
CLOSED = count(1)
AT_ONCE = 10  # calls of one client; more in parallel gain nothing (measured on Kong: 212 writes a second with 10)

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
SAFE = ("GET", "HEAD", "OPTIONS")
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL)
NO_ANSWER = (httpx.TransportError, httpx.TooManyRedirects, httpx.DecodingError, httpx.InvalidURL)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `json` is None when the body is empty; `connection` tells apart the connections it came over."""

    status: int
    json: Any
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    connection: str = ""


class Client:
    """Calls one API. Use it as an async context manager, or call `close`.

    Args:
        name: who is called, as a person says it ("Kong's Admin API").
        base: where it is, with or without a path prefix.
        headers: sent with every call.
        secrets: texts that no error and no log line may ever show.
        hint: the next step when it cannot be reached.
        connect, read: patience in seconds for a connection and for an answer.
        trust: certificates, where the system's own do not do.
    """

    def __init__(
        self,
        name: str,
        base: str,
        *,
        headers: Mapping[str, str] | None = None,
        secrets: Iterable[str] = (),
        hint: str = "",
        connect: float = 5.0,
        read: float = 10.0,
        trust: Trust | None = None,
    ) -> None:
        self.name = name
        self.base = base.rstrip("/")
        self.hint = hint or f"Check that {name} is reachable at {self.base}."
        self._headers = dict(headers or {})
        self._secrets = tuple(secret for secret in secrets if secret)
        self._timeout = httpx.Timeout(read, connect=connect, pool=None)
        self._trust = trust or Trust()
        self._tls: ssl.SSLContext | None = None
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End every connection; the client may be used again afterwards."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def read(self, path: str, *, params: Mapping[str, Any] | None = None) -> Answer:
        """GET, repeated while the other side is out of reach or busy.

        Raises:
            ApiError: as the tree above tells, when it does not go well in time.
        """
        async for attempt in stamina.retry_context(on=soon, attempts=ATTEMPTS, timeout=PATIENCE):
            with attempt:
                return await self.call("GET", path, params=params, writes=False)
        raise AssertionError("unreachable: stamina raises the last error")

    async def write(
        self, method: Method, path: str, body: Any = None, *, params: Mapping[str, Any] | None = None
    ) -> Answer:
        """One write, never repeated.

        Raises:
            LostReply: it may have happened; read before writing again.
            ApiError: the rest of the tree; nothing happened, except where a 5xx hides it.
        """
        return await self.call(method, path, body, params=params, writes=True)

    async def call(
        self,
        method: Method,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        writes: bool,
        client: httpx.AsyncClient | None = None,
    ) -> Answer:
        """One call, once; `writes` says whether it may have changed something when no answer comes."""
        subject = f"{method} {path}"
        try:
            response = await (client or self._open()).request(
                method, self.base + path, json=body, params=params, headers=headers
            )
        except NO_ANSWER as problem:
            raise self._unanswered(subject, problem, writes=writes) from problem
        return self._judge(subject, response, writes=writes)

    @asynccontextmanager
    async def fresh(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client that has never spoken before and keeps one connection: pass it to `call` as `client`."""
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        async with self._new(limits) as client:
            yield client

    async def probe(
        self,
        path: str,
        *,
        method: Method = "GET",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        client: httpx.AsyncClient | None = None,
    ) -> Answer:
        """Ask once and hand over whatever status came: a 503 is an observation here, not an error.

        Raises:
            Unavailable: there was no answer at all.
            Untrusted: nor will there be one, before somebody sees to the certificates.
        """
        subject = f"{method} {path}"
        try:
            response = await (client or self._open()).request(method, self.base + path, json=body, headers=headers)
        except NO_ANSWER as problem:
            fault = self._unanswered(subject, problem, writes=method not in SAFE)
            if isinstance(fault, Untrusted):
                raise fault from problem
            what = f"{self.name} did not answer {subject}: {self.redact(_reason(problem))}."
            raise Unavailable(what, world=fault.world, next=self.hint, subject=subject) from problem
        return _answer(response)

    def redact(self, text: str) -> str:
        """The text without the secrets of this client."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = self._new(httpx.Limits(max_connections=AT_ONCE))
        return self._client

    def _new(self, limits: httpx.Limits) -> httpx.AsyncClient:
        encrypted = not self.base.startswith("http://")
        if encrypted and self._tls is None:
            self._tls = self._trust.context()  # 20 ms, which every new connection of a proof would pay
        return httpx.AsyncClient(
            headers=self._headers, timeout=self._timeout, verify=self._tls or False, limits=limits, trust_env=False
        )

    def _unanswered(self, subject: str, problem: Exception, *, writes: bool) -> ApiError:
        distrust = self._trust.distrust(problem, connected=not isinstance(problem, NEVER_SENT))
        if distrust is not None:
            return self._untrusted(f"cannot be reached at {self.base}: {distrust[0]}", distrust[1], subject)
        why = self.redact(_reason(problem))
        if isinstance(problem, NEVER_SENT):
            what = f"{self.name} cannot be reached at {self.base}: {why}."
            return Unreachable(what, world="Nothing was changed.", next=self.hint, subject=subject)
        what = f"{self.name} did not answer {subject}: {why}."
        if writes:
            world = "Whether it took effect is unknown."
            return LostReply(what, world=world, next="Look at its state first.", subject=subject)
        return Unavailable(what, world="Nothing was changed.", next=self.hint, subject=subject)

    def _untrusted(self, what: str, next: str, subject: str) -> Untrusted:
        return Untrusted(f"{self.name} {what}.", world="Nothing was changed.", next=next, subject=subject)

    def _judge(self, subject: str, response: httpx.Response, *, writes: bool) -> Answer:
        answer = _answer(response)
        if response.is_success and (answer.json is not None or not answer.text):
            return answer
        complaint = self._trust.complaint(answer.status, answer.text)
        if complaint is not None:
            raise self._untrusted(f"at {self.base} {complaint[0]}", complaint[1], subject)
        shown = self.redact(" ".join(answer.text.split()))[:BODY_SHOWN]  # a key at the edge would be shown in half
        what = f"{self.name} answered {response.status_code} to {subject}" + (f": {shown}" if shown else "")
        kind, world = meaning(response.status_code, writes=writes)
        next_ = self._next(kind, understood=answer.json is not None)
        fault = kind(what + ".", world=world, next=next_, status=answer.status, body=answer.json)
        fault.subject, fault.headers = subject, answer.headers
        if isinstance(fault, RateLimited):
            fault.retry_after = retry_after(response.headers.get("retry-after"))
            fault.next = come_back(fault.retry_after)
        raise fault

    def _next(self, kind: type[ApiError], *, understood: bool) -> str:
        if issubclass(kind, Unauthorized):
            return f"Check the credentials for {self.name}."
        # An answer without JSON is somebody else's: a proxy's, or another server's at that address.
        return CORRECT if understood and not issubclass(kind, Unavailable | NotFound) else self.hint


def _answer(response: httpx.Response) -> Answer:
    try:
        parsed = json.loads(response.text) if response.text else None
    except (ValueError, RecursionError):  # nested a hundred thousand deep is no answer either
        parsed = None
    return Answer(response.status_code, parsed, response.text, dict(response.headers), _connection(response))


def _connection(response: httpx.Response) -> str:
    """What tells its connection from others. One that closed with this answer carries no second: its name is new."""
    stream = response.extensions.get("network_stream")
    if stream is None:
        return ""
    try:
        return str(stream.get_extra_info("client_addr") or "")
    except OSError:
        return f"closed {next(CLOSED)}"


def _reason(problem: Exception) -> str:
    if isinstance(problem, httpx.LocalProtocolError):
        return "a header or an address of ours is malformed"  # its own text quotes the header, keys included
    return str(problem) or type(problem).__name__
