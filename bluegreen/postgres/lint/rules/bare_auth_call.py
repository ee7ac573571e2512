"""auth.uid(), auth.jwt(), auth.role() or current_setting() in a policy, outside of a subquery.

Problem: it is computed again for every row that the policy looks at.
Solution: `(select auth.uid())`: computed once a statement, and an index can be used with it.
Levels: refused, because putting it right later takes ACCESS EXCLUSIVE on a table that is then in use.
Source: Supabase advisor auth_rls_initplan; squawk has no such rule.
"""

from collections.abc import Iterator
from typing import Any

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import dotted, joined, kind
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.world import World

NAME = "bare-auth-call"
ASKED = {"auth.uid": "auth.uid()", "auth.jwt": "auth.jwt()", "auth.role": "auth.role()", "auth.email": "auth.email()"}
SETTING = ("public.current_setting", "pg_catalog.current_setting")


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    if statement.kind not in ("CreatePolicyStmt", "AlterPolicyStmt"):
        return
    bare = [*_bare(statement.node.qual), *_bare(statement.node.with_check)]
    if bare:
        said = f"{joined(bare)} is computed for every row in policy {statement.node.policy_name}"
        yield Fault("refuse", said, f"Write (select {bare[0]}).")


def _bare(node: Any) -> Iterator[str]:
    """Calls that are not the answer of a subquery of their own, as `(select auth.uid())` is."""
    if isinstance(node, tuple):
        for each in node:
            yield from _bare(each)
    elif kind(node) == "SubLink" and _once(node.subselect):
        return
    elif type(node).__module__ == "pglast.ast":
        if kind(node) == "FuncCall" and dotted(node.funcname) in (*ASKED, *SETTING):
            yield ASKED.get(dotted(node.funcname), "current_setting(…)")
        for name in node:
            yield from _bare(getattr(node, name))


def _once(query: Any) -> bool:
    """Whether a subquery reads no table: then it is computed once."""
    return kind(query) == "SelectStmt" and query.fromClause is None
