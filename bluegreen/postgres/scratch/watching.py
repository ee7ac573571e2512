"""What a transaction holds and has done to the relations that were there before, asked after each statement.

The server's own books answer: which locks the session holds, which files a relation has (others than before: it was
rewritten), and how often it was read from end to end. So it is seen what a function, a rule or a trigger wrote that a
statement called: the lock for writing rows is taken by whoever writes them. Not what it would have done for each row of
a table, for there is none on a copy. Names stand only where the books are silent, for what stands
outside a transaction: it has let go of its locks by then, and Postgres's documentation counts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bluegreen.postgres import wants
from bluegreen.postgres.scratch.source import Sizes
from bluegreen.postgres.scratch.traced import Growth, LockTaken, Work
from bluegreen.postgres.session import Session
from bluegreen.postgres.statements import Statement, tree

INDEXES = ("i", "I")
DATA = ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")
TABLES = ("r", "p", "f")
CODE = (*DATA, "SelectStmt", "DoStmt", "CallStmt", "ExecuteStmt", "CreateTableAsStmt", "ExplainStmt", "CopyStmt")
BUILDS = {"CONSTR_UNIQUE", "CONSTR_PRIMARY", "CONSTR_EXCLUSION"}
BEFORE = """
select c.oid::bigint, format('%I.%I', n.nspname, c.relname), c.relkind::text, coalesce(i.indrelid, c.oid)::bigint,
    pg_catalog.pg_relation_filenode(c.oid)::bigint, coalesce(pg_catalog.pg_stat_get_xact_numscans(c.oid), 0),
    (select min(h.inhparent::bigint) from pg_catalog.pg_inherits h where h.inhrelid = c.oid)
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_index i on i.indexrelid = c.oid
where c.oid >= 16384 and c.relkind in ('r', 'p', 'm', 'v', 'f', 'S', 'i', 'I') and n.nspname !~ '^pg_'
"""
AFTER = """
select l.relation::bigint, array_agg(l.mode), pg_catalog.pg_relation_filenode(l.relation)::bigint,
    coalesce(pg_catalog.pg_stat_get_xact_numscans(l.relation), 0),
    coalesce(pg_catalog.pg_stat_get_xact_tuples_inserted(l.relation), 0)
        + coalesce(pg_catalog.pg_stat_get_xact_tuples_updated(l.relation), 0)
        + coalesce(pg_catalog.pg_stat_get_xact_tuples_deleted(l.relation), 0)
from pg_catalog.pg_locks l
where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation' and l.granted and l.relation >= 16384
group by l.relation
"""
NAMED = """
select coalesce(i.indrelid, c.oid)::bigint from pg_catalog.pg_class c
left join pg_catalog.pg_index i on i.indexrelid = c.oid where c.oid = pg_catalog.to_regclass(%s)
"""


@dataclass(slots=True)
class Known:
    """A relation that was there before, as it was last seen."""

    name: str
    kind: str
    table: int  # whose index it is, or itself
    files: int | None
    scans: int
    parent: int | None = None  # of whose rows its own are a part
    mode: int = -1  # the strongest held in this transaction
    writing: bool = False  # whether the lock for writing rows was taken in this transaction
    rows: int = 0  # written by this transaction


@dataclass(frozen=True, slots=True)
class Seen:
    """What one statement did."""

    locks: tuple[LockTaken, ...] = ()
    rewrites: tuple[str, ...] = ()
    grows: tuple[Growth, ...] = ()
    writes: tuple[str, ...] = ()
    rows: int = 0


Named = Sequence[tuple[int, str]]  # relations that a statement names, and the mode documented for what it does


class Watch:
    """The relations of one database, through the session that changes them."""

    def __init__(self, session: Session, sizes: Sizes) -> None:
        self._session, self._sizes = session, sizes
        self._known: dict[int, Known] = {}
        self._written = 0  # rows, by this transaction

    async def begin(self) -> None:
        """Whatever is there now was there before."""
        for oid, *seen in await self._session.rows(BEFORE):
            self._known[oid] = Known(*seen)

    async def over(self) -> None:
        """The transaction has ended; nothing is held."""
        self._written = 0
        for known in self._known.values():
            known.mode, known.scans, known.writing, known.rows = -1, 0, False, 0
        for oid, _, _, _, files, scans, _ in await self._session.rows(BEFORE):
            if oid in self._known:
                self._known[oid].files, self._known[oid].scans = files, scans

    async def named(self, statement: Statement) -> Named:
        """What a statement names, asked before it drops any of it."""
        found: list[tuple[int, str]] = []
        for name, mode in wants.locks([statement]):
            found += [(oid, mode) for (oid,) in await self._session.rows(NAMED, name) if oid in self._known]
        return found

    async def together(self, statement: Statement, named: Named) -> Seen:
        """What a statement inside a transaction did."""
        rows = await self._session.rows(AFTER)
        # Tables first: an index's lock tells something where it is stronger than its table's.
        mine = sorted(
            (row for row in rows if row[0] in self._known), key=lambda row: self._known[row[0]].kind in INDEXES
        )
        locks = [lock for oid, modes, *_ in mine if (lock := self._stronger(oid, modes))]
        changed, scanned = set[int](), set[int]()
        for oid, _, files, scans, _ in mine:
            known = self._known[oid]
            changed |= {oid} if files is not None and files != known.files else set()
            scanned |= {oid} if scans > known.scans else set()
            known.files, known.scans = files, scans
        written = sum(row[4] for row in rows)
        done, self._written = written - self._written, written
        writes = self._writes(tree(statement), mine, changed)
        works = self._works(tree(statement), changed, scanned, named)
        rewrites = tuple(self._known[oid].name for oid, work in works.items() if work == "rewrite")
        return Seen(tuple(locks), rewrites, self._growths(works), writes, max(done, 0))

    def alone(self, statement: Statement, named: Named, *, backfill: bool) -> Seen:
        """What a statement outside a transaction must have done."""
        strongest: dict[int, str] = {}
        for oid, mode in named:
            strongest[oid] = max(strongest.get(oid, mode), mode, key=wants.MODES.index)
        locks = tuple(
            LockTaken(relation=self._known[oid].name, mode=mode, measured=False) for oid, mode in strongest.items()
        )
        stmt = tree(statement)
        reads = backfill or type(stmt).__name__ in ("IndexStmt", "ReindexStmt", "VacuumStmt")
        work: Work = "rows" if backfill else _work(stmt)
        return Seen(
            locks,
            grows=self._growths({oid: work for oid, mode in strongest.items() if mode != wants.READS and reads}),
            writes=tuple(self._known[oid].name for oid, mode in strongest.items() if mode == wants.WRITES),
        )

    def _stronger(self, oid: int, modes: Iterable[str]) -> LockTaken | None:
        """The lock on a relation if it is stronger than before and worth telling."""
        known = self._known[oid]
        mode = max(wants.MODES.index(mode) for mode in modes)
        if mode <= known.mode:
            return None
        known.mode = mode
        if known.kind in INDEXES:
            table = self._known.get(known.table)
            if mode < wants.MODES.index(wants.GENTLE) or (table is not None and mode <= table.mode):
                return None
        return LockTaken(relation=known.name, mode=wants.MODES[mode])

    def _writes(self, stmt: Any, mine: Sequence[tuple[Any, ...]], changed: set[int]) -> tuple[str, ...]:
        """The tables that got the lock for writing rows or rows, or that were emptied; a part counts as its whole."""
        found: set[int] = set()
        emptying = type(stmt).__name__ == "TruncateStmt" or type(stmt).__name__ in CODE
        for oid, modes, _, _, rows in mine:
            known = self._known[oid]
            writing = wants.WRITES in modes
            if known.kind in TABLES and (
                (writing and not known.writing) or rows != known.rows or (emptying and oid in changed)
            ):
                found.add(oid)
            known.writing, known.rows = writing, rows
        return tuple(sorted(self._known[oid].name for oid in found if not self._part(oid, found)))

    def _part(self, oid: int, of: set[int]) -> bool:
        parent = self._known[oid].parent
        return parent is not None and parent in self._known and (parent in of or self._part(parent, of))

    def _works(self, stmt: Any, changed: set[int], scanned: set[int], named: Named) -> dict[int, Work]:
        """What is done to whole tables."""
        kind = type(stmt).__name__
        if kind == "TruncateStmt":
            return {}
        written = {oid for oid, mode in named if mode == wants.WRITES}
        if kind in DATA:
            # What a trigger or a key looks up is read from end to end only because there is nothing in it.
            scanned = scanned & {oid for oid, _ in named} - (written if kind == "InsertStmt" else set())
        works: dict[int, Work] = {}
        for oid in scanned:
            works[self._known[oid].table] = "rows" if oid in written else _work(stmt)
        for oid in changed:
            known = self._known[oid]
            if known.kind in INDEXES:
                works.setdefault(known.table, "index build")
            elif known.kind != "S":
                works[oid] = "rewrite"
        return works

    def _growths(self, works: dict[int, Work]) -> tuple[Growth, ...]:
        unknown: tuple[int | None, int | None] = (None, None)
        named = sorted((self._known[oid].name, work) for oid, work in works.items() if oid in self._known)
        sized = [(name, work, self._sizes.get(name, unknown)) for name, work in named]
        return tuple(Growth(relation=name, work=work, rows=rows, size=size) for name, work, (rows, size) in sized)


def _work(stmt: Any) -> Work:
    """What a statement that reads a whole table does with it."""
    kind = type(stmt).__name__
    if kind in ("IndexStmt", "ReindexStmt"):
        return "index build"
    if kind == "AlterTableStmt":
        added = [command.def_ for command in stmt.cmds if type(command.def_).__name__ == "Constraint"]
        return "index build" if any(constraint.contype.name in BUILDS for constraint in added) else "scan"
    return "scan"
