"""One change of a database's schema, whole: planned, backed up, applied, looked at, and written down.

`pulumi preview` and `bluegreen migrate dry-run` end with the plan; `pulumi up` and `bluegreen migrate apply` go on from
it, by this code and no other. A plan that was written before is taken as it is while the text and the schema are still
those that it was made for. The backup point is made in the migration's own turn, just before its first statement.

Deliberately not here: which files are wanted and in which order, and what a release has to do with it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bluegreen.handler import Context, Halt, Refused
from bluegreen.postgres import drift, files, ledger, report
from bluegreen.postgres.apply import Applied, apply
from bluegreen.postgres.backup import Backup, Platform, backup
from bluegreen.postgres.catalog import Snapshot, snapshot
from bluegreen.postgres.errand import Errand
from bluegreen.postgres.files import File
from bluegreen.postgres.ledger import Book, Entry
from bluegreen.postgres.plan import FORM, Plan, Verified
from bluegreen.postgres.rehearsal import analysed, rehearse
from bluegreen.postgres.scratch.places import NoScratch
from bluegreen.postgres.scratch.server import server
from bluegreen.postgres.session import NOTHING, Database, Session
from bluegreen.postgres.spec import Backups, Migrations, MigrationSpec
from bluegreen.postgres.stopping import until_stopped
from bluegreen.postgres.verify.leftovers import leftovers

MEGA = 1 << 20
SHOWN = 5  # reasons in a refusal, before it says how many more there are
SKIPPED = "migrations.dryRun is skip."
WITHOUT = "Or say migrations.dryRun: skip, and it is applied untried."


@dataclass(frozen=True, slots=True)
class Change:
    """A file and the database that it is for."""

    database: Database
    file: File
    wanted: MigrationSpec
    ctx: Context
    platform: Platform = field(default_factory=Platform)

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
        async with self.database.session("drift") as session:
            errand = Errand(self.database, self.file, self.wanted, self.ctx)
            await drift.must_be_as_recorded(errand, session, book)
        try:
            plan = await self._plan(book, anew=anew)
        except NoScratch as problem:
            if not previewing:
                raise NoScratch(problem.what, world=problem.world, next=f"{problem.next} {WITHOUT}") from problem
            plan = await analysed(self.file, self.wanted, self.ctx, problem.what)
        report.write(plan, self.folder)
        return plan

    async def _plan(self, book: Book, *, anew: bool) -> Plan:
        if self.wanted.dry_run == "skip":
            return await analysed(self.file, self.wanted, self.ctx, SKIPPED)
        if not anew and (kept := await self._fitting()) is not None:
            return kept
        trying = rehearse(self.database, self.file, self._pending(book), self.wanted, self.ctx)
        return await until_stopped(trying, self.ctx, f"The dry run of {self.file.label}")

    async def carried_out(self) -> Applied:
        """The file is in the ledger; applied by this, or before.

        Raises:
            Halt: as `planned`, `admitted` and `apply` do.
            Unfit: it was applied, and the database is not as it should be now.
        """
        book = await ledger.look(self.database)
        if book.judge(self.wanted) is not None or self.wanted.version in book.halves:
            return await apply(self.database, self.file, self.wanted, self.ctx, also=_locks(self.kept()))
        plan = await self.planned(book)
        admitted(plan, self.folder)
        made: list[Backup] = []
        applied = await apply(
            self.database,
            self.file,
            self.wanted,
            self.ctx,
            also=_locks(plan),
            before=self._ready(plan, made.append),
            reverse=report.reverse_script(plan) if plan.reverse and plan.reverse.script else None,
        )
        if applied.fresh:
            await self._written(plan, applied, made[-1] if made else None)
        return applied

    def kept(self) -> Plan | None:
        """The plan that was written last, whatever has happened since."""
        plan = report.read(self.folder)
        return plan if plan is not None and plan.form == FORM else None

    async def fits(self, plan: Plan) -> bool:
        """Whether a plan was made for this text, on a schema like the database's."""
        if not plan.rehearsed or plan.sha256 != self.file.sha256:
            return False
        async with self.database.session("dry-run") as session:
            return plan.production == (await snapshot(session)).fingerprint

    async def changed(self) -> Sequence[str]:
        """What is not as it was on the copy, of all that the file touched; nothing where there is no plan of it."""
        plan = self.kept()
        if plan is None or plan.difference is None or plan.sha256 != self.file.sha256:
            return ()
        verified = await self._verified(plan)
        return (*verified.differences, *(f"{fault.object}: {fault.message}" for fault in verified.leftovers))

    async def _fitting(self) -> Plan | None:
        plan = self.kept()
        return plan if plan is not None and plan.applied is None and await self.fits(plan) else None

    def _pending(self, book: Book) -> Sequence[File]:
        """What comes before the file and is not applied: its copy begins with that."""
        if self.wanted.after is None or self.wanted.baseline is None:
            return ()
        before = Migrations(target=self.wanted.after, baseline=self.wanted.baseline)
        return [file for file in files.read(self.file.path.parent, before) if file.version not in book.entries]

    def _ready(self, plan: Plan, keep: Callable[[Backup], None]) -> Callable[[Session], Awaitable[None]]:
        """What is done in the turn before the first statement: is it still that schema? And a point to come back to."""

        async def before(session: Session) -> None:
            if not plan.rehearsed:
                return
            if (await snapshot(session)).fingerprint != plan.production:
                raise Refused(
                    f"{self.file.label} was tried on another schema than this: somebody changed it meanwhile.",
                    world=NOTHING,
                    next="Run this again: it is tried on a copy of what is there now.",
                )
            keep(await self._point(plan))

        return before

    async def _point(self, plan: Plan) -> Backup:
        wanted = self.wanted.backup
        async with server(plan.major) as scratch:
            return await backup(
                self.database,
                Path(wanted.folder) / self.folder.parent.parent.name / self.file.label,
                tables=_touched(plan),
                budget_bytes=wanted.megabytes * MEGA,
                scratch=scratch,
                ctx=self.ctx,
                platform=self.platform,
            )

    async def _written(self, plan: Plan, applied: Applied, point: Backup | None) -> None:
        verified = await self._verified(plan) if plan.rehearsed else None
        found = {"applied": applied.entry.state(), "backup": point, "verified": verified, "blockers": applied.blockers}
        report.write(plan.model_copy(update=found), self.folder)
        if verified is not None and not verified.well:
            raise Unfit(applied.entry, verified, self.folder)

    async def _verified(self, plan: Plan) -> Verified:
        """Whether what was touched is on the database as it was on the copy."""
        difference = plan.difference
        assert difference is not None
        async with self.database.session("verify") as session:
            found = await snapshot(session)
            left = await leftovers(session, (*difference.added, *difference.changed))
        differences = tuple(_unlike(plan, found))
        return Verified(same=not differences, differences=differences, leftovers=left)


def platform(token: str | None, wanted: Backups) -> Platform:
    """Where the platform's backups can be asked about."""
    return Platform(token, wanted.supabase_project)


class Unfit(Halt):
    """A migration is in the ledger, and the database is not what its copy was."""

    def __init__(self, entry: Entry, verified: Verified, folder: Path) -> None:
        self.entry = entry
        said = [*verified.differences, *(f"{fault.object}: {fault.message}" for fault in verified.leftovers)]
        super().__init__(
            f"{entry.label} was applied, and the database is not as its copy was: {_some(said)}.",
            world="It stays applied, and its row in the ledger with it.",
            next=f"Look into {folder}; bluegreen migrate rollback takes it back.",
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
            next=f"Correct the file, or allow a rule by name and with a reason; {where} tells more.",
        )


def _locks(plan: Plan | None) -> tuple[tuple[str, str], ...]:
    """What the copy showed to be locked, as a gate asks for it."""
    if plan is None or plan.traced is None:
        return ()
    return tuple((held.relation, held.mode) for held in plan.traced.locks)


def _touched(plan: Plan) -> tuple[str, ...]:
    """Tables that were there before and that the file takes from, or changes: the most endangered first."""
    assert plan.traced is not None
    return tuple(dict.fromkeys(held.relation for held in plan.traced.locks))


def _unlike(plan: Plan, found: Snapshot) -> Sequence[str]:
    hashes = found.hashes()
    wanted = plan.after
    assert plan.difference is not None
    missing = [
        f"{name} is {'not as it was there' if name in hashes else 'missing'}"
        for name, like in wanted.items()
        if hashes.get(name) != like
    ]
    return [*missing, *(f"{name} is still there" for name in plan.difference.gone if name in hashes)]


def _some(said: Sequence[str]) -> str:
    more = f"; and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
    return "; ".join(each.rstrip(".") for each in said[:SHOWN]) + more
