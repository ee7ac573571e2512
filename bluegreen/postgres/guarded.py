"""What a reverse script takes away, and whether a guard stands before it.

A guard names a table and the rows in it that would go, so that they can be counted, dumped and kept. A script of ours
has one for everything that it drops; one that was written or changed by hand may not, and rows that nobody counts are
given up by nobody. So a table, a column, or a table's rows go only behind a guard of our form, accepted or not.

Names are followed through the script's own renames, because its guards stand first and know the old ones. A partition
is guarded by what it is a part of, and a generated column holds nothing of its own. What a function does that a script
calls is not seen.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bluegreen.postgres.backup.tables import parts
from bluegreen.postgres.losses import GUARD
from bluegreen.postgres.session import NOTHING, Session
from bluegreen.postgres.statements import Statement, tree
from bluegreen.postgres.undone import WouldLose

Name = tuple[str, str]
LEDGERS = ("bluegreen", "supabase_migrations")
# A cascade from anything else may take a column or a table along.
HARMLESS = {f"OBJECT_{kind}" for kind in ("TABLE", "VIEW", "MATVIEW", "INDEX", "TRIGGER", "POLICY", "RULE")}
OURS = re.compile(r"delete from (?:bluegreen|supabase_migrations)\.\w+ where version = '\w+'")
TAKES = re.compile(r"\b(?:drop|truncate|delete)\b", re.IGNORECASE)
# Is it a part of one of these tables, or a column that is computed from others?
ABOVE = """
with recursive above (oid) as (
    select pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %s::text, %s::text))::oid
    union
    select i.inhparent from above join pg_catalog.pg_inherits i on i.inhrelid = above.oid
)
select n.nspname::text, c.relname::text from above
join pg_catalog.pg_class c using (oid) join pg_catalog.pg_namespace n on n.oid = c.relnamespace
"""
COMPUTED = """
select exists (
    select from pg_catalog.pg_attribute where attname = %s and attgenerated <> ''
        and attrelid = pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %s::text, %s::text))
)
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """A table, or a column of one, by the names that it has before the script; empty where they cannot be told."""

    statement: Statement
    table: Name | None = None
    column: str = ""

    def __str__(self) -> str:
        return f"line {self.statement.line} ({' '.join(self.statement.text.split())[:60]})"


@dataclass
class _Script:
    """A script that is read from its first statement on."""

    guards: dict[Name, list[str]] = field(default_factory=dict)  # of each table, the rows that are looked for
    tables: dict[Name, Name] = field(default_factory=dict)  # by its name now, the one before the script
    columns: dict[tuple[Name, str], str] = field(default_factory=dict)

    def taken(self, statements: Sequence[Statement]) -> Iterator[Taken]:
        """What goes and has no guard of its own."""
        for statement in statements:
            stmt = tree(statement)
            if guard := GUARD.fullmatch(statement.text):
                self.guards.setdefault(_bare(guard["table"]), []).append(guard["rows"])
                continue
            if read := _READ.get(type(stmt).__name__):
                for each in read(self, statement, stmt):
                    if not self.guarded(each.table, each.column):
                        yield each

    def guarded(self, table: Name | None, column: str = "") -> bool:
        rows = self.guards.get(table, []) if table else []
        return any(each == "true" or (column and _looks_at(each, column)) for each in rows)

    def before(self, var: Any) -> Name | None:
        """A relation's name before the script; without its schema it is anybody's."""
        return self.tables.get(now := (var.schemaname, var.relname), now) if var.schemaname else None

    def _dropped(self, statement: Statement, stmt: Any) -> Iterator[Taken]:
        kind = stmt.removeType.name
        if kind == "OBJECT_TABLE":
            for each in stmt.objects:
                name = tuple(part.sval for part in each)[-2:]
                yield Taken(statement, self.tables.get((name[0], name[1]), (name[0], name[1])) if name[1:] else None)
        elif stmt.behavior.name == "DROP_CASCADE" and kind not in HARMLESS:
            yield Taken(statement)

    def _altered(self, statement: Statement, stmt: Any) -> Iterator[Taken]:
        table = self.before(stmt.relation)
        for command in stmt.cmds:
            if command.subtype.name == "AT_DropColumn" and stmt.objtype.name == "OBJECT_TABLE":
                name = self.columns.get((table, command.name), command.name) if table else command.name
                yield Taken(statement, table, name)

    def _emptied(self, statement: Statement, stmt: Any) -> Iterator[Taken]:
        for var in stmt.relations if type(stmt).__name__ == "TruncateStmt" else [stmt.relation]:
            if var.schemaname not in LEDGERS:
                yield Taken(statement, self.before(var))

    def _renamed(self, statement: Statement, stmt: Any) -> Iterator[Taken]:
        kind, var = stmt.renameType.name, stmt.relation
        table = self.before(var) if var is not None else None
        if kind == "OBJECT_TABLE" and table:
            self.tables[var.schemaname, stmt.newname] = table
        elif kind == "OBJECT_COLUMN" and table:
            self.columns[table, stmt.newname] = self.columns.get((table, stmt.subname), stmt.subname)
        elif kind == "OBJECT_SCHEMA":
            for guarded in self.guards:
                now = next((name for name, before in self.tables.items() if before == guarded), guarded)
                if now[0] == stmt.subname:
                    self.tables[stmt.newname, now[1]] = guarded
        return iter(())

    def _moved(self, statement: Statement, stmt: Any) -> Iterator[Taken]:
        if stmt.relation is not None and (table := self.before(stmt.relation)):
            self.tables[stmt.newschema, stmt.relation.relname] = table
        return iter(())

    def _done(self, statement: Statement, stmt: Any) -> Iterator[Taken]:
        if TAKES.search(OURS.sub("", statement.text)):
            yield Taken(statement)

    def _owned(self, statement: Statement, stmt: Any) -> Iterator[Taken]:
        yield Taken(statement)


_READ = {
    "DropStmt": _Script._dropped,
    "AlterTableStmt": _Script._altered,
    "TruncateStmt": _Script._emptied,
    "DeleteStmt": _Script._emptied,
    "RenameStmt": _Script._renamed,
    "AlterObjectSchemaStmt": _Script._moved,
    "DoStmt": _Script._done,
    "DropOwnedStmt": _Script._owned,
}


async def must_be_guarded(session: Session, label: str, statements: Sequence[Statement]) -> None:
    """Everything that a script takes away has its guard.

    Raises:
        WouldLose: something has none, so it cannot be known what is in it.
        SqlError: the catalog cannot be asked.
    """
    script = _Script()
    found = [str(each) for each in list(script.taken(statements)) if not await _of_others(session, script, each)]
    if found:
        raise WouldLose(
            f"The script of {label} takes away what no guard of it looks into: {'; '.join(found)}.",
            world=f"{NOTHING} So nothing could be counted, or dumped first.",
            next="Take the script as the report has it, or none for the one that the ledger keeps. One of your own is "
            "run with psql, after a dump.",
        )


async def _of_others(session: Session, script: _Script, taken: Taken) -> bool:
    """Whether what is in it is guarded, or computed, elsewhere."""
    if taken.table is None:
        return False
    if taken.column and (await session.rows(COMPUTED, taken.column, *taken.table))[0][0]:
        return True
    above = await session.rows(ABOVE, *taken.table)
    return any(script.guarded((schema, name), taken.column) for schema, name in above)


def _looks_at(rows: str, column: str) -> bool:
    """Whether a guard's condition is about this column."""
    written = {column, '"' + column.replace('"', '""') + '"'}
    return any(re.search(rf"(?:^|\s|\(){re.escape(each)}(?: is not null|::text is distinct)", rows) for each in written)


def _bare(table: str) -> Name:
    schema, name = parts(table)
    return schema, name
