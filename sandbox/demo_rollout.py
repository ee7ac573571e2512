"""How the demo moves traffic: its steps, and what has to be seen at each of them before the next.

The bar is 1 % of errors. To be 95 % certain that it is kept, an analysis needs 299 requests without a single error;
at 50 a second it sees 500 in 10 s, which leaves room for a machine that is busy. 5 % of errors are told from luck after
some 140 requests. Before any traffic moves, a look at the preview route asks for less: does it
work at all, and does it answer in time? A team's own numbers would be ten times as patient and a tenth as loud.

Deliberately not here: what any of it means (`docs/configuration.md`), and the story (`sandbox.demo_story`).
"""

from collections.abc import Mapping
from typing import Any

RPS, SECONDS, ENOUGH = 50, 10, 300  # probes a second to each colour; how long each step is watched


def errors(percent: float, rps: int) -> dict[str, Any]:
    """The share of errors among probes, in percent."""
    return {"name": "errors", "probe": {"rps": rps}, "thresholdRange": {"max": percent}}


def latency(percentile: int, milliseconds: int, rps: int, tolerated: int = 0) -> dict[str, Any]:
    """How long so many percent of the answers take at most."""
    return {
        "name": "latency",
        "probe": {"rps": rps},
        "measures": "latency",
        "percentile": percentile,
        "thresholdRange": {"max": milliseconds},
        "failureLimit": tolerated,
    }


# A median needs 20 answers; at 20 a second those of a release that takes 2.5 s for each are there after 3.5 s.
WORKS = {
    "metrics": [errors(20, 20), latency(50, 1000, 20)],
    "duration": "4s",
    "interval": "1s",
    "minRequests": 30,
}
# What users themselves met, of both colours together: counted for the record, and judged by nobody.
USERS = {"name": "users", "kong": {}, "thresholdRange": {"max": 1}, "dryRun": True}
KEEPS = {
    "metrics": [errors(1, RPS), latency(90, 1000, RPS, tolerated=1), USERS],
    "duration": f"{SECONDS}s",
    "interval": "1s",
    "minRequests": ENOUGH,
}
ROLLOUT: Mapping[str, Any] = {
    "steps": [{"setWeight": weight} for weight in (5, 25, 100)],
    "prePromotionAnalysis": WORKS,
    "stepAnalysis": KEEPS,
    "postPromotionAnalysis": KEEPS,
}
