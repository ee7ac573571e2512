"""A new table or view in a schema that an API serves, past row level security; or row level security switched off.

Problem: default privileges give it to anon and authenticated the moment it is made. Without row level security every
row of a table is everybody's; a view reads as its owner, whom no policy stops, and a materialized view has no policies.
Solution: ENABLE ROW LEVEL SECURITY and policies in the same file, WITH (security_invoker = true) for a view, REVOKE
from anon and authenticated for a materialized one; or a schema that the API does not serve.
Levels: refused; row level security without a policy is an info (only the owner sees a row, which may be meant). Says
nothing where the database is known to have no role `anon`.
Source: Supabase advisors rls_disabled_in_public, rls_enabled_no_policy, security_definer_view,
materialized_view_in_api; squawk has no such rule.
"""

from collections.abc import Iterator
from typing import Any

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import PUBLIC, relation, roles
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.rules.tree import commands
from bluegreen.postgres.lint.world import World, makes, touches

NAME = "exposed-without-rls"
TABLES = ("CreateStmt", "CreateTableAsStmt", "SelectStmt", "CreateForeignTableStmt")


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    if world.known is not None and "anon" not in world.known.roles:
        return
    exposed = world.known.exposed if world.known is not None else (PUBLIC,)
    if commands(statement.node, "DisableRowSecurity"):
        table = relation(statement.node.relation)
        if table.partition(".")[0] in exposed:
            yield Fault(
                "refuse", f"every row of {table} is everybody's from then on", "Write a policy that lets them in."
            )
        return
    for _, name in makes(statement.node):
        if name.partition(".")[0] not in exposed:
            continue
        if statement.kind == "ViewStmt":
            yield from _view(statement.node, name)
        elif statement.kind == "CreateTableAsStmt" and statement.node.objtype.name == "OBJECT_MATVIEW":
            yield from _materialized(name, world)
        elif statement.kind in TABLES:
            yield from _table(name, world)


def _table(table: str, world: World) -> Iterator[Fault]:
    if not _guarded(table, world):
        hint = f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, and policies, in this file."
        yield Fault("refuse", f"{table} is made in a schema that the API serves, without row level security", hint)
    elif not _has_policy(table, world):
        said = f"{table} has row level security and no policy: only its owner sees a row"
        yield Fault("info", said, "Add a policy, if anybody else is to.")


def _view(node: Any, view: str) -> Iterator[Fault]:
    given = {option.defname: getattr(option.arg, "sval", True) for option in node.options or ()}
    if str(given.get("security_invoker", False)).lower() not in ("true", "on", "1", "yes"):
        said = f"{view} reads as its owner, past the policies of what it reads, and the API serves it"
        yield Fault("refuse", said, f"CREATE VIEW {view} WITH (security_invoker = true) AS …")


def _materialized(view: str, world: World) -> Iterator[Fault]:
    for each in world.whole:
        taken = (
            each.kind == "GrantStmt"
            and not each.node.is_grant
            and {"anon", "authenticated"} <= {*roles(each.node.grantees)}
        )
        if taken and ("relation", view) in touches(each.node):
            return
    said = f"{view} has no policies, and the API serves it"
    yield Fault("refuse", said, f"REVOKE ALL ON {view} FROM anon, authenticated; or make it in another schema.")


def _guarded(table: str, world: World) -> bool:
    return any(
        commands(each.node, "EnableRowSecurity") and relation(each.node.relation) == table for each in world.whole
    )


def _has_policy(table: str, world: World) -> bool:
    return any(each.kind == "CreatePolicyStmt" and relation(each.node.table) == table for each in world.whole)
