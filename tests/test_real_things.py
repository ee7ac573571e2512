"""Nothing here is a toy: what is broken on purpose is seen, counted and told."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.asking import call
from sandbox.load import Config, Load
from sandbox.stack import KEY, ROOT
from tests.box import Box, box, kill, touched, wait


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Blue live, green deployed beside it; every test leaves it so."""
    with box(tmp_path_factory.mktemp("real")) as one:
        one.both()
        yield one


def load(here: Box, name: str) -> Load:
    return Load.start(Config(targets=(here.target(rps=80),), max_seconds=120), here.world.data / name)


def proxied(here: Box) -> int:
    """Client requests that the proxy took, by its own count, without those that probes sent to preview routes."""
    counts = call("GET", f"{here.world.admin}/__counts")
    previews = sum(int(count) for route, count in counts["routes"].items() if route != "backend-api")
    return int(counts["total"]) - previews


def pid(here: Box, colour: str) -> int:
    """The process that answers for a colour, as it says itself."""
    headers = {"X-Preview-Colour": colour, "X-Preview-App": "backend", "apikey": KEY}
    return int(call("GET", f"{here.world.proxy}/api/hello", **headers)["pid"])


def test_a_weight_changed_by_hand_shows_in_the_preview_and_is_put_right(here: Box) -> None:
    here.set_weight("blue", 60)
    preview = here.stack.run("preview", "--diff").output
    assert "~ blue: 60 => 100" in preview
    run = here.ok()
    assert (touched(run), here.weights()) == (["update rollout:Traffic traffic"], {"blue": 100})


def test_a_worker_that_never_learns_stops_the_update_before_the_old_colour_is_lowered(here: Box) -> None:
    before = here.stack.snapshot()
    here.stack.shift("green")
    with here.fault({"kind": "lag", "seconds": 3600}):
        started = here.stack.start("up", "--yes", "--skip-preview")
        blue = {100}
        while started.process.poll() is None:
            blue.add(here.weights()["blue"])
        run = started.finish()
    here.stack.restore(before)
    here.ok("--skip-preview")
    assert run.code != 0
    assert "Kong workers do not serve green 100" in run.output
    assert blue == {100}  # at every moment, not only in the end


def test_exactly_the_injected_failures_are_reported_and_the_proxy_counts_the_same_requests(here: Box) -> None:
    before = proxied(here)
    with load(here, "three") as running:
        here.stack.shift("green")
        effect = {"kind": "answer", "status": 503}
        with here.fault(effect, proxy=True, path="/api/hello", times=3, skip=20):
            here.ok("--skip-preview")
        report = running.stop()
    here.stack.shift("blue")
    here.ok("--skip-preview")
    assert (report.total.failed, report.failures) == (3, {"status 503": 3})
    assert report.total.requests == proxied(here) - before


def test_the_colours_are_two_processes_and_the_death_of_one_fails_only_its_requests(here: Box) -> None:
    blue, green = pid(here, "blue"), pid(here, "green")
    assert blue != green
    assert {blue, green} == set(here.world.apps().values())
    with load(here, "killed") as running:
        wait(lambda: len(running.records()) > 40)
        kill(green)
        wait(lambda: len(running.records()) > 120)
        report = running.stop()
        pids = {str(record.pid) for record in running.records()}
    assert (report.total.failed, pids) == (0, {str(blue)})


def test_a_failing_verification_touches_no_traffic(tmp_path: Path) -> None:
    with box(tmp_path) as one:
        one.bootstrap()
        one.stack.config["velro:apps"]["backend"]["verify"] = ["false"]
        one.stack.deploy("backend", "green", "v2")
        one.stack.shift("green")
        run = one.stack.up("--skip-preview")
        assert run.code != 0
        assert [
            event for event in run.events() if event.type == "bluegreen:rollout:Traffic" and event.op != "refresh"
        ] == []
        assert one.weights() == {"blue": 100}
        assert "'false' ended with 1" in run.output


def test_without_a_cli_the_end_to_end_tests_fail_and_do_not_skip() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_release.py"]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "BLUEGREEN_TOOLCHAIN": "off"}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1, run.stdout
    assert "skipped" not in run.stdout
    assert "BLUEGREEN_TOOLCHAIN is `off`" in run.stdout
