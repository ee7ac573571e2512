"""Where a drill happens: a world with two gateway nodes, a stack with two apps on it, and what stands in Kong.

The stack is brought up by the real engine, once there and once back, so that what is known of the traffic resource is
what the engine wrote. From then on every case begins with Kong's rows as they were, put there by hand.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sandbox.asking import call
from sandbox.drill_engine import Known
from sandbox.kong_journal import FILE
from sandbox.ports import COLOURS, Colour
from sandbox.stack import Stack
from sandbox.stack_runs import Run
from sandbox.world import World
from toolchain import Cli

APPS = ("backend", "frontend")
NODES = 2
STEPS = ({"setWeight": 25}, {"setWeight": 50}, {"setWeight": 100})
TRAFFIC = "bluegreen:rollout:Traffic"
METHODS = {"create": "POST", "update": "PATCH", "delete": "DELETE"}
LEFT = ("move:", "hold:", "approved:")  # tags that no case may leave behind
PATIENCE = 60.0


class Broken(Exception):
    """The drill itself could not go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a command, as Kong saw it: the how-manieth of its method it was, and what it did."""

    number: int
    method: str
    before: int  # of the same method, by the same command
    said: str


class Room:
    """A stack that is live on blue, with green deployed beside it."""

    def __init__(self, world: World, cli: Cli) -> None:
        self.world = world
        self.stack = Stack(world, cli, apps=APPS)
        self.stack.create()
        self.stack.config["velro:gateway"]["nodes"] = world.nodes
        for app in APPS:
            self.stack.deploy(app, "green", "v2")
        self.up()
        self.known: dict[Colour, Known] = {"blue": self._known()}
        self.stack.shift("green")
        self.up()
        self.known["green"] = self._known()
        self._rows = {app: self.rows(app) for app in APPS}
        self.standing: dict[str, Any] | None = (
            None  # a fault of Kong in every case: so that a drill can be seen to fail
        )

    def up(self) -> Run:
        """A real update that has to succeed."""
        run = self.stack.up("--skip-preview")
        if run.code != 0:
            raise Broken(f"pulumi up ended with {run.code}:\n{run.output[-2000:]}")
        return run

    def news(self, goal: Colour, apps: Sequence[str]) -> dict[str, Any]:
        """The inputs of an update that wants these apps there, in steps."""
        inputs = json.loads(json.dumps(self.known["blue"].inputs))
        for app in apps:
            inputs["lanes"][app] = json.loads(json.dumps(self.known[goal].inputs["lanes"][app]))
        for lane in inputs["lanes"].values():
            lane.pop("weights", None)
        inputs["rollout"]["steps"] = list(STEPS)
        return dict(inputs)

    def rows(self, app: str) -> dict[str, dict[str, Any]]:
        """An app's rows by colour."""
        found = call("GET", f"{self.world.admin}/upstreams/{app}/targets")["data"]
        return {tag.partition(":")[2]: row for row in found for tag in row["tags"] or () if tag.startswith("colour:")}

    def weights(self, app: str) -> dict[str, int]:
        return {colour: row["weight"] for colour, row in self.rows(app).items()}

    def reset(self, live: Mapping[str, Colour]) -> None:
        """Every row as it was when this colour of that app was live, whatever happened since; raised before lowered."""
        call("DELETE", f"{self.world.admin}/__faults")
        for app, colour in live.items():
            wanted = self._rows[app]
            for each in sorted(COLOURS, key=lambda one: one != colour):
                body = {"weight": 100 if each == colour else 0, "tags": wanted[each]["tags"]}
                self._write(app, each, str(wanted[each]["target"]), body)
        if self.standing is not None:
            call("PUT", f"{self.world.admin}/__faults/standing", self.standing)

    def _write(self, app: str, colour: Colour, target: str, body: dict[str, Any]) -> None:
        path, found = f"{self.world.admin}/upstreams/{app}/targets", self.rows(app)
        if colour in found:
            call("PATCH", f"{path}/{found[colour]['id']}", body)
        else:
            call("POST", path, {"target": target, **body})

    def left(self, live: Mapping[str, Colour]) -> str:
        """What is not as it must be at the end of a case; empty when every app is whole on its colour."""
        wrong = []
        for app, colour in live.items():
            rows = self.rows(app)
            weights = {each: row["weight"] for each, row in rows.items()}
            if weights != {each: 100 if each == colour else 0 for each in weights} or colour not in weights:
                wrong.append(f"{app} has {weights}, and {colour} is wanted")
            tags = [tag for row in rows.values() for tag in row["tags"] if tag.startswith(LEFT)]
            wrong += [f"{app} still has {tag}" for tag in tags]
        return "; ".join(wrong)

    def mark(self) -> int:
        """Where Kong's journal ends now."""
        return len(self._journal())

    def writes(self, since: int) -> list[Write]:
        """Every write on a target since then, in Kong's order."""
        lines = [json.loads(line) for line in self._journal()[since:]]
        rows = [line for line in lines if line.get("kind") == "targets"]
        methods = [METHODS[line["operation"]] for line in rows]
        return [
            Write(number, method, methods[:number].count(method), _said(method, line["row"]))
            for number, (method, line) in enumerate(zip(methods, rows, strict=True))
        ]

    @contextmanager
    def fault(self, effect: dict[str, Any], write: Write) -> Iterator[None]:
        """Armed for exactly this write, inside the block."""
        where = {"method": write.method, "path": "/upstreams/*/targets*", "skip": write.before}
        call("PUT", f"{self.world.admin}/__faults/drill", {"where": where, "effect": effect})
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """What was held up happens now."""
        call("DELETE", f"{self.world.admin}/__faults/drill")

    def met(self) -> bool:
        """Whether the armed write has come."""
        return bool(call("GET", f"{self.world.admin}/__faults/drill")["hits"])

    def _journal(self) -> list[str]:
        file = next(self.world.data.rglob(FILE))
        return file.read_text(encoding="utf-8").splitlines()

    def _known(self) -> Known:
        resources = self.stack.exported()["deployment"]["resources"]
        found = next(each for each in resources if each["type"] == TRAFFIC)
        return Known(found["urn"], found["id"], found["inputs"], found["outputs"])


def until(what: Any, patience: float = PATIENCE) -> bool:
    """Wait until it is so; whether it became so in time."""
    end = time.monotonic() + patience
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _said(method: str, row: Mapping[str, Any]) -> str:
    colour = next((tag.partition(":")[2] for tag in row["tags"] or () if tag.startswith("colour:")), "?")
    weight = "" if method == "DELETE" else f" {row['weight']}"
    return f"{method} {colour}{weight}"
