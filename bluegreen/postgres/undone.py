"""What became of a migration that was to be taken back."""

from collections.abc import Mapping

from bluegreen.handler import Refused
from bluegreen.postgres.backup.state import Backup
from bluegreen.spec import State

NAMED = 8  # objects in a sentence


class WouldLose(Refused):
    """Rows would go, and nobody has accepted that."""


class Undone(State):
    """What was taken back. `lost` are the rows that went, by where they were; `same` is None where nobody can tell."""

    version: str = ""
    name: str = ""
    statements: int = 0
    attempts: int = 0
    took_ms: int = 0
    lost: Mapping[str, int] = {}
    backup: Backup | None = None
    same: bool | None = None
    differences: tuple[str, ...] = ()

    def told(self) -> str:
        """One sentence, without a full stop at the end."""
        lost = ", ".join(f"{rows_of(rows)} of {what}" for what, rows in self.lost.items())
        gone = f"; lost, and kept in {self.backup.folder}: {lost}" if lost and self.backup else ""
        schema = {
            True: "the schema is as before it",
            False: f"the schema is not as before it: {'; '.join(self.differences[:NAMED])}",
            None: "what the schema was before it was not recorded",
        }[self.same]
        return f"{self.version}_{self.name} is taken back in {self.took_ms / 1000:.2f} s; {schema}{gone}"


def rows_of(number: int) -> str:
    """`2 rows`."""
    return "1 row" if number == 1 else f"{number:,} rows"
