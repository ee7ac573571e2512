"""What is marked as ours and looked after by nobody: it is found, and pruned only when that is safe."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.stack import ROOT
from tests.box import Box, box
from tests.published import fitting

OURS = {"tags": ["owner:velro.sandbox"]}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with box(tmp_path_factory.mktemp("orphans")) as one:
        one.bootstrap()
        yield one


def orphans(here: Box, *options: str) -> tuple[int, dict[str, Any]]:
    command = [str(ROOT / "bin" / "bluegreen"), "orphans", "--stack", here.stack.name, "--json", *options]
    done = subprocess.run(command, cwd=ROOT, env=here.stack.environment(), capture_output=True, text=True, check=False)
    return done.returncode, fitting("orphans", done.stdout)


def left_behind(here: Box) -> None:
    """What a crashed deployer of an older program might leave: a service with a route and a plugin on it."""
    here.admin("PUT", "/upstreams/old", OURS)
    here.admin("PUT", "/services/old", {"host": "old", **OURS})
    here.admin("PUT", "/routes/old", {"paths": ["/old"], "service": {"name": "old"}, **OURS})
    here.admin("PUT", "/plugins/old-cors", {"name": "cors", "route": {"name": "old"}, **OURS})


ALL = ["plugin old-cors", "route old", "service old", "upstream old"]


def test_a_stack_that_was_just_updated_has_no_orphan(here: Box) -> None:
    assert orphans(here) == (0, orphans(here)[1])
    assert orphans(here)[1]["facts"]["orphans"] == []


def test_orphans_are_told_and_left_alone_until_they_are_pruned_leaf_first(here: Box) -> None:
    left_behind(here)
    code, told = orphans(here)
    assert (code, told["facts"]["orphans"]) == (14, ALL)
    code, told = orphans(here, "--prune")
    assert (code, told["facts"]["deleted"]) == (0, ALL)
    assert (orphans(here)[0], here.stack.run("preview", "--expect-no-changes").code) == (0, 0)


def test_what_was_there_before_the_stack_is_no_orphan_while_the_config_names_it(here: Box) -> None:
    left_behind(here)
    kinds = ("plugins/old-cors", "routes/old", "services/old")
    ids = {f"{path.replace('s/', '/', 1)}": here.admin("GET", f"/{path}")["id"] for path in kinds}
    here.stack.config["velro:adopt"] = ids
    here.stack.write()
    assert orphans(here)[1]["facts"]["orphans"] == ["upstream old"]
    del here.stack.config["velro:adopt"]
    here.stack.write()
    assert orphans(here, "--prune")[1]["facts"]["deleted"] == ALL


def test_what_something_else_still_leads_to_is_left(here: Box) -> None:
    here.admin("PUT", "/upstreams/old", OURS)
    here.admin("PUT", "/services/somebodys", {"host": "old"})
    code, told = orphans(here, "--prune")
    assert (code, told["facts"]["left"], told["facts"]["deleted"]) == (14, ["upstream old"], [])
    here.admin("DELETE", "/services/somebodys")
    assert orphans(here, "--prune")[0] == 0


def test_a_lost_state_prunes_nothing(here: Box) -> None:
    file = here.stack.folder / "state/.pulumi/stacks/velro/sandbox.json"
    whole = file.read_text(encoding="utf-8")
    state = json.loads(whole)
    state["checkpoint"]["latest"]["resources"] = []
    file.write_text(json.dumps(state), encoding="utf-8")
    before = here.tagged_ours()
    code, told = orphans(here, "--prune")
    file.write_text(whole, encoding="utf-8")
    assert (code, here.tagged_ours()) == (15, before)
    assert told["what"].startswith("pulumi preview failed: ")
