"""The one sentence that a report begins with: was it shipped, was it caught, who moved it back, how fast."""

from collections.abc import Sequence

from bluegreen.report.said import lasted
from bluegreen.report.story import MonitorTold, MoveTold, Standing


def verdict(moves: Sequence[MoveTold], watches: Sequence[MonitorTold]) -> tuple[Standing, str]:
    """How the release stands by its last move, and the sentence about it."""
    real = [each for each in moves if each.way != "repair"]
    if not real:
        return "empty", "Nothing is written down about a move of this release."
    last = real[-1]
    if last.ended is None:
        return "unfinished", "The record ends in the middle of a move: where traffic is, bluegreen status says."
    if last.way == "rollback":
        return _rolled_back(last, real)
    if last.verdict == "passed":
        return _shipped(last, watches)
    return _undone(last)


def _shipped(last: MoveTold, watches: Sequence[MonitorTold]) -> tuple[Standing, str]:
    assert last.ended is not None
    judged = len(last.decisions)
    passed = f", after {judged} {'analysis' if judged == 1 else 'analyses'} that passed" if judged else ""
    took = lasted((last.ended - last.began).total_seconds())
    after = " A monitor found it failing afterwards." if failing(last, watches) else ""
    first = all(leg.way == "first" for leg in last.legs) and bool(last.legs)
    way = "Shipped for the first time" if first else "Shipped"
    return "shipped", f"{way} in {took}{passed}.{after}"


def failing(last: MoveTold, watches: Sequence[MonitorTold]) -> bool:
    """Whether the last monitor since the last move began came to a bad end."""
    after = [watch for watch in watches if watch.began >= last.began]
    return bool(after) and after[-1].verdict == "fail"


def _undone(last: MoveTold) -> tuple[Standing, str]:
    caught = last.verdict == "rejected"
    what, where = "Caught" if caught else "Stopped", _where(last)
    if last.highest == 0:
        known = last.legs and all(each.share == "preview" for each in last.decisions)
        users = ": no users were on it" if known else ", and how many users were on it is not in the record"
        return "caught" if caught else "stopped", f"{what} {where}{users}."
    if last.left:
        return "failed", f"{what} {where}, and no way back is written down: where traffic is, bluegreen status says."
    back = f"moved back in {lasted(last.back)}" if last.back is not None else "moved back"
    return "caught" if caught else "stopped", f"{what} {where} and {back}."


def _where(last: MoveTold) -> str:
    share = next((each.share for each in reversed(last.decisions) if each.verdict != "pass"), "")
    if share == "preview":
        return "in the preview"
    if not share and last.highest == 0:
        return "before the first step"
    return f"at {share or f'{last.highest} %'}"


def _rolled_back(last: MoveTold, real: Sequence[MoveTold]) -> tuple[Standing, str]:
    assert last.ended is not None
    if last.verdict != "passed":
        return "failed", "A rollback did not arrive: where traffic is, bluegreen status says."
    took = lasted((last.ended - last.began).total_seconds())
    shipped = [each.ended for each in real[:-1] if each.verdict == "passed" and each.way != "rollback" and each.ended]
    if not shipped:
        return "rolledBack", f"Rolled back in {took}."
    later = lasted((last.began - shipped[-1]).total_seconds())  # whether it was live all that time is not known
    return "rolledBack", f"Rolled back in {took}, {later} after it was shipped."
