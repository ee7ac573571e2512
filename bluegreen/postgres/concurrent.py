"""Indexes that are built while the table is written to: made once, whole, and never taken for one that is not.

A `create index concurrently` that dies leaves an invalid index, which costs writes and serves no query; and with
`if not exists` the next run takes it for the real one. So the catalog is asked, before and after: an invalid index of
that name is dropped, a valid one with the same definition is kept, and a valid one with another is nobody's to touch.
Whether two definitions are the same the server says: the statement is run on an empty copy of the table, rolled back.
"""

from dataclasses import dataclass
from typing import Any

from bluegreen.handler import Refused
from bluegreen.postgres.attempts import run
from bluegreen.postgres.errand import AGAIN, CANCELLED, Errand, Failed
from bluegreen.postgres.gate import Gate
from bluegreen.postgres.segments import Segment
from bluegreen.postgres.session import Session, SqlError
from bluegreen.postgres.statements import Statement
from bluegreen.postgres.wants import ALONE, quoted, relation

CLEANUP, ATTEMPT = "15s", "2s"  # how long taking away a leftover may wait for others: our own, an earlier run's
PROBE = "bluegreen_probe"
# An index of a name in the schema of its table: its table, whether it is valid, its definition, who is building it.
FOUND = """
select c.oid::regclass::text, x.indrelid = pg_catalog.to_regclass(%s), x.indisvalid and x.indisready,
    pg_catalog.pg_get_indexdef(c.oid), (
        select p.pid from pg_catalog.pg_stat_progress_create_index p
        where p.index_relid = c.oid and p.pid <> pg_catalog.pg_backend_pid()
    )
from pg_catalog.pg_class c join pg_catalog.pg_index x on x.indexrelid = c.oid
where c.relname = %s
    and c.relnamespace = (select relnamespace from pg_catalog.pg_class where oid = pg_catalog.to_regclass(%s))
"""
# What a REINDEX that died leaves beside the indexes of a table and of what is stored apart from it, or beside an index.
TRANSIENT = r"""
with target (relation) as (
    select pg_catalog.to_regclass(%s)::oid union
    select indrelid from pg_catalog.pg_index where indexrelid = pg_catalog.to_regclass(%s)
)
select i.oid::regclass::text from pg_catalog.pg_index x join pg_catalog.pg_class i on i.oid = x.indexrelid
where not x.indisvalid and i.relname ~ '_cc(new|old)\d*$' and x.indrelid in (
    select relation from target union
    select c.reltoastrelid from pg_catalog.pg_class c join target on c.oid = target.relation
)
"""


@dataclass(frozen=True, slots=True)
class Found:
    """An index that has the name already."""

    name: str
    here: bool  # on the table that is meant
    valid: bool
    definition: str
    builder: int | None


@dataclass(frozen=True, slots=True)
class NewIndex:
    """CREATE INDEX CONCURRENTLY."""

    statement: Statement
    stmt: Any
    segment: Segment
    patience: str = "0"

    @property
    def table(self) -> str:
        return relation(self.stmt.relation)

    @property
    def leaves(self) -> str | None:
        schema = self.stmt.relation.schemaname
        return ".".join(quoted(part) for part in (schema, self.stmt.idxname) if part)

    async def ready(self, errand: Errand, session: Session) -> bool:
        found = await self._found(session)
        if found is None:
            return False
        if found.builder is not None:
            raise Refused(
                f"{errand.label} would make the index {found.name}, which process {found.builder} is building now.",
                world=errand.kept or "Nothing was changed.",
                next="Wait for it, or end it; then run this again.",
            )
        if not found.valid and found.here:
            await errand.ctx.milestone(f"{errand.label}: the invalid index {found.name} is dropped and made again")
            await must_be_gone(errand, session, found.name)
            return False
        if found.here and _core(found.definition) == _core(await self._expected(session)):
            await errand.ctx.milestone(f"{errand.label}: the index {found.name} is there already, as it is wanted")
            return True
        raise Refused(
            f"{errand.label} would make the index {found.name}, and there is another one: {found.definition}.",
            world=errand.kept or "Nothing was changed.",
            next="Give the new index a name that is free, or drop the old one first.",
        )

    async def text(self, session: Session) -> str:
        return self.statement.text

    async def failed(self, errand: Errand, session: Session) -> None:
        found = await self._found(session)
        if found is not None and found.here and not found.valid and found.builder is None:
            await drop(session, found.name)

    async def check(self, errand: Errand, session: Session) -> None:
        found = await self._found(session)
        if found is None or not found.valid:
            raise Failed(
                f"{errand.label}: the index of line {self.segment.line} is {'invalid' if found else 'not there'}, "
                "although the server reported success.",
                world=errand.kept or "The index serves no query.",
                next="Run this again: it is dropped and made anew.",
            )

    async def _found(self, session: Session) -> Found | None:
        rows = await session.rows(FOUND, self.table, self.stmt.idxname, self.table)
        return Found(*rows[0]) if rows else None

    async def _expected(self, session: Session) -> str:
        """How the server would tell the definition of this index."""
        try:
            await session.run(
                f"begin; set local lock_timeout = '1s'; create temporary table {PROBE} (like {self.table}); "
                f"{on(self.statement.text, f'pg_temp.{PROBE}')}\n"
            )
            answer = await session.rows(
                "select pg_catalog.pg_get_indexdef(indexrelid) from pg_catalog.pg_index where indrelid = %s::regclass",
                f"pg_temp.{PROBE}",
            )
            return str(answer[0][0])
        except SqlError:
            return ""  # then they are not the same, and a person decides
        finally:
            await session.rows("rollback")


@dataclass(frozen=True, slots=True)
class Reindexed:
    """REINDEX CONCURRENTLY: may run twice; what a kill left beside the old index goes first."""

    sql: str
    target: str
    leaves: str | None = None
    patience: str = "0"

    async def ready(self, errand: Errand, session: Session) -> bool:
        for (name,) in await session.rows(TRANSIENT, self.target, self.target):
            await must_be_gone(errand, session, name)
        return False

    async def text(self, session: Session) -> str:
        return self.sql

    async def failed(self, errand: Errand, session: Session) -> None:
        for (name,) in await session.rows(TRANSIENT, self.target, self.target):
            await drop(session, name)

    async def check(self, errand: Errand, session: Session) -> None:
        if left := await session.rows(TRANSIENT, self.target, self.target):
            raise Failed(
                f"{errand.label}: {left[0][0]} is left invalid beside {self.target}.",
                world=errand.kept or "It serves no query; the old index does.",
                next="Run this again: it is dropped, and the index made anew.",
            )


async def must_be_gone(errand: Errand, session: Session, index: str) -> None:
    """Drop an index that an earlier run left invalid, when nobody old is at its table; a valid one stays.

    Raises:
        Locked: somebody was, for the whole budget.
        Stopped: somebody asked to stop meanwhile.
    """
    if not await _invalid(session, index):
        return
    errand.left = f"The invalid index {index} is left; the next run drops it."
    gate = Gate(((index, ALONE),))
    while True:
        await gate.free(errand, session)
        try:
            await session.rows("set lock_timeout = 0")
            await session.rows(f"set statement_timeout = '{ATTEMPT}'")
            await run(errand, session, f"drop index concurrently if exists {index}")
            break
        except SqlError as error:
            if error.code not in (CANCELLED, *AGAIN):
                raise
        finally:
            await session.rows("set statement_timeout = 0")
        errand.go_on()
        if errand.spent:
            await gate.free(errand, session)  # whoever came after the first look is old by now, and named
            raise errand.locked((), what=f"the invalid index {index} dropped", waited=f"It waited {ATTEMPT} for them.")
    errand.left = ""


async def drop(session: Session, index: str) -> None:
    """Drop an invalid index of our own making, whoever asks to stop.

    Raises:
        SqlError: somebody is at its table, and it stays.
    """
    if await _invalid(session, index):
        try:
            await session.rows("set lock_timeout = 0")
            await session.rows(f"set statement_timeout = '{CLEANUP}'")
            await session.rows(f"drop index concurrently if exists {index}")
        finally:
            await session.rows("set statement_timeout = 0")


async def _invalid(session: Session, index: str) -> bool:
    rows = await session.rows(
        "select not indisvalid from pg_catalog.pg_index where indexrelid = pg_catalog.to_regclass(%s)", index
    )
    return bool(rows and rows[0][0])


def on(text: str, table: str) -> str:
    """A CREATE INDEX statement, plain and on another table: the words before and after its table's name stay."""
    from pglast.parser import scan

    words = [(token.name, token.start, token.end + 1) for token in scan(text) if "COMMENT" not in token.name]
    kinds = [name for name, _, _ in words]
    start = kinds.index("ON") + 1
    start += kinds[start] == "ONLY"
    after = start + 1
    while kinds[after : after + 1] == ["ASCII_46"]:
        after += 2
    unique = "unique " if "UNIQUE" in kinds[: kinds.index("INDEX")] else ""
    name = kinds.index("ON") - 1
    return f"create {unique}index {text[words[name][1] : words[name][2]]} on {table} {text[words[after][1] :]}"


def _core(definition: str) -> tuple[bool, str]:
    """What of a definition does not depend on whose table it is."""
    return definition.startswith("CREATE UNIQUE"), definition.partition(" USING ")[2]
