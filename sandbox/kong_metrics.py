"""What a node counts, and how Prometheus reads it: Kong's metric names, labels and buckets.

Series appear as with the prometheus plugin: only for requests to which an enabled plugin applies with the matching
switch on, and a flush interval late. Beside them, `Counts` counts every request that a client sent, plugin or not; a
load report is compared with it.

Deliberately not here: bandwidth, per-consumer labels, nginx connections and memory.
"""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

REQUEST_BUCKETS = (25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10000, 30000, 60000)
KONG_BUCKETS = (1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000)
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


@dataclass
class Counts:
    """Every client request through the proxy, by its answer and its way."""

    total: int = 0
    routes: Counter[str] = field(default_factory=Counter)
    services: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.total + other.total,
            self.routes + other.routes,
            self.services + other.services,
            self.statuses + other.statuses,
            self.targets + other.targets,
        )

    def shown(self) -> dict[str, object]:
        """The shape of `GET /__counts`."""
        parts = {name: dict(getattr(self, name)) for name in ("routes", "services", "statuses", "targets")}
        return {"total": self.total, **parts}


class Metrics:
    """One node's Prometheus series; what happened becomes visible at the next flush."""

    def __init__(self, flush: float) -> None:
        self._flush = flush
        self._requests: Counter[Labels] = Counter()
        self._latencies: dict[tuple[str, Labels], Histogram] = {}
        self._visible: list[str] = []
        self._flushing: asyncio.TimerHandle | None = None

    def request(self, service: str, route: str, code: int, source: str) -> None:
        """One answer, made by the `service` or by `kong` itself."""
        self._requests[("service", service), ("route", route), ("code", str(code)), ("source", source)] += 1
        self._changed()

    def latency(self, name: str, service: str, route: str, milliseconds: float) -> None:
        key = (name, (("service", service), ("route", route)))
        histogram = self._latencies.get(key)
        if histogram is None:
            bounds = KONG_BUCKETS if name == "kong_kong_latency_ms" else REQUEST_BUCKETS
            histogram = self._latencies[key] = Histogram(bounds, [0] * (len(bounds) + 1))
        histogram.add(milliseconds)
        self._changed()

    def shown(self) -> list[str]:
        """The series in Prometheus' text format."""
        return self._visible

    def _changed(self) -> None:
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(self._flush, self._flushed)

    def _flushed(self) -> None:
        self._flushing = None
        self._visible = [*self._request_lines(), *self._latency_lines()]

    def _request_lines(self) -> Iterator[str]:
        if not self._requests:
            return
        yield "# HELP kong_http_requests_total HTTP status codes per consumer/service/route in Kong"
        yield "# TYPE kong_http_requests_total counter"
        for labels, count in sorted(self._requests.items()):
            yield f'kong_http_requests_total{{{labelled(labels)},workspace="default",consumer=""}} {count}'

    def _latency_lines(self) -> Iterator[str]:
        named = ""
        for (name, labels), histogram in sorted(self._latencies.items(), key=lambda item: item[0]):
            if name != named:
                named = name
                yield f"# TYPE {name} histogram"
            who, below = f'{labelled(labels)},workspace="default"', 0
            for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
                below += count
                yield f'{name}_bucket{{{who},le="{bound}"}} {below}'
            yield f"{name}_count{{{who}}} {below}"
            yield f"{name}_sum{{{who}}} {histogram.total:.0f}"


def labelled(labels: Labels) -> str:
    return ",".join(f'{name}="{value}"' for name, value in labels)
