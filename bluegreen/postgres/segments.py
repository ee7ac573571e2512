"""A file in pieces: each is done whole or not at all, and in their order.

Consecutive statements that may stand in a transaction are one segment, and nearly every file is just that. What cannot
stand in one (`create index concurrently`, …) is a segment of its own, and so is a backfill, whose statement runs again
and again over a few rows at a time. `-- bluegreen:backfill public.projects batch=2000` stands directly above its UPDATE
or DELETE. Pure: who carries a segment out, and what of it is done, is told elsewhere.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from bluegreen.postgres.statements import Statement, tree
from bluegreen.postgres.wants import relation

SAID = re.compile(r"^([\w$]+|\"[^\"]+\")(\.([\w$]+|\"[^\"]+\"))?([ \t]+batch=([0-9]+))?$")
FORM = "UPDATE table SET … [WHERE …] or DELETE FROM table [WHERE …]"
BATCH, SMALLEST, LARGEST = 2000, 50, 100_000  # rows

Kind = Literal["transaction", "alone", "backfill"]


@dataclass(frozen=True, slots=True)
class Backfill:
    """What a header line asks for: this table, by at most so many rows at a time."""

    table: str  # as it is written
    batch: int
    line: int


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a file; numbers count from 1."""

    number: int
    statements: tuple[Statement, ...]
    backfill: Backfill | None = None

    @property
    def kind(self) -> Kind:
        return "backfill" if self.backfill else "alone" if self.statements[0].alone else "transaction"

    @property
    def sha256(self) -> str:
        """Of its statements as they are written; blank space and comments between them are nothing."""
        return hashlib.sha256("\0".join([self.kind, *(each.text for each in self.statements)]).encode()).hexdigest()

    @property
    def line(self) -> int:
        return self.statements[0].line

    @property
    def table(self) -> str:
        """What a backfill changes, as SQL, as the file names it."""
        return relation(tree(self.statements[0]).relation)

    def within(self, sql: str) -> str:
        """Its text in the file's, with whatever stands between its statements."""
        return sql[self.statements[0].at : self.statements[-1].end]


def cut(
    statements: Sequence[Statement], backfills: Sequence[Backfill] = (), done: Sequence[str] = ()
) -> tuple[Segment, ...]:
    """Statements in segments, in order; the first are those that are `done`, by their hashes, whatever comes after."""
    marked = {target.at: backfill for backfill in backfills if (target := below(statements, backfill.line))}
    groups, rest = list[tuple[Statement, ...]](), tuple(statements)
    for sha256 in done:
        firsts = (rest[:many] for many in range(1, len(rest) + 1))
        first = next((each for each in firsts if Segment(0, each, marked.get(each[0].at)).sha256 == sha256), None)
        if first is None:
            break  # it was edited, and whoever asks will see that
        groups, rest = [*groups, first], rest[len(first) :]
    for apart, run in groupby(rest, key=lambda each: bool(each.alone) or each.at in marked):
        members = tuple(run)
        groups += [(each,) for each in members] if apart else [members]
    return tuple(Segment(number, group, marked.get(group[0].at)) for number, group in enumerate(groups, 1))


def below(statements: Sequence[Statement], line: int) -> Statement | None:
    """The statement that a header line stands above."""
    return next((each for each in statements if each.line > line), None)


def read(value: str, line: int) -> Backfill | None:
    """A header's words; None when they are others."""
    found = SAID.match(value)
    if found is None:
        return None
    batch = int(found[5] or BATCH)
    return Backfill(value.split()[0], batch, line) if SMALLEST <= batch <= LARGEST else None


def misplaced(text: str, statements: Sequence[Statement], backfills: Sequence[Backfill]) -> Iterator[str]:
    """What is wrong with backfills: each stands directly above one statement that can be cut into batches."""
    lines = text.split("\n")
    taken: set[int] = set()
    for backfill in backfills:
        where = f"line {backfill.line}: -- bluegreen:backfill"
        target = below(statements, backfill.line)
        between = lines[backfill.line : target.line - 1] if target else []
        if target is None or any(not line.strip().startswith("--") for line in between):
            yield f"{where} stands directly above no statement"
        elif target.at in taken:
            yield f"{where} is said twice of one statement"
        elif fault := _unfit(tree(target), backfill):
            yield f"{where} {fault}; it goes with {FORM}"
        else:
            taken.add(target.at)


def _unfit(stmt: Any, backfill: Backfill) -> str:
    kind = type(stmt).__name__
    if kind not in ("UpdateStmt", "DeleteStmt"):
        return "stands above something else"
    source = stmt.fromClause if kind == "UpdateStmt" else stmt.usingClause
    if source or stmt.returningClause or stmt.withClause:
        return "stands above a statement with FROM, USING, WITH or RETURNING"
    if type(stmt.whereClause).__name__ == "CurrentOfExpr":
        return "stands above a statement with WHERE CURRENT OF"
    written = tuple(part for part in (stmt.relation.schemaname, stmt.relation.relname) if part)
    if written != plain(backfill.table):
        return f"names {backfill.table}, and the statement changes {'.'.join(written)}"
    return ""


def plain(written: str) -> tuple[str, ...]:
    """A name as the catalog has it, part by part: quotes gone, the rest in lower case."""
    parts = re.findall(r"\"[^\"]+\"|[^.]+", written)
    return tuple(part[1:-1] if part.startswith('"') else part.lower() for part in parts)
