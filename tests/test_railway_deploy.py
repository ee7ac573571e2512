"""Every way in which a deployment can end, over the stand-in: told in three beats, and nothing bad left pinned."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stamina
from pydantic import SecretStr

from bluegreen.handler import Cancelled, Held, Partial, Refused
from bluegreen.http import RateLimited, Unavailable
from bluegreen.railway.api import Railway
from bluegreen.railway.deployment import Deployment, limited
from bluegreen.railway.service import ServiceHandler
from bluegreen.railway.spec import Limits, ServiceState
from bluegreen.railway.template import config, not_kept
from sandbox.railway_call import Options
from tests.railway_platform import ENVIRONMENT, PROJECT, REGION, TOKEN
from tests.railway_room import Room, Screen, Traffic, image, play, service

ROOT = Path(__file__).resolve().parents[1]
FIX = "Fix the image or its configuration, then run pulumi up again."


async def partial(ending: Awaitable[Any]) -> Partial:
    with pytest.raises(Partial) as caught:
        await ending
    return caught.value


async def failed_update(
    there: Room, outcome: str, tag: str = "v2", **script: Any
) -> tuple[Held[ServiceState], Partial]:
    """An update from v1 to v2 that ends as scripted: what was held before, and the error."""
    old = await there.running("v1", release={"preDeployCommand": "warm"})
    await there.platform.script({"service": "*", "outcome": outcome, **script})
    wanted = service("v2", release={"preDeployCommand": "warm"})
    return old, await partial(there.handler().update(there.screen, wanted, old))


def latest(there: Room) -> str:
    return there.platform.store.world.deployments[-1].id


# ── the order ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_first_release_asks_in_the_order_that_railway_demands(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.handler().create(there.screen, service())
        assert list(dict.fromkeys(there.calls)) == [
            "WhoAmIProjectToken",
            "ProjectServices",
            "RegionsList",
            "ServiceCreate",
            "DeploymentsList",
            "ServiceInstanceUpdate",
            "ServiceInstanceRead",
            "ServiceInstanceLimitOverride",
            "VariableCollectionUpsert",
            "ServiceInstanceDeploy",
            "DeploymentPoll",
            "DeploymentRead",
            "PrivateNetworksRead",
            "PrivateEndpointRead",
        ]
        assert [there.calls.count(each) for each in ("ServiceInstanceUpdate", "ServiceInstanceDeploy")] == [1, 1]

    play(tmp_path, scene)


def test_the_guard_is_asked_before_the_first_write_and_nothing_is_written_after_a_refusal(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        there.traffic.carrying.add(("backend", "green"))
        there.calls.clear()
        with pytest.raises(Refused):
            await there.handler().update(there.screen, service("v2"), old)
        assert set(there.calls) <= {"WhoAmIProjectToken", "DeploymentsList"}

    play(tmp_path, scene)


def test_railway_is_asked_ever_more_seldom_while_a_deployment_takes_its_time(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.platform.script({"outcome": "queued", "seconds": 1e6})
        screen = Screen(hurried=True)
        await partial(there.handler(poll=2.0).create(screen, service()))
        assert 10.0 <= max(screen.waited) <= 12.0
        assert there.calls.count("DeploymentPoll") < 50

    play(tmp_path, scene)


def test_a_railway_that_takes_a_health_check_only_later_gets_it_later(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        held = await there.handler().create(there.screen, service())
        first, second = there.platform.store.world.deployments
        assert (first.deploy["healthcheckPath"], second.deploy["healthcheckPath"]) == (None, "/health")
        assert held.state.deployment_id == second.id

    play(tmp_path, scene, options=Options(early_healthcheck=False))


# ── bad ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("outcome", "where"),
    [
        ("pull-failure", "at CREATE_CONTAINER: failed to pull image "),
        ("pre-deploy-failure", "at PRE_DEPLOY_COMMAND: pre-deploy command exited with code 1"),
        ("healthcheck-timeout", "at HEALTHCHECK: 1/1 replicas never became healthy! GET /health did not answer 200"),
    ],
)
def test_a_failed_deployment_names_the_step_and_leaves_the_old_one(tmp_path: Path, outcome: str, where: str) -> None:
    async def scene(there: Room) -> None:
        old, error = await failed_update(there, outcome)
        assert error.what.startswith(f"backend-green did not come up: deployment {latest(there)} FAILED {where}")
        serving = f"Deployment {old.state.deployment_id}, the one before, still serves; traffic was not moved."
        assert error.world.startswith(serving)
        assert error.next.startswith(f"{FIX}\nevents:\n")
        assert (error.held.id, error.held.inputs, error.held.state) == (old.id, old.inputs, old.state)

    play(tmp_path, scene)


def test_a_failed_image_does_not_stay_pinned(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1", release={"variables": {"LOG": "info"}, "replicas": {"us-west2": 1}})
        before = there.instance()
        await there.platform.script({"outcome": "healthcheck-timeout"})
        error = await partial(there.handler().update(there.screen, service("v2"), old))
        assert there.instance() == before
        assert error.world.endswith(
            f"Its configuration is back on {image('v1').partition('@')[2][:19]}…, without a deployment."
        )
        assert len(there.platform.store.world.deployments) == 2

    play(tmp_path, scene)


def test_a_pin_that_cannot_be_undone_is_said_aloud(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.platform.script({"outcome": "healthcheck-timeout"})
        denied = '{"data": null, "errors": [{"message": "Not Authorized"}]}'
        await there.fault("ServiceInstanceUpdate", {"kind": "answer", "status": 200, "body": denied}, skip=1)
        error = await partial(there.handler().update(there.screen, service("v2"), old))
        assert "Its configuration still names " in error.world
        assert "a restart by Railway would deploy that" in error.world

    play(tmp_path, scene)


def test_after_a_failed_update_going_back_to_the_old_release_needs_no_network(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old, error = await failed_update(there, "healthcheck-timeout")
        await there.counted("*")
        reverted = service("v1", release={"preDeployCommand": "warm"})
        assert await there.handler().update(there.screen, reverted, error.held) == old.state
        assert await there.hits("*", "slow") == 0

    play(tmp_path, scene)


def test_a_first_deployment_that_fails_leaves_a_service_that_the_next_update_mends(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.platform.script({"outcome": "healthcheck-timeout"})
        error = await partial(there.handler().create(there.screen, service("v1")))
        assert "No deployment of it serves now; traffic was not moved." in error.world
        assert "there is no earlier one to put back" in error.world
        assert (error.held.state.release_id, error.held.state.status) == (None, "FAILED")
        state = await there.handler().update(there.screen, service("v1"), error.held)
        assert (state.service_id, state.status) == (error.held.id, "SUCCESS")

    play(tmp_path, scene)


def test_a_process_that_exits_at_once_fails_the_deployment(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        there.machines.start_exit_code = 1
        error = await partial(there.handler().create(there.screen, service(release={"restartPolicyMaxRetries": 1})))
        assert "FAILED at CREATE_CONTAINER: the container exited with code 1." in error.what

    play(tmp_path, scene)


def test_the_last_log_lines_are_told_without_their_secrets(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.platform.script({"outcome": "healthcheck-timeout"})
        error = await partial(there.handler().create(there.screen, service(secrets={"GREETING": "hello from"})))
        lines = error.next.splitlines()
        assert lines[lines.index("last log lines:") + 1].startswith("  *** ")
        assert "hello from" not in str(error)

    play(tmp_path, scene)


def test_a_secret_of_several_lines_is_hidden_in_each_of_them(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        key = "-----BEGIN KEY-----\n  MIIEvQIBADAN\r\nend\n-----END KEY-----\n"
        lines = ["key:", *key.splitlines(), "given MIIEvQIBADAN"]
        told = [{"message": line, "timestamp": f"2030-01-01T00:00:0{at}Z"} for at, line in enumerate(lines)]
        answer = json.dumps({"data": {"deploymentLogs": told}})
        await there.platform.script({"outcome": "healthcheck-timeout"})
        await there.fault("DeploymentLogs", {"kind": "answer", "status": 200, "body": answer})
        error = await partial(there.handler().create(there.screen, service(secrets={"KEY": key})))
        shown = error.next.splitlines()
        assert shown[shown.index("last log lines:") + 1 :] == [
            "  key:",
            "  ***",
            "  ***",
            "  end",
            "  ***",
            "  given ***",
        ]

    play(tmp_path, scene)


def test_a_deployment_that_crashes_after_its_success_is_not_called_running(tmp_path: Path) -> None:
    node = {"id": "d", "status": "CRASHED", "deploymentStopped": True, "instances": [{"id": "i", "status": "CRASHED"}]}
    assert Deployment.of(node).end == "crashed"


def test_a_skipped_deployment_is_an_error(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        _, error = await failed_update(there, "skipped")
        assert error.what == (
            f"backend-green was not deployed: Railway SKIPPED deployment {latest(there)}, seeing nothing to deploy."
        )

    play(tmp_path, scene)


def test_a_deployment_that_somebody_else_replaced_leaves_their_configuration_alone(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        _, error = await failed_update(there, "superseded")
        deployment = latest(there)
        assert error.what == (
            f"backend-green: deployment {deployment} is REMOVED before it was proven;"
            " somebody else deployed this service."
        )
        assert there.instance()["source"]["image"] == image("v2")

    play(tmp_path, scene)


def test_a_deployment_that_waits_for_an_approval_is_taken_up_after_it(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        _, error = await failed_update(there, "needs-approval")
        deployment = latest(there)
        assert error.what == f"backend-green: deployment {deployment} waits for an approval in Railway."
        assert error.next.startswith("Approve it in Railway, then run pulumi up again")
        await there.platform.do("DeploymentApprove", id=deployment)
        wanted = service("v2", release={"preDeployCommand": "warm"})
        state = await there.handler().update(there.screen, wanted, error.held)
        assert (state.deployment_id, state.release_id) == (deployment, wanted.release_id)

    play(tmp_path, scene)


def test_success_with_another_image_is_no_success(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old, error = await failed_update(there, "wrong-image", image=image("v7"))
        wanted, really = image("v2").partition("@")[2], image("v7").partition("@")[2]
        assert error.what == (
            f"backend-green runs something else than was asked for: the image is {really} instead of {wanted}."
        )
        assert (error.held.state.image, error.held.state.release_id) == (image("v7"), None)
        again = await there.handler().update(
            there.screen, service("v1", release={"preDeployCommand": "warm"}), error.held
        )
        assert again.release_id == old.state.release_id

    play(tmp_path, scene)


def test_a_stuck_deployment_is_cancelled_and_replaced_once(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.platform.script({"outcome": "stuck"})
        screen = Screen(hurried=True)
        held = await there.handler(poll=2.0).create(screen, service())
        first, second = there.platform.store.world.deployments
        assert (first.status, held.state.deployment_id) == ("REMOVED", second.id)
        assert f"deployment {first.id} is stuck (INITIALIZING in 3" in " ".join(screen.milestones)

    play(tmp_path, scene)


def test_two_stuck_deployments_are_an_error(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.platform.script({"outcome": "stuck", "times": 2})
        error = await partial(there.handler(poll=2.0).create(Screen(hurried=True), service()))
        assert f"deployment {latest(there)} stayed INITIALIZING, and so did the one before it." in error.what
        assert [each.status for each in there.platform.store.world.deployments] == ["REMOVED", "REMOVED"]

    play(tmp_path, scene)


def test_an_unknown_status_counts_as_in_progress(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.platform.script({"outcome": "unknown-status", "seconds": 50})
        assert (await there.handler().create(there.screen, service())).state.status == "SUCCESS"

    play(tmp_path, scene)


def test_a_deployment_that_does_not_end_in_time_is_cancelled_and_undone(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.platform.script({"outcome": "queued", "seconds": 1e6})
        wanted = service("v2", release={"healthcheckTimeoutSeconds": 60})
        error = await partial(there.handler(poll=2.0).update(Screen(hurried=True), wanted, old))
        assert error.what == (
            f"backend-green did not come up in time: deployment {latest(there)} is still QUEUED after 360 s."
        )
        assert there.platform.store.world.deployments[-1].status == "REMOVED"
        assert there.instance()["source"]["image"] == image("v1")
        assert error.held.state == old.state

    play(tmp_path, scene)


def test_the_deadline_of_the_context_counts_when_it_is_sooner(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.platform.script({"outcome": "queued", "seconds": 1e6})
        screen = Screen(hurried=True, deadline=datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=45))
        error = await partial(there.handler(poll=2.0).create(screen, service()))
        assert "is still QUEUED after 45 s." in error.what

    play(tmp_path, scene)


def test_a_cancelled_update_cancels_its_deployment_and_puts_the_configuration_back(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        before = there.instance()
        await there.platform.script({"outcome": "queued", "seconds": 1e6})
        with pytest.raises(Cancelled) as caught:
            await there.handler().update(Screen(cancel_when="QUEUED"), service("v2"), old)
        assert caught.value.what == (
            f"backend-green: the deployment {latest(there)} was cancelled on request while QUEUED."
        )
        assert there.platform.store.world.deployments[-1].status == "REMOVED"
        assert there.instance() == before
        assert caught.value.held.state == old.state

    play(tmp_path, scene)


def test_a_stopped_update_begins_nothing(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        before = there.instance()
        with pytest.raises(Refused, match="was not deployed, because the update was stopped"):
            await there.handler().update(Screen(cancelled=True), service("v2"), old)
        assert there.instance() == before

    play(tmp_path, scene)


def test_an_update_whose_parent_is_gone_leaves_its_deployment_for_the_next_one(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.platform.script({"outcome": "queued", "seconds": 300})
        error = await partial(there.handler().update(Screen(orphaned_when="QUEUED"), service("v2"), old))
        begun = latest(there)
        assert error.what == (
            f"backend-green: nobody watches deployment {begun} any more, which is QUEUED: whoever started it is gone."
        )
        assert there.instance()["source"]["image"] == image("v2")
        state = await there.handler().update(there.screen, service("v2"), old)
        assert (state.deployment_id, state.release_id) == (begun, service("v2").release_id)

    play(tmp_path, scene)


# ── one at a time ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_somebody_elses_deployment_is_waited_for(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.platform.script({"outcome": "queued", "seconds": 100})
        theirs = await there.platform.deploy(old.id)
        state = await there.handler().update(there.screen, service("v2"), old)
        assert state.image == image("v2")
        assert theirs.activated_at is not None

    play(tmp_path, scene)


def test_somebody_elses_deployment_that_does_not_end_is_a_refusal(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.platform.script({"outcome": "queued", "seconds": 1e6})
        theirs = await there.platform.deploy(old.id)
        before = there.instance()
        with pytest.raises(Refused) as caught:
            await there.handler(poll=2.0).update(Screen(hurried=True), service("v2"), old)
        assert caught.value.what == (
            f"backend-green is being deployed by somebody else: deployment {theirs.id} is QUEUED."
        )
        assert there.instance() == before

    play(tmp_path, scene)


def test_a_deployment_that_a_killed_update_started_is_taken_up(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        wanted = service("v2")
        await there.railway.service_instance_update(wanted.place, old.id, config(wanted))
        await there.railway.variable_collection_upsert(wanted.place, old.id, wanted.environment())
        await there.platform.script({"outcome": "queued", "seconds": 50})
        begun = await there.platform.deploy(old.id)
        state = await there.handler().update(there.screen, wanted, old)
        assert (state.deployment_id, state.release_id) == (begun.id, wanted.release_id)
        assert len(there.platform.store.world.deployments) == 2

    play(tmp_path, scene)


def test_a_deployment_with_the_same_image_and_other_variables_is_not_taken_for_the_release(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1", secrets={"TOKEN": "one"})
        unknown = Held(old.id, old.inputs, ServiceState(service_id=old.id))
        state = await there.handler().update(there.screen, service("v1", secrets={"TOKEN": "two"}), unknown)
        assert state.deployment_id == latest(there) != old.state.deployment_id

    play(tmp_path, scene)


def test_a_release_that_runs_though_its_configuration_was_put_back_gets_it_again(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        running = await there.handler().update(there.screen, service("v2"), old)
        await there.platform.configure(old.id, source={"image": image("v1")})
        state = await there.handler().update(there.screen, service("v2"), old)
        assert state == running
        assert there.instance()["source"]["image"] == image("v2")
        assert len(there.platform.store.world.deployments) == 2

    play(tmp_path, scene)


def test_a_railway_that_fails_at_the_proof_leaves_the_configuration_that_may_run(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        denied = '{"data": null, "errors": [{"message": "Not Authorized"}]}'
        await there.fault("DeploymentRead", {"kind": "answer", "status": 200, "body": denied})
        error = await partial(there.handler().update(there.screen, service("v2"), old))
        assert error.world == f"Deployment {latest(there)} runs and is not proven; its configuration stays."
        assert there.instance()["source"]["image"] == image("v2")
        state = await there.handler().update(there.screen, service("v2"), error.held)
        assert (state.deployment_id, len(there.platform.store.world.deployments)) == (latest(there), 2)

    play(tmp_path, scene)


BUSY = '{"data": null, "errors": [{"message": "An operation is already in progress"}]}'
LIMIT = '{"errors": [{"message": "Rate limit exceeded, please try again in 0 seconds"}]}'


@pytest.mark.parametrize(
    "answer",
    [{"status": 200, "body": BUSY}, {"status": 429, "body": LIMIT, "headers": {"Retry-After": "0"}}],
    ids=["busy", "rate limit"],
)
@pytest.mark.parametrize(
    "operation", ["ServiceCreate", "ServiceInstanceUpdate", "VariableCollectionUpsert", "ServiceInstanceDeploy"]
)
def test_a_write_that_came_at_a_bad_time_is_made_again(tmp_path: Path, operation: str, answer: dict[str, Any]) -> None:
    async def scene(there: Room) -> None:
        await there.fault(operation, {"kind": "answer", **answer}, times=2)
        held = await there.handler().create(there.screen, service())
        assert await there.hits(operation, "answer") == 2
        assert held.state.status == "SUCCESS"

    play(tmp_path, scene)


def test_railway_being_away_for_a_while_does_not_end_the_watch(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        # Four attempts make one read: this one fails, and the next one works.
        await there.fault("DeploymentPoll", {"kind": "answer", "status": 502}, times=4)
        with stamina.set_testing(True, attempts=4):
            held = await there.handler().create(there.screen, service())
        assert await there.hits("DeploymentPoll", "answer") == 4
        assert held.state.status == "SUCCESS"

    play(tmp_path, scene)


def asked_to_wait(seconds: int) -> dict[str, Any]:
    body = '{"errors": [{"message": "Rate limit exceeded"}]}'
    return {"kind": "answer", "status": 429, "body": body, "headers": {"Retry-After": str(seconds)}}


def test_a_rate_limit_of_an_hour_is_told_at_once_where_the_deadline_is_sooner(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        before = there.instance()
        await there.fault("DeploymentsList", asked_to_wait(3600))
        screen = Screen(hurried=True)
        with pytest.raises(RateLimited) as caught:
            await there.handler().update(screen, service("v2"), old)
        assert (screen.waited, caught.value.world, caught.value.next) == (
            [],
            "Nothing was changed.",
            "Try again in 60 min.",
        )
        assert there.instance() == before

    play(tmp_path, scene)


def test_a_rate_limit_of_an_hour_during_the_watch_leaves_the_deployment_to_the_next_update(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.fault("DeploymentPoll", asked_to_wait(3600))
        screen = Screen(hurried=True)
        error = await partial(there.handler().update(screen, service("v2"), old))
        assert error.world == f"Deployment {latest(there)} may be under way or even serve; its configuration stays."
        assert (screen.waited, error.next) == ([], "Try again in 60 min.")
        state = await there.handler().update(there.screen, service("v2"), error.held)
        assert (state.deployment_id, len(there.platform.store.world.deployments)) == (latest(there), 2)

    play(tmp_path, scene)


@pytest.mark.parametrize("operation", ["DeploymentsList", "ServiceInstanceRead", "DeploymentPoll", "DeploymentRead"])
def test_a_rate_limit_of_a_minute_is_waited_out_aloud_and_in_short_breaths(tmp_path: Path, operation: str) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.fault(operation, asked_to_wait(60))
        screen = Screen(hurried=True)
        state = await there.handler().update(screen, service("v2"), old)
        assert state.image == image("v2")
        assert screen.waited.count(1.0) == 60
        assert f"waits 60 s: Railway answered {operation}: Rate limit exceeded." in screen.statuses

    play(tmp_path, scene)


@pytest.mark.parametrize("operation", ["DeploymentPoll", "ServiceInstanceUpdate"])
def test_a_cancelled_update_does_not_sleep_on_a_rate_limit(tmp_path: Path, operation: str) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        before = there.instance()
        await there.fault(operation, asked_to_wait(60))
        screen = Screen(hurried=True, cancel_when="waits 60 s")
        with pytest.raises(Cancelled) as caught:
            await there.handler().update(screen, service("v2"), old)
        assert sum(screen.waited) <= 1.0
        assert there.instance() == before
        assert caught.value.held.state == old.state

    play(tmp_path, scene)


def test_an_update_whose_parent_is_gone_does_not_sleep_on_a_rate_limit(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.fault("DeploymentPoll", asked_to_wait(60))
        screen = Screen(hurried=True, orphaned_when="waits 60 s")
        error = await partial(there.handler().update(screen, service("v2"), old))
        assert f"nobody watches deployment {latest(there)} any more" in error.what
        assert sum(screen.waited) <= 1.0

    play(tmp_path, scene)


def test_a_deployment_that_sleeps_is_no_success(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        asleep = {"id": "d", "status": "SLEEPING", "deploymentStopped": True, "instances": []}
        body = json.dumps({"data": {"deployment": asleep}})
        await there.fault("DeploymentPoll", {"kind": "answer", "status": 200, "body": body})
        error = await partial(there.handler().update(there.screen, service("v2"), old))
        assert error.what == f"backend-green sleeps instead of serving: deployment {latest(there)} is SLEEPING."
        assert error.next.startswith("Turn serverless off in Railway, then run pulumi up again.")
        assert there.instance()["source"]["image"] == image("v1")

    play(tmp_path, scene)


# ── lost replies ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["lost", "reset"])
@pytest.mark.parametrize(
    "operation", ["ServiceInstanceUpdate", "VariableCollectionUpsert", "ServiceInstanceLimitsUpdate"]
)
def test_a_lost_reply_of_a_configuration_is_looked_into(tmp_path: Path, operation: str, kind: str) -> None:
    async def scene(there: Room) -> None:
        await there.fault(operation, {"kind": kind})
        held = await there.handler().create(there.screen, service(release={"limits": {"memoryGb": 1.0}}))
        assert await there.hits(operation, kind) == 1
        assert held.state.status == "SUCCESS"

    play(tmp_path, scene)


def test_variables_that_railway_lists_of_its_own_do_not_hide_that_ours_were_written(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        listed = {**service("v1").environment(), "RAILWAY_SERVICE_NAME": "backend-green"}
        await there.fault("VariableCollectionUpsert", {"kind": "lost"})
        body = json.dumps({"data": {"variables": listed}})
        await there.fault("VariablesRead", {"kind": "answer", "status": 200, "body": body})
        await there.running("v1")
        assert there.calls.count("VariableCollectionUpsert") == 1

    play(tmp_path, scene)


def test_nothing_is_left_of_a_service_that_was_built_from_a_repository(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        built = {"rootDirectory": "web", "railwayConfigFile": "railway.toml", "buildCommand": "make"}
        await there.platform.configure(old.id, watchPatterns=["web/**"], **built)
        await there.handler().update(there.screen, service("v2"), old)
        held = there.instance()
        assert [held[name] for name in (*built, "watchPatterns")] == [None, None, None, []]

    play(tmp_path, scene)


def test_a_repository_that_stays_beside_the_image_is_not_the_wanted_source() -> None:
    wanted = config(service("v1"))
    assert not_kept(wanted, wanted) == []
    assert not_kept(wanted, {**wanted, "source": {"image": image("v1"), "repo": "acme/web"}}) == ["source"]


def test_a_railway_that_is_away_for_long_is_asked_ever_more_seldom(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        there.calls.clear()
        await there.fault("DeploymentsList", {"kind": "answer", "status": 502}, times=None)
        with stamina.set_testing(True, attempts=1), pytest.raises(Unavailable):
            await there.handler(poll=2.0).update(Screen(hurried=True), service("v2"), old)
        assert 10 < there.calls.count("DeploymentsList") < 30

    play(tmp_path, scene)


def held_limits(there: Room, id: str) -> dict[str, float]:
    instance = there.platform.store.instance(id, ENVIRONMENT)
    assert instance is not None
    return instance.limits


@pytest.mark.parametrize(("kind", "sent"), [("lost", 1), ("reset", 2)])
def test_limits_whose_reply_got_lost_are_read_before_they_are_sent_again(tmp_path: Path, kind: str, sent: int) -> None:
    async def scene(there: Room) -> None:
        await there.fault("ServiceInstanceLimitsUpdate", {"kind": kind})
        held = await there.handler().create(there.screen, service(release={"limits": {"memoryGb": 1.0, "vcpus": 2}}))
        assert there.calls.count("ServiceInstanceLimitsUpdate") == sent
        assert held_limits(there, held.id) == {"memoryBytes": 1e9, "cpu": 2.0}

    play(tmp_path, scene)


@pytest.mark.parametrize("limits", [None, {"memoryGb": 1.0}])
def test_limits_that_somebody_set_by_hand_are_corrected(tmp_path: Path, limits: dict[str, float] | None) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1", release={"limits": limits})
        before = dict(held_limits(there, old.id))
        place = {"serviceId": old.id, "environmentId": ENVIRONMENT}
        await there.platform.do("ServiceInstanceLimitsUpdate", input={**place, "memoryGB": 8, "vCPUs": 8})
        await there.handler().update(there.screen, service("v2", release={"limits": limits}), old)
        assert held_limits(there, old.id) == before

    play(tmp_path, scene)


def test_limits_that_are_as_wanted_are_not_written(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1", release={"limits": {"memoryGb": 1.5}})
        there.calls.clear()
        await there.handler().update(there.screen, service("v2", release={"limits": {"memoryGb": 1.5}}), old)
        assert "ServiceInstanceLimitsUpdate" not in there.calls

    play(tmp_path, scene)


def test_limits_that_may_not_be_read_are_written_as_asked(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        denied = '{"data": null, "errors": [{"message": "Not Authorized"}]}'
        await there.fault("ServiceInstanceLimitOverride", {"kind": "answer", "status": 200, "body": denied}, times=None)
        held = await there.running("v1", release={"limits": {"memoryGb": 1.5}})
        assert held_limits(there, held.id) == {"memoryBytes": 1.5e9}

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("held", "wanted", "same"),
    [
        ({}, {}, True),
        ({"memoryBytes": 2e9}, {"memoryGb": 2}, True),
        ({"memoryBytes": 2 * 2**30, "cpu": 1}, {"memoryGb": 2, "vcpus": 1}, True),
        ({"memoryBytes": 2e9, "diskBytes": 5e9}, {"memoryGb": 2}, True),
        ({"memoryBytes": 2e9}, {}, False),
        ({"memoryBytes": 1.1 * 1e9}, {"memoryGb": 1.1}, True),
        ({"memoryBytes": "plenty", "cpu": None}, {}, True),
        ({}, {"vcpus": 1}, False),
        ({"memoryBytes": 3e9}, {"memoryGb": 2}, False),
    ],
)
def test_limits_are_compared_in_either_kind_of_gigabyte(
    held: dict[str, float], wanted: dict[str, float], same: bool
) -> None:
    assert limited(held, Limits.model_validate(wanted)) is same


def test_a_lost_reply_of_the_deployment_starts_no_second_one(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.fault("ServiceInstanceDeploy", {"kind": "lost"})
        state = await there.handler().update(there.screen, service("v2"), old)
        assert (len(there.platform.store.world.deployments), state.deployment_id) == (2, latest(there))

    play(tmp_path, scene)


def test_a_deployment_that_never_arrived_is_started_again(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.fault("ServiceInstanceDeploy", {"kind": "reset"})
        state = await there.handler().update(there.screen, service("v2"), old)
        assert (len(there.platform.store.world.deployments), state.deployment_id) == (2, latest(there))

    play(tmp_path, scene)


def test_a_configuration_that_is_refused_is_undone_and_not_deployed(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        before = there.instance()
        body = '{"data": null, "errors": [{"message": "Invalid input: startCommand"}]}'
        await there.fault("ServiceInstanceUpdate", {"kind": "answer", "status": 200, "body": body})
        error = await partial(there.handler().update(there.screen, service("v2"), old))
        assert error.what == "Railway answered ServiceInstanceUpdate: Invalid input: startCommand."
        assert error.world.startswith("Nothing was deployed. Its configuration is back on ")
        assert there.instance() == before
        assert error.held.state == old.state

    play(tmp_path, scene)


MARS = (
    "mars-1 is no region of Railway; it has asia-southeast1-eqsg3a, europe-west4-drams3a, us-east4-eqdc4a, us-west2."
    " Nothing was changed. Correct replicas of backend-green."
)


@pytest.mark.parametrize("deed", ["create", "update"])
def test_an_unknown_region_is_refused_before_anything_is_written(tmp_path: Path, deed: str) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1") if deed == "update" else None
        there.calls.clear()
        wanted = service("v2", release={"replicas": {REGION: 1, "mars-1": 1}})
        with pytest.raises(Refused) as caught:
            await (
                there.handler().update(there.screen, wanted, old)
                if old
                else there.handler().create(there.screen, wanted)
            )
        assert str(caught.value) == MARS
        assert set(there.calls) <= {"WhoAmIProjectToken", "ProjectServices", "DeploymentsList", "RegionsList"}

    play(tmp_path, scene)


def test_regions_that_run_already_are_not_asked_about(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        there.calls.clear()
        await there.handler().update(there.screen, service("v2"), old)
        assert "RegionsList" not in there.calls

    play(tmp_path, scene)


def test_a_token_that_may_not_read_the_regions_leaves_the_word_to_railway(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        denied = '{"data": null, "errors": [{"message": "Not Authorized"}]}'
        await there.fault("RegionsList", {"kind": "answer", "status": 200, "body": denied}, times=None)
        assert (await there.running("v1")).state.status == "SUCCESS"

    play(tmp_path, scene)


# ── what a deployment is ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "stopped", "instances", "end"),
    [
        ("INITIALIZING", True, [], None),
        ("QUEUED", False, [], None),
        ("WAITING", False, [], None),
        ("BUILDING", False, [], None),
        ("DEPLOYING", True, ["CREATED"], None),
        ("SOMETHING_NEW", False, [], None),
        ("SUCCESS", False, ["RUNNING"], "running"),
        ("SUCCESS", False, ["CRASHED", "RUNNING"], "running"),
        ("SUCCESS", False, ["INITIALIZING"], None),
        ("SUCCESS", True, ["INITIALIZING"], None),
        ("SUCCESS", True, ["EXITED"], "exited"),
        ("SUCCESS", True, [], None),
        ("SLEEPING", True, ["STOPPED"], "sleeping"),
        ("SLEEPING", True, [], "sleeping"),
        ("SLEEPING", False, ["RUNNING"], "running"),
        ("CRASHED", False, ["RUNNING", "CRASHED"], "crashed"),
        ("FAILED", True, [], "failed"),
        ("SKIPPED", True, [], "skipped"),
        ("REMOVING", False, ["RUNNING"], "superseded"),
        ("REMOVED", True, ["REMOVED"], "superseded"),
        ("NEEDS_APPROVAL", False, [], "approval"),
    ],
)
def test_status_stop_and_instances_together_say_how_a_deployment_ended(
    status: str, stopped: bool, instances: list[str], end: str | None
) -> None:
    told = [{"id": "i", "status": each} for each in instances]
    assert Deployment.of({"id": "d", "status": status, "deploymentStopped": stopped, "instances": told}).end == end


def deployed(**changes: Any) -> Deployment:
    deploy = {
        "healthcheckPath": "/health",
        "overlapSeconds": 20,
        "drainingSeconds": 30,
        "multiRegionConfig": {REGION: {"numReplicas": 1}, "us-west2": None},
    }
    meta = {"image": image("v1"), "serviceManifest": {"deploy": {**deploy, **changes}}}
    return Deployment.of({"id": "d", "status": "SUCCESS", "meta": meta})


def test_a_deployment_as_it_was_asked_for_shows_no_difference() -> None:
    assert deployed().differences(service().release) == []


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"multiRegionConfig": {"us-west2": {"numReplicas": 1}}}, f"replicas are us-west2: 1 instead of {REGION}: 1"),
        ({"multiRegionConfig": {REGION: {"numReplicas": 6}}}, f"replicas are {REGION}: 6 instead of {REGION}: 1"),
        ({"multiRegionConfig": None}, f"replicas are not set instead of {REGION}: 1"),
        ({"healthcheckPath": None}, "healthcheckPath is not set instead of /health"),
        ({"overlapSeconds": 0}, "overlapSeconds is 0 instead of 20"),
        ({"drainingSeconds": None}, "drainingSeconds is not set instead of 30"),
    ],
)
def test_a_field_that_railway_reset_is_a_difference(change: dict[str, Any], difference: str) -> None:
    assert deployed(**change).differences(service().release) == [difference]


def test_a_digest_that_was_really_pulled_counts_beside_the_one_asked_for() -> None:
    other = "sha256:" + "f" * 64
    told = Deployment.of({"id": "d", "status": "SUCCESS", "meta": {"image": image("v1"), "imageDigest": other}})
    assert not told.runs(service().release)
    assert other in told.differences(service().release)[0]


def test_a_deployment_without_a_manifest_is_judged_by_its_image() -> None:
    told = Deployment.of({"id": "d", "status": "SUCCESS", "meta": {"image": image("v1")}})
    assert told.differences(service().release) == []


# ── real processes ───────────────────────────────────────────────────────────────────────────────────────────────────


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def process(module: str, *arguments: str) -> AsyncIterator["subprocess.Popen[str]"]:
    """A stand-in as a process of its own, ready; it ends with the block."""
    command = [sys.executable, "-m", module, *arguments, "--die-with-parent", str(os.getpid())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as child:
        try:
            assert child.stdout is not None
            assert await asyncio.to_thread(child.stdout.readline) == "ready\n"
            yield child
        finally:
            child.send_signal(signal.SIGTERM)
            await asyncio.to_thread(child.wait)


def test_real_processes_come_up_crash_and_outlive_a_railway_that_is_down(tmp_path: Path) -> None:
    supervisor, railway, port = free_port(), free_port(), free_port()
    options = ["--supervisor", f"http://127.0.0.1:{supervisor}", "--data", str(tmp_path / "data"), "--token", TOKEN]
    options += ["--project", PROJECT, "--environment", ENVIRONMENT, "--time-scale", "0.02"]

    async def answered() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: backend\r\nConnection: close\r\n\r\n")
        whole = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        return next(line.split(": ")[1] for line in whole.splitlines() if line.startswith("X-Release"))

    async def run() -> None:
        release: dict[str, Any] = {"port": port, "overlapSeconds": 1, "drainingSeconds": 1}
        few: dict[str, Any] = {**release, "restartPolicyMaxRetries": 1, "healthcheckTimeoutSeconds": 20}
        api = Railway(f"http://127.0.0.1:{railway}/graphql/v2", SecretStr(TOKEN))
        handler = ServiceHandler(api, Traffic(), poll=0.1)
        first = service("v1", release=release)
        async with api, process("sandbox.supervisor", "--port", str(supervisor), "--logs", str(tmp_path / "logs")):
            async with process("sandbox.railway", "--port", str(railway), *options):
                held = await handler.create(Screen(), first)
                assert await answered() == first.release_id
                for tag, where in (("v2-crashing", "exited with code 1"), ("v3-unready", "at HEALTHCHECK: ")):
                    error = await partial(handler.update(Screen(), service(tag, release=few), held))
                    assert where in error.what
                    assert await answered() == first.release_id
            assert await handler.update(Screen(), first.model_copy(update={"role": "live"}), held) == held.state
            assert await answered() == first.release_id

    asyncio.run(run())
