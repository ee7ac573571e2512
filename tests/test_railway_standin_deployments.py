"""Deployments of the Railway stand-in, step by step, under a clock that the test owns."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.railway_deployments import STOPPING
from sandbox.railway_keeping import LOOK
from sandbox.railway_rollouts import BETWEEN_CHECKS, DEPLOYING, INITIALIZING
from sandbox.railway_store import Deployment
from tests.railway_platform import ENVIRONMENT, REGION, FakeSupervisor, ManualClock, Railway, faked

Scene = Callable[[Railway, FakeSupervisor, ManualClock], Awaitable[None]]


def play(folder: Path, scene: Scene) -> None:
    async def run() -> None:
        clock = ManualClock()
        async with asyncio.timeout(20), faked(folder, clock) as (railway, machines):
            await scene(railway, machines, clock)

    asyncio.run(run())


async def shipped(railway: Railway, clock: ManualClock, service: str, tag: str = "v1") -> Deployment:
    """A deployment that came up well."""
    await railway.configure(service, tag)
    deployment = await railway.deploy(service)
    await to_healthcheck(railway, clock, deployment)
    await railway.until(deployment, "SUCCESS")
    return deployment


async def to_healthcheck(railway: Railway, clock: ManualClock, deployment: Deployment) -> None:
    await clock.wake(INITIALIZING)
    await railway.until(deployment, "DEPLOYING")
    await clock.wake(DEPLOYING)


def test_a_deployment_becomes_initializing_then_deploying_then_success(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        await railway.configure(service)
        deployment = await railway.deploy(service)
        seen = [deployment.status]
        await clock.wake(INITIALIZING)
        await railway.until(deployment, "DEPLOYING")
        seen.append(deployment.status)
        await clock.wake(DEPLOYING)
        await railway.until(deployment, "SUCCESS")
        polled = await railway.do("DeploymentPoll", id=deployment.id)
        assert seen == ["INITIALIZING", "DEPLOYING"]
        assert (polled["status"], polled["deploymentStopped"]) == ("SUCCESS", False)
        assert [each["status"] for each in polled["instances"]] == ["RUNNING"]
        assert machines.health_hosts == ["healthcheck.railway.app"]

    play(tmp_path, scene)


def test_a_deployment_counts_as_stopped_until_its_instances_run(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        await railway.configure(service)
        deployment = await railway.deploy(service)
        assert (await railway.do("DeploymentPoll", id=deployment.id))["deploymentStopped"] is True

    play(tmp_path, scene)


@pytest.mark.parametrize("answer", [204, 302, 404, 503])
def test_a_health_check_that_does_not_answer_200_fails_the_deployment_at_its_timeout(
    tmp_path: Path, answer: int
) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        before = await shipped(railway, clock, service)
        machines.health = answer
        await railway.configure(service, "v2", healthcheckTimeout=2)
        deployment = await railway.deploy(service)
        await to_healthcheck(railway, clock, deployment)
        await clock.wake(BETWEEN_CHECKS)
        await clock.wake(BETWEEN_CHECKS)
        await railway.until(deployment, "FAILED")
        events = await railway.do("DeploymentEvents", id=deployment.id)
        last = events["edges"][-1]["node"]
        assert (last["step"], last["payload"]["attempt"]) == ("HEALTHCHECK", 3)
        assert last["payload"]["error"].startswith("1/1 replicas never became healthy!")
        assert before.status == "SUCCESS"
        assert machines.processes[before.units[0].process]["state"] == "serving"
        assert machines.processes[deployment.units[0].process]["state"] == "exited"

    play(tmp_path, scene)


def test_a_health_check_may_pass_late_but_within_its_timeout(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        machines.health = 503
        await railway.configure(service)
        deployment = await railway.deploy(service)
        await to_healthcheck(railway, clock, deployment)
        await railway.store.until(lambda: deployment.events[-1].payload.get("attempt") == 1)
        machines.health = 200
        await clock.wake(BETWEEN_CHECKS)
        await railway.until(deployment, "SUCCESS")

    play(tmp_path, scene)


def test_without_a_health_check_a_started_container_is_enough(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        machines.health = 503
        await railway.configure(service, healthcheckPath=None)
        deployment = await railway.deploy(service)
        await to_healthcheck(railway, clock, deployment)
        await railway.until(deployment, "SUCCESS")
        assert machines.health_hosts == []

    play(tmp_path, scene)


def test_the_deployment_before_serves_through_the_overlap_and_is_then_drained_and_removed(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        old = await shipped(railway, clock, service)
        new = await shipped(railway, clock, service, "v2")
        in_overlap = machines.processes[old.units[0].process]["state"]
        active = await railway.do("ServiceInstanceRead", serviceId=service, environmentId=ENVIRONMENT)
        await clock.wake(7)
        await railway.until(old, "REMOVED")
        assert in_overlap == "serving"
        assert [each["id"] for each in active["activeDeployments"]] == [new.id, old.id]
        assert machines.processes[old.units[0].process]["stops"] == [9]
        assert machines.processes[new.units[0].process]["state"] == "serving"
        assert [event.step for event in old.events][-1] == "DRAIN_INSTANCES"

    play(tmp_path, scene)


def test_a_deployment_that_is_still_on_its_way_is_superseded_by_the_next(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        await railway.configure(service)
        first = await railway.deploy(service)
        second = await railway.deploy(service)
        await railway.until(first, "REMOVED")
        assert second.status == "INITIALIZING"

    play(tmp_path, scene)


def test_a_snapshot_does_not_change_with_later_edits(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        await railway.configure(service, multiRegionConfig={REGION: {"numReplicas": 2}})
        await railway.variables(service, PORT="18000", RELEASE="one")
        deployment = await railway.deploy(service)
        await railway.configure(service, "v2")
        await railway.variables(service, PORT="18000", RELEASE="two")
        await to_healthcheck(railway, clock, deployment)
        await railway.until(deployment, "SUCCESS")
        meta = (await railway.do("DeploymentRead", id=deployment.id))["meta"]
        snapshot = await railway.do("DeploymentSnapshotRead", deploymentId=deployment.id)
        started = machines.processes[deployment.units[0].process]
        assert meta["image"] == "registry.sandbox/backend:v1"
        assert meta["imageDigest"].startswith("sha256:")
        assert meta["serviceManifest"]["deploy"]["multiRegionConfig"] == {REGION: {"numReplicas": 2}}
        assert snapshot["variables"]["RELEASE"] == "one"
        assert (started["port"], started["env"]["RELEASE"]) == (18000, "one")
        assert len(deployment.units) == 2

    play(tmp_path, scene)


def test_an_unknown_image_fails_when_it_is_pulled(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        await railway.configure(service, source={"image": "registry.sandbox/backend:nightly"})
        deployment = await railway.deploy(service)
        await to_healthcheck(railway, clock, deployment)
        await railway.until(deployment, "FAILED")
        logs = await railway.do("BuildLogs", deploymentId=deployment.id)
        assert "manifest unknown" in logs[-1]["message"]
        assert machines.processes == {}

    play(tmp_path, scene)


@pytest.mark.parametrize(("policy", "starts"), [("ON_FAILURE", 4), ("NEVER", 1)])
def test_a_container_that_crashes_at_start_is_tried_as_often_as_the_restart_policy_says(
    tmp_path: Path, policy: str, starts: int
) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        machines.start_exit_code = 1
        await railway.configure(service, restartPolicyType=policy, restartPolicyMaxRetries=3)
        deployment = await railway.deploy(service)
        await to_healthcheck(railway, clock, deployment)
        await railway.until(deployment, "FAILED")
        assert deployment.units[0].restarts == starts - 1
        assert deployment.units[0].status == "CRASHED"
        assert deployment.events[-1].payload["error"] == "the container exited with code 1"

    play(tmp_path, scene)


def test_a_front_door_that_cannot_be_opened_fails_the_deployment(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        machines.refuse_activation = "Port 18000 cannot be used: Address already in use."
        await railway.configure(service)
        deployment = await railway.deploy(service)
        await to_healthcheck(railway, clock, deployment)
        await railway.until(deployment, "FAILED")

    play(tmp_path, scene)


def test_a_replica_that_dies_is_started_again_and_crashed_when_retries_are_used_up(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        await railway.configure(service, restartPolicyMaxRetries=1, multiRegionConfig={REGION: {"numReplicas": 2}})
        deployment = await railway.deploy(service)
        await to_healthcheck(railway, clock, deployment)
        await railway.until(deployment, "SUCCESS")
        unit, first = deployment.units[0], deployment.units[0].process
        machines.exit(first, 1)
        await clock.wake(LOOK)
        await railway.store.until(lambda: unit.status == "RUNNING" and unit.process != first)
        again = deployment.status
        machines.exit(unit.process, 1)
        await clock.wake(LOOK)
        await railway.until(deployment, "CRASHED")
        assert again == "SUCCESS"
        assert [each.status for each in deployment.units] == ["CRASHED", "RUNNING"]

    play(tmp_path, scene)


def test_a_container_that_ends_well_is_not_restarted_and_its_deployment_reads_success_and_stopped(
    tmp_path: Path,
) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        deployment = await shipped(railway, clock, service)
        machines.exit(deployment.units[0].process, 0)
        await clock.wake(LOOK)
        await railway.store.until(lambda: deployment.units[0].status == "EXITED")
        polled = await railway.do("DeploymentPoll", id=deployment.id)
        assert (polled["status"], polled["deploymentStopped"]) == ("SUCCESS", True)

    play(tmp_path, scene)


def test_processes_that_vanished_with_their_supervisor_are_started_again(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        deployment = await shipped(railway, clock, service)
        machines.processes.clear()
        await clock.wake(LOOK)
        await railway.store.until(lambda: len(machines.processes) == 1 and deployment.units[0].status == "RUNNING")
        await clock.wake(LOOK)
        assert deployment.units[0].restarts == 0
        assert list(machines.processes) == [deployment.units[0].process]

    play(tmp_path, scene)


def test_a_stopped_deployment_keeps_its_status_and_says_stopped_a_second_later(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        deployment = await shipped(railway, clock, service)
        await railway.do("DeploymentStop", id=deployment.id)
        at_once = await railway.do("DeploymentPoll", id=deployment.id)
        await clock.wake(STOPPING)
        await railway.store.until(lambda: deployment.units[0].status == "STOPPED")
        later = await railway.do("DeploymentPoll", id=deployment.id)
        assert (at_once["status"], at_once["deploymentStopped"]) == ("SUCCESS", False)
        assert (later["status"], later["deploymentStopped"]) == ("SUCCESS", True)

    play(tmp_path, scene)


def test_a_restart_resumes_a_stopped_deployment_in_new_processes(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        deployment = await shipped(railway, clock, service)
        before = deployment.units[0].process
        await railway.do("DeploymentStop", id=deployment.id)
        await clock.wake(STOPPING)
        await railway.store.until(lambda: deployment.units[0].status == "STOPPED")
        await railway.do("DeploymentRestart", id=deployment.id)
        at_once = await railway.do("DeploymentPoll", id=deployment.id)
        await railway.store.until(lambda: deployment.units[0].status == "RUNNING")
        assert at_once["status"] == "SUCCESS"
        assert deployment.units[0].process != before
        assert machines.processes[deployment.units[0].process]["state"] == "serving"

    play(tmp_path, scene)


def test_a_removed_deployment_can_be_rolled_back_to_within_its_retention(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        await railway.variables(service, RELEASE="one")
        old = await shipped(railway, clock, service)
        await railway.variables(service, RELEASE="two")
        await shipped(railway, clock, service, "v2")
        await clock.wake(7)
        await railway.until(old, "REMOVED")
        assert await railway.do("DeploymentRollback", id=old.id) is True
        place = {"serviceId": service, "environmentId": ENVIRONMENT}
        newest = (await railway.do("DeploymentsList", input=place, first=1))["edges"][0]["node"]
        made = railway.store.deployment(newest["id"])
        assert made is not None
        assert (newest["meta"]["image"], newest["meta"]["reason"]) == ("registry.sandbox/backend:v1", "rollback")
        assert made.variables["RELEASE"] == "one"
        await to_healthcheck(railway, clock, made)
        await railway.until(made, "SUCCESS")
        clock.advance(121 * 3600)
        assert "no longer available" in await railway.error("DeploymentRollback", id=old.id)

    play(tmp_path, scene)


def test_a_redeploy_runs_the_old_image_and_reports_success(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        await shipped(railway, clock, service)
        await railway.configure(service, "v2")
        assert await railway.do("ServiceInstanceRedeploy", serviceId=service, environmentId=ENVIRONMENT) is True
        made = next(railway.store.deployments_of(service, ENVIRONMENT))
        await to_healthcheck(railway, clock, made)
        await railway.until(made, "SUCCESS")
        assert made.meta["image"] == "registry.sandbox/backend:v1"

    play(tmp_path, scene)


def test_a_redeploy_has_to_wait_for_the_deployment_under_way(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        await railway.configure(service)
        deployment = await railway.deploy(service)
        message = await railway.error("DeploymentRedeploy", id=deployment.id)
        assert message == "Cannot redeploy yet, please wait for the original deployment to finish"

    play(tmp_path, scene)


def test_the_latest_deployment_lags_behind_a_trigger(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        await railway.configure(service)
        deployment = await railway.deploy(service)
        place = {"serviceId": service, "environmentId": ENVIRONMENT}
        at_once = await railway.do("ServiceInstanceRead", **place)
        clock.advance(2)
        later = await railway.do("ServiceInstanceRead", **place)
        assert at_once["latestDeployment"] is None
        assert later["latestDeployment"]["id"] == deployment.id

    play(tmp_path, scene)


def test_a_deployment_on_its_way_can_be_cancelled_and_one_that_arrived_cannot(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        arrived = await shipped(railway, clock, service)
        under_way = await railway.deploy(service)
        await railway.do("DeploymentCancel", id=under_way.id)
        await railway.until(under_way, "REMOVED")
        assert await railway.error("DeploymentCancel", id=arrived.id) == "Deployment cannot be cancelled: it is SUCCESS"

    play(tmp_path, scene)


def test_deleting_a_service_ends_its_processes_and_frees_its_name(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        deployment = await shipped(railway, clock, service)
        assert await railway.do("ServiceDelete", id=service) is True
        await railway.until(deployment, "REMOVED")
        assert machines.processes[deployment.units[0].process]["state"] == "exited"
        assert await railway.error("ServiceRead", id=service) == "Not Authorized"
        assert await railway.create() != service

    play(tmp_path, scene)


def test_a_process_that_belongs_to_no_deployment_is_ended(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        stray: dict[str, Any] = {"id": "stray", "state": "serving", "exitCode": None, "healthPort": 1, "stops": []}
        machines.processes["stray"] = stray
        await clock.wake(LOOK)
        await clock.wake(LOOK)
        assert stray["state"] == "exited"

    play(tmp_path, scene)
