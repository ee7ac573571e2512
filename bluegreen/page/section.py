"""The parts of a report, whoever reads it: sections with a sentence, tables, lists and text kept as it is.

The same sections become Markdown and HTML, so neither can say what the other does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Mark = Literal["good", "look", "bad", "none"]
SIGNS: dict[Mark, str] = {"good": "✓", "look": "!", "bad": "✗", "none": "·"}
WORDS: dict[Mark, str] = {"good": "in order", "look": "look at it", "bad": "not in order", "none": ""}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under their headings; `name` says what they are to whoever cannot see them."""

    name: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def first(self, most: int, where: str) -> "Table":
        """So many rows of it, and how many more are in the file `where`."""
        more = len(self.rows) - most
        if more <= 0:
            return self
        return replace(self, rows=(*self.rows[:most], (_more(more, where), *[""] * (len(self.head) - 1))))


@dataclass(frozen=True, slots=True)
class Text:
    """Text kept as it is: SQL, commands, a recording."""

    name: str
    text: str

    def first(self, most: int, where: str) -> "Text":
        """So many lines of it, and how many more are in the file `where`."""
        lines = self.text.splitlines()
        more = len(lines) - most
        return (
            self
            if more <= 0
            else replace(self, text="\n".join([*lines[:most], f"-- and {more} lines more, in {where}"]))
        )


@dataclass(frozen=True, slots=True)
class Link:
    """A file beside the page."""

    text: str
    to: str


@dataclass(frozen=True, slots=True)
class Section:
    """One thing that a report says. `mark` is how it stands, and is always told in words as well.

    `folded` are tables that a screen shows when somebody asks for them; paper and Markdown go without.
    """

    key: str
    title: str
    sentence: str
    mark: Mark = "none"
    tables: tuple[Table, ...] = ()
    points: tuple[str, ...] = ()
    texts: tuple[Text, ...] = ()
    links: tuple[Link, ...] = ()
    prose: str = ""  # Markdown of its own
    folded: tuple[Table, ...] = ()

    @property
    def sign(self) -> str:
        return SIGNS[self.mark]

    @property
    def word(self) -> str:
        return WORDS[self.mark]

    def first(self, most: int, where: str) -> "Section":
        """With so many rows in each table, points and links, twice as many lines in texts; the rest is in `where`."""
        more = len(self.points) - most
        return replace(
            self,
            tables=tuple(each.first(most, where) for each in self.tables),
            points=(*self.points[:most], _more(more, where)) if more > 0 else self.points,
            folded=tuple(each.first(most, where) for each in self.folded),
            texts=tuple(each.first(2 * most, where) for each in self.texts),
            links=self.links[:most],
        )


def _more(number: int, where: str) -> str:
    return f"and {number:,} more, in {where}"


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
