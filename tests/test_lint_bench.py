"""The benchmark's row about the lint, measured once for real, and its list as it is read."""

from pathlib import Path

from benchmarks.lint.cases import Case, cases, in_blocks
from benchmarks.lint.peers import PEERS
from benchmarks.lint.rows import lint
from benchmarks.row import Wanted


def test_the_row_keeps_its_goals_beside_its_peers() -> None:
    said: list[str] = []
    results = lint(Wanted(said.append))
    assert [result.met for result in results] == [True, True, True, True, None]
    assert [set(result.peers) for result in results] == [set(PEERS), set(), set(PEERS), set(PEERS), set(PEERS)]
    assert len(said) == 1
    missed = results[0].peers
    assert missed["squawk, by default"] > missed["squawk, every rule"] > results[0].ours


def test_a_list_is_read_case_by_case(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("-- refused: x-y\nselect 1;\n\n-- accepted in a contract\n-- why\nselect 2;\n")
    assert cases(tmp_path) == [
        Case("a.sql:1", "select 1;\n", "x-y", "expand"),
        Case("a.sql:4", "-- why\nselect 2;\n", "", "contract"),
    ]


def test_a_pages_blocks_keep_their_lines(tmp_path: Path) -> None:
    page = tmp_path / "rules.md"
    page.write_text("# Rules\ntext; with -- accepted\n```sql\n-- refused in a contract: x-y\nselect 1;\n```\nmore\n")
    assert in_blocks(page) == [Case("rules.md:4", "select 1;\n", "x-y", "contract")]
