"""The command line: one sentence for every mistake, an exit code for every end, JSON for machines."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import toolchain
from sandbox.stack import ROOT
from tests.published import fitting

PROGRAM = """name: shop
runtime: python
"""
CONFIG = """config:
  shop:railway: {projectId: p, environmentId: e}
  shop:apps:
    backend:
      kind: api
      live: blue
      blue: {image: "ghcr.io/acme/backend@sha256:%s", replicas: {us-west2: 1}}
  bluegreen:kongAdminUrl: http://127.0.0.1:1
  bluegreen:kongProxyUrl: http://127.0.0.1:1
"""


@dataclass
class Project:
    """A project with a stack `test`, and the command line run in it."""

    folder: Path

    def run(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(ROOT / "bin" / "bluegreen"), *arguments],
            cwd=self.folder,
            env={**environment(self.folder), **variables},
            capture_output=True,
            text=True,
            check=False,
        )


def environment(folder: Path) -> dict[str, str]:
    return {
        **toolchain.cli().environment(os.environ),
        "PULUMI_BACKEND_URL": f"file://{folder}/state",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "COLUMNS": "200",
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("project")
    (folder / "state").mkdir()
    (folder / "Pulumi.yaml").write_text(PROGRAM, encoding="utf-8")
    command = [str(toolchain.cli().pulumi), "stack", "init", "test", "--no-select", "--non-interactive"]
    subprocess.run(command, cwd=folder, env=environment(folder), check=True, capture_output=True)
    (folder / "Pulumi.test.yaml").write_text(CONFIG % ("a" * 64), encoding="utf-8")
    return Project(folder)


def test_the_help_names_every_verb(project: Project) -> None:
    shown = project.run("--help").stdout
    assert [verb for verb in ("migrate", "orphans", "recover", "validate", "verify") if verb not in shown] == []


def test_a_colour_that_does_not_exist_is_refused_by_name(project: Project) -> None:
    done = project.run("verify", "--stack", "test", "--app", "backend", "--colour", "green")
    assert (done.returncode, done.stdout) == (
        15,
        "There is no backend-green in the config. Name an app and a colour.\n",
    )


def test_json_is_the_whole_outcome(project: Project) -> None:
    done = project.run("verify", "--stack", "test", "--app", "nobody", "--colour", "blue", "--json")
    assert fitting("verify", done.stdout) == {
        "schemaVersion": 1,
        "exit": 15,
        "what": "There is no nobody in the config.",
        "world": "",
        "next": "Name an app and a colour.",
        "facts": None,
    }


def test_a_gateway_out_of_reach_is_one_sentence_and_no_traceback(project: Project) -> None:
    done = project.run("recover", "--stack", "test")
    assert done.returncode == 15
    assert done.stdout.startswith("Kong's Admin API cannot be reached at http://127.0.0.1:1: ")
    assert "Traceback" not in done.stdout + done.stderr


def test_a_stack_that_does_not_exist_is_told_with_how_to_find_those_that_do(project: Project) -> None:
    done = project.run("recover", "--stack", "nobody")
    assert done.returncode == 15
    assert (
        "There is no stack 'nobody' where the state is kept. Nothing was changed. pulumi stack ls names" in done.stdout
    )


def test_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    done = Project(tmp_path).run("recover", "--stack", "test")
    assert (done.returncode, done.stdout) == (
        15,
        "There is no Pulumi.yaml in this directory. Nothing was changed. Change to the project's directory.\n",
    )


def test_a_machine_without_pulumi_is_told_how_to_get_it(project: Project) -> None:
    bare = os.pathsep.join(str(folder) for folder in ("/bin", "/usr/bin") if not (Path(folder) / "pulumi").exists())
    done = project.run("recover", "--stack", "test", PATH=bare)
    assert done.returncode == 15
    assert done.stdout.startswith("There is no pulumi on PATH. Nothing was changed. Install it, or run eval")


def test_a_config_that_does_not_fit_names_the_path(project: Project, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text((CONFIG % ("a" * 64)).replace("kind: api", "kind: cron"), encoding="utf-8")
    done = project.run("recover", "--stack", "test", BLUEGREEN_CONFIG_FILE=str(broken))
    assert done.returncode == 15
    assert "shop:apps.backend.kind: " in done.stdout


def test_a_checkout_without_its_python_says_so(project: Project, tmp_path: Path) -> None:
    done = project.run("--help", BLUEGREEN_PYTHON=str(tmp_path / "python"))
    assert (done.returncode, done.stderr) == (
        15,
        f"bluegreen's Python is not there: {tmp_path}/python cannot be run. Nothing was changed. "
        f"Run make setup in {ROOT}, or set BLUEGREEN_PYTHON.\n",
    )


def test_a_command_that_is_stopped_before_it_begins_says_so_in_one_sentence() -> None:
    # `python -m` imports the package before its main module: the ^C comes in between.
    early = "import sys; sys.argv = ['-m']; import bluegreen.cli; raise KeyboardInterrupt"
    done = subprocess.run([sys.executable, "-c", early], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", "Stopped before it began. Nothing was changed.\n")


@pytest.mark.parametrize("stream", [">&-", "> /dev/full", "2>&-", "2> /dev/full", "| head -c 0"])
def test_a_reader_who_is_gone_costs_what_was_to_be_read_and_not_the_exit_code(project: Project, stream: str) -> None:
    command = f"set -o pipefail; {ROOT}/bin/bluegreen rollback backend --reason none --stack test {stream}"
    whole = {**environment(project.folder), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(["bash", "-c", command], cwd=project.folder, env=whole, capture_output=True, check=False)
    assert (15, b"Traceback") == (done.returncode, b"Traceback" if b"Traceback" not in done.stderr else done.stderr)


def test_what_a_full_disk_swallowed_is_said(project: Project) -> None:
    command = f"{ROOT}/bin/bluegreen status test > /dev/full"
    whole = environment(project.folder)
    done = subprocess.run(["bash", "-c", command], cwd=project.folder, env=whole, capture_output=True, check=False)
    assert b"It could not all be printed: No space left on device." in done.stderr
