"""Taking the newest migration back: its reverse script, in the same turn and with the same patience as an apply.

One transaction: the script, and the rows that go out of the ledgers. Before it the script is held against the ledger
(is it of this version and this text?), whatever it drops has to have a guard, and what would be lost is counted and
named. Whoever accepts the loss gives up so many rows of those tables and no more; they are dumped first, and restored
once on a scratch server; rows that cannot be dumped are not given up. Afterwards the schema is held against the one
that was there before the migration, object by object where that was recorded.

Deliberately not here: traffic (take it back first), making the script (`catalog/`), and bringing rows back.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from bluegreen.handler import Context, Halt, Refused
from bluegreen.postgres import drift, ledger
from bluegreen.postgres.attempts import attempt_until_through
from bluegreen.postgres.backup.point import Platform, backup
from bluegreen.postgres.backup.state import MEGA, Backup
from bluegreen.postgres.catalog import snapshot
from bluegreen.postgres.catalog.script import WOULD_LOSE
from bluegreen.postgres.errand import Errand, Failed, Stopped, Unclear
from bluegreen.postgres.files import File
from bluegreen.postgres.gate import Gate
from bluegreen.postgres.guarded import must_be_guarded
from bluegreen.postgres.ledger import Book, Entry
from bluegreen.postgres.losses import Loss, accepting, losses
from bluegreen.postgres.reverse_file import fitting, head
from bluegreen.postgres.scratch.server import server
from bluegreen.postgres.session import NOTHING, Database, Lost, Session, SqlError
from bluegreen.postgres.spec import MigrationSpec
from bluegreen.postgres.stopping import until_stopped
from bluegreen.postgres.transaction import Transaction
from bluegreen.postgres.turn import turn
from bluegreen.postgres.undone import Undone, WouldLose, rows_of
from bluegreen.postgres.wants import locks

__all__ = ["Undone", "WouldLose", "undo"]

# What is accepted stands in the script's own guards, whatever the role's settings are.
NOTHING_ELSE = "select pg_catalog.set_config('bluegreen.accept_data_loss', 'off', false)"
MAJOR = "select pg_catalog.current_setting('server_version_num')::integer / 10000"


async def undo(
    database: Database,
    version: str,
    script: Path | str | None,
    *,
    accept_data_loss: bool,
    ctx: Context,
    folder: Path,
    budget_bytes: int = 256 * MEGA,
    budget: timedelta = timedelta(seconds=60),
    needed_by: Sequence[str] = (),
    platform: Platform | None = None,
) -> Undone:
    """Take a migration back.

    Args:
        script: where it lies, or its text; None for the one that the ledger keeps.
        folder: for the dump of what would be lost.
        budget: how long it may wait for its turn and its locks.
        needed_by: the colours that declare this version, or a later one, as their `schemaMin`.

    Raises:
        WouldLose: rows would go that nobody has given up.
        Halt: it is not its turn, the script does not fit or does not go through, or somebody asked to stop. Except for
            `Unclear`, nothing was changed.
    """
    _must_not_be_needed(version, needed_by)
    wanted = _Undo(database, version, _read(script), ctx, budget, platform or Platform())
    async with turn(database, f"the way back of {version}", budget, ctx, f"undo-{version}") as session:
        try:
            return await wanted.done(session, accept_data_loss, folder, budget_bytes)
        except Lost:
            pass  # this session is over; another one takes the turn and looks
        except SqlError as error:
            raise Refused(
                f"{version} cannot be taken back: {error.message} ({error.code}).",
                world=NOTHING,
                next="Correct what it names, then run this again.",
            ) from error
    return await wanted.looked_again()


@dataclass
class _Undo:
    """One way back."""

    database: Database
    version: str
    text: str | None
    ctx: Context
    budget: timedelta
    platform: Platform
    told: Undone = field(default_factory=Undone)
    before: str = ""  # the schema's fingerprint before the migration, as the script has it

    async def done(self, session: Session, accepted: bool, folder: Path, budget_bytes: int) -> Undone:
        began = self.ctx.now()
        book = await ledger.read(session)
        entry = _newest(book, self.version)
        text = self.text if self.text is not None else await ledger.reverse_of(session, self.version)
        file = fitting(entry, text)
        self.before = head(text or "").get("before", "")
        await must_be_guarded(session, entry.label, file.statements)
        found = await until_stopped(losses(session, file.sql), self.ctx, f"The way back of {entry.label}")
        point = await self._point(session, entry, found, accepted, folder, budget_bytes)
        self.told = Undone(
            version=entry.version,
            name=entry.name,
            statements=len(file.statements),
            lost={loss.what: loss.rows for loss in found},
            backup=point,
        )
        if point is not None:
            file = replace(file, sql=accepting(file.sql, found))
        attempts = await self._run(session, book, entry, file)
        took = round((self.ctx.now() - began).total_seconds() * 1000)
        told = self.told.model_copy(update={"attempts": attempts, "took_ms": took})
        return await _compared(session, told, self.before)

    async def _run(self, session: Session, book: Book, entry: Entry, file: File) -> int:
        """The script goes through, with the ledgers' rows; answers at which attempt."""
        await ledger.prepare(session)
        errand = Errand(self.database, file, _spec(entry, file.path, file.sha256, self.budget), self.ctx)
        rows = ledger.undo_rows(session, self.version, supabase=book.supabase)
        await session.rows(NOTHING_ELSE)
        try:
            await attempt_until_through(
                errand,
                session,
                Gate(locks(file.statements)),
                lambda patience: Transaction(file, rows, file.segments[0], True, patience),
            )
        except Failed as failed:
            raise _failed(failed, entry) from failed
        except Stopped as stopped:
            raise _stopped(entry) from stopped
        return errand.attempts

    async def looked_again(self) -> Undone:
        """After a lost connection: the old session is surely over once the turn is ours, and the ledger tells."""
        try:
            label = f"the way back of {self.version}"
            async with turn(self.database, label, self.budget, self.ctx, f"undo-{self.version}") as session:
                if self.told.version and self.version not in (await ledger.read(session)).entries:
                    return await _compared(session, self.told, self.before)
        except (Halt, Lost, SqlError) as problem:
            raise Unclear(
                f"The connection was lost while {self.version} was taken back, and then: {str(problem).rstrip('.')}.",
                world="It is taken back whole or not at all; which, the ledger knows.",
                next="Look at bluegreen migrate status when the database is back.",
            ) from problem
        raise Refused(
            f"The connection was lost while {self.version} was taken back.",
            world="It was rolled back: the database is as it was.",
            next="Run this again.",
        )

    async def _point(
        self, session: Session, entry: Entry, found: Sequence[Loss], accepted: bool, folder: Path, budget_bytes: int
    ) -> Backup | None:
        """What would be lost, in a dump; None where nothing would be."""
        if not found:
            return None
        named = "; ".join(f"{rows_of(loss.rows)} of {loss.what}" for loss in found)
        if not accepted:
            raise WouldLose(
                f"Taking {entry.label} back would lose {named}.",
                world=NOTHING,
                next="Keep it and write the next migration, or run this with --accept-data-loss: "
                "then those tables are dumped first.",
            )
        await self.ctx.milestone(f"{entry.label}: dumps what would be lost: {named}")
        tables = tuple(dict.fromkeys(loss.table for loss in found))
        ((major,),) = await session.rows(MAJOR)
        async with server(major) as scratch:
            point = await backup(
                self.database,
                folder,
                tables=tables,
                budget_bytes=budget_bytes,
                scratch=scratch,
                ctx=self.ctx,
                platform=self.platform,
            )
        left = point.missing(tables)
        if left:
            raise WouldLose(
                f"Taking {entry.label} back would lose rows that no dump holds: {'; '.join(map(str, left))}.",
                world=f"{NOTHING} What could be dumped lies in {point.folder}.",
                next=f"{left[0].next.capitalize()}; then run this again.",
            )
        return point


def _must_not_be_needed(version: str, needed_by: Sequence[str]) -> None:
    if needed_by:
        declare = "declares" if len(needed_by) == 1 else "declare"
        raise Refused(
            f"{version} cannot be taken back: {', '.join(needed_by)} {declare} a schemaMin that needs it.",
            world=NOTHING,
            next="Take traffic back to a release that does without, and drop or redeploy the other one first.",
        )


def _read(script: Path | str | None) -> str | None:
    if not isinstance(script, Path):
        return script
    try:
        return script.read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(
            f"The reverse script {script} cannot be read: {error}.",
            world=NOTHING,
            next="Name the rollback_*.sql of the migration's report, or none for the one that the ledger keeps.",
        ) from error


def _newest(book: Book, version: str) -> Entry:
    entry = book.entries.get(version)
    if entry is None and version in book.halves:
        raise Refused(
            f"{version} is half applied ({book.halves[version]}); only what is applied whole is taken back.",
            world=NOTHING,
            next="Bring it to its end first (bluegreen migrate apply goes on where it stopped; what is not done of the "
            "file may be corrected, or left away), then take it back.",
        )
    if entry is None:
        raise Refused(
            f"{version} is not applied, so there is nothing to take back.",
            world=NOTHING,
            next="bluegreen migrate status shows what is.",
        )
    newer = [each.label for each in book.entries.values() if int(each.version) > int(version)]
    begun = [each for each in book.halves if int(each) > int(version)]
    if newer or begun:
        raise Refused(
            f"{entry.label} is not the newest: {', '.join([*newer, *begun])} came after it.",
            world=NOTHING,
            next=f"Bring {begun[-1]} to its end, and take it back first." if begun else f"Take {newer[-1]} back first.",
        )
    return entry


def _spec(entry: Entry, path: Path, sha256: str, budget: timedelta) -> MigrationSpec:
    return MigrationSpec(
        owner=entry.owner,
        version=entry.version,
        name=entry.name,
        phase="contract",
        file=path.as_posix(),
        sha256=sha256,
        lock_budget=budget,
    )


async def _compared(session: Session, told: Undone, before: str) -> Undone:
    """Whether the schema is what it was before: against what was recorded then, or the fingerprint in the script."""
    with suppress(SqlError):
        book = await ledger.read(session)
        found = await drift.look(session, book)
        same, differences = None if found.unknown or book.newest is None else not found, str(found)
        if same is None and before:
            same = (await snapshot(session)).fingerprint == before
            differences = "its fingerprint is another one"
        if same is not False:  # or what is different now would be what counts from here on
            await drift.record(session, book.newest.version if book.newest else None)
        return told.model_copy(update={"same": same, "differences": () if same is not False else (differences,)})
    return told


def _failed(failed: Failed, entry: Entry) -> Refused:
    if WOULD_LOSE in failed.what:
        return WouldLose(
            f"Rows were written while {entry.label} was taken back: {failed.what.rstrip('.')}.",
            world=f"All of it was rolled back: {entry.label} stays applied.",
            next="Take traffic back first, so that nobody writes there; then run this again.",
        )
    return Failed(
        f"The way back of {failed.what.rstrip('.')}.",
        world=f"All of it was rolled back: {entry.label} stays applied.",
        next="What stands in its way came after the migration: take that back first, or write the next migration.",
    )


def _stopped(entry: Entry) -> Stopped:
    return Stopped(
        f"The way back of {entry.label} was given up: somebody asked to stop.",
        world=f"What it had begun was rolled back: {entry.label} stays applied.",
        next="Run this again when you want it.",
    )
