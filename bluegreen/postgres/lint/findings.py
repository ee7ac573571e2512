"""What the lint says of one file: findings, and what each statement is.

A *refuse* keeps the file from being applied until it is corrected or allowed by name and with a reason; a *warn* is
told; an *info* is told to whoever asks for everything. The words are kept in reports, so they are forgiving `State`.
"""

from typing import Literal

from bluegreen.spec import State

Level = Literal["refuse", "warn", "info"]
Class = Literal["expand", "contract", "restriction", "data", "neutral"]


class Finding(State):
    """One thing that speaks against a statement, or against the whole file (statement 0)."""

    rule: str = ""
    level: Level = "info"
    line: int = 0
    column: int = 0
    statement: int = 0
    message: str = ""
    hint: str = ""
    allowed: str | None = None  # the reason that the file gives; then it is not in the way

    @property
    def stands(self) -> bool:
        """Whether it keeps the file from being applied."""
        return self.level == "refuse" and self.allowed is None


class Kind(State):
    """What one statement is to a release that runs beside it, code that it runs included.

    `rows` says that it writes rows, whatever else it is; `writes` are the relations that it writes rows of.
    """

    number: int = 0
    line: int = 0
    what: str = ""
    cls: Class = "neutral"
    objects: tuple[str, ...] = ()
    rows: bool = False
    writes: tuple[str, ...] = ()


class Linted(State):
    """Everything about one file, in the order of its lines."""

    findings: tuple[Finding, ...] = ()
    kinds: tuple[Kind, ...] = ()

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """What keeps the file from being applied."""
        return tuple(finding for finding in self.findings if finding.stands)
