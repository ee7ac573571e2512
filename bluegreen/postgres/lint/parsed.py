"""A file's statements as trees, with all that they run: inside of themselves, in code, in what they set off.

A function's body is text to the SQL grammar. What is only defined does not run; it is looked into when something that
runs calls it, by its name, or sets it off: a trigger, rule, default, CHECK or view of a table that is written or read,
an operator, an aggregate, a domain. Of several functions of one name all are looked into. What cannot be looked into is
`opaque`, with the reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bluegreen.postgres.files import File
from bluegreen.postgres.lint import code
from bluegreen.postgres.lint.armed import Armed, written
from bluegreen.postgres.lint.code import Body, Code
from bluegreen.postgres.lint.known import Known
from bluegreen.postgres.lint.names import dotted, kind, walk, words
from bluegreen.postgres.lint.schemas import Schemas

WRITING = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
QUERIES = ("ExplainStmt", "PrepareStmt", "DeclareCursorStmt")
# These say what is to be done another time.
DEFINES = frozenset(
    [
        "CreateFunctionStmt",
        "CreateTrigStmt",
        "RuleStmt",
        "ViewStmt",
        "CreatePolicyStmt",
        "AlterPolicyStmt",
        "CreateStmt",
        "CreateDomainStmt",
        "CreateSchemaStmt",
        "DefineStmt",
        "CreateEventTrigStmt",
        "CreateForeignTableStmt",
    ]
)
# Functions that run a text; another server's are never seen.
RUN_TEXT = frozenset(
    {"query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema", "ts_stat", "ts_rewrite", "crosstab"}
)
ELSEWHERE = frozenset({"dblink", "dblink_exec", "dblink_send_query", "dblink_open"})


@dataclass(frozen=True, slots=True)
class Parsed:
    """One statement and its tree; `inner` ones stand in the code that the statement of that number runs."""

    number: int
    text: str
    line: int
    column: int
    node: Any
    segment: int = 1
    backfill: bool = False
    alone: bool = False
    inner: bool = False
    opaque: tuple[tuple[int, str], ...] = ()  # what it runs that cannot be read: line, and why
    writes: tuple[str, ...] = ()  # the relations whose rows it writes, also through views and parents

    @property
    def kind(self) -> str:
        return kind(self.node)


def read(file: File, known: Known | None = None) -> tuple[Parsed, ...]:
    """Every statement in the order it runs; what a statement's code runs follows it.

    Raises:
        bluegreen.postgres.statements.Unparsable: the grammar does not know the file.
    """
    return tuple(_Reader(known).read(file))


def body_of(node: Any, text: str) -> Code:
    """What a function runs whenever it is called."""
    return code.code(code.body(node, text, 1))


def calls(node: Any) -> Iterator[str]:
    """Which functions a tree calls; one without a schema is taken for one of ours in public."""
    for each in walk(node):
        if kind(each) == "FuncCall":
            yield dotted(each.funcname)


class _Reader:
    """One file, read from its first statement to its last."""

    def __init__(self, known: Known | None) -> None:
        self._schemas = Schemas(known)
        self._functions: dict[str, list[Body]] = {}  # by the last word of their names
        self._armed = Armed()
        self._ran: Code = Code()
        self._seen = set[int]()

    def read(self, file: File) -> Iterator[Parsed]:
        number = 0
        for segment in file.segments:
            self._schemas.begin()
            place = (segment.number, segment.kind == "backfill", segment.kind == "alone")
            for statement in segment.statements:
                number += 1
                node = code.trees(statement.text)[0]
                column = statement.at - (file.sql.rfind("\n", 0, statement.at) + 1) + 1
                self._ran, self._seen = Code(), set()
                self._run(node, statement.text, statement.line, certain=True)
                writes, opaque = self._written(node), tuple(self._ran.opaque)
                yield Parsed(number, statement.text, statement.line, column, node, *place, False, opaque, writes)
                for line, text, tree in self._ran.statements:
                    yield Parsed(number, text, line, 1, tree, *place, True, (), self._written(tree))

    def _written(self, node: Any) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for each in written(node) for name in self._armed.reached(each)))

    def _run(self, node: Any, text: str, line: int, *, certain: bool) -> None:
        """One statement: its names are written into it, and what it runs is added to what ran."""
        self._schemas.place(node, certain)
        if kind(node) == "DoStmt":
            self._code(code.body(node, text, line), None)
        elif kind(node) == "CreateFunctionStmt":
            self._functions.setdefault(words(node.funcname)[-1], []).append(code.body(node, text, line))
        for tree in _within(node):
            self._add(tree, text, line)
        for each in walk(getattr(node, "partbound", None) if kind(node) in DEFINES else node):
            if kind(each) == "FuncCall":
                self._called(each, line)
            elif kind(each) in ("ColumnRef", "A_Indirection") and self._functions:
                # `row.name` calls name(row), where there is no such column.
                parts = each.fields if kind(each) == "ColumnRef" else each.indirection
                self._follow(str(getattr(parts[-1], "sval", "")), line)
        for name in self._armed.functions(node):
            self._follow(name, line)
        for tree in self._armed.rules(node):
            if id(tree) not in self._seen:
                self._seen.add(id(tree))
                self._add(tree, text, line)
        self._armed.take(node, self._functions)

    def _add(self, tree: Any, text: str, line: int) -> None:
        self._ran.statements.append((line, text, tree))
        self._run(tree, text, line, certain=False)

    def _called(self, call: Any, line: int) -> None:
        name = words(call.funcname)[-1]
        if name in self._functions:
            self._follow(name, line)
        elif name in ELSEWHERE:
            self._ran.opaque.append((line, f"runs SQL over another connection ({name})"))
        elif name in RUN_TEXT:
            texts = [code.constant(each) for each in call.args or ()]
            query = texts[1 if name == "ts_rewrite" and len(texts) > 1 else 0] if texts else None
            if query is None:
                self._ran.opaque.append((line, f"puts SQL together at run time ({name})"))
            else:
                found = Code()
                code.take(found, query, line)
                self._take(found, line, "")

    def _follow(self, name: str, line: int) -> None:
        """Every function of that name, once for each statement of the file."""
        for each in self._functions.get(name, ()):
            if id(each) not in self._seen:
                self._seen.add(id(each))
                self._code(each, line, f"{name}() ")

    def _code(self, body: Body, line: int | None, called: str = "") -> None:
        paths = self._schemas.paths
        for setting in body.settings:
            self._ran.statements.append((line or body.line, body.whole, setting))
            if setting.name == "search_path":
                self._schemas.place(setting)
        self._take(code.code(body), line, called)
        if any(setting.name == "search_path" for setting in body.settings):
            self._schemas.paths = paths

    def _take(self, found: Code, line: int | None, called: str) -> None:
        for at, text, tree in found.statements:
            self._add(tree, text, line or at)
        self._ran.opaque += [(line or at, f"{called}{why}") for at, why in found.opaque]


def _within(node: Any) -> Iterator[Any]:
    """Statements that stand inside of another one, and run with it."""
    if kind(node) in QUERIES:
        yield node.query
    elif kind(node) == "CreateSchemaStmt":
        yield from node.schemaElts or ()
    elif kind(node) not in DEFINES:
        for each in walk(node):
            if each is not node and kind(each) in WRITING:
                yield each
