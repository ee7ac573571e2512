"""Whoever judges a run: each says after how many seconds it gives the release up, or that it never does.

Ours is the real `bluegreen.rollout.judge.Judge`, asked every 2 s. The others are the rules of the controllers, not the
controllers themselves: a measurement fails when the share of errors in its own interval is above the bar; Argo Rollouts
ends when more than `failureLimit` of them failed, Flagger when `threshold` of them did. Both count over the whole run.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

from benchmarks.judge.streams import SECONDS, Run
from bluegreen.analysis import Analysis, KongDeltas, Look, Metric, Seen, ThresholdRange, Verdict
from bluegreen.rollout.binomial import breaks
from bluegreen.rollout.judge import Judge

BAR = 1.0  # percent
EVERY = 2  # seconds between two looks of ours
WINDOW = 60  # seconds: ours looks at the last minute beside the whole run
SUSPICIOUS = 1e-2  # ten times what ours fails at

Contender = Callable[[Run], float | None]


def metric() -> Metric:
    return Metric(name="errors", kong=KongDeltas(), threshold_range=ThresholdRange(max=BAR))


def ours(run: Run, seconds: int = SECONDS) -> tuple[Verdict, float]:
    """The judge's verdict on the first so many seconds of a run, and when it was reached."""
    judge = Judge(Analysis(metrics=[metric()], duration=timedelta(seconds=seconds), interval=timedelta(seconds=EVERY)))
    at = 0
    verdict: Verdict | None = None
    while verdict is None:
        at += EVERY
        look = Look("app", "errors", Seen(run.requests(at), run.errors(at)))
        verdict = judge.look([look], timedelta(seconds=at), last=at >= seconds).verdict
    return verdict, float(at)


def suspicious(run: Run) -> bool:
    """Whether ours could fail this run at all: some look has a tenth of the evidence that a failure takes.

    Only the look after an error can bring new evidence. A run without any is not replayed look by look; that spares 98
    of 100 healthy ones.
    """
    for at in {(place // (run.release.rps * EVERY) + 1) * EVERY for place in run.failed}:
        errors, requests = run.errors(at), run.requests(at)
        if breaks(errors, requests, BAR / 100, SUSPICIOUS):
            return True
        if at > WINDOW:
            errors, requests = errors - run.errors(at - WINDOW), requests - run.requests(at - WINDOW)
            if breaks(errors, requests, BAR / 100, SUSPICIOUS):
                return True
    return False


def counting(run: Run, *, interval: int, failures: int) -> float | None:
    """When so many measurements, each of its own interval, have failed."""
    failed = before = 0
    for at in range(interval, SECONDS + 1, interval):
        errors = run.errors(at)
        failed += 100 * (errors - before) > BAR * interval * run.release.rps
        if failed >= failures:
            return float(at)
        before = errors
    return None


PEERS: Mapping[str, Contender] = {
    "argo-10s-limit-2": partial(counting, interval=10, failures=3),
    "argo-60s-limit-2": partial(counting, interval=60, failures=3),
    "flagger-60s-threshold-5": partial(counting, interval=60, failures=5),
}
