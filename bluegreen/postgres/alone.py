"""What cannot run in a transaction: said before it runs, run once, and believed only when the catalog agrees.

Each such statement has a `Way`: what of it may be left over after a kill, whether it is done already, and what takes
its leftovers away. Indexes have theirs in `concurrent.py`. It waits for locks as long as it must, because a concurrent
statement that gives up leaves half a thing behind; so one looks first whether somebody old is in its way. Nobody who
reads or writes waits for it: none asks for a lock that would make them, except DETACH PARTITION, whose last step shuts
the partition. That has 50 ms for each lock and is finalized where it gave up.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from bluegreen.postgres import halves
from bluegreen.postgres.attempts import FIRST_PAUSE, LONGEST_PAUSE, run
from bluegreen.postgres.concurrent import NewIndex, Reindexed, must_be_gone
from bluegreen.postgres.errand import AGAIN, Errand, Stopped
from bluegreen.postgres.gate import Gate
from bluegreen.postgres.halves import Half
from bluegreen.postgres.progress import shown
from bluegreen.postgres.segments import Segment
from bluegreen.postgres.session import Session, SqlError
from bluegreen.postgres.statements import tree
from bluegreen.postgres.transaction import LOCK_TIMEOUT, words
from bluegreen.postgres.wants import awaited, quoted, relation


class Way(Protocol):
    """How one kind of statement is brought to its end."""

    @property
    def leaves(self) -> str | None:
        """The index that a kill may leave invalid, as SQL."""

    @property
    def patience(self) -> str:
        """How long it may wait for each lock; 0 is without an end."""

    async def ready(self, errand: Errand, session: Session) -> bool:
        """Take away what an earlier run left; True when there is nothing to do any more."""

    async def text(self, session: Session) -> str:
        """What to run now."""

    async def failed(self, errand: Errand, session: Session) -> None:
        """It did not go through: leave nothing half, or tell the errand what is left."""

    async def check(self, errand: Errand, session: Session) -> None:
        """The catalog agrees that it is done; raises `Failed` when it does not."""


@dataclass(frozen=True, slots=True)
class Again:
    """A statement that may as well run twice: VACUUM."""

    sql: str
    leaves: str | None = None
    patience: str = "0"

    async def ready(self, errand: Errand, session: Session) -> bool:
        return False

    async def text(self, session: Session) -> str:
        return self.sql

    async def failed(self, errand: Errand, session: Session) -> None:
        return None

    async def check(self, errand: Errand, session: Session) -> None:
        return None


@dataclass(frozen=True, slots=True)
class DroppedIndex(Again):
    """DROP INDEX CONCURRENTLY: a kill may leave the index invalid, and the statement works on that, too."""

    index: str = ""
    resumed: bool = False

    async def ready(self, errand: Errand, session: Session) -> bool:
        # Without an earlier run, an index that is not there is the statement's own to complain about.
        return self.resumed and (await session.rows("select pg_catalog.to_regclass(%s)", self.index))[0][0] is None


@dataclass(frozen=True, slots=True)
class Detached(Again):
    """DETACH PARTITION CONCURRENTLY: a kill may leave it pending, and then it is finalized."""

    parent: str = ""
    partition: str = ""
    resumed: bool = False

    async def ready(self, errand: Errand, session: Session) -> bool:
        return self.resumed and await self._pending(session) is None

    async def failed(self, errand: Errand, session: Session) -> None:
        if await self._pending(session):
            errand.left = f"The partition {self.partition} is half detached; the next run ends that."

    async def text(self, session: Session) -> str:
        finish = f"alter table {self.parent} detach partition {self.partition} finalize"
        return finish if await self._pending(session) else self.sql

    async def _pending(self, session: Session) -> bool | None:
        """Whether the detaching was begun; None when it is no partition."""
        rows = await session.rows(
            "select inhdetachpending from pg_catalog.pg_inherits "
            "where inhparent = pg_catalog.to_regclass(%s) and inhrelid = pg_catalog.to_regclass(%s)",
            *(self.parent, self.partition),
        )
        return rows[0][0] if rows else None


async def tidy(errand: Errand, session: Session, half: Half) -> None:
    """Take away what a statement left that was begun, and is another one by now."""
    every = errand.file.segments
    for row in half.rows.values():
        segment = every[row.number - 1] if row.number <= len(every) else None
        if row.state == "done" or row.seen or (segment and segment.sha256 == row.sha256):
            continue
        if row.leaves:
            await must_be_gone(errand, session, row.leaves)
        await halves.forget(session, row.version, row.number)
        errand.left = ""


async def carry_out(errand: Errand, session: Session, segment: Segment, half: Half) -> None:
    """Bring a segment that stands alone to its end.

    Raises:
        Halt: as `apply` does.
    """
    version, before = errand.wanted.version, half.begun(segment)
    way = _way(segment, resumed=before is not None and before.sha256 == segment.sha256)
    gate = Gate(awaited(segment.statements), snapshots=segment.statements[0].alone != "VACUUM")
    pause = FIRST_PAUSE
    while True:
        await gate.free(errand, session)
        errand.go_on()
        ready = await way.ready(errand, session)
        errand.left = ""
        await halves.begin(session, version, segment, leaves=way.leaves, reverse=errand.reverse)
        if ready or await _went_through(errand, session, segment, way):
            break
        errand.go_on()
        if errand.spent:
            raise errand.locked((), waited="" if way.patience == LOCK_TIMEOUT else "It waited as long as it was let.")
        await errand.ctx.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)
    await way.check(errand, session)
    await halves.end(session, version, segment)


async def _went_through(errand: Errand, session: Session, segment: Segment, way: Way) -> bool:
    """Run it once; False when it may be tried again, and then nothing of it is left."""
    errand.attempts += 1
    try:
        await session.rows(f"set lock_timeout = '{way.patience}'")
        async with shown(errand, session):
            await run(errand, session, await way.text(session))
        errand.through += 1
        return True
    except Stopped as stopped:
        await _undone(errand, session, segment, way)
        raise errand.stopped() from stopped
    except SqlError as error:
        await _undone(errand, session, segment, way)
        if error.code in AGAIN:
            return False
        what = f"{errand.label} fails in the statement at line {segment.line}: {words(error)}"
        raise errand.failed(what, error, segment) from error


async def _undone(errand: Errand, session: Session, segment: Segment, way: Way) -> None:
    try:
        await way.failed(errand, session)
    except SqlError as error:
        # Its row says what is left, so the next run takes it away.
        index = way.leaves or "that REINDEX made"
        errand.left = f"The invalid index {index} is left; the next run drops it."
        await errand.ctx.milestone(f"{errand.label}: {index} could not be dropped: {words(error)}")
    if errand.left:
        return
    await halves.forget(session, errand.wanted.version, segment.number)


def _way(segment: Segment, *, resumed: bool) -> Way:
    statement = segment.statements[0]
    stmt: Any = tree(statement)
    if statement.alone == "CREATE INDEX CONCURRENTLY":
        return NewIndex(statement, stmt, segment)
    if statement.alone == "REINDEX CONCURRENTLY":
        return Reindexed(statement.text, relation(stmt.relation))
    if statement.alone == "DROP INDEX CONCURRENTLY":
        index = ".".join(quoted(part.sval) for part in stmt.objects[0])
        return DroppedIndex(statement.text, index=index, resumed=resumed)
    if statement.alone.startswith("DETACH"):
        parent, partition = relation(stmt.relation), relation(stmt.cmds[0].def_.name)
        return Detached(statement.text, parent=parent, partition=partition, resumed=resumed, patience=LOCK_TIMEOUT)
    return Again(statement.text)
