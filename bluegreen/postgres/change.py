"""One change of a database's schema, whole: planned, backed up, applied, looked at, and written down.

`pulumi preview` and `bluegreen migrate dry-run` end with the plan; `pulumi up` and `bluegreen migrate apply` go on from
it, by this code and no other. A plan that was written before is taken as it is while the text and the schema are still
those that it was made for. The backup point is made in the migration's own turn, just before its first statement.

Deliberately not here: which files are wanted and in which order, and what a release has to do with it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bluegreen.handler import Context, Refused
from bluegreen.postgres import drift, files, ledger, report
from bluegreen.postgres.admission import Unfit, admitted, locks, taken_from, touched
from bluegreen.postgres.apply import Applied, apply
from bluegreen.postgres.backup import Backup, Platform, backup
from bluegreen.postgres.catalog import snapshot
from bluegreen.postgres.errand import Errand
from bluegreen.postgres.files import File
from bluegreen.postgres.ledger import Book, Entry
from bluegreen.postgres.lint import lint, look
from bluegreen.postgres.plan import FORM, Plan
from bluegreen.postgres.rehearsal import NEWEST, analysed, rehearse
from bluegreen.postgres.scratch.places import NoScratch
from bluegreen.postgres.scratch.server import server
from bluegreen.postgres.session import NOTHING, Database, Lost, Session, SqlError
from bluegreen.postgres.spec import Backups, Migrations, MigrationSpec
from bluegreen.postgres.stopping import until_stopped
from bluegreen.postgres.verify.promised import beside, told, verified

MEGA = 1 << 20
SKIPPED = "migrations.dryRun is skip, so there is no backup either."
NO_BACKUP = "no-backup"
WITHOUT = "Or say migrations.dryRun: skip, and it is applied untried."


@dataclass(frozen=True, slots=True)
class Change:
    """A file and the database that it is for; `secrets` are texts that no report may show."""

    database: Database
    file: File
    wanted: MigrationSpec
    ctx: Context
    platform: Platform = field(default_factory=Platform)
    secrets: Sequence[str] = ()

    @property
    def folder(self) -> Path:
        """Of its report: `reports/STACK/migrations/FILE`."""
        stack = self.wanted.owner.partition(".")[2] or self.wanted.owner
        return Path(self.wanted.reports) / stack / "migrations" / self.file.label

    async def planned(self, book: Book, *, anew: bool = False, previewing: bool = False) -> Plan:
        """The plan, and its report; the one that is there if it fits and nobody wants it `anew`.

        Raises:
            Halt: the schema was changed by hand, the file does not go through on a copy, or no copy can be had; for
                want of a server to copy to, a preview tells what the text alone says.
        """
        plan = await self._half(book)
        if plan is None:
            async with self.database.session("drift") as session:
                errand = Errand(self.database, self.file, self.wanted, self.ctx)
                await drift.must_be_as_recorded(errand, session, book)
            try:
                plan = await self._plan(book, anew=anew)
            except NoScratch as problem:
                if not previewing:
                    raise NoScratch(problem.what, world=problem.world, next=f"{problem.next} {WITHOUT}") from problem
                plan = await analysed(self.file, self.wanted, self.ctx, problem.what)
            except (Lost, SqlError) as problem:
                what = f"The dry run of {self.file.label} came to no end: {str(problem).rstrip('.')}."
                raise Refused(what, world=NOTHING, next="Run this again.") from problem
        if self.wanted.version not in book.halves:  # that one goes on by the plan that it began with
            await self._report(plan)
        return plan

    async def _half(self, book: Book) -> Plan | None:
        """What the text alone tells while a file is half applied: what is done of it is on every copy, and no drift."""
        begun = [version for version in book.halves if int(version) <= int(self.wanted.version)]
        if not begun:
            return None
        half = f"{begun[0]} is half applied, with {book.halves[begun[0]]}"
        return await analysed(self.file, self.wanted, self.ctx, f"{half}: the rest can only be tried in its place.")

    async def _plan(self, book: Book, *, anew: bool) -> Plan:
        if self.wanted.dry_run == "skip":
            return await analysed(self.file, self.wanted, self.ctx, SKIPPED)
        if not anew and (kept := self.kept()) is not None and kept.applied is None and not await self.stale(kept):
            return kept
        trying = rehearse(self.database, self.file, self._pending(book), self.wanted, self.ctx)
        return await until_stopped(trying, self.ctx, f"The dry run of {self.file.label}")

    async def carried_out(self) -> Applied:
        """The file is in the ledger; applied by this, or before.

        Raises:
            Halt: as `planned`, `admitted` and `apply` do.
            Unfit: it is applied, and the database is not as it should be.
        """
        book = await ledger.look(self.database)
        known = book.judge(self.wanted)
        if known is not None:
            await self._looked_again(book, known)
            return Applied(known, fresh=False)
        if self.wanted.version in book.halves:
            plan = self._of_this_text()
            if plan is None:
                await self.rest_admitted(book)
        else:
            plan = await self.planned(book)
            admitted(plan, self.folder)
        return await self._applied(plan)

    async def rest_admitted(self, book: Book) -> None:
        """What is not done yet of a half applied file, where it is another text than was planned here.

        Raises:
            Refused: the lint speaks against it.
        """
        half = book.halves[self.wanted.version]
        done = sum(len(segment.statements) for segment in self.file.segments if half.has(segment))
        async with self.database.session("lint") as session:
            known = await look(session)
        linted = await lint(self.file, major=NEWEST, known=known)
        rest = tuple(each for each in linted.findings if each.statement == 0 or each.statement > done)
        plan = await analysed(self.file, self.wanted, self.ctx, "")
        admitted(plan.model_copy(update={"linted": linted.model_copy(update={"findings": rest})}))
        await self.ctx.milestone(f"{self.file.label}: the rest of it was edited, and is not tried on a copy")

    async def _applied(self, plan: Plan | None) -> Applied:
        """By its plan; of a half applied file that was planned elsewhere there may be none here."""
        points: list[Backup] = []
        applied = await apply(
            self.database,
            self.file,
            self.wanted,
            self.ctx,
            also=locks(plan or self.kept()),
            before=self._ready(plan, points.append) if plan is not None and plan.rehearsed else None,
            reverse=report.reverse_script(plan) if plan and plan.reverse and plan.reverse.script else None,
        )
        if applied.fresh and plan is not None:
            point = points[-1] if points else plan.backup
            found = {"applied": applied.entry.state(), "backup": point, "blockers": applied.blockers}
            await self._looked_at(plan.model_copy(update=found), applied.entry)
        return applied

    def kept(self) -> Plan | None:
        """The plan that was written last, whatever has happened since."""
        plan = report.read(self.folder)
        return plan if plan is not None and plan.form == FORM else None

    async def stale(self, plan: Plan) -> str:
        """Why a plan is not one of this text, on a schema like the database's; nothing where it fits."""
        if plan.sha256 != self.file.sha256:
            return "was made for another text"
        if not plan.rehearsed:
            return "was made without a copy"
        if plan.beside != beside(self.file.path.parent):
            return "was made with another matrix, or other statements, beside the file"
        async with self.database.session("dry-run") as session:
            there = (await snapshot(session)).fingerprint
        return "" if plan.production == there else "was made on another schema than the database has now"

    async def changed(self, book: Book) -> Sequence[str]:
        """What is not as it was on the copy; nothing where there is no plan, or where later files had their say."""
        plan = self._of_this_text()
        if plan is None or not plan.rehearsed or book.newest is None or book.newest.version != plan.version:
            return ()
        async with self.database.session("verify") as session:
            if await drift.accepted(session, book):
                return ()
        return told(await verified(self.database, plan))

    @property
    def planned_here(self) -> bool:
        """Whether there is a plan of this very text."""
        return self._of_this_text() is not None

    def _of_this_text(self) -> Plan | None:
        plan = self.kept()
        return plan if plan is not None and plan.sha256 == self.file.sha256 else None

    def _pending(self, book: Book) -> Sequence[File]:
        """What comes before the file and is not applied: its copy begins with that."""
        if self.wanted.after is None or self.wanted.baseline is None:
            return ()
        before = Migrations(target=self.wanted.after, baseline=self.wanted.baseline)
        return [file for file in files.read(self.file.path.parent, before) if file.version not in book.entries]

    def _ready(self, plan: Plan, keep: Callable[[Backup], None]) -> Callable[[Session], Awaitable[None]]:
        """What is done in the turn before the first statement: is it still that schema? And a point to come back to."""

        async def before(session: Session) -> None:
            if (await snapshot(session)).fingerprint != plan.production:
                raise Refused(
                    f"{self.file.label} was tried on another schema than this: somebody changed it meanwhile.",
                    world=NOTHING,
                    next="Run this again: it is tried on a copy of what is there now.",
                )
            point = await self._point(plan)
            keep(point)
            await self._enough(plan, point)
            await self._report(plan.model_copy(update={"backup": point}))  # a run that dies has made it all the same

        return before

    async def _enough(self, plan: Plan, point: Backup) -> None:
        """What a contract takes from is in the dump, or the file says why it need not be.

        Raises:
            Refused: it is not.
        """
        missing = point.missing(taken_from(plan))
        if not missing:
            return
        named = "; ".join(map(str, missing))
        if plan.phase == "contract" and NO_BACKUP not in plan.allowed:
            raise Refused(
                f"{self.file.label} takes from what no dump holds: {named} ({NO_BACKUP}).",
                world=NOTHING,
                next="Raise migrations.backup.megabytes, or dump it yourself and say so in the file: "
                f"-- bluegreen:allow {NO_BACKUP} REASON.",
            )
        await self.ctx.milestone(f"{self.file.label}: not in the dump: {named}")

    async def _point(self, plan: Plan) -> Backup:
        wanted = self.wanted.backup
        folder = Path(wanted.folder) / self.folder.parent.parent.name / self.file.label
        async with server(plan.major) as scratch:
            return await backup(
                self.database,
                folder,
                tables=touched(plan),
                budget_bytes=wanted.megabytes * MEGA,
                scratch=scratch,
                ctx=self.ctx,
                platform=self.platform,
            )

    async def _looked_again(self, book: Book, entry: Entry) -> None:
        """Where nobody has seen yet that all is well: it was not, or whoever applied it never came to look."""
        plan = self._of_this_text()
        if plan is None or not plan.rehearsed or book.newest is None or book.newest.version != entry.version:
            return
        if plan.applied is not None and plan.applied.applied_at != entry.applied_at:
            return  # of another time that it was applied
        if plan.verified is None or not plan.verified.well:
            await self._looked_at(plan.model_copy(update={"applied": entry.state()}), entry)

    async def _looked_at(self, plan: Plan, entry: Entry) -> None:
        """The last word on what was applied, and its report.

        Raises:
            Unfit: the database is not what its copy was, and nobody has taken it as it is.
        """
        found = await verified(self.database, plan) if plan.rehearsed else None
        try:
            await self._report(plan.model_copy(update={"verified": found}))
        except Refused as refused:
            await self.ctx.milestone(f"{entry.label}: {refused.what}")
        if found is None or found.well:
            return
        book = await ledger.look(self.database)
        async with self.database.session("verify") as session:
            if not await drift.accepted(session, book):
                raise Unfit(entry, found, self.folder)

    async def _report(self, plan: Plan) -> None:
        try:
            await asyncio.to_thread(report.write, plan, self.folder, secrets=self.secrets)
        except OSError as error:
            raise Refused(
                f"The report cannot be written to {self.folder}: {error.strerror}.",
                world=NOTHING,
                next="Make room for it there, or name another folder (migrations.reports).",
            ) from error


def platform(token: str | None, wanted: Backups) -> Platform:
    """Where the platform's backups can be asked about."""
    return Platform(token, wanted.supabase_project)
