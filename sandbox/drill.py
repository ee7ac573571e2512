"""Crash drills: `python -m sandbox.drill [--quick] [--only kill-engine,…] [--no-real] [--fault JSON] [--json]`.

Every write of a rollout and of a rollback, of one app and of two, by an update and by hand: its writer is killed, the
provider is, both are, a gateway node of two is, its reply is lost, it arrives late, a second writer comes. Kong's
journal says which writes there are, so none is skipped. All the time both apps are asked, on kept and on new
connections; a case ends with what the runbook says, and with a look at what stands in Kong.

Most cases are played: the provider's real process over its real protocol, without Pulumi's CLI around it (it would
spend most of the time elsewhere); a sample goes through `pulumi up` and `bluegreen recover`. Ends with 0 only when
every case converged and no request failed.
"""

import argparse
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sandbox.drill_case import FATES, ROOT
from sandbox.drill_report import HEAD, Report, sums, verdict, write
from sandbox.drill_room import Broken
from sandbox.drill_share import ALL, SUBJECTS, Asked, Say, Share, Stopped, play
from sandbox.load import LoadError
from sandbox.world import WorldError
from toolchain import Missing

REPORTS = ROOT / "reports" / "drill"


def shares(asked: Asked) -> tuple[Share, ...]:
    """Two worlds play side by side: what takes longest, the rollouts; and everything else."""
    if asked.quick:
        return (Share(SUBJECTS[::2], real=False),)
    rollouts = Share(tuple(each for each in SUBJECTS if each.kind == "rollout"), real=False)
    rest = Share(tuple(each for each in SUBJECTS if each.kind != "rollout"), asked.real)
    met = {kind for kind, fates in FATES.items() if not asked.only or set(fates) & set(asked.only)}
    return tuple(share for share in (rest, rollouts) if any(each.kind in met for each in share.subjects))


def drill(say: Say, asked: Asked) -> Report:
    """Everything that was asked for."""
    began, stop, wanted = time.monotonic(), threading.Event(), shares(asked)
    with ThreadPoolExecutor(len(wanted)) as pool:
        try:
            under_way = [pool.submit(play, share, asked, say, stop) for share in wanted]
            wait(under_way, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()  # whoever still plays ends with the case at hand
    problems = [problem for each in under_way if (problem := each.exception())]
    if problems:
        raise next((problem for problem in problems if not isinstance(problem, Stopped)), problems[0])
    parts = [each.result() for each in under_way]
    failures: Counter[str] = Counter()
    for part in parts:
        failures.update(part.failures)
    cases = tuple(case for part in parts for case in part.cases)
    failed, requests = sum(part.failed for part in parts), sum(part.requests for part in parts)
    return Report(cases, time.monotonic() - began, failures, failed, requests)


def show(report: Report) -> None:
    """The sums as a table, then everything that did not end well."""
    screen = Console(stderr=True)
    table = Table(*HEAD, box=None, header_style="dim")
    for line in sums(report):
        table.add_row(*line)
    screen.print(table)
    for case in report.cases:
        if not case.good:
            screen.print(
                f"✗ {case.told.name} ({case.told.write}): {case.failed} failed; {case.told.wrong}", style="red"
            )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.drill", description="Crash drills on the sandbox.")
    parser.add_argument("--quick", action="store_true", help="one app, and everything that can happen once")
    parser.add_argument("--only", default="", help=f"these alone, by comma: {', '.join(ALL)}")
    parser.add_argument("--no-real", action="store_true", help="leave out the sample by pulumi up")
    parser.add_argument("--fault", type=_fault, help="one more, of Kong's Admin API, in every case (sandbox/faults.py)")
    parser.add_argument("--json", action="store_true", help="print the report as one line of JSON")
    parser.add_argument("--out", type=Path, default=REPORTS, help="where the report goes")
    given = parser.parse_args(arguments)
    only = [name for name in given.only.split(",") if name]
    if unknown := [name for name in only if name not in ALL]:
        named = f"There is no drill {unknown[0]!r}. Nothing was started. Choose from {', '.join(ALL)}."
        return _ended(named, machine=given.json)
    real = not given.no_real and not given.quick
    asked = Asked([fate for fate in ALL if fate in only], given.quick, real, given.fault)
    try:
        report = drill(_say, asked)
    except (Broken, WorldError, LoadError, Missing, OSError) as problem:
        return _ended(f"The drill ended early, without a report: {problem}", machine=given.json)
    except KeyboardInterrupt:
        return _ended("The drill was stopped. Nothing is left running, and no report was written.", machine=given.json)
    write(report, given.out)
    show(report)
    print(json.dumps(report.as_json(), ensure_ascii=False) if given.json else verdict(report))
    return 0 if report.good else 1


def _fault(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as problem:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON object: {problem}") from problem


def _ended(why: str, *, machine: bool) -> int:
    print(json.dumps({"ended": why}) if machine else why, file=sys.stdout if machine else sys.stderr)
    return 2


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
