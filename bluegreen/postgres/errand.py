"""One file that is being applied: for whom, how patiently, how far it is; and how it may end before its end.

Every part of an apply asks here whether it may go on, and tells the world with the same words. Two sentences are of
weight: what of a file stays whatever comes, and how long it waited for a lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bluegreen.handler import Context, Halt, Refused
from bluegreen.postgres.blockers import Blocker
from bluegreen.postgres.files import File
from bluegreen.postgres.segments import Segment
from bluegreen.postgres.session import NOTHING, Database, SqlError
from bluegreen.postgres.spec import MigrationSpec
from bluegreen.postgres.transaction import LOCK_TIMEOUT

AGAIN = {"55P03", "40P01", "40001"}  # no lock in time, deadlock, serialization: the same may go well later
CANCELLED = "57014"
THERE_ALREADY = {"42P06", "42P07", "42701", "42710", "42723"}  # a schema, table, column, object, function of that name


class Failed(Refused):
    """The file does not go through; what was begun was rolled back."""


class Locked(Refused):
    """Others were in the way for the whole budget."""


class Stopped(Refused):
    """Somebody asked to stop, and what was begun is rolled back."""


class Unclear(Halt):
    """The connection ended and no other came about: whether it was applied, the ledger knows."""


@dataclass
class Errand:
    """A file on its way into a database; `done` of its segments are there, and `rows` of a backfill in hand."""

    database: Database
    file: File
    wanted: MigrationSpec
    ctx: Context
    end: datetime = field(init=False)
    attempts: int = 0  # transactions that were begun
    through: int = 0  # and went through
    done: int = 0
    rows: int = 0
    left: str = ""  # what a statement left half done, in a sentence
    reverse: str | None = None  # the script that takes the file back
    patience_ms: int = int(LOCK_TIMEOUT.removesuffix("ms"))  # the longest that it has waited for one lock
    named: bool = False  # has it been said who is in the way?
    met: dict[int, Blocker] = field(default_factory=dict)  # everybody who was, as last seen

    def __post_init__(self) -> None:
        self.another_budget()

    @property
    def label(self) -> str:
        return self.file.label

    @property
    def tries(self) -> int:
        """At which attempt the segment in hand is."""
        return self.attempts - self.through

    @property
    def asked_to_stop(self) -> bool:
        ctx = self.ctx
        return ctx.cancelled or (ctx.deadline is not None and ctx.now() >= ctx.deadline)

    @property
    def spent(self) -> bool:
        return self.ctx.now() >= self.end

    def another_budget(self) -> None:
        """Each segment may wait as long as the whole file otherwise."""
        self.end = self.ctx.now() + self.wanted.lock_budget

    def go_on(self) -> None:
        """Before another step is begun: is anybody still there who wants it?

        Raises:
            Stopped: nobody is.
        """
        if self.asked_to_stop or self.ctx.orphaned:
            raise self.stopped()

    async def name(self, seen: Sequence[Blocker]) -> None:
        """Say once for good who is in the way, as soon as it is known."""
        self.met.update({blocker.pid: blocker for blocker in seen})
        if seen and not self.named:
            self.named = True
            await self.ctx.milestone(f"{self.label}: is tried again until a lock is free, held by {seen[0]}")

    @property
    def kept(self) -> str:
        """What stays of it, in a sentence or two; nothing where nothing does."""
        return " ".join(part for part in (self._done, self.left) if part)

    @property
    def _done(self) -> str:
        if not self.done and not self.rows:
            return ""
        rows = f"{self.rows} rows of the backfill stay changed" if self.rows else ""
        if not self.done:
            return f"{rows}; nothing else was changed."
        lines = f"up to line {self.file.segments[: self.done][-1].statements[-1].line}"
        parts = f"{self.done} of its {len(self.file.segments)} segments ({lines}) stay applied"
        return f"{parts}, and {rows}." if rows else f"{parts}."

    def stopped(self) -> Stopped:
        ctx = self.ctx
        why = "was asked to stop" if ctx.cancelled else "was left alone" if ctx.orphaned else "ran too long"
        if self.kept:
            return Stopped(
                f"{self.label} {why}, and is {'half' if self._done else 'not'} applied.",
                world=f"{self.kept} What was in hand was rolled back.",
                next="Run this again to continue: it goes on where it stopped.",
            )
        return Stopped(
            f"{self.label} {why}, and was not applied.",
            world="What it had begun was rolled back: the database is as it was.",
            next="Run this again when you want it.",
        )

    def failed(self, what: str, error: SqlError, segment: Segment | None = None) -> Failed:
        """What a statement of the file died of; `segment` where there are several, and the rest may be corrected."""
        if not self.kept:
            world, correct = "All of it was rolled back: the database is as it was.", CORRECT
        else:
            line = segment.line if segment else 1
            world = f"{self.kept} What came after that was rolled back."
            correct = f"Correct the file from line {line} on, leave what is done, and run this again: it goes on there."
        return Failed(f"{what}.", world=world, next=_ways_out(error, self.wanted, correct))

    def locked(self, seen: Sequence[Blocker], *, what: str = "its locks", waited: str = "") -> Locked:
        """Others were in the way; `waited` says how long it waited for one of them, where that is not its patience."""
        named = "; ".join(str(blocker) for blocker in seen) or "somebody who could not be seen"
        end = f"end it (select pg_terminate_backend({seen[0].pid}))" if seen else "try at a quieter time"
        tried = f" ({self.tries} attempts)" if self.tries else ""
        patience = f"It waited for each lock {self.patience_ms} ms at most." if self.tries else "It asked for no lock."
        return Locked(
            f"{self.label} did not get {what} within {span(self.wanted.lock_budget)}{tried}, held up by {named}.",
            world=f"{self.kept or NOTHING} {waited or patience}",
            next=f"Let that finish or {end}, then run this again.",
        )

    def unclear(self, said: str) -> Unclear:
        what = "It is" if len(self.file.segments) == 1 else "Each of its segments is"
        return Unclear(
            f"The connection was lost while {self.label} was applied, and then: {said.rstrip('.')}.",
            world=f"{what} applied whole or not at all; which, the ledger knows.",
            next="Run this again when the database is back: it reads the ledger first.",
        )


CORRECT = "Correct the file (it is in no ledger, so it may still change), then run this again."


def _ways_out(error: SqlError, wanted: MigrationSpec, correct: str) -> str:
    if error.code in THERE_ALREADY:
        return f"If its effects are there from elsewhere, raise migrations.baseline to {wanted.version}. {correct}"
    if error.code == "42501":
        return f"Give the user in bluegreen:databaseUrl the rights that it needs. {correct}"
    return correct


def begun(index: str | None) -> str:
    """What a statement that was begun may have left; `index` where it makes one."""
    if index:
        return f"The index {index} may be left invalid; the next run drops it."
    return "A statement that was begun may be half done; the next run ends it."


def span(budget: timedelta) -> str:
    return f"{budget.total_seconds():g} s"
