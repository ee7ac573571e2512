"""A whole sandbox with a stack on it, for tests that drive the real engine; and what they look at."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import toolchain
from sandbox.asking import call
from sandbox.load import Target
from sandbox.ports import Colour
from sandbox.stack import API_KEY, Stack
from sandbox.stack_runs import Event, Run
from sandbox.world import MEMBERS, Member, World, free_base

KONG_PACE = ("--worker-state-update-frequency", "0.2", "--db-update-frequency", "0.5")
RAILWAY_PACE = ("--time-scale", "0.02")
PATIENCE = 30.0  # seconds until a test that waits for something gives up


class Box:
    """One world, one stack with the app `backend`, live on blue once `bootstrap` ran."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stack = Stack(world, toolchain.cli())
        self.stack.create()

    def bootstrap(self) -> Run:
        return self.ok("--skip-preview")

    def both(self) -> Run:
        """Blue live, green deployed beside it."""
        self.bootstrap()
        self.stack.deploy("backend", "green", "v2")
        return self.ok("--skip-preview")

    def ok(self, *options: str) -> Run:
        """An update that has to succeed."""
        run = self.stack.up(*options)
        assert run.code == 0, run.output
        return run

    def weights(self) -> dict[str, int]:
        """Percent by colour, as stored in Kong."""
        return {_colour(row): row["weight"] for row in self.targets()}

    def targets(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.admin("GET", "/upstreams/backend/targets")["data"]
        return rows

    def tags(self) -> list[str]:
        """Every tag on the app's targets."""
        return [tag for row in self.targets() for tag in row["tags"] or ()]

    def set_weight(self, colour: Colour, weight: int) -> None:
        """Somebody changes a weight by hand."""
        row = next(row for row in self.targets() if _colour(row) == colour)
        self.admin("PATCH", f"/upstreams/backend/targets/{row['id']}", {"weight": weight})

    def tagged_ours(self) -> list[Any]:
        """Everything in Kong that carries this stack's tag."""
        found: list[Any] = self.admin("GET", "/tags/owner:velro.sandbox")["data"]
        return found

    def target(self, rps: int) -> Target:
        """What a load asks of the app, as the consumer that may."""
        return Target(app="backend", url=self.world.proxy, path="/api/hello", headers={"apikey": API_KEY}, rps=rps)

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        return call(method, self.world.admin + path, body)

    @contextmanager
    def fault(self, effect: dict[str, Any], *, proxy: bool = False, **where: Any) -> Iterator[None]:
        """Armed inside the block; on the Admin API, or on the proxy."""
        at = f"{self.world.proxy if proxy else self.world.admin}/__faults/test"
        call("PUT", at, {"where": where, "effect": effect})
        try:
            yield
        finally:
            call("DELETE", at)


@contextmanager
def box(folder: Path, *kong: str, database: bool = False) -> Iterator[Box]:
    """A fresh sandbox, with Postgres where it is asked for; `kong` are further arguments for the gateway."""
    pace: dict[Member, tuple[str, ...]] = {"kong": (*KONG_PACE, *kong), "railway": RAILWAY_PACE}
    members = tuple(name for name in MEMBERS if database or name != "postgres")
    with World(free_base(), folder, members, extra=pace) as world:
        yield Box(world)


def touched(run: Run) -> list[str]:
    """`op type name` of every operation that was not `same`, in the order in which it ended."""
    return [said(event) for event in run.events() if event.kind == "done" and event.op not in ("same", "refresh")]


def said(event: Event) -> str:
    return f"{event.op} {event.type.removeprefix('bluegreen:')} {event.name}"


def moment(run: Run, text: str, kind: str = "done") -> int:
    """The place in time of one operation."""
    found = [event.seq for event in run.events() if said(event) == text and event.kind == kind]
    assert len(found) == 1, (text, [said(event) for event in run.events() if event.kind == kind])
    return found[0]


def wait(until: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def children(pid: int) -> dict[int, str]:
    """Every descendant of a process, with its command line."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    found: dict[int, str] = {}
    while grown := {int(child): command for child, parent, command in rows if int(parent) in {pid, *found}}:
        if grown.keys() <= found.keys():
            break
        found |= grown
    return found


def alive(pid: int) -> bool:
    """Whether a process still runs; one that only waits for its parent to notice its end does not."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _colour(row: dict[str, Any]) -> str:
    return next(str(tag).partition(":")[2] for tag in row["tags"] if tag.startswith("colour:"))
