"""A foreign key whose columns begin no index of its table.

Problem: every DELETE in the table that it points to, and every change of its key, reads the whole referencing table,
under a lock on the row. The release that runs pays for it, more with every row.
Solution: an index whose first columns are the foreign key's; concurrently, where the table is in use.
What counts: a primary key, a unique constraint, an index without WHERE (or WHERE column IS NOT NULL), of this file or
of the database.
Levels: refused where it points to a table in use, warned of where both are new or where the database is not at hand.
Source: Supabase advisor unindexed_foreign_keys; PostgreSQL manual, 5.5.5; squawk has no such rule.
"""

from collections.abc import Iterator
from typing import Any

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.findings import Level
from bluegreen.postgres.lint.names import kind, relation, words
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.rules.tree import foreign_keys
from bluegreen.postgres.lint.world import World

NAME = "unindexed-foreign-key"


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    for key in foreign_keys(statement.node):
        table, target = relation(key.table), relation(key.target)
        if not key.columns or any(_begins(each, key.columns) for each in indexes(table, world)):
            continue
        own = statement.kind == "CreateStmt" or world.new("relation", table)
        seen = own or world.known is not None
        level: Level = "refuse" if seen and world.exists(target) and target != table else "warn"
        columns = ", ".join(key.columns)
        said = f"every DELETE in {target} reads all of {table}: no index begins with ({columns})"
        yield Fault(level, said, f"CREATE INDEX ON {table} ({columns}); concurrently, if {table} is in use.")


def indexes(table: str, world: World) -> Iterator[tuple[str, ...]]:
    """The columns of every index that a table has, or gets anywhere in the file."""
    if world.known is not None:
        yield from world.known.indexes.get(table, ())
    for each in world.whole:
        node = each.node
        if kind(node) == "IndexStmt" and relation(node.relation) == table and _whole(node):
            yield tuple(str(column.name or "") for column in node.indexParams)
        elif kind(node) in ("CreateStmt", "AlterTableStmt") and relation(node.relation) == table:
            yield from _keys(node)


def _keys(node: Any) -> Iterator[tuple[str, ...]]:
    added = [command.def_ for command in node.cmds] if kind(node) == "AlterTableStmt" else node.tableElts or ()
    for element in added:
        if kind(element) == "ColumnDef":
            kinds = {each.contype.name for each in element.constraints or ()}
            if kinds & {"CONSTR_PRIMARY", "CONSTR_UNIQUE"}:
                yield (str(element.colname),)
        elif kind(element) == "Constraint" and element.contype.name in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
            yield words(element.keys)


def _whole(index: Any) -> bool:
    """Whether an index holds every row that has a key."""
    where = index.whereClause
    if where is None:
        return True
    return kind(where) == "NullTest" and where.nulltesttype.name == "IS_NOT_NULL" and kind(where.arg) == "ColumnRef"


def _begins(index: tuple[str, ...], columns: tuple[str, ...]) -> bool:
    return set(index[: len(columns)]) == set(columns)
