"""The report as Markdown and as one page of HTML, from the same sections.

jinja2 is imported when a report is written, so that a provider which writes none starts without it. In HTML all text
is escaped by the engine; in Markdown by a filter, because a name or a message may hold any sign. The page loads
nothing, runs nothing, and says so to the browser.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bluegreen.postgres.plan import Plan
from bluegreen.postgres.report.section import Section, Table
from bluegreen.postgres.report.sections import sections
from bluegreen.postgres.report.told import standing, told

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")
COMMENT = 60_000  # characters: GitHub takes 65,536 in a comment
ROWS = (1000, 200, 100, 50, 20, 5, 0)  # of one table, until the whole fits
CALLED = re.compile(r"@(?=\w)")  # nobody is called by a report
FENCE = re.compile(r"^(```(?:sh)?)$", re.MULTILINE)
OPEN = frozenset({"bad"})  # folded out where there is something to fold


def markdown(plan: Plan, script: str = "") -> str:
    """As long as a comment may be; tables that are longer end with how many rows more the page has."""
    for most in ROWS:
        text = _rendered("plan.md.j2", plan, script, most)
        if len(text) <= COMMENT:
            break
    return text


def html(plan: Plan, script: str = "") -> str:
    return _rendered("plan.html.j2", plan, script)


def _rendered(template: str, plan: Plan, script: str, most: int | None = None) -> str:
    found = [_shortened(section, most) for section in sections(plan, script)]
    told_of = {
        "plan": plan,
        "told": told(plan),
        "standing": standing(plan),
        "sections": found,
        "worst": _worst(found),
        "open": OPEN,
    }
    return _environment().get_template(template).render(told_of).rstrip() + "\n"


def _shortened(section: Section, most: int | None) -> Section:
    """A section with so many rows in each of its tables, points in its list, and twice as many lines in its texts."""
    if most is None:
        return section
    more = len(section.points) - most
    points = (*section.points[:most], f"and {more} more, in plan.html") if more > 0 else section.points
    tables = tuple(replace(each, rows=_first(each, most)) for each in section.tables)
    texts = tuple(replace(each, text=_lines(each.text, 2 * most)) for each in section.texts)
    return replace(section, tables=tables, points=points, texts=texts)


def _first(table: Table, most: int) -> tuple[tuple[str, ...], ...]:
    more = len(table.rows) - most
    if more <= 0:
        return table.rows
    return (*table.rows[:most], (f"and {more} more, in plan.html", *[""] * (len(table.head) - 1)))


def _lines(text: str, most: int) -> str:
    lines = text.splitlines()
    more = len(lines) - most
    return text if more <= 0 else "\n".join([*lines[:most], f"-- and {more} lines more, in plan.html"])


def _worst(found: Sequence[Section]) -> Sequence[Section]:
    """What somebody has to look at first."""
    return [each for mark in ("bad", "look") for each in found if each.mark == mark]


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and ".html." in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": cell, "plain": plain, "fence": fence, "prose": prose, "careful": careful}
    return environment


def cell(text: Any) -> str:
    """Any text where Markdown would read signs: in a cell, a point or a heading."""
    flat = " ".join(str(text).split())
    escaped = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", flat).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(CALLED, "@\u200b", escaped)


def plain(text: Any) -> str:
    """Any text inside of HTML in Markdown, where only HTML's own signs are read."""
    flat = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(CALLED, "@\u200b", flat)


def fence(text: str) -> str:
    """A fence that no line of the text can close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)


def careful(text: str) -> str:
    """Our own small Markdown as it is, but what others wrote in it makes no tag, no link, and calls nobody."""
    parts = FENCE.split(text)
    for number in range(0, len(parts), 4):  # between the fences of a code block lies what is pasted: as it is
        parts[number] = "\n".join(plain(line).replace("[", "\\[") for line in parts[number].split("\n"))
    return "".join(parts)


def prose(text: str) -> Any:
    """Our own small Markdown (headings, points, code) as HTML."""
    from markupsafe import Markup, escape

    parts = list[str]()
    for number, block in enumerate(FENCE.split(text)[::2]):
        if number % 2:  # between two fences
            parts.append(f'<pre tabindex="0"><code>{escape(block.strip())}</code></pre>')
        else:
            parts += [part for paragraph in block.split("\n\n") for part in _block(paragraph.splitlines())]
    return Markup("\n".join(parts))


def _block(lines: Sequence[str]) -> Sequence[str]:
    from markupsafe import escape

    parts, points, said = list[str](), list[str](), list[str]()
    for line in lines:
        if line.startswith("### "):
            parts.append(f"<h3>{escape(line[4:])}</h3>")
        elif line.startswith("- "):
            points.append(f"<li>{_inline(line[2:])}</li>")
        elif line:
            said.append(_inline(line))
    parts += [f"<p>{' '.join(said)}</p>"] if said else []
    return [*parts, f"<ul>{''.join(points)}</ul>"] if points else parts


def _inline(text: str) -> str:
    from markupsafe import escape

    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", marked)
