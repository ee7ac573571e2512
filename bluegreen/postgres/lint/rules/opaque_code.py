"""Code that runs and cannot be read: EXECUTE of text put together, other languages, functions that the database has.

Problem: what it does is known when it has been done: no lint, no class, no lock can be told before. In a function that
runs as its owner, text put together from arguments is also a way in.
Solution: write the statements out. A DO block of plain statements is read like the file itself, and so is EXECUTE of a
constant and a function that the file makes and calls.
Levels: refused; a call of a function that exists already is warned of, and so is EXECUTE in a SECURITY DEFINER function
that is only made here.
Source: PostgreSQL manual, 41.5.4 and CREATE FUNCTION, Writing SECURITY DEFINER functions safely; squawk reads no code.
"""

from collections.abc import Iterator
from typing import Any

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import joined, kind, options
from bluegreen.postgres.lint.parsed import Parsed, body_of, calls
from bluegreen.postgres.lint.rules.bare_auth_call import ASKED
from bluegreen.postgres.lint.world import World

NAME = "opaque-code"
OUT = "Write the statements out, so that they are judged like the rest of the file."
BUILT_IN = ("public.now", "public.gen_random_uuid", "public.nextval", "public.setval", "public.set_config")
RUNS = ("SelectStmt", "CallStmt")


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    for line, why in statement.opaque:
        yield Fault("refuse", f"the code that runs here {why}", OUT, line)
    if statement.kind == "CreateFunctionStmt":
        yield from _composed(statement)
    elif statement.kind in RUNS:
        unknown = [name for name in calls(_called(statement.node)) if _unread(name, world)]
        if unknown:
            said = f"what {joined(unknown)} does cannot be seen here"
            yield Fault("warn", said, "Look at its body for locks and writes; the dry run shows what it did to a copy.")


def _called(node: Any) -> Any:
    return node.funccall if kind(node) == "CallStmt" else node


def _unread(name: str, world: World) -> bool:
    """Whether a function is one that somebody wrote, and not here; without a schema only a database can tell."""
    if world.new("function", name) or name.startswith("pg_catalog.") or name in (*BUILT_IN, *ASKED):
        return False
    written = not name.startswith("public.")
    return written or (world.known is not None and name in world.known.functions)


def _composed(statement: Parsed) -> Iterator[Fault]:
    security = options(statement.node).get("security")
    if security is None or not security.boolval:
        return
    for _, why in body_of(statement.node, statement.text).opaque:
        if "EXECUTE" in why:
            said = "a function that runs as its owner puts SQL together at run time (EXECUTE)"
            yield Fault("warn", said, "Use format() with %I and %L, or plain statements; see that no argument gets in.")
            return
