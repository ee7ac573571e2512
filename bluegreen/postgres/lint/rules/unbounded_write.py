"""UPDATE, DELETE or INSERT … SELECT over as many rows as there are.

Problem: every row that it writes is locked until commit, and its dead versions stay until it is over. One UPDATE of
400 000 rows beside traffic: p99 3.8 s, a quarter of all requests above 100 ms.
Solution: `-- bluegreen:backfill TABLE` above it: batches of a few rows, each a transaction, resumed where it was.
What counts as bounded: a column equal to a value or in a list of values, a range with two ends, LIMIT, or a table that
the database says is small. That a column is null, or another one, is no bound: so begins every backfill.
Levels: refused in either phase; INSERT … SELECT from a table in use is warned of, because it locks nobody's rows.
Source: measured as above; PostgreSQL manual, 13.2; squawk 2.70 is silent with every rule on.
"""

from collections.abc import Iterator
from typing import Any

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import kind, relation, walk
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.world import World

NAME = "unbounded-write"
WRITES = {"UpdateStmt": "UPDATE", "DeleteStmt": "DELETE", "MergeStmt": "MERGE"}


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    node = statement.node
    if statement.backfill:
        return
    if statement.kind == "InsertStmt":
        yield from _copied(node, world)
    if statement.kind not in WRITES:
        return
    table = relation(node.relation)
    where = node.joinCondition if statement.kind == "MergeStmt" else node.whereClause
    if world.exists(table) and not world.small(table) and not bounded(where):
        said = f"{WRITES[statement.kind]} of {table} locks every row that it meets until commit"
        hint = f"Write -- bluegreen:backfill {table} above it, or name the rows that it is about."
        yield Fault("refuse", said, hint)


def _copied(node: Any, world: World) -> Iterator[Fault]:
    read = [name for select in _branches(node.selectStmt) for name in select]
    large = [name for name in read if world.exists(name) and not world.small(name)]
    if large:
        said = f"as many rows as there are in {', '.join(large)} are written in one transaction"
        yield Fault("warn", said, "Copy them in pieces that name their rows, or let the new release do it.")


def _branches(select: Any) -> Iterator[list[str]]:
    """What each branch of a query reads without a bound."""
    if kind(select) != "SelectStmt" or select.limitCount is not None or bounded(select.whereClause):
        return
    if select.larg is not None:
        yield from (*_branches(select.larg), *_branches(select.rarg))
    yield [relation(each) for each in walk(select.fromClause) if kind(each) == "RangeVar"]


def bounded(where: Any) -> bool:
    """Whether a condition names a few rows, as far as can be seen."""
    if where is None:
        return False
    match kind(where):
        case "BoolExpr" if where.boolop.name == "AND_EXPR":
            return any(bounded(each) for each in where.args) or _between(where.args)
        case "BoolExpr" if where.boolop.name == "OR_EXPR":
            return all(bounded(each) for each in where.args)
        case "A_Expr":
            return _names_rows(where)
        case "CurrentOfExpr":
            return True
        case "SubLink":
            query = where.subselect
            return query.limitCount is not None or (where.testexpr is not None and bounded(query.whereClause))
    return False


def _names_rows(test: Any) -> bool:
    match test.kind.name:
        case "AEXPR_OP" if test.name[0].sval == "=":
            return (_column(test.lexpr) and _value(test.rexpr)) or (_column(test.rexpr) and _value(test.lexpr))
        case "AEXPR_IN" if test.name[0].sval == "=":
            return _column(test.lexpr) and all(_value(each) for each in test.rexpr)
        case "AEXPR_OP_ANY":
            return _column(test.lexpr) and _value(test.rexpr)
        case "AEXPR_BETWEEN":
            return _column(test.lexpr) and all(_value(each) for each in test.rexpr)
    return False


def _between(tests: Any) -> bool:
    """Whether one column has a lower and an upper end."""
    ends: dict[str, set[str]] = {}
    for test in tests:
        if kind(test) == "A_Expr" and test.kind.name == "AEXPR_OP" and _column(test.lexpr) and _value(test.rexpr):
            ends.setdefault(str(test.lexpr.fields), set()).add(str(test.name[0].sval)[0])
    return any({"<", ">"} <= signs for signs in ends.values())


def _column(expression: Any) -> bool:
    return kind(expression) == "ColumnRef"


def _value(expression: Any) -> bool:
    """A constant, however it is cast or put into an array; true and false name half of a table."""
    match kind(expression):
        case "A_Const":
            return kind(expression.val) != "Boolean" and not expression.isnull
        case "TypeCast":
            return _value(expression.arg)
        case "A_ArrayExpr":
            return all(_value(each) for each in expression.elements or ())
        case "ParamRef":
            return True
    return False
