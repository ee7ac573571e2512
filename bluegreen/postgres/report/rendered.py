"""The report as Markdown and as one page of HTML, from the same sections.

In HTML all text is escaped by the engine; in Markdown by a filter, because a name or a message may hold any sign. The
page loads nothing, runs nothing, and says so to the browser.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bluegreen.page.markdown import COMMENT, FENCE
from bluegreen.page.rendering import rendered
from bluegreen.page.section import Section
from bluegreen.postgres.plan import Plan
from bluegreen.postgres.report.sections import sections
from bluegreen.postgres.report.told import standing, told

TEMPLATES = Path(__file__).with_name("templates")
ROWS = (1000, 200, 100, 50, 20, 5, 0)  # of one table, until the whole fits
PAGE = "plan.html"
OPEN = frozenset({"bad"})  # folded out where there is something to fold


def markdown(plan: Plan, script: str = "") -> str:
    """As long as a comment may be; tables that are longer end with how many rows more the page has."""
    found = sections(plan, script)
    for most in ROWS:
        text = _rendered("plan.md.j2", plan, [section.first(most, PAGE) for section in found])
        if len(text) <= COMMENT:
            break
    return text


def html(plan: Plan, script: str = "") -> str:
    return _rendered("plan.html.j2", plan, sections(plan, script))


def _rendered(template: str, plan: Plan, found: Sequence[Section]) -> str:
    told_of = {
        "plan": plan,
        "told": told(plan),
        "standing": standing(plan),
        "sections": found,
        "worst": _worst(found),
        "open": OPEN,
    }
    return rendered(TEMPLATES / template, told_of, {"prose": prose})


def _worst(found: Sequence[Section]) -> Sequence[Section]:
    """What somebody has to look at first."""
    return [each for mark in ("bad", "look") for each in found if each.mark == mark]


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
