"""Runs rows and tells what came of them: lines while they run, one table at the end.

A row that cannot be run is told with its reason and leaves what the file already holds of it as it is.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from benchmarks import machine
from benchmarks.result import Result, read, save
from benchmarks.row import NotMeasured, Row, Wanted

MARKS = {True: "✓", False: "✗", None: ""}


def run(rows: Sequence[Row], wanted: Wanted, out: Path, say: Callable[[str], None]) -> tuple[list[Result], list[str]]:
    """Measure these rows, saving each at once; the figures, and the names of rows that could not be run."""
    read(out)  # what cannot be read is refused before anything is measured
    measured: list[Result] = []
    missing: list[str] = []
    for row in rows:
        say(f"▶ {row.name}: {row.promise}")
        facts = machine.facts()
        try:
            results = row.measure(wanted)
        except NotMeasured as problem:
            missing.append(row.name)
            say(f"  ✗ not measured: {problem}")
            continue
        save(out, row.name, results, {**facts, **row.beside()})
        measured += results
    return measured, missing


def table(results: Sequence[Result]) -> Table:
    """Ours and the peers', a line per figure."""
    shown = Table(box=box.SIMPLE_HEAD)
    for heading in ("row", "metric", "unit", "ours", "peers", "goal", ""):
        shown.add_column(heading, justify="right" if heading == "ours" else "left")
    row = ""
    for result in results:
        peers = "\n".join(f"{name} {_figure(value)}" for name, value in result.peers.items())
        goal = "" if result.goal is None else str(result.goal)
        name = result.row if result.row != row else ""
        shown.add_row(name, result.metric, result.unit, _figure(result.ours), peers, goal, MARKS[result.met])
        row = result.row
    return shown


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.2f}"
