"""Watching one deployment until it ended well, badly, or not in time.

It polls the deployment that was started, by its id: the service's latest one lags behind, and may be somebody else's.
Railway being out of reach for a while ends nothing: the deployment goes on without being watched. Only where Railway
asks for a longer silence than there is time for is that told at once.
It deliberately judges no image and no manifest: see `deployment.py`.
"""

from dataclasses import dataclass
from typing import Literal

from bluegreen.http import ApiError, NotFound, RateLimited
from bluegreen.railway.answers import passing
from bluegreen.railway.api import Railway
from bluegreen.railway.deployment import Deployment, End
from bluegreen.railway.patience import Patience

How = End | Literal["stuck", "overdue", "cancelled", "orphaned"]
STUCK = 150  # polls (5 minutes at 2 s) after which INITIALIZING is taken for stuck
SLOWEST = 5  # polls: the pause between two looks grows from one to this
GROWTH = 1.5


@dataclass(frozen=True, slots=True)
class Watched:
    """How a deployment ended, and the way there; `deployment` is None when it was never seen."""

    how: How
    deployment: Deployment | None
    statuses: tuple[str, ...]
    seconds: float

    @property
    def status(self) -> str:
        return self.statuses[-1] if self.statuses else "unknown"

    def __str__(self) -> str:
        return f"{' → '.join(self.statuses) or 'never seen'} in {self.seconds:.0f} s"


async def watch(railway: Railway, id: str, name: str, patience: Patience) -> Watched:
    """Poll until the deployment ended, is stuck, the time is up, or somebody asked to stop."""
    ctx, began, pause = patience.ctx, patience.ctx.now(), patience.poll
    seen: Deployment | None = None
    statuses: tuple[str, ...] = ()

    def elapsed() -> float:
        return (ctx.now() - began).total_seconds()

    while True:
        wait = pause
        try:
            seen = await railway.deployment_poll(id)
        except NotFound:
            await ctx.status(f"{name}: deployment {id} is not listed yet")
        except ApiError as problem:
            if not passing(problem):
                raise
            await ctx.status(f"{name}: still watching. {problem.what}")
            if isinstance(problem, RateLimited) and problem.retry_after and not patience.over:
                try:
                    await patience.wait(problem, pause)
                except RateLimited:
                    if not patience.over:
                        raise
                wait = 0.0
        if seen is not None:
            if seen.status != (statuses[-1] if statuses else None):
                statuses = (*statuses, seen.status)
                pause = wait = patience.poll
            if seen.end is not None:
                return Watched(seen.end, seen, statuses, elapsed())
            await ctx.status(f"{name}: deployment {id} {seen.status} for {elapsed():.0f} s")
            if statuses == ("INITIALIZING",) and elapsed() > STUCK * patience.poll:
                return Watched("stuck", seen, statuses, elapsed())
        if patience.over:
            how: How = "cancelled" if ctx.cancelled else "orphaned" if ctx.orphaned else "overdue"
            return Watched(how, seen, statuses, elapsed())
        await patience.pause(railway.budget.pace(wait, ctx.now()))
        pause = min(pause * GROWTH, patience.poll * SLOWEST)
