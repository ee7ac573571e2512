"""A whole release by edits alone, through the real engine: stage, promote, revert, and git's own revert; all go up.

One sandbox, told once; every tag is resolved by the registry's API, and every step is a commit.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bluegreen.cli.__main__ import app
from sandbox.registry import resolve
from sandbox.stack_runs import Run
from sandbox.world import Member, World, free_base
from tests.box import KONG_PACE, RAILWAY_PACE, Box
from tests.stage_room import GIT, Project, Said, served

PORT = 8000  # both colours': a copy of one block is the other, so each has an address of its own instead


@dataclass
class Story:
    """What was edited, and what came of it."""

    said: dict[str, Said] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    weights: dict[str, dict[str, int]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)


class Room(Box):
    """A sandbox whose stack file is in a repository of its own."""

    def __init__(self, world: World, registry: str) -> None:
        super().__init__(world)
        self.registry = registry
        self.stack.config["velro:apps"]["backend"]["blue"]["port"] = PORT
        self.stack.write()
        self.project = Project(self.stack.folder)
        for arguments in (("init", "-q", "-b", "main"), ("add", self.stack.file.name), ("commit", "-qm", "Begin")):
            self.project.git(*arguments)

    def says(self, verb: str, *arguments: str) -> Said:
        own = {"BLUEGREEN_REGISTRIES": f"registry.sandbox={self.registry}", **GIT}
        env: dict[str, Any] = {**dict.fromkeys(os.environ), **self.stack.environment(), **own}
        before = Path.cwd()
        os.chdir(self.stack.folder)
        try:
            given = [verb, *arguments, "--stack", self.stack.name, "--json"]
            done = CliRunner().invoke(app, given, env=env, catch_exceptions=False)
        finally:
            os.chdir(before)
        return Said(done.exit_code, json.loads(done.stdout), done.stderr)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    pace: dict[Member, tuple[str, ...]] = {"kong": KONG_PACE, "railway": RAILWAY_PACE}
    folder = tmp_path_factory.mktemp("stage")
    members: tuple[Member, ...] = ("kong", "supervisor", "railway")
    with served(tokens=True) as around:
        with World(free_base(), folder, members, private_network=True, extra=pace) as world:
            yield _told(Room(world, around.registry.url))


def _told(here: Room) -> Story:
    told = Story()

    def up(step: str) -> None:
        told.files[step] = here.stack.file.read_bytes()
        told.runs[step] = here.stack.up("--skip-preview")
        assert told.runs[step].code == 0, told.runs[step].output
        told.weights[step] = here.weights()

    up("begin")
    for step, arguments in {
        "stage": ("stage", "backend", "v2", "--commit"),
        "promote": ("promote", "backend", "--commit"),
        "revert": ("revert",),
    }.items():
        told.said[step] = here.says(*arguments)
        assert told.said[step].code == 0, told.said[step]
        up(step)
    here.project.git("revert", "--no-edit", told.said["stage"].facts["commit"])
    up("git revert")
    told.log = here.project.git("log", "--reverse", "--format=%s").splitlines()
    resources = here.stack.exported()["deployment"]["resources"]
    traffic = next(one["outputs"] for one in resources if one["type"] == "bluegreen:rollout:Traffic")
    told.kinds = [done["kind"] for done in traffic["history"]]
    return told


def test_a_staged_release_is_deployed_and_carries_nothing(story: Story) -> None:
    assert story.weights["stage"] == {"blue": 100}
    assert "backend-green" in story.runs["stage"].output
    (staged,) = story.said["stage"].facts["apps"]
    assert (staged["image"], staged["tag"]) == (resolve("registry.sandbox/backend:v2"), "v2")


def test_a_promoted_release_serves_and_the_preview_was_told_as_it_is(story: Story) -> None:
    assert story.weights["promote"] == {"blue": 0, "green": 100}
    assert "rollout: backend blue → green 100 %" in story.said["promote"].facts["preview"]
    (promoted,) = story.said["promote"].facts["apps"]
    assert (promoted["back"], promoted["tag"]) == (True, "v2"), promoted
    assert "a rollback to blue" in promoted["why"]


def test_a_revert_is_the_file_as_it_was_and_takes_traffic_back_in_one_step(story: Story) -> None:
    assert story.files["revert"] == story.files["stage"]
    assert story.weights["revert"] == {"blue": 100, "green": 0}
    assert story.said["revert"].facts["live"] == {"backend": "blue"}
    assert story.kinds == ["first", "rollout", "rollback"]


def test_gits_own_revert_of_the_staging_restores_the_first_file_and_goes_up(story: Story) -> None:
    assert story.files["git revert"] == story.files["begin"]
    assert story.weights["git revert"] == {"blue": 100}
    assert story.log == [
        "Begin",
        "Stage backend v2 on green of sandbox",
        "Promote backend v2 on green of sandbox",
        'Revert "Promote backend v2 on green of sandbox"',
        'Revert "Stage backend v2 on green of sandbox"',
    ]
