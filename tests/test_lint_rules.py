"""The lint against its lists: the folder of dangerous statements, the examples in docs/rules.md, and 011 itself."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.lint.cases import FOLDER, Case, cases, in_blocks
from bluegreen.postgres import files
from bluegreen.postgres.lint import NAMES, lint
from bluegreen.postgres.lint.allow import ALWAYS
from bluegreen.postgres.lint.levels import EXCLUDED
from bluegreen.postgres.lint.levels import RULES as THEIRS
from bluegreen.postgres.lint.phase import NAME as PHASE
from bluegreen.postgres.lint.rules import RULES
from bluegreen.postgres.spec import Migrations

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "rules.md"
LIST = cases()
EXAMPLES = in_blocks(DOCS)
OURS = frozenset({*RULES, PHASE})


def told(case: Case) -> tuple[set[str], set[str]]:
    """The rules that refuse a case, and those that warn of it."""
    linted = asyncio.run(lint(case.file, major=17))
    refused = {finding.rule for finding in linted.refusals}
    return refused, {finding.rule for finding in linted.findings if finding.level == "warn"}


@pytest.mark.parametrize("case", [case for case in LIST if case.rule], ids=lambda case: case.where)
def test_a_dangerous_statement_is_refused_by_the_right_rule(case: Case) -> None:
    assert case.rule in told(case)[0]


@pytest.mark.parametrize("case", [case for case in LIST if not case.rule], ids=lambda case: case.where)
def test_nothing_is_said_of_a_harmless_statement(case: Case) -> None:
    assert told(case) == (set(), set())


@pytest.mark.parametrize("case", EXAMPLES, ids=lambda case: case.where)
def test_an_example_of_the_page_of_rules_is_judged_as_it_says(case: Case) -> None:
    refused, warned = told(case)
    assert (case.rule in refused) if case.rule else (refused, warned) == (set(), set())


def test_the_list_is_long_and_knows_every_rule_of_ours() -> None:
    expected = Counter(case.rule for case in LIST)
    assert expected.keys() <= NAMES | {""}
    assert OURS <= expected.keys()
    assert (expected.total() - expected[""] >= 140, expected[""] >= 28) == (True, True)
    assert {path.name for path in FOLDER.glob("*.sql")} == {case.where.partition(":")[0] for case in LIST}


def test_every_rule_of_ours_has_an_entry_with_a_refused_and_an_accepted_file() -> None:
    sections = DOCS.read_text().split("\n## ")[1:]
    assert {section.partition("\n")[0] for section in sections} == OURS
    for section in sections:
        name = section.partition("\n")[0]
        assert f"-- refused: {name}\n" in section
        assert "\n-- accepted" in section


def test_a_rule_of_ours_is_a_module_of_its_name_that_tells_problem_solution_and_source() -> None:
    folder = ROOT / "bluegreen" / "postgres" / "lint" / "rules"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "tree"}
    assert modules == {name.replace("-", "_") for name in RULES}
    for module in modules:
        words = (folder / f"{module}.py").read_text().split('"""')[1]
        assert [word for word in ("Problem:", "Solution:", "Levels:", "Source:") if word not in words] == []


def test_no_rule_of_ours_has_the_name_of_one_of_squawks() -> None:
    assert OURS & {*THEIRS, *EXCLUDED} == set()
    assert ALWAYS & {*THEIRS, *OURS} == set()


def test_011_is_applied_without_a_word() -> None:
    file = files.read(ROOT / "migrations", Migrations(target="011", baseline="010"))[0]
    linted = asyncio.run(lint(file, major=17))
    assert linted.findings == ()
    assert len(linted.kinds) == len(file.statements)
    assert {kind.cls for kind in linted.kinds} == {"expand", "neutral"}
