"""`bluegreen up` through the real engine: every end in one sentence and one code. One sandbox, told once."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.stack import API_KEY, KEY, ROOT
from tests.box import Box, box, children, kill, wait
from tests.published import fitting
from tests.stage_room import GIT
from tests.test_rollout_engine import ERRORS, watched

PAUSED = {"steps": [{"setWeight": 10}, {"pause": "60s"}, {"setWeight": 100}]}
SECRETS = (API_KEY, KEY, "sandbox-release-key")


@dataclass
class Told:
    """What one run said, on both of its channels, and how traffic was after it."""

    code: int
    outcome: dict[str, Any]
    progress: str
    weights: dict[str, int]

    @property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = self.outcome["facts"]
        return found


@dataclass
class Story:
    """Everything that happened to one stack."""

    told: dict[str, Told] = field(default_factory=dict)
    digests: tuple[str, str] = ("", "")
    message: str = ""
    reason: str = ""


class Life:
    """One box, and what is done to it."""

    def __init__(self, here: Box, folder: Path) -> None:
        self.here, self.stack, self.folder, self.story = here, here.stack, folder, Story()

    def start(self, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        command = [str(ROOT / "bin" / "bluegreen"), "up", self.stack.name, "--json", *arguments]
        env = {**self.stack.environment(), **variables}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True)

    def end(self, name: str, process: "subprocess.Popen[str]") -> Told:
        out, err = process.communicate(timeout=120)
        told = Told(process.returncode, fitting("up", out), err, self.here.weights())
        self.story.told[name] = told
        return told

    def up(self, name: str, *arguments: str, **variables: str) -> Told:
        return self.end(name, self.start(*arguments, **variables))

    def midway(self) -> "subprocess.Popen[str]":
        """A move to blue that has begun, and pauses."""
        process = self.start()
        wait(lambda: self.here.weights() == {"blue": 10, "green": 90})
        return process

    @contextmanager
    def locked(self, pid: int) -> Iterator[None]:
        """Somebody has the stack."""
        folder = self.stack.folder / "state/.pulumi/locks/organization/velro/sandbox"
        folder.mkdir(parents=True, exist_ok=True)
        row = {"pid": pid, "username": "ann", "hostname": socket.gethostname(), "timestamp": "2026-01-02T03:04:05Z"}
        (folder / "lock.json").write_text(json.dumps(row), encoding="utf-8")
        yield
        (folder / "lock.json").unlink()

    @contextmanager
    def truncated(self) -> Iterator[None]:
        """Half of the state is gone."""
        file = self.stack.folder / "state/.pulumi/stacks/velro/sandbox.json"
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        yield
        file.write_bytes(whole)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("up")
    with box(folder / "world") as here:
        life = Life(here, folder)
        _ships(life)
        _refused(life)
        _fails(life)
        yield life.story


def _ships(life: Life) -> None:
    """Blue for the first time with green beside it, a reviewed plan that does not hold, and the one that does."""
    stack, plan = life.stack, str(life.folder / "plan.json")
    stack.deploy("backend", "green", "v2")
    life.up("first", "--reason", "the first\nlight")
    history = stack._pulumi("stack", "history", "--json", "--page-size", "1", "--stack", stack.name)
    life.story.message = json.loads(history.stdout)[0]["message"]
    [journal] = stack.record.glob("*/journal-*.ndjson")
    life.story.reason = json.loads(journal.read_text(encoding="utf-8").splitlines()[0])["reason"]
    stack.shift("green")
    assert stack.bluegreen("plan", "--save", plan, "--out", f"{plan}.md").returncode == 0
    _cut_short(life)
    text = stack.file.read_text(encoding="utf-8")
    ours, theirs = (stack.block("backend", "green", tag)["image"] for tag in ("v2", "v3"))
    life.story.digests = (ours, theirs)
    stack.file.write_text(text.replace(ours, theirs), encoding="utf-8")
    life.up("changed since", "--plan", plan)
    stack.file.write_text(text, encoding="utf-8")
    life.up("shift", "--plan", plan)


def _cut_short(life: Life) -> None:
    """State remembers a create of which nobody knows what came."""
    file = life.stack.folder / "state/.pulumi/stacks/velro/sandbox.json"
    state = json.loads(file.read_text(encoding="utf-8"))
    latest = state["checkpoint"]["latest"]
    row = next(row for row in latest["resources"] if row["urn"].endswith("railway:Service::backend-green"))
    lost = {**row, "urn": f"{row['urn']}-lost"}
    del lost["id"]
    latest["pending_operations"] = [{"resource": lost, "type": "creating"}]
    file.write_text(json.dumps(state), encoding="utf-8")


def _refused(life: Life) -> None:
    """What stops it before anything is changed."""
    stack = life.stack
    with life.locked(os.getpid()):
        life.up("locked")
    gone = subprocess.Popen(["true"])
    gone.wait()
    with life.locked(gone.pid):
        life.up("locked by the dead")
    with life.truncated():
        life.up("truncated")
    life.up("passphrase", PULUMI_CONFIG_PASSPHRASE="wrong")
    before = stack.snapshot()
    stack.config["velro:gateway"]["plugins"]["cors"]["origins"] = ["*"]
    stack.write()
    life.up("policy", "--policy-pack", "policies")
    stack.restore(before)
    _older(life)


def _older(life: Life) -> None:
    """The stack's file in a repository whose remote has gone on."""
    folder, remote = life.stack.folder, life.folder / "remote.git"

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=folder, env={**os.environ, **GIT}, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("init", "-q", "--bare", str(remote))
    git("remote", "add", "origin", str(remote))
    git("add", life.stack.file.name)
    git("commit", "-qm", "Begin")
    git("commit", "-q", "--allow-empty", "-m", "Newer")
    git("push", "-q", "origin", "main")
    git("reset", "-q", "--hard", "HEAD~")
    life.up("older", "--branch", "main")


def _fails(life: Life) -> None:
    """What goes wrong on the way: blue is a bad release, green stays; then somebody stops it, and somebody kills it."""
    stack = life.stack
    stack.judge(watched(ERRORS, seconds=5))
    stack.deploy("backend", "blue", "v4-failing")
    stack.shift("blue")
    life.up("bad")
    life.up("again")
    stack.shift("green")
    stack.config["velro:rollout"] = {**PAUSED, "progressDeadlineSeconds": 120, "maxRequestSeconds": 1}
    stack.deploy("backend", "blue", "v5")
    stack.shift("blue")
    process = life.midway()
    os.kill(process.pid, signal.SIGINT)
    life.end("stopped", process)
    process = life.midway()
    for pid in [pid for pid, command in children(process.pid).items() if "bluegreen.provider" in command]:
        kill(pid)
    life.end("killed", process)


def test_an_update_that_arrives_says_what_was_done_and_who_is_live(story: Story) -> None:
    first = story.told["first"]
    assert (first.code, first.facts["live"], first.weights) == (0, {"backend": "blue"}, {"blue": 100})
    assert first.outcome["world"] == "Live: backend on blue."
    assert "backend: blue 100 %, proved by " in first.progress
    assert "created rollout:Traffic traffic\n" in first.progress
    assert first.outcome["what"].startswith("sandbox is up: created kong:")
    assert "created railway:Service backend-green\n" in first.progress
    assert [(done["kind"], done["verdict"]) for done in first.facts["moves"]] == [("first", "passed")]


def test_its_reason_is_in_the_record_and_in_the_engine_s_own_history(story: Story) -> None:
    assert (story.message, story.reason) == ("the first light", "the first light")


def test_a_plan_that_no_longer_holds_stops_it_and_the_digest_is_named(story: Story) -> None:
    told = story.told["changed since"]
    ours, theirs = (each[: len("registry.sandbox/backend@sha256:") + 12] for each in story.digests)
    assert (told.code, told.weights, told.facts["engine"]) == (15, {"blue": 100}, None)
    assert f"backend.green.image: {ours} → {theirs}" in told.outcome["what"]
    assert any(each.startswith("backend.green.image") for each in told.facts["since"])


def test_a_plan_that_holds_is_what_happens(story: Story) -> None:
    told = story.told["shift"]
    assert (told.code, told.weights) == (0, {"blue": 0, "green": 100})
    assert re.fullmatch("[0-9a-f]{16}", told.facts["plan"])
    assert [(done["kind"], done["verdict"]) for done in told.facts["moves"]] == [("rollout", "passed")]
    assert "still is what an update would do." in told.progress


def test_what_was_cut_short_before_is_told_and_stops_nothing(story: Story) -> None:
    assert "An earlier update was cut short (creating backend-green-lost): " in story.told["shift"].progress


def test_a_stack_that_somebody_has_is_told_with_who_and_since_when(story: Story) -> None:
    alive, dead = story.told["locked"], story.told["locked by the dead"]
    assert (alive.code, dead.code) == (16, 16)
    assert f"process {os.getpid()} of ann@{socket.gethostname()} since 2026-01-02" in alive.outcome["what"]
    assert "bluegreen recover" in alive.outcome["next"]
    assert dead.outcome["what"].endswith(", which is gone.")
    assert dead.outcome["next"].startswith("Run bluegreen recover")


def test_a_state_that_cannot_be_read_is_told_with_its_newest_copy(story: Story) -> None:
    told = story.told["truncated"]
    assert told.code == 15
    assert told.outcome["what"].startswith("The state of stack sandbox cannot be read: ")
    assert told.outcome["next"].startswith("Put the newest whole copy back: cp '")


def test_a_wrong_passphrase_is_told_in_our_words(story: Story) -> None:
    told = story.told["passphrase"]
    assert (told.code, told.outcome["what"]) == (15, "The passphrase is not the one of stack sandbox.")


def test_a_mandatory_policy_objects_before_anything_is_changed(story: Story) -> None:
    told = story.told["policy"]
    assert (told.code, told.facts["policies"], told.facts["changed"]) == (15, ["cors-origins"], [])
    assert told.outcome["what"] == "Policies object: cors-origins."
    assert "policy cors-origins (mandatory): gateway-cors: config.origins has *" in told.progress


def test_an_older_commit_is_never_brought_up_over_a_newer_one(story: Story) -> None:
    told = story.told["older"]
    assert (told.code, told.outcome["facts"]) == (15, None)
    assert told.outcome["what"].startswith(
        "An older commit is never brought up over a newer one: main of origin is at "
    )


def test_a_bad_release_moves_back_by_itself_and_is_refused_afterwards(story: Story) -> None:
    bad, again = story.told["bad"], story.told["again"]
    assert (bad.code, bad.weights, bad.facts["live"]) == (10, {"blue": 0, "green": 100}, {"backend": "green"})
    assert [(done["verdict"], done["origin"]) for done in bad.facts["moves"]] == [("rejected", "green")]
    assert bad.outcome["what"].startswith("backend at 10 %: backend errors: ")
    assert "backend is back on green, proved by " in bad.outcome["what"]
    assert "updated railway:Service backend-blue" in bad.outcome["world"]
    assert (again.code, again.facts["moves"]) == (15, [])
    assert "was rejected when it was last live. Traffic stays on green, unchanged." in again.outcome["what"]


def test_a_stop_is_passed_on_and_traffic_is_back(story: Story) -> None:
    told = story.told["stopped"]
    assert (told.code, told.weights) == (130, {"blue": 0, "green": 100})
    assert "Stopping: what is under way is taken back, and state is saved.\n" in told.progress
    assert told.outcome["what"].startswith("The update was stopped on request. backend is back on green")


def test_a_provider_that_is_killed_leaves_it_open_and_recover_is_named(story: Story) -> None:
    told = story.told["killed"]
    assert (told.code, told.facts["live"]) == (13, {"backend": "unfinished"})
    assert told.outcome["what"] == "The provider ended in the middle of its work."
    assert "bluegreen recover" in told.outcome["next"]


def test_no_end_shows_a_secret_or_a_traceback(story: Story) -> None:
    for told in story.told.values():
        said = json.dumps(told.outcome) + told.progress
        assert [secret for secret in (*SECRETS, "Traceback") if secret in said] == []
