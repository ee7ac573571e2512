"""A stand-in as an operating system process: started in a session of its own, recognised again later, ended for good.

A pid alone is no identity, because the system gives numbers out again; a process is its pid and the moment it started.
So a `down` that runs long after a crashed `up` ends what that `up` started and nothing else. To end a stand-in means
to end what it started too, such as apps and database backends, which lead sessions of their own. Everything here works
from another process as well: ending does not need to be the parent.

Deliberately not here: which stand-ins there are and what they are told (`sandbox.world`).
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
READY_SECONDS = 20.0
TERM_SECONDS = 5.0  # a stand-in promises 2
KILL_SECONDS = 5.0
LOOK_SECONDS = 0.02

_children: dict[int, "subprocess.Popen[bytes]"] = {}  # what this very process started and has to reap


@dataclass(frozen=True, slots=True)
class Process:
    """One process, whoever started it."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """The process that has this number now."""
        started = _started(pid)
        return cls(pid, started) if started is not None else None

    @property
    def alive(self) -> bool:
        return _started(self.pid) == self.started

    def signal(self, number: signal.Signals) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(frozen=True, slots=True)
class Row:
    """One living process in the system's list."""

    pid: int
    parent: int
    group: int
    started: str


def spawn(module: str, arguments: Sequence[str], logs: Path, name: str) -> Process:
    """Start `python -m module`; its words go to NAME.out (its `ready`) and NAME.log."""
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"{name}.out").open("wb") as out, (logs / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            start_new_session=True,
            cwd=ROOT,
        )
    _children[child.pid] = child
    return Process(child.pid, _started(child.pid) or "ended at once")


def await_ready(process: Process, logs: Path, name: str) -> str | None:
    """None once it has said `ready`; otherwise why it did not, in its own words."""
    out = logs / f"{name}.out"
    if wait_until(lambda: b"ready\n" in out.read_bytes() or not process.alive, READY_SECONDS):
        if b"ready\n" in out.read_bytes():
            return None
    else:
        return f"it was not ready within {READY_SECONDS:g} s"
    lines = (logs / f"{name}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it ended without a word"


def end(processes: Sequence[Process], term_seconds: float = TERM_SECONDS) -> list[Process]:
    """SIGTERM, then SIGKILL for each one and all it started; returns what is left, which should be nothing."""
    whole = [*processes, *beneath(processes)]
    for process in processes:
        process.signal(signal.SIGTERM)
    wait_until(lambda: not left(whole), term_seconds)
    return _end_all(whole)


def kill(processes: Sequence[Process]) -> list[Process]:
    """SIGKILL for each one and all it started; returns what is left."""
    return _end_all([*processes, *beneath(processes)])


def left(processes: Sequence[Process]) -> list[Process]:
    """Those that live, or of whose session something lives (its children may outlive it)."""
    rows = _table()
    started = {row.pid: row.started for row in rows}
    groups = {row.group for row in rows}
    # Where the number belongs to somebody else now, the group ended long ago.
    return [
        process
        for process in processes
        if (holder := started.get(process.pid)) == process.started or (holder is None and process.pid in groups)
    ]


def beneath(processes: Sequence[Process]) -> list[Process]:
    """Every process that these have started, and those in turn, as far as they live now."""
    rows = _table()
    found: dict[int, Process] = {}
    above = {process.pid for process in processes if process.alive}
    while above:
        below = [row for row in rows if row.parent in above and row.pid not in found]
        found.update({row.pid: Process(row.pid, row.started) for row in below})
        above = {row.pid for row in below}
    return list(found.values())


def _end_all(processes: Sequence[Process]) -> list[Process]:
    for process in left(processes):
        process.signal(signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # not everyone leads a group
            os.killpg(process.pid, signal.SIGKILL)
    wait_until(lambda: not left(processes), KILL_SECONDS)
    return left(processes)


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    """Look again and again; false when it did not come true in time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def _reap(pid: int) -> None:
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]


def _started(pid: int) -> str | None:
    """When the living process with this number started; None when there is none, or only its zombie."""
    _reap(pid)
    if Path("/proc/self/stat").exists():
        fields = _stat(pid)
        return None if fields is None or fields[0] in "ZX" else fields[19]
    told = subprocess.run(["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = told.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def _table() -> list[Row]:
    """Every process that is no zombie."""
    for pid in list(_children):
        _reap(pid)
    if not Path("/proc/self/stat").exists():
        command = ["ps", "-A", "-o", "pid=,ppid=,pgid=,state=,lstart="]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        rows = (line.split(None, 4) for line in told.splitlines())
        return [
            Row(int(pid), int(parent), int(group), started.strip())
            for pid, parent, group, state, started in rows
            if not state.startswith("Z")
        ]
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    stats = ((number, fields) for number in numbers if (fields := _stat(number)) is not None)
    return [
        Row(number, int(fields[1]), int(fields[2]), fields[19]) for number, fields in stats if fields[0] not in "ZX"
    ]


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name, which may itself hold spaces and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
