"""The text of a view as newer Postgres writes it, from what Postgres 15 answers.

Before 16 a column of a view's only relation was written with the relation's name before it (`select books.id from
books`). The same schema would have another fingerprint for it. Only the outermost SELECT differs; what is inside of it
is written alike by all.
"""

import re
from collections.abc import Iterator
from typing import Any

PREFIX = re.compile(r'("(?:[^"]|"")*"|[^".]+)\.')


def unqualified(definition: str) -> str:
    """The same view, without the name before columns where no other relation is in sight."""
    from pglast.parser import ParseError, parse_sql

    try:
        (raw,) = parse_sql(definition)
    except (ParseError, ValueError):
        return definition
    select = raw.stmt
    name = _only_relation(select)
    if name is None:
        return definition
    cuts = sorted({node.location for node in _columns(select) if _names(node, name)}, reverse=True)
    for at in cuts:
        prefix = PREFIX.match(definition, at)
        definition = definition[:at] + definition[prefix.end() :] if prefix else definition
    return definition


def _only_relation(select: Any) -> str | None:
    if type(select).__name__ != "SelectStmt" or select.op.name != "SETOP_NONE" or len(select.fromClause or ()) != 1:
        return None
    (item,) = select.fromClause
    if type(item).__name__ == "JoinExpr":
        return None
    if item.alias is not None:
        return str(item.alias.aliasname)
    return str(item.relname) if type(item).__name__ == "RangeVar" else None


def _columns(select: Any) -> Iterator[Any]:
    """Every column that the outermost SELECT itself names."""
    nodes = [getattr(select, part) for part in select if part not in ("fromClause", "withClause")]
    while nodes:
        node = nodes.pop()
        kind = type(node).__name__
        if isinstance(node, tuple | list):
            nodes += node
        elif kind == "ColumnRef":
            yield node
        elif kind == "SubLink":
            nodes.append(node.testexpr)
        elif hasattr(node, "ast_node_tag") or kind[0].isupper():
            nodes += [getattr(node, part) for part in getattr(node, "__slots__", ()) if hasattr(node, part)]


def _names(column: Any, relation: str) -> bool:
    fields = [getattr(field, "sval", None) for field in column.fields]
    return len(fields) == 2 and fields[0] == relation and fields[1] is not None
