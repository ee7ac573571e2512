"""The statements of one file: split, and judged by the real Postgres grammar before any of them runs.

Consecutive statements are one transaction in one round trip, so whatever ends a transaction or would take away its
short patience for locks is refused here, with line and column. What cannot be in a transaction stands alone, if a look
at the catalog can tell whether it is done; otherwise it is refused, because a kill would leave it unknown. The grammar
is that of Postgres 18; an older server may still refuse what parses. PL/pgSQL bodies are parsed too (the SQL grammar
sees them as text), names in them are not looked up. Lint, lock analysis and a dry run are deliberately not here.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

# pglast is imported where it is needed: the provider is ready without it.

REMEMBERED = 8  # texts: a file is read several times before it is applied
UNKNOWN_BODY = ("syntax error", "unterminated", "mismatched", "missing")  # faults that need no catalog to be faults
BLANK = re.compile(r"\s+|--[^\n]*\n?")
COMMENT_MARK = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as it is written; `at` is where its first character stands in the file.

    `alone` is what it is called when it cannot run in a transaction: `CREATE INDEX CONCURRENTLY`.
    """

    text: str
    at: int
    line: int
    alone: str = ""
    parsed: Any = field(default=None, repr=False, compare=False)  # as the grammar understands it, once for all

    @property
    def end(self) -> int:
        """Where the next character after it stands."""
        return self.at + len(self.text)


class Unparsable(Exception):
    """It is no SQL; says where and why."""


def place(text: str, index: int) -> str:
    """`line 3, column 7`, as an editor counts."""
    before = text[:index]
    return f"line {before.count(chr(10)) + 1}, column {index - (before.rfind(chr(10)) + 1) + 1}"


@lru_cache(maxsize=REMEMBERED)
def split(text: str) -> tuple[Statement, ...]:
    """Every statement of a text, in order.

    Raises:
        Unparsable: the grammar does not know it.
    """
    return tuple(_statement(text, raw) for raw in _parsed(text))


def faults(text: str) -> list[str]:
    """Everything that speaks against running this text, each with its place."""
    return [*_faults(text)]


@lru_cache(maxsize=REMEMBERED)
def _faults(text: str) -> tuple[str, ...]:
    try:
        statements = split(text)
    except Unparsable as problem:
        return (str(problem),)
    found: list[str] = []
    for each in statements:
        found += [f"{place(text, each.at)}: {fault}" for fault in _unfit(each.parsed)]
        if WATCHED.search(each.text):  # a large file is not walked through for nothing
            found += [f"{place(text, each.at)}: {fault}" for fault in takes_over(each.parsed)]
        found += [f"{place(text, each.at + at)}: {fault}" for at, fault in _body(each.parsed, each.text)]
    return tuple(found)


def lasting(text: str) -> list[str]:
    """What would have to outlive the transaction it stands in, each with its place: a setting, a temporary table."""
    found: list[str] = []
    for each in split(text):
        if what := LASTING.get(type(each.parsed).__name__, _never)(each.parsed):
            found.append(f"{place(text, each.at)}: {what}")
    return found


def tree(statement: Statement) -> Any:
    """One statement as the grammar understands it."""
    return statement.parsed or _parsed(statement.text)[0].stmt


def asks_once(text: str) -> bool:
    """Whether a text is one question: a single SELECT."""
    try:
        parsed = _parsed(text)
    except Unparsable:
        return False
    return [type(raw.stmt).__name__ for raw in parsed] == ["SelectStmt"]


def _parsed(text: str) -> Sequence[Any]:
    from pglast.parser import ParseError, parse_sql

    try:
        parsed: Sequence[Any] = parse_sql(text)
    except ParseError as error:
        index = _index(error)
        psql = text[index : index + 1] == "\\"
        said = "a psql command; only SQL can be applied" if psql else error.args[0]
        raise Unparsable(f"{place(text, index)}: {said}") from error
    return parsed


def _index(error: Exception) -> int:
    where = error.args[1] if len(error.args) > 1 else None
    return where if isinstance(where, int) else 0


def _statement(text: str, raw: Any) -> Statement:
    end = raw.stmt_location + raw.stmt_len if raw.stmt_len else len(text)
    written = text[raw.stmt_location : end]
    start = raw.stmt_location + _leading(written)
    named = ALONE.get(type(raw.stmt).__name__, _never)(raw.stmt)
    return Statement(text[start:end].rstrip(), start, text[:start].count("\n") + 1, named, raw.stmt)


def _leading(written: str) -> int:
    """How much blank space and comment stands before a statement's first word."""
    at = 0
    while at < len(written):
        if found := BLANK.match(written, at):
            at = found.end()
        elif written.startswith("/*", at):
            at = _after_comment(written, at)
        else:
            break
    return at


def _after_comment(written: str, at: int) -> int:
    depth = 0  # block comments nest in SQL
    for mark in COMMENT_MARK.finditer(written, at):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(written)


def _body(stmt: Any, written: str) -> Iterator[tuple[int, str]]:
    """Syntax errors inside a PL/pgSQL body, which the SQL grammar takes for text, and where in the statement."""
    if type(stmt).__name__ not in ("CreateFunctionStmt", "DoStmt"):
        return
    if _language(stmt) != "plpgsql":
        return
    from pglast import parse_plpgsql
    from pglast.parser import ParseError

    try:
        parse_plpgsql(written)
    except ParseError as error:
        said = str(error.args[0])
        if said.startswith(UNKNOWN_BODY):
            yield _named_once(said, written), f"in the PL/pgSQL body: {said}"


def _named_once(said: str, written: str) -> int:
    """Where the word stands that an error is near, if there is no doubt; the parser does not tell."""
    near = re.search(r'at or near "(.+)"$', said, re.DOTALL)
    return written.index(near[1]) if near and written.count(near[1]) == 1 else 0


def _language(stmt: Any) -> str:
    options = stmt.options if type(stmt).__name__ == "CreateFunctionStmt" else stmt.args
    named = [option.arg.sval for option in options or () if option.defname == "language"]
    return str(named[0]).lower() if named else "plpgsql"


def _unfit(stmt: Any) -> Iterator[str]:
    kind = type(stmt).__name__
    if kind == "TransactionStmt":
        yield "BEGIN, COMMIT, ROLLBACK and SAVEPOINT are the runner's: it cuts a file into transactions"
    elif kind in OUTSIDE and (what := OUTSIDE[kind](stmt)):
        yield f"{what} cannot run in a transaction, and whether it ran could not be told after a kill"
    elif kind == "IndexStmt" and stmt.concurrent and not stmt.idxname:
        yield "CREATE INDEX CONCURRENTLY needs a name, or what a kill leaves of it could not be found again"
    elif kind == "CopyStmt" and not stmt.filename:
        yield "COPY from or to the client has no client here; write INSERT"
    elif kind == "VacuumStmt" and _full(stmt):
        yield "VACUUM FULL shuts the table to everybody for as long as it copies it; write VACUUM"
    elif kind == "VariableSetStmt" and (stmt.name in KEPT or stmt.kind.name == "VAR_RESET_ALL"):
        yield f"{stmt.name or 'every setting'} is the runner's to set"


def _full(stmt: Any) -> bool:
    said = [option.arg for option in stmt.options or () if option.defname == "full"]
    off = [getattr(arg, "sval", getattr(arg, "ival", None)) for arg in said]
    return any(str(value).lower() not in ("false", "off", "0") for value in off)


def takes_over(stmt: Any) -> Iterator[str]:
    """What would take away, by a call or through a view, what the runner has set or holds."""
    for node in _nodes(stmt):
        kind = type(node).__name__
        name = node.funcname[-1].sval.lower() if kind == "FuncCall" else ""
        if name in GIVES_AWAY:
            yield f"{name}() would give away the runner's turn"
        elif name == "set_config" and node.args:
            setting = _constant(node.args[0])
            if not setting or setting in KEPT:
                yield f"set_config: {setting or 'a setting whose name is not written there'} is the runner's to set"
        elif kind in ("UpdateStmt", "MergeStmt") and node.relation.relname == "pg_settings":
            yield "pg_settings: every setting in it is the runner's to set"


def _constant(given: Any) -> str:
    while type(given).__name__ == "TypeCast":
        given = given.arg
    return str(getattr(getattr(given, "val", None), "sval", "")).lower()


def _nodes(node: Any) -> Iterator[Any]:
    if isinstance(node, tuple | list):
        for each in node:
            yield from _nodes(each)
    elif type(node).__module__ == "pglast.ast":
        yield node
        for name in node:
            yield from _nodes(getattr(node, name))


def _never(stmt: Any) -> str:
    return ""


def _detached(stmt: Any) -> str:
    commands = [command.def_ for command in stmt.cmds if command.subtype.name == "AT_DetachPartition"]
    return "DETACH PARTITION CONCURRENTLY" if any(command.concurrent for command in commands) else ""


def _reindexed(stmt: Any) -> str:
    if _many(stmt):
        return ""
    return "REINDEX CONCURRENTLY" if any(option.defname == "concurrently" for option in stmt.params or ()) else ""


def _many(stmt: Any) -> str:
    whole = stmt.kind.name in ("REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_DATABASE")
    return "REINDEX of a schema or a database" if whole else ""


def _moved(stmt: Any) -> str:
    moves = any(option.defname == "tablespace" for option in stmt.options or ())
    return "ALTER DATABASE … SET TABLESPACE" if moves else ""


def _set(stmt: Any) -> str:
    return "" if stmt.is_local else "SET reaches no further than the next statement that stands alone; write SET LOCAL"


def _temporary(stmt: Any) -> str:
    relation = stmt.into.rel if type(stmt).__name__ == "CreateTableAsStmt" else stmt.relation
    return "a temporary table is gone after a kill; make it a table" if relation.relpersistence == "t" else ""


KEPT = frozenset({"datestyle", "lock_timeout", "standard_conforming_strings", "session_authorization"})
GIVES_AWAY = frozenset({"pg_advisory_unlock", "pg_advisory_unlock_all", "pg_advisory_unlock_shared"})
WATCHED = re.compile(r"set_config|pg_advisory_unlock|pg_settings|u&", re.IGNORECASE)
Named = Callable[[Any], str]
ALONE: dict[str, Named] = {
    "IndexStmt": lambda stmt: "CREATE INDEX CONCURRENTLY" if stmt.concurrent else "",
    "DropStmt": lambda stmt: "DROP INDEX CONCURRENTLY" if stmt.concurrent else "",
    "ReindexStmt": _reindexed,
    "VacuumStmt": lambda stmt: "VACUUM" if stmt.is_vacuumcmd else "",
    "AlterTableStmt": _detached,
}
OUTSIDE: dict[str, Named] = {
    "ReindexStmt": _many,
    "ClusterStmt": lambda stmt: "" if stmt.relation else "CLUSTER without a table",
    "DiscardStmt": lambda stmt: "DISCARD",
    "AlterSystemStmt": lambda stmt: "ALTER SYSTEM",
    "AlterDatabaseStmt": _moved,
    "CreatedbStmt": lambda stmt: "CREATE DATABASE",
    "DropdbStmt": lambda stmt: "DROP DATABASE",
    "CreateTableSpaceStmt": lambda stmt: "CREATE TABLESPACE",
    "DropTableSpaceStmt": lambda stmt: "DROP TABLESPACE",
    "CreateSubscriptionStmt": lambda stmt: "CREATE SUBSCRIPTION",
    "AlterSubscriptionStmt": lambda stmt: "ALTER SUBSCRIPTION",
    "DropSubscriptionStmt": lambda stmt: "DROP SUBSCRIPTION",
}
LASTING: dict[str, Named] = {
    "VariableSetStmt": _set,
    "CreateStmt": _temporary,
    "CreateTableAsStmt": _temporary,
}
