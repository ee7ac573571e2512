"""Files, ledger and schema side by side: nothing edited, nothing half done, nothing changed by hand, and a fit.

A migration that is pending is no fault by itself, because the next update applies it. It deliberately applies nothing
and proposes no script: `bluegreen migrate` does both.
"""

from collections.abc import Sequence
from pathlib import Path

from bluegreen.handler import Halt
from bluegreen.postgres import files
from bluegreen.postgres.errand import AGAIN
from bluegreen.postgres.files import File
from bluegreen.postgres.ledger import Book, ways_out
from bluegreen.postgres.session import SqlError
from bluegreen.postgres.spec import Migrations
from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.finding import Severity
from bluegreen.validation.looking import listed, serving
from bluegreen.validation.queries import WITHIN, base, refused

GROUP = "database"


@check(
    "migrations-unedited",
    group=GROUP,
    within=WITHIN,
    expected="what was applied is what the files say, and everything that was applied is a file here",
    hint="An applied migration never changes: restore the file, and write the next one.",
)
async def unedited(room: Room) -> Sequence[Seen]:
    wanted, book = await _book(room)
    try:
        here = _files(wanted)
    except Halt as halt:
        return [Seen(False, halt.what, hint=halt.next)]
    found = [each for file in here if (each := _edited(file, book)) is not None]
    known = {file.version for file in here}
    for version, entry in sorted(book.entries.items(), key=lambda item: int(item[0])):
        if int(wanted.baseline) < int(version) <= int(wanted.target) and version not in known:
            said = f"{entry.label} was {entry.when}, and there is no such file in {wanted.folder}"
            found.append(Seen(False, said, about=entry.label, hint="Bring the file back from the branch it came from."))
    applied = sum(file.version in book.entries for file in here)
    return found or [Seen(True, f"{applied} applied as they are here", n=len(here))]


def _edited(file: File, book: Book) -> Seen | None:
    entry = book.entries.get(file.version)
    if entry is not None and entry.sha256 != file.sha256:
        said = f"{file.label} was edited: its sha256 is {file.sha256[:12]}…, and {entry.sha256[:12]}… was {entry.when}"
        return Seen(False, said, about=file.label)
    if entry is None and file.version in book.elsewhere:
        hint = f"If it is this file, raise migrations.baseline to {file.version}; otherwise give it a free number."
        said = f"{file.label}: Supabase's ledger has {file.version}, and ours does not"
        return Seen(False, said, about=file.label, hint=hint)
    return None


@check(
    "migrations-applied",
    group=GROUP,
    within=WITHIN,
    severity="warn",
    expected="nothing is pending",
    hint="pulumi up applies it; bluegreen migrate dry-run shows what it does and which locks it takes.",
)
async def applied(room: Room) -> Seen:
    wanted, book = await _book(room)
    known = {*book.entries, *book.elsewhere, *book.halves}
    pending = [file.label for file in _asked(wanted) if file.version not in known]
    if pending:
        return Seen(False, f"{listed(pending)} {'is' if len(pending) == 1 else 'are'} pending", n=len(pending))
    newest = book.newest
    return Seen(True, f"the database is at {newest.label if newest else wanted.baseline}", n=len(book.entries))


@check(
    "migrations-whole",
    group=GROUP,
    within=WITHIN,
    expected="no migration is half applied",
    hint="Run pulumi up: it goes on where it stopped.",
)
async def whole(room: Room) -> Sequence[Seen]:
    _, book = await _book(room)
    if by := (await base(room)).migrating:
        said, hint = f"{by} is migrating this database", "Wait for its end, then validate again."
        return [Seen(False, said, severity="warn", hint=hint)]
    return [
        Seen(False, f"{version} is half applied ({half})", about=version, hint="Run pulumi up: it goes on from there.")
        for version, half in sorted(book.halves.items())
    ] or [Seen(True, "none is")]


@check(
    "database-drift",
    group=GROUP,
    within=WITHIN,
    expected="the schema is as the last migration left it",
    hint="Undo it by hand, write it as the next migration, or take it as it is: bluegreen migrate accept --reason …",
)
async def drift(room: Room) -> Seen:
    _, book = await _book(room)
    known = await base(room)
    found = known.drift
    if known.migrating:
        raise Skip("The schema is being changed now, as migrations-whole tells.")
    if isinstance(found, SqlError) and found.code in AGAIN:
        raise Skip("Somebody holds a lock that a look at the schema has to wait for, as database-locks tells.")
    if isinstance(found, SqlError):
        raise refused(found)
    if book.newest is None:
        raise Skip("No migration of ours was applied, so there is nothing to compare with.")
    if found.unknown:
        raise Skip(f"Whether the schema was changed by hand is not known: {found.unknown}.")
    severity: Severity | None = (
        "warn" if room.settings.migrations and room.settings.migrations.drift == "warn" else None
    )
    what = f"changed by hand since {book.newest.label}: {found}" if found else f"as {book.newest.label} left it"
    return Seen(not found, what, severity=severity)


@check(
    "schema-fit",
    group=GROUP,
    within=WITHIN,
    expected="the database has the schema that every release needs, and has lost nothing that one still uses",
    hint="Apply what is missing, or take a release that needs less.",
)
async def fit(room: Room) -> Sequence[Seen]:
    wanted, book = await _book(room)
    settings, holds = room.settings, max((wanted.baseline, *book.entries), key=int)
    contracts = [(entry.label, entry.requires_schema_min) for entry in book.entries.values()]
    found = []
    for app, colour in settings.existing():
        name, needs = settings.service_name(app, colour), settings.release(app, colour).schema_min
        live = colour == await serving(room, app)
        if app in room.wanted() and live and needs is not None and int(needs) > int(holds):
            said = f"{name} is live and needs schema {needs}, and the database holds {holds}"
            hint = f"Apply {needs} (migrations.target), or set apps.{app}.live to a release that needs less."
            found.append(Seen(False, said, about=name, app=app, hint=hint))
        for lag in settings.lags(app, colour, contracts) if app in room.wanted() else ():
            hint = f"Ship a release to {name} that declares schemaMin and needs no more what was taken away."
            severity: Severity | None = None if live else "warn"  # only the way back is gone
            found.append(Seen(False, lag, about=name, app=app, hint=hint, severity=severity))
    return found or [Seen(True, f"the database holds {holds}, which every live release fits", n=len(book.entries))]


async def _book(room: Room) -> tuple[Migrations, Book]:
    wanted = room.settings.migrations
    if wanted is None:
        raise Skip("The config declares no migrations.")
    book = (await base(room)).book
    if isinstance(book, SqlError):
        said = refused(book)
        said.next = ways_out(book)
        raise said
    if isinstance(book, Halt):
        raise book
    return wanted, book


def _files(wanted: Migrations) -> Sequence[File]:
    return files.read(Path(wanted.folder), wanted)


def _asked(wanted: Migrations) -> Sequence[File]:
    try:
        return _files(wanted)
    except Halt as halt:
        raise Skip("The files cannot be read as they are, as migrations-unedited tells.") from halt
