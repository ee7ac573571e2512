"""One case of a drill: a command, one of its writes, and what happens to it there; then the way on, and the judgement.

A write is held up inside Kong's stand-in exactly when something is done to whoever made it. Whatever was held up then
happens, late. Afterwards somebody does what the runbook says: the next update, or the rollback once more. Each case
ends with a look at Kong: one colour per app with all the traffic, as the config wants it, and nothing left over.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sandbox import drill_engine
from sandbox.drill_engine import Ended, Playing
from sandbox.drill_relay import Relay
from sandbox.drill_room import APPS, Broken, Room, Write, until
from sandbox.ports import Colour

ROOT = Path(__file__).resolve().parents[1]
Kind = Literal["rollout", "rollback", "by-hand"]
Fate = Literal["kill-engine", "kill-provider", "kill-both", "kill-cli", "kill-node", "lost", "delay", "second-writer"]
OTHER: Mapping[Colour, Colour] = {"blue": "green", "green": "blue"}
FATES: Mapping[Kind, tuple[Fate, ...]] = {
    "rollout": ("kill-engine", "kill-provider", "kill-both", "lost", "delay", "second-writer", "kill-node"),
    "rollback": ("kill-engine", "kill-provider", "kill-both", "lost", "delay", "second-writer", "kill-node"),
    "by-hand": ("kill-cli", "lost", "delay", "second-writer", "kill-node"),
}
HELD_ALREADY = 15  # a rollback by hand that had got there before it was cut off is refused: the update is next
TRIES = 3
LAST = 1  # the node that is killed; the load of such a case goes to the other one


@dataclass(frozen=True, slots=True)
class Subject:
    """A command that is drilled: what it does, and to how many apps."""

    kind: Kind
    apps: tuple[str, ...]

    @property
    def goal(self) -> Colour:
        return "green" if self.kind == "rollout" else "blue"

    @property
    def begins(self) -> dict[str, Colour]:
        """Who is live before it, by app."""
        return {app: OTHER[self.goal] if app in self.apps else "blue" for app in APPS}

    def ends(self, colour: Colour) -> dict[str, Colour]:
        return {app: colour if app in self.apps else "blue" for app in APPS}

    def __str__(self) -> str:
        return f"{self.kind} of {len(self.apps)} app{'s' if len(self.apps) > 1 else ''}"


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one case; `wrong` is empty when it converged. Seconds are None where nothing is to be timed."""

    subject: str
    fate: str
    number: int
    write: str
    wrong: str
    detected: float | None = None  # from the fault until whoever made the write had ended
    healed: float | None = None  # what the way on took
    back: float | None = None  # a rollback by hand, from its start to its last proof
    real: bool = False  # by the real engine

    @property
    def name(self) -> str:
        return f"{self.subject} · {self.fate} · write {self.number}"


@dataclass(frozen=True, slots=True)
class Hand:
    """A `bluegreen rollback` under way or done."""

    process: "subprocess.Popen[str]"

    @property
    def over(self) -> bool:
        return self.process.poll() is not None

    def finish(self) -> tuple[int, dict[str, Any], str]:
        said, progress = self.process.communicate(timeout=drill_engine.PATIENCE)
        try:
            return self.process.returncode, json.loads(said), progress
        except ValueError:
            return self.process.returncode, {}, progress


class Drill:
    """Runs cases in one room, one after the other."""

    def __init__(self, room: Room, relay: Relay) -> None:
        self.room, self._relay = room, relay
        self._context = drill_engine.context()

    def counted(self, subject: Subject) -> list[Write]:
        """Every write of this command when nothing goes wrong, as Kong has journalled it."""
        since = self._prepared(subject)
        ended = self._finish(self._begin(subject))
        if not ended.well:
            raise Broken(f"{subject} does not go well by itself: {ended.problem or 'it was killed'}")
        return self.room.writes(since)

    def run(self, subject: Subject, fate: Fate, write: Write) -> Told:
        """One case, from Kong as it was to the judgement; one whose write does not come is tried again."""
        for _ in range(TRIES):
            if told := self._run(subject, fate, write):
                return told
        return Told(str(subject), fate, write.number, write.said, "the write never came")

    def _run(self, subject: Subject, fate: Fate, write: Write) -> Told | None:
        self._prepared(subject)
        effect = {"kind": "lost" if fate == "lost" else "hold"}
        with self.room.fault(effect, write):
            running = self._begin(subject, cut=fate == "delay")
            until(lambda: self.room.met() or running.over)
            if not self.room.met():  # a busy computer ends an update by its patience with a proof
                self._finish(running)
                return None
            began = time.monotonic()
            back = self._strike(subject, fate, running)
            if fate == "delay":
                ended = self._finish(running)  # what was held up is still on its way
                self.room.release()
            else:
                self.room.release()
                ended = self._finish(running)
        detected = time.monotonic() - began
        if fate == "kill-node":
            self.room.world.start_node(LAST)
        began = time.monotonic()
        goal = OTHER[subject.goal] if fate == "second-writer" and subject.kind == "rollout" else subject.goal
        said = self._go_on(subject, goal, ended)
        healed = time.monotonic() - began
        wrong = self.room.left(subject.ends(goal))
        wrong = f"{wrong} ({said})" if wrong and said else wrong
        times = (round(detected, 2), round(healed, 2), back if back is not None else _seconds(ended))
        return Told(str(subject), fate, write.number, write.said, wrong, *times)

    def _prepared(self, subject: Subject) -> int:
        self.room.reset(subject.begins)
        return self.room.mark()

    def _strike(self, subject: Subject, fate: Fate, running: Playing | Hand) -> float | None:
        """What happens to whoever makes the write; how long a rollback by hand took, where that is it."""
        if fate in ("kill-engine", "kill-both", "kill-provider") and isinstance(running, Playing):
            for pid in [running.engine] * (fate != "kill-provider") + [running.provider] * (fate != "kill-engine"):
                with contextlib.suppress(ProcessLookupError):  # an orphan may end before its turn
                    os.kill(pid, signal.SIGKILL)
        elif fate == "kill-cli" and isinstance(running, Hand):
            running.process.kill()
        elif fate == "delay":
            self._relay.cut()
        elif fate == "kill-node":
            self.room.world.kill_node(LAST)
        elif fate == "second-writer" and subject.kind == "by-hand":
            self._update("green", subject).finish()
        elif fate == "second-writer":
            to = ("--to", "blue")
            code, outcome, progress = self._by_hand(subject, *to).finish()
            return _seconds(Ended({**outcome, "exit": code, "progress": progress}))
        return None

    def _begin(self, subject: Subject, *, cut: bool = False) -> Playing | Hand:
        admin = self._relay.url if cut else self.room.world.admin
        if subject.kind == "by-hand":
            return self._by_hand(subject, admin=admin)
        return self._update(subject.goal, subject, admin=admin)

    def _finish(self, running: Playing | Hand) -> Ended:
        if isinstance(running, Playing):
            ended = running.finish()
            until(lambda: not any(_alive(pid) for pid in ended.pids if pid))
            return ended
        code, outcome, progress = running.finish()
        problem = "" if code == 0 else outcome.get("what", progress) or f"it ended with {code}"
        return Ended(outcome, problem, killed=code < 0)

    def _go_on(self, subject: Subject, goal: Colour, ended: Ended) -> str:
        """What the runbook says; what the last command had against it."""
        if subject.kind == "by-hand" and not ended.well:
            again = self._finish(self._by_hand(subject))
            if not again.well and (again.outputs or {}).get("exit") != HELD_ALREADY:
                return again.problem
        return self._finish(self._update(goal, subject, known=ended)).problem

    def _update(
        self, goal: Colour, subject: Subject, *, admin: str | None = None, known: Ended | None = None
    ) -> Playing:
        held = self.room.known["blue" if subject.kind == "rollout" else "green"]
        if known is not None and known.outputs is not None and subject.kind != "by-hand":
            held = drill_engine.Known(held.urn, held.id, held.inputs, known.outputs)
        news = self.room.news(goal, subject.apps)
        return drill_engine.start(self._context, held, news, self._environment(admin))

    def _by_hand(self, subject: Subject, *options: str, admin: str | None = None) -> Hand:
        what = "full" if len(subject.apps) > 1 else subject.apps[0]
        command = [str(ROOT / "bin" / "bluegreen"), "rollback", what, *options, "--reason", "drill", "--guard", "0"]
        command += ["--stack", self.room.stack.name, "--json"]
        process = subprocess.Popen(
            command,
            cwd=self.room.stack.folder,
            env=self._environment(admin),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return Hand(process)

    def _environment(self, admin: str | None) -> dict[str, str]:
        world = self.room.world
        doors = {"BLUEGREEN_KONG_ADMIN_URL": admin or world.admin, "BLUEGREEN_KONG_PROXY_URL": world.proxy}
        return {**self.room.stack.environment(), **doors}


def _seconds(ended: Ended) -> float | None:
    """From the start of a rollback by hand to its last proof."""
    facts = (ended.outputs or {}).get("facts") or {}
    return max((float(app["seconds"]) for app in facts.get("apps", ())), default=None)


def _alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
