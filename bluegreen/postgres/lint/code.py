"""What a function or a DO block runs: its statements and its expressions, each as a tree, whatever language allows it.

Nothing that runs is left out: what cannot be read (SQL put together at run time, another language, a body that is not
there) is `opaque`, with the reason. Whom an expression calls is looked at by who asks (`parsed.py`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bluegreen.postgres.lint.names import kind, options, words

# pglast is imported where it is needed: the provider is ready without it.

ASSIGNED = re.compile(r"\s*(.+?)\s*(?::=|=)(.*)", re.DOTALL)
STATEMENT = 0  # how PL/pgSQL's parser marks a text that is a statement; what is above is an expression
ASSIGNS = (3, 4, 5)


@dataclass(frozen=True, slots=True)
class Body:
    """A function's or a DO block's code, as it is written in a statement that begins in this line."""

    language: str
    whole: str
    source: str | None
    line: int
    settings: tuple[Any, ...] = ()  # SET … of the function: it holds while it runs


@dataclass
class Code:
    """What a body runs."""

    statements: list[tuple[int, str, Any]] = field(default_factory=list)  # line, text, tree
    opaque: list[tuple[int, str]] = field(default_factory=list)


def body(node: Any, text: str, line: int) -> Body:
    """The code in a CREATE FUNCTION or a DO."""
    if kind(node) == "DoStmt":
        given, settings = {each.defname: each.arg for each in node.args or ()}, ()
    else:
        given = options(node)
        settings = tuple(each.arg for each in node.options or () if each.defname == "set")
    atomic = getattr(node, "sql_body", None)
    language = "".join(words(given.get("language"))) or ("sql" if atomic else "plpgsql")
    source = words(given.get("as"))
    if not source:
        return Body("atomic" if atomic else language.lower(), text, None, line, settings)
    at = text.find(source[0])
    return Body(language.lower(), text, source[0], line + (text[:at].count("\n") if at >= 0 else 0), settings)


def code(given: Body) -> Code:
    """What it runs, as far as it can be read; new trees every time."""
    found = Code()
    if given.language == "atomic":
        _atomic(found, given)
    elif given.source is None:
        found.opaque.append((given.line, "has a body that cannot be found"))
    elif given.language == "sql":
        take(found, given.source, given.line)
    elif given.language != "plpgsql":
        found.opaque.append((given.line, f"is written in {given.language}, which is not read here"))
    else:
        _plpgsql(found, given)
    return found


def trees(text: str) -> list[Any]:
    """The statements of a text."""
    from pglast.parser import parse_sql

    return [raw.stmt for raw in parse_sql(text)]


def take(found: Code, text: str, line: int) -> None:
    """SQL that runs, with what cannot be read of it."""
    from pglast.parser import ParseError

    try:
        found.statements += [(line, text, tree) for tree in trees(text)]
    except ParseError:
        found.opaque.append((line, f"runs {_short(text)}, which cannot be read here"))


def constant(expression: Any) -> str | None:
    """The text that an expression is, when it is one literal."""
    if kind(expression) == "TypeCast":
        expression = expression.arg
    if kind(expression) == "A_Const" and kind(expression.val) == "String":
        return str(expression.val.sval)
    return None


def _atomic(found: Code, given: Body) -> None:
    """BEGIN ATOMIC … END, or RETURN …: trees already."""

    def statements(each: Any) -> Iterator[Any]:
        if isinstance(each, tuple | list):
            for one in each:
                yield from statements(one)
        elif each is not None:
            yield each

    found.statements += [(given.line, given.whole, each) for each in statements(trees(given.whole)[0].sql_body)]


def _plpgsql(found: Code, given: Body) -> None:
    from pglast import parse_plpgsql
    from pglast.parser import ParseError

    try:
        tree = parse_plpgsql(given.whole)
    except (ParseError, ValueError) as error:
        found.opaque.append((given.line, f"cannot be looked into ({error.args[0] if error.args else error})"))
        return
    for line, dynamic, query, mode in _texts(tree, 1, ""):
        at = given.line + line - 1
        if dynamic:
            _executed(found, query, at)
        elif mode == STATEMENT:
            take(found, query, at)
        elif mode in ASSIGNS and (both := ASSIGNED.match(query)):
            take(found, f"select {both[1]}", at)
            take(found, f"select {both[2]}", at)
        else:
            take(found, f"select {query}", at)


def _executed(found: Code, query: str, line: int) -> None:
    from pglast.parser import ParseError

    try:
        targets: Sequence[Any] = getattr(trees(f"select {query}")[0], "targetList", None) or ()
    except ParseError:
        targets = ()
    text = constant(targets[0].val) if len(targets) == 1 else None
    if text is None:
        found.opaque.append((line, "puts SQL together at run time (EXECUTE)"))
    else:
        take(found, text, line)


def _texts(tree: Any, line: int, within: str, under: str = "") -> Iterator[tuple[int, bool, str, int]]:
    """Every text of a PL/pgSQL function that is SQL, wherever it is nested: line, whether EXECUTEd, text, mode."""
    if isinstance(tree, list):
        for each in tree:
            yield from _texts(each, line, within, under)
    elif isinstance(tree, dict):
        line = int(tree.get("lineno", line))
        for name, value in tree.items():
            if name == "PLpgSQL_expr":
                dynamic = under == "dynquery" or (under == "query" and within in EXECUTES)
                yield line, dynamic, str(value["query"]), int(value.get("parseMode", STATEMENT))
            elif name.startswith("PLpgSQL_"):
                yield from _texts(value, line, name)
            else:
                yield from _texts(value, line, within, name)


EXECUTES = ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}…"
