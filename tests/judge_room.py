"""What tests of the judge share: metrics, looks, and a whole run in one call."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from bluegreen.analysis import Analysis, Command, KongDeltas, Look, Metric, Probes, Seen, ThresholdRange
from bluegreen.rollout.judge import Decision, Judge

INF = float("inf")


def metric(name: str = "errors", most: float = 1.0, **given: Any) -> Metric:
    """A metric that counts requests: their errors, unless it is told otherwise."""
    source: dict[str, Any] = {"probe": Probes(rps=100)} if "allowed_increase" in given else {"kong": KongDeltas()}
    return Metric(name=name, **source, threshold_range=ThresholdRange(max=most), **given)


def value(name: str = "queue", **given: Any) -> Metric:
    """A metric whose source answers a number; `min` and `max` are its bar."""
    ends = {end: given.pop(end) for end in ("min", "max") if end in given}
    return Metric(name=name, command=Command(run=["depth"]), threshold_range=ThresholdRange(**ends), **given)


def analysis(*metrics: Metric, seconds: float = 30, every: float = 2, **given: Any) -> Analysis:
    """These metrics for so many seconds; no least number of requests, unless it is told otherwise."""
    span = {"duration": timedelta(seconds=seconds), "interval": timedelta(seconds=every)}
    return Analysis(metrics=metrics, **{"min_requests": 1, **span, **given})


def latencies(*contents: int, bounds: Sequence[float] = (100.0, 1000.0)) -> Seen:
    """So many samples within each bound, the last number beyond the last bound."""
    counts = [sum(contents[: place + 1]) for place in range(len(contents))]
    return Seen(counts[-1], 0, list(zip((*bounds, INF), counts, strict=True)))


def judged(
    wanted: Analysis,
    sees: Callable[[float], Seen],
    live: Callable[[float], Seen | None] = lambda _: None,
) -> list[Decision]:
    """Every decision of one run over the first metric of one app, until there is a verdict; asked by the second."""
    judge, name = Judge(wanted), wanted.metrics[0].name
    every, seconds = wanted.interval.total_seconds(), wanted.duration.total_seconds()
    decisions: list[Decision] = []
    at = 0.0
    while not decisions or decisions[-1].verdict is None:
        at = min(at + every, seconds)
        look = Look("backend", name, sees(at), live(at))
        decisions.append(judge.look([look], timedelta(seconds=at), last=at == seconds))
    return decisions
