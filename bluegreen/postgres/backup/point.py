"""A point to come back to, made before a migration's first statement: files, their proof, and a mark in time.

One archive holds every shape and the rows of the tables that the migration touches, all of one snapshot, in which they
are counted too. Then it is put into a scratch database and counted again: a dump that nobody has restored is a hope.
pg_dump holds a lock on what it reads (one that only stops changes of shape), and is over before anything is changed.
Whatever goes wrong, nothing was changed and no half of a dump stays; what a killed run leaves, the next one removes.

Deliberately not here: restoring into the database itself (a person does that, see `instructions`), the rows of large
objects, and a copy anywhere but on this computer.
"""

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bluegreen.handler import Context, Halt, Refused
from bluegreen.postgres.backup.platform import SUPABASE, freshness
from bluegreen.postgres.backup.restore import Broke, DidNotComeBack, Dumped, counted, ran, restored
from bluegreen.postgres.backup.state import Backup, Dump
from bluegreen.postgres.backup.tables import Choice, choose, tables_of
from bluegreen.postgres.scratch.programs import Programs, client
from bluegreen.postgres.scratch.server import Scratch
from bluegreen.postgres.session import NOTHING, Database, Lost, Session, SqlError
from bluegreen.postgres.stopping import until_stopped

LOCK_WAIT = "10s"  # how long it waits for somebody who changes a table's shape
CORRECT = "Correct what it names, then run this again."
WITHOUT_ROWS = "Correct what it names, or go without the rows (migrations.backup.megabytes: 0); then run this again."
LOCK_IN_THE_WAY = re.compile(r"due to lock timeout|could not obtain lock")
LOCKED = "Let whoever changes the shape of a table end (select * from pg_stat_activity), then run this again."
ARCHIVE, SCHEMA, MANIFEST = "database.dump", "schema.sql", "backup.json"
PLACE = re.compile(r"[0-9]{8}T[0-9]{6}Z(?:-[0-9]+)?")
# The session only keeps the snapshot while pg_dump reads it, which may take longer than a session may idle.
BEGIN = (
    "begin isolation level repeatable read read only; set local idle_in_transaction_session_timeout = 0; "
    "set local lock_timeout = '{}'"
)
SNAPSHOT = """
select pg_catalog.clock_timestamp(), pg_catalog.pg_export_snapshot(),
    pg_catalog.current_setting('server_version_num')::integer / 10000
"""
AROUND = """
select array(select rolname::text from pg_catalog.pg_roles where rolname !~ '^pg_'),
    array(select extname::text from pg_catalog.pg_extension)
"""
NOW = "select pg_catalog.clock_timestamp(), pg_catalog.pg_current_snapshot()::text"
LSN = "select case when not pg_catalog.pg_is_in_recovery() then pg_catalog.pg_current_wal_lsn()::text end"


class NoBackup(Refused):
    """No point to come back to came about, so nothing was begun."""


@dataclass(frozen=True, slots=True)
class Platform:
    """Where the platform's own backups can be asked about."""

    token: str | None = None
    ref: str | None = None
    base_url: str = SUPABASE


async def backup(
    database: Database,
    folder: Path,
    *,
    tables: Sequence[str],
    budget_bytes: int,
    scratch: Scratch | None,
    ctx: Context,
    platform: Platform = Platform(),
    lock_wait: str = LOCK_WAIT,
) -> Backup:
    """Dump, test-restore and mark.

    Args:
        folder: where a folder of its own is made for this point, closed to others.
        tables: whose rows are wanted, the most important first; all of them are taken when they fit.
        budget_bytes: how much of the database, as it lies on disk, may be dumped.
        scratch: the server to restore into; without one the point is kept and said to be unproven.

    Raises:
        NoBackup: it did not come about; nothing was changed.
        Halt: there is no database, or somebody asked to stop.
    """
    try:
        place, held = await asyncio.to_thread(_place, folder, ctx.now())
    except OSError as problem:
        raise _no_backup(problem, database) from problem
    asked = asyncio.ensure_future(freshness(platform.token, platform.ref, base_url=platform.base_url, now=ctx.now()))
    try:
        made = _Point(database, place, scratch, ctx, lock_wait).made(tables, budget_bytes, asked)
        return await until_stopped(made, ctx, "The backup")
    except BaseException as problem:
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        if isinstance(problem, (Broke, SqlError, Lost, OSError)):
            raise _no_backup(problem, database) from problem
        raise
    finally:
        os.close(held)
        asked.cancel()
        with suppress(asyncio.CancelledError):
            await asked


class _Point:
    """One point in the making."""

    def __init__(self, database: Database, place: Path, scratch: Scratch | None, ctx: Context, lock_wait: str) -> None:
        self._database, self._place, self._scratch, self._ctx = database, place, scratch, ctx
        self._lock_wait = lock_wait

    async def made(self, wanted: Sequence[str], budget: int, platform: "asyncio.Future[str]") -> Backup:
        began = self._ctx.now()
        await self._ctx.status("backup: looks what there is to dump")
        async with self._database.session("backup") as session:
            await session.run(BEGIN.format(self._lock_wait))
            ((dumped_at, snapshot, major),) = await session.rows(SNAPSHOT)
            programs = client(major)
            choice = choose(await tables_of(session), wanted, budget)
            archive = await self._dumped(session, programs, snapshot, choice)
            (around,) = await session.rows(AROUND)
            await session.run("rollback")
            dumped = self._ctx.now()
            proof = None
            if self._scratch is not None:
                await self._ctx.status("backup: restores it into a scratch database")
                dump = Dumped(self._place / ARCHIVE, archive, choice.whole, *around)
                proof = await restored(self._scratch, programs, dump)
            at, newest, position = await _mark(session)
        point = Backup(
            at=at,
            snapshot=newest,
            lsn=position,
            dumped_at=dumped_at,
            where=self._database.where,
            folder=str(self._place),
            files=(archive, await asyncio.to_thread(_described, self._place / SCHEMA)),
            asked=tuple(table.name for table in choice.asked),
            left_out=choice.left_out,
            restored=proof is not None,
            restored_on=proof.on if proof else "",
            faults=proof.faults if proof else (),
            read_back=proof.read_back if proof else (),
            platform=await platform,
            took_ms=_ms(self._ctx.now() - began),
            dump_ms=_ms(dumped - began),
            restore_ms=_ms(self._ctx.now() - dumped),
        )
        await asyncio.to_thread(_write, self._place / MANIFEST, point.model_dump_json(by_alias=True, indent=2))
        return point

    async def _dumped(self, session: Session, programs: Programs, snapshot: str, choice: Choice) -> Dump:
        """The archive: every shape, and the rows of the chosen tables; and the shapes once more, for people."""
        await self._ctx.status(f"backup: dumps the schema, and the rows of {len(choice.dumped)} tables")
        closed = [part for table in choice.closed for part in ("--exclude-table", table.pattern)]
        empty = [part for table in choice.empty for part in ("--exclude-table-data", table.pattern)]
        rows = empty if choice.dumped else ["--schema-only"]
        fixed = (
            "--format",
            "custom",
            "--no-password",
            "--no-blobs",
            "--lock-wait-timeout",
            self._lock_wait,
            "--snapshot",
            snapshot,
        )
        archive, schema = self._new(ARCHIVE), self._new(SCHEMA)
        await ran(programs, "pg_dump", *fixed, *closed, *rows, "--file", archive, on=self._database)
        await ran(programs, "pg_restore", "--schema-only", "--file", schema, archive)
        held = await counted(session, [table.name for table in choice.dumped])
        file = await asyncio.to_thread(_described, Path(archive))
        return file.model_copy(update={"kind": "archive", "tables": tuple(held), "rows": held})

    def _new(self, name: str) -> str:
        """The path of a file that is there, empty and ours alone, before a program writes into it."""
        path = self._place / name
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return str(path)


async def _mark(session: Session) -> tuple[datetime, str, str]:
    """Now, the newest snapshot, and the position in the log where the server tells it."""
    position = ""
    with suppress(SqlError):
        position = (await session.rows(LSN))[0][0] or ""
    ((at, snapshot),) = await session.rows(NOW)
    return at, snapshot, position


def _no_backup(problem: Exception, database: Database) -> Halt:
    said = str(problem).rstrip(".") or type(problem).__name__
    return NoBackup(
        f"There is no backup of {database.where} to come back to: {said}.",
        world=f"{NOTHING} What was dumped so far is removed.",
        next=_way_out(problem),
    )


def _way_out(problem: Exception) -> str:
    if isinstance(problem, DidNotComeBack):
        return WITHOUT_ROWS
    return LOCKED if LOCK_IN_THE_WAY.search(str(problem)) else CORRECT


def _place(folder: Path, now: datetime) -> tuple[Path, int]:
    """A new folder that nobody else may look into, and the lock that keeps it while it is made."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(folder)
    stem, number = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}", 1
    while True:
        place = folder / (stem if number == 1 else f"{stem}-{number}")
        number += 1
        with suppress(FileExistsError, FileNotFoundError):  # somebody else's; or swept before it was locked
            place.mkdir(mode=0o700)
            held = os.open(place, os.O_RDONLY)
            fcntl.flock(held, fcntl.LOCK_EX)
            if place.exists():
                return place, held
            os.close(held)


def _sweep(folder: Path) -> None:
    """Remove what a killed run left here: a point without its manifest, which nobody holds any more.

    The kernel lets go of the lock when its process dies, however it dies.
    """
    for place in folder.iterdir():
        if not PLACE.fullmatch(place.name) or not place.is_dir() or (place / MANIFEST).exists():
            continue
        with suppress(OSError):
            held = os.open(place, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not (place / MANIFEST).exists():
                    shutil.rmtree(place)
            finally:
                os.close(held)


def _described(path: Path) -> Dump:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return Dump(name=path.name, bytes=size, sha256=digest.hexdigest())


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}")  # a manifest that is there is whole
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    fresh.rename(path)


def _ms(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)
