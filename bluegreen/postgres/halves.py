"""What is done of a file that is more than one transaction: a row for each segment, in `bluegreen.segments`.

A transaction's row is written in it, so it is there exactly when the transaction is. What cannot be in one has a row
that says *begun* before it runs, with what a kill may leave of it, and *done* after the catalog was asked. A backfill's
row holds the key of the last row it has seen, of which table and along which key, and moves with each batch. A file
with a row here and none in the ledger is half applied: what is done of it may not be edited any more, what comes after
may. The first row keeps the script that takes the file back, as its plan made it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bluegreen.handler import Refused
from bluegreen.postgres.errand import begun
from bluegreen.postgres.files import File
from bluegreen.postgres.segments import Segment
from bluegreen.postgres.session import Session

# How long the transaction in hand took so far, in ms.
ELAPSED = "(extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.now()) * 1000)::integer"
# As JSON, because a ledger that an older program made has no such columns.
READ = """
select version, number, sha256, kind, state, leaves, cursor, seen, changed, done_at,
    pg_catalog.to_jsonb(s) ->> 'target', pg_catalog.to_jsonb(s) ->> 'reverse'
from bluegreen.segments s order by version::numeric, number
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One segment that was begun, or is done.

    `leaves` is the index that it may have left invalid, as SQL; `target` is what a backfill walks along, table and key.
    """

    version: str
    number: int
    sha256: str
    kind: str
    state: str
    leaves: str | None = None
    cursor: tuple[str, ...] | None = None
    seen: int = 0
    changed: int = 0
    done_at: datetime | None = None
    target: str | None = None
    reverse: str | None = None


@dataclass(frozen=True, slots=True)
class Half:
    """A file that is not applied whole."""

    version: str
    rows: Mapping[int, Row]

    @property
    def done(self) -> int:
        """How many of its segments are."""
        return sum(row.state == "done" for row in self.rows.values())

    @property
    def hashes(self) -> tuple[str, ...]:
        """Of its segments that are done, in order."""
        return tuple(row.sha256 for _, row in sorted(self.rows.items()) if row.state == "done")

    @property
    def changed(self) -> int:
        """How many rows a backfill changed that is not done."""
        return sum(row.changed for row in self.rows.values() if row.state == "begun")

    @property
    def reverse(self) -> str | None:
        """The script that takes the file back, as it was known when the file was begun."""
        return next((row.reverse for row in self.rows.values() if row.reverse), None)

    @property
    def left(self) -> str:
        """What a statement that was begun may have left, in a sentence; nothing where nothing can be."""
        for row in self.rows.values():
            if row.state == "begun" and row.kind == "alone":
                return begun(row.leaves)
        return ""

    def __str__(self) -> str:
        seen = next((row.seen for row in self.rows.values() if row.state == "begun" and row.seen), 0)
        rows = f", and {seen} rows of the next" if seen else ""
        return f"{self.done} {'segment' if self.done == 1 else 'segments'} of it done{rows}"

    def has(self, segment: Segment) -> bool:
        row = self.rows.get(segment.number)
        return row is not None and row.state == "done"

    def begun(self, segment: Segment) -> Row | None:
        row = self.rows.get(segment.number)
        return row if row is not None and row.state == "begun" else None

    def must_fit(self, file: File) -> None:
        """What is done is still what the file says.

        Raises:
            Refused: it was edited there.
        """
        for row in self.rows.values():
            segment = file.segments[row.number - 1] if row.number <= len(file.segments) else None
            if segment is not None and (segment.sha256 == row.sha256 or _continues(row, segment)):
                continue
            if row.state == "begun" and not row.seen:
                continue  # whoever runs next takes away what it left
            where = f"at line {segment.line}" if segment else "at its end"
            when = f" on {row.done_at:%Y-%m-%d at %H:%M %Z}" if row.done_at else f" with {row.seen} rows"
            raise Refused(
                f"{file.label} was edited {where}, where it is applied already: its segment {row.number} was "
                f"{'done' if row.state == 'done' else 'begun'}{when}, with another text.",
                world=f"It is half applied: {self}.",
                next="Restore that part of the file; what comes after it may change. Then run this again.",
            )


NOTHING_DONE = Half("", {})


def _continues(row: Row, segment: Segment) -> bool:
    """A backfill whose statement was corrected goes on behind the rows that it has seen, of the same table."""
    if row.state != "begun" or segment.backfill is None or row.target is None:
        return False
    return row.target.startswith(f"{segment.table} (")


async def read(session: Session) -> list[Half]:
    """Every version that has rows here."""
    found: dict[str, dict[int, Row]] = {}
    for version, number, sha256, kind, state, leaves, cursor, *more in await session.rows(READ):
        key = None if cursor is None else tuple(cursor)
        found.setdefault(version, {})[number] = Row(version, number, sha256, kind, state, leaves, key, *more)
    return [Half(version, rows) for version, rows in found.items()]


def done(session: Session, version: str, segment: Segment, reverse: str | None = None) -> str:
    """The statement that says a segment is done, for the end of its own transaction."""
    told = (version, segment.number, segment.sha256, segment.kind, reverse if segment.number == 1 else None)
    return (
        "insert into bluegreen.segments (version, number, sha256, kind, reverse, state, took_ms, done_at) values "
        f"({', '.join(session.literal(each) for each in told)}, 'done', {ELAPSED}, pg_catalog.clock_timestamp())"
    )


async def begin(
    session: Session,
    version: str,
    segment: Segment,
    *,
    leaves: str | None = None,
    target: str | None = None,
    reverse: str | None = None,
) -> None:
    """Say that a segment is about to run; once more after it was interrupted, and a backfill's place is kept."""
    await session.rows(
        "insert into bluegreen.segments (version, number, sha256, kind, state, leaves, target, reverse) values "
        "(%s, %s, %s, %s, 'begun', %s, %s, %s) on conflict (version, number) do update set sha256 = excluded.sha256, "
        "kind = excluded.kind, leaves = excluded.leaves, target = excluded.target where segments.state = 'begun'",
        *(version, segment.number, segment.sha256, segment.kind, leaves, target),
        reverse if segment.number == 1 else None,
    )


async def end(session: Session, version: str, segment: Segment) -> None:
    """Say that a segment that was begun is done."""
    await session.rows(
        "update bluegreen.segments set state = 'done', done_at = pg_catalog.clock_timestamp(), took_ms = "
        "(extract(epoch from pg_catalog.clock_timestamp() - begun_at) * 1000)::integer "
        "where version = %s and number = %s",
        *(version, segment.number),
    )


async def forget(session: Session, version: str, number: int) -> None:
    """It was begun, and nothing is left of it."""
    await session.rows(
        "delete from bluegreen.segments where version = %s and number = %s and state = 'begun'", version, number
    )
