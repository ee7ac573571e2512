"""Putting a backup into a scratch database and counting there: the proof that it can be restored.

The archive is restored as anybody would restore it: shapes, rows, then indexes and constraints; and every table has to
have as many rows as in the snapshot that was dumped. Foreign keys are made only when all tables were dumped, because
one may point at rows that were not. What the scratch server cannot have (extensions, event triggers) is told, and
proves nothing against the files. The scratch database is thrown away.
"""

import asyncio
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bluegreen.postgres.backup.state import Dump
from bluegreen.postgres.backup.tables import parts
from bluegreen.postgres.scratch.programs import Programs
from bluegreen.postgres.scratch.server import Scratch
from bluegreen.postgres.session import Database, Session

FAULT = re.compile(r"ERROR:\s+(.+)$", re.MULTILINE)
FAULTS_TOLD = 20
LIST, ROWS = "restored.list", "rows.sql"


class Broke(Exception):
    """A program of Postgres's ended badly, or what it left is not what it should be; the text says how."""


class DidNotComeBack(Broke):
    """The archive was restored, and rows are missing or too many."""


@dataclass(frozen=True, slots=True)
class Dumped:
    """An archive, what it should hold, and what it needs around it; `whole` when no table's rows are missing in it."""

    path: Path
    held: Dump
    whole: bool
    roles: Sequence[str]
    extensions: Sequence[str]


@dataclass(frozen=True, slots=True)
class Proof:
    """It came back. `on` is where, `faults` is what of the schema did not; `read_back` tables were only read."""

    on: str
    faults: tuple[str, ...]
    read_back: tuple[str, ...]


async def restored(scratch: Scratch, programs: Programs, dumped: Dumped) -> Proof:
    """Restore an archive.

    Raises:
        DidNotComeBack: the text names the tables.
    """
    name = f"backup_{secrets.token_hex(4)}"
    await scratch.database(name)
    database = scratch.superuser(name)
    try:
        async with database.session("test-restore") as session:
            await _make_roles(session, dumped.roles)
            picked = () if dumped.whole else ("--use-list", await _without_foreign_keys(programs, dumped.path))
            said = (await programs.run("pg_restore", "--dbname", name, *picked, str(dumped.path), on=database)).err
            faults = tuple(dict.fromkeys(FAULT.findall(said)))
            wrong = await _wrong(session, dumped.held)
            there = {
                each for (each,) in await session.rows("select name::text from pg_catalog.pg_available_extensions")
            }
            lacks = set(dumped.extensions) - there
            # Such a table cannot be made here without its extension; its rows in the archive can be counted still.
            still = {
                table: said for table, said in wrong.items() if not lacks or not await _holds(programs, dumped, table)
            }
    finally:
        (dumped.path.parent / LIST).unlink(missing_ok=True)
        await scratch.drop(name)
    if still:
        why = f" ({faults[0]})" if faults else ""
        raise DidNotComeBack(f"restored on a scratch server, {'; '.join(still.values())}{why}")
    return Proof(scratch.told, faults[:FAULTS_TOLD], tuple(wrong))


async def _make_roles(session: Session, names: Sequence[str]) -> None:
    """Those that owners, grants and policies name, without any right to log in."""
    there = {name for (name,) in await session.rows("select rolname from pg_catalog.pg_roles")}
    missing = [name for name in names if name not in there]
    if missing:
        quoted = await session.rows("select pg_catalog.quote_ident(name) from unnest(%s::text[]) as name", missing)
        await session.run(";".join(f"create role {name} nologin" for (name,) in quoted))


async def _without_foreign_keys(programs: Programs, archive: Path) -> str:
    listed = await programs.run("pg_restore", "--list", str(archive))
    if listed.code:
        raise Broke(f"pg_restore cannot read the archive: {last_words(listed.err)}")
    lines = [line for line in listed.out.decode().splitlines() if " FK CONSTRAINT " not in line]
    path = archive.parent / LIST
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


async def _wrong(session: Session, held: Dump) -> dict[str, str]:
    """The tables that did not come back as they should, each with what is wrong."""
    there = await session.rows(
        "select name from unnest(%s::text[]) as name where pg_catalog.to_regclass(name) is not null", list(held.tables)
    )
    found = await counted(session, [name for (name,) in there])
    return {
        name: f"{name} has {found[name]} rows instead of {rows}" if name in found else f"{name} is missing"
        for name, rows in held.rows.items()
        if found.get(name) != rows
    }


async def _holds(programs: Programs, dumped: Dumped, table: str) -> bool:
    """Whether the archive, read from end to end, has as many rows of a table as it should."""
    schema, name = parts(table)
    path = dumped.path.parent / ROWS
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        picked = ("--data-only", "--schema", schema, "--table", name, "--file", str(path))
        await ran(programs, "pg_restore", *picked, str(dumped.path))
        return await asyncio.to_thread(_lines, path) == dumped.held.rows[table]
    finally:
        path.unlink(missing_ok=True)


def _lines(path: Path) -> int:
    """Rows as COPY writes them, one a line, up to its end mark."""
    found, inside = 0, False
    with path.open("rb") as file:
        for line in file:
            if inside:
                inside = line != b"\\.\n"
                found += inside
            elif line.startswith(b"COPY ") and line.endswith(b"FROM stdin;\n"):
                inside = True
    return found


async def counted(session: Session, tables: Sequence[str]) -> dict[str, int]:
    """How many rows each has, its own alone: what is below it is counted as itself."""
    if not tables:
        return {}
    each = (f"select {n}, count(*) from only {table}" for n, table in enumerate(tables))
    found = dict(await session.rows(" union all ".join(each)))
    return {table: found[n] for n, table in enumerate(tables)}


def last_words(said: str) -> str:
    """The line of a program's complaint that says why."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line.lower()]
    return re.sub(r"^\w+: (?:error: )?", "", (errors or lines or ["it said nothing"])[0]).rstrip(".")


async def ran(programs: Programs, program: str, *arguments: str, on: Database | None = None) -> None:
    """One program that has to end well.

    Raises:
        Broke: it did not.
    """
    ended = await programs.run(program, *arguments, on=on)
    if ended.code:
        raise Broke(f"{program} failed: {last_words(ended.err)}")
