"""What `make bench` writes and tells, whatever the figures are."""

import io
import json
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import board
from benchmarks.__main__ import chosen, main, parsed
from benchmarks.result import Goal, Result, Unreadable, beside, read, save
from benchmarks.row import NotMeasured, Row, Wanted
from benchmarks.rows import ROWS
from sandbox.stack import ROOT

FIGURE = Result(
    "flips",
    "failed requests in 20 flips",
    "requests",
    2,
    {"lower-first": 80, "parallel": 8},
    Goal(0),
    repetitions=20,
    spread={"ours": (0, 1), "lower-first": (1, 9)},
)


def figures(row: str, ours: float) -> list[Result]:
    return [Result(row, "seconds", "s", ours)]


def wanted(said: list[str]) -> Wanted:
    return Wanted(said.append)


def test_a_figure_is_written_with_ten_keys_and_no_other() -> None:
    assert FIGURE.as_json() == {
        "row": "flips",
        "metric": "failed requests in 20 flips",
        "unit": "requests",
        "ours": 2,
        "peers": {"lower-first": 80, "parallel": 8},
        "ratio": 0.25,
        "goal": "<= 0",
        "met": False,
        "repetitions": 20,
        "spread": {"ours": [0, 1], "lower-first": [1, 9]},
    }


@pytest.mark.parametrize(
    ("ours", "peers", "compared", "ratio"),
    [
        (3, {"a": 4, "b": 2}, True, 1.5),
        (0, {"a": 4}, True, 0),
        (0, {"a": 0}, True, None),
        (3, {}, True, None),
        (3, {"a": 4}, False, None),
    ],
)
def test_the_ratio_is_ours_by_the_best_peers(
    ours: float, peers: dict[str, float], compared: bool, ratio: float | None
) -> None:
    assert Result("row", "metric", "s", ours, peers, compared=compared).ratio == ratio


@pytest.mark.parametrize(("ours", "goal", "met"), [(3, Goal(3), True), (3.01, Goal(3), False), (9, None, None)])
def test_a_goal_is_met_up_to_its_bound(ours: float, goal: Goal | None, met: bool | None) -> None:
    assert Result("row", "metric", "s", ours, goal=goal).met is met


@pytest.mark.parametrize(
    ("ours", "peers", "goal", "met"),
    [
        (35, {}, Goal(least=35), True),
        (34, {"a": 12}, Goal(least=35), False),
        (3, {"a": 200, "b": 400}, Goal(0.01, times=True), False),
        (2, {"a": 200, "b": 400}, Goal(0.01, times=True), True),
        (90, {"a": 40, "b": 30}, Goal(least=3, times=True), False),
        (90, {"a": 20, "b": 30}, Goal(least=3, times=True), True),
        (2, {}, Goal(0.01, times=True), None),
    ],
)
def test_a_goal_may_be_a_least_and_may_be_by_the_best_peers(
    ours: float, peers: dict[str, float], goal: Goal, met: bool | None
) -> None:
    assert Result("row", "metric", "s", ours, peers, goal).met is met


def test_where_more_is_better_the_best_peer_has_most() -> None:
    assert Result("row", "found", "of 35", 35, {"a": 12, "b": 33}, Goal(least=35)).ratio == 1.0606


@pytest.mark.parametrize(
    ("goal", "told"),
    [(Goal(0), "<= 0"), (Goal(least=35), ">= 35"), (Goal(1.25, times=True), "<= 1.25 x the best peer's")],
)
def test_a_goal_says_its_bound(goal: Goal, told: str) -> None:
    assert str(goal) == told


@pytest.mark.parametrize(("most", "least"), [(None, None), (1, 0)])
def test_a_goal_has_one_bound(most: float | None, least: float | None) -> None:
    with pytest.raises(ValueError, match="one bound"):
        Goal(most, least)


def test_what_belongs_to_a_row_stands_with_its_machine(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    rows = [Row("flips", "Safe.", lambda _: figures("flips", 1), lambda: {"peers": {"dbmate": "2.37.0"}})]
    board.run(rows, wanted([]), out, print)
    machine = json.loads(beside(out).read_text(encoding="utf-8"))["flips"]
    assert machine["peers"] == {"dbmate": "2.37.0"}
    assert "cpus" in machine


def test_measuring_one_row_again_replaces_that_row_only(tmp_path: Path) -> None:
    out = tmp_path / "new" / "results.json"
    save(out, "flips", [*figures("flips", 1), *figures("flips", 2)], {"cpus": 2})
    save(out, "rollback", figures("rollback", 3), {"cpus": 4})
    save(out, "flips", figures("flips", 5), {"cpus": 8})
    assert [(entry["row"], entry["ours"]) for entry in read(out)] == [("flips", 5), ("rollback", 3)]
    machines = json.loads(beside(out).read_text(encoding="utf-8"))
    assert machines == {"flips": {"cpus": 8}, "rollback": {"cpus": 4}}
    assert sorted(file.name for file in out.parent.iterdir()) == ["results.json", "results.machine.json"]


@pytest.mark.parametrize("content", ["{", '{"row": 1}', "[1]", '[{"metric": "x"}]'])
def test_a_results_file_that_cannot_be_read_is_refused_before_anything_is_measured(
    tmp_path: Path, content: str
) -> None:
    out, measured = tmp_path / "results.json", []
    out.write_text(content, encoding="utf-8")

    def measure(_: Wanted) -> Sequence[Result]:
        measured.append(1)
        return []

    with pytest.raises(Unreadable) as unreadable:
        board.run([Row("flips", "", measure)], wanted([]), out, print)
    assert str(unreadable.value).startswith(f"{out} cannot be read: ")
    assert "Move it away" in str(unreadable.value)
    assert out.read_text(encoding="utf-8") == content
    assert measured == []


def test_a_row_that_cannot_be_run_says_why_and_leaves_its_older_figures(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    save(out, "rollback", figures("rollback", 3), {})
    said: list[str] = []

    def refuse(_: Wanted) -> Sequence[Result]:
        raise NotMeasured("There is no CLI. Run make setup.")

    rows = [Row("rollback", "Fast.", refuse), Row("flips", "Safe.", lambda _: figures("flips", 1))]
    assert board.run(rows, wanted(said), out, said.append) == (figures("flips", 1), ["rollback"])
    assert said == ["▶ rollback: Fast.", "  ✗ not measured: There is no CLI. Run make setup.", "▶ flips: Safe."]
    assert [(entry["row"], entry["ours"]) for entry in read(out)] == [("rollback", 3), ("flips", 1)]


def test_a_row_that_cannot_be_run_ends_the_command_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results.json"
    addresses = ("--kong-admin", "http://127.0.0.1:1", "--kong-proxy", "http://127.0.0.1:1")
    assert main(["--only", "flips-nodes", "--out", str(out), *addresses]) == 1
    said = capsys.readouterr().out
    assert "✗ not measured: This Kong has one node" in said
    assert said.endswith("Not measured: flips-nodes.\n")
    assert not out.exists()


def test_a_kong_that_cannot_be_reached_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as held:  # bound and not listening: nobody else can have this port meanwhile
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        out = tmp_path / "results.json"
        assert main(["--only", "flips", "--out", str(out), "--kong-admin", url, "--kong-proxy", url]) == 1
    assert f"✗ not measured: Kong's Admin API cannot be reached at {url}" in capsys.readouterr().out
    assert not out.exists()


def test_rows_are_chosen_by_name_and_all_when_none_is_named() -> None:
    assert [row.name for row in chosen(["rollback", "flips"])] == ["flips", "rollback"]
    assert chosen(None) == ROWS
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--only", "flop"], "invalid choice: 'flop' (choose from 'flips'"),
        (["--flips", "0"], "0 is not 1 or more"),
        (["--kong-admin", "http://127.0.0.1:1"], "give both --kong-admin and --kong-proxy"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(arguments)
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("row", [row.name for row in ROWS])
def test_every_row_is_explained(row: str) -> None:
    assert f"\n## {row}\n" in (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_the_table_shows_ours_beside_every_peer() -> None:
    screen = Console(file=io.StringIO(), width=120)
    screen.print(board.table([FIGURE, Result("rollback", "command start to exit", "s", 1.234)]))
    assert isinstance(screen.file, io.StringIO)
    lines = [" ".join(line.split()) for line in screen.file.getvalue().splitlines()]
    assert "flips failed requests in 20 flips requests 2 lower-first 80 <= 0 ✗" in lines
    assert "parallel 8" in lines
    assert "rollback command start to exit s 1.23" in lines
