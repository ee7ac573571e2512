"""VACUUM FULL, CLUSTER.

Problem: both write the whole table anew under ACCESS EXCLUSIVE: nobody reads or writes it for as long as that takes.
Solution: plain VACUUM gives space back to the table; pg_repack or pg_squeeze rewrite a table while it is used.
Levels: refused in either phase, unless the table is the file's own.
Source: PostgreSQL manual, VACUUM and CLUSTER; squawk 2.70 is silent with every rule on.
"""

from collections.abc import Iterator

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import relation
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.world import World

NAME = "vacuum-full-or-cluster"


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    node = statement.node
    if statement.kind == "VacuumStmt":
        full = any(option.defname == "full" and _on(option.arg) for option in node.options or ())
        tables = [relation(each.relation) for each in node.rels or () if each.relation]
        what = "VACUUM FULL" if full and node.is_vacuumcmd else ""
    elif statement.kind == "ClusterStmt":
        tables, what = [relation(node.relation)] if node.relation else [], "CLUSTER"
    else:
        return
    if what and (not tables or any(world.exists(table) for table in tables)):
        said = f"{what} writes {', '.join(tables) or 'every table'} anew while nobody can read it"
        yield Fault("refuse", said, "VACUUM (ANALYZE) gives space back while the table is used; pg_repack rewrites it.")


def _on(arg: object) -> bool:
    value = getattr(arg, "sval", getattr(arg, "boolval", getattr(arg, "ival", True)))
    return str(value).lower() not in ("false", "off", "0")
