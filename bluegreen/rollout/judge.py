"""The judge: looks go in, a verdict comes out as soon as there is one. Pure: it asks nobody and reads no clock.

    errors             the exact binomial test on pooled counts             `error_share`, `binomial`
    latency, overhead  a percentile of enough samples, breaks in a row      `bars`, `percentile`
    value              a number against its bar, breaks in a row            `bars`

One metric that fails, cannot be measured or cannot be told from its environment ends the analysis at once: nothing it
could still see would make it pass, and traffic should not wait on it. `pass` is said at the last look only, and never
of an analysis that was stopped early. A metric on `dryRun` is ruled and told like the others, and decides nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bluegreen.analysis import Analysis, Look, Seen, Verdict
from bluegreen.rollout.bars import Answered, Percentile
from bluegreen.rollout.error_share import ErrorShare
from bluegreen.rollout.ruling import Ruling, Track, nothing, ruled, window, worst

KINDS: Mapping[str, type[Track]] = {
    "errors": ErrorShare,
    "latency": Percentile,
    "overhead": Percentile,
    "value": Answered,
}
UNASKED = Seen(error="it was not looked at")


@dataclass(frozen=True, slots=True)
class Decision:
    """What the looks so far add up to; the verdict is None while the analysis goes on."""

    verdict: Verdict | None
    rulings: Sequence[Ruling]
    sentence: str


class Judge:
    """Judges one analysis from its first look to its last; a new analysis takes a new judge."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._metrics = {metric.name: metric for metric in analysis.metrics}
        self._tracks: dict[tuple[str, str], Track] = {}

    def look(self, looks: Sequence[Look], elapsed: timedelta, *, last: bool) -> Decision:
        """What these looks, `elapsed` after the analysis began, add to all before them.

        Args:
            looks: one for each app and metric, counted since the analysis began.
            last: nothing follows, so there has to be a verdict.
        """
        now = {(look.app, look.metric): look for look in looks}
        for key in now.keys() - self._tracks.keys():
            metric = self._metrics[key[1]]
            self._tracks[key] = KINDS[metric.measures](key[0], metric, self._analysis)
        order = [*now, *(key for key in self._tracks if key not in now)]
        rulings = [self._tracks[key].look(now.get(key) or Look(*key, UNASKED), elapsed, last=last) for key in order]
        if last:
            unseen = [metric for metric in self._analysis.metrics if metric.name not in {key[1] for key in order}]
            rulings += [ruled("", metric, nothing(self._analysis, elapsed)) for metric in unseen]
        return self._decided(rulings, elapsed, last=last)

    def _decided(self, rulings: Sequence[Ruling], elapsed: timedelta, *, last: bool) -> Decision:
        binding = [ruling for ruling in rulings if not ruling.dry_run]
        verdicts = [ruling.verdict for ruling in binding if ruling.verdict is not None]
        against = [verdict for verdict in verdicts if verdict != "pass"]
        if not last and not against:
            return Decision(None, rulings, _said(rulings) or f"nothing is judged {window(elapsed)}: goes on")
        if against:
            verdict = worst(against)
            return Decision(verdict, rulings, _said([ruling for ruling in binding if ruling.verdict == verdict]))
        if self._early(elapsed):
            of = window(self._analysis.duration, "of")
            stopped = f"stopped {window(elapsed, 'after')} {of}: inconclusive"
            return Decision("inconclusive", rulings, "; until then ".join(filter(None, (stopped, _said(rulings)))))
        if not binding:
            why = "every metric is a dry run" if rulings else "the analysis has no metric"
            return Decision("pass", rulings, f"nothing was judged, {why}: pass")
        return Decision("pass", rulings, _said(binding))

    def _early(self, elapsed: timedelta) -> bool:
        # The last look may come a little before its time, never an interval before it.
        return elapsed <= self._analysis.duration - self._analysis.interval


def _said(rulings: Sequence[Ruling]) -> str:
    return "; ".join(ruling.sentence for ruling in rulings)
