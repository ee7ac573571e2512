"""What a rule says of a statement; who asks it adds the rule's name and the place."""

from dataclasses import dataclass

from bluegreen.postgres.lint.findings import Level


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, how much it counts, and what to do; `line` where it is not the statement's own."""

    level: Level
    message: str
    hint: str
    line: int | None = None
