"""The real CLI with our language host and command plugin: a project of a few lines, from first preview to destroy.

Without a CLI these tests fail; they never skip.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import toolchain
from tests.held_pipe import HeldPipe
from toolchain.mode import MODE_VARIABLE

ROOT = Path(__file__).parents[1]

PROJECT = """
name: shop
runtime: {name: python, options: {toolchain: pip, virtualenv: VENV}}
"""
PROGRAM = """
import os, sys, pulumi
from pulumi_command import local

config = pulumi.Config()
if config.get("broken"):
    sys.exit(3)
check = local.Command(
    "check",
    create=config.require("create"),
    delete="echo undone >> journal",
    environment={"COLOUR": config.get("colour") or "blue", "KEY": config.get_secret("key") or ""},
    triggers=[config.get("release") or "r1"],
)
pulumi.export("said", check.stdout)
"""
PACK = """
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

def no_green(args, report):
    if args.resource_type == "command:local:Command" and args.props["environment"]["COLOUR"] == "green":
        report("green is not allowed here")

PolicyPack("rules", [ResourceValidationPolicy("no-green", "no green", no_green)], EnforcementLevel.MANDATORY)
"""


class Project:
    """A throw-away project with a backend of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        cli = toolchain.cli()
        (folder / "state").mkdir()
        backend = {"PULUMI_BACKEND_URL": f"file://{folder / 'state'}", "PULUMI_CONFIG_PASSPHRASE": "of a test"}
        self.environment = cli.environment(os.environ) | backend
        self.pulumi = cli.pulumi
        (folder / "Pulumi.yaml").write_text(PROJECT.replace("VENV", sys.prefix))
        (folder / "__main__.py").write_text(PROGRAM)
        self.run("stack", "init", "dev")

    def command(self, *arguments: str) -> list[str]:
        stack = () if arguments[0] == "stack" else ("--stack", "dev")
        return [str(self.pulumi), *arguments, *stack, "--non-interactive", "--color", "never"]

    def run(self, *arguments: str, code: int = 0) -> str:
        """What the CLI says on both streams, having ended with the code."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def configure(self, **values: str) -> None:
        config = {f"shop:{name}": value for name, value in values.items()}
        (self.folder / "Pulumi.dev.yaml").write_text(json.dumps({"config": config}))

    def up(self, **values: str) -> str:
        self.configure(**values)
        return self.run("up", "--yes", "--skip-preview")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_command_is_previewed_created_kept_updated_replaced_and_destroyed(project: Project) -> None:
    journal = project.folder / "journal"
    create = "echo $COLOUR >> journal; echo $COLOUR after $PULUMI_COMMAND_STDOUT"
    project.configure(create=create)
    preview = project.run("preview")
    assert "+  command:local:Command check create" in preview
    assert "warning" not in preview  # such as one about a language host found somewhere else
    assert not journal.exists()
    assert 'said: "blue after"' in project.up(create=create)
    assert "2 unchanged" in project.up(create=create)
    update = project.up(create=create, colour="green")
    assert "[diff: ~environment]" in update
    assert 'said: "blue after" => "green after blue after"' in update
    assert "[diff: ~triggers]" in project.up(create=create, colour="green", release="r2")
    project.run("destroy", "--yes", "--skip-preview")
    assert journal.read_text().split() == ["blue", "green", "green", "undone", "undone"]


def test_a_failing_command_stops_the_update_with_one_clear_error(project: Project) -> None:
    project.configure(create="echo asset is missing; exit 7")
    said = project.run("up", "--yes", "--skip-preview", code=1)
    assert "error: the create command `echo asset is missing; exit 7` ended with exit code 7 after " in said
    assert "    asset is missing\n" in said
    assert "Traceback" not in said


def test_a_failing_program_and_a_missing_virtualenv_are_one_clear_error_each(project: Project) -> None:
    project.configure(create="true", broken="yes")
    said = project.run("preview", code=1)
    assert "the program __main__.py ended with exit code 3 before it was done. Nothing was changed." in said
    (project.folder / "Pulumi.yaml").write_text(PROJECT.replace("VENV", "nowhere"))
    said = project.run("preview", code=1)
    assert f"runtime.options.virtualenv is `nowhere`, and {project.folder / 'nowhere'} does not exist." in said
    assert "Traceback" not in said


def test_a_policy_pack_judges_a_preview(project: Project) -> None:
    pack = project.folder / "rules"
    pack.mkdir()
    runtime = "{name: python, options: {toolchain: pip, virtualenv: VENV}}".replace("VENV", sys.prefix)
    (pack / "PulumiPolicy.yaml").write_text(f"description: rules\nversion: 0.1.0\nruntime: {runtime}\n")
    (pack / "__main__.py").write_text(PACK)
    project.configure(create="true")
    project.run("preview", "--policy-pack", "rules")
    project.configure(create="true", colour="green")
    said = project.run("preview", "--policy-pack", "rules", code=1)
    assert "[mandatory]  no-green  (command:local:Command: check)" in said
    assert "green is not allowed here" in said


def test_an_interrupted_update_stops_its_command_and_ends_without_a_traceback(project: Project) -> None:
    held = HeldPipe(project.folder)
    project.configure(create="exec 3> held; sleep 300 & echo begun; wait")
    with subprocess.Popen(
        project.command("up", "--yes", "--skip-preview"),
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as up:
        assert up.stdout is not None
        try:
            before = next((line for line in up.stdout if "begun" in line), "it ended without a word of the command")
            up.send_signal(signal.SIGINT)
            said = before + up.communicate(timeout=60)[0]
        finally:
            up.kill()
    assert up.returncode == 1
    assert "was stopped, with everything it had started, because the update was cancelled" in said
    assert "Traceback" not in said
    assert held.gone()  # the sleeping child had it open
    held.close()
    assert "1 created" in project.up(create="true")  # no lock is left and nothing is pending


def test_doctor_is_content_with_what_setup_made() -> None:
    asked = [sys.executable, "-m", "toolchain", "doctor"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("WRONG")) == (0, 0), done.stdout


def test_with_the_toolchain_off_these_tests_fail_and_do_not_skip() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "judges_a_preview"],
        cwd=ROOT,
        env=os.environ | {MODE_VARIABLE: "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "BLUEGREEN_TOOLCHAIN is `off`" in done.stdout
    assert "1 error" in done.stdout
    assert "skipped" not in done.stdout
