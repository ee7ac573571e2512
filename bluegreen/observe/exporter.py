"""What a monitor sees, laid out for Prometheus to fetch: `/metrics` on loopback, while the monitor runs.

Blackbox_exporter's names where it has one for the same thing, ours for what only we know (`series.py`). Every answer is
made of what was seen last, so what is gone from the world is gone from the page: a colour that was taken out, a release
that serves no more. Nothing of a request but its endpoint's name is on it, no address and no sentence: those may hold
anything. It deliberately asks nobody: what it shows, a monitor has told it.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from bluegreen.handler import Refused
from bluegreen.journal import AnyEntry, Beat, Looked, Pulse, Weighed
from bluegreen.observe import series
from bluegreen.spec import COLOURS, Colour

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

LOOPBACK = "127.0.0.1"
LEVELS = ("critical", "warning")  # an info is over as soon as it is told
PROBE = ("stack", "app", "endpoint", "way")
Labels = tuple[str, ...]


class Exporter:
    """Shows the last of everything it was told, on `http://host:port/metrics`, from `with` to its end.

    Args:
        owner: the stack as `project.stack`; it is on every series.
        live: the colour that the config wants for each app.
        port: 0 takes a free one, which `url` names.
    """

    def __init__(self, owner: str, live: Mapping[str, Colour], *, port: int = 0, host: str = LOOPBACK) -> None:
        self._owner, self._live = owner, dict(live)
        self._port, self._host = port, host
        self._lock = threading.Lock()  # Prometheus asks on a thread of its own
        self._last = Pulse()
        self._pulses = 0
        self._releases: dict[tuple[str, Colour], str] = {}
        self._weights: dict[str, Mapping[Colour, int]] = {}
        self._values: dict[Labels, float] = {}
        self._open: Sequence[str] = ()
        self._certificates: dict[str, float] = {}
        self._deadlines: dict[str, float] = {}
        self._rollbacks: dict[Labels, int] = {}
        self._served: Any = None

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            Refused: somebody else listens there, or nobody may.
        """
        from prometheus_client import start_http_server

        try:
            self._served = start_http_server(self._port, self._host, registry=self._registry())
        except (OSError, OverflowError) as problem:
            raise Refused(
                f"Nobody can listen on {self._host}:{self._port}: "
                f"{getattr(problem, 'strerror', None) or 'there is no such port'}.",
                world="Nothing was changed, and nothing is monitored.",
                next="Name another port after --listen, or 0 for any that is free.",
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening; the port is free once this returns."""
        if self._served is None:
            return
        (server, thread), self._served = self._served, None
        server.shutdown()
        server.server_close()
        thread.join()

    @property
    def url(self) -> str:
        """Where Prometheus fetches it."""
        port = self._served[0].server_port if self._served else self._port
        return f"http://{self._host}:{port}/metrics"

    def text(self) -> str:
        """The page, as Prometheus would get it: for a file that node_exporter picks up, or a test."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry()).decode()

    def note(self, entry: AnyEntry, releases: Mapping[str, str] | None = None) -> None:
        """Any entry of a record, as a journal takes it; what is not shown here is passed over."""
        match entry:
            case Pulse():
                self.pulse(entry)
            case Looked():
                with self._lock:
                    self._values |= {
                        (ruling.app, ruling.metric, entry.share): ruling.value
                        for ruling in entry.rulings
                        if ruling.value is not None
                    }
            case Weighed():
                with self._lock:
                    self._weights[entry.app] = dict(entry.weights)

    def pulse(self, pulse: Pulse, open: Sequence[str] = ()) -> None:
        """The last round of the monitor: its endpoints, its weights, the level of each alert that is open.

        It replaces the one before.
        """
        with self._lock:
            self._last, self._open = pulse, tuple(open)
            self._pulses += 1
            # An app that Kong did not answer for has no weight: an old one would say that all is well.
            self._weights = {app: dict(weights) for app, weights in pulse.weights.items()}
            for beat in pulse.beats:
                if beat.release is not None and (colour := self._answered(beat)) is not None:
                    self._releases[beat.app, colour] = beat.release

    def certificate(self, host: str, until: datetime) -> None:
        """When the first certificate of this host's chain expires."""
        with self._lock:
            self._certificates[host] = until.timestamp()

    def deadline(self, app: str, until: datetime | None) -> None:
        """Until when this app's rollback is one step; None where none is possible."""
        with self._lock:
            self._deadlines.pop(app, None)
            if until is not None:
                self._deadlines[app] = until.timestamp()

    def rolled_back(self, app: str, reason: str, result: str) -> None:
        """The monitor brought an app back: what broke, in one word (a metric's name), and `passed` or `failed`."""
        with self._lock:
            key = (app, reason, result)
            self._rollbacks[key] = self._rollbacks.get(key, 0) + 1

    def collect(self) -> Iterator["Metric"]:
        """Every family with its samples; prometheus_client asks for it, on a thread of its own."""
        with self._lock:
            families = [*self._probed(), *self._traffic(), *self._told()]
        yield from families

    def _answered(self, beat: Beat) -> Colour | None:
        """The colour that this answer came from, where that is sure."""
        if beat.way in COLOURS:
            return "blue" if beat.way == "blue" else "green"
        return _whole(self._weights.get(beat.app, {}))

    def _probed(self) -> Iterator["Metric"]:
        beats = {(beat.app, beat.endpoint, beat.way): beat for beat in self._last.beats}
        good = {key: float(not beat.fault) for key, beat in beats.items()}
        yield self._gauge(series.PROBE_SUCCESS, PROBE, good)
        times = {key: beat.ms / 1000 for key, beat in beats.items() if beat.ms is not None}
        yield self._gauge(series.PROBE_DURATION, PROBE, times)
        statuses = {key: float(beat.status or 0) for key, beat in beats.items()}
        yield self._gauge(series.PROBE_STATUS, PROBE, statuses)
        expiries = {(host,): until for host, until in self._certificates.items()}
        yield self._gauge(series.PROBE_CERTIFICATE, ("stack", "endpoint"), expiries)

    def _traffic(self) -> Iterator["Metric"]:
        by_colour = ("stack", "app", "colour")
        shares = {(app, colour): float(share) for app, each in self._weights.items() for colour, share in each.items()}
        yield self._gauge(series.WEIGHT, by_colour, shares)
        wanted = {
            (app, colour): 100.0 if colour == live else 0.0 for app, live in self._live.items() for colour in COLOURS
        }
        # Only what Kong has: a colour without a target weighs nothing, and is wanted by nobody.
        known = {key: share for key, share in wanted.items() if share or key in shares}
        yield self._gauge(series.WANTED, by_colour, known)
        active = {
            (app, colour, self._releases.get((app, colour), "")): 1.0
            for app, each in self._weights.items()
            if (colour := _whole(each)) is not None
        }
        yield self._gauge(series.ACTIVE, (*by_colour, "version"), active)

    def _told(self) -> Iterator["Metric"]:
        yield self._gauge(series.ANALYSIS, ("stack", "app", "metric", "share"), self._values)
        ends = {(app,): until for app, until in self._deadlines.items()}
        yield self._gauge(series.DEADLINE, ("stack", "app"), ends)
        counts = {(level,): float(self._open.count(level)) for level in LEVELS}
        yield self._gauge(series.ALERTS, ("stack", "level"), counts)
        seen = {(): self._last.at.timestamp()} if self._pulses else {}
        yield self._gauge(series.LAST_PULSE, ("stack",), seen)
        yield self._counter(series.PULSES, ("stack",), {(): self._pulses})
        yield self._counter(series.ROLLBACKS, ("stack", "app", "reason", "result"), self._rollbacks)

    def _gauge(self, name: str, labels: Labels, samples: Mapping[Any, float]) -> "Metric":
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(name, series.MEANINGS[name], labels=labels)
        for key, value in samples.items():
            family.add_metric((self._owner, *key), value)
        return family

    def _counter(self, name: str, labels: Labels, samples: Mapping[Any, float]) -> "Metric":
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(name, series.MEANINGS[name], labels=labels)
        for key, value in samples.items():
            family.add_metric((self._owner, *key), value)
        return family

    def _registry(self) -> "CollectorRegistry":
        from prometheus_client import CollectorRegistry

        registry = CollectorRegistry()
        registry.register(self)
        return registry


def _whole(weights: Mapping[Colour, int]) -> Colour | None:
    """The colour that carries all traffic; None while it is split, or nothing carries any."""
    carrying = [colour for colour, share in weights.items() if share > 0]
    return carrying[0] if len(carrying) == 1 else None
