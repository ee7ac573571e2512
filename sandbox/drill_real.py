"""The same drill by the real engine, for a sample: `pulumi up` killed, `bluegreen recover`, `pulumi up`.

What the played engine leaves out is in it: state, the lock, pending operations, the refresh. It takes four times as
long, so only the ends of a rollout are tried: its first write, one in the middle, and its last.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from sandbox.drill_case import ROOT, Fate, Told
from sandbox.drill_room import STEPS, Room, Write, until

FATES: tuple[Fate, ...] = ("kill-engine", "kill-provider", "kill-both")
SUBJECT = "pulumi up, rollout of 2 apps"


def prepare(room: Room) -> None:
    """Blue live, as the engine knows it, and from now on a rollout in steps; nothing counts as a way back."""
    room.stack.config["velro:rollout"] |= {"steps": list(STEPS), "rollbackWindow": {"revisions": 0}}
    room.stack.shift("blue")
    room.up()


def run(room: Room, fate: Fate, write: Write) -> Told:
    """One case. It begins and ends with blue live."""
    room.stack.shift("green")
    with room.fault({"kind": "hold"}, write):
        started = room.stack.start("up", "--yes", "--skip-preview")
        met = until(room.met)
        part = _descendants(started.process.pid)
        providers = [pid for pid, command in part.items() if "bluegreen.provider" in command]
        began = time.monotonic()
        doomed = [started.process.pid] * (fate != "kill-provider") + providers * (fate != "kill-engine")
        for pid in doomed if met else ():
            with contextlib.suppress(ProcessLookupError):  # the engine asks some providers for their schema alone
                os.kill(pid, signal.SIGKILL)
        room.release()
        run = started.finish()
        until(lambda: not any(_alive(pid) for pid in part))
    detected, began = time.monotonic() - began, time.monotonic()
    command = [str(ROOT / "bin" / "bluegreen"), "recover", "--stack", room.stack.name, "--json"]
    recovered = subprocess.run(
        command, cwd=ROOT, env=room.stack.environment(), capture_output=True, text=True, check=False
    )
    up = room.stack.up("--skip-preview")
    healed = time.monotonic() - began
    wrong = [] if met else [f"the write never came: {run.output[-500:]}"]
    wrong += [] if recovered.returncode == 0 else [f"recover ended with {recovered.returncode}: {recovered.stdout}"]
    wrong += [] if up.code == 0 else [f"pulumi up ended with {up.code}: {up.output[-500:]}"]
    wrong += [left] if (left := room.left(dict.fromkeys(room.stack.config["velro:apps"], "green"))) else []
    room.stack.shift("blue")
    room.up()
    times = (round(detected, 2), round(healed, 2))
    return Told(SUBJECT, fate, write.number, write.said, "; ".join(wrong), *times, real=True)


def sample(writes: list[Write]) -> Iterator[Write]:
    """The first, the middle and the last of them."""
    yield from dict.fromkeys((writes[0], writes[len(writes) // 2], writes[-1]))


def _descendants(pid: int) -> dict[int, str]:
    """Every process below one, with its command line."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    found: dict[int, str] = {}
    known, before = {pid}, 0
    while len(known) > before:
        before = len(known)
        found |= {int(child): command for child, parent, command in rows if int(parent) in known}
        known |= found.keys()
    return found


def _alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
