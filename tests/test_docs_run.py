"""Every command in README and docs is run, as it stands there, against a sandbox; or it is said which tests run it.

One life of one stack for all pages (`docs_story`). That each command exists is `test_docs_commands`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docs_story
from tests.docs_pages import FENCE, PAGES, ROOT, SHELL, Shown, command, covered, key, lines, shown
from tests.docs_room import Room, commands, room
from tests.docs_story import ELSEWHERE


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with room(tmp_path_factory.mktemp("docs")) as here:
        docs_story.told(here)
        yield here


def elsewhere(one: Shown) -> set[str]:
    """The entries that this line begins with."""
    words = key(one.bare)
    return {each for each in ELSEWHERE if words[: len(key(each))] == key(each)}


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def on(file: Path) -> list[Shown]:
    return list(shown(file.read_text(encoding="utf-8"), file.name))


def test_every_command_ends_as_its_page_says(told: Room) -> None:
    assert [each.fault for each in told.ran if each.fault] == []


@pytest.mark.parametrize("file", PAGES, ids=name)
def test_every_command_of_a_page_was_run_or_is_run_elsewhere(file: Path, told: Room) -> None:
    ran = commands(told.ran)
    assert [one.text for one in on(file) if not covered(one, ran) and not elsewhere(one)] == []


def test_what_is_run_elsewhere_is_shown_by_a_page() -> None:
    used = set[str]().union(*(elsewhere(one) for file in PAGES for one in on(file)))
    assert sorted(ELSEWHERE.keys() - used) == []


def test_what_is_run_elsewhere_names_tests_that_are_there() -> None:
    named = [file for why in ELSEWHERE.values() for file in re.findall(r"tests/\w+\.py", why)]
    assert [file for file in named if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize("file", PAGES, ids=name)
def test_a_fence_that_begins_with_a_command_holds_nothing_else(file: Path) -> None:
    stray = []
    for kind, block in FENCE.findall(file.read_text(encoding="utf-8")):
        typed = [line.strip() for line in lines(block) if line.strip()]
        if kind in SHELL and typed and command(typed[0]):
            stray += [line for line in typed if not command(line)]
    assert stray == []


RAN = [key("bin/bluegreen status --stack production"), key("bluegreen rollback full --reason 'why' --guard 1")]


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("```\n$ bluegreen status   # how it stands\n```\n", True),
        ("```\nbin/bluegreen status --watch\n```\n", False),
        ('```\nREASON="a b" bluegreen status --stack sandbox\n```\n', True),
        ("```\nbluegreen rollback APP --reason …\n```\n", True),
        ("```\nbluegreen rollback full\n```\n", False),  # in a fence the very words count
        ("`bluegreen rollback full`", True),
        ("`bluegreen rollback full | kong --reason …`", False),
        ("`bluegreen rollback [APP] [--guard N]…`", True),
        ("`bluegreen status --watch`", False),
        ("```\ngit push\n```\n", False),
    ],
)
def test_a_command_counts_as_run_by_its_words(page: str, found: bool) -> None:
    (one,) = shown(page, "planted")
    assert covered(one, RAN) is found
