"""A migration's way into the database: once, under a lock, in one transaction that never lets others queue for long.

The lock is a session's advisory one, polled: who waits in it blocks `create index concurrently` of others, and a dead
holder's is gone with its session. The transaction has 50 ms for each lock that it needs; if that is not enough it is
rolled back and begun again a little later, whole, until its budget is spent. After a lost connection nothing is
believed: whoever comes back takes the lock again, so the old session is surely over, and reads the ledger.

Deliberately not here: looking for a quiet moment before the first attempt, statements outside a transaction, backups.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta

from bluegreen.handler import Context, Halt, Refused
from bluegreen.postgres import ledger
from bluegreen.postgres.blockers import Blocker, watch
from bluegreen.postgres.files import File
from bluegreen.postgres.ledger import Book, Entry
from bluegreen.postgres.session import NOTHING, Database, Lost, Session, SqlError, Unreachable
from bluegreen.postgres.spec import MigrationSpec
from bluegreen.postgres.transaction import LOCK_TIMEOUT, Transaction

LOCK = int.from_bytes(b"bluegree")  # one migration at a time in one database, whoever runs it
AGAIN = {"55P03", "40P01", "40001"}  # no lock in time, deadlock, serialization: the same transaction may go well later
THERE_ALREADY = {"42P06", "42P07", "42701", "42710", "42723"}  # a schema, table, column, object, function of that name
LOOK_SECONDS = 0.1  # how soon a wish to stop is noticed
POLL_SECONDS = 0.25
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
LOSSES = 3  # connections that may end under one migration before it is given up
RETURN_SECONDS = 15  # at least, for finding the server again
HOLDER = """
select a.pid, coalesce(a.application_name, ''), coalesce(a.usename, '')
from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a using (pid)
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
    and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
    and (l.classid::bigint << 32) | l.objid::bigint = %s
"""


class Failed(Refused):
    """The file does not go through; everything in it was rolled back."""


class Locked(Refused):
    """Others were in the way for the whole budget."""


class Stopped(Refused):
    """Somebody asked to stop, and what was begun is rolled back."""


class Unclear(Halt):
    """The connection ended and no other came about: whether it was applied, the ledger knows."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A migration that is in the ledger; `fresh` when it was not before."""

    entry: Entry
    fresh: bool


async def apply(database: Database, file: File, wanted: MigrationSpec, ctx: Context) -> Applied:
    """Apply a file, unless the ledger has it as it is.

    Raises:
        Halt: one of the above, or a `Refused` of the ledger; except for `Unclear`, nothing was changed.
    """
    return await _Run(database, file, wanted, ctx).to_its_end()


class _Run:
    """One file, from the first connection to its row in the ledger."""

    def __init__(self, database: Database, file: File, wanted: MigrationSpec, ctx: Context) -> None:
        self._database, self._file, self._wanted, self._ctx = database, file, wanted, ctx
        self._end = ctx.now() + wanted.lock_budget
        self._attempts = self._losses = 0
        self._named = False  # has it been said who is in the way?
        self._certain = True  # is it known that nothing of ours may still be under way, or done and unheard of?

    async def to_its_end(self) -> Applied:
        while True:
            try:
                async with self._database.session(self._wanted.version) as session:
                    await self._take_lock(session)
                    self._certain = True  # whoever held it before is over, and the ledger tells what it did
                    try:
                        return await self._under_lock(session)
                    finally:
                        with suppress(Lost, SqlError):
                            await session.rows("select pg_catalog.pg_advisory_unlock(%s)", LOCK)
            except Lost as problem:
                self._certain = False
                self._losses += 1
                if self._losses > LOSSES:
                    raise self._unclear(str(problem)) from problem
                self._end = max(self._end, self._ctx.now() + timedelta(seconds=RETURN_SECONDS))
                await self._ctx.milestone(f"{self._file.label}: the connection was lost; the ledger will tell the end")
            except Unreachable as problem:
                if not self._losses:
                    raise
                if self._ctx.now() >= self._end:
                    raise self._unclear(problem.what) from problem
            except Refused as refused:
                if self._certain:
                    raise
                raise self._unclear(refused.what) from refused
            await self._ctx.sleep(FIRST_PAUSE)

    async def _take_lock(self, session: Session) -> None:
        told = False
        while not (await session.rows("select pg_catalog.pg_try_advisory_lock(%s)", LOCK))[0][0]:
            holder = await self._holder(session)
            self._go_on()
            if self._ctx.now() >= self._end:
                raise Locked(
                    f"{self._file.label} did not get its turn within {_span(self._wanted.lock_budget)}: "
                    f"{holder} is migrating this database.",
                    world=NOTHING,
                    next="Wait for it, or end it if it is forgotten; then run this again.",
                )
            text = f"{self._file.label}: waits for {holder}, who is migrating this database"
            await (self._ctx.status(text) if told else self._ctx.milestone(text))
            told = True
            await self._ctx.sleep(POLL_SECONDS)

    async def _holder(self, session: Session) -> str:
        for pid, application, user in await session.rows(HOLDER, LOCK):
            who = ", ".join(part for part in (application, user) if part)
            return f"process {pid} ({who})" if who else f"process {pid}"
        return "somebody"

    async def _under_lock(self, session: Session) -> Applied:
        try:
            known = (await ledger.read(session)).judge(self._wanted)
            if known is not None:
                return Applied(known, fresh=self._attempts > 0)
            self._go_on()
            await ledger.prepare(session)
            book = await ledger.read(session)
        except SqlError as error:
            raise Failed(
                f"The ledger of migrations cannot be kept: {error.message} ({error.code}).",
                world=NOTHING,
                next=ledger.ways_out(error),
            ) from error
        await self._attempt_until_applied(session, book)
        return Applied((await ledger.read(session)).entries[self._wanted.version], fresh=True)

    async def _attempt_until_applied(self, session: Session, book: Book) -> None:
        pause, seen = FIRST_PAUSE, tuple[Blocker, ...]()
        async with AsyncExitStack() as opened:
            watcher: Session | None = None
            while True:
                self._attempts += 1
                rows = ledger.entry_of(
                    session, self._file, self._wanted, attempts=self._attempts, supabase=book.supabase
                )
                transaction = Transaction(self._file, rows)
                try:
                    seen = await self._attempt(session, transaction, watcher) or seen
                    return
                except _Blocked as blocked:
                    seen = blocked.by or seen
                self._go_on()
                if self._ctx.now() + timedelta(seconds=pause) >= self._end:
                    raise self._locked(seen)
                await self._say_blocked(seen)
                watcher = watcher or await self._watcher(opened)
                await self._ctx.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 1.5, LONGEST_PAUSE)

    async def _say_blocked(self, seen: Sequence[Blocker]) -> None:
        """In passing each time; once for good, as soon as it can be said who it is."""
        if seen and not self._named:
            self._named = True
            await self._ctx.milestone(f"{self._file.label}: is tried again until a lock is free, held by {seen[0]}")
        await self._ctx.status(f"{self._file.label}: attempt {self._attempts} met a lock")

    async def _watcher(self, opened: AsyncExitStack) -> Session | None:
        try:
            return await opened.enter_async_context(self._database.session("blockers"))
        except Halt:
            return None  # no second connection to be had: names are a courtesy

    async def _attempt(
        self, session: Session, transaction: Transaction, watcher: Session | None
    ) -> tuple[Blocker, ...]:
        work = asyncio.ensure_future(session.run(str(transaction)))
        looking = asyncio.ensure_future(watch(watcher, session.pid, work)) if watcher else None
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=LOOK_SECONDS)
                if self._asked_to_stop and not work.done():
                    await session.cancel()
        finally:
            await _settled(session, work)
            seen = await looking if looking else ()
        try:
            work.result()
        except SqlError as error:
            if error.code in AGAIN:
                raise _Blocked(seen) from error
            if self._asked_to_stop and error.code == "57014":
                raise self._stopped() from error
            raise Failed(
                f"{transaction.told(error)}.",
                world="All of it was rolled back: the database is as it was.",
                next=_ways_out(error, self._wanted),
            ) from error
        return seen

    @property
    def _asked_to_stop(self) -> bool:
        ctx = self._ctx
        return ctx.cancelled or (ctx.deadline is not None and ctx.now() >= ctx.deadline)

    def _go_on(self) -> None:
        """Before another step is begun: is anybody still there who wants it?"""
        if self._asked_to_stop or self._ctx.orphaned:
            raise self._stopped()

    def _stopped(self) -> Stopped:
        why = "was asked to stop" if self._ctx.cancelled else "was left alone" if self._ctx.orphaned else "ran too long"
        return Stopped(
            f"{self._file.label} {why}, and was not applied.",
            world="What it had begun was rolled back: the database is as it was.",
            next="Run this again when you want it.",
        )

    def _locked(self, seen: Sequence[Blocker]) -> Locked:
        named = "; ".join(str(blocker) for blocker in seen) or "somebody who could not be seen"
        end = f"end it (select pg_terminate_backend({seen[0].pid}))" if seen else "try at a quieter time"
        return Locked(
            f"{self._file.label} did not get its locks within {_span(self._wanted.lock_budget)} "
            f"({self._attempts} attempts of {LOCK_TIMEOUT}), held up by {named}.",
            world=f"{NOTHING} Nobody waited longer than {LOCK_TIMEOUT} for it.",
            next=f"Let that finish or {end}, then run this again.",
        )

    def _unclear(self, said: str) -> Unclear:
        return Unclear(
            f"The connection was lost while {self._file.label} was applied, and then: {said.rstrip('.')}.",
            world="It is applied whole or not at all; which, the ledger knows.",
            next="Run this again when the database is back: it reads the ledger first.",
        )


def _ways_out(error: SqlError, wanted: MigrationSpec) -> str:
    correct = "Correct the file (it is in no ledger, so it may still change), then run this again."
    if error.code in THERE_ALREADY:
        return f"If its effects are there from elsewhere, raise migrations.baseline to {wanted.version}. {correct}"
    if error.code == "42501":
        return f"Give the user in bluegreen:databaseUrl the rights that it needs. {correct}"
    return correct


class _Blocked(Exception):
    """The transaction was rolled back because a lock was not to be had in time."""

    def __init__(self, by: tuple[Blocker, ...]) -> None:
        super().__init__()
        self.by = by


async def _settled(session: Session, work: "asyncio.Task[None]") -> None:
    """Return when the server has ended it; whoever waited for it may be gone."""
    if not work.done():
        await session.cancel()
        await asyncio.wait({work})
    work.exception()  # is looked at by whoever is still there


def _span(budget: timedelta) -> str:
    return f"{budget.total_seconds():g} s"
