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
from bluegreen.rollout.breakglass import OTHER

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
        return ReturnTold(refused=True, said=f"Traffic was not taken back: {halt}")
    except Halt as halt:
        return ReturnTold(said=str(halt))
    gone = outcome.facts.apps if isinstance(outcome.facts, Back) else ()
    if not gone and (other := await _somebody_else(desk, apps)):
        return ReturnTold(refused=True, said=other)
    return ReturnTold(
        done=_proved(outcome),
        said=" ".join(filter(None, (outcome.what, outcome.world, outcome.next))),
        apps={each.app: each.goal for each in gone},
        seconds=max((each.seconds for each in gone), default=None),
    )


async def _somebody_else(desk: Desk, apps: Sequence[str]) -> str:
    """Of two who take traffic back at once the later one has it: what they did, where all of it is done."""
    lanes, said = desk.settings.lanes(), list[str]()
    for app in apps:
        try:
            split = await desk.connections.gateway().split(lanes[app].upstream)
        except Halt:
            return ""
        if split.live is None or split.hold is None or not split.slots[OTHER[split.live]].rejected:
            return ""
        said.append(f"{app} is on {split.live}, {split.hold}")
    return f"Somebody else has taken traffic back meanwhile: {'; '.join(said)}."


def _proved(outcome: Outcome) -> bool:
    """Whether all of them are where they were to go; checks that fail there are told by the rounds that follow."""
    facts = outcome.facts
    asked = bool(facts.results) if isinstance(facts, Back) else False
    return outcome.exit is Exit.OK or (outcome.exit is Exit.INCONCLUSIVE and asked)
