"""What a file's definitions set off later: triggers, rules, defaults, CHECKs and views, where a table is met.

Where an operator, an aggregate, a domain or an event trigger is used is not looked for: from then on anything may.
Views also lead writes on to what they read, and tables to those that inherit from them.
"""

from collections.abc import Collection, Iterator
from typing import Any, Literal

from bluegreen.postgres.lint.names import kind, relation, walk, words

ANYTHING = ""
Meeting = Literal["write", "read"]
ROWS = ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")
READS = frozenset({*ROWS, "SelectStmt", "CopyStmt", "CreateTableAsStmt", "RefreshMatViewStmt", "CallStmt", "IndexStmt"})
RUNS = frozenset({*READS, "TruncateStmt", "AlterTableStmt", "DoStmt", "ExecuteStmt", "ExplainStmt"})
WORKS = frozenset(
    f"AT_{name}"
    for name in [
        "AddColumn",
        "AddConstraint",
        "ValidateConstraint",
        "AlterColumnType",
        "SetExpression",
        "AttachPartition",
    ]
)
TABLELESS = frozenset(
    [
        "DefineStmt",
        "CreateDomainStmt",
        "AlterDomainStmt",
        "CreateCastStmt",
        "CreateRangeStmt",
        "CreateEventTrigStmt",
        "CreateOpClassStmt",
        "CreateConversionStmt",
        "CreateTransformStmt",
        "CreatePLangStmt",
    ]
)


def written(node: Any) -> Iterator[str]:
    """The relations whose rows a statement writes, as it names them; a temporary table's are nobody's."""
    named: list[Any] = []
    if kind(node) in ROWS or (kind(node) == "CopyStmt" and node.is_from and node.relation is not None):
        named = [node.relation]
    elif kind(node) == "TruncateStmt":
        named = list(node.relations)
    for each in named:
        if not (name := relation(each)).startswith("pg_temp."):
            yield name


class Armed:
    """What waits for being set off."""

    def __init__(self) -> None:
        self._functions: dict[tuple[str, Meeting], list[str]] = {}
        self._rules: dict[str, list[Any]] = {}
        self._leads: dict[str, list[str]] = {}
        self._like: dict[str, list[str]] = {}  # whose defaults and CHECKs a table has as well

    def reached(self, name: str) -> tuple[str, ...]:
        """A relation, with those that a write to it writes to as well."""
        found, left = dict[str, None](), [name]
        while left:
            each = left.pop()
            if each not in found:
                found[each] = None
                left += self._leads.get(each, ())
        return tuple(found)

    def functions(self, node: Any) -> Iterator[str]:
        """The functions that a statement sets off, by the last words of their names."""
        if kind(node) not in RUNS or not self._functions:
            return
        yield from self._functions.get((ANYTHING, "read"), ())
        if kind(node) == "AlterTableStmt":
            if node.relation and any(command.subtype.name in WORKS for command in node.cmds):
                yield from self._functions.get((relation(node.relation), "read"), ())
            return
        rows = [reached for each in written(node) for reached in self.reached(each)]
        for name in (ANYTHING, *rows) if rows else ():
            for like in (name, *self._like.get(name, ())):
                yield from self._functions.get((like, "write"), ())
        for each in walk(node):
            if kind(each) == "RangeVar":
                for name in self.reached(relation(each)):
                    yield from self._functions.get((name, "read"), ())

    def rules(self, node: Any) -> Iterator[Any]:
        """The statements of rules that a statement is rewritten to."""
        if kind(node) in READS and self._rules:
            for each in walk(node):
                if kind(each) == "RangeVar":
                    for name in self.reached(relation(each)):
                        yield from self._rules.get(name, ())

    def take(self, node: Any, functions: Collection[str]) -> None:
        """One statement more; `functions` are those of the file."""
        if kind(node) in ("ViewStmt", "CreateTableAsStmt") and (view := _view(node)):
            self._leads.setdefault(view, []).extend(
                relation(each) for each in walk(node.query) if kind(each) == "RangeVar"
            )
            self._arm(view, "read", node.query, functions)
        elif kind(node) == "CreateStmt":
            for parent in node.inhRelations or ():
                self._leads.setdefault(relation(parent), []).append(relation(node.relation))
            copied = [each.relation for each in node.tableElts or () if kind(each) == "TableLikeClause"]
            for other in map(relation, (*copied, *(node.inhRelations or ()))):
                self._like.setdefault(relation(node.relation), []).extend((other, *self._like.get(other, ())))
            # A default is for rows that are written; a CHECK is asked again when a table is read through.
            self._arm(relation(node.relation), "write", node.tableElts, functions)
        elif kind(node) == "AlterTableStmt" and node.relation is not None:
            self._altered(node, functions)
        elif kind(node) == "CreateTrigStmt":
            self._functions.setdefault((relation(node.relation), "write"), []).append(words(node.funcname)[-1])
            self._arm(relation(node.relation), "write", node.whenClause, functions)
        elif kind(node) == "CreateFunctionStmt":
            self._arm(ANYTHING, "read", node.parameters, functions)  # their defaults
            if node.replace and node.returnType is not None and words(node.returnType)[-1:] == ("trigger",):
                # It may be a trigger's already, of any table.
                self._functions.setdefault((ANYTHING, "write"), []).append(words(node.funcname)[-1])
        elif kind(node) == "RuleStmt":
            self._rules.setdefault(relation(node.relation), []).extend(
                each for each in node.actions or () if kind(each) != "NotifyStmt"
            )
        elif kind(node) in ("CreatePolicyStmt", "AlterPolicyStmt"):
            self._arm(relation(node.table), "read", (node.qual, node.with_check), functions)
        elif kind(node) == "IndexStmt":
            self._arm(relation(node.relation), "write", (node.indexParams, node.whereClause), functions)
        elif kind(node) in TABLELESS:
            said = {each for part in walk(node) for name in _names(part) for each in words(name)[-1:]}
            found = [name for name in functions if name in said]
            self._functions.setdefault((ANYTHING, "read"), []).extend(found)

    def _altered(self, node: Any, functions: Collection[str]) -> None:
        table = relation(node.relation)
        for command in node.cmds:
            if command.subtype.name == "AT_AddInherit":
                self._leads.setdefault(relation(command.def_), []).append(table)
            elif command.subtype.name == "AT_AttachPartition":
                self._leads.setdefault(table, []).append(relation(command.def_.name))
        self._arm(table, "write", node.cmds, functions)

    def _arm(self, table: str, meeting: Meeting, node: Any, functions: Collection[str]) -> None:
        for each in walk(node):
            if kind(each) == "FuncCall" and (name := words(each.funcname)[-1]) in functions:
                self._functions.setdefault((table, meeting), []).append(name)


def _names(node: Any) -> Iterator[Any]:
    """Every list of words, or typed name, of a node."""
    for attribute in node:
        value = getattr(node, attribute)
        if isinstance(value, str | tuple) or kind(value) in ("TypeName", "ObjectWithArgs"):
            try:
                if words(value):
                    yield value
            except TypeError:
                continue


def _view(node: Any) -> str:
    if kind(node) == "ViewStmt":
        return relation(node.view)
    return relation(node.into.rel) if node.objtype.name == "OBJECT_MATVIEW" else ""
