"""A table in use is written anew, or read from end to end, by what looks like a word in the catalog.

Problem: SET LOGGED, SET UNLOGGED, SET TABLESPACE, SET ACCESS METHOD and SET EXPRESSION rewrite the table under ACCESS
EXCLUSIVE, and so does a new column that is serial; a new column with a CHECK reads all of it.
Solution: a nullable column first, filled by a backfill, and the constraint NOT VALID and validated in later files; an
index can be moved by building another one concurrently.
Levels: refused in either phase, unless the database says that the table is small. A volatile default, an identity, a
stored column, another type and SET NOT NULL are squawk's (adding-field-with-default, changing-column-type,
adding-not-nullable-field).
Source: PostgreSQL manual, ALTER TABLE, Notes; squawk 2.70 is silent on all of these.
"""

from collections.abc import Iterator
from typing import Any

from bluegreen.postgres.lint.classify import SERIAL
from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import relation
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.rules.tree import columns, commands
from bluegreen.postgres.lint.world import World

NAME = "table-rewrite"
REWRITES = {
    "SetLogged": "SET LOGGED",
    "SetUnLogged": "SET UNLOGGED",
    "SetTableSpace": "SET TABLESPACE",
    "SetAccessMethod": "SET ACCESS METHOD",
    "SetExpression": "SET EXPRESSION",
}
LATER = "Add a nullable column, fill it with a -- bluegreen:backfill, and ask for more of it in a later file."


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    node = statement.node
    if statement.kind == "AlterTableMoveAllStmt":
        yield Fault(
            "refuse", "every table of a tablespace is written anew", "Move one table at a time, in quiet hours."
        )
    if statement.kind != "AlterTableStmt" or not world.exists(relation(node.relation)):
        return
    table = relation(node.relation)
    if world.small(table):
        return
    if node.objtype.name not in ("OBJECT_TABLE", "OBJECT_INDEX", "OBJECT_MATVIEW"):
        return
    for command in commands(node, *REWRITES):
        what = REWRITES[command.subtype.name.removeprefix("AT_")]
        hint = "Build what is wanted beside it (a new table, an index concurrently), and change over."
        yield Fault("refuse", f"{what} writes {table} anew while nobody can read it", hint)
    for column in columns(node):
        if why := _costly(column):
            yield Fault("refuse", f"the new column {column.colname} of {table} {why} while nobody can read it", LATER)


def _costly(column: Any) -> str:
    kinds = {each.contype.name for each in column.constraints or ()}
    if column.typeName and str(column.typeName.names[-1].sval).lower() in SERIAL:
        return "is numbered, which writes every row anew"
    return "has a CHECK, for which every row is read" if "CONSTR_CHECK" in kinds else ""
