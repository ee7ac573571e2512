"""A journey: checks that belong together, asked one after another as one person's doing, each with what came before.

A step takes over what earlier ones have captured (`${team}`), and is skipped where the one that captures it did not
pass. Cleanups are asked last, whatever failed and even by a journey that is cancelled, as long as what they need is
known: whoever made something takes it away. It deliberately repeats nothing, and knows no stack: its ways are given.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

from pydantic import JsonValue

from bluegreen.http import Answer
from bluegreen.measure.checks import Asker, NoWay, Result, Way, handed_secretly, within
from bluegreen.measure.spec import PLACE, RUN, Check

Scalar = str | int | float | bool
LAST = 10.0  # seconds that a cancelled journey has to take away what it made


async def walked(steps: Sequence[tuple[Check, Way | NoWay]], asker: Asker, run: str) -> list[Result]:
    """The result of every step, in the order in which they were given.

    Args:
        run: what `${run}` stands for.
    """
    walk = _Walk(asker, {RUN: run})
    cleanups = [step for step in steps if step[0].cleanup]
    try:
        for check, way in [*(step for step in steps if not step[0].cleanup), *cleanups]:
            await walk.step(check, way)
    except asyncio.CancelledError:
        async with asyncio.timeout(LAST):
            for check, way in cleanups:
                if check.name not in walk.results:
                    await walk.step(check, way)
        raise
    return [walk.results[check.name] for check, _ in steps]


class _Walk:
    """One journey under way: what is known so far, and what came of each step."""

    def __init__(self, asker: Asker, known: dict[str, Scalar]) -> None:
        self.results: dict[str, Result] = {}
        self._asker = asker
        self._known = known
        self._missed: dict[str, str] = {}  # why something is not known, or was captured by a step that did not pass

    async def step(self, check: Check, way: Way | NoWay) -> None:
        lacking = [
            name for name in check.places if name not in self._known or (name in self._missed and not check.cleanup)
        ]
        if lacking and isinstance(way, Way):
            way = NoWay("skipped", self._missed.get(lacking[0], f"${{{lacking[0]}}} is not known"))
        said = check if isinstance(way, NoWay) else filled(check, self._known)
        result, answer = await self._asker.answered(said, way)
        for name, path in check.capture.items():
            result = self._take(check, name, path, result, answer)
        self.results[check.name] = result

    def _take(self, check: Check, name: str, path: str, result: Result, answer: Answer | None) -> Result:
        """Keep what the answer hands on; a step that hands nothing on has not passed."""
        value = within(answer.json, path) if answer is not None and answer.status < 300 else None
        if isinstance(value, Scalar) and value != "":
            self._known[name] = value
            hidden = [text for text in handed_secretly(check, answer) if text] if answer else []
            self._asker = replace(self._asker, hidden=(*self._asker.hidden, *hidden))
        elif result.status == "pass":
            what = f"there is no text or number at {path}"
            result = result.model_copy(
                update={"status": "fail", "observed": what, "hint": f"Correct `capture` of {check.name}."}
            )
        if result.status != "pass":
            self._missed[name] = f"{check.name}, which captures ${{{name}}}, did not pass"
        return result


def filled(check: Check, known: Mapping[str, Scalar]) -> Check:
    """The check with what is known in its places."""
    return check.model_copy(
        update={
            "path": PLACE.sub(lambda place: quote(_text(known[place[1]]), safe=""), check.path),
            "headers": {name: str(_in(value, known)) for name, value in check.headers.items()},
            "body": _in(check.body, known),
            "expect": check.expect.model_copy(update={"json_": _in(check.expect.json_, known)}),
        }
    )


def _in(value: JsonValue, known: Mapping[str, Scalar]) -> JsonValue:
    """A value that is nothing but a place becomes what is known, a number a number; otherwise text in a text."""
    if isinstance(value, str):
        whole = PLACE.fullmatch(value)
        return known[whole[1]] if whole else PLACE.sub(lambda place: _text(known[place[1]]), value)
    if isinstance(value, list):
        return [_in(each, known) for each in value]
    if isinstance(value, dict):
        return {key: _in(each, known) for key, each in value.items()}
    return value


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
