"""What is known of one migration: read from its file, tried on a copy, and later what became of it.

It is written before the database itself hears of the file, and kept: `plan.json` in the report folder. Whoever applies
asks whether it still fits: the same text, and a schema with the same fingerprint. Every part may be missing, because no
database or no copy was at hand; `not_checked` says what that means, so that nothing is ever passed over in silence.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from bluegreen.postgres.backup.state import Backup
from bluegreen.postgres.catalog.spec import Difference, Reverse
from bluegreen.postgres.lint.findings import Linted
from bluegreen.postgres.scratch.traced import Traced
from bluegreen.postgres.spec import MigrationState
from bluegreen.postgres.verify.advise import Advice
from bluegreen.postgres.verify.counts import Counts
from bluegreen.postgres.verify.leftovers import Fault
from bluegreen.postgres.verify.matrix import Matrix
from bluegreen.postgres.verify.replay import Replayed
from bluegreen.spec import State

FORM = 1  # of what is written; another number means that it is not believed


class Verified(State):
    """What the database itself answered after the last statement; `same`: touched objects are as on the copy."""

    same: bool = False
    differences: tuple[str, ...] = ()
    leftovers: tuple[Fault, ...] = ()

    @property
    def well(self) -> bool:
        return self.same and not self.leftovers


class Plan(State):
    """One migration, from its text to its proof.

    `production` is the fingerprint of the schema that was copied, `where` its address without anything secret; both are
    empty without a database. `beside` is a digest of what was asked from beside the file, and `tried_on` the copy's
    major version. `after` is what each touched object was like on the copy, in twelve digits. `left_before` is what was
    half done there without the file, `leftovers` what it leaves so. `allowed` are the rules that the file sets aside as
    a whole, with its reasons.
    """

    form: int = FORM
    version: str = ""
    name: str = ""
    phase: str = ""
    sha256: str = ""
    owner: str = ""
    written_at: datetime | None = None
    where: str = ""
    major: int = 0
    production: str = ""
    beside: str = ""
    statements: int = 0
    allowed: Mapping[str, str] = {}
    linted: Linted = Linted()
    scratch: str = ""
    tried_on: int = 0
    traced: Traced | None = None
    difference: Difference | None = None
    after: Mapping[str, str] = {}
    found_phase: str = ""
    reasons: tuple[str, ...] = ()
    reverse: Reverse | None = None
    counts: Counts | None = None
    left_before: tuple[Fault, ...] = ()
    leftovers: tuple[Fault, ...] = ()
    advice: tuple[Advice, ...] = ()
    matrix: Matrix | None = None
    matrix_differences: tuple[str, ...] = ()
    replayed: Replayed | None = None
    not_checked: tuple[str, ...] = ()
    not_modelled: tuple[str, ...] = ()
    took_ms: int = 0
    backup: Backup | None = None
    applied: MigrationState | None = None
    blockers: tuple[str, ...] = ()
    verified: Verified | None = None

    @property
    def label(self) -> str:
        return f"{self.version}_{self.name}"

    @property
    def rehearsed(self) -> bool:
        """Whether it was tried on a copy."""
        return self.traced is not None

    @property
    def refusals(self) -> tuple[str, ...]:
        """What keeps the file from being applied, a sentence each, without a full stop."""
        return (*(f"line {each.line}: {each.message} ({each.rule})" for each in self.linted.refusals), *self._found())

    def _found(self) -> Iterator[str]:
        """What the copy showed, as far as the file does not set it aside."""
        for rule, said in self._faults():
            if rule not in self.allowed:
                yield f"{said.rstrip('.')} ({rule})"

    def _faults(self) -> Iterator[tuple[str, str]]:
        if self.phase == "expand" and self.found_phase == "contract":
            yield "catalog-phase", f"it says expand, and what runs today would notice: {self.reasons[0]}"
        for said in self._unforeseen():
            yield "hidden-write", said
        if self.reverse is not None and not self.reverse.proven:
            yield "unproven-reverse", _unproven(self.reverse)
        for fault in self.leftovers:
            if not fault.added:
                yield "leftover", f"{fault.object}: {fault.message}"
        if self.matrix is not None:
            for said in (*self.matrix.faults, *self.matrix_differences):
                yield "matrix-differs", said
        if self.phase == "expand" and self.replayed is not None:
            for broken in self.replayed.broken:
                yield "broken-statement", f"the running release asks {broken.statement!r}, and then: {broken.message}"

    def _unforeseen(self) -> Iterator[str]:
        """Tables in use whose rows a statement writes, although its text does not say so: by a trigger, a cascade."""
        if self.traced is None:
            return
        said = {
            kind.number: {*kind.writes, *(name.rpartition(" ")[2] for name in kind.objects)}
            for kind in self.linted.kinds
        }
        for step in self.traced.statements:
            for table in step.writes:
                if table not in said.get(step.number, ()):
                    yield f"line {step.line}: {step.what} writes rows of {table}, which its text does not tell"


def _unproven(reverse: Reverse) -> str:
    """What has no way back by its nature is told by its own reason, and as something that may be meant."""
    failed = " ".join(reverse.differences)
    forward = [way for way in reverse.objects if way.verdict == "forward only" and way.object in failed]
    if forward:
        named = ", ".join(f"{way.object} ({way.why.rstrip('.')})" for way in forward)
        return f"it can only go forward with {named}: allow that if it is meant"
    why = reverse.differences[0] if reverse.differences else "it was not tried"
    return f"its way back is not proven: {why}"
