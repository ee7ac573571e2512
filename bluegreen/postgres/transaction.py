"""One file as one text: begin, the file, its questions, its rows in the ledgers, commit. And back: what failed in it.

Everything goes to the server in one round trip, so a lock is never held for the time of a network. It is pure text;
who sends it and how often is told in `apply.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bluegreen.postgres.files import File, Question
from bluegreen.postgres.session import SqlError
from bluegreen.postgres.statements import place

LOCK_TIMEOUT = "50ms"
HEAD = f"begin;\nset local lock_timeout = '{LOCK_TIMEOUT}';\n"
HEAD_STATEMENTS = 2
NOT_TRUE = "BG001"  # an SQLSTATE of our own


@dataclass(frozen=True, slots=True)
class Transaction:
    """A file with everything around it; `rows` are the statements that write the ledgers."""

    file: File
    rows: Sequence[str]

    def __str__(self) -> str:
        # A comment may be the file's last word and a role its last wish; neither may reach what follows.
        questions = "".join(f"{_asked(question, self.file.sha256)};\n" for question in self.file.verify)
        return f"{HEAD}{self.file.sql}\n;\nreset role;\n{questions}{''.join(f'{row};' for row in self.rows)}commit"

    def told(self, error: SqlError) -> str:
        """Where in the file it failed, and why; one sentence or two, without a full stop at the end."""
        said = " ".join(part for part in (f"{error.message} ({error.code}).", error.more) if part).rstrip(".")
        number = error.done - HEAD_STATEMENTS
        statements = self.file.statements
        at = error.position - 1 - len(HEAD) if error.position else -1
        if 0 <= at < len(self.file.sql):
            return f"{self.file.label} fails at {place(self.file.sql, at)}: {said}"
        if 0 <= number < len(statements):
            inside = f", in {error.context}" if error.context else ""
            return f"{self.file.label} fails in the statement at line {statements[number].line}{inside}: {said}"
        question = number - len(statements) - 1  # one for `reset role`
        if 0 <= question < len(self.file.verify):
            return self._denied(self.file.verify[question], error, said)
        if number == len(statements) + 1 + len(self.file.verify) + len(self.rows):
            return f"{self.file.label} fails at its commit: {said}"
        return f"{self.file.label} cannot be written into the ledger: {said}"

    def _denied(self, question: Question, error: SqlError, said: str) -> str:
        why = "it is not true" if error.code == NOT_TRUE else said
        return f"{self.file.label} does not verify at line {question.line} ({question.sql}): {why}"


def _asked(question: Question, sha256: str) -> str:
    # The quote is made of the file's own sha256, so no question in it can hold it.
    quote = f"$q{sha256[:16]}$"
    return (
        f"do {quote} begin if ({question.sql}\n) is not true then "
        f"raise exception 'not true' using errcode = '{NOT_TRUE}'; end if; end {quote}"
    )
