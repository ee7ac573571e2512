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
    failed = [watch for watch in watches if watch.verdict == "fail"]
    after = " A monitor found it failing afterwards." if failed else ""
    first = all(leg.way == "first" for leg in last.legs) and bool(last.legs)
    way = "Shipped for the first time" if first else "Shipped"
    return "shipped", f"{way} in {took}{passed}.{after}"


def _undone(last: MoveTold) -> tuple[Standing, str]:
    caught = last.verdict == "rejected"
    nobody = last.highest == 0
    where = _where(last)
    if nobody:
        what = "Caught" if caught else "Stopped"
        return "caught" if caught else "stopped", f"{what} {where}: no users were on it."
    back = f"moved back in {lasted(last.back)}" if last.back is not None else "moved back"
    if last.back is None and "could not be taken back" in last.text:
        return "failed", f"Caught {where}, and not moved back: somebody has to look."
    return "caught" if caught else "stopped", f"{'Caught' if caught else 'Stopped'} {where} and {back}."


def _where(last: MoveTold) -> str:
    share = next((each.share for each in reversed(last.decisions) if each.verdict != "pass"), "")
    if share == "preview":
        return "in the preview"
    return f"at {share or f'{last.highest} %'}"


def _rolled_back(last: MoveTold, real: Sequence[MoveTold]) -> tuple[Standing, str]:
    assert last.ended is not None
    if last.verdict != "passed":
        return "failed", "A rollback did not arrive: where traffic is, bluegreen status says."
    took = lasted((last.ended - last.began).total_seconds())
    shipped = next((each for each in reversed(real[:-1]) if each.verdict == "passed" and each.ended is not None), None)
    if shipped is None or shipped.ended is None:
        return "rolledBack", f"Rolled back in {took}."
    lived = lasted((last.began - shipped.ended).total_seconds())
    return "rolledBack", f"Rolled back in {took}, after {lived} in which it was live."
