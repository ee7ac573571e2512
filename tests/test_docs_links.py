"""Every link between the pages leads to a file that is there, and to a heading that it has."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs_pages import FENCE, PAGES, ROOT

LINK = re.compile(r"\]\((?!\w+:)([^)\s]*)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
MARK = re.compile(r"[^\w\- ]")
EXAMPLE = "# One · two\n## `a.b`: [c](d.md), *e*\n## One · two\n```\n# none\n```\n"


def anchors(text: str) -> set[str]:
    """The headings' names in links, as GitHub makes them: lower case, dashes, the second of a kind with -1."""
    seen, found = dict[str, int](), set[str]()
    for heading in HEADING.findall(FENCE.sub("", text)):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = MARK.sub("", shown.lower()).replace(" ", "-")
        times = seen[name] = seen.get(name, -1) + 1
        found.add(f"{name}-{times}" if times else name)
    return found


def dead(page: Path, text: str) -> list[str]:
    """The links of this page that lead nowhere."""
    found = []
    for link in LINK.findall(FENCE.sub("", text)):
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        known = target.exists() and target.is_relative_to(ROOT)
        if not known or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert dead(page, page.read_text(encoding="utf-8")) == []


def test_headings_are_named_as_github_names_them() -> None:
    assert anchors(EXAMPLE) == {"one--two", "ab-c-e", "one--two-1"}


@pytest.mark.parametrize("link", ["nothing.md", "rollout.md#nothing", "#nothing", "../../elsewhere.md"])
def test_a_link_that_leads_nowhere_is_found(link: str) -> None:
    page = ROOT / "docs" / "gateway.md"
    assert dead(page, f"[a](rollout.md#steps), [b]({link}), [c](https://example.com/x)") == [link]
