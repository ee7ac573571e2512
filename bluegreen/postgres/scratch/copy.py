"""The shape of a database in a scratch server: from the real one, or from a baseline file; never a row of data.

From the real one it is what pg_dump writes, cut by the grammar and laid as a role that can become everybody but a
superuser (`layer.py`), so that everything keeps its owner, with the roles that it names. What a scratch cannot have
(extensions that are not installed here, event triggers, the platform's own schemas, settings that may hold secrets,
functions that reach files or programs of the machine) is left out and named. `auth`, `storage`, `realtime` and
`extensions` of a Supabase project are copied as they are; a table that may not be read has its columns and keys.

A migration is then tried as the owner: the same name and attributes as the user in the database's address, so that
whatever that one may not do fails here too. On Supabase, and from a baseline file, it is no superuser.
"""

import asyncio
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

from bluegreen.handler import Refused
from bluegreen.postgres.scratch import shims
from bluegreen.postgres.scratch.baseline import lay_file
from bluegreen.postgres.scratch.layer import layer
from bluegreen.postgres.scratch.laying import ACL, HEADER, Piece, laid, missing, pieces
from bluegreen.postgres.scratch.people import people, settings, unreached
from bluegreen.postgres.scratch.plain import UNTRUSTED
from bluegreen.postgres.scratch.programs import client
from bluegreen.postgres.scratch.server import Scratch, quoted
from bluegreen.postgres.scratch.source import OWN_SCHEMA, Sizes, Source, described
from bluegreen.postgres.session import NOTHING, Database, Lost, SqlError
from bluegreen.postgres.statements import Unparsable

NAME = "copy"
FOREIGN_KEY = "FK CONSTRAINT"
# As pg_dump announces them, in the order in which their triggers fire.
KEYS = """
select n.nspname || '.' || c.relname || ' ' || f.conname
from pg_catalog.pg_constraint f join pg_catalog.pg_class c on c.oid = f.conrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace where f.contype = 'f' order by f.oid
"""
LOCK_MS = 5000  # how long pg_dump may wait for a table that somebody has for himself
OF_EXTENSIONS = frozenset({"EXTENSION", "COMMENT"})
RESTRICT = re.compile(r"^\\restrict (\w+)$", re.MULTILINE)
THERE = "select rolname::text from pg_catalog.pg_roles"
AVAILABLE = "select name::text from pg_catalog.pg_available_extensions"


@dataclass(frozen=True)
class Copied:
    """A copy and what it lacks; `sizes` are the real tables'."""

    scratch: Scratch
    name: str
    database: Database  # as the owner
    origin: str  # host:port/name, or the file's
    not_modelled: tuple[str, ...] = ()
    sizes: Sizes = field(default_factory=dict)
    took_ms: int = 0

    @property
    def told(self) -> str:
        """`Postgres 16.14 from the wheel, as on db.example.com:5432/postgres`."""
        return f"{self.scratch.told}, as {'on' if ':' in self.origin else 'in'} {self.origin}"

    def superuser(self) -> Database:
        return self.scratch.superuser(self.name)


async def copy(scratch: Scratch, source: Database | Path, name: str = NAME) -> Copied:
    """A new database `name` in this server with the shape of another one; clone it to try something.

    Raises:
        Halt: the source cannot be read, or does not go through; nothing was changed.
    """
    begin = time.perf_counter()
    try:
        if isinstance(source, Database):
            copied = await _from_database(scratch, source, name)
        else:
            not_modelled = await lay_file(scratch, source, name)
            copied = Copied(scratch, name, scratch.at(name), source.name, tuple(not_modelled))
    except (Lost, SqlError) as problem:
        raise Refused(f"The copy cannot be made: {problem}.", world=NOTHING, next="Run it again.") from problem
    took = round(1000 * (time.perf_counter() - begin))
    return replace(copied, took_ms=took)


async def _from_database(scratch: Scratch, database: Database, name: str) -> Copied:
    async with database.session("copy") as asked:
        # Without a search path every type and function is told by its whole name.
        await asked.run(f"set lock_timeout = {LOCK_MS}; set search_path = ''")
        source = await described(asked)
        keys = {name: at for at, (name,) in enumerate(await asked.rows(KEYS))}
        available, unmade = await _prepared(scratch, source, name)
        lost = [extension for extension in source.extensions if extension not in available]
        dumping = asyncio.ensure_future(_dumped(database, source))
        try:
            stubs = await shims.of_tables(asked, _stubs(source)) if source.unreadable else []
            extensions = await shims.of_extensions(asked, lost) if lost else []
            dump = await dumping
        finally:
            dumping.cancel()
            await asyncio.wait({dumping})
    try:
        order = await asyncio.to_thread(_ordered, dump, stubs, extensions, lost, keys)
    except Unparsable as problem:
        raise Refused(
            f"The schema of {database.where} cannot be read as SQL: {problem}.",
            world=NOTHING,
            next="Say so to whoever maintains this tool: no copy is made of what it cannot read.",
        ) from problem
    refused = await _laid(scratch, source, name, order)
    left_out = [
        *(f"extension {extension}" for extension in lost),
        *(f"schema {schema}" for schema in source.left_out if schema != OWN_SCHEMA),
        *(f"{piece} but for its columns and keys" for piece in stubs),
        *map(str, unmade),
        *unreached(source),
        *([f"collation {source.collation}"] if source.collation not in ("C", "POSIX") else []),
    ]
    return Copied(scratch, name, scratch.at(name), database.where, (*left_out, *refused), source.sizes)


async def _prepared(scratch: Scratch, source: Source, name: str) -> tuple[frozenset[str], list[Piece]]:
    """Roles and an empty database; answers which extensions this server can have, and which roles it cannot."""
    async with scratch.superuser().session() as session:
        there = frozenset(role for (role,) in await session.rows(THERE))
        unmade = await laid(session, people(source, there, scratch.major))
        available = frozenset(extension for (extension,) in await session.rows(AVAILABLE)) - UNTRUSTED
    await scratch.login(source.user)
    await scratch.clone(name, "template0", source.owner)
    return available, unmade


@dataclass(frozen=True, slots=True)
class _Order:
    """What is laid: what everything needs, what may be refused unheard, what may not, and what is not even tried."""

    first: Sequence[Piece]
    extensions: Sequence[Piece]
    rest: Sequence[Piece]
    never: Sequence[Piece]


def _ordered(
    dump: str,
    stubs: Sequence[Piece],
    extensions: Sequence[Piece],
    lost: Collection[str],
    keys: Mapping[str, int],
) -> _Order:
    """Stand-ins of extensions come before all that may use them, those of tables before the tables.

    Foreign keys come in the order in which production made them, because that is the order in which they act: with
    another one a deletion that cascades may be refused.
    """
    unknown = {*lost, *(f"EXTENSION {name}" for name in lost)}
    everything = [piece for piece in pieces(dump) if not (piece.name in unknown and piece.kind in OF_EXTENSIONS)]
    never = [piece for piece in everything if not piece.layable]
    fit = [piece for piece in everything if piece.layable]
    head = list(takewhile(lambda piece: piece.kind == HEADER, fit))
    first = [*head, *(piece for piece in fit if _early(piece))]
    rest = [piece for piece in fit[len(head) :] if not _early(piece)]
    at = next((index for index, piece in enumerate(rest) if piece.kind == "TABLE"), len(rest))
    places = [index for index, piece in enumerate(rest) if piece.kind == FOREIGN_KEY]
    acting = sorted((rest[index] for index in places), key=lambda piece: keys.get(piece.name, len(keys)))
    for index, piece in zip(places, acting, strict=True):
        rest[index] = piece
    return _Order(first, extensions, [*rest[:at], *stubs, *rest[at:]], never)


def _early(piece: Piece) -> bool:
    """Schemas and who may make something in them: without that nothing in them can be handed to its owner."""
    return piece.kind == "SCHEMA" or (piece.kind == ACL and piece.name.startswith("SCHEMA "))


async def _laid(scratch: Scratch, source: Source, name: str, order: _Order) -> list[str]:
    """Lay it all; answers the names of what does not fit."""
    wanted, left_out = settings(source, name)
    async with scratch.superuser(name).session() as session:
        if source.creates:
            await session.rows(f"grant create on database {quoted(name)} to {quoted(source.user)}")
        async with layer(scratch, name) as owner:
            refused = await owner.lay(order.first)
            await laid(session, [piece for piece in order.extensions if piece.quiet])  # the extension is named already
            refused += await owner.lay([*order.rest, *_filled(source)])
            refused += await owner.handed_over()
        language = f"alter language plpgsql owner to {quoted(source.language)}"
        refused += await laid(session, [Piece("owner", "of plpgsql", language), *wanted])
    return [*missing([*order.never, *refused]), *left_out]


def _filled(source: Source) -> Iterator[Piece]:
    """What pg_dump leaves out: filled views are empty ones here."""
    for name in source.views:
        yield Piece("contents of materialized view", name, f"refresh materialized view {name}")


def _stubs(source: Source) -> list[tuple[str, str]]:
    """Tables that may not be read, where the schema is not left out anyway."""
    return [(schema, table) for schema, table in source.unreadable if schema not in source.left_out]


async def _dumped(database: Database, source: Source) -> str:
    arguments = [
        *("--schema-only", "--no-tablespaces", "--encoding=UTF8", f"--lock-wait-timeout={LOCK_MS}"),
        *(f"--exclude-schema={quoted(schema)}" for schema in source.left_out),
        *(f"--exclude-table={quoted(schema)}.{quoted(table)}" for schema, table in source.unreadable),
    ]
    output = await client(source.major).run("pg_dump", *arguments, on=database)
    if output.code:
        said = (output.err.strip().splitlines() or ["it said nothing"])[0].removeprefix("pg_dump: error: ")
        raise Refused(
            f"The schema of {database.where} cannot be dumped: {said}.",
            world=NOTHING,
            next="Let the user in the address read the schema, or wait for whoever has a table for himself.",
        )
    text = output.out.decode(errors="replace")
    # A random word on every run, at both ends and for psql alone; without it the same schema is the same text.
    word = RESTRICT.search(text)
    return text.replace(f"\\restrict {word[1]}\n", "", 1).replace(f"\\unrestrict {word[1]}\n", "") if word else text
