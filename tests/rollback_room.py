"""A stack that went over to green a while ago, and what `bluegreen` says to whoever wants back: for tests."""

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml
from typer.testing import CliRunner

import toolchain
from bluegreen.cli.__main__ import app
from sandbox.asking import call
from sandbox.load import Config, Load, Target
from sandbox.stack import Stack
from sandbox.world import Member, World, free_base
from tests.box import KONG_PACE, RAILWAY_PACE, Box
from tests.published import fitting

APPS = ("backend", "frontend")
BARE_PATH = "/usr/bin:/bin"
OVER, BACK = {"blue": 0, "green": 100}, {"blue": 100, "green": 0}
HELLO = {"name": "api-says-hello", "app": "backend", "path": "/api/hello", "consumer": "web"}
CLOSED = {"name": "no-key", "app": "backend", "path": "/api/hello", "expect": {"status": 401}}


@dataclass
class Said:
    """What a command said, on both of its channels."""

    code: int
    outcome: dict[str, Any]
    progress: str

    @property
    def text(self) -> str:
        return " ".join(self.outcome[beat] for beat in ("what", "world", "next"))


class Room(Box):
    """A stack with two apps, v2 live on green, and v1 still there on blue."""

    def __init__(self, world: World) -> None:
        self.world, self.stack = world, Stack(world, toolchain.cli(), apps=APPS)
        self.stack.create()
        self.stack.config["velro:checks"] = [HELLO, CLOSED]
        for name in APPS:
            self.stack.deploy(name, "green", "v2")
        self.bootstrap()
        self.stack.shift("green")
        self.ok("--skip-preview")
        self.after_shift = {name: self.rows(name) for name in APPS}
        self.written = self.stack.file.read_text(encoding="utf-8")

    def as_shifted(self) -> None:
        """Kong, the config file and the reports as they were after the shift, by whatever rows."""
        self.stack.file.write_text(self.written, encoding="utf-8")
        shutil.rmtree(self.stack.folder / "reports", ignore_errors=True)
        for name, rows in self.after_shift.items():
            for colour in ("green", "blue"):
                self.write(name, colour, weight=rows[colour]["weight"], tags=rows[colour]["tags"])

    def rows(self, name: str) -> dict[str, dict[str, Any]]:
        """An app's rows by colour."""
        found = self.admin("GET", f"/upstreams/{name}/targets")["data"]
        return {tag.partition(":")[2]: row for row in found for tag in row["tags"] if tag.startswith("colour:")}

    def write(self, name: str, colour: str, **changed: Any) -> None:
        """Somebody writes a row of the gateway."""
        found, path = self.rows(name), f"/upstreams/{name}/targets"
        if colour in found:
            self.admin("PATCH", f"{path}/{found[colour]['id']}", changed)
        else:
            self.admin("POST", path, {"target": self.after_shift[name][colour]["target"], **changed})

    def tag(self, name: str, colour: str, more: str) -> None:
        self.write(name, colour, tags=[*self.rows(name)[colour]["tags"], more])

    def shares(self, name: str = "backend") -> dict[str, int]:
        return {colour: row["weight"] for colour, row in sorted(self.rows(name).items())}

    def holds(self, name: str = "backend") -> list[str]:
        """Who holds an app and why, by each of its rows."""
        tags = [tag for row in self.rows(name).values() for tag in row["tags"] if tag.startswith("hold:")]
        return [unquote(tag.removeprefix("hold:")) for tag in tags]

    def says(self, verb: str, *arguments: str, **environment: str | None) -> Said:
        """A verb in the stack's folder; a variable that is None is not there."""
        given = [verb, *arguments, "--stack", self.stack.name, "--json"]
        env = {**dict.fromkeys(os.environ), **self.stack.environment(), **environment}
        before = Path.cwd()
        os.chdir(self.stack.folder)
        try:
            done = CliRunner().invoke(app, given, env=env, catch_exceptions=False)
        finally:
            os.chdir(before)
        return Said(done.exit_code, fitting(verb, done.stdout), done.stderr)

    def without(self, key: str) -> None:
        """The config file does not say this any more."""
        said = yaml.safe_load(self.stack.file.read_text(encoding="utf-8"))
        said["config"].pop(key, None)
        self.stack.file.write_text(yaml.safe_dump(said), encoding="utf-8")

    def rolls_back(self, *arguments: str, guard: str = "0", **environment: str | None) -> Said:
        return self.says("rollback", *arguments, "--reason", "logins fail", "--guard", guard, **environment)

    def report(self) -> dict[str, Any]:
        """The one report that was written."""
        (file,) = (self.stack.folder / "reports").glob("rollback-sandbox-*.json")
        written: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return written

    @contextmanager
    def loaded(self) -> Iterator[Load]:
        """Both apps asked all the time, on kept and on new connections."""
        web = Target(app="frontend", url=self.world.proxy, path="/", host="frontend.sandbox", rps=60)
        config = Config(targets=(self.target(rps=120), web), max_seconds=120)
        with Load.start(config, self.world.data / f"load-{time.monotonic_ns()}") as load:
            yield load


@contextmanager
def room(folder: Path) -> Iterator[Room]:
    """Everything up, and v2 live."""
    pace: dict[Member, tuple[str, ...]] = {"kong": KONG_PACE, "railway": RAILWAY_PACE}
    members: tuple[Member, ...] = ("kong", "supervisor", "railway")
    with World(free_base(), folder, members, extra=pace) as world:
        yield Room(world)


def hits(here: Room) -> int:
    armed: int = call("GET", f"{here.world.admin}/__faults/test")["hits"]
    return armed


def closed_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        port: int = line.getsockname()[1]
        return port
