"""A file's statements as trees, with those that its code runs: in DO blocks, in functions that it makes and calls.

A function's body is text to the SQL grammar. What is only defined does not run, so it is looked into when the file
itself calls it. What cannot be looked into (SQL put together at run time, another language) is `opaque`, with the
reason; expressions in PL/pgSQL (conditions, assignments) are read for calls alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bluegreen.postgres.files import File
from bluegreen.postgres.lint.names import dotted, kind, options, walk, words
from bluegreen.postgres.lint.schemas import Schemas

CALLING = ("SelectStmt", "CallStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")
DEEP = 5  # calls of calls that are followed

# pglast is imported where it is needed: the provider is ready without it.


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

    @property
    def kind(self) -> str:
        return kind(self.node)


@dataclass
class Code:
    """What a body runs."""

    statements: list[tuple[int, str, Any]] = field(default_factory=list)  # line, text, tree
    opaque: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Body:
    """A function's or a DO block's code, as it is written in a statement that begins in this line."""

    language: str
    whole: str
    source: str
    line: int


def read(file: File) -> tuple[Parsed, ...]:
    """Every statement in the order it runs; what a statement's code runs follows it.

    Raises:
        bluegreen.postgres.statements.Unparsable: the grammar does not know the file.
    """
    functions: dict[str, Body] = {}
    found: list[Parsed] = []
    number, schemas = 0, Schemas()
    for segment in file.segments:
        for statement in segment.statements:
            number += 1
            node = _trees(statement.text)[0]
            schemas.place(node)
            column = statement.at - (file.sql.rfind("\n", 0, statement.at) + 1) + 1
            code = _run_by(node, statement.text, statement.line, functions)
            place = (segment.number, segment.kind == "backfill", segment.kind == "alone")
            opaque = tuple(code.opaque)
            found.append(Parsed(number, statement.text, statement.line, column, node, *place, False, opaque))
            found += [Parsed(number, text, line, 1, tree, *place, True) for line, text, tree in code.statements]
            if kind(node) == "CreateFunctionStmt" and (body := _body(node, statement.text, statement.line)):
                functions[dotted(node.funcname)] = body
    return tuple(found)


def body_of(node: Any, text: str) -> Code:
    """What a function runs whenever it is called."""
    body = _body(node, text, 1)
    return _code(body, {}, 0) if body else Code()


def calls(node: Any) -> Iterator[str]:
    """Which functions a tree calls; one without a schema is taken for one of ours in public."""
    for each in walk(node):
        if kind(each) == "FuncCall":
            yield dotted(each.funcname)


def _trees(text: str) -> list[Any]:
    from pglast.parser import parse_sql

    return [raw.stmt for raw in parse_sql(text)]


def _run_by(node: Any, text: str, line: int, functions: dict[str, Body], depth: int = 0) -> Code:
    """What one statement runs beside itself."""
    if kind(node) == "DoStmt":
        body = _body(node, text, line)
        return _code(body, functions, depth) if body else Code()
    ran = Code([(line, text, tree) for tree in _within(node)])
    if kind(node) in CALLING:
        for name in calls(node):
            if name in functions and depth < DEEP:
                code = _code(functions[name], functions, depth + 1)
                ran.statements += [(line, said, tree) for _, said, tree in code.statements]
                ran.opaque += [(line, f"{name}() {why}") for _, why in code.opaque]
    return ran


def _within(node: Any) -> Iterator[Any]:
    """Statements that stand inside of another one, and run with it."""
    if kind(node) in ("ExplainStmt", "PrepareStmt"):
        yield node.query
    elif kind(node) == "CreateSchemaStmt":
        yield from node.schemaElts or ()
    elif kind(node) in CALLING:
        for each in walk(node):
            if kind(each) == "CommonTableExpr" and kind(each.ctequery) in CALLING[2:]:
                yield each.ctequery


def _body(node: Any, text: str, line: int) -> Body | None:
    given = {each.defname: each.arg for each in node.args or ()} if kind(node) == "DoStmt" else options(node)
    language = "".join(words(given.get("language"))) or "plpgsql"
    source = words(given.get("as"))
    if not source:
        return None
    at = text.find(source[0])
    return Body(language.lower(), text, source[0], line + (text[:at].count("\n") if at >= 0 else 0))


def _code(body: Body, functions: dict[str, Body], depth: int) -> Code:
    code = Code()
    if body.language == "sql":
        _take(code, body.source, body.line, functions, depth)
    elif body.language != "plpgsql":
        code.opaque.append((body.line, f"is written in {body.language}, which is not read here"))
    else:
        _plpgsql(code, body, functions, depth)
    return code


def _take(code: Code, text: str, line: int, functions: dict[str, Body], depth: int) -> None:
    from pglast.parser import ParseError

    try:
        trees = _trees(text)
    except ParseError:
        code.opaque.append((line, f"runs {_short(text)}, which cannot be read here"))
        return
    for tree in trees:
        code.statements.append((line, text, tree))
        deeper = _run_by(tree, text, line, functions, depth)
        code.statements += deeper.statements
        code.opaque += deeper.opaque


def _plpgsql(code: Code, body: Body, functions: dict[str, Body], depth: int) -> None:
    from pglast import parse_plpgsql
    from pglast.parser import ParseError

    try:
        tree = parse_plpgsql(body.whole)
    except (ParseError, ValueError) as error:
        code.opaque.append((body.line, f"cannot be looked into ({error.args[0] if error.args else error})"))
        return
    for what, fields in _steps(tree):
        line = body.line + int(fields.get("lineno", 1)) - 1
        if what in ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors"):
            constant = _constant(_query(fields.get("query")))
            if constant is None:
                code.opaque.append((line, "puts SQL together at run time (EXECUTE)"))
            else:
                _take(code, constant, line, functions, depth)
        elif what == "PLpgSQL_stmt_perform" or what == "PLpgSQL_stmt_call":
            _take(code, _query(fields.get("expr")), line, functions, depth)
        elif what == "PLpgSQL_stmt_execsql":
            _take(code, _query(fields.get("sqlstmt")), line, functions, depth)
        elif what == "PLpgSQL_stmt_fors" or what == "PLpgSQL_stmt_return_query":
            _take(code, _query(fields.get("query")), line, functions, depth)


def _steps(tree: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every step of a PL/pgSQL function, wherever it is nested."""
    if isinstance(tree, list):
        for each in tree:
            yield from _steps(each)
    elif isinstance(tree, dict):
        for name, value in tree.items():
            if name.startswith("PLpgSQL_stmt_") and isinstance(value, dict):
                yield name, value
            yield from _steps(value)


def _query(given: Any) -> str:
    return str(given["PLpgSQL_expr"]["query"]) if given else ""


def _constant(expression: str) -> str | None:
    """The text that an expression is, when it is one literal."""
    from pglast.parser import ParseError

    try:
        trees = _trees(f"select {expression}")
    except ParseError:
        return None
    targets: Sequence[Any] = trees[0].targetList if len(trees) == 1 and kind(trees[0]) == "SelectStmt" else ()
    if len(targets) == 1 and kind(targets[0].val) == "A_Const" and kind(targets[0].val.val) == "String":
        return str(targets[0].val.val.sval)
    return None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}…"
