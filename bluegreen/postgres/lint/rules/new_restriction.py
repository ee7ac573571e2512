"""A table in use refuses from now on what the release that is live may write.

Problem: NOT NULL, UNIQUE, CHECK, EXCLUDE, a foreign key, a unique index, a domain's constraint, a default that is
dropped, a new column that must be filled: each turns a write of the old release into an error, also when it is NOT
VALID, because that only spares the rows that are there.
Solution: first the release that keeps the rule, then the rule, in a contract.
Levels: refused in an expand; accepted in a contract (how it is added there without stopping the app is squawk's).
Source: PostgreSQL manual, ALTER TABLE; squawk's opt-in ban-new-write-restriction cannot tell a column that nobody
writes yet from one that is written.
"""

from collections.abc import Iterator
from typing import Any

from bluegreen.postgres.lint.classify import demands
from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import dotted, relation
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.rules.tree import columns, commands
from bluegreen.postgres.lint.world import World

NAME = "new-restriction"
CALLED = {
    "NOTNULL": "NOT NULL",
    "CHECK": "a CHECK",
    "UNIQUE": "UNIQUE",
    "PRIMARY": "a primary key",
    "EXCLUSION": "EXCLUDE",
    "FOREIGN": "a foreign key",
}


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    if world.phase != "expand":
        return
    for table, what in _restricts(statement, world):
        said = f"{what} on {table} turns writes of the release that is live into errors"
        yield Fault("refuse", said, "Release what keeps the rule first; then put the rule into a contract.")


def _restricts(statement: Parsed, world: World) -> Iterator[tuple[str, str]]:
    node = statement.node
    if statement.kind == "IndexStmt" and node.unique and world.exists(relation(node.relation)):
        yield relation(node.relation), "a unique index"
    elif (
        statement.kind == "AlterDomainStmt"
        and node.subtype in ("C", "O")
        and not world.new("type", dotted(node.typeName))
    ):
        yield dotted(node.typeName), "the domain's constraint"
    elif statement.kind == "AlterTableStmt" and world.exists(relation(node.relation)):
        for what in _commands(node):
            yield relation(node.relation), what


def _commands(node: Any) -> Iterator[str]:
    if commands(node, "SetNotNull"):
        yield "NOT NULL"
    if any(command.def_ is None for command in commands(node, "ColumnDefault")):
        yield "a default that is dropped"
    for command in commands(node, "AddConstraint"):
        yield CALLED.get(command.def_.contype.name.removeprefix("CONSTR_"), "a constraint")
    for column in columns(node):
        if demands(column):
            yield f"the new column {column.colname}, which has to be filled and is not,"
