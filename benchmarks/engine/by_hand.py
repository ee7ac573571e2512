"""`bluegreen rollback full`, timed from the start of its process to the last app's proof, while more and more is out of
reach: Railway and Postgres, the stack (locked by a running update), Pulumi's state.

Every time it begins with both apps live on green, by rows written back by hand; where it ended is looked up in Kong.
"""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.row import NotMeasured
from sandbox.asking import call
from sandbox.stack import ROOT, Stack

DOWN, LOCKED, GONE = "Railway and Postgres down", "and the stack locked", "and Pulumi's state deleted"
PATIENCE = 60.0
Rows = Mapping[str, list[dict[str, Any]]]


def measured(stack: Stack, turns: int, say: Callable[[str], None]) -> dict[str, list[float]]:
    """The seconds of so many rollbacks in each situation. Railway and Postgres are stopped already."""
    green, seconds = _rows(stack), {DOWN: list[float](), LOCKED: list[float](), GONE: list[float]()}
    for situation, prepared in ((DOWN, contextlib.nullcontext), (LOCKED, _locked), (GONE, _without_state)):
        for _ in range(turns):
            with prepared(stack):
                seconds[situation].append(_back(stack, len(green)))
            _restored(stack, green)
        say(f"  {situation}: {', '.join(f'{each:.2f} s' for each in seconds[situation])}")
    return seconds


def _back(stack: Stack, apps: int) -> float:
    """One rollback, until its last app is proved; then to its end."""
    command = [str(ROOT / "bin" / "bluegreen"), "rollback", "full", "--reason", "bench", "--guard", "0"]
    command += ["--stack", stack.name]
    began, proved = time.monotonic(), list[float]()
    with subprocess.Popen(
        command, cwd=stack.folder, env=stack.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if ": blue 100 %, proved" in line:
                proved.append(time.monotonic() - began)
        lines.append(process.stdout.read())
    live = {app: [row["tags"] for row in rows if row["weight"]] for app, rows in _rows(stack).items()}
    if len(proved) != apps or not all(len(tags) == 1 and "colour:blue" in tags[0] for tags in live.values()):
        said = "".join(lines)[-2000:]
        raise NotMeasured(f"A rollback by hand did not arrive. Nothing of this row was written. It said:\n{said}")
    return proved[-1]


@contextlib.contextmanager
def _locked(stack: Stack) -> Iterator[None]:
    """An update has the stack and waits: the gateway keeps it waiting for its first look at the rows."""
    fault = f"{stack.world.admin}/__faults/bench"
    where = {"method": "GET", "path": "/upstreams/*/targets*"}
    call("PUT", fault, {"where": where, "effect": {"kind": "hold"}})
    update = stack.start("up", "--yes", "--skip-preview")
    try:
        end = time.monotonic() + PATIENCE
        while not (call("GET", fault)["hits"] and list(stack.folder.glob("state/.pulumi/locks/**/*.json"))):
            if time.monotonic() > end or update.process.poll() is not None:
                raise NotMeasured(
                    "The update that was to lock the stack did not come. Nothing of this row was written."
                )
            time.sleep(0.02)
        yield
    finally:
        call("DELETE", fault)
        update.finish()


@contextlib.contextmanager
def _without_state(stack: Stack) -> Iterator[None]:
    """Whatever Pulumi knew is not there."""
    state, away = stack.folder / "state", stack.folder / "state-away"
    state.rename(away)
    try:
        yield
    finally:
        away.rename(state)


def _rows(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    return {
        app: call("GET", f"{stack.world.admin}/upstreams/{app}/targets")["data"] for app in stack.config["velro:apps"]
    }


def _restored(stack: Stack, rows: Rows) -> None:
    """As it was: what carries traffic first."""
    for app, before in rows.items():
        path = f"{stack.world.admin}/upstreams/{app}/targets"
        now = {row["target"]: row["id"] for row in call("GET", path)["data"]}
        for row in sorted(before, key=lambda row: -int(row["weight"])):
            body = {"weight": row["weight"], "tags": row["tags"]}
            call("PATCH", f"{path}/{now[row['target']]}", body)
