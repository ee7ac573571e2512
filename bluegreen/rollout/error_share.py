"""The share of errors among counted requests, judged by the exact binomial test.

Two windows are looked at: the whole run, which knows most, and the last minute, so that a release that turns bad late
is not covered by its good beginning. It fails at once when a true share at the bar would explain so many errors less
than once in a thousand times (ALPHA), and never with fewer than 3 errors. It passes only at the end, only with
`minRequests`, and only when even the upper bound of the true share (Clopper and Pearson, 95 %) keeps the bar.

How often a release with 0.5 % errors is failed wrongly against a bar of 1 %, looked at every 2 s, every look being one
more chance; the first two columns are exact sums over all courses a run can take, the last is drawn:

    rps   30 s in all   an hour, the whole run alone   10 minutes, both windows (60,000 runs; 20,000 for 5 and 20)
      1      0.0105 %                       0.0212 %                                                      0.027 %
      5      0.0103 %                       0.0111 %                                                      0.015 %
     20      0.0060 %                       0.0060 %                                                      0.000 %

so the whole run needs no correction for the number of its looks: they share nearly all their requests. The last minute
does: without one, a run of 60 minutes at 1 rps was failed wrongly in 0.275 % of the cases. Its ALPHA is divided by
the minutes that the analysis lasts, which changes nothing up to 60 s.

When the live colour breaks its bar in the same window as well, the candidate is to blame only if it is worse by more
than luck: of all errors, its part is compared with its part of the requests. Otherwise the environment fails, and the
verdict is `inconclusive`. Whether live's bar is broken is asked more softly (LIVE_ALPHA): both colours cross their bar
at different looks by luck alone, and when 5 % failed on both at 20 rps, the candidate was blamed in 45 % of 3,000 runs
with ALPHA and in 17 % with LIVE_ALPHA, while of candidates with 5 % beside a live colour with 0.5 % only 0.3 % were
excused. It deliberately assumes that errors are independent; where they come in bursts, a bar or
`minRequests` has to leave room for one.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from bluegreen.analysis import Analysis, Look, Metric, Seen, Verdict
from bluegreen.rollout.binomial import CERTAINTY, breaks, upper_bound
from bluegreen.rollout.percentile import since
from bluegreen.rollout.ruling import Finding, Track, window

ALPHA = 1e-3
LIVE_ALPHA = 0.05
LEAST_ERRORS = 3
LAST = timedelta(seconds=60)
NONE = Seen()


@dataclass(frozen=True, slots=True)
class Counted:
    """What both sides counted until then, since the analysis began."""

    at: timedelta
    candidate: Seen
    live: Seen | None


@dataclass(frozen=True, slots=True)
class Window:
    """What both sides counted in a stretch of time, and how strict its test is."""

    candidate: Seen
    live: Seen | None
    alpha: float
    called: str


class ErrorShare(Track):
    """Fails when the share of errors is above its bar beyond luck; passes when it is below it beyond luck."""

    def __init__(self, app: str, metric: Metric, analysis: Analysis) -> None:
        super().__init__(app, metric, analysis)
        self._bar = (metric.threshold_range.max or 0.0) / 100
        self._counted: deque[Counted] = deque()  # the newest that is a minute old, and all since

    def rule(self, look: Look, elapsed: timedelta) -> Finding:
        live = None if look.live is None or look.live.error else look.live
        self._counted.append(Counted(elapsed, look.candidate, live))
        while len(self._counted) > 1 and self._counted[1].at <= elapsed - LAST:
            self._counted.popleft()
        for stretch in self._windows():
            if self._breaks(stretch.candidate, stretch.alpha):
                return self._broken(stretch)
        return self._finding(None, next(self._windows()))

    def end(self) -> Finding | None:
        if not self._counted or not self._counted[-1].candidate.requests:
            return None
        run = next(self._windows())
        least = self.analysis.min_requests
        if run.candidate.requests < least:
            return self._finding("inconclusive", run, f"it needs {least:,} requests to pass")
        if upper_bound(run.candidate.errors, run.candidate.requests) > self._bar:
            return self._finding("inconclusive", run, "too few requests to be certain that the bar is kept")
        return self._finding("pass", run)

    def _windows(self) -> Iterator[Window]:
        """The whole run, then the last minute where the run is longer."""
        now, old = self._counted[-1], self._counted[0]
        yield Window(now.candidate, now.live, ALPHA, window(now.at))
        if old is not now and old.at <= now.at - LAST:
            live = now.live and old.live and since(now.live, old.live)
            alpha = ALPHA / max(1.0, self.analysis.duration / LAST)
            yield Window(since(now.candidate, old.candidate), live, alpha, window(now.at - old.at, "in the last"))

    def _breaks(self, seen: Seen, alpha: float) -> bool:
        return seen.errors >= LEAST_ERRORS and breaks(seen.errors, seen.requests, self._bar, alpha)

    def _broken(self, stretch: Window) -> Finding:
        live = stretch.live or NONE
        if not self._breaks(live, LIVE_ALPHA) or _worse(stretch.candidate, live, stretch.alpha):
            return self._finding("fail", stretch, "luck is no explanation")
        beside = f"{percent(live.errors / live.requests)} of {live.requests:,} requests on the live colour failed too"
        return self._finding("inconclusive", stretch, f"{beside}: the environment fails, not this release alone")

    def _finding(self, verdict: Verdict | None, stretch: Window, because: str = "") -> Finding:
        bad, requests = stretch.candidate.errors, stretch.candidate.requests
        if not requests:
            return Finding(verdict, f"no request yet {stretch.called}", because)
        bound = upper_bound(bad, requests)
        told = (
            f"{percent(bad / requests)} of {requests:,} request{'s' * (requests != 1)} (bar {100 * self._bar:g} %, "
            f"at most {percent(bound, math.ceil)} with {100 * CERTAINTY:g} % certainty) {stretch.called}"
        )
        return Finding(verdict, told, because, requests, 100 * bad / requests, 100 * bound)


def _worse(candidate: Seen, live: Seen, alpha: float) -> bool:
    """Whether the candidate's part of all errors is more than its part of all requests, beyond luck."""
    part = candidate.requests / (candidate.requests + live.requests)
    return breaks(candidate.errors, candidate.errors + live.errors, part, alpha)


def percent(share: float, rounded: Callable[[float], float] = round) -> str:
    """Two digits that say something: 0.17 %, 5.3 %, 42 %; a bound is rounded up, so that it stays one."""
    value = 100 * share
    if not value:
        return "0 %"
    unit = 10.0 ** (min(math.floor(math.log10(value)), 1) - 1)
    return f"{float(f'{rounded(round(value / unit, 6)) * unit:.6g}'):g} %"
