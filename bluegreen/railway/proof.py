"""Does the release answer as itself? Asked on the way that users take, because SUCCESS is Railway's word alone.

Who asks is given from outside: this room knows no gateway. A few good answers in a row count, one could be luck; the
gateway needs some seconds for a new address. It deliberately changes nothing.
"""

from collections.abc import Awaitable, Callable

from bluegreen.http import ApiError
from bluegreen.railway.patience import Patience
from bluegreen.railway.spec import ServiceSpec

# The release that answered well, or None; and what was seen. Raises ApiError where the gateway gave no answer at all.
Answers = Callable[[ServiceSpec], Awaitable[tuple[str | None, str]]]
ENOUGH = 3  # good answers in a row
WITHIN = 60  # seconds, once the deployment before is gone


async def unlike_itself(spec: ServiceSpec, answers: Answers, patience: Patience) -> str:
    """Empty once the service answers as its release; else what was seen last.

    Raises:
        ApiError: the gateway gave no answer at all, which says nothing about the release.
    """
    # While both run, both may be met: the one before still answers under the same name.
    patience, agreeing = patience.at_most(WITHIN + spec.release.overlap_seconds), 0
    while agreeing < ENOUGH:
        silent: ApiError | None = None
        try:
            release, seen = await answers(spec)
        except ApiError as problem:
            release, seen, silent = None, problem.what, problem
        agreeing = agreeing + 1 if release == spec.release_id else 0
        if agreeing:
            continue
        if patience.over:
            if silent is not None:
                raise silent
            return seen.rstrip(".")
        await patience.ctx.status(f"{spec.name}: waiting for its answer: {seen}")
        await patience.pause(patience.poll)
    return ""
