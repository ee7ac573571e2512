"""What is known of a backup point: where it lies in time, which files hold what, and what was left out and why.

Pure data. It goes into reports and is read back from them, so nothing here is secret: of a dump only its name, size,
sha256 and counts of rows.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from bluegreen.spec import State

MEGA = 1024 * 1024


class Dump(State):
    """One file of a backup: `archive` for pg_restore, or `schema` as SQL for people. `rows` are those it holds."""

    name: str = ""
    kind: Literal["archive", "schema"] = "schema"
    bytes: int = 0
    sha256: str = ""
    tables: tuple[str, ...] = ()
    rows: Mapping[str, int] = {}


class LeftOut(State):
    """A table whose rows are in no file: its size, the reason, and what to do about it."""

    table: str = ""
    bytes: int = 0
    reason: str = ""
    next: str = ""

    def __str__(self) -> str:
        size = f" ({size_of(self.bytes)})" if self.bytes else ""
        return f"{self.table}{size}: {self.reason}"


class Backup(State):
    """A point to come back to.

    `at`, `lsn` and `snapshot` mark the moment when all of it was done, just before the migration's first statement;
    `dumped_at` is the moment that the files show. `asked` are the tables that the migration touches, as far as their
    rows are in the archive. `restored` says that it was put into a scratch database and every table had as many rows
    there; `faults` are what it would not take of the schema. `read_back` tables need an extension that it lacks: their
    rows were read from the archive and counted, no more.
    """

    at: datetime | None = None
    dumped_at: datetime | None = None
    lsn: str = ""  # empty where the server does not tell
    snapshot: str = ""
    where: str = ""  # host:port/name, nothing secret
    folder: str = ""
    files: tuple[Dump, ...] = ()
    asked: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    restored: bool = False
    restored_on: str = ""
    faults: tuple[str, ...] = ()
    read_back: tuple[str, ...] = ()
    platform: str = ""
    took_ms: int = 0
    dump_ms: int = 0
    restore_ms: int = 0

    @property
    def archive(self) -> Dump | None:
        """The file that pg_restore takes."""
        return next((file for file in self.files if file.kind == "archive"), None)

    def missing(self, tables: Sequence[str]) -> tuple[LeftOut, ...]:
        """Those of some tables whose rows it does not hold."""
        held = self.archive.tables if self.archive else ()
        told = {each.table: each for each in self.left_out}
        return tuple(
            told.get(table, LeftOut(table=table, reason="it was not asked for"))
            for table in tables
            if table not in held
        )

    def told(self) -> str:
        """One sentence: what there is."""
        if self.at is None:
            return "There is no backup."
        held = self.archive or Dump()
        size = size_of(sum(file.bytes for file in self.files))
        rows = f"{_rows(sum(held.rows.values()))} of {_tables(len(held.tables))}"
        tested = "restored once on a scratch server" if self.restored else "not test-restored"
        if self.restored and self.read_back:
            tested += f" but for {', '.join(self.read_back)}, only read back"
        left = f"; left out: {', '.join(each.table for each in self.left_out)}" if self.left_out else ""
        return f"{size}: every shape, and {rows}, {tested}{left}"


def size_of(count: int) -> str:
    """A number of bytes as a person reads it."""
    if count < 1024:
        return f"{count} B"
    if count < MEGA:
        return f"{count / 1024:.0f} kB"
    return f"{count / MEGA:.1f} MB" if count < 1024 * MEGA else f"{count / 1024 / MEGA:.1f} GB"


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"


def _tables(number: int) -> str:
    return "1 table" if number == 1 else f"{number} tables"
