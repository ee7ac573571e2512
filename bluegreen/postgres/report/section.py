"""What a report is made of, whoever reads it: sections with a sentence, tables, lists and text kept as it is.

The same sections become Markdown and HTML, so neither can say what the other does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Mark = Literal["good", "look", "bad", "none"]
SIGNS: dict[Mark, str] = {"good": "✓", "look": "!", "bad": "✗", "none": "·"}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under their headings; `name` says what they are to whoever cannot see them."""

    name: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Text kept as it is: SQL, commands, a recording."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """One thing that a report says. `mark` is how it stands, and is always told in words as well."""

    key: str
    title: str
    sentence: str
    mark: Mark = "none"
    tables: tuple[Table, ...] = ()
    points: tuple[str, ...] = ()
    texts: tuple[Text, ...] = ()
    prose: str = ""  # Markdown of its own

    @property
    def sign(self) -> str:
        return SIGNS[self.mark]


def count(number: int, what: str, many: str = "") -> str:
    """`1 table`, `3 tables`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {many or what + 's'}"


def span(ms: float) -> str:
    """Milliseconds as a person reads them."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.1f} s" if ms < 60_000 else f"{ms / 60_000:.0f} min"


def named(names: Sequence[str], most: int = 6) -> str:
    """Some names in a row, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def table(name: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[Table, ...]:
    """A table, unless it would be empty."""
    return (Table(name, tuple(head), tuple(tuple(row) for row in rows)),) if rows else ()
