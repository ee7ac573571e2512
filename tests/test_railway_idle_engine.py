"""An idle colour that is stopped and brought back, through the real engine: one box, told once."""

from pathlib import Path
from typing import Any

from tests.box import Box, box, moment, touched


def idle(here: Box, wanted: str) -> None:
    """Edit the one line that says whether what is idle runs."""
    here.stack.config["velro:apps"]["backend"]["idle"] = wanted
    here.stack.write()


def service(here: Box, colour: str) -> dict[str, Any]:
    """What state holds of this colour's service."""
    resources = here.stack.exported()["deployment"]["resources"]
    found = [each for each in resources if each["urn"].endswith(f"railway:Service::backend-{colour}")]
    assert len(found) == 1
    outputs: dict[str, Any] = found[0]["outputs"]
    return outputs


def test_a_stopped_colour_is_restarted_and_probed_before_traffic_moves_to_it(tmp_path: Path) -> None:
    with box(tmp_path) as here:
        here.both()
        before = service(here, "green")["deploymentId"]
        idle(here, "stopped")
        assert touched(here.ok("--skip-preview")) == ["update railway:Service backend-green"]
        assert service(here, "green")["status"] == "STOPPED"

        here.stack.shift("green")
        idle(here, "running")
        run = here.ok("--skip-preview")
        restarted, moved = "update railway:Service backend-green", "update rollout:Traffic traffic"
        assert touched(run) == [restarted, moved]
        assert moment(run, restarted) < moment(run, moved, "pre")
        assert f"backend-green: restarted, deployment {before} runs again" in run.output
        assert (service(here, "green")["deploymentId"], here.weights()) == (before, {"blue": 0, "green": 100})
