"""A migration's way into the database: once, in its turn, segment by segment, and never with a queue behind it.

Nearly every file is one transaction, which is there whole or not at all. What cannot be in one is done in segments,
each remembered in the database, so that a run that was killed anywhere goes on at the first that is not done. After a
lost connection nothing is believed: whoever comes back takes the turn again, so the old session is surely over, and
reads the ledger.

Deliberately not here: what of a file is refused before it runs, backups, reports.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bluegreen.handler import Context, Refused
from bluegreen.postgres import alone, backfill, drift, halves, ledger
from bluegreen.postgres.attempts import attempt_until_through
from bluegreen.postgres.errand import Errand, Failed, Locked, Stopped, Unclear
from bluegreen.postgres.files import File
from bluegreen.postgres.gate import Gate
from bluegreen.postgres.halves import NOTHING_DONE, Half
from bluegreen.postgres.ledger import Book, Entry
from bluegreen.postgres.segments import Segment
from bluegreen.postgres.session import NOTHING, Database, Lost, Session, SqlError, Unreachable
from bluegreen.postgres.spec import MigrationSpec
from bluegreen.postgres.transaction import LOCK_TIMEOUT, Transaction, words
from bluegreen.postgres.turn import LOCK, give_back, take
from bluegreen.postgres.wants import Lock, locks

__all__ = ["LOCK", "Applied", "Failed", "Locked", "Stopped", "Unclear", "apply"]

LOSSES = 3  # connections that may end under one migration before it is given up
RETURN_SECONDS = 15  # at least, for finding the server again
PAUSE = 0.1
Before = Callable[[Session], Awaitable[None]]
FRESH = "reset role; reset all;"  # what a segment has set is none of the next one's


@dataclass(frozen=True, slots=True)
class Applied:
    """A migration that is in the ledger; `fresh` when it was not before, and then `blockers` were in its way."""

    entry: Entry
    fresh: bool
    blockers: tuple[str, ...] = ()


async def apply(
    database: Database,
    file: File,
    wanted: MigrationSpec,
    ctx: Context,
    *,
    also: Sequence[Lock] = (),
    before: Before | None = None,
    reverse: str | None = None,
) -> Applied:
    """Apply a file, unless the ledger has it as it is.

    Args:
        also: locks that it takes beyond what its text tells.
        before: awaited in its turn, before the first statement of a file of which nothing is done; may refuse it.
        reverse: the script that takes it back, kept in the ledger; a file that was begun with one needs none again.

    Raises:
        Halt: one of the above, or a `Refused` of the ledger. What it says of the world is true: nothing was changed,
            or so many segments stay.
    """
    return await _Run(Errand(database, file, wanted, ctx, reverse=reverse), also, before).to_its_end()


class _Run:
    """One file, from the first connection to its row in the ledger."""

    def __init__(self, errand: Errand, also: Sequence[Lock], before: Before | None) -> None:
        self._errand, self._also, self._before = errand, also, before
        self._database, self._file, self._wanted, self._ctx = errand.database, errand.file, errand.wanted, errand.ctx
        self._losses = 0
        self._certain = True  # is it known that nothing of ours may still be under way, or done and unheard of?

    async def to_its_end(self) -> Applied:
        errand = self._errand
        while True:
            try:
                async with self._database.session(self._wanted.version) as session:
                    await take(session, errand.label, self._wanted.lock_budget, errand.end, self._ctx)
                    self._certain = True  # whoever held it before is over, and the ledger tells what it did
                    try:
                        return await self._in_turn(session)
                    finally:
                        await give_back(session)
            except Lost as problem:
                self._certain = False
                self._losses += 1
                if self._losses > LOSSES:
                    raise errand.unclear(str(problem)) from problem
                errand.end = max(errand.end, self._ctx.now() + timedelta(seconds=RETURN_SECONDS))
                await self._ctx.milestone(f"{errand.label}: the connection was lost; the ledger will tell the end")
            except SqlError as error:  # of a question between two statements; those have their own words
                raise errand.failed(f"{errand.label} cannot go on: {words(error)}", error) from error
            except Unreachable as problem:
                if not self._losses:
                    raise
                if errand.spent:
                    raise errand.unclear(problem.what) from problem
            except Refused as refused:
                if self._certain:
                    raise
                raise errand.unclear(refused.what) from refused
            await self._ctx.sleep(PAUSE)

    async def _in_turn(self, session: Session) -> Applied:
        errand = self._errand
        try:
            book = await ledger.read(session)
            known = book.judge(self._wanted)
            if known is not None:
                if errand.attempts:  # by us, and the answer was lost
                    await self._record(session)
                return Applied(known, fresh=errand.attempts > 0)
            half = self._stands(book)
            errand.go_on()
            if not book.ready:
                await ledger.prepare(session, self._again)
                book = await ledger.read(session)
                book.judge(self._wanted)
        except SqlError as error:
            raise Failed(
                f"The ledger of migrations cannot be kept: {error.message} ({error.code}).",
                world=NOTHING,
                next=ledger.ways_out(error),
            ) from error
        half.must_fit(self._file)
        if not half.rows:  # what the half of a file has changed is no drift
            await drift.must_be_as_recorded(errand, session, book)
            if self._before is not None:
                await self._before(session)
                self._before = None  # once is enough, though the connection may be lost after it
                errand.another_budget()
        await self._segments(session, book, half)
        await self._record(session)
        entry = await ledger.entry(session, self._wanted.version)
        return Applied(entry, fresh=True, blockers=tuple(str(blocker) for blocker in errand.met.values()))

    def _stands(self, book: Book) -> Half:
        """What is done of the file, so that whatever ends it now says so."""
        errand, half = self._errand, book.halves.get(self._wanted.version, NOTHING_DONE)
        if half.rows:
            self._file = errand.file = replace(self._file, done=half.hashes)
        errand.done, errand.rows, errand.left = half.done, half.changed, half.left
        errand.reverse = errand.reverse or half.reverse
        return half

    def _again(self) -> None:
        self._errand.go_on()
        if self._errand.spent:
            raise self._errand.locked((), what="the tables of the ledger", waited=f"It waited for each {LOCK_TIMEOUT}.")

    async def _record(self, session: Session) -> None:
        try:
            await drift.record(session, self._wanted.version)
        except SqlError as error:
            said = f"what the schema is like now could not be recorded: {error.message}"
            await self._ctx.milestone(f"{self._errand.label}: {said}")

    async def _segments(self, session: Session, book: Book, half: Half) -> None:
        errand, every = self._errand, self._file.segments
        if half.rows:
            await self._ctx.milestone(f"{errand.label}: goes on where it stopped, with {half}")
            await alone.tidy(errand, session, half)
        for segment in every:
            if half.has(segment):
                continue
            if segment.number > 1:
                errand.go_on()
                await session.settle(FRESH)
                errand.another_budget()
            last = segment is every[-1]
            if segment.kind == "transaction":
                await self._transaction(session, segment, book, last=last)
            elif segment.backfill is not None:
                await backfill.carry_out(errand, session, segment, segment.backfill, half)
            else:
                await alone.carry_out(errand, session, segment, half)
            errand.done += 1
        # Also where the last one is done: what came after it was taken out of the file, with the row that it had.
        if every[-1].kind != "transaction" or half.has(every[-1]):
            await self._transaction(session, None, book, last=True)

    async def _transaction(self, session: Session, segment: Segment | None, book: Book, *, last: bool) -> None:
        gate = Gate((*locks(segment.statements), *self._also) if segment else ())
        await attempt_until_through(self._errand, session, gate, self._made(session, segment, book, last=last))

    def _made(
        self, session: Session, segment: Segment | None, book: Book, *, last: bool
    ) -> Callable[[str], Transaction]:
        parts = len(self._file.segments) > 1

        def made(patience: str) -> Transaction:
            rows: list[str] = []
            if parts and segment is not None:
                rows.append(halves.done(session, self._wanted.version, segment, self._errand.reverse))
            if last:
                tries = self._errand.tries
                rows += ledger.entry_of(
                    session,
                    self._file,
                    self._wanted,
                    attempts=tries,
                    supabase=book.supabase,
                    reverse=self._errand.reverse,
                )
            return Transaction(self._file, rows, segment, last, patience)

        return made
