"""The row about the lint: what it misses of the list of dangerous statements, and what it says of harmless ones.

The list is the one that the tests hold it to; whoever finds a statement that is missing adds it there.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.lint.cases import Case, cases
from benchmarks.lint.peers import PEERS, counts, said
from benchmarks.result import Goal, Result
from benchmarks.row import Wanted
from bluegreen.postgres import files
from bluegreen.postgres.files import File
from bluegreen.postgres.lint import Linted
from bluegreen.postgres.lint import lint as ours
from bluegreen.postgres.spec import Migrations

ROW = "lint"
MAJOR = 17
REAL = Path(__file__).parent.parent.parent / "migrations"


def lint(wanted: Wanted) -> Sequence[Result]:
    """Everybody reads the same list, and 011."""
    listed = cases()
    dangerous, harmless = [case for case in listed if case.rule], [case for case in listed if not case.rule]
    real = files.read(REAL, Migrations(target="011", baseline="010"))[0]
    found = [(case, _ours(case.file)) for case in dangerous]
    missed = [case.where for case, linted in found if not linted.refusals]
    other = [case.where for case, linted in found if case.rule not in {each.rule for each in linted.refusals}]
    for where in dict.fromkeys(missed + other):
        wanted.say(f"  not as the list says: {where}")
    alarms = [case.where for case in harmless if _loud(_ours(case.file))]
    peers = {name: _heard(options, dangerous, harmless, real) for name, options in PEERS.items()}
    wanted.say(f"  {len(dangerous)} dangerous scripts, {len(harmless)} harmless ones")
    return [
        _share("dangerous scripts that are not refused", len(missed), peers, 0, len(dangerous)),
        Result(
            ROW, "dangerous scripts refused by another rule than the list says", "%", _of(other, dangerous), {}, NONE
        ),
        _share("harmless scripts with a refusal or a warning", len(alarms), peers, 1, len(harmless)),
        Result(ROW, "findings in 011, refusals and warnings", "findings", _loud(_ours(real)), _third(peers), NONE),
        _times(real, wanted.repetitions),
    ]


NONE = Goal(0)


def _ours(file: File) -> Linted:
    return asyncio.run(ours(file, major=MAJOR))


def _loud(linted: Linted) -> int:
    return sum(finding.level != "info" for finding in linted.findings)


def _heard(
    options: Sequence[str], dangerous: Sequence[Case], harmless: Sequence[Case], real: File
) -> tuple[float, float, float]:
    """How much a peer misses, how often it warns for nothing (both in percent), and what it says of 011."""
    silent = [case for case in dangerous if not any(map(counts, said(case.sql, options)))]
    loud = [case for case in harmless if any(map(counts, said(case.sql, options)))]
    return _of(silent, dangerous), _of(loud, harmless), len(said(real.sql, options))


def _of(part: Sequence[object], whole: Sequence[object]) -> float:
    return round(100 * len(part) / len(whole), 2)


def _share(metric: str, mine: int, peers: Mapping[str, Sequence[float]], at: int, whole: int) -> Result:
    values = {name: figures[at] for name, figures in peers.items()}
    return Result(ROW, metric, "%", round(100 * mine / whole, 2), values, NONE, whole)


def _third(peers: Mapping[str, Sequence[float]]) -> Mapping[str, float]:
    return {name: figures[2] for name, figures in peers.items()}


def _times(real: File, repetitions: int) -> Result:
    runs: dict[str, Callable[[], object]] = {"ours": lambda: _ours(real)}
    for name, options in PEERS.items():
        runs[name] = lambda options=options: said(real.sql, options)  # type: ignore[misc]
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(max(repetitions, 5)):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            taken[name].append(round(1000 * (time.perf_counter() - began), 1))
    values = {name: median(each) for name, each in taken.items()}
    spread = {name: (min(each), max(each)) for name, each in taken.items()}
    mine = values.pop("ours")
    # Not compared: ours asks squawk and reads the file itself besides.
    return Result(ROW, "time to read 011", "ms", mine, values, None, len(taken["ours"]), spread, compared=False)
