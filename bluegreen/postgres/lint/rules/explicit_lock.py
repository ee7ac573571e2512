"""LOCK TABLE on a table in use.

Problem: the lock is held until commit, and everybody who comes after waits in its queue, readers of a weaker lock too.
Solution: leave it out: each statement takes the lock that it needs, and the runner tries the transaction again. One row
is guarded by SELECT … FOR UPDATE, one job by pg_try_advisory_xact_lock.
Levels: refused from SHARE UPDATE EXCLUSIVE on; the weaker ones are what plain statements take.
Source: PostgreSQL manual, 13.3.1 and LOCK; squawk 2.70 is silent with every rule on.
"""

from collections.abc import Iterator

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import relation
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.world import World

NAME = "explicit-lock"
MODES = {
    4: "SHARE UPDATE EXCLUSIVE",
    5: "SHARE",
    6: "SHARE ROW EXCLUSIVE",
    7: "EXCLUSIVE",
    8: "ACCESS EXCLUSIVE",
}


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    if statement.kind != "LockStmt" or statement.node.mode not in MODES:
        return
    tables = [name for name in map(relation, statement.node.relations) if world.exists(name)]
    if tables:
        said = f"{', '.join(tables)} is locked in {MODES[statement.node.mode]} MODE until commit"
        yield Fault("refuse", said, "Leave LOCK TABLE out: each statement takes the lock that it needs.")
