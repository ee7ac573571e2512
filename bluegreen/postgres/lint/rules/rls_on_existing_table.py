"""ENABLE or FORCE ROW LEVEL SECURITY, or a policy, on a table in use.

Problem: the release that is live was never asked who it is: with ENABLE, FORCE or a RESTRICTIVE policy its rows vanish
and its writes are refused. A permissive policy shows more rows than its queries expect, to more people.
Solution: put it into the contract, when every release that runs brings an identity; or a new table, or a function, for
what is new.
Levels: refused in an expand where rows may vanish, warned of where they are shown; accepted in a contract.
Source: PostgreSQL manual, 5.9; squawk's opt-ins (ban-create-policy, ban-alter-row-level-security) cannot tell new
tables from old.
"""

from collections.abc import Iterator

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import relation
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.rules.tree import commands
from bluegreen.postgres.lint.world import World

NAME = "rls-on-existing-table"
HINT = "Put it into a contract, for when every release that runs brings an identity."


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    node = statement.node
    if world.phase != "expand":
        return
    if commands(node, "EnableRowSecurity", "ForceRowSecurity") and world.exists(relation(node.relation)):
        said = f"rows of {relation(node.relation)} vanish for the release that is live"
        yield Fault("refuse", said, HINT)
    elif statement.kind == "CreatePolicyStmt" and world.exists(relation(node.table)):
        table = relation(node.table)
        if node.permissive:
            said = f"policy {node.policy_name} shows the release that is live more rows of {table} than it expects"
            yield Fault(
                "warn", said, "See that its queries name whose rows they want; or show them through a function."
            )
        else:
            said = f"the restrictive policy {node.policy_name} hides rows of {table} from the release that is live"
            yield Fault("refuse", said, HINT)
