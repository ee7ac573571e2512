"""Files and ledger side by side: what a database has seen of what a stack wants, as facts for people and machines."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Literal

from bluegreen.postgres import files
from bluegreen.postgres.files import File
from bluegreen.postgres.ledger import Book
from bluegreen.postgres.spec import Migrations
from bluegreen.spec import State as Facts

Standing = Literal["applied", "pending", "begun", "edited", "foreign", "missing", "beyond target"]


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
