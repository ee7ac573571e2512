"""A runner for this project's own workflows: every `run:` line is executed as GitHub would, in a clone of a local hub.

What it carries out: jobs with their `if:`, `needs:`, `env:`, matrix and `environment:`, reusable workflows, the shells
as they are declared, and the files behind GITHUB_ENV, GITHUB_OUTPUT and GITHUB_STEP_SUMMARY. What it does not run are
the actions below, each with what stands in for it; any other `uses:` is an error. What only GitHub does is not here:
approvals, the queue of a concurrency group, tokens and what they may.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from sandbox.stack import ROOT
from tests.workflow_expressions import Functions, filled, holds

WORKFLOWS = ROOT / ".github" / "workflows"
PARTS = ("bin", "bluegreen", "components", "migrations", "policies", "sandbox", "toolchain", ".github")
FILES = ("Pulumi.yaml", "__main__.py", "Makefile", ".gitignore", "pyproject.toml", "requirements.txt")
NUMBER = "4712"  # of the run
GH = """#!/bin/sh
# The wire of GitHub: what was asked is written down; what is answered is a file beside it.
printf '%s\\n' "$*" >> "${0%/*}/../gh.log"
case "$1 $2" in
    "pr create") echo "https://github.test/velro/shop/pull/7" ;;
    "run list") echo 4711; echo 4712 ;;
    "issue list") cat "${0%/*}/../issue" 2> /dev/null || true ;;
    *) cat "${0%/*}/../answer" 2> /dev/null || true ;;
esac
"""
DECLINES = """#!/bin/sh
while read -r _ _ name; do
    if [ "$name" = refs/heads/main ] && [ -e protected ]; then
        echo "error: GH006: Protected branch update failed for refs/heads/main." >&2
        exit 1
    fi
done
"""
WHO = {
    "GIT_AUTHOR_NAME": "ann",
    "GIT_AUTHOR_EMAIL": "ann@shop.test",
    "GIT_COMMITTER_NAME": "ann",
    "GIT_COMMITTER_EMAIL": "ann@shop.test",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


@dataclass
class Step:
    """One `run:` step: its name, how it ended, and what it said."""

    name: str
    code: int
    said: str


@dataclass
class Job:
    """One job that ran, in a clone of its own."""

    name: str
    environment: str
    folder: Path
    steps: list[Step] = field(default_factory=list)
    summary: str = ""
    artifacts: dict[str, list[str]] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """Zero, or how the first step that failed ended."""
        return next((step.code for step in self.steps if step.code), 0)

    @property
    def said(self) -> str:
        return "\n".join(step.said for step in self.steps)


class Hub:
    """A bare repository with the project and a stack's file on `main`, and everybody's way to it."""

    def __init__(self, folder: Path, stack_file: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.name = folder, stack_file.name
        self.bare = folder / "hub.git"
        self.runner = {**environment, **WHO}
        self.before: Callable[[Path], None] = lambda place: None  # what else happens before a job
        self._runs = count(1)
        first = folder / "first"
        for name in PARTS:
            shutil.copytree(ROOT / name, first / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            shutil.copy2(ROOT / name, first / name)
        shutil.copy2(stack_file, first / self.name)
        (folder / "bin").mkdir()
        _program(folder / "bin" / "gh", GH)
        self.git("init", "-q", "--bare", "-b", "main", str(self.bare), at=folder)
        _program(self.bare / "hooks" / "pre-receive", DECLINES)
        for arguments in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-qm", "Begin")):
            self.git(*arguments, at=first)
        self.git("push", "-q", str(self.bare), "main", at=first)

    def git(self, *arguments: str, at: Path | None = None) -> str:
        """What git says, at the hub or in a clone."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=at or self.bare,
            env={**os.environ, **WHO},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    @property
    def log(self) -> list[str]:
        """The subjects on main, oldest first."""
        return self.git("log", "--reverse", "--format=%s", "main").splitlines()

    @property
    def file(self) -> dict[str, Any]:
        """The stack's config on main."""
        found: dict[str, Any] = yaml.safe_load(self.text)["config"]
        return found

    @property
    def text(self) -> str:
        return self.git("show", f"main:{self.name}")

    @property
    def asked(self) -> list[str]:
        """What was asked of GitHub, and forgotten with that."""
        log = self.folder / "gh.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def protect(self, *, on: bool) -> None:
        """Main takes no pushes."""
        mark = self.bare / "protected"
        if on:
            mark.touch()
        else:
            mark.unlink()

    def workspace(self) -> Path:
        """A runner's clone at where main is, nothing left of what was done in it; with the tools that a setup makes.

        It is one place for all jobs, as a runner's is: what Python has compiled stays.
        """
        place = self.folder / "work"
        if not place.exists():
            self.clone(place)
        self.git("fetch", "-q", "origin", at=place)
        self.git("checkout", "-q", "--force", "-B", "main", "origin/main", at=place)
        self.git("clean", "-qffdx", "-e", ".venv", "-e", ".toolchain", "-e", "__pycache__", at=place)
        self.before(place)
        return place

    def clone(self, place: Path) -> Path:
        """A clone of the hub, with the tools that a setup makes."""
        self.git("clone", "-q", str(self.bare), str(place), at=self.folder)
        for name in (".venv", ".toolchain"):
            (place / name).symlink_to(ROOT / name)
        (place / ".git" / "info" / "exclude").write_text(".venv\n.toolchain\n", encoding="utf-8")
        return place

    def prepared(self, subject: str, edit: Callable[[str], str]) -> Path:
        """Somebody's clone with a commit of the stack's file, which nobody else has yet."""
        place = self.folder / f"person-{next(self._runs)}"
        self.git("clone", "-q", str(self.bare), str(place), at=self.folder)
        file = place / self.name
        before = file.read_text(encoding="utf-8")
        after = edit(before)
        assert after != before
        file.write_text(after, encoding="utf-8")
        self.git("commit", "-qam", subject, at=place)
        return place


@dataclass
class Runner:
    """Carries out the jobs of one workflow."""

    hub: Hub
    variables: Mapping[str, str]
    secrets: Mapping[str, str]

    def dispatch(self, workflow: str, **inputs: str) -> list[Job]:
        """As `gh workflow run WORKFLOW -f name=value …` does: every job of it that is to run."""
        told = _read(workflow)
        known = _on(told)["workflow_dispatch"]["inputs"]
        assert inputs.keys() <= known.keys(), inputs
        given = {name: inputs.get(name, each.get("default", "")) for name, each in known.items()}
        for name, each in known.items():
            assert each["type"] != "choice" or given[name] in each["options"], (name, given[name])
        return list(self._jobs(told, self._context("workflow_dispatch", given, {})))

    def event(self, workflow: str, name: str, payload: Mapping[str, Any], *only: str) -> list[Job]:
        """As an event that a workflow listens to; `only` names jobs, and rows of a matrix by a value."""
        told = _read(workflow)
        assert name in _on(told)
        return list(self._jobs(told, self._context(name, {}, payload), only))

    def step(self, workflow: str, name: str, place: Path, **inputs: str) -> Step:
        """One step by itself, in this clone: for what runs at the very moment at which another one does."""
        told = _read(workflow)
        [step] = [each for job in told["jobs"].values() for each in job["steps"] if each.get("name") == name]
        context = self._context("workflow_dispatch", inputs, {})
        own = {key: str(filled(value, context, _functions(lambda: False))) for key, value in step["env"].items()}
        whole = {**self.hub.runner, **own, "PATH": f"{self.hub.folder / 'bin'}:{self.hub.runner['PATH']}"}
        return _ran(step, told["defaults"]["run"], place, whole)

    def group(self, workflow: str, **inputs: str) -> str:
        """The concurrency group of a run."""
        context = self._context("workflow_dispatch", inputs, {})
        return str(filled(_read(workflow)["concurrency"]["group"], context, _functions(lambda: False)))

    def _context(self, name: str, inputs: Mapping[str, str], payload: Mapping[str, Any]) -> dict[str, Any]:
        github = {
            "event_name": name,
            "event": payload,
            "repository": "velro/shop",
            "sha": self.hub.git("rev-parse", "main"),
            "run_id": NUMBER,
            "run_attempt": "1",
            "token": "a-token",
            "actor": "ann",
        }
        return {"github": github, "inputs": inputs, "vars": self.variables, "secrets": self.secrets}

    def _jobs(self, told: Mapping[str, Any], context: Mapping[str, Any], only: Sequence[str] = ()) -> Iterator[Job]:
        ended = dict[str, bool]()
        for name, job in told["jobs"].items():
            needed = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
            well = all(ended.get(each, False) for each in needed)
            if only and name not in only:
                continue
            if not holds(job.get("if"), context, _functions(partial(bool, not well))):
                continue
            ran = list(self._job(name, job, told, context, only))
            ended[name] = all(each.code == 0 for each in ran)
            yield from ran

    def _job(
        self,
        name: str,
        job: Mapping[str, Any],
        told: Mapping[str, Any],
        context: Mapping[str, Any],
        only: Sequence[str],
    ) -> Iterator[Job]:
        functions = _functions(lambda: False)
        if called := job.get("uses"):
            other = _read(called.removeprefix("./.github/workflows/"))
            known = _on(other)["workflow_call"]["inputs"]
            given = {key: filled(value, context, functions) for key, value in job.get("with", {}).items()}
            assert given.keys() <= known.keys(), given
            assert all(key in given for key, each in known.items() if each.get("required")), given
            inputs = {key: given.get(key, each.get("default", "")) for key, each in known.items()}
            yield from self._jobs(other, {**context, "inputs": inputs})
            return
        for row in _matrix(job):
            if row and only and not set(row.values()) & set(only):
                continue
            inner = {**context, "matrix": row}
            yield self._carried_out(name, job, told, inner)

    def _carried_out(self, name: str, job: Mapping[str, Any], told: Mapping[str, Any], context: dict[str, Any]) -> Job:
        place, files = self.hub.folder / f"none-{name}", self.hub.folder / "files" / name
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir(parents=True)
        names = ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
        github = {each: str(files / each) for each in names}
        for file in github.values():
            Path(file).touch()
        state = {"failed": False}
        functions = _functions(lambda: state["failed"])
        done = Job(name, str(filled(job.get("environment", ""), context, functions)), place)
        context["steps"] = {}
        shared = {**told.get("env", {}), **job.get("env", {})}
        env = {key: str(filled(value, context, functions)) for key, value in shared.items()}
        standard = (job.get("defaults") or told.get("defaults") or {}).get("run", {})
        for step in job["steps"]:
            if not holds(step.get("if"), {**context, "env": env}, functions):
                continue
            if "uses" in step:
                done.folder = self._stood_in(step, done, context, functions)
                continue
            assert "${{" not in step["run"], "what comes from outside reaches a shell through its environment alone"
            own = {key: str(filled(value, context, functions)) for key, value in step.get("env", {}).items()}
            named = dict(line.split("=", 1) for line in _lines(github["GITHUB_ENV"]))
            built = {"GITHUB_RUN_ID": NUMBER, "GITHUB_REPOSITORY": "velro/shop", "GITHUB_SHA": context["github"]["sha"]}
            whole = {**self.hub.runner, **github, **built, **env, **named, **own}
            whole["PATH"] = f"{self.hub.folder / 'bin'}:{whole['PATH']}"
            ran = _ran(step, standard, done.folder, whole)
            done.steps.append(ran)
            state["failed"] |= bool(ran.code) and not step.get("continue-on-error", False)
            if "id" in step:
                outputs = dict(line.split("=", 1) for line in _lines(github["GITHUB_OUTPUT"]))
                context["steps"][step["id"]] = {"outputs": outputs}
        done.summary = Path(github["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")
        return done

    def _stood_in(self, step: Mapping[str, Any], job: Job, context: Mapping[str, Any], functions: Functions) -> Path:
        """What stands in for an action."""
        action = str(step["uses"]).partition("@")[0]
        given = {key: filled(value, context, functions) for key, value in step.get("with", {}).items()}
        match action:
            case "actions/checkout":  # a clone of the hub, whole where the whole history is asked for
                return self.hub.workspace()
            case "./.github/actions/setup":  # the tools are in the clone already
                return job.folder
            case "actions/upload-artifact":  # what would be kept
                kept = [job.folder / line for line in given["path"].split()]
                names = [str(at.relative_to(job.folder)) for path in kept for at in path.rglob("*") if at.is_file()]
                job.artifacts[given["name"]] = sorted(names)
                return job.folder
            case _:
                raise AssertionError(f"nothing stands in for {action}")


def _ran(step: Mapping[str, Any], standard: Mapping[str, Any], folder: Path, env: Mapping[str, str]) -> Step:
    """One `run:` in the shell that it declares: only `shell: bash` minds what fails in the middle of a pipe."""
    shell = step.get("shell", standard.get("shell"))
    command = {None: ["bash", "-e"], "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"]}[shell]
    script = folder.parent / "step.sh"
    script.write_text(step["run"], encoding="utf-8")
    place = folder / step.get("working-directory", ".")
    done = subprocess.run(
        [*command, str(script)],
        cwd=place,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Step(str(step.get("name", step["run"])), done.returncode, f"{done.stdout}{done.stderr}")


def _functions(failed: Callable[[], bool]) -> Functions:
    return {
        "success": lambda: not failed(),
        "failure": failed,
        "always": lambda: True,
        "cancelled": lambda: False,
        "format": lambda text, *given: text.format(*given),
    }


def _matrix(job: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = (job.get("strategy") or {}).get("matrix") or {}
    rows: list[dict[str, Any]] = [{}]
    for key, values in found.items():
        rows = [{**row, key: value} for row in rows for value in values]
    return rows


def _read(workflow: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((WORKFLOWS / workflow).read_text(encoding="utf-8"))
    return found


def _on(told: Mapping[Any, Any]) -> dict[str, Any]:
    found = told[True]  # YAML 1.1 reads the key `on` as a truth value
    return dict(found)


def _lines(file: str) -> list[str]:
    return [line for line in Path(file).read_text(encoding="utf-8").splitlines() if "=" in line]


def _program(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)
