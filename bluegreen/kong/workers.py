"""What every worker of every node holds of an upstream now: read, never waited for.

A proof (`KongGateway.prove`) waits until all agree; this looks until all were met, or its time is over, and tells who
was met and how each differs from what is stored. It deliberately judges nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

from bluegreen.gateway import Split
from bluegreen.kong.api import Kong
from bluegreen.kong.gateway import difference, enough

PAUSE = 0.02  # seconds after two calls that met two workers
UNTOLD = 2  # workers of a node that does not name them: what a small container has


@dataclass(frozen=True, slots=True)
class Met:
    """By node and worker, how it differs from what is stored: empty where it agrees. `answers` is how many were got."""

    workers: Mapping[tuple[str, int | None], str]
    answers: int

    @property
    def nodes(self) -> int:
        """How many nodes answered."""
        return len({node for node, _ in self.workers})

    @property
    def astray(self) -> tuple[str, ...]:
        """Everything that some worker holds otherwise, each once."""
        return tuple(dict.fromkeys(differs for differs in self.workers.values() if differs))


async def met(kong: Kong, split: Split, *, within: float, patience: float, nodes: int) -> Met:
    """Every worker of so many nodes, as far as they are met within so many seconds.

    Args:
        patience: seconds in which a change reaches everybody: so long, one that holds something else is asked again.

    Raises:
        ApiError: Kong does not answer.
    """
    found: dict[tuple[str, int | None], str] = {}
    began, answers, least = monotonic(), 0, enough(UNTOLD * nodes)
    while monotonic() < began + (max(within, patience) if any(found.values()) else within):
        sample = await kong.sample(split.upstream)
        if sample is None:
            await asyncio.sleep(PAUSE)
            continue
        answers += 1
        found[sample.node, sample.worker] = difference(sample, split)
        least = max(least, enough((sample.workers or UNTOLD) * nodes))
        counted = Counter(node for node, _ in found)
        # Some answers more than there are workers: a node that nobody told of is to be met as well.
        if answers >= least and len(counted) >= nodes and _all(counted, sample.workers) and not any(found.values()):
            break
    return Met(found, answers)


def _all(counted: Mapping[str, int], workers: int | None) -> bool:
    return workers is None or all(count >= workers for count in counted.values())
