"""Every phase as its workflow runs it: its own `run:` lines, on a sandbox with the real engine, from a local hub.

One life of a stack, told once: the six phases in order, each alone again, and what goes wrong on the way: a branch that
moves on, a release that is taken back, the very same place changed by two, a branch that takes no pushes.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import toolchain
from sandbox.asking import call
from sandbox.demo_rollout import errors, latency
from sandbox.registry import resolve
from sandbox.stack import Stack
from sandbox.world import MEMBERS, Member, World, free_base
from tests.box import KONG_PACE, RAILWAY_PACE
from tests.published import faults
from tests.stage_room import served
from tests.workflow_room import Hub, Job, Runner, Step

LOOK = {"metrics": [errors(20, 20)], "duration": "2s", "interval": "1s", "minRequests": 20}
LOOK_LONGER = {**LOOK, "metrics": [errors(20, 20), latency(50, 1000, 20)], "duration": "4s"}
ROLLOUT = {
    "steps": [{"setWeight": 25}],
    "prePromotionAnalysis": LOOK,
    "stepAnalysis": LOOK_LONGER,
    "postPromotionAnalysis": LOOK,
}
ANOTHER = """#!/bin/sh
# What somebody else has committed arrives at the hub right after the first commit of this clone.
[ -e {place} ] || exit 0
unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE
git -C {place} push -q origin HEAD:main && mv {place} {place}-pushed
"""


@dataclass
class Life:
    """What happened, by name: the job, and afterwards what the hub and the gateway have."""

    jobs: dict[str, Job] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    weights: dict[str, dict[str, int]] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    plans: dict[str, str] = field(default_factory=dict)  # their titles
    raced: list[Step] = field(default_factory=list)  # of the backend, of the frontend
    asked: dict[str, list[str]] = field(default_factory=dict)

    def apps(self, name: str, app: str = "backend") -> dict[str, Any]:
        found: dict[str, Any] = self.files[name]["velro:apps"][app]
        return found


class Room:
    """A stack `staging` of two apps and a database, whose file lies on the hub."""

    def __init__(self, folder: Path, world: World, registry: str) -> None:
        self.stack = stack = Stack(world, toolchain.cli(), name="staging", apps=("backend", "frontend"))
        for app in stack.config["velro:apps"].values():
            app["blue"]["port"] = 8000
        gateway = stack.config["velro:gateway"]
        gateway["plugins"]["request-size-limiting"] = {"allowed_payload_size": 10, "size_unit": "megabytes"}
        for kind in ("api", "web"):
            limits = {"minute": 60000, "limit_by": "ip", "policy": "local"}
            gateway["types"].setdefault(kind, {})["rate-limiting"] = limits
        stack.create()
        stack.judge(ROLLOUT)
        begun = stack.up("--skip-preview")
        assert begun.code == 0, begun.output
        given = {**stack.environment(), "BLUEGREEN_REGISTRIES": f"registry.sandbox={registry}"}
        del given["BLUEGREEN_CONFIG_FILE"]
        self.hub = Hub(folder, stack.file, given)
        variables = {"PULUMI_BACKEND_URL": given["PULUMI_BACKEND_URL"], "PREVIEW_STACK": "staging"}
        self.runner = Runner(self.hub, variables, {"PULUMI_CONFIG_PASSPHRASE": given["PULUMI_CONFIG_PASSPHRASE"]})
        self.life = Life()

    def phase(self, phase: str, name: str = "", **inputs: str) -> None:
        """`gh workflow run production-deployment.yml -f deployment_phase=… -f environment=staging …`"""
        [job] = self.runner.dispatch(
            "production-deployment.yml", deployment_phase=phase, environment="staging", **inputs
        )
        self.noted(name or phase, job)

    def noted(self, name: str, job: Job) -> None:
        told = self.life
        told.jobs[name] = job
        if (kept := job.folder / "report" / "phase.json").is_file():
            whole = json.loads(kept.read_text(encoding="utf-8"))
            assert faults("outcome-phase", whole) == []
            told.facts[name] = whole["facts"]
        if (plan := job.folder / "report" / "plan.json").is_file():
            told.plans[name] = json.loads(plan.read_text(encoding="utf-8"))["title"]
        told.files[name], told.logs[name], told.asked[name] = self.hub.file, self.hub.log, self.hub.asked
        told.weights[name] = self.weights

    def at_once(self) -> None:
        """Two people deploy at the very same moment, one the backend and the other the frontend."""

        def deploys(app: str) -> Step:
            place = self.hub.clone(self.hub.folder / f"runner-{app}" / "work")
            phase = {"phase": f"{app}_deployment", "stack": "staging", "image": "v6", "reason": f"{app} v6"}
            return self.runner.step("phase.yml", "Run the phase", place, **phase)

        with ThreadPoolExecutor() as two:
            self.life.raced = list(two.map(deploys, ("backend", "frontend")))
        self.life.files["at once"], self.life.logs["at once"] = self.hub.file, self.hub.log

    @property
    def weights(self) -> dict[str, int]:
        """Percent of the backend's users by colour, as stored in Kong."""
        rows = call("GET", f"{self.stack.world.admin}/upstreams/backend/targets")["data"]
        return {next(tag[7:] for tag in row["tags"] if tag.startswith("colour:")): row["weight"] for row in rows}

    def by_hand(self, colour: str, weight: int) -> None:
        """Somebody changes a weight of the backend in Kong."""
        targets = f"{self.stack.world.admin}/upstreams/backend/targets"
        row = next(row for row in call("GET", targets)["data"] if f"colour:{colour}" in row["tags"])
        call("PATCH", f"{targets}/{row['id']}", {"weight": weight})

    def meanwhile(self, subject: str, edit: Callable[[str], str]) -> None:
        """Somebody else's commit reaches the hub between the next phase's commit and its push."""
        place = self.hub.prepared(subject, edit)

        def hook(workspace: Path) -> None:
            self.hub.before = lambda workspace: None
            file = workspace / ".git" / "hooks" / "post-commit"
            file.write_text(ANOTHER.format(place=place), encoding="utf-8")
            file.chmod(0o755)

        self.hub.before = hook


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    folder = tmp_path_factory.mktemp("phases")
    pace: dict[Member, tuple[str, ...]] = {"kong": KONG_PACE, "railway": RAILWAY_PACE}
    with served(tokens=True) as around:
        with World(free_base(), folder / "world", MEMBERS, private_network=True, extra=pace) as world:
            (folder / "hub").mkdir()
            room = Room(folder / "hub", world, around.registry.url)
            _told(room)
            yield room.life


def _told(room: Room) -> None:
    hub = room.hub
    room.phase("validation", image="backend=v2, frontend=v2")
    room.phase("database_migration", reason="teams")
    room.phase("backend_deployment", image="backend=v2,frontend=v2")
    room.phase("frontend_deployment", image="backend=v2,frontend=v2")
    room.phase("traffic_switch", reason="release 2")

    room.phase("database_migration", "migrated")
    room.phase("backend_deployment", "deployed", image="v2")
    room.phase("traffic_switch", "switched")
    room.meanwhile(
        "Be more patient", lambda text: text.replace("progressDeadlineSeconds: 120", "progressDeadlineSeconds: 150")
    )
    room.phase("rollback", reason="errors at checkout")

    room.phase("backend_deployment", "slow", image="v3-slow")
    room.phase("traffic_switch", "taken back", reason="release 3")

    other = resolve("registry.sandbox/backend:v5")
    mine = resolve("registry.sandbox/backend:v3-slow")
    room.meanwhile("Another image for green", lambda text: text.replace(mine, other))
    room.phase("backend_deployment", "same place", image="v4")

    hub.protect(on=True)
    room.phase("backend_deployment", "protected", image="v4")
    hub.protect(on=False)
    hub.git("push", "-q", ".", f"{room.life.facts['protected']['branch']}:main")
    payload = {"ref": "refs/heads/main"}
    [job] = room.runner.event("deploy.yml", "push", payload, "staging")
    room.noted("merged", job)
    room.at_once()
    room.phase("validation", "after both")
    payload_of_a_request = {"pull_request": {"number": 7, "head": {"repo": {"full_name": "velro/shop"}}}}
    (hub.folder / "answer").write_text("91\n", encoding="utf-8")
    [job] = room.runner.event("preview.yml", "pull_request", payload_of_a_request, "plan")
    room.noted("preview", job)
    room.by_hand("green", 5)
    [job] = room.runner.event("drift.yml", "schedule", {}, "drift", "staging")
    room.noted("drift", job)


def ended(life: Life, name: str) -> tuple[int, str]:
    return life.jobs[name].code, life.jobs[name].said


def test_validation_asks_everything_and_changes_nothing(life: Life) -> None:
    assert ended(life, "validation")[0] == 0, ended(life, "validation")[1]
    names = [step["name"] for step in life.facts["validation"]["steps"]]
    assert names == ["validate", "migrate dry-run", "stage backend", "stage frontend", "plan"]
    assert life.logs["validation"] == ["Begin"]
    assert "011_team_collaboration_foundation: pending" in ended(life, "validation")[1]


def test_the_newest_migration_is_wanted_by_a_commit_and_applied_by_an_update(life: Life) -> None:
    assert ended(life, "database_migration")[0] == 0, ended(life, "database_migration")[1]
    assert life.files["database_migration"]["velro:migrations"]["target"] == "011"
    assert life.logs["database_migration"] == ["Begin", "Migrate staging to 011"]
    assert [step["name"] for step in life.facts["database_migration"]["steps"]] == [
        "target",
        "plan",
        "push",
        "up",
        "migrate verify",
    ]


def test_a_deployment_is_a_commit_of_its_digest_and_moves_nobody(life: Life) -> None:
    assert ended(life, "backend_deployment")[0] == 0, ended(life, "backend_deployment")[1]
    assert life.logs["backend_deployment"][-1] == "Stage backend v2 on green of staging"
    assert life.apps("backend_deployment")["green"]["image"] == resolve("registry.sandbox/backend:v2")
    assert life.weights["backend_deployment"] == {"blue": 100}


def test_each_app_is_deployed_by_its_own_phase_and_verified_last(life: Life) -> None:
    assert ended(life, "frontend_deployment")[0] == 0, ended(life, "frontend_deployment")[1]
    assert life.apps("frontend_deployment", "frontend")["green"]["image"] == resolve("registry.sandbox/frontend:v2")
    names = [step["name"] for step in life.facts["frontend_deployment"]["steps"]]
    assert names == ["stage", "plan", "push", "up", "verify"]


def test_the_switch_moves_every_app_that_is_ahead_from_its_own_environment(life: Life) -> None:
    assert ended(life, "traffic_switch")[0] == 0, ended(life, "traffic_switch")[1]
    assert life.facts["traffic_switch"]["apps"] == ["backend", "frontend"]
    assert life.weights["traffic_switch"] == {"blue": 0, "green": 100}
    assert life.jobs["traffic_switch"].environment == "staging-traffic"
    assert life.logs["traffic_switch"][-1] == "Promote backend v2 on green and frontend v2 on green of staging"


@pytest.mark.parametrize("name", ["migrated", "deployed", "switched"])
def test_a_phase_that_has_nothing_to_do_says_so_and_ends_well(life: Life, name: str) -> None:
    code, said = ended(life, name)
    assert (code, life.facts[name]["nothing"], life.facts[name]["commit"]) == (0, True, ""), said
    assert "There is nothing to do." in said
    assert life.logs[name] == life.logs["traffic_switch"]


def test_a_rollback_is_the_gateway_first_and_the_commit_second_and_nothing_stays_held(life: Life) -> None:
    assert ended(life, "rollback")[0] == 0, ended(life, "rollback")[1]
    names = [step["name"] for step in life.facts["rollback"]["steps"]]
    assert names == ["rollback", "write", "push", "write", "push", "up"]
    assert life.weights["rollback"] == {"blue": 100, "green": 0}
    assert life.apps("rollback")["live"] == life.apps("rollback", "frontend")["live"] == "blue"
    assert "no longer held" in ended(life, "rollback")[1]


def test_a_branch_that_has_moved_on_gets_the_same_edit_once_more_and_keeps_both(life: Life) -> None:
    assert life.facts["rollback"]["recomputed"] is True
    ours = "Roll back staging: backend on blue and frontend on blue"
    assert life.logs["rollback"][-2:] == ["Be more patient", ours]
    assert life.files["rollback"]["velro:rollout"]["progressDeadlineSeconds"] == 150


def test_a_rollback_first_cancels_what_deploys_but_not_itself(life: Life) -> None:
    cancelled = [line for line in life.asked["rollback"] if line.startswith("run cancel")]
    assert cancelled == ["run cancel 4711", "run cancel 4711"]  # of two workflows; 4712 is its own
    assert life.jobs["rollback"].environment == "staging-rollback"


def test_a_switch_that_was_taken_back_ends_with_10_and_its_commit_is_reverted_in_the_branch(life: Life) -> None:
    assert ended(life, "slow")[0] == 0, ended(life, "slow")[1]
    code, said = ended(life, "taken back")
    assert code == 10, said
    assert life.weights["taken back"]["blue"] == 100
    assert life.apps("taken back")["live"] == "blue"
    promoted = "Promote backend v3-slow on green of staging"
    assert life.logs["taken back"][-2:] == [promoted, f'Revert "{promoted}"']
    assert "which is pushed" in said
    assert life.facts["taken back"]["undone"] != ""


def test_two_who_change_the_same_place_are_told_apart_and_the_later_one_is_refused(life: Life) -> None:
    code, said = ended(life, "same place")
    assert code == 15, said
    assert "was changed there, too" in said
    assert life.logs["same place"][-1] == "Another image for green"
    assert life.apps("same place")["green"]["image"] == resolve("registry.sandbox/backend:v5")


def test_a_branch_that_takes_no_pushes_gets_a_pull_request_and_nothing_is_brought_up(life: Life) -> None:
    code, said = ended(life, "protected")
    assert code == 15, said
    facts = life.facts["protected"]
    assert facts["pullRequest"] == "https://github.test/velro/shop/pull/7"
    assert life.logs["protected"] == life.logs["same place"]
    assert [step["name"] for step in facts["steps"]] == ["stage", "plan", "push"]
    assert any(line.startswith(f"pr create --head {facts['branch']} --base main") for line in life.asked["protected"])


def test_of_two_who_deploy_at_once_at_least_one_does_and_the_branch_says_what_runs(life: Life) -> None:
    codes = [step.code for step in life.raced]
    assert 0 in codes, life.raced
    assert set(codes) <= {0, 15, 16}, life.raced
    for app, step in zip(("backend", "frontend"), life.raced, strict=True):
        staged = life.apps("at once", app)["green"]["image"] == resolve(f"registry.sandbox/{app}:v6")
        assert staged or step.code != 0, step.said
    assert "nothing changes" == life.plans["after both"]


def test_what_was_merged_is_planned_and_brought_up_by_the_push(life: Life) -> None:
    assert ended(life, "merged")[0] == 0, ended(life, "merged")[1]
    assert life.logs["merged"][-1] == "Stage backend v4 on green of staging"
    assert life.jobs["merged"].environment == "staging"
    assert "report/plan.md" in next(iter(life.jobs["merged"].artifacts.values()))


def test_a_pull_request_s_comment_is_written_once_and_then_changed_in_place(life: Life) -> None:
    assert ended(life, "preview")[0] == 0, ended(life, "preview")[1]
    looked, changed = life.asked["preview"]
    assert looked.startswith("api --paginate repos/velro/shop/issues/7/comments")
    assert changed.startswith("api --method PATCH repos/velro/shop/issues/comments/91 -F body=@report/plan.md")
    assert 'startswith("<!-- bluegreen plan velro.staging -->")' in looked


def test_drift_fails_the_job_and_opens_an_issue(life: Life) -> None:
    code, said = ended(life, "drift")
    assert code == 14, said
    looked, opened = life.asked["drift"]
    assert looked.startswith("issue list --state open --search")
    assert opened == "issue create --title Drift of staging --body-file report/status.txt"


@pytest.mark.parametrize("name", ["validation", "traffic_switch", "rollback", "taken back", "protected"])
def test_what_a_phase_came_to_is_shown_and_kept_however_it_ended(life: Life, name: str) -> None:
    [kept] = life.jobs[name].artifacts.values()
    assert {"report/phase.json", "report/phase.md"} <= set(kept)
    assert f"{int(life.jobs[name].code)}\n" in life.jobs[name].summary
