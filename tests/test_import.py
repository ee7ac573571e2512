"""A stack that lost what it knew takes it back with `pulumi import`, and has nothing to change afterwards."""

import json
from pathlib import Path
from typing import Any

from tests.box import Box, box, touched

URN = "urn:pulumi:sandbox::velro::"
GATEWAY = f"{URN}bluegreen:components:Gateway::gateway"
GREEN = f"{URN}bluegreen:components:Colour::backend-green"


def forget(here: Box, token: str, name: str) -> None:
    """Take one resource out of state, as if somebody had lost it."""
    state = here.stack.exported()
    resources = state["deployment"]["resources"]
    urn = next(resource["urn"] for resource in resources if (resource["type"], _name(resource)) == (token, name))
    kept = [resource for resource in resources if resource["urn"] != urn]
    for resource in kept:
        resource["dependencies"] = [known for known in resource.get("dependencies") or () if known != urn]
        by_property = resource.get("propertyDependencies") or {}
        resource["propertyDependencies"] = {
            key: [known for known in urns or () if known != urn] for key, urns in by_property.items()
        }
    state["deployment"]["resources"] = kept
    file = here.world.data / "state.json"
    file.write_text(json.dumps(state), encoding="utf-8")
    assert here.stack.run("stack", "import", "--file", str(file)).code == 0


def take_back(here: Box, token: str, name: str, id: str, parent: str | None = None) -> None:
    under = ("--parent", f"parent={parent}") if parent else ()
    options = ("--yes", "--skip-preview", "--generate-code=false", "--protect=false")
    run = here.stack.run("import", token, name, id, *options, *under)
    assert run.code == 0, run.output


def _name(resource: dict[str, Any]) -> str:
    return str(resource["urn"]).rpartition("::")[2]


def test_what_was_forgotten_is_imported_and_needs_no_change(tmp_path: Path) -> None:
    with box(tmp_path) as here:
        here.both()
        for token, name, id, parent in (
            ("bluegreen:rollout:Traffic", "traffic", "backend", None),
            ("bluegreen:kong:Route", "backend-green-probe", "backend-green-probe", GATEWAY),
            ("bluegreen:kong:Upstream", "backend", "backend", GATEWAY),
            ("bluegreen:railway:Service", "backend-green", "backend-green", GREEN),
        ):
            forget(here, token, name)
            take_back(here, token, name, id, parent)
        run = here.ok()
        # An import cannot know how traffic is wanted to move: that one input comes with the next update.
        assert touched(run) == ["update rollout:Traffic traffic"]
        assert here.weights() == {"blue": 100}
