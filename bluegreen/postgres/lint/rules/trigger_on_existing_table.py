"""CREATE TRIGGER or CREATE RULE on a table in use, or ENABLE of one.

Problem: it runs in every write of the release that is live, which was never tested with it: an exception in it is that
release's error, and its time is added to every statement. A rule rewrites queries, and takes ACCESS EXCLUSIVE.
Solution: let the new release do the work, or put the trigger into the contract. A trigger that keeps an old and a new
column equal while both releases run is right here: allow it, with that reason.
Levels: refused in an expand; in a contract a rule is warned of, a trigger accepted (its lock is short and gated).
Source: PostgreSQL manual, CREATE TRIGGER (SHARE ROW EXCLUSIVE), CREATE RULE; squawk has no such rule.
"""

from collections.abc import Iterator

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import relation
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.rules.tree import commands
from bluegreen.postgres.lint.world import World

NAME = "trigger-on-existing-table"
ENABLED = ("EnableTrig", "EnableAlwaysTrig", "EnableReplicaTrig", "EnableTrigAll", "EnableTrigUser", "EnableRule")
HINT = "Put it into the contract; or, where it keeps an old and a new column equal, allow it and say so."


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    node = statement.node
    if statement.kind not in ("CreateTrigStmt", "RuleStmt") and not commands(node, *ENABLED):
        return
    table = relation(node.relation)
    if not world.exists(table):
        return
    what = "a rule" if statement.kind == "RuleStmt" else "a trigger"
    if world.phase == "expand":
        yield Fault("refuse", f"{what} on {table} runs in every statement of the release that is live", HINT)
    elif statement.kind == "RuleStmt":
        said = f"a rule on {table} rewrites queries, and stops everybody while it is made"
        yield Fault("warn", said, "Write a trigger, or an INSTEAD OF trigger on a view.")
