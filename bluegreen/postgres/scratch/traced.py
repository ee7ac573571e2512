"""What a trace found: per statement its time and the locks it took on what was there before, and what grows with rows.

Times are of a copy without rows. They are true of whatever only writes the catalog, and say nothing of a statement that
reads or writes a whole table; for that the real table's size counts, at rates that a small server under load still
reaches. Where the size is not known, the table is named instead of a number.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import computed_field

from bluegreen.postgres.wants import MODES
from bluegreen.spec import State

Work = Literal["scan", "index build", "rewrite", "rows"]
RATES = {"scan": 200_000_000, "index build": 40_000_000, "rewrite": 20_000_000}  # bytes a second
ROWS_A_SECOND = 40_000  # updated or deleted by one statement
STOPS_WRITES = MODES.index("ShareLock")  # from this mode on
STOPS_ALL = MODES.index("AccessExclusiveLock")
LATE = 0.5  # of the time: no lock that others notice is held for longer


class LockTaken(State):
    """A lock that one statement took or made stronger; `measured` False: Postgres documents it, and it was gone."""

    relation: str = ""
    mode: str = ""  # as in pg_locks: ShareRowExclusiveLock
    measured: bool = True

    @computed_field  # type: ignore[prop-decorator]
    @property
    def stops(self) -> str:
        """Who waits for it: `writes`, `reads and writes`, or nobody who only reads and writes."""
        strength = MODES.index(self.mode) if self.mode in MODES else 0
        return "reads and writes" if strength >= STOPS_ALL else "writes" if strength >= STOPS_WRITES else ""


class Growth(State):
    """Why a statement takes longer on the real database: what it does with how much of a table."""

    relation: str = ""
    work: Work = "scan"
    rows: int | None = None
    size: int | None = None  # bytes

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ms(self) -> float:
        """How long it may take; 0 where nobody knows how large the table is."""
        if self.work == "rows":
            return 1000 * (self.rows or 0) / ROWS_A_SECOND
        return 1000 * (self.size or 0) / RATES[self.work]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def told(self) -> str:
        """`grows with public.projects (12 M rows)`."""
        return f"grows with {self.relation}" + ("" if self.rows is None else f" ({counted(self.rows)})")


class Step(State):
    """One statement as it went on the copy; `estimate_ms` is what the real database may take for it."""

    number: int = 0
    line: int = 0
    what: str = ""
    segment: int = 1
    ms: float = 0.0
    estimate_ms: float = 0.0
    locks: tuple[LockTaken, ...] = ()
    rewrites: tuple[str, ...] = ()
    grows: tuple[Growth, ...] = ()
    writes: tuple[str, ...] = ()  # tables that were there before and whose rows it may have changed, however it did
    rows: int = 0
    skipped: str = ""  # why it was not run


class Held(State):
    """The strongest lock on one relation, and since when somebody waits for it, or since when it is held at all."""

    relation: str = ""
    mode: str = ""
    statement: int = 0  # the first one
    line: int = 0
    statements: int = 0  # for how many it is held, the first one among them
    held_ms: float = 0.0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def stops(self) -> str:
        return LockTaken(relation=self.relation, mode=self.mode).stops


class Answer(State):
    """What the file wants to be true, and whether it was; `said` is the server's word if it could not be asked."""

    line: int = 0
    sql: str = ""
    true: bool = False
    said: str = ""


class Traced(State):
    """A file, tried statement by statement."""

    statements: tuple[Step, ...] = ()
    questions: tuple[Answer, ...] = ()
    not_modelled: tuple[str, ...] = ()  # what was skipped because a copy cannot have it
    took_ms: float = 0.0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def locks(self) -> tuple[Held, ...]:
        """Every relation that was there before and gets a lock, the strongest and longest first."""
        segments = dict.fromkeys(step.segment for step in self.statements)
        found = [held for segment in segments for held in _held([s for s in self.statements if s.segment == segment])]
        strongest: dict[str, Held] = {}
        for held in found:
            known = strongest.get(held.relation)
            if known is None or _rank(held) > _rank(known):
                strongest[held.relation] = held
        return tuple(sorted(strongest.values(), key=_rank, reverse=True))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def estimate_ms(self) -> float:
        return round(sum(step.estimate_ms for step in self.statements), 2)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def rewrites(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for step in self.statements for name in step.rewrites))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def writes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for step in self.statements for name in step.writes))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def grows(self) -> tuple[str, ...]:
        """What the estimate depends on, in words."""
        return tuple(dict.fromkeys(growth.told for step in self.statements for growth in step.grows))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def held_share(self) -> float:
        """For how much of the estimated time a lock is held for which writers or readers wait: 0 to 1."""
        longest = max((held.held_ms for held in self.locks if held.stops), default=0.0)
        return round(min(1.0, longest / self.estimate_ms), 3) if self.estimate_ms else 0.0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def late(self) -> bool:
        """Whether such locks are taken by the last statements only."""
        return self.held_share <= LATE

    def strongest(self, relation: str) -> str:
        """The strongest lock mode that a relation gets; empty when none."""
        return next((held.mode for held in self.locks if held.relation == relation), "")

    def held_ms(self, relation: str) -> float:
        """For how long a relation is locked, estimated."""
        return next((held.held_ms for held in self.locks if held.relation == relation), 0.0)


def counted(rows: int) -> str:
    """`12 M rows`."""
    for size, unit in ((1_000_000_000, " G"), (1_000_000, " M"), (10_000, " k")):
        if rows >= size:
            return f"{rows // (size if unit != ' k' else 1000)}{unit} rows"
    return "1 row" if rows == 1 else f"{rows} rows"


def _rank(held: Held) -> tuple[int, float]:
    return MODES.index(held.mode), held.held_ms


def _held(steps: Sequence[Step]) -> Iterator[Held]:
    """The locks of one transaction, each held from its first statement to the end."""
    relations = dict.fromkeys(lock.relation for step in steps for lock in step.locks)
    for relation in relations:
        taken = [(at, lock) for at, step in enumerate(steps) for lock in step.locks if lock.relation == relation]
        first = next((at for at, lock in taken if lock.stops), taken[0][0])
        yield Held(
            relation=relation,
            mode=max((lock.mode for _, lock in taken), key=MODES.index),
            statement=steps[first].number,
            line=steps[first].line,
            statements=len(steps) - first,
            held_ms=round(sum(step.estimate_ms for step in steps[first:]), 2),
        )
