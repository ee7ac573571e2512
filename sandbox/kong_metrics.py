"""What a node counts, and how Prometheus reads it: Kong's metric names, labels and buckets.

Series appear as with the prometheus plugin: only for requests to which an enabled plugin applies with the matching
switch on, and a flush interval late. Beside them, `Counts` counts every request that a client sent, plugin or not; a
load report is compared with it.

The whole page of `/metrics` is put together in kong_exposition.py.
"""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

REQUEST_BUCKETS = (25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10000, 30000, 60000)
AGENT = 40  # characters of a program's name that are counted by
KONG_BUCKETS = (1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000)
REQUESTS, BANDWIDTH = "kong_http_requests_total", "kong_bandwidth_bytes"
WORKSPACE = ("workspace", "default")
Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Histogram:
    """Counts per bucket, cumulated when shown."""

    bounds: Sequence[int]
    counts: list[int]
    total: float = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, labels: Labels) -> Iterator[str]:
        below = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            below += count
            yield series(f"{name}_bucket", (*labels, ("le", str(bound))), below)
        yield series(f"{name}_count", labels, below)
        yield series(f"{name}_sum", labels, f"{self.total:.0f}")


@dataclass
class Counts:
    """Every client request through the proxy, by its answer, its way and the program that sent it."""

    total: int = 0
    routes: Counter[str] = field(default_factory=Counter)
    services: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    agents: Counter[str] = field(default_factory=Counter)  # by the product that User-Agent names, without its version

    def taken(self, agent: str) -> None:
        """A request has arrived."""
        self.total += 1
        self.agents[agent.partition("/")[0][:AGENT]] += 1

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.total + other.total,
            self.routes + other.routes,
            self.services + other.services,
            self.statuses + other.statuses,
            self.targets + other.targets,
            self.agents + other.agents,
        )

    def shown(self) -> dict[str, object]:
        """The shape of `GET /__counts`."""
        parts = {name: dict(getattr(self, name)) for name in ("routes", "services", "statuses", "targets", "agents")}
        return {"total": self.total, **parts}


class Metrics:
    """One node's series of requests; what happened becomes visible at the next flush."""

    def __init__(self, flush: float) -> None:
        self._flush = flush
        self._counters: dict[str, Counter[Labels]] = {REQUESTS: Counter(), BANDWIDTH: Counter()}
        self._latencies: dict[tuple[str, Labels], Histogram] = {}
        self._visible: Mapping[str, Sequence[str]] = {}
        self._flushing: asyncio.TimerHandle | None = None

    def request(self, service: str, route: str, code: int, source: str, consumer: str) -> None:
        """One answer, made by the `service` or by `kong` itself."""
        self._count(REQUESTS, 1, service, route, consumer, code=str(code), source=source)

    def bandwidth(self, service: str, route: str, consumer: str, received: int, sent: int) -> None:
        """The bytes of one request and its answer."""
        for direction, size in (("ingress", received), ("egress", sent)):
            if size:
                self._count(BANDWIDTH, size, service, route, consumer, direction=direction)

    def latency(self, name: str, service: str, route: str, milliseconds: float) -> None:
        key = (name, (("service", service), ("route", route), WORKSPACE))
        histogram = self._latencies.get(key)
        if histogram is None:
            bounds = KONG_BUCKETS if name == "kong_kong_latency_ms" else REQUEST_BUCKETS
            histogram = self._latencies[key] = Histogram(bounds, [0] * (len(bounds) + 1))
        histogram.add(milliseconds)
        self._changed()

    def shown(self) -> Mapping[str, Sequence[str]]:
        """The series in Prometheus' text format, by metric."""
        return self._visible

    def _count(self, name: str, by: int, service: str, route: str, consumer: str, **more: str) -> None:
        own = (("service", service), ("route", route), *more.items())
        self._counters[name][*own, WORKSPACE, ("consumer", consumer)] += by
        self._changed()

    def _changed(self) -> None:
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(self._flush, self._flushed)

    def _flushed(self) -> None:
        self._flushing = None
        visible: dict[str, list[str]] = {}
        for name, counter in self._counters.items():
            visible[name] = [series(name, labels, count) for labels, count in sorted(counter.items())]
        for (name, labels), histogram in sorted(self._latencies.items(), key=lambda item: item[0]):
            visible.setdefault(name, []).extend(histogram.lines(name, labels))
        self._visible = visible


def series(name: str, labels: Labels, value: object) -> str:
    """One line of Prometheus' text format."""
    told = ",".join(f'{label}="{text}"' for label, text in labels)
    return f"{name}{{{told}}} {value}" if told else f"{name} {value}"
