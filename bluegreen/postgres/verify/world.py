"""What there is to ask about: tables with their columns, keys and privileges, and rows with names for people to read.

A row is named by its key where that says something (`studio.viewer`), a bare identifier by the first text in it that
is different in every row (`film`). So a recording survives other identifiers, and a reader needs no look at the rows.
Only a few rows are asked about (`ROWS` of a table); whatever is left out is said.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bluegreen.postgres.session import Session
from bluegreen.postgres.verify.people import Person

ROWS = 40
PLACE = "tableoid::bigint::text || ctid::text"  # where a row lies, as the trigger of a question tells it
MORE = "(more)"  # rows that are there and not asked about
WORDS = ("all", "none", "others")  # what a recording says of rows that it does not name
SHORT = 32  # characters of a value that may stand for a row
OPAQUE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\\x[0-9a-f]*")
UNREADABLE = re.compile(r"[\s,;=|]+")

TABLES = """
select c.oid::bigint, format('%%s.%%s', n.nspname, c.relname), format('%%I.%%I', n.nspname, c.relname), c.relkind::text,
    c.relrowsecurity, c.relforcerowsecurity, c.relispartition,
    coalesce((
        select json_agg(json_build_array(
            a.attname, a.attgenerated = '' and a.attidentity <> 'a' and (
                c.relkind <> 'v' or pg_column_is_updatable(c.oid, a.attnum, false)
            ), format_type(a.atttypid, a.atttypmod)
        ) order by a.attnum)
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ), '[]'),
    coalesce((
        select json_agg(a.attname order by array_position(i.indkey::int2[], a.attnum))
        from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)
        where i.indrelid = c.oid and i.indisprimary
    ), '[]'),
    coalesce((
        select json_agg(json_build_array(
            mine.attname, k.confrelid::bigint, theirs.attname, k.confdeltype
        ) order by k.oid)
        from pg_constraint k
        join pg_attribute mine on mine.attrelid = k.conrelid and mine.attnum = k.conkey[1]
        join pg_attribute theirs on theirs.attrelid = k.confrelid and theirs.attnum = k.confkey[1]
        where k.conrelid = c.oid and k.contype = 'f' and cardinality(k.conkey) = 1
    ), '[]')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (%s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
order by n.nspname, c.relname
"""
RIGHTS = """
select r.rolname, c.oid::bigint, has_table_privilege(r.oid, c.oid, 'select'),
    array(
        select a.attname from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            and has_column_privilege(r.oid, c.oid, a.attnum, 'select') order by a.attnum
    )::text[],
    array(
        select a.attname from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            and has_column_privilege(r.oid, c.oid, a.attnum, 'insert') order by a.attnum
    )::text[],
    array(
        select a.attname from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            and has_column_privilege(r.oid, c.oid, a.attnum, 'update') order by a.attnum
    )::text[]
from pg_roles r, unnest(%s::bigint[]) wanted (oid) join pg_class c on c.oid = wanted.oid where r.rolname = any (%s)
"""
Values = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """One column that points at another table's column; `deletes` is what becomes of the row (a, r, c, n or d)."""

    table: int
    column: str
    deletes: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or a view, that an API can reach."""

    oid: int
    name: str
    sql: str
    kind: str
    rls: bool
    forced: bool
    partition: bool
    columns: tuple[str, ...]
    writable: frozenset[str]
    types: Mapping[str, str]
    key: tuple[str, ...]
    references: Mapping[str, Reference]

    @property
    def holds_rows(self) -> bool:
        return self.kind in ("r", "p")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the seed: where it lies, what it is called, and its values as text."""

    at: str
    values: Values


@dataclass(frozen=True, slots=True)
class Right:
    """Which columns of one table a role may select, insert and update."""

    whole: bool = False  # the table itself may be selected, and so where a row lies
    select: tuple[str, ...] = ()
    insert: tuple[str, ...] = ()
    update: tuple[str, ...] = ()


class World:
    """Everything that there is, as an administrator sees it; `asked` are the tables that are asked about."""

    def __init__(
        self,
        tables: Sequence[Table],
        rows: Mapping[int, Sequence[Row]],
        rights: Mapping[tuple[str, int], Right],
        people: Sequence[Person],
        only: Collection[str] = (),
    ) -> None:
        self.tables, self.people = tables, people
        self.asked = tuple(table for table in tables if not only or table.name in only)
        self.cut = tuple(table.name for table in self.asked if len(rows[table.oid]) > ROWS)
        self.rows = {oid: found[:ROWS] for oid, found in rows.items()}
        self._rights = rights
        self._by_oid = {table.oid: table for table in tables}
        self.subs = {person.sub: person.name for person in people if person.sub}
        self._labels: dict[int, dict[str, str]] = {}
        for table in tables:
            self._name_rows(table)

    def right(self, person: Person, table: Table) -> Right:
        return self._rights.get((person.role, table.oid), Right())

    def label(self, table: Table, row: Row) -> str:
        return self._labels[table.oid][row.at]

    def labels(self, table: Table) -> tuple[str, ...]:
        return tuple(sorted(self._labels[table.oid].values()))

    def at(self, place: str) -> str:
        """What a row is called that lies there; a view's rows lie in its tables."""
        for named in self._labels.values():
            if place in named:
                return named[place]
        return MORE

    def value(self, table: Table, column: str, value: str | None) -> str:
        """What a value is called; empty when it has no name that a reader knows."""
        if value is None:
            return "null"
        if value in self.subs:
            return self.subs[value]
        target = table.references.get(column)
        if target is not None and (named := self._pointed_at(target, value)):
            return named
        plain = len(value) <= SHORT and not OPAQUE.fullmatch(value) and not UNREADABLE.search(value)
        return value if plain else ""

    def known(self, target: Reference) -> tuple[str, ...]:
        """Every value of the column that a reference points at."""
        table = self._by_oid.get(target.table)
        if table is None:
            return ()
        at = table.columns.index(target.column)
        return tuple(value for row in self.rows[table.oid] if (value := row.values[at]) is not None)

    def taken_out_with(self, table: Table, row: Row) -> Iterator[str]:
        """The statements that take a row out together with all that points at it, as if it had never been there."""
        pending, done = [(table, row)], set[tuple[int, str]]()
        while pending:
            here, one = pending.pop()
            if (here.oid, one.at) in done:
                continue
            done.add((here.oid, one.at))
            yield f"delete from {here.sql} where {PLACE} = '{one.at}'"
            for other, column, theirs in self._pointing_at(here, one):
                if other.references[column].deletes in "nd":
                    yield f"update {other.sql} set {quoted(column)} = null where {PLACE} = '{theirs.at}'"
                else:
                    pending.append((other, theirs))

    def _pointing_at(self, table: Table, row: Row) -> Iterator[tuple[Table, str, Row]]:
        for other in self.tables:
            for column, target in other.references.items():
                if target.table != table.oid:
                    continue
                value, at = row.values[table.columns.index(target.column)], other.columns.index(column)
                for theirs in self.rows[other.oid]:
                    if value is not None and theirs.values[at] == value:
                        yield other, column, theirs

    def _pointed_at(self, target: Reference, value: str) -> str:
        table = self._by_oid.get(target.table)
        if table is None or target.column not in table.columns:
            return ""
        at = table.columns.index(target.column)
        found = next((row for row in self.rows[table.oid] if row.values[at] == value), None)
        return self._own_label(table, found, depth=1) if found else ""

    def _name_rows(self, table: Table) -> None:
        named: dict[str, str] = {}
        for number, row in enumerate(self.rows.get(table.oid, ()), 1):
            label = self._own_label(table, row) or f"#{number}"
            taken = label in named.values() or label in WORDS
            named[row.at] = f"{label}#{number}" if taken else label
        self._labels[table.oid] = named

    def _own_label(self, table: Table, row: Row, depth: int = 0) -> str:
        values = dict(zip(table.columns, row.values, strict=True))
        parts: list[str] = []
        for column in table.key:
            value = values[column] or ""
            target = table.references.get(column)
            pointed = self._pointed_at(target, value) if target and depth < 4 and target.table != table.oid else ""
            parts.append(self.subs.get(value) or pointed or ("" if OPAQUE.fullmatch(value) else value))
        if parts and all(parts):
            return UNREADABLE.sub("_", ".".join(parts))[: 2 * SHORT]
        return UNREADABLE.sub("_", self._telling(table, row))

    def _telling(self, table: Table, row: Row) -> str:
        """The first text in a row that is short, and different in every row of its table."""
        rows = self.rows[table.oid]
        for at, column in enumerate(table.columns):
            told = [one.values[at] for one in rows]
            usual = table.types[column].startswith(("text", "character varying", "citext", "name"))
            if usual and all(value and len(value) <= SHORT for value in told) and len(set(told)) == len(told):
                return str(row.values[at])
        return ""


async def look(
    session: Session, people: Sequence[Person], exposed: Collection[str], only: Collection[str] = ()
) -> World:
    """The world as it lies in the database now; the session has to see every row."""
    tables = [_table(*row) for row in await session.rows(TABLES, list(exposed))]
    rows = {table.oid: await _rows(session, table) if table.holds_rows else [] for table in tables}
    roles = sorted({person.role for person in people})
    told = await session.rows(RIGHTS, [table.oid for table in tables], roles)
    rights = {
        (role, oid): Right(whole, tuple(select), tuple(insert), tuple(update))
        for role, oid, whole, select, insert, update in told
    }
    return World(tables, rows, rights, people, only)


async def _rows(session: Session, table: Table) -> list[Row]:
    shown = ", ".join(quoted(column) + "::text" for column in table.columns)
    query = f"select {PLACE}, array[{shown}]::text[] from {table.sql} order by tableoid, ctid limit {ROWS + 1}"
    found = [Row(at, tuple(values)) for at, values in await session.rows(query)]
    # Where a row lies is chance: a transaction that was rolled back leaves holes.
    return sorted(found, key=lambda row: [value or "" for value in row.values])


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _table(oid: int, name: str, sql: str, kind: str, rls: bool, forced: bool, part: bool, *more: Any) -> Table:
    columns, key, references = more
    return Table(
        oid=oid,
        name=name,
        sql=sql,
        kind=kind,
        rls=rls,
        forced=forced,
        partition=part,
        columns=tuple(column for column, _, _ in columns),
        writable=frozenset(column for column, writable, _ in columns if writable),
        types={column: kind for column, _, kind in columns},
        key=tuple(key),
        references={column: Reference(target, theirs, deletes) for column, target, theirs, deletes in references},
    )
