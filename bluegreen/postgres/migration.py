"""`bluegreen:postgres:Migration`: one file of SQL that a database has seen, once.

What is applied is what was previewed: the file is read from the project's folder, and refused when its sha256 is
another one by then. Nothing is believed of state: the ledger in the database says what is applied, so a lost state,
a killed engine and a colleague's run end the same way. A preview without a database says so and goes on; deleting the
resource keeps the schema, because undoing a migration is a decision about data.
"""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from bluegreen.handler import Context, Handler, Held, Refused
from bluegreen.postgres import ledger
from bluegreen.postgres.apply import apply
from bluegreen.postgres.files import File, one
from bluegreen.postgres.ledger import Book, Entry
from bluegreen.postgres.session import NOTHING, Database, Unreachable
from bluegreen.postgres.spec import MigrationSpec, MigrationState
from bluegreen.postgres.waiting import Moved, must_be_old_enough


class MigrationHandler(Handler[MigrationSpec, MigrationState]):
    """Applies files, and knows which were.

    Args:
        database: opens the database; raises `Refused` where none is configured.
        offline: a preview does without a configured database (previews of forks).
        moved: when traffic last moved, and could still go back.
    """

    spec = MigrationSpec
    state = MigrationState
    # What it is called, where it lies, what it waits for and how patiently change nothing about what was applied.
    quiet: ClassVar[frozenset[str]] = frozenset(
        {"name", "file", "after", "settled", "lockBudget", "upstreams", "rollbackWindow"}
    )

    def __init__(self, database: Callable[[], Database], moved: Moved, *, offline: bool = False) -> None:
        self._database = database
        self._moved = moved
        self._offline = offline
        self._fresh: set[str] = set()  # what this process has applied, which is what this update has

    async def preview(self, ctx: Context, new: MigrationSpec, old: Held[MigrationState] | None) -> MigrationState:
        _must_be_the_same_version(new, old)
        file = _read(new)
        book, why = await self._seen()
        if book is None:
            await ctx.milestone(f"{_outlook(file)}; not compared with the database. {why}")
            return _wanted(new)
        known = book.judge(new, previewing=True)
        if known is None and not self._offline:
            await must_be_old_enough(new, file.label, self._moved, ctx.now())
        await ctx.milestone(f"{file.label}: {known.when}" if known else _outlook(file))
        return known.state() if known else _wanted(new)

    async def create(self, ctx: Context, new: MigrationSpec) -> Held[MigrationState]:
        inputs = new.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return Held(new.version, inputs, await self._apply(ctx, new))

    async def read(self, ctx: Context, id: str, old: Held[MigrationState] | None) -> Held[MigrationState] | None:
        entry = (await ledger.look(self._database())).entries.get(id)
        if entry is None:
            return None
        found = {"version": entry.version, "name": entry.name, "phase": entry.phase, "sha256": entry.sha256}
        imported = {"owner": entry.owner, "file": f"migrations/{entry.label}.sql"}
        return Held(id, {**(old.inputs if old and old.inputs else imported), **found}, entry.state())

    async def update(self, ctx: Context, new: MigrationSpec, old: Held[MigrationState]) -> MigrationState:
        _must_be_the_same_version(new, old)
        return await self._apply(ctx, new)

    async def delete(self, ctx: Context, old: Held[MigrationState]) -> None:
        label = f"{old.state.version or old.id}_{old.state.name}".rstrip("_")
        await ctx.milestone(f"{label} is no longer looked after; its schema and its row in the ledger stay")

    async def _apply(self, ctx: Context, new: MigrationSpec) -> MigrationState:
        file = _read(new)
        if new.settled in self._fresh:
            raise Refused(
                f"{file.label} comes after the contract {new.settled}, which this very update has applied.",
                world=f"{NOTHING} {new.settled} stays applied.",
                next="Look whether the release still serves, then run pulumi up again.",
            )
        if new.phase == "contract" and (await ledger.look(self._database())).judge(new, previewing=True) is None:
            await must_be_old_enough(new, file.label, self._moved, ctx.now())
        applied = await apply(self._database(), file, new, ctx)
        if applied.fresh:
            self._fresh.add(new.version)
        await ctx.milestone(told(file, applied.entry, fresh=applied.fresh))
        return applied.entry.state()

    async def _seen(self) -> tuple[Book | None, str]:
        """The ledger, or why there is none to be seen now."""
        try:
            database = self._database()
        except Refused as refused:
            if self._offline:
                return None, refused.what
            raise
        try:
            return await ledger.look(database), ""
        except Unreachable as problem:
            return None, problem.what


def told(file: File, entry: Entry, *, fresh: bool) -> str:
    """What became of a file, in one line."""
    if not fresh:
        return f"{file.label}: already {entry.when}"
    verified = f", {_count(len(file.verify), 'check')} true" if file.verify else ""
    again = f", at attempt {entry.attempts}" if entry.attempts > 1 else ""
    statements = _count(len(file.statements), "statement")
    return f"{file.label}: applied, {statements} in {entry.took_ms / 1000:.2f} s{verified}{again}"


def _outlook(file: File) -> str:
    needs = f"; every colour must declare schemaMin {file.requires_schema_min}" if file.requires_schema_min else ""
    return f"{file.label}: pending, {_count(len(file.statements), 'statement')}, {file.phase}{needs}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _read(new: MigrationSpec) -> File:
    file = one(Path(new.file))
    if file.sha256 != new.sha256:
        raise Refused(
            f"{new.file} is not what was declared: its sha256 is {file.sha256[:12]}…, not {new.sha256[:12]}….",
            world=NOTHING,
            next="It was changed meanwhile: preview again, then run pulumi up.",
        )
    return file


def _must_be_the_same_version(new: MigrationSpec, old: Held[MigrationState] | None) -> None:
    if old is not None and old.id != new.version:
        raise Refused(
            f"Migration {old.id} cannot become {new.version}.",
            world=NOTHING,
            next="An applied migration never changes: write the next one, as a resource of its own.",
        )


def _wanted(new: MigrationSpec) -> MigrationState:
    return MigrationState(version=new.version, name=new.name, phase=new.phase, sha256=new.sha256)
