"""REFRESH MATERIALIZED VIEW without CONCURRENTLY, on a view in use.

Problem: it computes the whole view under ACCESS EXCLUSIVE; WITH NO DATA leaves it unreadable.
Solution: REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index on the view.
Levels: refused in either phase, unless the view is the file's own.
Source: PostgreSQL manual, REFRESH MATERIALIZED VIEW; squawk 2.70 is silent with every rule on.
"""

from collections.abc import Iterator

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import relation
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.world import World

NAME = "blocking-refresh"


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    node = statement.node
    if statement.kind != "RefreshMatViewStmt" or node.concurrent or not world.exists(relation(node.relation)):
        return
    view = relation(node.relation)
    said = f"nobody reads {view} " + ("until it is filled again" if node.skipData else "while it is computed")
    yield Fault("refuse", said, f"REFRESH MATERIALIZED VIEW CONCURRENTLY {view}; it needs a unique index.")
