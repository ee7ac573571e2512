"""Changing many rows without anybody noticing: a few at a time, along the primary key, each batch a transaction.

A batch takes the next rows by key, whatever the statement's WHERE says of them, so none is looked at twice and each
batch is as short as the last. Its transaction also stores the key it came to: a kill, a stop or a lost connection costs
at most the batch in hand, and the next run goes on behind it. Batches are made so large that each takes about half of
50 ms, and between two of them it rests as long as the last one took. Rows that are inserted meanwhile behind that key
are the release's own to fill, or a default's.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bluegreen.handler import Refused
from bluegreen.postgres import halves
from bluegreen.postgres.errand import AGAIN, Errand
from bluegreen.postgres.halves import Half
from bluegreen.postgres.segments import SMALLEST, Backfill, Segment
from bluegreen.postgres.session import Session, SqlError
from bluegreen.postgres.statements import tree
from bluegreen.postgres.transaction import LOCK_TIMEOUT, words
from bluegreen.postgres.wants import quoted, relation

AIM_SECONDS, REST_SECONDS = 0.025, 0.005  # a batch; the shortest rest after one
FIRST_BATCH = 500  # rows, until it is known how long they take
PAUSE = 0.2
KEY = """
select a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
from pg_catalog.pg_index x
cross join lateral unnest(x.indkey::smallint[]) with ordinality as part (attnum, place)
join pg_catalog.pg_attribute a on a.attrelid = x.indrelid and a.attnum = part.attnum
where x.indrelid = pg_catalog.to_regclass(%s) and x.indisprimary and x.indisvalid and part.place <= x.indnkeyatts
order by part.place
"""
ROWS = "select greatest(reltuples, 0)::bigint from pg_catalog.pg_class where oid = pg_catalog.to_regclass(%s)"

Cursor = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keyset:
    """A statement that can be held to a range of the primary key."""

    text: str
    stmt: Any
    key: Sequence[tuple[str, str]]  # column and type

    @property
    def table(self) -> str:
        return relation(self.stmt.relation)

    @property
    def target(self) -> str:
        """What it walks along: the table and its key."""
        return f"{self.table} ({', '.join(f'{quoted(name)} {kind}' for name, kind in self.key)})"

    def next(self, session: Session, after: Cursor | None, size: int) -> str:
        """The query for the last of the next rows by key, and how many they are."""
        names = ", ".join(quoted(name) for name, _ in self.key)
        # Said with the table's name: without it, the answer's own column of that name is meant, which is text.
        down = ", ".join(f"batch.{quoted(name)} desc" for name, _ in self.key)
        told = ", ".join(f"{quoted(name)}::text" for name, _ in self.key)
        where = f" where {self._row('')} > {self._values(session, after)}" if after is not None else ""
        rows = f"select {names} from {self.table}{where} order by {names} limit {size}"
        return f"with batch as ({rows}) select (select count(*) from batch), {told} from batch order by {down} limit 1"

    def within(self, session: Session, after: Cursor | None, until: Cursor) -> str:
        """The statement, for the rows after one key and up to another."""
        alias = self.stmt.relation.alias
        prefix = f"{quoted(alias.aliasname)}." if alias else f"{self.table}."
        key = self._row(prefix)
        lower = f"{key} > {self._values(session, after)} and " if after is not None else ""
        condition = f"{lower}{key} <= {self._values(session, until)}"
        where = _where(self.text)
        if where is None:
            return f"{self.text}\nwhere {condition}"
        return f"{self.text[:where]} ({self.text[where:]}\n) and {condition}"

    def _row(self, prefix: str) -> str:
        return f"({', '.join(prefix + quoted(name) for name, _ in self.key)})"

    def _values(self, session: Session, values: Cursor) -> str:
        typed = (f"{session.literal(value)}::{kind}" for value, (_, kind) in zip(values, self.key, strict=True))
        return f"({', '.join(typed)})"


@dataclass(slots=True)
class Pace:
    """How many rows a batch may have, learnt from the last one."""

    most: int
    size: int = 0

    def __post_init__(self) -> None:
        self.size = min(self.most, FIRST_BATCH)

    def learn(self, seconds: float) -> None:
        factor = min(2.0, max(0.25, AIM_SECONDS / max(seconds, 0.001)))
        self.size = max(SMALLEST, min(self.most, int(self.size * factor)))


async def carry_out(errand: Errand, session: Session, segment: Segment, backfill: Backfill, half: Half) -> None:
    """Bring a backfill to its end.

    Raises:
        Halt: as `apply` does; what is done stays done.
    """
    keyset = await _keyset(errand, session, segment)
    before = half.begun(segment)
    if before and before.seen and before.target not in (None, keyset.target):
        raise Refused(
            f"{errand.label} has seen {before.seen} rows along {before.target}, and would go on along {keyset.target}.",
            world=errand.kept or "Nothing was changed.",
            next="Give the table its former key, then run this again.",
        )
    cursor, seen = (before.cursor, before.seen) if before else (None, 0)
    errand.rows = before.changed if before else 0
    if before and seen and before.sha256 != segment.sha256:
        await errand.ctx.milestone(f"{errand.label}: its backfill was edited; {seen} rows keep what they got before")
    told = {"target": keyset.target, "reverse": errand.reverse}
    await halves.begin(session, errand.wanted.version, segment, **told)
    (about,) = (await session.rows(ROWS, keyset.table))[0]
    pace, first, began = Pace(backfill.batch), seen, time.monotonic()
    while True:
        errand.go_on()
        found = await session.rows(keyset.next(session, cursor, pace.size))
        if not found:
            break
        count, *key = found[0]
        took = await _batch(errand, session, segment, keyset, cursor, tuple(key), count)
        cursor, seen = tuple(key), seen + count
        rate = (seen - first) / max(time.monotonic() - began, 0.001)
        await errand.ctx.status(f"{errand.label}: {_far(backfill.table, seen, about, rate)}")
        pace.learn(took)
        await errand.ctx.sleep(max(took, REST_SECONDS))
    await halves.end(session, errand.wanted.version, segment)
    seconds = time.monotonic() - began
    await errand.ctx.milestone(
        f"{errand.label}: backfilled {backfill.table}, {errand.rows} of {seen} rows changed in {seconds:.1f} s"
    )
    errand.rows = 0


async def _batch(
    errand: Errand, session: Session, segment: Segment, keyset: Keyset, after: Cursor | None, until: Cursor, count: int
) -> float:
    """One batch, until it is committed; how long it took in the end."""
    quoted_version = session.literal(errand.wanted.version)
    text = (
        f"begin; set local lock_timeout = '{LOCK_TIMEOUT}';\n"
        f"with changed as ({keyset.within(session, after, until)}\nreturning 1) update bluegreen.segments set "
        f"cursor = {session.literal(list(until))}::text[], seen = seen + {count}, "
        "changed = changed + (select count(*) from changed) "
        f"where version = {quoted_version} and number = {segment.number};\ncommit"
    )
    errand.another_budget()
    while True:
        began = time.monotonic()
        try:
            # Not to be cancelled half way: a batch is over before anybody who asks to stop would notice.
            await asyncio.shield(session.run(text))
            break
        except SqlError as error:
            if error.code not in AGAIN:
                what = f"{errand.label} fails in the backfill at line {segment.line}, behind {after or 'its first row'}"
                raise errand.failed(f"{what}: {words(error)}", error, segment) from error
        errand.attempts += 1
        errand.go_on()
        if errand.spent:
            raise errand.locked((), what="the rows of its next batch")
        await errand.ctx.sleep(PAUSE * random.uniform(0.5, 1.0))
    took = time.monotonic() - began
    changed = "select changed from bluegreen.segments where version = %s and number = %s"
    errand.rows = (await session.rows(changed, errand.wanted.version, segment.number))[0][0]
    return took


async def _keyset(errand: Errand, session: Session, segment: Segment) -> Keyset:
    statement = segment.statements[0]
    stmt = tree(statement)
    key = await session.rows(KEY, relation(stmt.relation))
    if not key:
        raise Refused(
            f"{errand.label} backfills {relation(stmt.relation)} at line {segment.line}, which has no primary key.",
            world=errand.kept or "Nothing was changed.",
            next="Give it one first, or write the statement without -- bluegreen:backfill.",
        )
    names = {name for name, _ in key}
    moved = [each.name for each in getattr(stmt, "targetList", None) or () if each.name in names]
    if moved:
        raise Refused(
            f"{errand.label} backfills {relation(stmt.relation)} at line {segment.line} along {moved[0]}, and sets it.",
            world=errand.kept or "Nothing was changed.",
            next="Rows that move along the key are met again: write the statement without -- bluegreen:backfill.",
        )
    return Keyset(statement.text, stmt, [(name, kind) for name, kind in key])


def _where(text: str) -> int | None:
    """Where the condition of a statement begins; None when it has none."""
    from pglast.parser import scan

    depth = 0
    for token in scan(text):
        depth += (token.name == "ASCII_40") - (token.name == "ASCII_41")
        if token.name == "WHERE" and depth == 0:
            return int(token.end) + 1
    return None


def _far(table: str, seen: int, about: int, rate: float) -> str:
    if about <= seen:
        return f"{table}: {seen} rows, {rate:.0f} rows/s"
    left = (about - seen) / max(rate, 1)
    return f"{table}: {seen} of about {about} rows, {rate:.0f} rows/s, {left:.0f} s to go"
