"""UPDATE, DELETE, INSERT … ON CONFLICT DO UPDATE or SELECT … FOR UPDATE over as many rows as there are.

Problem: every row that it writes is locked until commit, and its dead versions stay until it is over. One UPDATE of
400 000 rows beside traffic: p99 3.8 s, a quarter of all requests above 100 ms.
Solution: `-- bluegreen:backfill TABLE` above it: batches of a few rows, each a transaction, resumed where it was.
What counts as bounded: a column equal to a value or in a list of values, a range with two ends, a column in a query
with LIMIT, or a table that the database says is small. That a column is null, or another one, is no bound: so begins
every backfill. A MERGE is bounded by what it merges from, unless it also writes what has no match there.
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
ORDERS = ("<", "<=", ">", ">=")
BY_SOURCE = 1  # of MERGE, WHEN NOT MATCHED BY SOURCE: all that the join does not meet


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    node = statement.node
    if statement.backfill and not statement.inner:
        return
    if statement.kind == "InsertStmt":
        yield from _copied(statement, world)
    elif statement.kind == "SelectStmt":
        yield from _locked(node, world)
    elif statement.kind in WRITES and not _few(node, world):
        table = next((name for name in statement.writes if _large(name, world)), "")
        if table:
            said = f"{WRITES[statement.kind]} of {table} locks every row that it meets until commit"
            hint = f"Write -- bluegreen:backfill {table} above it, or name the rows that it is about."
            yield Fault("refuse", said, hint)


def _large(table: str, world: World) -> bool:
    return world.exists(table) and not world.small(table)


def _few(node: Any, world: World) -> bool:
    of = frozenset({node.relation.alias.aliasname if node.relation.alias else node.relation.relname})
    if kind(node) != "MergeStmt":
        return bounded(node.whereClause, of)
    everything = any(int(clause.matchKind) == BY_SOURCE for clause in node.mergeWhenClauses or ())
    return bounded(node.joinCondition, of) and not everything


def _copied(statement: Parsed, world: World) -> Iterator[Fault]:
    node = statement.node
    read = [name for select in _branches(node.selectStmt) for name in select]
    large = [name for name in read if _large(name, world)]
    if not large:
        return
    over = node.onConflictClause is not None and node.onConflictClause.action.name == "ONCONFLICT_UPDATE"
    written = [name for name in statement.writes if _large(name, world)]
    if over and written:
        said = (
            f"ON CONFLICT DO UPDATE locks as many rows of {written[0]} as there are in {', '.join(large)}, until commit"
        )
        yield Fault("refuse", said, f"Write -- bluegreen:backfill {written[0]} above an UPDATE, or name the rows.")
    else:
        said = f"as many rows as there are in {', '.join(large)} are written in one transaction"
        yield Fault("warn", said, "Copy them in pieces that name their rows, or let the new release do it.")


def _locked(node: Any, world: World) -> Iterator[Fault]:
    """SELECT … FOR UPDATE, SHARE or a key's."""
    for select in (each for each in walk(node) if kind(each) == "SelectStmt" and each.lockingClause):
        if select.limitCount is None and not bounded(select.whereClause):
            tables = [relation(each) for each in walk(select.fromClause) if kind(each) == "RangeVar"]
            for table in [name for name in tables if _large(name, world)][:1]:
                said = f"SELECT FOR UPDATE of {table} locks every row that it meets until commit"
                yield Fault("refuse", said, "Name the rows that it is about, or leave the lock to the statements.")


def _branches(select: Any) -> Iterator[list[str]]:
    """What each branch of a query reads without a bound."""
    if kind(select) != "SelectStmt" or select.limitCount is not None or bounded(select.whereClause):
        return
    if select.larg is not None:
        yield from (*_branches(select.larg), *_branches(select.rarg))
    yield [relation(each) for each in walk(select.fromClause) if kind(each) == "RangeVar"]


def bounded(where: Any, of: frozenset[str] = frozenset()) -> bool:
    """Whether a condition names a few rows, as far as can be seen; `of` is what the table is called, if that counts."""
    if where is None:
        return False
    match kind(where):
        case "BoolExpr" if where.boolop.name == "AND_EXPR":
            return any(bounded(each, of) for each in where.args) or _between(where.args, of)
        case "BoolExpr" if where.boolop.name == "OR_EXPR":
            return all(bounded(each, of) for each in where.args)
        case "A_Expr":
            return _names_rows(where, of)
        case "CurrentOfExpr":
            return True
        case "SubLink" if where.subLinkType.name == "ANY_SUBLINK" and _equals(where.operName):
            asked = where.testexpr.args if kind(where.testexpr) == "RowExpr" else (where.testexpr,)
            return any(_column(each, of) for each in asked) and _few_answers(where.subselect, of)
    return False


def _few_answers(query: Any, of: frozenset[str]) -> bool:
    """Whether a subquery has few answers for all rows together: one that looks at the row has others for each."""
    asked = (each for each in walk(query) if kind(each) == "ColumnRef" and len(each.fields) > 1)
    if any(getattr(each.fields[-2], "sval", "") in of for each in asked):
        return False
    return query.limitCount is not None or bounded(query.whereClause)


def _equals(operator: Any) -> bool:
    """IN has no operator, = ANY has that one."""
    return not operator or operator[-1].sval == "="


def _names_rows(test: Any, of: frozenset[str]) -> bool:
    match test.kind.name:
        case "AEXPR_OP" if _equals(test.name):
            left, right = test.lexpr, test.rexpr
            return (_column(left, of) and _value(right)) or (_column(right, of) and _value(left))
        case "AEXPR_IN" if _equals(test.name):
            return _column(test.lexpr, of) and all(_value(each) for each in test.rexpr)
        case "AEXPR_OP_ANY" if _equals(test.name):
            return _column(test.lexpr, of) and _value(test.rexpr)
        case "AEXPR_BETWEEN":
            return _column(test.lexpr, of) and all(_value(each) for each in test.rexpr)
    return False


def _between(tests: Any, of: frozenset[str]) -> bool:
    """Whether one column has a lower and an upper end."""
    ends: dict[str, set[str]] = {}
    for test in tests:
        compared = kind(test) == "A_Expr" and test.kind.name == "AEXPR_OP" and test.name[-1].sval in ORDERS
        if compared and _column(test.lexpr, of) and _value(test.rexpr):
            ends.setdefault(str(test.lexpr.fields), set()).add(str(test.name[-1].sval)[0])
    return any({"<", ">"} <= signs for signs in ends.values())


def _column(expression: Any, of: frozenset[str]) -> bool:
    """A column, of the table itself: one of another table says nothing of how many rows are met."""
    if kind(expression) != "ColumnRef":
        return False
    return not of or len(expression.fields) < 2 or getattr(expression.fields[-2], "sval", "") in of


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
