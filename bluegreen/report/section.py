"""What a page is made of: sections with a sentence, tables and points, in the words and marks of migrations' reports.

The same sections become Markdown and HTML. What only a page can do (charts, key figures, boxes to tick) it takes from
the story itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bluegreen.postgres.report.section import SIGNS, Mark, Table, count, named, table

__all__ = ["SIGNS", "Link", "Mark", "Section", "Table", "count", "mark_of", "named", "table"]

MARKS: dict[str, Mark] = {
    "pass": "good",
    "passed": "good",
    "warn": "look",
    "inconclusive": "look",
    "stopped": "look",
    "skipped": "none",
    "fail": "bad",
    "error": "bad",
    "rejected": "bad",
}


@dataclass(frozen=True, slots=True)
class Link:
    """A file beside the page."""

    text: str
    to: str


@dataclass(frozen=True, slots=True)
class Section:
    """One thing that a report says. `mark` is how it stands, and is always told in words as well.

    `folded`: its tables are shown when somebody asks for them.
    """

    key: str
    title: str
    sentence: str
    mark: Mark = "none"
    tables: tuple[Table, ...] = ()
    points: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    folded: bool = False

    @property
    def sign(self) -> str:
        return SIGNS[self.mark]


def mark_of(words: Sequence[str]) -> Mark:
    """The worst of some verdicts."""
    found = {MARKS.get(word, "look") for word in words}
    order: tuple[Mark, ...] = ("bad", "look", "good")
    return next((mark for mark in order if mark in found), "none")
