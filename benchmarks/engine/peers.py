"""What `pulumi up` costs anybody: an empty program, and the very same program on a provider that does nothing.

Both run in the environment of the stack they stand beside, with their own state, so they can take turns with it.
"""

import shutil
import subprocess
import time

import yaml

from benchmarks.row import NotMeasured
from sandbox.stack import ROOT, Stack

QUIET = ("up", "--yes", "--skip-preview", "--expect-no-changes")
RUNTIME = {"name": "python", "options": {"toolchain": "pip", "virtualenv": str(ROOT / ".venv")}}
PROVIDER = """#!/bin/sh
cd {root} && exec {root}/.venv/bin/python -m benchmarks.engine.trivial "$@"
"""


class Peer:
    """A program in a folder of its own, with a state of its own."""

    def __init__(self, stack: Stack, name: str, project: dict[str, object]) -> None:
        self._stack = stack
        self.folder = stack.world.data / name
        self.folder.mkdir()
        self.state = self.folder / "state"
        (self.folder / "Pulumi.yaml").write_text(yaml.safe_dump({**project, "runtime": RUNTIME}), encoding="utf-8")
        self._environment = {**stack.environment(), "PULUMI_BACKEND_URL": f"file://{self.state}"}

    def run(self, *arguments: str) -> float:
        """The seconds of one engine command, from its start to its exit."""
        began = time.monotonic()
        done = subprocess.run(
            [str(self._stack.cli.pulumi), *arguments, "--stack", self._stack.name, "--non-interactive"],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stderr + done.stdout)[-1500:]
            raise NotMeasured(f"The peer's pulumi {arguments[0]} ended with {done.returncode}: {said}")
        return time.monotonic() - began


class Empty(Peer):
    """The least program that Pulumi runs in Python."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack, "empty", {"name": "empty"})
        (self.folder / "__main__.py").write_text("import pulumi\n", encoding="utf-8")
        self.state.mkdir()
        self.run("stack", "init")
        self.run(*QUIET[:-1])

    def up(self) -> float:
        """An update with nothing to do."""
        return self.run(*QUIET)


class Trivial(Peer):
    """The stack's own program and a copy of its state, on a provider that does nothing."""

    def __init__(self, stack: Stack) -> None:
        providers = [{"name": "bluegreen", "path": "./provider"}]
        super().__init__(stack, "trivial", {"name": "velro", "plugins": {"providers": providers}})
        for part in ("__main__.py", "components", "bluegreen", "sandbox", "migrations"):
            (self.folder / part).symlink_to(ROOT / part)
        started = self.folder / "provider" / "pulumi-resource-bluegreen"
        started.parent.mkdir()
        started.write_text(PROVIDER.format(root=ROOT), encoding="utf-8")
        started.chmod(0o755)
        shutil.copytree(stack.folder / "state", self.state)
        self._config = ("--config-file", str(stack.file))
        self.up()

    def up(self) -> float:
        """An update with nothing to do."""
        return self.run(*QUIET, *self._config)
