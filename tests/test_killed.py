"""The deployer dies, or is asked to stop, in the middle of a move: traffic flows on, and one command makes it whole."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.load import Config, Load
from sandbox.load_tally import Report
from sandbox.stack import ROOT
from tests.box import Box, alive, box, children, kill, wait
from tests.published import fitting

HELD: dict[str, Any] = {"kind": "hold"}  # on the lowering write, for as long as the deployer is being killed
SLOW: dict[str, Any] = {"kind": "slow", "seconds": 6}  # the same for a deployer that has to hear of something first
LOWERING: dict[str, Any] = {
    "method": "PATCH",
    "path": "/upstreams/backend/targets/*",
}  # raising green creates its row: a POST


def load(here: Box) -> Load:
    return Load.start(Config(targets=(here.target(rps=60),), max_seconds=120), here.world.data / "load")


def recover(here: Box) -> "subprocess.CompletedProcess[str]":
    command = [str(ROOT / "bin" / "bluegreen"), "recover", "--stack", here.stack.name, "--json"]
    return subprocess.run(command, cwd=ROOT, env=here.stack.environment(), capture_output=True, text=True, check=False)


def end_in_the_middle(here: Box, whom: str) -> None:
    """Start a shift, kill the CLI or the provider between raise and lower, and wait until nothing of it runs."""
    here.stack.shift("green")
    # A provider takes its write with it; as an orphan it has to notice that it is one before the write is answered.
    with here.fault(SLOW if whom == "cli" else HELD, **LOWERING):
        started = here.stack.start("up", "--yes", "--skip-preview")
        wait(lambda: here.weights() == {"blue": 100, "green": 100})
        part = children(started.process.pid)
        # The engine runs one provider process for the refresh and one for the update: both are the provider.
        providers = [pid for pid, command in part.items() if "bluegreen.provider" in command]
        assert providers, part
        killed = [started.process.pid] if whom == "cli" else providers
        for pid in killed:
            kill(pid)
        started.finish()
        assert not any(alive(pid) for pid in killed)
        wait(lambda: not any(alive(pid) for pid in part))


@contextlib.contextmanager
def sleeping(pids: Collection[int]) -> Iterator[None]:
    """They stand still: however long a recover takes, none of them gives its write up meanwhile."""
    tell(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        tell(pids, signal.SIGCONT)


def tell(pids: Collection[int], what: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # what the engine asks of git, say, ends by itself
            os.kill(pid, what)


def whole(here: Box, report: Report) -> None:
    """One live colour, no mark, no lock, no pending operation; and no request failed on the way."""
    assert (here.weights(), [tag for tag in here.tags() if tag.startswith("move:")]) == ({"blue": 0, "green": 100}, [])
    assert list((here.stack.folder / "state").rglob("locks/**/*.json")) == []
    assert here.stack.exported()["deployment"].get("pending_operations", []) == []
    assert (report.total.failed, report.failures) == (0, {})
    assert report.total.requests > 100


@pytest.mark.parametrize("whom", ["cli", "provider"])
def test_a_deployer_killed_between_raise_and_lower_loses_nothing(whom: str, tmp_path: Path) -> None:
    with box(tmp_path) as here:
        here.both()
        with load(here) as running:
            end_in_the_middle(here, whom)
            assert any(here.weights().values())
            recovered = recover(here)
            assert recovered.returncode == 0, recovered.stderr + recovered.stdout
            assert here.weights() == {"blue": 100, "green": 0}
            here.ok("--skip-preview")
            whole(here, running.stop())


def test_recover_says_what_it_did(tmp_path: Path) -> None:
    with box(tmp_path) as here:
        here.both()
        end_in_the_middle(here, "cli")
        outcome = fitting("recover", recover(here).stdout)
        assert (outcome["exit"], outcome["facts"]["takenBack"], outcome["facts"]["live"]) == (
            0,
            ["backend"],
            {"backend": "blue"},
        )
        assert "The lock of process" in outcome["what"]
        again = fitting("recover", recover(here).stdout)
        assert again["what"] == "No move was unfinished. The stack was not locked."


def test_recover_never_touches_an_update_that_is_alive(tmp_path: Path) -> None:
    with box(tmp_path) as here:
        here.both()
        here.stack.shift("green")
        with here.fault(HELD, **LOWERING):
            started = here.stack.start("up", "--yes", "--skip-preview")
            wait(lambda: here.weights() == {"blue": 100, "green": 100})
            refused = recover(here)
        run = started.finish()
        assert refused.returncode == 16
        assert f"The stack is held by process {started.process.pid} " in json.loads(refused.stdout)["what"]
        assert (run.code, here.weights()) == (0, {"blue": 0, "green": 100})


def test_the_next_update_takes_an_unfinished_move_back_before_it_starts_again(tmp_path: Path) -> None:
    with box(tmp_path) as here:
        here.both()
        end_in_the_middle(here, "provider")
        run = here.ok("--skip-preview")
        said = run.milestones()
        back = next(n for n, text in enumerate(said) if "an unfinished move is taken back to blue" in text)
        forth = next(n for n, text in enumerate(said) if "backend: green 100 %" in text)
        assert back < forth
        assert here.weights() == {"blue": 0, "green": 100}


def test_an_interrupt_takes_traffic_back_and_leaves_nothing_pending(tmp_path: Path) -> None:
    with box(tmp_path) as here:
        here.both()
        here.stack.shift("green")
        with load(here) as running:
            with here.fault(SLOW, **LOWERING):
                started = here.stack.start("up", "--yes", "--skip-preview")
                wait(lambda: here.weights() == {"blue": 100, "green": 100})
                os.kill(started.process.pid, signal.SIGINT)
                run = started.finish()
            assert run.code != 0, run.output
            assert here.weights() == {"blue": 100, "green": 0}
            here.ok("--skip-preview")
            whole(here, running.stop())


def test_a_deployer_killed_after_the_last_proof_leaves_a_mark_that_the_next_update_sees(tmp_path: Path) -> None:
    with box(tmp_path) as here:
        here.both()
        here.stack.shift("green")
        sealing = {**LOWERING, "skip": 1}
        with here.fault(SLOW, **sealing):
            started = here.stack.start("up", "--yes", "--skip-preview")
            wait(lambda: here.weights() == {"blue": 0, "green": 100})
            tell(children(started.process.pid), signal.SIGKILL)
            kill(started.process.pid)
            started.finish()
        recovered = recover(here)
        assert recovered.returncode == 0, recovered.stdout
        assert here.weights() == {"blue": 100, "green": 0}
        assert '"unfinished"' not in here.stack.run("preview", "--diff").output
        here.ok("--skip-preview")
        assert (here.weights(), [tag for tag in here.tags() if tag.startswith("move:")]) == (
            {"blue": 0, "green": 100},
            [],
        )


def test_an_unfinished_move_shows_in_the_preview_of_what_it_wanted(tmp_path: Path) -> None:
    with box(tmp_path) as here:
        here.both()
        end_in_the_middle(here, "provider")
        assert 'live   : "unfinished" => "green"' in here.stack.run("preview", "--diff").output


def test_recover_need_not_wait_for_a_write_that_the_dead_deployer_still_has_on_its_way(tmp_path: Path) -> None:
    with box(tmp_path) as here:
        here.both()
        with load(here) as running:
            here.stack.shift("green")
            with contextlib.ExitStack() as asleep:
                with here.fault(HELD, **LOWERING):
                    started = here.stack.start("up", "--yes", "--skip-preview")
                    wait(lambda: here.weights() == {"blue": 100, "green": 100})
                    part = children(started.process.pid)
                    kill(started.process.pid)
                    started.finish()
                    assert not alive(started.process.pid)
                    asleep.enter_context(sleeping(part))
                    recovered = recover(here)
                    assert (recovered.returncode, here.weights()) == (0, {"blue": 100, "green": 0}), recovered.stdout
                    assert any(alive(pid) for pid in part)
                # Only now does the gateway let the write happen.
            wait(lambda: not any(alive(pid) for pid in part))
            assert here.weights() == {"blue": 100, "green": 0}
            here.ok("--skip-preview")
            whole(here, running.stop())
