"""Which locks a statement will ask for, as far as its text tells: for looking before asking.

Relations as they are written, and the mode that Postgres documents for what is done to them. What a function or a `do`
block does is not seen, nor what a trigger does: for those the transaction's own short patience is there. A relation
that does not exist yet is no harm, nobody can hold a lock on it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from bluegreen.postgres.statements import Statement, tree

Lock = tuple[str, str]  # relation as SQL, mode as in pg_locks

READS, WRITES = "AccessShareLock", "RowExclusiveLock"
GENTLE, SHARE, SHARED_ROW = "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock"
EXCLUSIVE, ALONE = "ExclusiveLock", "AccessExclusiveLock"
MODES = (READS, "RowShareLock", WRITES, GENTLE, SHARE, SHARED_ROW, EXCLUSIVE, ALONE)  # as LOCK TABLE numbers them
# Which modes each of these cannot be held beside: the table in Postgres's chapter on explicit locking.
CONFLICTS: dict[str, frozenset[str]] = {
    READS: frozenset(MODES[7:]),
    "RowShareLock": frozenset(MODES[6:]),
    WRITES: frozenset(MODES[4:]),
    GENTLE: frozenset(MODES[3:]),
    SHARE: frozenset({WRITES, GENTLE, *MODES[5:]}),
    SHARED_ROW: frozenset(MODES[2:]),
    EXCLUSIVE: frozenset(MODES[1:]),
    ALONE: frozenset(MODES),
}
ALTERED = {
    "AT_ValidateConstraint": GENTLE,
    "AT_SetStatistics": GENTLE,
    "AT_SetOptions": GENTLE,
    "AT_ResetOptions": GENTLE,
    "AT_ClusterOn": GENTLE,
    "AT_DropCluster": GENTLE,
    "AT_AttachPartition": GENTLE,
    "AT_EnableTrig": SHARED_ROW,
    "AT_DisableTrig": SHARED_ROW,
    "AT_EnableAlwaysTrig": SHARED_ROW,
    "AT_EnableReplicaTrig": SHARED_ROW,
}
ON_RELATION = {
    "CreateTrigStmt": ("relation", SHARED_ROW),
    "CreatePolicyStmt": ("table", ALONE),
    "AlterPolicyStmt": ("table", ALONE),
    "RuleStmt": ("relation", ALONE),
    "RenameStmt": ("relation", ALONE),
    "AlterObjectSchemaStmt": ("relation", ALONE),
    "AlterSeqStmt": ("sequence", SHARED_ROW),
    "ViewStmt": ("view", ALONE),
    "ClusterStmt": ("relation", ALONE),
    "ReindexStmt": ("relation", SHARE),
    "InsertStmt": ("relation", WRITES),
    "UpdateStmt": ("relation", WRITES),
    "DeleteStmt": ("relation", WRITES),
    "MergeStmt": ("relation", WRITES),
    "CopyStmt": ("relation", WRITES),
}
ON_TABLE_OF = ("OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE")
DROPPED = ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_INDEX", "OBJECT_SEQUENCE", "OBJECT_FOREIGN_TABLE")


def locks(statements: Sequence[Statement]) -> tuple[Lock, ...]:
    """What these statements will ask for, each once."""
    return tuple(dict.fromkeys(lock for statement in statements for lock in _of(tree(statement))))


def awaited(statements: Sequence[Statement]) -> tuple[Lock, ...]:
    """What they will ask for, and whom those that run concurrently wait for without asking: it is looked at before."""
    found = list(locks(statements))
    for statement in statements:
        stmt = tree(statement)
        if statement.alone == "CREATE INDEX CONCURRENTLY":
            found.append((relation(stmt.relation), SHARE))  # for everybody who writes
        elif statement.alone == "DROP INDEX CONCURRENTLY":
            found += [(_path(name), ALONE) for name in stmt.objects]  # for everybody at its table
        elif statement.alone == "DETACH PARTITION CONCURRENTLY":
            found.append((relation(stmt.cmds[0].def_.name), ALONE))  # and this it asks for in the end
    return tuple(dict.fromkeys(found))


def relation(var: Any) -> str:
    """A relation as SQL, as the file names it."""
    return ".".join(quoted(part) for part in (var.schemaname, var.relname) if part)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _of(stmt: Any) -> Iterator[Lock]:
    kind = type(stmt).__name__
    for var in _named(stmt):
        yield relation(var), READS
    if kind in ON_RELATION:
        field, mode = ON_RELATION[kind]
        if (var := getattr(stmt, field)) is not None:
            yield relation(var), mode
    elif kind in SPECIAL:
        yield from SPECIAL[kind](stmt)


def _named(node: Any) -> Iterator[Any]:
    """Every relation that is named anywhere in a statement."""
    if type(node).__name__ == "RangeVar":
        yield node
    elif isinstance(node, tuple):
        for each in node:
            yield from _named(each)
    elif hasattr(node, "__slots__") and not isinstance(node, str):
        for name in node.__slots__:
            yield from _named(getattr(node, name, None))


def _referenced(node: Any) -> Iterator[Lock]:
    """The tables that new foreign keys point to."""
    if type(node).__name__ == "Constraint" and node.pktable is not None:
        yield relation(node.pktable), SHARED_ROW
    elif type(node).__name__ == "ColumnDef":
        for each in node.constraints or ():
            yield from _referenced(each)


def _altered(stmt: Any) -> Iterator[Lock]:
    for command in stmt.cmds:
        subtype, definition = command.subtype.name, command.def_
        mode = ALTERED.get(subtype, ALONE)
        if subtype == "AT_AddConstraint" and definition.pktable is not None:
            mode = SHARED_ROW
        if subtype == "AT_DetachPartition" and definition.concurrent:
            mode = GENTLE
        yield relation(stmt.relation), mode
        yield from _referenced(definition)
        if subtype in ("AT_AttachPartition", "AT_DetachPartition"):
            yield relation(definition.name), mode if mode == GENTLE and subtype == "AT_DetachPartition" else ALONE


def _created(stmt: Any) -> Iterator[Lock]:
    for element in stmt.tableElts or ():
        yield from _referenced(element)
    for parent in stmt.inhRelations or ():
        yield relation(parent), ALONE if stmt.partbound else GENTLE


def _dropped(stmt: Any) -> Iterator[Lock]:
    removed = stmt.removeType.name
    for name in stmt.objects:
        if removed in DROPPED:
            yield _path(name), GENTLE if stmt.concurrent else ALONE
        elif removed in ON_TABLE_OF and len(name) > 1:
            yield _path(name[:-1]), ALONE


def _truncated(stmt: Any) -> Iterator[Lock]:
    return ((relation(var), ALONE) for var in stmt.relations)


def _indexed(stmt: Any) -> Iterator[Lock]:
    yield relation(stmt.relation), GENTLE if stmt.concurrent else SHARE


def _locked(stmt: Any) -> Iterator[Lock]:
    return ((relation(var), MODES[stmt.mode - 1]) for var in stmt.relations)


def _refreshed(stmt: Any) -> Iterator[Lock]:
    yield relation(stmt.relation), EXCLUSIVE if stmt.concurrent else ALONE


def _vacuumed(stmt: Any) -> Iterator[Lock]:
    return ((relation(each.relation), GENTLE) for each in stmt.rels or () if each.relation)


def _commented(stmt: Any) -> Iterator[Lock]:
    kind = stmt.objtype.name
    if kind in ("OBJECT_TABLE", "OBJECT_COLUMN"):
        yield _path(stmt.object[:-1] if kind == "OBJECT_COLUMN" else stmt.object), GENTLE


def _path(names: Any) -> str:
    return ".".join(quoted(name.sval) for name in names)


SPECIAL = {
    "AlterTableStmt": _altered,
    "CreateStmt": _created,
    "DropStmt": _dropped,
    "TruncateStmt": _truncated,
    "IndexStmt": _indexed,
    "LockStmt": _locked,
    "RefreshMatViewStmt": _refreshed,
    "VacuumStmt": _vacuumed,
    "CommentStmt": _commented,
}
