"""A project with the real production file in a git repository of its own, and a registry beside it: for tests."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

from typer.testing import CliRunner

from bluegreen.cli.__main__ import app
from sandbox.asking import call
from sandbox.kong import Kong
from sandbox.kong_cluster import Settings
from sandbox.registry_http import Registry
from sandbox.stack import ROOT

PRODUCTION = (ROOT / "Pulumi.production.yaml").read_bytes()
OTHER = "a" * 64
Row = tuple[int, *tuple[str, ...]]  # a weight, and further tags
WHO = {"GIT_AUTHOR_NAME": "ann", "GIT_AUTHOR_EMAIL": "ann@shop.test"}
GIT = {
    **WHO,
    "GIT_COMMITTER_NAME": "ann",
    "GIT_COMMITTER_EMAIL": "ann@shop.test",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


@dataclass
class Said:
    """What a command said, on both of its channels."""

    code: int
    outcome: dict[str, Any]
    progress: str

    @property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = self.outcome["facts"]
        return found


@dataclass
class Around:
    """What a project meets: a registry, and a Kong that knows no app yet."""

    registry: Registry
    kong: Kong

    @property
    def admin(self) -> str:
        return f"http://127.0.0.1:{self.kong.admin_port}"

    def carries(self, app: str, **rows: Row) -> None:
        """Kong has this app with these weights and tags by colour."""
        call("PUT", f"{self.admin}/upstreams/{app}", {})
        for row in call("GET", f"{self.admin}/upstreams/{app}/targets")["data"]:
            call("DELETE", f"{self.admin}/upstreams/{app}/targets/{row['id']}")
        for colour, (weight, *tags) in rows.items():
            target = {"target": f"{app}-{colour}.railway.internal:8000", "weight": weight}
            marks = ["owner:velro.production", f"colour:{colour}", *tags]
            call("POST", f"{self.admin}/upstreams/{app}/targets", {**target, "tags": marks})

    def forgets(self, app: str) -> None:
        """Kong has nothing of this app any more."""
        call("DELETE", f"{self.admin}/upstreams/{app}")


@dataclass
class Project:
    """A folder with a stack file `production`."""

    folder: Path
    around: Around | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "Pulumi.production.yaml"

    @property
    def text(self) -> str:
        return self.file.read_bytes().decode("utf-8")

    def write(self, content: bytes | str) -> None:
        self.file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))

    def git(self, *arguments: str, **environment: str) -> str:
        env = {**os.environ, **GIT, **environment}
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def begin(self) -> None:
        """Make it a repository with everything committed."""
        self.git("init", "--quiet", "-b", "main")
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", "Begin")

    def says(self, verb: str, *arguments: str, stack: str = "production", **environment: str | None) -> Said:
        """A verb here, without Pulumi."""
        where = {"BLUEGREEN_REGISTRIES": f"ghcr.io={self.around.registry.url}"} if self.around else {}
        kong = self.around.admin if self.around else "http://127.0.0.1:1"
        git = {"PATH": "/usr/bin:/bin", "BLUEGREEN_KONG_ADMIN_URL": kong, **GIT, **where, **self.environment}
        env = {**dict.fromkeys(os.environ), **git, **environment}
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            given = [verb, *arguments, "--stack", stack, "--json"]
            done = CliRunner().invoke(app, given, env=env, catch_exceptions=False)
        finally:
            os.chdir(before)
        assert done.stdout, done.stderr
        return Said(done.exit_code, json.loads(done.stdout), done.stderr)


def project(folder: Path, around: Around | None = None, **environment: str) -> Project:
    """The production file as it is; where Kong and the registry are comes from the environment."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Pulumi.yaml").write_text("name: velro\nruntime: python\n", encoding="utf-8")
    made = Project(folder, around, dict(environment))
    made.write(PRODUCTION)
    return made


@contextmanager
def served(**given: Any) -> Iterator[Around]:
    """A registry and a Kong in a thread of their own."""
    registry, kong, up, stop = Registry(**given), Kong(Settings(metrics_flush=0.0)), Event(), list[Any]()

    async def serve() -> None:
        async with registry.serving(), kong.serving():
            end = asyncio.Event()
            stop.append((asyncio.get_running_loop(), end))
            up.set()
            await end.wait()

    thread = Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(10)
    try:
        yield Around(registry, kong)
    finally:
        loop, end = stop[0]
        loop.call_soon_threadsafe(end.set)
        thread.join(10)


def pulumi(folder: Path, history: Sequence[Mapping[str, str]], config: Mapping[str, str] | None = None) -> str:
    """A PATH with a `pulumi` whose state tells of these moves, and which opens this config."""
    outputs = {"live": {}, "releases": {}, "weights": {}, "history": history}
    state = {"deployment": {"resources": [{"type": "bluegreen:rollout:Traffic", "outputs": outputs}]}}
    file = folder / "bin" / "pulumi"
    file.parent.mkdir(exist_ok=True)
    opened = {key: {"value": value} for key, value in (config or {}).items()}
    for name, said in {"stack": state, "config": opened, "whoami": {"url": "https://api.pulumi.com"}}.items():
        (file.parent / f"{name}.json").write_text(json.dumps(said), encoding="utf-8")
    file.write_text('#!/bin/sh\ncat "${0%/*}/$1.json"\n', encoding="utf-8")
    file.chmod(0o755)
    return f"{file.parent}:/usr/bin:/bin"


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The paths at which two documents differ."""
    found = []
    for key in sorted({*before, *after}):
        one, two = before.get(key), after.get(key)
        if isinstance(one, dict) and isinstance(two, dict):
            found += [f"{key}.{inner}" for inner in changed(one, two)]
        elif one != two:
            found.append(str(key))
    return found
