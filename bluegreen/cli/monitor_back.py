"""A failed watch's way back: the one by hand, with the monitor's word for a reason, and nobody there to press a key.

It is gone only where it is admissible and its target is well; what was decided and by which numbers stands in the
hold's reason. It deliberately adds nothing to how traffic goes back (`rollback_traffic.py`).
"""

from collections.abc import Sequence
from datetime import timedelta

from bluegreen.cli.rollback_traffic import Back, Wish, rollback_traffic
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.handler import Halt, Refused
from bluegreen.monitor.document import ReturnTold

GUARD = timedelta(seconds=3)  # that it is looked at whether it stays; the rounds after it look on
REASON = 120  # characters of a hold's reason


async def back(desk: Desk, apps: Sequence[str], why: str) -> ReturnTold:
    """Take these apps back, and say what came of it."""
    reason = f"monitor: {why}"
    wish = Wish(
        reason if len(reason) <= REASON else f"{reason[: REASON - 1]}…", None, GUARD, write=False, unchecked=False
    )
    try:
        outcome = await rollback_traffic(desk, apps, wish)
    except Refused as halt:
        return ReturnTold(refused=True, said=f"No way back was gone: {halt}")
    except Halt as halt:
        return ReturnTold(said=str(halt))
    gone = outcome.facts.apps if isinstance(outcome.facts, Back) else ()
    return ReturnTold(
        done=_proved(outcome),
        said=" ".join(filter(None, (outcome.what, outcome.world, outcome.next))),
        apps={each.app: each.goal for each in gone},
        seconds=max((each.seconds for each in gone), default=None),
    )


def _proved(outcome: Outcome) -> bool:
    """Whether all of them are where they were to go; checks that fail there are told by the rounds that follow."""
    facts = outcome.facts
    asked = bool(facts.results) if isinstance(facts, Back) else False
    return outcome.exit is Exit.OK or (outcome.exit is Exit.INCONCLUSIVE and asked)
