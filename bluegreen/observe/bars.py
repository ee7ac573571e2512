"""What a stack's config calls too many errors and too slow: the bars of its own analyses, turned into alarms.

A metric that a rollout is judged by warns in everyday life as well; one that it only tells (`dryRun`) informs. Where
the config has no bar of a kind, the one that every analysis has by default stands in. Above all of them stands one that
nobody configures: more errors than that are critical, whoever is releasing. It deliberately takes counted metrics
alone: a number of somebody else's has a meaning of its own, and is shown as it was judged.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bluegreen.analysis import COUNTED, DEFAULTS, Analysis, Metric
from bluegreen.rollout.spec import Rollout
from bluegreen.settings import Settings

Measured = Literal["errors", "latency", "overhead"]
Severity = Literal["critical", "warning", "info"]

CRITICAL_ERRORS = 5.0  # percent
OVERHEAD = 50.0  # ms at the 95th percentile, where no metric says otherwise


@dataclass(frozen=True, slots=True)
class Bar:
    """More than `most` (percent of errors, else milliseconds at `percentile`) is worth an alarm of this severity."""

    name: str
    measures: Measured
    most: float
    percentile: float
    severity: Severity


def bars(settings: Settings) -> Sequence[Bar]:
    """Every bar of a stack, the gravest first; of the same kind and severity, only the first that is configured."""
    found: dict[tuple[str, str, str], Bar] = {}
    own = [_bar(metric) for metric in _metrics(settings.rollout)]
    for bar in (_critical(), *own, *map(_bar, DEFAULTS), _overhead()):
        aim = bar.name if bar.severity == "info" else ""
        found.setdefault((bar.measures, bar.severity, aim), bar)
    ranks = ("critical", "warning", "info")
    # An error bar above the critical one would only repeat it, later.
    kept = [bar for bar in found.values() if bar.severity == "critical" or bar.measures != "errors" or _below(bar)]
    return sorted(kept, key=lambda bar: ranks.index(bar.severity))


def _metrics(rollout: Rollout) -> Iterator[Metric]:
    """The counted ones of every analysis, what is asked of a whole release first."""
    around = (rollout.post_promotion_analysis, rollout.step_analysis, rollout.pre_promotion_analysis)
    analyses: Sequence[Analysis | None] = (*around, *(step.analysis for step in rollout.steps))
    for analysis in analyses:
        if analysis is not None:
            yield from (metric for metric in analysis.metrics if metric.source in COUNTED)


def _bar(metric: Metric) -> Bar:
    measures: Measured = "errors"
    if metric.measures in ("latency", "overhead"):
        measures = "latency" if metric.measures == "latency" else "overhead"
    severity: Severity = "info" if metric.dry_run else "warning"
    return Bar(metric.name, measures, metric.threshold_range.max or 0.0, metric.percentile, severity)


def _critical() -> Bar:
    return Bar("errors", "errors", CRITICAL_ERRORS, 95, "critical")


def _overhead() -> Bar:
    return Bar("overhead", "overhead", OVERHEAD, 95, "warning")


def _below(bar: Bar) -> bool:
    return bar.most < CRITICAL_ERRORS
