"""Constraints in a tree: those of a table that is made, and those that come to one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bluegreen.postgres.lint.names import kind, words


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """One foreign key: its table, its columns, and the table that it points to."""

    table: Any
    columns: tuple[str, ...]
    target: Any
    given: Any


def constraints(node: Any) -> Iterator[Any]:
    """Every constraint that a statement adds to its table, of its columns too."""
    yield from (each for _, each in _with_column(node))


def foreign_keys(node: Any) -> Sequence[ForeignKey]:
    """The foreign keys that a statement makes."""
    return [
        ForeignKey(node.relation, words(each.fk_attrs) or ((column,) if column else ()), each.pktable, each)
        for column, each in _with_column(node)
        if each.contype.name == "CONSTR_FOREIGN"
    ]


def columns(node: Any) -> Iterator[Any]:
    """The columns that an ALTER TABLE adds."""
    if kind(node) == "AlterTableStmt":
        yield from (command.def_ for command in node.cmds if command.subtype.name == "AT_AddColumn")


def commands(node: Any, *names: str) -> list[Any]:
    """The commands of an ALTER TABLE that are called so."""
    if kind(node) != "AlterTableStmt":
        return []
    return [command for command in node.cmds if command.subtype.name.removeprefix("AT_") in names]


def _with_column(node: Any) -> Iterator[tuple[str, Any]]:
    elements: Sequence[Any] = ()
    if kind(node) == "CreateStmt":
        elements = node.tableElts or ()
    elif kind(node) == "AlterTableStmt":
        elements = [
            command.def_ for command in node.cmds if command.subtype.name in ("AT_AddColumn", "AT_AddConstraint")
        ]
    for element in elements:
        if kind(element) == "ColumnDef":
            yield from ((str(element.colname), each) for each in element.constraints or ())
        elif kind(element) == "Constraint":
            yield "", element
