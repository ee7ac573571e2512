"""The story as one page of HTML and as Markdown, from the same sections.

pygal is imported when a report is made, so that nothing else waits for it. All text is escaped by the engine in HTML
and by a filter in Markdown. The page loads nothing, runs nothing, and says so to the browser.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bluegreen.page.markdown import COMMENT
from bluegreen.page.rendering import rendered
from bluegreen.page.section import Table, table
from bluegreen.report import head
from bluegreen.report.chapter import Chapter, Who
from bluegreen.report.charts import Chart, charts, whos
from bluegreen.report.said import amount, image, lasted
from bluegreen.report.sections import sections
from bluegreen.report.story import Story

TEMPLATES = Path(__file__).with_name("templates")
NUMBER = re.compile(r"\+?[\d,.]+( (%|ms|s|min|h|d)( \d+ (s|min|h))?)?|–")
UNIT = re.compile(r"(?<=\d) (?=%|(?:ms|s|min|h|d)\b)")
SHORT, LONG = 26, 45  # characters of the longest cell in a column
PAGE = 1_400_000  # bytes
JSON = "report.json"  # where everything is
ROWS = (400, 200, 100, 50, 20, 5, 0)  # of one table, until the whole fits


@dataclass(frozen=True, slots=True)
class Panel:
    """The charts of one app in one chapter, their key, and the same as numbers."""

    app: str
    key: str
    charts: tuple[Chart, ...]
    whos: tuple[Who, ...]
    numbers: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One chapter as the page shows it."""

    chapter: Chapter
    panels: tuple[Panel, ...]
    moments: tuple[Table, ...]


def html(story: Story) -> str:
    """One self-contained page; tables that are too long for it end with how many rows more `report.json` has."""
    parts = tuple(_part(chapter, number) for number, chapter in enumerate(story.chapters, 1))
    for most in ROWS:
        text = _rendered("report.html.j2", story, most, parts)
        if len(text.encode()) <= PAGE:
            break
    return text


def markdown(story: Story) -> str:
    """As long as a comment may be."""
    for most in ROWS:
        text = _rendered("report.md.j2", story, most, ())
        if len(text) <= COMMENT:
            break
    return text[:COMMENT]


def _part(chapter: Chapter, number: int) -> Part:
    apps = dict.fromkeys([*(each.app for each in chapter.weights), *(each.app for each in chapter.lines)])
    panels = [
        Panel(app, f"c{number}-{place}", drawn, whos(chapter, app), _numbers(chapter, app))
        for place, app in enumerate(apps, 1)
        if (drawn := charts(chapter, app, f"c{number}-{place}"))
    ]
    return Part(chapter, tuple(panels), moments(chapter))


def _numbers(chapter: Chapter, app: str) -> tuple[Table, ...]:
    rows = [
        (
            f"+{lasted(point.t)}",
            line.who,
            f"{point.n:,}",
            f"{point.errors:,}",
            amount(100 * point.errors / point.n if point.n else None, "%"),
            amount(point.p50, "ms"),
            amount(point.p95, "ms"),
        )
        for line in chapter.lines
        if line.app == app
        for point in line.points
    ]
    head_ = ("middle of the slice", "asked", "n", "failed", "share", "p50", "p95")
    return table(f"{app}: requests in slices of {lasted(chapter.slice)}", head_, rows)


def moments(chapter: Chapter) -> tuple[Table, ...]:
    """What happened, with the numbers that stand above the charts."""
    rows = [(str(each.number), f"{each.at:%H:%M:%S}", f"+{lasted(each.t)}", each.text) for each in chapter.moments]
    return table("What happened", ("no.", "at, UTC", "after", "what"), rows)


def _rendered(template: str, story: Story, most: int, parts: Sequence[Part]) -> str:
    told: dict[str, Any] = {
        "story": story,
        "head": head,
        "sections": [section.first(most, JSON) for section in sections(story)],
        "parts": [_shortened(part, most) for part in parts],
        "happened": [(each, [one.first(most, JSON) for one in moments(each)]) for each in story.chapters],
        "lasted": lasted,
    }
    return rendered(
        TEMPLATES / template, told, {"drawn": drawn, "shapes": shapes, "image": image, "unbroken": unbroken}
    )


def _shortened(part: Part, most: int) -> Part:
    panels = [replace(each, numbers=tuple(one.first(most, JSON) for one in each.numbers)) for each in part.panels]
    return replace(part, panels=tuple(panels), moments=tuple(each.first(most, JSON) for each in part.moments))


def drawn(svg: str) -> Any:
    """A chart of ours as it is: its texts were escaped when it was drawn."""
    from markupsafe import Markup

    return Markup(svg)


def unbroken(sentence: str) -> str:
    """The same, without a number at the end of a line whose unit is on the next."""
    return UNIT.sub("\u00a0", sentence)


def shapes(table: Table) -> tuple[str, ...]:
    """Of each column: `num` stands at the right, `short` never breaks, `long` gets room."""
    return tuple(_shape([row[at] for row in table.rows]) for at in range(len(table.head)))


def _shape(cells: Sequence[str]) -> str:
    if all(NUMBER.fullmatch(each) or not each for each in cells):
        return "num"
    longest = max(len(each) for each in cells)
    return "short" if longest <= SHORT else "long" if longest > LONG else "some"
