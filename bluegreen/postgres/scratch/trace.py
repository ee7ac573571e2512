"""A file tried on a copy, statement by statement: how long each took, and what it locked that was there before.

Consecutive statements share a transaction, as they will on the real database; what stands outside of one runs alone.
How it is known what they did is told in `watching.py`.

Times are of a copy without rows: what `traced.py` makes of them is told there. Deliberately not here: retries and
ledgers; nobody else uses a copy.
"""

import re
import time
from collections.abc import Sequence

from bluegreen.handler import Refused
from bluegreen.postgres.files import File
from bluegreen.postgres.scratch.source import Sizes
from bluegreen.postgres.scratch.traced import Answer, Step, Traced
from bluegreen.postgres.scratch.watching import DATA, Watch
from bluegreen.postgres.segments import Segment
from bluegreen.postgres.session import Database, Lost, Session, SqlError
from bluegreen.postgres.statements import Statement, place, tree
from bluegreen.postgres.transaction import words

PATIENCE = "set statement_timeout = '120s'; set lock_timeout = '5s'"
ON_A_COPY = "Nothing was changed: it ran on a copy."
AVAILABLE = "select true from pg_catalog.pg_available_extensions where name = %s"
VERBS = ("CREATE", "ALTER", "DROP", "COMMENT", "REFRESH", "SECURITY")
PASSED = re.compile(r"OR|REPLACE|UNIQUE|TEMP|TEMPORARY|UNLOGGED|GLOBAL|LOCAL|RECURSIVE|TRUSTED|PROCEDURAL|ON|OF")
TWO_WORDS = {
    "MATERIALIZED": "VIEW",
    "EVENT": "TRIGGER",
    "FOREIGN": "TABLE",
    "DEFAULT": "PRIVILEGES",
    "ACCESS": "METHOD",
}


class Failed(Refused):
    """The file does not go through on the copy; `traced` is what came before."""

    traced = Traced()


async def trace(
    database: Database, file: File, *, keep: bool = True, sizes: Sizes | None = None, lacks: Sequence[str] = ()
) -> Traced:
    """Run a file on a copy and watch it.

    Args:
        keep: the copy has the file's changes afterwards; otherwise they are rolled back, which only goes with a file
            that is one transaction.
        sizes: of the real tables; what is not in it has an unknown size.
        lacks: what the copy does not have, to be named if something fails.

    Raises:
        Failed: a statement does not go through.
    """
    if not keep and any(segment.kind != "transaction" for segment in file.segments):
        raise ValueError("a statement outside a transaction cannot be rolled back")
    async with database.session("trace") as session:
        await session.run(PATIENCE)
        return await _Trace(session, file, sizes or {}, lacks, keep).to_its_end()


class _Trace:
    """One file on its way through one session."""

    def __init__(self, session: Session, file: File, sizes: Sizes, lacks: Sequence[str], keep: bool) -> None:
        self._session, self._file, self._sizes, self._lacks, self._keep = session, file, sizes, lacks, keep
        self._watch = Watch(session, sizes)
        self._steps: list[Step] = []
        self._answers: tuple[Answer, ...] = ()
        self._begin = time.perf_counter()

    async def to_its_end(self) -> Traced:
        await self._watch.begin()
        statement: Statement | None = None
        at_commit = False
        try:
            for segment in self._file.segments:
                last = segment is self._file.segments[-1]
                together = segment.kind == "transaction"
                if together:
                    await self._session.rows("begin")
                for statement in segment.statements:
                    await self._one(segment, statement, together)
                if last:
                    await self._ask(together)
                if together:
                    at_commit = True
                    await self._finish()
                    at_commit = False
        except (SqlError, Lost) as problem:
            raise self._failed(problem, None if at_commit else statement) from problem
        return self._traced()

    def _traced(self) -> Traced:
        skipped = tuple(step.skipped for step in self._steps if step.skipped)
        took = round(1000 * (time.perf_counter() - self._begin), 1)
        return Traced(
            statements=tuple(self._steps), questions=self._answers, not_modelled=skipped, took_ms=took, kept=self._keep
        )

    async def _one(self, segment: Segment, statement: Statement, together: bool) -> None:
        stmt = tree(statement)
        step = Step(
            number=len(self._steps) + 1, line=statement.line, what=statement.alone or what(statement.text),
            segment=segment.number,
        )  # fmt: skip
        if type(stmt).__name__ == "CreateExtensionStmt" and not await self._session.rows(AVAILABLE, stmt.extname):
            self._steps.append(step.model_copy(update={"skipped": f"extension {stmt.extname}"}))
            return
        named = [] if together and type(stmt).__name__ not in DATA else await self._watch.named(statement)
        begin = time.perf_counter()
        await self._session.rows(statement.text)
        ms = round(1000 * (time.perf_counter() - begin), 2)
        if together:
            seen = await self._watch.together(statement, named)
        else:
            seen = self._watch.alone(statement, named, backfill=segment.kind == "backfill")
        estimate = round(ms + sum(growth.ms for growth in seen.grows), 2)
        found = {name: getattr(seen, name) for name in ("locks", "rewrites", "grows", "rows")}
        self._steps.append(step.model_copy(update={**found, "ms": ms, "estimate_ms": estimate}))

    async def _ask(self, together: bool) -> None:
        """The file's questions; one that fails must not take the transaction along."""
        await self._session.rows("reset role")
        answers: list[Answer] = []
        for question in self._file.verify:
            if together:
                await self._session.rows("savepoint bluegreen_question")
            try:
                rows = await self._session.rows(f"select ({question.sql}\n) is true")
                answers.append(Answer(line=question.line, sql=question.sql, true=bool(rows[0][0])))
            except SqlError as problem:
                answers.append(Answer(line=question.line, sql=question.sql, said=words(problem)))
                if together:
                    await self._session.rows("rollback to savepoint bluegreen_question")
        self._answers = tuple(answers)

    async def _finish(self) -> None:
        if not self._keep:
            await self._session.rows("set constraints all immediate")
        await self._session.rows("commit" if self._keep else "rollback")
        await self._watch.over()

    def _failed(self, problem: SqlError | Lost, statement: Statement | None) -> Failed:
        said = words(problem) if isinstance(problem, SqlError) else str(problem).rstrip(".")
        if statement is None:
            where = "at its commit"
        elif isinstance(problem, SqlError) and problem.position:
            where = f"at {place(self._file.sql, statement.at + problem.position - 1)}"
        else:
            inside = f", in {problem.context}" if isinstance(problem, SqlError) and problem.context else ""
            where = f"in the statement at line {statement.line}{inside}"
        lacks = f", unless it needs what the copy lacks: {', '.join(self._lacks)}" if self._lacks else ""
        failed = Failed(f"{self._file.label} fails {where}: {said}.", world=ON_A_COPY, next=f"Correct the file{lacks}.")
        failed.traced = self._traced()
        return failed


def what(text: str) -> str:
    """What a statement is, in capitals: `CREATE INDEX`, `ALTER TABLE`, `UPDATE`."""
    found = [word.upper() for word in re.findall(r"[A-Za-z]+", re.sub(r"/\*.*?\*/|--[^\n]*", " ", text, flags=re.S))]
    if not found or found[0] not in VERBS:
        return found[0] if found else ""
    rest = [word for word in found[1:6] if not PASSED.fullmatch(word)]
    noun = rest[0] if rest else ""
    if noun == "CONSTRAINT" and found[0] == "CREATE":
        noun = "TRIGGER"
    if TWO_WORDS.get(noun) in rest[1:2]:
        noun = f"{noun} {rest[1]}"
    return f"{found[0]} ON {noun}" if found[0] == "COMMENT" else f"{found[0]} {noun}".strip()
