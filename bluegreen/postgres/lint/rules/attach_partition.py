"""ATTACH PARTITION of a table in use, or a partition made under a parent in use.

Problem: without a CHECK that says the same as its bounds the table is read from end to end while it is locked in ACCESS
EXCLUSIVE, and so is the parent's default partition. CREATE TABLE … PARTITION OF takes ACCESS EXCLUSIVE on the parent.
Solution: CHECK NOT VALID in one file, VALIDATE in the next, ATTACH in a third and allow it there; for a new partition
CREATE TABLE … (LIKE parent), then ATTACH.
Levels: attaching a table in use is refused; a new one made with PARTITION OF is warned of.
Source: PostgreSQL manual, 5.12.2.2 and ALTER TABLE; squawk has no rule for it.
"""

from collections.abc import Iterator

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import relation
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.rules.tree import commands
from bluegreen.postgres.lint.world import World

NAME = "attach-partition"


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    node = statement.node
    for command in commands(node, "AttachPartition"):
        child = relation(command.def_.name)
        if world.exists(child) and not world.small(child) and node.objtype.name == "OBJECT_TABLE":
            said = f"{child} is read from end to end while nobody can use it"
            hint = (
                "Add its bounds as CHECK … NOT VALID, VALIDATE in a later file, attach in a third and allow it there."
            )
            yield Fault("refuse", said, hint)
    if statement.kind == "CreateStmt" and node.partbound is not None:
        parent = relation(node.inhRelations[0])
        if world.exists(parent):
            said = f"everybody who uses {parent} waits while its new partition is made"
            yield Fault("warn", said, f"CREATE TABLE … (LIKE {parent} INCLUDING ALL), then ATTACH PARTITION.")
