"""One segment as one text: begin, its statements, the file's questions, the rows in the ledgers, commit. And back: what
failed in it.

Everything goes to the server in one round trip, so a lock is never held for the time of a network. The last segment of
a file carries the questions and the file's own rows. It is pure text; who sends it and how often is told elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bluegreen.postgres.files import File, Question
from bluegreen.postgres.segments import Segment
from bluegreen.postgres.session import SqlError
from bluegreen.postgres.statements import Statement, place

LOCK_TIMEOUT = "50ms"
HEAD_STATEMENTS = 2
# Questions only read. Nobody inside can set that back, and going back to the savepoint does.
READ_ONLY = "savepoint bluegreen_questions;\nset local transaction_read_only = on;\n"
WRITABLE = "rollback to savepoint bluegreen_questions;\n"
READ_ONLY_STATEMENTS = 2
NOT_TRUE = "BG001"  # an SQLSTATE of our own


@dataclass(frozen=True, slots=True)
class Transaction:
    """A segment with everything around it; `rows` are the statements that write the ledgers.

    Without a segment it is the end of a file whose last statement stood alone: questions and rows are left to do.
    """

    file: File
    rows: Sequence[str]
    segment: Segment | None
    last: bool = True
    patience: str = LOCK_TIMEOUT  # how long it waits for a lock

    def __str__(self) -> str:
        # A comment may be the file's last word and a role its last wish; neither may reach what follows.
        asked = "".join(f"{_asked(question, self.file.sha256)};\n" for question in self._questions)
        questions = f"{READ_ONLY}{asked}{WRITABLE}" if asked else ""
        rows = "".join(f"{row};" for row in self.rows)
        return f"{self._head}{self._sql}\n;\nreset role;\n{questions}{rows}commit"

    @property
    def _head(self) -> str:
        return f"begin;\nset local lock_timeout = '{self.patience}';\n"

    @property
    def _whole(self) -> bool:
        return len(self.file.segments) == 1

    @property
    def _sql(self) -> str:
        if self.segment is None:
            return ""
        return self.file.sql if self._whole else self.segment.within(self.file.sql)

    @property
    def _questions(self) -> tuple[Question, ...]:
        return self.file.verify if self.last else ()

    @property
    def _statements(self) -> tuple[Statement, ...]:
        return self.segment.statements if self.segment else ()

    def told(self, error: SqlError) -> str:
        """Where in the file it failed, and why; one sentence or two, without a full stop at the end."""
        said = words(error)
        number = error.done - HEAD_STATEMENTS
        statements, questions = self._statements, self._questions
        at = error.position - 1 - len(self._head) if error.position else -1
        if 0 <= at < len(self._sql):
            start = 0 if self._whole or self.segment is None else self.segment.statements[0].at
            return f"{self.file.label} fails at {place(self.file.sql, start + at)}: {said}"
        if 0 <= number < len(statements):
            inside = f", in {error.context}" if error.context else ""
            return f"{self.file.label} fails in the statement at line {statements[number].line}{inside}: {said}"
        question = number - len(statements) - 1 - READ_ONLY_STATEMENTS  # one for `reset role`
        if 0 <= question < len(questions):
            return self._denied(questions[question], error, said)
        around = READ_ONLY_STATEMENTS + 1 if questions else 0
        if number == len(statements) + 1 + around + len(questions) + len(self.rows):
            return f"{self.file.label} fails at its commit: {said}"
        return f"{self.file.label} cannot be written into the ledger: {said}"

    def _denied(self, question: Question, error: SqlError, said: str) -> str:
        why = "it is not true" if error.code == NOT_TRUE else said
        return f"{self.file.label} does not verify at line {question.line} ({question.sql}): {why}"


def words(error: SqlError) -> str:
    """What the server said, without a full stop at the end."""
    return " ".join(part for part in (f"{error.message} ({error.code}).", error.more) if part).rstrip(".")


def _asked(question: Question, sha256: str) -> str:
    # The quote is made of the file's own sha256, so no question in it can hold it.
    quote = f"$q{sha256[:16]}$"
    return (
        f"do {quote} begin if ({question.sql}\n) is not true then "
        f"raise exception 'not true' using errcode = '{NOT_TRUE}'; end if; end {quote}"
    )
