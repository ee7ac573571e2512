"""`bluegreen migrate apply` as a person runs it: from a project's folder, with the config read by Pulumi.

The stack has no resources and no apps that answer; its state is a folder. What the command costs above the warm
process is Python's start, its imports, Pulumi's reading of the config, the dry run and the backup.
"""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from benchmarks.migrations.contenders import BASELINE, Applied, Command, Migration
from benchmarks.row import NotMeasured
from bluegreen.connections import variable
from sandbox.stack import ROOT
from toolchain import Missing, cli

STACK = "bench"
RELEASE = {"image": f"bench/app@sha256:{'0' * 64}", "replicas": {"us-west2": 1}}


class Cold:
    """A project with a stack whose one migration, 011, is whatever is applied next."""

    def __init__(self, folder: Path) -> None:
        try:
            found = cli()
        except Missing as problem:
            raise NotMeasured(str(problem)) from problem
        (folder / "state").mkdir()
        self._folder = folder
        self._environment = {
            **found.variables(),
            "PATH": f"{found.pulumi.parent}:{os.environ['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "bench",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PYTHONPATH": str(ROOT),
        }
        config = {
            "railway": {"projectId": "p", "environmentId": "e"},
            "apps": {"app": {"kind": "api", "live": "blue", "blue": RELEASE}},
            "migrations": {"target": "011", "baseline": BASELINE, "folder": str(folder / "migrations")},
        }
        project = {"name": "bench", "runtime": "python"}
        named = {f"bench:{key}": value for key, value in config.items()}
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
        (folder / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump({"config": named}), encoding="utf-8")
        self._made(str(found.pulumi))

    def __call__(self, migration: Migration, url: str, folder: Path) -> Applied:
        migration.written(self._folder / "migrations")
        line = [sys.executable, "-P", "-m", "bluegreen.cli", "migrate", "apply", "--stack", STACK, "--json"]
        return Command(line, self._folder, {**self._environment, variable("databaseUrl"): url})

    def _made(self, pulumi: str) -> None:
        line = [pulumi, "stack", "init", STACK, "--non-interactive"]
        environment = {**os.environ, **self._environment}
        done = subprocess.run(line, cwd=self._folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotMeasured(f"The stack for the command cannot be made: {done.stderr.strip()[-300:]}")
