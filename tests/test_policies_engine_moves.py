"""What the pack makes of a stack that has moved traffic: under the real engine, by the history that Traffic keeps."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.box import Box, box
from tests.test_policies_engine import violations

MOVES = {"freeze-kept": {"stacks": ["sandbox"], "windows": ["weekend"]}, "way-back-kept": {"stacks": ["sandbox"]}}
WEEKEND = {"name": "weekend", "cron": "0 0 * * 6", "duration": "48h"}


class Moved:
    """A stack that came from blue to green a moment ago."""

    def __init__(self, here: Box, folder: Path) -> None:
        self.here, self.file = here, folder / "policy-config.json"
        self.file.write_text(json.dumps(MOVES), encoding="utf-8")
        here.both()
        here.stack.shift("green")
        here.ok("--skip-preview")
        self.clean = here.stack.snapshot()

    @property
    def backend(self) -> dict[str, Any]:
        backend: dict[str, Any] = self.here.stack.config["velro:apps"]["backend"]
        return backend

    def told(self) -> list[tuple[str, str, str]]:
        """Rule, resource and first words of what the pack says to a preview."""
        self.here.stack.write()
        run = self.here.stack.run("preview", "--policy-pack", "policies", "--policy-pack-config", str(self.file))
        return [(rule, name, sentence.partition(",")[0]) for rule, name, sentence in violations(run)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    folder = tmp_path_factory.mktemp("moved")
    with box(folder) as here:
        yield Moved(here, folder)


@pytest.fixture
def moved(world: Moved) -> Moved:
    world.here.stack.restore(world.clean)
    world.here.stack.config["velro:rollout"]["freeze"] = [WEEKEND]
    return world


def test_a_stack_that_keeps_its_freeze_and_its_way_back_breaks_no_rule(moved: Moved) -> None:
    assert moved.told() == []


def test_a_freeze_that_was_taken_out_is_told_and_a_rollback_is_let_through_all_the_same(moved: Moved) -> None:
    del moved.here.stack.config["velro:rollout"]["freeze"]
    lacking = ("freeze-kept", "traffic", "traffic: rollout.freeze of stack sandbox lacks weekend. As declared")
    assert moved.told() == [lacking]
    moved.here.stack.shift("blue")
    assert moved.told() == []


def test_a_rollout_to_a_new_release_is_no_rollback(moved: Moved) -> None:
    del moved.here.stack.config["velro:rollout"]["freeze"]
    moved.here.stack.deploy("backend", "blue", "v3")
    moved.here.stack.shift("blue")
    assert [rule for rule, _, _ in moved.told()] == ["freeze-kept"]


def test_an_override_may_stand_for_a_while_after_its_rollout(moved: Moved) -> None:
    moved.here.stack.config["velro:rollout"]["freezeOverride"] = "an incident"
    assert moved.told() == []


def test_a_way_back_that_leaves_the_config_is_told(moved: Moved) -> None:
    del moved.backend["blue"]
    gone = ("way-back-kept", "traffic", "backend-blue: is gone from stack sandbox")
    assert moved.told() == [gone]
