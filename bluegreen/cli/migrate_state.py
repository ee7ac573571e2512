"""Files and ledger side by side: what a database has seen of what a stack wants, as facts for people and machines."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Literal

from bluegreen.postgres import files, ledger
from bluegreen.postgres.files import File
from bluegreen.postgres.ledger import Book
from bluegreen.postgres.reverse_file import head
from bluegreen.postgres.session import Database
from bluegreen.postgres.spec import Migrations
from bluegreen.spec import State as Facts

Standing = Literal["applied", "pending", "begun", "edited", "foreign", "missing", "beyond target"]


class Version(Facts):
    """One migration: as a file, as a row in the ledger, or both.

    `report` is where plan.md lies, if it was made here; `undo` a sentence about the way back of what is applied; `half`
    one about what is done of a file that is not applied whole.
    """

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
    report: str | None = None
    undo: str | None = None
    half: str | None = None


class Migrated(Facts):
    """Where a database stands, in order; `applied` are the versions that this run has applied."""

    target: str = ""
    schema_version: str = ""  # what the database has; the baseline where it has seen none of ours
    versions: tuple[Version, ...] = ()
    applied: tuple[str, ...] = ()


async def seen(database: Database, wanted: Migrations, reports: Path) -> Migrated:
    """What a database has seen, what lies here of it, and how the newest is taken back."""
    book = await ledger.look(database)
    found = facts(wanted, book)
    undo: str | None = None
    if book.newest is not None:
        async with database.session("ledger") as session:
            undo = _way_back(book.newest.version, await ledger.reverse_of(session, book.newest.version))
    return found.model_copy(update={"versions": tuple(_more(each, book, reports, undo) for each in found.versions)})


def _more(each: Version, book: Book, reports: Path, undo: str | None) -> Version:
    report, half = reports / f"{each.version}_{each.name}" / "plan.md", book.halves.get(each.version)
    later = f"Take {book.newest.version} back first." if book.newest is not None else None
    newest = book.newest is not None and each.version == book.newest.version
    told = {
        "report": report.as_posix() if report.is_file() else None,
        "undo": (undo if newest else later) if each.version in book.entries else None,
        "half": f"goes on where it stopped, with {half}" if half is not None else None,
    }
    return each.model_copy(update=told)


def _way_back(version: str, script: str | None) -> str:
    if not script:
        return "The ledger keeps no reverse script of it."
    said = head(script)
    proven = "proven" if said.get("proven") == "yes" else "not proven"
    return f"bluegreen migrate rollback {version}: {said.get('verdict') or 'of unknown verdict'}, {proven}."


def facts(wanted: Migrations, book: Book) -> Migrated:
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
    elif file.version in book.halves:
        state = "begun"
    elif file.version in book.elsewhere:
        state = "foreign"
    own = {"name": file.name, "phase": file.phase, "statements": len(file.statements)}
    return _of_ledger(file.version, state, book).model_copy(update=own)


def _of_ledger(version: str, state: Standing, book: Book) -> Version:
    entry = book.entries.get(version)
    known = {"version": version} if entry is None else asdict(entry)
    return Version.model_validate({**known, "state": state})
