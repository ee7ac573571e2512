"""Whether a plan may be carried out, whether what it left may stay, and what a refusal tells about the way out.

Pure: a plan is judged by what stands in it.
"""

from collections.abc import Sequence
from pathlib import Path

from bluegreen.handler import Halt, Refused
from bluegreen.postgres.ledger import Entry
from bluegreen.postgres.lint.allow import ALWAYS
from bluegreen.postgres.plan import Plan, Verified
from bluegreen.postgres.session import NOTHING
from bluegreen.postgres.verify.promised import told

SHOWN = 5  # reasons in a refusal, before it says how many more there are
TAKING = ("RowExclusiveLock", "AccessExclusiveLock")


class Unfit(Halt):
    """A migration is in the ledger, and the database is not what its copy was."""

    def __init__(self, entry: Entry, verified: Verified, folder: Path) -> None:
        self.entry = entry
        super().__init__(
            f"{entry.label} is applied, and the database is not as its copy was: {_some(told(verified))}.",
            world="It stays applied, and its row in the ledger with it.",
            next=f"Look into {folder}/plan.md. Mend it, or take it as it is (bluegreen migrate accept --reason …), and "
            f"run this again; or take it back (bluegreen migrate rollback {entry.version}).",
        )


def admitted(plan: Plan, folder: Path | None = None) -> None:
    """Nothing that was found keeps the file from being applied; `folder` is where its report lies.

    Raises:
        Refused: something does.
    """
    if plan.refusals:
        where = f"{folder}/plan.md" if folder else "docs/rules.md"
        raise Refused(
            f"{plan.label} is refused: {_some(plan.refusals)}.",
            world=NOTHING,
            next=f"Correct the file{_aside(plan)}; {where} tells more.",
        )


def _aside(plan: Plan) -> str:
    """How to set the first rule aside that may be; every refusal ends with its rule."""
    rules = [said.rpartition("(")[2].rstrip(")") for said in plan.refusals]
    rule = next((rule for rule in rules if rule not in ALWAYS), "")
    return f", or say above the statement why it is right: -- bluegreen:allow {rule} REASON" if rule else ""


def locks(plan: Plan | None) -> tuple[tuple[str, str], ...]:
    """What the copy showed to be locked, as a gate asks for it."""
    if plan is None or plan.traced is None:
        return ()
    return tuple((held.relation, held.mode) for held in plan.traced.locks)


def touched(plan: Plan) -> tuple[str, ...]:
    """Tables that were there before and that the file locks: those it may take from first."""
    assert plan.traced is not None
    return tuple(dict.fromkeys((*taken_from(plan), *(held.relation for held in plan.traced.locks))))


def taken_from(plan: Plan) -> tuple[str, ...]:
    """Tables whose rows or columns the file may take: it writes them, or has them for itself."""
    assert plan.traced is not None
    return tuple(held.relation for held in plan.traced.locks if held.mode in TAKING)


def _some(said: Sequence[str]) -> str:
    more = f"; and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
    return "; ".join(each.rstrip(".") for each in said[:SHOWN]) + more
