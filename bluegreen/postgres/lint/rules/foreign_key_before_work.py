"""A foreign key to a table in use, with other work after it in the same transaction.

Problem: a foreign key takes SHARE ROW EXCLUSIVE on the table that it points to, also from a table that is new and empty
and also inside of CREATE TABLE. From then until commit nobody writes there, however harmless the rest is.
Solution: make foreign keys to tables in use the file's last statements, the most written table's last of all. The
runner then looks before it queues, waits 50 ms at most and tries the whole transaction again.
Levels: refused before work whose time depends on how much data there is; warned of before many quick statements;
nothing said otherwise. An existing table that gets a foreign key is squawk's (adding-foreign-key-constraint).
Source: PostgreSQL manual, 13.3.1 table-level locks and CREATE TABLE (REFERENCES needs SHARE ROW EXCLUSIVE); measured:
011 with its keys last stops writes for 4 ms, in the middle for 23 to 33 ms.
"""

from collections.abc import Iterator

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import joined, relation
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.rules.tree import constraints, foreign_keys
from bluegreen.postgres.lint.things import touches
from bluegreen.postgres.lint.world import World

NAME = "foreign-key-before-work"
QUICK = 20  # statements on new, empty tables: measured at 0.4 ms each
LONG = frozenset({"UpdateStmt", "DeleteStmt", "MergeStmt", "RefreshMatViewStmt", "CreateTableAsStmt", "CopyStmt"})


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    held = [relation(key.target) for key in foreign_keys(statement.node) if world.exists(relation(key.target))]
    if not held:
        return
    rest = [each for each in world.later if not foreign_keys(each.node) or each.kind == "CreateStmt"]
    long = next((each for each in rest if _long(each, world)), None)
    tables = joined(held)
    if long is not None:
        said = f"nobody writes to {tables} from here until commit, and line {long.line} takes as long as there is data"
        yield Fault("refuse", said, f"Move the foreign key last: ALTER TABLE … ADD FOREIGN KEY … REFERENCES {held[0]}.")
    elif len(rest) > QUICK:
        said = f"nobody writes to {tables} from here until commit, {len(rest)} statements later"
        yield Fault(
            "warn", said, "Make the foreign key one of the last statements, with ALTER TABLE … ADD FOREIGN KEY."
        )


def _long(later: Parsed, world: World) -> bool:
    """Whether a statement reads or writes as much as there is in a table in use."""
    at = world.whole.index(later)
    made = world.made | {
        thing for each in world.whole[:at] for thing in touches(each.node) if each.kind == "CreateStmt"
    }
    old = any(of == "relation" and (of, name) not in made and not world.small(name) for of, name in touches(later.node))
    if later.kind == "AlterTableStmt":
        commands = {command.subtype.name for command in later.node.cmds}
        scans = any(each.contype.name != "CONSTR_FOREIGN" for each in constraints(later.node))
        return old and bool(commands & {"AT_ValidateConstraint", "AT_AlterColumnType", "AT_SetNotNull"} or scans)
    if later.kind == "InsertStmt":
        return getattr(later.node.selectStmt, "fromClause", None) is not None
    if later.kind == "IndexStmt":
        table = relation(later.node.relation)  # its own name is new, and is no reason
        return ("relation", table) not in made and not world.small(table)
    return bool(later.opaque) or (later.kind in LONG and (old or later.kind in ("CreateTableAsStmt", "CopyStmt")))
