"""The rows about commands from their start: `pulumi up`, beside an empty program's, and `bluegreen rollback`.

The stack is the sandbox's own, on stand-ins and a real Postgres, made for the row and gone with its folder.
"""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.engine import by_hand
from benchmarks.engine.peers import QUIET, Empty, Trivial
from benchmarks.result import Goal, Result
from benchmarks.row import NotMeasured, Wanted
from sandbox.asking import call
from sandbox.ports import Colour
from sandbox.stack import Stack
from sandbox.stack_runs import Run
from sandbox.world import MEMBERS, Member, World, WorldError, free_base
from toolchain import Missing, cli

APPS = ("backend", "frontend")
# As in the demo: a laptop need not wait for Railway's clock, nor for Kong's timers before the first deployment.
PACE: Mapping[Member, Sequence[str]] = {
    "kong": ("--worker-state-update-frequency", "1", "--db-update-frequency", "1"),
    "railway": ("--time-scale", "0.05"),
}
OURS, EMPTY, TRIVIAL = "ours", "empty program", "same program, trivial provider"
UP = ("up", "--yes", "--skip-preview")
FEW = 30  # resources up to which an empty program is a fair measure


def rollback(wanted: Wanted) -> Sequence[Result]:
    """One app's reverted line, and a release taken back by hand: blue after green, Railway and Postgres stopped."""
    _refuse_real(wanted)
    with _released(("backend",)) as stack:
        empty = Empty(stack)
        seconds: dict[str, list[float]] = {OURS: [], EMPTY: []}
        _stop(stack)
        for turn in range(wanted.repetitions):
            seconds[OURS].append(_shifted(stack, "blue").seconds)
            seconds[EMPTY].append(empty.up())
            _shifted(stack, "green")
            wanted.say(f"  turn {turn + 1}: {_said(seconds)}")
    with _released(APPS) as stack:
        _stop(stack)
        hand = by_hand.measured(stack, wanted.repetitions, wanted.say)
    return [
        _seconds("rollback", "pulumi up of a reverted line, start to exit, median", seconds, Goal(3)),
        *(
            _seconds("rollback", f"bluegreen rollback full, start to proof: {situation}, median", {OURS: took}, Goal(1))
            for situation, took in hand.items()
        ),
    ]


def _stop(stack: Stack) -> None:
    members: tuple[Member, ...] = ("railway", "postgres")
    for member in members:
        stack.world.stop(member)


def noop_up(wanted: Wanted) -> Sequence[Result]:
    """A stack as it is, once more: with one app, and with two."""
    _refuse_real(wanted)
    return [*_unchanged(wanted, ("backend",)), *_unchanged(wanted, APPS)]


def _unchanged(wanted: Wanted, apps: tuple[str, ...]) -> Sequence[Result]:
    with _released(apps) as stack:
        empty, trivial = Empty(stack), Trivial(stack)
        count = len(stack.exported()["deployment"]["resources"])
        seconds: dict[str, list[float]] = {OURS: [], EMPTY: [], TRIVIAL: []}
        for turn in range(wanted.repetitions):
            seconds[OURS].append(_ok(stack.run(*QUIET)).seconds)
            seconds[EMPTY].append(empty.up())
            seconds[TRIVIAL].append(trivial.up())
            wanted.say(f"  {count} resources, turn {turn + 1}: {_said(seconds)}")
    what = f"no-change up of {count} resources"
    return [
        _seconds("noop-up", f"{what}, median", seconds),
        _multiple(f"{what}, by the empty program's", seconds, EMPTY, Goal(1.3) if count <= FEW else None),
        _multiple(f"{what}, by the trivial provider's", seconds, TRIVIAL, Goal(1.15)),
    ]


def _refuse_real(wanted: Wanted) -> None:
    if wanted.admin is not None:
        raise NotMeasured(
            "This row runs a whole sandbox, its gateway included. What the file holds of it stays. "
            "Leave out --kong-admin and --kong-proxy."
        )


@contextlib.contextmanager
def _released(apps: tuple[str, ...]) -> Iterator[Stack]:
    """A world and a stack on it: the schema grown, v2 beside v1, and live."""
    data = Path(tempfile.mkdtemp(prefix="bluegreen-bench-"))
    try:
        with World(free_base(), data, MEMBERS, extra=PACE) as world:
            stack = Stack(world, cli(), apps=apps)
            stack.create()
            _ok(stack.run(*UP))
            stack.migrate("011")
            for app in apps:
                stack.deploy(app, "green", "v2")
            _ok(stack.run(*UP))
            _shifted(stack, "green")
            yield stack
    except (WorldError, Missing, subprocess.CalledProcessError) as problem:
        raise NotMeasured(str(problem)) from problem
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _shifted(stack: Stack, colour: Colour) -> Run:
    """The line edited and brought up; that the gateway holds it now is looked up, not believed."""
    stack.shift(colour)
    run = _ok(stack.run(*UP))
    for app in stack.config["velro:apps"]:
        rows = call("GET", f"{stack.world.admin}/upstreams/{app}/targets")["data"]
        carrying = [row["tags"] for row in rows if row["weight"]]
        if len(carrying) != 1 or f"colour:{colour}" not in carrying[0]:
            raise NotMeasured(f"{app} is not on {colour} after the update: {rows}. Nothing of this row was written.")
    return run


def _ok(run: Run) -> Run:
    if run.code != 0:
        said = f"pulumi {run.command} ended with {run.code}; nothing of this row was written"
        raise NotMeasured(f"{said}:\n{run.output[-2000:]}")
    return run


def _said(seconds: Mapping[str, Sequence[float]]) -> str:
    return ", ".join(f"{who} {values[-1]:.2f} s" for who, values in seconds.items())


def _seconds(row: str, metric: str, seconds: Mapping[str, Sequence[float]], goal: Goal | None = None) -> Result:
    medians = {who: round(median(values), 2) for who, values in seconds.items()}
    spread = {who: (round(min(values), 2), round(max(values), 2)) for who, values in seconds.items()}
    return Result(row, metric, "s", medians.pop(OURS), medians, goal, len(seconds[OURS]), spread)


def _multiple(metric: str, seconds: Mapping[str, Sequence[float]], peer: str, goal: Goal | None) -> Result:
    """Ours in units of a peer's, turn by turn: what else the machine does meanwhile slows both."""
    parts = [ours / theirs for ours, theirs in zip(seconds[OURS], seconds[peer], strict=True)]
    spread = {OURS: (round(min(parts), 3), round(max(parts), 3))}
    return Result("noop-up", metric, "times", round(median(parts), 3), {}, goal, len(parts), spread)
