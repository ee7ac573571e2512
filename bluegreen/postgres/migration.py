"""`bluegreen:postgres:Migration`: one file of SQL that a database has seen, once.

What is applied is what was previewed: the file is read from the project's folder, and refused when its sha256 is
another one by then. A preview tries a pending file on a copy of the database and says what it does, what it locks and
whether it can be taken back; without a database it says what it could not check, and goes on. Nothing is believed of
state: the ledger in the database says what is applied, so a lost state, a killed engine and a colleague's run end the
same way. Deleting the resource keeps the schema, because undoing a migration is a decision about data.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bluegreen.handler import Context, Handler, Held, Partial, Refused
from bluegreen.postgres import ledger, report
from bluegreen.postgres.admission import Unfit, admitted
from bluegreen.postgres.change import Change, platform
from bluegreen.postgres.files import File, one
from bluegreen.postgres.ledger import Book, Entry
from bluegreen.postgres.rehearsal import analysed
from bluegreen.postgres.session import NOTHING, Database, Unreachable
from bluegreen.postgres.spec import QUIET, MigrationSpec, MigrationState
from bluegreen.postgres.waiting import Moved, must_be_old_enough


class MigrationHandler(Handler[MigrationSpec, MigrationState]):
    """Applies files, and knows which were.

    Args:
        database: opens the database; raises `Refused` where none is configured.
        offline: a preview does without a configured database (previews of forks).
        moved: when traffic last moved, and could still go back.
        supabase_token: lets a backup point ask how fresh the platform's own backups are.
        secrets: texts that no report may show.
    """

    spec = MigrationSpec
    state = MigrationState
    quiet: ClassVar[frozenset[str]] = QUIET

    def __init__(
        self,
        database: Callable[[], Database],
        moved: Moved,
        *,
        offline: bool = False,
        supabase_token: str | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        self._database = database
        self._moved = moved
        self._offline = offline
        self._supabase_token = supabase_token
        self._secrets = secrets
        self._fresh: set[str] = set()  # what this process has applied, which is what this update has

    async def preview(self, ctx: Context, new: MigrationSpec, old: Held[MigrationState] | None) -> MigrationState:
        _must_be_the_same_version(new, old)
        file = await asyncio.to_thread(_read, new)
        book, why = await self._seen()
        known = book.judge(new, previewing=True) if book else None
        if known is not None:
            await ctx.milestone(f"{file.label}: {known.when}")
            return known.state()
        if book is not None and new.version in book.halves:
            change = self._change(ctx, new, file)
            if not change.planned_here:
                await change.rest_admitted(book)
            await ctx.milestone(f"{file.label}: goes on where it stopped, with {book.halves[new.version]}")
            return _wanted(new)
        if book is not None and not self._offline:
            await must_be_old_enough(new, file.label, self._moved, ctx.now())
        await self._outlook(ctx, new, file, book, why)
        return _wanted(new)

    async def _outlook(self, ctx: Context, new: MigrationSpec, file: File, book: Book | None, why: str) -> None:
        """What a pending file will do, as far as it can be known now."""
        if book is None:
            plan, folder = await analysed(file, new, ctx, why), None
        else:
            change = self._change(ctx, new, file)
            plan, folder = await change.planned(book, previewing=True), change.folder
        admitted(plan, folder)
        needs = f"; every colour must declare schemaMin {file.requires_schema_min}" if file.requires_schema_min else ""
        unknown = "".join(f". {said.rstrip('.')}" for said in plan.not_checked)
        await ctx.milestone(f"{report.told(plan)}{needs}{unknown}{f' ({folder}/plan.md)' if folder else ''}")

    async def create(self, ctx: Context, new: MigrationSpec) -> Held[MigrationState]:
        inputs = new.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return Held(new.version, inputs, await self._apply(ctx, new, inputs))

    async def read(self, ctx: Context, id: str, old: Held[MigrationState] | None) -> Held[MigrationState] | None:
        entry = (await ledger.look(self._database())).entries.get(id)
        if entry is None:
            return None
        found = {"version": entry.version, "name": entry.name, "phase": entry.phase, "sha256": entry.sha256}
        imported = {"owner": entry.owner, "file": f"migrations/{entry.label}.sql"}
        return Held(id, {**(old.inputs if old and old.inputs else imported), **found}, entry.state())

    async def update(self, ctx: Context, new: MigrationSpec, old: Held[MigrationState]) -> MigrationState:
        _must_be_the_same_version(new, old)
        return await self._apply(ctx, new, old.inputs)

    async def delete(self, ctx: Context, old: Held[MigrationState]) -> None:
        label = f"{old.state.version or old.id}_{old.state.name}".rstrip("_")
        await ctx.milestone(f"{label} is no longer looked after; its schema and its row in the ledger stay")

    async def _apply(self, ctx: Context, new: MigrationSpec, inputs: Mapping[str, Any]) -> MigrationState:
        file = await asyncio.to_thread(_read, new)
        if new.settled in self._fresh:
            raise Refused(
                f"{file.label} comes after the contract {new.settled}, which this very update has applied.",
                world=f"{NOTHING} {new.settled} stays applied.",
                next="Look whether the release still serves, then run pulumi up again.",
            )
        if new.phase == "contract" and (await ledger.look(self._database())).judge(new, previewing=True) is None:
            await must_be_old_enough(new, file.label, self._moved, ctx.now())
        try:
            applied = await self._change(ctx, new, file).carried_out()
        except Unfit as unfit:
            self._fresh.add(new.version)
            held = Held(new.version, inputs, unfit.entry.state())
            raise Partial(unfit.what, held=held, world=unfit.world, next=unfit.next) from unfit
        if applied.fresh:
            self._fresh.add(new.version)
        await ctx.milestone(told(file, applied.entry, fresh=applied.fresh))
        return applied.entry.state()

    def _change(self, ctx: Context, new: MigrationSpec, file: File) -> Change:
        return Change(self._database(), file, new, ctx, platform(self._supabase_token, new.backup), self._secrets)

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
