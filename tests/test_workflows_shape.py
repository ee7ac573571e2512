"""The workflows as text: what every one of them keeps to, whatever it does, and actionlint's word on all of them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from bluegreen.phases.told import Phase
from sandbox.stack import ROOT
from toolchain import actionlint
from toolchain.mode import cache_root

FOLDER = ROOT / ".github"
WORKFLOWS = sorted((FOLDER / "workflows").glob("*.yml"))
ACTIONS = sorted(FOLDER.glob("actions/*/action.yml"))
PINNED = re.compile(r"- uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$|uses: \./\.github/[\w./-]+$")
PAGE = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8")


def read(file: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


def jobs(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    return iter(read(file)["jobs"].items())


def named(file: Path) -> str:
    return file.parent.name if file.name == "action.yml" else file.name


def test_actionlint_has_nothing_to_say() -> None:
    assert actionlint.check(ROOT, cache_root(os.environ)) == ""


def test_actionlint_would_say_something(tmp_path: Path) -> None:
    wrong = tmp_path / ".github" / "workflows" / "wrong.yml"
    wrong.parent.mkdir(parents=True)
    wrong.write_text("on: push\njobs: {a: {runs-on: ubuntu-24.04, steps: [{run: 'echo ${{ inputs.x }}'}]}}\n")
    assert 'property "x" is not defined' in actionlint.check(tmp_path, cache_root(os.environ))


@pytest.mark.parametrize("file", [*WORKFLOWS, *ACTIONS], ids=named)
def test_every_action_is_pinned_by_commit_with_its_version_beside_it(file: Path) -> None:
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    assert [line for line in lines if not PINNED.search(line if line.startswith("-") else f"- {line}")] == []


@pytest.mark.parametrize("file", [*WORKFLOWS, *ACTIONS], ids=named)
def test_nothing_from_outside_is_written_into_a_shell(file: Path) -> None:
    told = read(file)
    steps = told["runs"]["steps"] if "runs" in told else [s for _, job in jobs(file) for s in job.get("steps", ())]
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []
    assert "pull_request_target" not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", WORKFLOWS, ids=named)
def test_every_job_has_an_end_and_no_more_rights_than_it_says(file: Path) -> None:
    told = read(file)
    called = "workflow_call" in told[True] and "workflow_dispatch" not in told[True]
    assert called or "permissions" in told
    for name, job in jobs(file):
        if "steps" not in job:
            assert job["permissions"], name
            continue
        assert job["timeout-minutes"] <= 120, name
        assert called or "permissions" in job or told["permissions"], name
        assert (told.get("defaults") or {}).get("run") == {"shell": "bash"}, "a pipe that breaks has to be noticed"
        kept = [step for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
        assert name == "check" or (all(step["if"] == "always()" for step in kept) and kept)


def test_one_deployment_at_a_time_and_never_cut_short_while_previews_are() -> None:
    groups = {file.name: (read(file).get("concurrency") or {}) for file in WORKFLOWS}
    inner = {file.name: job.get("concurrency") or {} for file in WORKFLOWS for _, job in jobs(file)}
    for name in ("production-deployment.yml", "rollback.yml"):
        assert groups[name]["cancel-in-progress"] is False
    assert inner["update.yml"] == {"group": "stack-${{ inputs.stack }}", "cancel-in-progress": False}
    assert groups["preview.yml"]["cancel-in-progress"] is True


def test_the_deployment_s_phases_are_the_verb_s_and_each_has_a_job() -> None:
    file = FOLDER / "workflows" / "production-deployment.yml"
    known = read(file)[True]["workflow_dispatch"]["inputs"]["deployment_phase"]["options"]
    assert known == list(get_args(Phase)) == [name for name, _ in jobs(file)]
    environments = {name: job["with"]["environment"] for name, job in jobs(file)}
    assert environments["traffic_switch"] == "${{ inputs.environment }}-traffic"


@pytest.mark.parametrize("file", WORKFLOWS, ids=named)
def test_every_workflow_and_what_it_reads_of_the_repository_is_documented(file: Path) -> None:
    assert f"`{file.name}`" in PAGE
    for name in re.findall(r"(?:vars|secrets)\.([A-Z_]+)", file.read_text(encoding="utf-8")):
        assert f"`{name}`" in PAGE


def test_the_page_s_commands_give_what_the_workflows_ask_for() -> None:
    shown = re.findall(r"^gh workflow run (\S+) (.*)$", PAGE, re.MULTILINE)
    assert [name for name, _ in shown] == ["production-deployment.yml", "rollback.yml"]
    for name, rest in shown:
        known = read(FOLDER / "workflows" / name)[True]["workflow_dispatch"]["inputs"]
        given = re.findall(r"-f (\w+)=", rest)
        assert set(given) <= known.keys()
        assert {key for key, each in known.items() if each.get("required")} <= set(given)
