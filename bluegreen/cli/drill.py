"""`bluegreen drill`: crash drills on the sandbox, at every write of a rollout and of a rollback.

It needs no stack and touches none: the sandbox is made for it and gone afterwards. The sandbox shares no code with this
program, so the drill runs as `python -m sandbox.drill`, and what it says at last becomes the outcome.
"""

import asyncio
import importlib.util
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bluegreen.cli.verb import Exit, Outcome
from bluegreen.spec import Spec

PROJECT = Path(__file__).resolve().parents[2]
NEEDS = ("aiohttp", "graphql")  # what the sandbox is made of, and a plain installation has not
WORLD = "Nothing was started."

Quick = Annotated[bool, typer.Option("--quick", help="Everything that can happen, once each.")]
Only = Annotated[str, typer.Option(help="These alone, by comma, such as kill-engine,lost.")]
NoReal = Annotated[bool, typer.Option("--no-real", help="Leave out the sample by pulumi up.")]
Fault = Annotated[str, typer.Option(help="One more fault of Kong in every case, as JSON (sandbox/faults.py).")]
Out = Annotated[Path | None, typer.Option(help="Where the report goes; reports/drill otherwise.")]


class Fell(Spec):
    """One case that did not end well."""

    case: str
    write: str
    failed: int
    wrong: str


class Drilled(Spec):
    """What a drill came to; the whole table lies in the report."""

    cases: int
    converged: int
    requests: int
    failed: int
    rollback_seconds: Mapping[str, float]
    seconds: float
    report: str
    fell: Sequence[Fell] = ()


async def drill(
    *, quick: Quick = False, only: Only = "", no_real: NoReal = False, fault: Fault = "", out: Out = None
) -> Outcome:
    """Kill, cut off, delay and doubly write every write of a rollout and a rollback, on a sandbox under load."""
    if not (PROJECT / "sandbox" / "drill.py").is_file():
        what = f"There is no sandbox/ beside bluegreen in {PROJECT}, and drills happen there."
        return Outcome(exit=Exit.REFUSED, what=what, world=WORLD, next="Run this in a checkout of the project.")
    if missing := [name for name in NEEDS if importlib.util.find_spec(name) is None]:
        what = f"The sandbox needs {' and '.join(missing)}, which this Python has not."
        return Outcome(exit=Exit.REFUSED, what=what, world=WORLD, next=f"Run make setup in {PROJECT}.")
    folder = (out or PROJECT / "reports" / "drill").absolute()
    options = [*["--quick"] * quick, *["--no-real"] * no_real, *(["--fault", fault] if fault else [])]
    code, said = await _run("--json", "--out", str(folder), "--only", only, *options)
    try:
        report = json.loads(said[-1])
    except (IndexError, ValueError):
        what = f"The drill ended with {code} and without a report."
        return Outcome(
            exit=Exit.REFUSED, what=what, world="Its own words are above.", next="Mend that, then run it again."
        )
    if "ended" in report:
        return Outcome(exit=Exit.REFUSED, what=report["ended"])
    return _told(report, folder)


async def _run(*arguments: str) -> tuple[int, Sequence[str]]:
    """The drill as a child: how it ended and what it said; its progress is shown, and ^C ends it in its own way."""
    command = (sys.executable, "-m", "sandbox.drill", *arguments)
    child = await asyncio.create_subprocess_exec(*command, cwd=PROJECT, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    said = asyncio.ensure_future(child.stdout.read())
    try:
        code = await child.wait()
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGINT)
            await child.wait()
        lines = (await said).decode().splitlines()
    return code, lines


def _told(report: Mapping[str, Any], folder: Path) -> Outcome:
    fell = [
        Fell(case=case["name"], write=case["write"], failed=case["failed"], wrong=case["wrong"])
        for case in report["table"]
        if not case["good"]
    ]
    facts = Drilled(
        cases=report["cases"],
        converged=report["converged"],
        requests=report["requests"],
        failed=report["failed"],
        rollback_seconds={name: float(value) for name, value in report["rollbackSeconds"].items()},
        seconds=report["seconds"],
        report=str(folder),
        fell=fell,
    )
    what = (
        f"{facts.converged} of {facts.cases} cases converged, {facts.failed} of {facts.requests:,} requests failed, "
        f"in {facts.seconds:.0f} s."
    )
    kept = f"The report is in {folder}."
    if report["good"]:
        return Outcome(exit=Exit.OK, what=what, world=kept, facts=facts)
    first = f"The first: {fell[0].case} ({fell[0].write}): {fell[0].wrong or 'requests failed'}." if fell else ""
    after = "This is a fault of bluegreen: report it with the report."
    return Outcome(exit=Exit.FAULT, what=what, world=f"{first} {kept}".strip(), next=after, facts=facts)
