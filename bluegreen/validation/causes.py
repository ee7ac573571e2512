"""Who else tells of what a check of the config met: one fault is one finding, and its remedy stands there.

A check whose answer is explained by what another check fails for is skipped and says by which. Only what was seen to be
so counts: a consumer whose key Kong does not take, a route on which nobody is asked for a key, a row of Kong that is
not as declared, somebody who waits for a lock while the app does not answer. It deliberately explains nothing that no
check of this run tells.
"""

from bluegreen.handler import Halt
from bluegreen.http import Answer
from bluegreen.measure.checks import Result
from bluegreen.measure.spec import CLOSED, Check
from bluegreen.validation.astray import nowhere
from bluegreen.validation.check import Room, Skip
from bluegreen.validation.consumers import consumer_keys
from bluegreen.validation.endpoints import keyless
from bluegreen.validation.sessions import waits
from bluegreen.validation.ways import by_kong


async def told_by(room: Room, check: Check, result: Result, answer: Answer | None) -> str:
    """Why this check says nothing of its own, as another one tells; empty where it does."""
    if result.status != "fail":
        return ""
    try:
        if answer is None:
            return await _late(room, result)
        return await _turned_away(room, check, answer) if by_kong(answer) else await _let_in(room, check)
    except (Skip, Halt):  # whoever would tell cannot be asked
        return ""


async def _late(room: Room, result: Result) -> str:
    """None in time."""
    if "database-locks" in room.telling and await waits(room):
        return f"{result.observed} while somebody waits for a lock, as database-locks tells"
    return ""


async def _let_in(room: Room, check: Check) -> str:
    """The app answered, and the gateway was to."""
    if check.consumer is not None or check.expect.status not in CLOSED or "key-required" not in room.telling:
        return ""
    is_open = any(each.app == check.app and each.status == "fail" for each in (await keyless(room)).values())
    return "nobody is asked for a key there, as key-required tells" if is_open else ""


async def _turned_away(room: Room, check: Check, answer: Answer) -> str:
    """The gateway answered, and the app was to."""
    if answer.status in CLOSED and check.consumer is not None and "consumer-key" in room.telling:
        taken = next((each for each in await consumer_keys(room) if each.about == check.consumer), None)
        if taken is not None and not taken.ok and taken.status is None:
            return f"the key of {check.consumer} is turned away, as consumer-key tells"
    return await nowhere(room, check.app, answer)
