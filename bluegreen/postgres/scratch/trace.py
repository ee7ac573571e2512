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
from bluegreen.postgres.files import File, Question
from bluegreen.postgres.scratch.source import Sizes
from bluegreen.postgres.scratch.traced import Answer, Step, Traced
from bluegreen.postgres.scratch.watching import DATA, Watch
from bluegreen.postgres.segments import Segment
from bluegreen.postgres.session import Database, Lost, Session, SqlError
from bluegreen.postgres.statements import Statement, place, tree
from bluegreen.postgres.transaction import words

PATIENCE = "set statement_timeout = '120s'; set lock_timeout = '5s'"
ON_A_COPY = "Nothing was changed: it ran on a copy."
ASKED = "bluegreen_question"
READ_ONLY = "set local transaction_read_only = on"
WRITES = "25006"  # the server's word for writing where only reading is allowed
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


class Writing(Failed):
    """A question of the file writes; the rule is `verify-writes`."""


async def trace(database: Database, file: File, *, sizes: Sizes | None = None, lacks: Sequence[str] = ()) -> Traced:
    """Run a file on a copy, which has its changes afterwards, and watch it.

    Args:
        sizes: of the real tables; what is not in it has an unknown size.
        lacks: what the copy does not have, to be named if something fails.

    Raises:
        Failed: a statement does not go through, or a question writes.
    """
    async with database.session("trace") as session:
        return await _Trace(session, file, sizes or {}, lacks).to_its_end()


class _Trace:
    """One file on its way through one session."""

    def __init__(self, session: Session, file: File, sizes: Sizes, lacks: Sequence[str]) -> None:
        self._session, self._file, self._sizes, self._lacks = session, file, sizes, lacks
        self._watch = Watch(session, sizes)
        self._steps: list[Step] = []
        self._answers: tuple[Answer, ...] = ()
        self._begin = time.perf_counter()

    async def to_its_end(self) -> Traced:
        statement: Statement | None = None
        where = ""
        try:
            await self._session.run(PATIENCE)
            await self._watch.begin()
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
                    where = "at its commit"
                    await self._finish(statement)
                    where = ""
        except (SqlError, Lost) as problem:
            raise self._failed(problem, statement, where) from problem
        return self._traced()

    def _traced(self) -> Traced:
        skipped = tuple(step.skipped for step in self._steps if step.skipped)
        took = round(1000 * (time.perf_counter() - self._begin), 1)
        return Traced(statements=tuple(self._steps), questions=self._answers, not_modelled=skipped, took_ms=took)

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
        found = {name: getattr(seen, name) for name in ("locks", "rewrites", "grows", "writes", "rows")}
        self._steps.append(step.model_copy(update={**found, "ms": ms, "estimate_ms": estimate}))

    async def _ask(self, together: bool) -> None:
        """The file's questions, read only; one that fails must not take the transaction along."""
        await self._session.rows("reset role")
        self._answers = tuple([await self._answer(question, together) for question in self._file.verify])

    async def _answer(self, question: Question, together: bool) -> Answer:
        begin, end = (f"savepoint {ASKED}", f"rollback to savepoint {ASKED}") if together else ("begin", "rollback")
        await self._session.rows(begin)
        await self._session.rows(READ_ONLY)
        try:
            rows = await self._session.rows(f"select ({question.sql}\n) is true")
            return Answer(line=question.line, sql=question.sql, true=bool(rows[0][0]))
        except SqlError as problem:
            if problem.code == WRITES:
                raise self._writing(question, problem) from problem
            return Answer(line=question.line, sql=question.sql, said=words(problem))
        finally:
            await self._session.rows(end)  # takes the setting along

    def _writing(self, question: Question, problem: SqlError) -> Failed:
        failed = Writing(
            f"{self._file.label} writes with its question at line {question.line} ({question.sql}): "
            f"{words(problem)} (verify-writes).",
            world=ON_A_COPY,
            next="Ask without changing anything; what writes belongs among the file's statements.",
        )
        failed.traced = self._traced()
        return failed

    async def _finish(self, last: Statement | None) -> None:
        # What was put off to the end of the transaction happens now, while it can still be seen.
        await self._session.rows("set constraints all immediate")
        if last is not None and self._steps:
            seen, step = await self._watch.together(last, []), self._steps[-1]
            found = {"locks": (*step.locks, *seen.locks), "writes": tuple(dict.fromkeys((*step.writes, *seen.writes)))}
            self._steps[-1] = step.model_copy(update=found)
        await self._session.rows("commit")
        await self._watch.over()

    def _failed(self, problem: SqlError | Lost, statement: Statement | None, where: str) -> Failed:
        said = words(problem) if isinstance(problem, SqlError) else str(problem).rstrip(".")
        if where or statement is None:
            where = where or "before its first statement"
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
