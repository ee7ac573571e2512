"""A table or view in a schema that an API serves, past row level security, when it is made or from then on.

Problem: default privileges give it to anon and authenticated the moment it is made. Without row level security every
row of a table is everybody's; a view reads as its owner, whom no policy stops, and a materialized view has no policies.
A policy whose condition is `true` opens a table in use as wide, and so do NO FORCE ROW LEVEL SECURITY, for its owner,
and security_invoker taken from a view.
Solution: ENABLE ROW LEVEL SECURITY and policies in the same file, WITH (security_invoker = true) for a view, REVOKE
from anon and authenticated for a materialized one; or a schema that the API does not serve.
Levels: refused in either phase; row level security without a policy is an info (only the owner sees a row, which may be
meant), and who may read all of a new table is a choice. Says nothing where the database is known to have no `anon`.
Source: Supabase advisors rls_disabled_in_public, rls_enabled_no_policy, security_definer_view,
materialized_view_in_api; squawk has no such rule.
"""

from collections.abc import Iterator
from typing import Any

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.known import Known
from bluegreen.postgres.lint.names import joined, kind, relation, roles
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.rules.tree import commands
from bluegreen.postgres.lint.things import makes, touches
from bluegreen.postgres.lint.world import World

NAME = "exposed-without-rls"
OWN = ("authenticated", "service_role", "postgres", "ROLESPEC_CURRENT_USER")
TABLES = ("CreateStmt", "CreateTableAsStmt", "SelectStmt", "CreateForeignTableStmt")


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    if world.known is not None and "anon" not in world.known.roles:
        return
    exposed = (world.known or Known()).exposed
    if statement.kind in ("AlterTableStmt", "AlterPolicyStmt", "CreatePolicyStmt"):
        node = statement.node
        name = relation(node.relation if statement.kind == "AlterTableStmt" else node.table)
        if name.partition(".")[0] in exposed:
            yield from _opened(node, name, world)
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


def _opened(node: Any, name: str, world: World) -> Iterator[Fault]:
    """What was closed, or made here, and is opened."""
    if commands(node, "DisableRowSecurity"):
        yield Fault("refuse", f"every row of {name} is everybody's from then on", "Write a policy that lets them in.")
    elif commands(node, "NoForceRowSecurity") and world.exists(name):
        said = f"no policy of {name} stops its owner any more, nor what runs as its owner"
        yield Fault("refuse", said, "Leave it forced, and let a role of its own in.")
    elif kind(node) == "AlterTableStmt":
        for command in commands(node, "SetRelOptions", "ResetRelOptions"):
            given = {
                each.defname: getattr(each.arg, "sval", getattr(each.arg, "boolval", True)) for each in command.def_
            }
            if "security_invoker" in given and (command.subtype.name == "AT_ResetRelOptions" or not _on(given)):
                said = f"{name} reads as its owner from then on, past the policies of what it reads"
                yield Fault("refuse", said, f"ALTER VIEW {name} SET (security_invoker = true).")
    else:
        yield from _policy(node, name, world)


def _policy(node: Any, table: str, world: World) -> Iterator[Fault]:
    """A policy that lets everything through: who may read what everybody may see is a list, the rest is not."""
    if kind(node) == "CreatePolicyStmt" and not node.permissive:
        return
    who = [*roles(node.roles)] or (["public"] if kind(node) == "CreatePolicyStmt" else ["whoever it is for"])
    writes = _always(node.with_check) or (_always(node.qual) and getattr(node, "cmd_name", "all") != "select")
    everybody = any(name not in OWN for name in who)
    if not (_always(node.qual) or _always(node.with_check)) or not everybody:
        return
    if world.exists(table) or writes:
        said = f"policy {node.policy_name} opens every row of {table} to {joined(who)}"
        yield Fault("refuse", said, "Write a condition that says whose rows they are.")


def _always(condition: Any) -> bool:
    return kind(condition) == "A_Const" and bool(getattr(condition.val, "boolval", False))


def _on(given: dict[str, Any]) -> bool:
    return str(given.get("security_invoker", False)).lower() in ("true", "on", "1", "yes")


def _table(table: str, world: World) -> Iterator[Fault]:
    if not _guarded(table, world):
        hint = f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, and policies, in this file."
        yield Fault("refuse", f"{table} is made in a schema that the API serves, without row level security", hint)
    elif not _has_policy(table, world):
        said = f"{table} has row level security and no policy: only its owner sees a row"
        yield Fault("info", said, "Add a policy, if anybody else is to.")


def _view(node: Any, view: str) -> Iterator[Fault]:
    given = {option.defname: getattr(option.arg, "sval", True) for option in node.options or ()}
    if not _on(given):
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
