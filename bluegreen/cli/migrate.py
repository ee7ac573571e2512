"""`bluegreen migrate status | apply`: what the database has seen, and applying what is pending without an engine.

`apply` does what `pulumi up` does, by the same code and under the same lock, so both at once apply each file once; the
next `pulumi up` finds the ledger and takes it as it is. It never goes past `migrations.target`. Undoing a migration
and analysing one are not here.
"""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.handler import Halt
from bluegreen.postgres import files, ledger
from bluegreen.postgres.apply import Failed, Locked, Stopped, Unclear, apply
from bluegreen.postgres.files import File
from bluegreen.postgres.ledger import Book
from bluegreen.postgres.migration import told
from bluegreen.postgres.session import NOTHING
from bluegreen.postgres.spec import Migrations
from bluegreen.postgres.waiting import must_be_old_enough
from bluegreen.spec import State as Facts

Standing = Literal["applied", "pending", "edited", "foreign", "missing", "beyond target"]
EXITS: tuple[tuple[type[Halt], Exit], ...] = (
    (Failed, Exit.FAILED_BEFORE_SWITCH),
    (Stopped, Exit.FAILED_BEFORE_SWITCH),
    (Locked, Exit.LOCKED),
    (Unclear, Exit.INCONCLUSIVE),
)

Action = Annotated[Literal["status", "apply"], typer.Argument(help="Look, or apply what is pending.")]


class Version(Facts):
    """One migration: as a file, as a row in the ledger, or both."""

    version: str
    name: str = ""
    state: Standing = "pending"
    phase: str | None = None
    statements: int | None = None
    applied_at: datetime | None = None
    applied_by: str | None = None
    owner: str | None = None
    took_ms: int | None = None
    attempts: int | None = None


class Migrated(Facts):
    """Where a database stands, in order; `applied` are the versions that this run has applied."""

    target: str = ""
    schema_version: str = ""  # what the database has; the baseline where it has seen none of ours
    versions: tuple[Version, ...] = ()
    applied: tuple[str, ...] = ()


async def migrate(desk: Desk, action: Action) -> Outcome:
    """Show which migrations the database has seen, or apply the pending ones up to the target."""
    wanted = desk.settings.migrations
    if wanted is None:
        return Outcome(
            exit=Exit.REFUSED,
            what="This stack has no migrations.",
            world=NOTHING,
            next="Set migrations.target and migrations.baseline in the stack config.",
        )
    if action == "status":
        return _status(_facts(wanted, await ledger.look(desk.connections.database())))
    return await _apply(desk, wanted)


def _status(facts: Migrated) -> Outcome:
    by_state: dict[Standing, list[str]] = {}
    for version in facts.versions:
        by_state.setdefault(version.state, []).append(version.version)
    strange = by_state.keys() & {"edited", "foreign", "missing"}
    after = "Run pulumi up, or bluegreen migrate apply." if "pending" in by_state else ""
    return Outcome(
        exit=Exit.DRIFT if strange else Exit.OK,
        what=f"The schema is at {facts.schema_version}; {facts.target} is wanted.",
        world=" ".join(f"{state.capitalize()}: {', '.join(versions)}." for state, versions in by_state.items()),
        next="Files and ledger disagree: docs/migrations.md tells the ways out." if strange else after,
        facts=facts,
    )


async def _apply(desk: Desk, wanted: Migrations) -> Outcome:
    now = desk.ctx.now()
    database, all_files = desk.connections.database(), files.read(Path(wanted.folder), wanted)
    window = desk.settings.rollout.rollback_window.duration
    specs = [file.spec(desk.settings.owner, wanted, desk.settings.order(), window) for file in all_files]
    book, done = await ledger.look(database), list[str]()
    # Judged all together before the first is applied: the last may be one that must wait for another release.
    pending = [pair for pair in zip(all_files, specs, strict=True) if book.judge(pair[1], previewing=True) is None]
    desk.settings.admit((file.label, file.requires_schema_min) for file, _ in pending)
    for file, spec in pending:
        await must_be_old_enough(spec, file.label, lambda upstream: desk.connections.gateway().moved(upstream), now)
    said = ["Nothing is pending."]
    try:
        for file, spec in pending:
            applied = await apply(database, file, spec, desk.ctx)
            said = [f"{told(file, applied.entry, fresh=applied.fresh)}."]
            await desk.ctx.milestone(said[0])
            done += [file.version] if applied.fresh else []
    except Halt as halt:
        code = next((code for kind, code in EXITS if isinstance(halt, kind)), Exit.REFUSED)
        before = f" Applied before it, and staying: {', '.join(done)}." if done else ""
        return Outcome(exit=code, what=halt.what, world=halt.world + before, next=halt.next)
    facts = _facts(wanted, await ledger.look(database)).model_copy(update={"applied": tuple(done)})
    return Outcome(exit=Exit.OK, what=said[-1], world=f"The schema is at {facts.schema_version}.", facts=facts)


def _facts(wanted: Migrations, book: Book) -> Migrated:
    """Files and ledger side by side, by number."""
    folder = Path(wanted.folder)
    versions = [_of_file(file, book) for file in files.read(folder, wanted)]
    there = {version.version for version in versions}
    for label in files.beyond(folder, wanted):
        version, _, name = label.partition("_")
        if version not in book.entries:
            versions.append(Version(version=version, name=name, state="beyond target"))
            there.add(version)
    above = [version for version in book.entries if int(version) > int(wanted.baseline)]
    for version in above:
        if version not in there:
            beyond = int(version) > int(wanted.target)
            versions.append(_of_ledger(version, "applied" if beyond else "missing", book))
    versions.sort(key=lambda each: int(each.version))
    newest = max(above, key=int, default=wanted.baseline)
    return Migrated(target=wanted.target, schema_version=newest, versions=tuple(versions))


def _of_file(file: File, book: Book) -> Version:
    state: Standing = "pending"
    if file.version in book.entries:
        state = "applied" if book.entries[file.version].sha256 == file.sha256 else "edited"
    elif file.version in book.elsewhere:
        state = "foreign"
    own = {"name": file.name, "phase": file.phase, "statements": len(file.statements)}
    return _of_ledger(file.version, state, book).model_copy(update=own)


def _of_ledger(version: str, state: Standing, book: Book) -> Version:
    entry = book.entries.get(version)
    known = {"version": version} if entry is None else asdict(entry)
    return Version.model_validate({**known, "state": state})
