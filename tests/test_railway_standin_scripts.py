"""The outcomes that can be arranged for deployments of the Railway stand-in."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.railway_keeping import LOOK
from sandbox.railway_rollouts import BETWEEN_CHECKS, DEPLOYING, INITIALIZING, PRE_DEPLOY, UNKNOWN_STATUS
from sandbox.railway_store import Deployment
from tests.railway_platform import ENVIRONMENT, REGION, FakeSupervisor, ManualClock, Railway, faked

Scene = Callable[[Railway, FakeSupervisor, ManualClock, str], Awaitable[None]]


def play(folder: Path, script: dict[str, Any], scene: Scene) -> None:
    async def run() -> None:
        clock = ManualClock()
        async with asyncio.timeout(20), faked(folder, clock) as (railway, machines):
            service = await railway.create()
            await railway.configure(service)
            await railway.script(script)
            await scene(railway, machines, clock, service)

    asyncio.run(run())


async def to_container(railway: Railway, clock: ManualClock, deployment: Deployment) -> None:
    await clock.wake(INITIALIZING)
    await railway.until(deployment, "DEPLOYING")
    await clock.wake(DEPLOYING)


async def to_success(railway: Railway, clock: ManualClock, deployment: Deployment) -> None:
    await to_container(railway, clock, deployment)
    await railway.until(deployment, "SUCCESS")


def test_a_stuck_deployment_stays_initializing_until_it_is_cancelled_and_the_next_one_comes_up(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        stuck = await railway.deploy(service)
        await clock.wake(INITIALIZING)
        clock.advance(3600)
        polled = await railway.do("DeploymentPoll", id=stuck.id)
        await railway.do("DeploymentCancel", id=stuck.id)
        await railway.until(stuck, "REMOVED")
        await to_success(railway, clock, await railway.deploy(service))
        assert polled["status"] == "INITIALIZING"

    play(tmp_path, {"outcome": "stuck"}, scene)


def test_a_queued_deployment_waits_for_capacity(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        deployment = await railway.deploy(service)
        await clock.wake(INITIALIZING)
        await railway.until(deployment, "QUEUED")
        await clock.wake(90)
        await railway.until(deployment, "DEPLOYING")

    play(tmp_path, {"outcome": "queued", "seconds": 90}, scene)


def test_a_deployment_that_needs_approval_goes_on_once_it_is_approved(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        deployment = await railway.deploy(service)
        await clock.wake(INITIALIZING)
        await railway.until(deployment, "NEEDS_APPROVAL")
        await railway.do("DeploymentApprove", id=deployment.id)
        await railway.until(deployment, "DEPLOYING")

    play(tmp_path, {"outcome": "needs-approval"}, scene)


def test_a_skipped_deployment_is_over(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        deployment = await railway.deploy(service)
        await clock.wake(INITIALIZING)
        await railway.until(deployment, "SKIPPED")
        assert machines.processes == {}

    play(tmp_path, {"outcome": "skipped"}, scene)


def test_a_superseded_deployment_is_removed_while_it_is_polled(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        deployment = await railway.deploy(service)
        await to_container(railway, clock, deployment)
        await railway.until(deployment, "REMOVED")

    play(tmp_path, {"outcome": "superseded"}, scene)


def test_a_status_that_no_enum_knows_is_shown_as_it_is(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        deployment = await railway.deploy(service)
        await clock.wake(INITIALIZING)
        await railway.until(deployment, UNKNOWN_STATUS)
        polled = await railway.do("DeploymentPoll", id=deployment.id)
        await clock.wake(40)
        await railway.until(deployment, "DEPLOYING")
        assert polled["status"] == UNKNOWN_STATUS

    play(tmp_path, {"outcome": "unknown-status", "seconds": 40}, scene)


def test_a_wrong_image_succeeds_with_the_image_of_the_deployment_before(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        await railway.script()
        await to_success(railway, clock, await railway.deploy(service))
        await railway.script({"outcome": "wrong-image"})
        await railway.configure(service, "v2")
        wrong = await railway.deploy(service)
        await to_success(railway, clock, wrong)
        read = await railway.do("DeploymentRead", id=wrong.id)
        image = machines.processes[wrong.units[0].process]["env"]["SANDBOX_IMAGE"]
        assert read["meta"]["image"] == "registry.sandbox/backend:v1"
        assert image.partition("@")[2] == read["meta"]["imageDigest"]

    play(tmp_path, {"outcome": "wrong-image"}, scene)


def test_a_failed_pull_ends_the_deployment(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        deployment = await railway.deploy(service)
        await to_container(railway, clock, deployment)
        await railway.until(deployment, "FAILED")
        assert "failed to pull image" in str(deployment.events[-1].payload["error"])

    play(tmp_path, {"outcome": "pull-failure"}, scene)


def test_a_failed_pre_deploy_command_ends_the_deployment_at_that_step(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        await railway.configure(service, preDeployCommand=["python -m app.migrate"])
        deployment = await railway.deploy(service)
        await to_container(railway, clock, deployment)
        await clock.wake(PRE_DEPLOY)
        await railway.until(deployment, "FAILED")
        assert [event.step for event in deployment.events] == ["CREATE_CONTAINER", "PRE_DEPLOY_COMMAND"]
        assert deployment.events[-1].payload["error"] == "pre-deploy command exited with code 1"

    play(tmp_path, {"outcome": "pre-deploy-failure"}, scene)


def test_a_health_check_can_time_out_by_script(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        await railway.configure(service, healthcheckTimeout=1)
        deployment = await railway.deploy(service)
        await to_container(railway, clock, deployment)
        await clock.wake(BETWEEN_CHECKS)
        await railway.until(deployment, "FAILED")

    play(tmp_path, {"outcome": "healthcheck-timeout"}, scene)


def test_the_platform_may_redeploy_by_itself(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        ours = await railway.deploy(service)
        await to_success(railway, clock, ours)
        await clock.wake(60)
        await railway.store.until(lambda: len(railway.store.world.deployments) == 2)
        theirs = next(railway.store.deployments_of(service, ENVIRONMENT))
        await to_success(railway, clock, theirs)
        assert (theirs.meta["image"], theirs.meta["reason"]) == (ours.meta["image"], "redeploy")

    play(tmp_path, {"outcome": "foreign-redeploy", "seconds": 60}, scene)


def test_a_slow_health_check_is_believed_only_when_its_time_has_passed(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        deployment = await railway.deploy(service)
        await to_container(railway, clock, deployment)
        await clock.wake(BETWEEN_CHECKS)
        await clock.wake(BETWEEN_CHECKS)
        polled = await railway.do("DeploymentPoll", id=deployment.id)
        await clock.wake(BETWEEN_CHECKS)
        await railway.until(deployment, "SUCCESS")
        assert polled["status"] == "DEPLOYING"

    play(tmp_path, {"outcome": "slow-healthcheck", "seconds": 3}, scene)


def test_a_health_check_that_is_slower_than_its_timeout_fails(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        await railway.configure(service, healthcheckTimeout=1)
        deployment = await railway.deploy(service)
        await to_container(railway, clock, deployment)
        await clock.wake(BETWEEN_CHECKS)
        await railway.until(deployment, "FAILED")

    play(tmp_path, {"outcome": "slow-healthcheck", "seconds": 3}, scene)


@pytest.mark.parametrize(
    ("outcome", "status", "stopped", "replicas"),
    [
        ("crash-after-success", "CRASHED", True, ["CRASHED", "CRASHED"]),
        ("crash-partial", "CRASHED", False, ["RUNNING", "CRASHED"]),
        ("exit-zero", "SUCCESS", True, ["EXITED", "EXITED"]),
        ("sleeping", "SLEEPING", True, ["STOPPED", "STOPPED"]),
    ],
)
def test_a_deployment_that_succeeded_can_end_by_itself_and_stays_so(
    tmp_path: Path, outcome: str, status: str, stopped: bool, replicas: list[str]
) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        await railway.configure(service, multiRegionConfig={REGION: {"numReplicas": 2}})
        deployment = await railway.deploy(service)
        await to_success(railway, clock, deployment)
        before = await railway.do("DeploymentPoll", id=deployment.id)
        await clock.wake(40)
        await railway.store.until(lambda: [unit.status for unit in deployment.units] == replicas)
        for _ in range(2):  # the platform looks at its machines, and starts nothing again
            await clock.wake(LOOK)
        after = await railway.do("DeploymentPoll", id=deployment.id)
        running = [machines.processes[unit.process]["state"] == "serving" for unit in deployment.units]
        assert (before["status"], before["deploymentStopped"]) == ("SUCCESS", False)
        assert (after["status"], after["deploymentStopped"]) == (status, stopped)
        assert [each["status"] for each in after["instances"]] == replicas
        assert running == [each == "RUNNING" for each in replicas]

    play(tmp_path, {"outcome": outcome, "seconds": 40}, scene)


def test_a_deployment_that_ends_at_once_is_never_seen_running(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(20), faked(tmp_path) as (railway, _):
            service = await railway.create()
            await railway.configure(service)
            await railway.script({"outcome": "exit-zero", "seconds": 0})
            seen: set[tuple[str, str]] = set()
            deployment = await railway.deploy(service)
            while not deployment.units or deployment.units[0].status != "EXITED":
                seen |= {(deployment.status, unit.status) for unit in deployment.units}
                await asyncio.sleep(0)
            assert ("SUCCESS", "RUNNING") not in seen

    asyncio.run(run())


def test_a_sleeping_deployment_wakes_when_it_is_restarted(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        deployment = await railway.deploy(service)
        await to_container(railway, clock, deployment)
        await railway.until(deployment, "SLEEPING")
        await railway.do("DeploymentRestart", id=deployment.id)
        await railway.store.until(lambda: deployment.units[0].status == "RUNNING")
        assert deployment.status == "SUCCESS"

    play(tmp_path, {"outcome": "sleeping", "seconds": 0}, scene)


def test_a_script_is_used_up_and_meant_for_its_services(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        other = await railway.create("frontend-blue")
        await railway.configure(other)
        spared, hit, after = await railway.deploy(other), await railway.deploy(service), await railway.deploy(service)
        assert [each.script is not None for each in (spared, hit, after)] == [False, True, False]
        async with railway.session.get(railway.address + "/__scripts") as left:
            assert await left.json() == []

    play(tmp_path, {"service": "backend-*", "outcome": "skipped"}, scene)


def test_an_unknown_outcome_is_refused(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock, service: str) -> None:
        async with railway.session.put(railway.address + "/__scripts", json=[{"outcome": "sulking"}]) as answer:
            assert answer.status == 400

    play(tmp_path, {"outcome": "stuck"}, scene)
