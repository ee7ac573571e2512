"""SECURITY DEFINER without a search_path of its own.

Problem: the function runs with its owner's rights and with the caller's search_path: a caller who may create anything
anywhere puts a table or an operator of the same name in front, and the owner uses it.
Solution: `set search_path = ''` and names with their schema.
Levels: refused; a path with "$user" in it is no better. A later ALTER FUNCTION … SET search_path in the file counts.
Source: PostgreSQL manual, CREATE FUNCTION, Writing SECURITY DEFINER functions safely; Supabase advisor
function_search_path_mutable; squawk has no such rule.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import dotted, kind
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.world import World

NAME = "definer-search-path"


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    node = statement.node
    if statement.kind not in ("CreateFunctionStmt", "AlterFunctionStmt"):
        return
    name = _name(node)
    given = _given(node)
    definer = any(each.defname == "security" and each.arg.boolval for each in given)
    reset = any(_reset(each) for each in given)
    if not (definer or reset) or _fixed(given):
        return
    others = [each.node for each in world.whole if each.kind in ("CreateFunctionStmt", "AlterFunctionStmt")]
    if any(_name(other) == name and other is not node and _fixed(_given(other)) for other in others) and not reset:
        return
    said = f"{name} runs as its owner with the caller's search_path"
    yield Fault("refuse", said, "Add set search_path = '' and write every name with its schema.")


def _name(node: Any) -> str:
    return dotted(node.funcname) if kind(node) == "CreateFunctionStmt" else dotted(node.func)


def _given(node: Any) -> Sequence[Any]:
    given: Sequence[Any] = (node.options if kind(node) == "CreateFunctionStmt" else node.actions) or ()
    return given


def _reset(option: Any) -> bool:
    if option.defname != "set":
        return False
    everything = option.arg.kind.name == "VAR_RESET_ALL"
    return everything or (option.arg.name == "search_path" and option.arg.kind.name in ("VAR_RESET", "VAR_SET_DEFAULT"))


def _fixed(given: Sequence[Any]) -> bool:
    for option in given:
        if option.defname == "set" and option.arg.name == "search_path" and option.arg.kind.name == "VAR_SET_VALUE":
            return not any(getattr(each.val, "sval", "") == "$user" for each in option.arg.args or ())
    return False
