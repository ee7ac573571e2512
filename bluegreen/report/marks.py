"""How a verdict stands on a page: the marks of migrations' reports, for the words of releases."""

from collections.abc import Sequence

from bluegreen.page.section import Mark

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


def mark_of(words: Sequence[str]) -> Mark:
    """The worst of some verdicts."""
    found = {MARKS.get(word, "look") for word in words}
    order: tuple[Mark, ...] = ("bad", "look", "good")
    return next((mark for mark in order if mark in found), "none")
