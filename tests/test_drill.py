"""`bluegreen drill`: it does everything it says, tells what it saw, and fails where something did not end well."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.drill import shares
from sandbox.drill_case import FATES, Told
from sandbox.drill_relay import Relay
from sandbox.drill_report import Case, Report, sums, verdict, write
from sandbox.drill_room import Write
from sandbox.drill_share import ALL, SUBJECTS, Asked, every_case, few_cases
from sandbox.stack import ROOT
from tests.published import fitting

NEVER_ALL = {
    "where": {"path": "/upstreams/*/targets*", "body": '"weight":100', "times": None},
    "effect": {"kind": "answer", "status": 500, "body": "{}"},
}
WRITES = [Write(number, "PATCH", number, f"PATCH green {number}") for number in range(3)]


def drilled(*arguments: str, project: Path = ROOT) -> tuple[int, dict[str, Any], str]:
    command = [sys.executable, "-P", "-m", "bluegreen.cli", "drill", *arguments, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(project)}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, fitting("drill", done.stdout), done.stderr


def test_everything_that_can_happen_once_each_and_all_of_it_ends_well(tmp_path: Path) -> None:
    code, said, progress = drilled("--quick", "--out", str(tmp_path))
    facts = said["facts"]
    assert (code, facts["cases"], facts["converged"], facts["failed"], facts["fell"]) == (0, len(ALL), len(ALL), 0, [])
    assert facts["requests"] > 100
    written = json.loads((tmp_path / "drill.json").read_text(encoding="utf-8"))
    assert {case["fate"] for case in written["table"]} == set(ALL)
    assert {case["subject"].split()[0] for case in written["table"]} == set(FATES)
    assert sum(case["requests"] for case in written["table"]) <= written["requests"]
    assert (
        (tmp_path / "drill.md").read_text(encoding="utf-8").startswith("# Crash drill\n\n8 of 8 cases converged, 0 of ")
    )
    assert "rollout of 1 app: 7 writes" in progress


def test_where_something_does_not_end_well_it_says_what_and_fails(tmp_path: Path) -> None:
    """A gateway that gives nobody all the traffic any more: whatever is begun stays half-way."""
    wrong = ("--quick", "--only", "lost", "--fault", json.dumps(NEVER_ALL), "--out", str(tmp_path))
    code, said, _ = drilled(*wrong)
    (fell,) = said["facts"]["fell"]
    assert (code, said["facts"]["cases"], said["facts"]["converged"]) == (1, 1, 0)
    assert fell["wrong"].startswith("backend has {")
    assert said["world"].startswith(f"The first: {fell['case']} ({fell['write']}): backend has ")


def test_a_drill_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    code, said, _ = drilled("--only", "lost,earthquake", "--out", str(tmp_path / "report"))
    assert (code, said["what"].startswith("There is no drill 'earthquake'. Nothing was started. Choose from ")) == (
        15,
        True,
    )
    assert not (tmp_path / "report").exists()


def test_without_a_sandbox_it_is_refused(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bluegreen", tmp_path / "bluegreen", ignore=shutil.ignore_patterns("__pycache__"))
    code, said, _ = drilled(project=tmp_path)
    assert (code, said["what"], said["next"]) == (
        15,
        f"There is no sandbox/ beside bluegreen in {tmp_path}, and drills happen there.",
        "Run this in a checkout of the project.",
    )


def test_without_what_the_sandbox_is_made_of_it_is_refused() -> None:
    without = "import sys; sys.modules['aiohttp'] = None\nfrom bluegreen.cli.__main__ import app\napp(['drill'])"
    done = subprocess.run([sys.executable, "-c", without], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (
        15,
        f"The sandbox needs aiohttp, which this Python has not. Nothing was started. Run make setup in {ROOT}.\n",
    )


def test_the_matrix_leaves_no_write_and_no_interference_out() -> None:
    wanted = every_case(dict.fromkeys(SUBJECTS, WRITES), ())
    expected = {(subject, fate, each) for subject in SUBJECTS for fate in FATES[subject.kind] for each in WRITES}
    assert (set(wanted), len(wanted)) == (expected, len(expected))


@pytest.mark.parametrize("only", [(), ("lost", "kill-node")])
def test_the_quick_one_has_everything_once_and_every_command(only: Any) -> None:
    few = few_cases(dict.fromkeys(SUBJECTS[::2], WRITES), only)
    assert [fate for _, fate, _ in few] == list(only or ALL)
    assert all(fate in FATES[subject.kind] for subject, fate, _ in few)
    assert only or {subject.kind for subject, _, _ in few} == set(FATES)


@pytest.mark.parametrize(
    ("asked", "worlds"),
    [
        (Asked(), [(("rollback", "by-hand"), True), (("rollout",), False)]),
        (Asked(only=["kill-cli"], real=False), [(("rollback", "by-hand"), False)]),
        (Asked(quick=True, real=False), [(("rollout", "rollback", "by-hand"), False)]),
    ],
)
def test_every_command_is_played_in_one_world_and_no_world_is_made_for_nothing(asked: Asked, worlds: Any) -> None:
    found = [(tuple(dict.fromkeys(each.kind for each in share.subjects)), share.real) for share in shares(asked)]
    assert found == worlds


def told(*, wrong: str = "", back: float | None = None, fate: Any = "lost") -> Told:
    return Told("rollout of 1 app", fate, 0, "PATCH green 25", wrong, 0.5, 1.5, back)


@pytest.mark.parametrize(
    ("cases", "failed", "good"),
    [
        ((Case(told(), 10, 0),), 0, True),
        ((Case(told(), 10, 0), Case(told(wrong="backend has {}"), 10, 0)), 0, False),
        ((Case(told(), 10, 1),), 1, False),
        ((Case(told(), 10, 0),), 1, False),  # between two cases
        ((), 0, False),
    ],
)
def test_a_drill_is_good_when_everything_converged_and_nothing_failed(
    cases: tuple[Case, ...], failed: int, good: bool
) -> None:
    assert Report(cases, 60, {}, failed, 100).good is good


def test_the_page_has_the_sums_and_every_case(tmp_path: Path) -> None:
    cases = (Case(told(), 10, 0), Case(told(wrong="a | b"), 20, 3), Case(told(fate="delay"), 5, 0))
    report = Report(cases, 61.4, {"status 503": 3}, 3, 40)
    write(report, tmp_path)
    lost, delay = sums(report)
    assert lost == ("rollout of 1 app · lost", "2", "1", "30", "3", "0.50 / 0.50", "1.50 / 1.50")
    assert (delay[0], delay[1]) == ("rollout of 1 app · delay", "1")
    assert verdict(report) == "2 of 3 cases converged, 3 of 40 requests failed. 61 s in all."
    page = (tmp_path / "drill.md").read_text(encoding="utf-8")
    assert "| rollout of 1 app · lost · write 0 | PATCH green 25 | 20 | 3 | 0.50 | 1.50 | – | a / b |" in page


def test_rollback_times_are_those_that_nothing_held_up() -> None:
    backs = [Case(told(back=seconds, fate="second-writer"), 1, 0) for seconds in (0.2, 0.4, 0.3)]
    report = Report((*backs, Case(told(back=9.0, fate="delay"), 1, 0)), 60, {}, 0, 4)
    assert report.rollbacks == {"count": 3, "p50": 0.3, "p99": 0.4, "max": 0.4}


def test_a_door_that_is_shut_cuts_off_whoever_waits_and_their_request_goes_on() -> None:
    arrived: list[bytes] = []

    async def run() -> None:
        heard, answered = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            arrived.append(await reader.readline())
            heard.set()
            await answered.wait()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            with Relay(server.sockets[0].getsockname()[1]) as relay:
                reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
                writer.write(b"weight 0\n")
                await heard.wait()
                await asyncio.to_thread(relay.cut)
                with pytest.raises(ConnectionResetError):
                    await reader.read()
                writer.close()
                answered.set()

    asyncio.run(run())
    assert arrived == [b"weight 0\n"]
