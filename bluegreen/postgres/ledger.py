"""The ledger: which migrations this database has seen, in the database itself, written in the transaction of each.

`bluegreen.migrations` is ours: outside every schema that an API exposes, with row level security on and nothing
granted. On Supabase a row goes into its own ledger too, so that its tools see the same; a version that stands there
and not in ours was applied by somebody else, and is refused. `Book` is the ledger as it was read: it judges, purely.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from bluegreen.handler import Refused
from bluegreen.postgres import halves
from bluegreen.postgres.errand import AGAIN
from bluegreen.postgres.files import File
from bluegreen.postgres.halves import Half
from bluegreen.postgres.session import NOTHING, Database, Lost, Session, SqlError, Unreachable
from bluegreen.postgres.spec import MigrationSpec, MigrationState
from bluegreen.postgres.tables import API_ROLES, MAKE, PRESENT
from bluegreen.postgres.transaction import LOCK_TIMEOUT

PATIENCE_SECONDS, PAUSE = 15.0, 0.2  # for whoever holds a table of the ledger

ENTRIES = """
select version, name, sha256, phase, owner, applied_at, applied_by, took_ms, attempts, requires_schema_min
from bluegreen.migrations
"""
IN_ORDER = f"{ENTRIES} order by version::numeric"


@dataclass(frozen=True, slots=True)
class Entry:
    """One migration that this database has seen."""

    version: str
    name: str
    sha256: str
    phase: str
    owner: str
    applied_at: datetime
    applied_by: str
    took_ms: int
    attempts: int
    requires_schema_min: str | None = None  # of a contract: what every release has to declare since then

    @property
    def label(self) -> str:
        return f"{self.version}_{self.name}"

    @property
    def when(self) -> str:
        return f"applied on {self.applied_at:%Y-%m-%d at %H:%M %Z} for {self.owner}"

    def state(self) -> MigrationState:
        return MigrationState.model_validate(asdict(self))


@dataclass(frozen=True, slots=True)
class Book:
    """The ledger as it was read. `elsewhere` are versions that only Supabase's ledger has.

    `ready` when every table that an apply writes to is there; `prepare` makes them, and they are empty then.
    """

    entries: Mapping[str, Entry]
    elsewhere: frozenset[str] = frozenset()
    supabase: bool = False
    halves: Mapping[str, Half] = field(default_factory=dict)  # begun, and not applied whole
    ready: bool = False

    @property
    def newest(self) -> Entry | None:
        """The last migration by number."""
        return max(self.entries.values(), key=lambda entry: int(entry.version), default=None)

    def judge(self, wanted: MigrationSpec, *, previewing: bool = False) -> Entry | None:
        """The entry of a migration that was applied as it is wanted; None when it may be applied now.

        A preview takes it that what comes before is applied by then, except a contract: that has to be there already.

        Raises:
            Refused: it was applied with another text, or it is not its turn.
        """
        known = self.entries.get(wanted.version)
        if known is not None:
            _must_be_the_same(known, wanted)
            return known
        self._must_be_ours(wanted)
        self._must_be_next(wanted, previewing=previewing)
        return None

    def _must_be_ours(self, wanted: MigrationSpec) -> None:
        if wanted.version in self.elsewhere:
            raise Refused(
                f"{_label(wanted)} is not ours to apply: Supabase's ledger has {wanted.version}, ours does not.",
                world=f"{NOTHING} Another tool has applied a migration of that number.",
                next=f"If it is this file, raise migrations.baseline to {wanted.version}; "
                "if it is another one, give this file a number that is free.",
            )

    def _must_be_next(self, wanted: MigrationSpec, *, previewing: bool) -> None:
        newer = [entry.label for entry in self.entries.values() if int(entry.version) > int(wanted.version)]
        if newer:
            raise Refused(
                f"{_label(wanted)} comes too late: {newer[-1]} is applied already.",
                world=NOTHING,
                next="Give it the next number, and put it after what is there.",
            )
        begun = [half for half in self.halves.values() if int(half.version) > int(wanted.version)]
        if begun:
            raise Refused(
                f"{_label(wanted)} comes too late: {begun[-1].version} is half applied ({begun[-1]}).",
                world=NOTHING,
                next=f"Bring {begun[-1].version} to its end, and give this one the next number.",
            )
        needed = wanted.settled if previewing else wanted.after
        if needed is None or needed in self.entries:
            return
        contract = " It is a contract, so a release of its own has to apply it first." if previewing else ""
        raise Refused(
            f"{_label(wanted)} cannot be applied before {needed}, which this database has not seen.{contract}",
            world=NOTHING,
            next=f'Apply {needed} first (migrations.target: "{needed}"), '
            f"or raise migrations.baseline to {needed} if its effects are there.",
        )


async def look(database: Database) -> Book:
    """The ledger as it is, through a session of its own.

    Raises:
        Unreachable: no database answers.
        Refused: one does, and its ledger is not ours to read.
    """
    try:
        async with database.session("ledger") as session:
            return await read(session)
    except Lost as problem:
        what = f"The connection to Postgres at {database.where} was lost."
        raise Unreachable(what, world=NOTHING, next="Run this again.") from problem
    except SqlError as problem:
        raise Refused(
            f"The ledger of migrations cannot be read: {problem.message} ({problem.code}).",
            world=NOTHING,
            next=ways_out(problem),
        ) from problem


def ways_out(error: SqlError) -> str:
    """What to do about a ledger that answers with this."""
    if error.code in ("42703", "42P01", "42804"):
        return "bluegreen.migrations is not as this program makes it: rename that table, then run this again."
    if error.code == "25006":
        return "Name the primary in bluegreen:databaseUrl: this server takes no writes."
    return "Give the user in bluegreen:databaseUrl the right to, or name the one who made it."


async def read(session: Session) -> Book:
    """The ledger as it is; empty where there is none yet. Writes nothing."""
    ours, supabase, theirs, parts, hidden, missing = (await session.rows(PRESENT))[0]
    if hidden:
        raise Refused(
            "Row level security hides the ledger of migrations from this user, so it would seem to be empty.",
            world=NOTHING,
            next="Name its owner in bluegreen:databaseUrl, or a user with bypassrls.",
        )
    entries = {row[0]: Entry(*row) for row in (await session.rows(IN_ORDER) if ours else ())}
    elsewhere: frozenset[str] = frozenset()
    if theirs:
        found = await session.rows("select version from supabase_migrations.schema_migrations")
        elsewhere = frozenset(version for (version,) in found) - set(entries)
    begun = await halves.read(session) if parts else []
    half = {each.version: each for each in begun if each.version not in entries}
    return Book(entries, elsewhere, supabase, half, ready=not missing)


async def entry(session: Session, version: str) -> Entry:
    """A version's row, of which is known that it is there."""
    return Entry(*(await session.rows(f"{ENTRIES} where version = %s", version))[0])


async def prepare(session: Session, again: Callable[[], None] | None = None) -> None:
    """Make what is missing of the ledgers, also beside older ones. Only in one's turn: two at once collide.

    Nobody who reads them queues behind it: it is tried for 50 ms, until `again` raises, or for a while.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while missing := (await session.rows(PRESENT))[0][5]:
        try:
            await session.run(f"begin; set local lock_timeout = '{LOCK_TIMEOUT}';{await _made(session, missing)}commit")
        except SqlError as error:
            if error.code not in AGAIN or (again is None and time.monotonic() > end):
                raise
            if again is not None:
                again()
            await asyncio.sleep(PAUSE)


async def _made(session: Session, missing: Sequence[str]) -> str:
    there = await session.rows(
        "select pg_catalog.quote_ident(rolname) from pg_catalog.pg_roles where rolname = any(%s)", list(API_ROLES)
    )
    closed = "".join(
        f"revoke all on schema bluegreen from {role}; revoke all on all tables in schema bluegreen from {role};"
        for (role,) in there
    )
    return "".join(MAKE[each] for each in missing) + ("" if [*missing] == ["supabase"] else closed)


async def reverse_of(session: Session, version: str) -> str | None:
    """The script that takes a migration back, as its plan made it; None where there is none."""
    if not (await session.rows(PRESENT))[0][0]:
        return None
    # As JSON, because a ledger that an older program made has no such column.
    found = await session.rows(
        "select pg_catalog.to_jsonb(m) ->> 'reverse' from bluegreen.migrations m where version = %s", version
    )
    return str(found[0][0]) if found and found[0][0] is not None else None


def entry_of(
    session: Session,
    file: File,
    wanted: MigrationSpec,
    *,
    attempts: int,
    supabase: bool,
    reverse: str | None = None,
) -> tuple[str, ...]:
    """The statements that put a file into the ledgers, for the end of its own transaction."""
    quoted = session.literal
    text = (wanted.version, wanted.name, wanted.sha256, wanted.phase, wanted.owner, file.requires_schema_min)
    took = halves.ELAPSED
    if len(file.segments) > 1:
        took += (
            f" + coalesce((select sum(took_ms) from bluegreen.segments where version = {quoted(wanted.version)}), 0)"
        )
    ours = (
        "insert into bluegreen.migrations "
        "(version, name, sha256, phase, owner, requires_schema_min, reverse, took_ms, attempts) values "
        f"({', '.join(quoted(value) for value in (*text, reverse))}, "
        f"{took}, {attempts})"
    )
    if not supabase:
        return (ours,)
    statements = [statement.text for statement in file.statements]
    theirs = (
        "insert into supabase_migrations.schema_migrations (version, name, statements) values "
        f"({quoted(wanted.version)}, {quoted(wanted.name)}, {quoted(statements)})"
    )
    return ours, theirs


def undo_rows(session: Session, version: str, *, supabase: bool) -> tuple[str, ...]:
    """The statements that take a version out of the ledgers, for the end of the transaction that undoes it."""
    of = f"where version = {session.literal(version)}"
    rows = tuple(f"delete from bluegreen.{table} {of}" for table in ("migrations", "segments", "catalog"))
    return (*rows, f"delete from supabase_migrations.schema_migrations {of}") if supabase else rows


def _must_be_the_same(known: Entry, wanted: MigrationSpec) -> None:
    if known.sha256 == wanted.sha256:
        return
    raise Refused(
        f"{_label(wanted)} was edited: its sha256 is {wanted.sha256[:12]}…, and {known.sha256[:12]}… was {known.when}.",
        world="The database keeps what was applied.",
        next="An applied migration never changes: restore the file, and write the next one.",
    )


def _label(wanted: MigrationSpec) -> str:
    return f"{wanted.version}_{wanted.name}"
