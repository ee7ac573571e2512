"""What one request leaves behind: its node's counts and metrics, and a record for http-log.

Everything here runs beside the answer or after it and cannot change it. Deliberately not here: when series become
visible (kong_metrics.py), what a record says (kong_record.py), and how records reach their endpoint (kong_log.py).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from sandbox.kong_call import Call, Config
from sandbox.kong_client import Client
from sandbox.kong_exchange import Reply
from sandbox.kong_record import Outcome, record
from sandbox.kong_router import Match
from sandbox.kong_wire import Framing, Head, Header
from sandbox.kong_worker import Worker


@dataclass
class Account:
    """One request, as it is counted, measured and logged."""

    worker: Worker
    client: Client
    head: Head
    framing: Framing
    id: str
    match: Match | None = None
    call: Call | None = None
    started: float = field(default_factory=time.perf_counter)
    began: float = 0.0  # the same moment on the calendar's clock
    _sent_before: int = 0
    _outcome: Outcome | None = None

    def __post_init__(self) -> None:
        self.began = self.worker.node.cluster.store.clock()
        self._sent_before = self.client.sent

    @property
    def elapsed(self) -> int:
        """Whole milliseconds so far."""
        return int((time.perf_counter() - self.started) * 1000)

    def answered(self, status: int, headers: Sequence[Header], reply: Reply | None = None) -> None:
        """The answer is known: an application's `reply`, or Kong's own."""
        self._outcome = Outcome(status, headers, self.elapsed, None if reply is None else reply.milliseconds)
        self._count(status, reply)
        config = self._prometheus()
        if config.get("status_code_metrics"):
            source = "kong" if reply is None else "service"
            self.worker.node.metrics.request(*self._way(), status, source, self._caller(config))
        if config.get("latency_metrics"):
            self._time(reply)

    def ended(self) -> None:
        """The answer is with the client, or the client is gone: bytes are counted, and the record is written."""
        sent = self.client.sent - self._sent_before
        config = self._prometheus()
        if config.get("bandwidth_metrics"):
            received = self.head.size + self.framing.length  # of a chunked request, the head alone
            self.worker.node.metrics.bandwidth(*self._way(), self._caller(config), received, sent)
        plugin = self.match.plugins.of("http-log", self.call.who) if self.match and self.call else None
        if plugin is not None and self.call is not None and self._outcome is not None:
            self._outcome.sent, self._outcome.whole = sent, self.elapsed
            told = record(self.call, self._outcome, self.id, self.began, self.client.port)
            self.worker.logs.add(plugin["config"], told)

    def _count(self, status: int, reply: Reply | None) -> None:
        counts, (service, route) = self.worker.node.counts, self._way()
        counts.statuses[str(status)] += 1
        if route:
            counts.routes[route] += 1
        if service:
            counts.services[service] += 1
        if reply is not None:
            counts.targets[f"{reply.peer.host}:{reply.peer.port}"] += 1

    def _time(self, reply: Reply | None) -> None:
        metrics, way = self.worker.node.metrics, self._way()
        whole = (time.perf_counter() - self.started) * 1000
        upstream = reply.milliseconds if reply else 0.0
        metrics.latency("kong_request_latency_ms", *way, whole)
        metrics.latency("kong_kong_latency_ms", *way, max(0.0, whole - upstream))
        if reply is not None:
            metrics.latency("kong_upstream_latency_ms", *way, upstream)

    def _way(self) -> tuple[str, str]:
        """The names of this request's service and route."""
        match = self.match
        if match is None:
            return "", ""
        service = str(match.service["name"] or match.service["host"]) if match.service else ""
        return service, str(match.route["name"] or match.route["id"])

    def _prometheus(self) -> Config:
        """What is to be measured. Without a route no plugin runs, not even a global one (measured on 3.9.1)."""
        plugin = self.match.plugins.of("prometheus", self.call.who if self.call else None) if self.match else None
        return plugin["config"] if plugin else {}

    def _caller(self, config: Config) -> str:
        consumer = self.call.consumer if self.call and config["per_consumer"] else None
        return str(consumer["username"] or consumer["custom_id"] or "") if consumer else ""
