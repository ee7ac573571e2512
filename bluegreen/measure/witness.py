"""Is a change of the gateway in force? A witness answers with the gateway's id, and was written last.

A gateway rebuilds its routes and plugins worker by worker, up to seconds after a write was answered (0.2 to 5.0 s on
Kong 3.9.1), and does not tell how far it is. A route whose path holds the id, answered by a plugin whose text is the
id, shows both: whoever answers it has everything that was written before it.
"""

from datetime import timedelta

from bluegreen.handler import Context
from bluegreen.http import ApiError, Client

AGAIN = 0.1  # seconds before another question, after an answer of an older gateway


async def in_force(gateway: Client, path: str, id: str, *, answers: int, patience: timedelta, ctx: Context) -> str:
    """Empty once so many answers in a row, each over a new connection, were this id; else what was seen last.

    Args:
        answers: so many that no worker was missed by chance.
        patience: the longest a change may take to be in force everywhere.
    """
    agreeing, end = 0, ctx.now() + patience
    while True:
        seen = await _asked(gateway, path, id)
        agreeing = 0 if seen else agreeing + 1
        if agreeing == answers:
            return ""
        if seen:
            if ctx.now() >= end:
                return seen
            await ctx.sleep(AGAIN)


async def _asked(gateway: Client, path: str, id: str) -> str:
    try:
        async with gateway.fresh() as line:
            answer = await gateway.probe(path, client=line)
    except ApiError as problem:
        return problem.what.rstrip(".")
    said = answer.json.get("message") if isinstance(answer.json, dict) else None
    return "" if answer.status == 200 and said == id else f"{path} answered {answer.status} {said or ''}".rstrip()
