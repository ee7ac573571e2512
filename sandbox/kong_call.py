"""One client request on its way through the gateway, as the plugins see and change it, and an answer of Kong's own.

Deliberately not here: what any plugin does (kong_plugins.py, kong_cors.py).
"""

from dataclasses import dataclass, field
from typing import Any

from sandbox.kong_cluster import Node
from sandbox.kong_errors import Row
from sandbox.kong_router import Match
from sandbox.kong_wire import Framing, Head, Header

Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that Kong itself gives; a text is wrapped as Kong wraps its messages."""

    status: int
    message: str = ""
    body: bytes | None = None
    headers: tuple[Header, ...] = ()
    content_type: str = "application/json; charset=utf-8"


@dataclass(slots=True)
class Try:
    """One attempt to have an application answer."""

    ip: str
    port: int
    began: float
    took: float | None = None  # seconds until the peer was chosen
    status: int | None = None


@dataclass(slots=True)
class Call:
    """One client request on its way through the gateway."""

    head: Head
    method: str
    path: str
    query: str
    client: str
    scheme: str  # in which the client came
    node: Node
    framing: Framing
    match: Match
    consumer: Row | None = None
    credential: Row | None = None
    to_upstream: list[Header] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)  # header names that the application does not see
    to_client: list[Header] = field(default_factory=list)
    taken_back: set[str] = field(default_factory=set)  # header names of the application that no client sees
    tries: list[Try] = field(default_factory=list)
    upstream_uri: str = ""

    @property
    def who(self) -> str | None:
        return self.consumer["id"] if self.consumer else None
