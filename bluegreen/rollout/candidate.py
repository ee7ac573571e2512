"""Is a colour itself, and well? Asked through the gateway, past the weights, the way that users take."""

from collections.abc import Collection
from datetime import timedelta

from bluegreen.handler import Halt
from bluegreen.http import ApiError
from bluegreen.rollout.spec import Probe
from bluegreen.rollout.step import Tools
from bluegreen.spec import Colour

ENOUGH = 3  # good answers in a row: one alone could be luck
AGAIN = 0.25  # seconds before another question, after an answer that was not good


class Asked(Halt):
    """Somebody asked to stop, or whoever started this is gone."""


def go_on(tools: Tools) -> None:
    """Raises `Asked` once somebody wants this to end."""
    if tools.ctx.cancelled or tools.ctx.orphaned:
        raise Asked("The update was stopped on request.", world="", next="Run pulumi up again when ready.")


async def answers(
    app: str,
    colour: Colour,
    release: str,
    probe: Probe,
    tools: Tools,
    patience: float,
    *,
    stoppable: bool = True,
    unmarked: Collection[Colour] = (),
) -> str:
    """Empty once this colour answers as its release, a few times in a row; else what was seen last.

    Not `stoppable`: whoever wants this to end waits until it is known, as on a way back. A colour in `unmarked` is
    somebody else's deployment, which names no release: that it answers at all is what it can be asked.

    Raises:
        Asked: somebody wants this to end.
        ApiError: the gateway gave no answer at all, which says nothing about the release.
    """
    headers = {name: values[colour] for name, values in probe.headers.items() if colour in values}
    end, agreeing = tools.ctx.now() + timedelta(seconds=patience), 0
    while agreeing < ENOUGH:
        if stoppable:
            go_on(tools)
        silent: ApiError | None = None
        try:
            answered, seen = await tools.ask(probe.path, headers, probe.release_header)
        except ApiError as problem:
            answered, seen, silent = None, problem.what, problem
        well = answered is not None if colour in unmarked else answered == release
        agreeing = agreeing + 1 if well else 0
        if agreeing:
            continue
        if tools.ctx.now() >= end:
            if silent is not None:
                raise silent
            return seen
        await tools.ctx.status(f"{app}: waiting for {colour}: {seen}")
        await tools.ctx.sleep(AGAIN)
    return ""
