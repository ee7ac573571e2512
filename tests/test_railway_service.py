"""One colour of one app over the Railway stand-in: created, adopted, updated, guarded, read, imported, deleted."""

import asyncio
from collections.abc import Awaitable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stamina
from pydantic import SecretStr

from bluegreen.handler import Halt, Held, Partial, Refused
from bluegreen.http import LostReply, Unauthorized, Unreachable
from bluegreen.railway.spec import ServiceSpec, ServiceState
from sandbox.railway_call import Options
from tests.railway_platform import ENVIRONMENT, PROJECT, REGION, WORKSPACE_TOKEN
from tests.railway_room import Room, Screen, image, offline, play, service

LOST = {"kind": "lost"}
RESET = {"kind": "reset"}


async def refusal(ending: Awaitable[Any]) -> Refused:
    with pytest.raises(Refused) as caught:
        await ending
    return caught.value


# ── create ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_service_runs_the_release_that_was_asked_for(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        wanted = service("v42", secrets={"TOKEN": "t0p"}, release={"variables": {"LOG": "info"}})
        held = await there.handler().create(there.screen, wanted)
        (deployment,) = there.platform.store.world.deployments
        state = held.state
        assert held.id == state.service_id == deployment.service_id
        assert (state.deployment_id, state.release_id) == (deployment.id, wanted.release_id)
        assert (state.image, state.status) == (image("v42"), "SUCCESS")
        assert state.private_domain == "backend-green.railway.internal"
        assert wanted.environment().items() <= deployment.variables.items()

    play(tmp_path, scene)


def test_the_whole_configuration_is_written(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.running(release={"replicas": {REGION: 2, "us-west2": 1}, "preDeployCommand": "python -m app.warm"})
        wanted = {
            "source": {"image": image("v1"), "repo": None},
            "healthcheckPath": "/health",
            "healthcheckTimeout": 120,
            "overlapSeconds": 20,
            "drainingSeconds": 30,
            "restartPolicyType": "ALWAYS",
            "restartPolicyMaxRetries": 10,
            "preDeployCommand": ["python -m app.warm"],
            "multiRegionConfig": {REGION: {"numReplicas": 2}, "us-west2": {"numReplicas": 1}},
        }
        assert wanted.items() <= there.instance().items()

    play(tmp_path, scene)


def test_a_deployment_tells_its_way_in_one_line(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        state = (await there.handler().create(there.screen, service())).state
        line = next(each for each in there.screen.milestones if "→" in each)
        assert line.startswith(f"backend-green: deployment {state.deployment_id} ")
        assert line.split(" s")[0].endswith("→ SUCCESS in 0")

    play(tmp_path, scene)


def test_limits_are_written_and_taken_away_again(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        held = await there.running(release={"limits": {"memoryGb": 2.0, "vcpus": 1.0}})
        (instance,) = there.platform.store.world.instances
        assert instance.limits == {"cpu": 1.0, "memoryBytes": 2e9}
        await there.handler().update(there.screen, service(), held)
        assert instance.limits == {}

    play(tmp_path, scene)


def test_registry_credentials_are_sent_and_never_held_in_the_state(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        held = await there.running(registryCredentials={"username": "u", "password": "pa55word"})
        assert there.platform.store.world.instances[0].credentials
        assert "pa55word" not in held.state.model_dump_json() + repr(held)

    play(tmp_path, scene)


def test_a_service_that_is_not_marked_as_ours_is_never_touched(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.platform.create("backend-green")
        before = there.instance()
        refused = await refusal(there.handler().create(there.screen, service()))
        assert refused.what == (
            "Railway already has a service called backend-green, and it is not marked as ours"
            " (its BLUEGREEN_OWNER is not acme.production)."
        )
        assert "pulumi import bluegreen:railway:Service backend-green backend-green" in refused.next
        assert there.instance() == before

    play(tmp_path, scene)


def test_a_service_of_another_stack_is_never_touched(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.platform.create("backend-green", variables={"BLUEGREEN_OWNER": "acme.staging"})
        assert "it belongs to acme.staging" in (await refusal(there.handler().create(there.screen, service()))).what

    play(tmp_path, scene)


def test_a_service_of_ours_that_a_lost_update_left_is_taken_over(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        left = await there.platform.create("backend-green", variables={"BLUEGREEN_OWNER": "acme.production"})
        held = await there.handler().create(there.screen, service())
        assert (held.id, held.state.status) == (left, "SUCCESS")

    play(tmp_path, scene)


def test_a_service_of_ours_that_already_runs_the_release_is_taken_over_without_a_deployment(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        first = await there.running()
        there.traffic.carrying.add(("backend", "green"))
        again = await there.handler().create(there.screen, service())
        assert (again.id, again.state.deployment_id) == (first.id, first.state.deployment_id)
        assert len(there.platform.store.world.deployments) == 1

    play(tmp_path, scene)


def test_a_colour_that_carries_traffic_is_not_deployed_over_when_it_is_taken_over(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.running("v1")
        there.traffic.carrying.add(("backend", "green"))
        await refusal(there.handler().create(there.screen, service("v2")))
        assert len(there.platform.store.world.deployments) == 1

    play(tmp_path, scene)


def test_a_lost_reply_of_the_creation_leaves_one_service(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.fault("ServiceCreate", LOST)
        held = await there.handler().create(there.screen, service())
        (made,) = there.platform.store.world.services
        assert (held.id, held.state.status) == (made.id, "SUCCESS")

    play(tmp_path, scene)


def test_a_creation_that_never_arrived_is_sent_again(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.fault("ServiceCreate", RESET)
        # Railway lists a new service late, so looking for it takes its time: here, none that is real.
        held = await there.handler(poll=2.0).create(Screen(hurried=True), service())
        assert [held.id] == [each.id for each in there.platform.store.world.services]

    play(tmp_path, scene)


@pytest.mark.parametrize("lost", [True, False], ids=["lost reply", "reply"])
def test_a_service_that_can_be_read_only_later_is_waited_for(tmp_path: Path, lost: bool) -> None:
    async def scene(there: Room) -> None:
        await there.fault("ServiceCreate", LOST if lost else {"kind": "slow", "seconds": 0})
        held = await there.handler().create(there.screen, service())
        assert [held.id] == [each.id for each in there.platform.store.world.services]

    play(tmp_path, scene, options=Options(read_lag=200.0))  # platform seconds: 0.2 s


def test_an_environment_without_an_instance_of_the_service_is_told(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.platform.script({"service": "backend-green", "outcome": "absent-instance"})
        nothing = '{"data": null, "errors": [{"message": "No patch to apply"}]}'
        await there.fault("EnvironmentPatchCommit", {"kind": "answer", "status": 200, "body": nothing}, times=None)
        with pytest.raises(Partial) as caught:
            await there.handler(poll=2.0).create(Screen(hurried=True), service())
        assert caught.value.what == (
            "Environment environment-1 has no instance of backend-green, so it cannot run there."
        )
        assert caught.value.held.id == there.platform.store.world.services[0].id

    play(tmp_path, scene)


def test_a_token_of_another_environment_is_refused_before_anything_changes(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        wanted = service(place={"projectId": PROJECT, "environmentId": "staging"})
        for ending in (
            there.handler().preview(there.screen, wanted, None),
            there.handler().create(there.screen, wanted),
        ):
            refused = await refusal(ending)
            assert refused.what == (
                f"The Railway token belongs to environment {ENVIRONMENT} of project {PROJECT},"
                f" not to environment staging of project {PROJECT}."
            )
        assert there.platform.store.world.services == []

    play(tmp_path, scene)


def test_a_token_that_railway_does_not_know_is_told_with_what_to_check(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        with pytest.raises(Unauthorized, match="Check BLUEGREEN_RAILWAY_TOKEN"):
            await there.handler().create(there.screen, service())

    play(tmp_path, scene, token="of somebody else")


def test_a_workspace_token_deploys_too(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        assert (await there.running()).state.status == "SUCCESS"

    play(tmp_path, scene, token=WORKSPACE_TOKEN, kind="workspace")


# ── update ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_update_deploys_the_new_release_in_the_same_service(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        held = await there.running("v1")
        state = await there.handler().update(there.screen, service("v2"), held)
        assert (state.service_id, state.image) == (held.id, image("v2"))
        assert state.release_id == service("v2").release_id != held.state.release_id

    play(tmp_path, scene)


def test_a_release_that_answers_as_another_one_is_not_deployed(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        there.screen.hurried = True

        async def answers(spec: ServiceSpec) -> tuple[str | None, str]:
            return "another", "GET /health was answered by release another"

        with pytest.raises(Partial) as caught:
            await there.handler(answers=answers, poll=10.0).update(there.screen, service("v2"), old)
        assert "was answered by release another" in caught.value.what
        assert caught.value.held.state.release_id is None

    play(tmp_path, scene)


def test_a_rotated_secret_is_deployed_with_the_same_image(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        held = await there.running(secrets={"TOKEN": "one"})
        state = await there.handler().update(there.screen, service(secrets={"TOKEN": "two"}), held)
        latest = there.platform.store.world.deployments[-1]
        assert (state.deployment_id, state.image) == (latest.id, held.state.image)
        assert latest.variables["TOKEN"] == "two"

    play(tmp_path, scene)


def test_a_variable_that_is_no_longer_named_is_gone(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        held = await there.running(release={"variables": {"OLD": "1"}})
        await there.handler().update(there.screen, service(), held)
        assert "OLD" not in there.platform.store.world.deployments[-1].variables

    play(tmp_path, scene)


def test_a_region_that_is_no_longer_named_is_left(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        held = await there.running(release={"replicas": {REGION: 1, "us-west2": 1}})
        state = await there.handler().update(there.screen, service(), held)
        assert state.release_id == service().release_id
        # Railway keeps a region that an update does not name: it has to be named with null.
        regions = there.sent["ServiceInstanceUpdate"]["input"]["multiRegionConfig"]
        assert regions == {"us-west2": None, REGION: {"numReplicas": 1}}
        assert there.instance()["multiRegionConfig"] == {REGION: {"numReplicas": 1}}

    play(tmp_path, scene)


def held(tag: str = "v1", **changes: Any) -> Held[ServiceState]:
    """A service as state holds it, without any Railway."""
    spec = service(tag, **changes)
    state = ServiceState(service_id="s", deployment_id="d", release_id=spec.release_id, image=spec.release.image)
    return Held("s", spec.model_dump(), state)


@pytest.mark.parametrize("changes", [{"role": "live"}, {"release": {"schemaMin": "011"}}, {}], ids=str)
def test_nothing_to_deploy_succeeds_with_railway_out_of_reach(changes: dict[str, Any]) -> None:
    old = held()
    assert asyncio.run(offline().update(Screen(), service(**changes), old)) == old.state
    assert asyncio.run(offline().preview(Screen(), service(**changes), old)) == old.state


def test_a_deployment_with_railway_out_of_reach_is_told_and_changes_nothing() -> None:
    screen = Screen(hurried=True)
    with stamina.set_testing(True), pytest.raises(Unreachable, match=r"cannot be reached .* Nothing was changed\."):
        asyncio.run(offline().update(screen, service("v2"), held("v1")))
    assert screen.waited == []


def test_another_owner_is_written_without_a_deployment(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        there.traffic.carrying.add(("backend", "green"))
        state = await there.handler().update(there.screen, service(owner="acme.renamed"), old)
        assert state == old.state
        assert there.instance()["variables"]["BLUEGREEN_OWNER"] == "acme.renamed"
        assert len(there.platform.store.world.deployments) == 1

    play(tmp_path, scene)


def test_new_registry_credentials_are_written_without_a_deployment(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        await there.handler().update(there.screen, service(registryCredentials={"username": "u", "password": "p"}), old)
        assert there.platform.store.world.instances[0].credentials
        assert len(there.platform.store.world.deployments) == 1

    play(tmp_path, scene)


@pytest.mark.parametrize("tag", ["v1", "v2"])
def test_registry_credentials_that_are_declared_no_longer_are_taken_from_railway(tmp_path: Path, tag: str) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1", registryCredentials={"username": "u", "password": "p"})
        assert there.platform.store.world.instances[0].credentials
        await there.handler().update(there.screen, service(tag), old)
        assert not there.platform.store.world.instances[0].credentials

    play(tmp_path, scene)


def test_a_colour_that_carries_traffic_is_never_deployed_over(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        before = there.instance()
        there.traffic.carrying.add(("backend", "green"))
        refused = await refusal(there.handler().update(there.screen, service("v2"), old))
        assert refused.what == (
            f"backend green really carries traffic, and release {service('v2').release_id} would be deployed over it."
        )
        assert refused.world == "Nothing was changed."
        assert refused.next == "Release it on the other colour, or move traffic away from green first."
        assert there.instance() == before

    play(tmp_path, scene)


def test_a_colour_that_lost_its_traffic_just_now_gets_time_for_what_is_under_way(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        there.screen.hurried = True
        lost = there.screen.now() - timedelta(seconds=20)

        async def idle_since(app: str, colour: str) -> datetime:
            assert (app, colour) == ("backend", "green")
            return lost

        handler = there.handler(idle_since)
        await handler.delete(there.screen, Held(old.id, {**old.inputs, "maxRequestSeconds": 60}, old.state))
        said = "backend green lost its traffic just now: requests under way get 40 s more"
        assert (said in there.screen.milestones, sum(there.screen.waited) >= 40) == (True, True)

    play(tmp_path, scene)


@pytest.mark.parametrize("stopped_by", ["cancel_when", "orphaned_when"])
def test_an_interrupted_drain_deletes_nothing(tmp_path: Path, stopped_by: str) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        there.screen.hurried = True
        setattr(there.screen, stopped_by, "draining, 30 s left")
        lost = there.screen.now()

        async def idle_since(app: str, colour: str) -> datetime:
            return lost

        deleting = there.handler(idle_since).delete(
            there.screen, Held(old.id, {**old.inputs, "maxRequestSeconds": 60}, old.state)
        )
        assert str(await refusal(deleting)) == (
            "backend-green was not deleted, because the update was stopped. Nothing was changed. Run pulumi up again."
        )
        assert list(await there.railway.services(PROJECT)) == ["backend-green"]
        assert sum(there.screen.waited) < 60

    play(tmp_path, scene)


@pytest.mark.parametrize("stopped_by", ["cancel_when", "orphaned_when"])
def test_an_interrupted_drain_deploys_nothing(tmp_path: Path, stopped_by: str) -> None:
    async def scene(there: Room) -> None:
        old, before = await there.running("v1"), there.instance()
        there.screen.hurried = True
        setattr(there.screen, stopped_by, "draining, 30 s left")
        lost = there.screen.now()

        async def idle_since(app: str, colour: str) -> datetime:
            return lost

        wanted = service("v2", maxRequestSeconds=60)
        refused = await refusal(there.handler(idle_since).update(there.screen, wanted, old))
        assert refused.what == "backend-green was not deployed, because the update was stopped."
        assert there.instance() == before
        assert len(there.platform.store.world.deployments) == 1

    play(tmp_path, scene)


def test_a_colour_that_is_idle_for_long_enough_waits_for_nobody(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")

        async def idle_since(app: str, colour: str) -> datetime:
            return there.screen.now() - timedelta(seconds=61)

        await there.handler(idle_since).update(there.screen, service("v2", maxRequestSeconds=60), old)
        assert [text for text in there.screen.milestones if "under way" in text] == []

    play(tmp_path, scene)


def test_a_teardown_does_not_lift_the_guard_of_an_update(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        there.traffic.carrying.add(("backend", "green"))
        await refusal(there.handler(teardown=True).update(there.screen, service("v2"), old))

    play(tmp_path, scene)


# ── preview ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_preview_of_a_creation_knows_what_can_be_known(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        found = await there.handler().preview(there.screen, service("v2"), None)
        assert found == ServiceState(
            release_id=service("v2").release_id,
            image=image("v2"),
            private_domain="backend-green.railway.internal",
            status="SUCCESS",
        )
        assert there.platform.store.world.services == []

    play(tmp_path, scene)


def test_a_preview_of_an_idle_deployment_asks_nobody() -> None:
    found = asyncio.run(offline().preview(Screen(), service("v2"), held("v1")))
    assert (found.service_id, found.deployment_id, found.release_id) == ("s", None, service("v2").release_id)


@pytest.mark.parametrize("role", ["live", "idle"])
def test_a_preview_refuses_to_deploy_over_the_colour_that_will_be_live(tmp_path: Path, role: str) -> None:
    async def scene(there: Room) -> None:
        there.traffic.carrying.add(("backend", "green"))
        preview = there.handler().preview(there.screen, service("v2", role=role), held("v1"))
        if role == "live":
            assert "really carries traffic" in (await refusal(preview)).what
        else:
            assert (await preview).release_id == service("v2").release_id

    play(tmp_path, scene)


def test_a_preview_lets_a_colour_be_deployed_and_made_live_in_one_go(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        there.traffic.carrying.add(("backend", "blue"))
        found = await there.handler().preview(there.screen, service("v2", role="live"), held("v1"))
        assert found.release_id == service("v2").release_id

    play(tmp_path, scene)


@pytest.mark.parametrize("was", [None, "v1"], ids=["create", "update"])
def test_an_unknown_region_is_refused_by_a_preview(tmp_path: Path, was: str | None) -> None:
    async def scene(there: Room) -> None:
        wanted = service("v2", release={"replicas": {"mars-1": 1}})
        refused = await refusal(there.handler().preview(there.screen, wanted, held(was) if was else None))
        assert (refused.what.partition(";")[0], refused.world) == (
            "mars-1 is no region of Railway",
            "Nothing was changed.",
        )
        assert refused.next == "Correct replicas of backend-green."

    play(tmp_path, scene)


def test_whether_the_token_belongs_here_is_asked_again_as_railway_asks_for_patience(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        there.screen.hurried = True
        slowly = {"kind": "answer", "status": 429, "body": "{}", "headers": {"Retry-After": "30"}}
        await there.fault("WhoAmIProjectToken", slowly)
        found = await there.handler().preview(there.screen, service("v2"), None)
        assert (found.status, 30 <= sum(there.screen.waited) < 60) == ("SUCCESS", True)

    play(tmp_path, scene)


def test_what_is_left_of_a_deleted_service_is_asked_again_as_railway_asks_for_patience(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        there.screen.hurried = True
        denied = '{"data": null, "errors": [{"message": "Not Authorized"}]}'
        await there.platform.do("ServiceDelete", id=old.id)
        await there.fault("ServiceDelete", {"kind": "answer", "status": 200, "body": denied})
        slowly = {"kind": "answer", "status": 429, "body": "{}", "headers": {"Retry-After": "30"}}
        await there.fault("ServiceInstanceRead", slowly)
        await there.handler().delete(there.screen, old)
        assert 30 <= sum(there.screen.waited) < 60

    play(tmp_path, scene)


# ── read ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_refresh_of_an_untouched_service_changes_nothing(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        assert await there.handler().read(there.screen, old.id, old) == old

    play(tmp_path, scene)


def test_a_redeployment_by_railway_itself_is_no_drift(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        again = await there.platform.do("DeploymentRedeploy", id=old.state.deployment_id)
        deployment = there.platform.store.deployment(again["id"])
        assert deployment is not None
        await there.platform.until(deployment, "SUCCESS")
        found = await there.handler().read(there.screen, old.id, old)
        assert found is not None
        assert (found.inputs, found.state.release_id) == (old.inputs, old.state.release_id)
        assert found.state.deployment_id == deployment.id

    play(tmp_path, scene)


def test_another_image_is_drift_and_the_next_update_corrects_it(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.platform.configure(old.id, "v2", source={"image": image("v2")})
        deployment = await there.platform.deploy(old.id)
        await there.platform.until(deployment, "SUCCESS")
        found = await there.handler().read(there.screen, old.id, old)
        assert found is not None
        assert found.inputs["release"]["image"] == image("v2")
        assert found.state.release_id is None
        corrected = await there.handler().update(there.screen, service("v1"), found)
        assert (corrected.image, corrected.release_id) == (image("v1"), old.state.release_id)

    play(tmp_path, scene)


def test_replicas_that_somebody_changed_are_drift(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        scaled = {REGION: {"numReplicas": 2}}
        await there.platform.configure(old.id, source={"image": image("v1")}, multiRegionConfig=scaled)
        await there.platform.until(await there.platform.deploy(old.id), "SUCCESS")
        found = await there.handler().read(there.screen, old.id, old)
        assert found is not None
        assert found.inputs["release"]["replicas"] == {REGION: 2}

    play(tmp_path, scene)


def test_a_service_whose_deployment_was_removed_is_drift_and_is_deployed_again(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        await there.platform.do("DeploymentRemove", id=old.state.deployment_id)
        found = await there.handler().read(there.screen, old.id, old)
        assert found is not None
        assert (found.inputs["releaseId"], found.state.release_id) == ("", None)
        state = await there.handler().update(there.screen, service(), found)
        assert state.release_id == old.state.release_id

    play(tmp_path, scene)


def test_a_service_that_was_stopped_by_hand_is_told_and_started_by_the_next_update(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        await there.platform.do("DeploymentStop", id=old.state.deployment_id)
        deployment = there.platform.store.world.deployments[0]
        async with asyncio.timeout(10):
            await there.platform.store.until(lambda: {unit.status for unit in deployment.units} == {"STOPPED"})
        found = await there.handler().read(there.screen, old.id, old)
        assert found is not None
        assert (found.inputs, found.state.status) == ({**old.inputs, "running": False}, "STOPPED")
        assert (await there.handler().update(there.screen, service(), found)).status == "SUCCESS"

    play(tmp_path, scene)


def test_a_service_that_was_deleted_by_hand_is_gone(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        await there.platform.do("ServiceDelete", id=old.id)
        assert await there.handler().read(there.screen, old.id, old) is None

    play(tmp_path, scene)


def test_a_state_without_a_place_is_told_instead_of_guessed(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        refused = await refusal(there.handler().read(there.screen, "s", Held("s", {}, ServiceState())))
        assert refused.what == "The state of service s names no project and environment."

    play(tmp_path, scene)


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_service_of_ours_is_imported_as_the_inputs_that_made_it(tmp_path: Path, by: str) -> None:
    async def scene(there: Room) -> None:
        made = await there.running(secrets={"TOKEN": "t0p"}, release={"variables": {"LOG": "info"}})
        found = await there.handler().read(there.screen, "backend-green" if by == "name" else made.id, None)
        assert found is not None
        release = service(release={"variables": {"LOG": "info"}}).release.model_dump(
            exclude={"limits", "schema_min", "service_name"}
        )
        told = {key: value for key, value in release.items() if value is not None}
        # Of what is wanted while it carries no traffic Railway knows nothing.
        ours = ("maxRequestSeconds", "rollbackSeconds", "running")
        asked = {key: value for key, value in made.inputs.items() if key not in ours}
        assert found.inputs == {**asked, "release": told}
        assert found.state.model_copy(update={"deployed_at": None}) == made.state.model_copy(
            update={"deployed_at": None}
        )

    play(tmp_path, scene)


def test_every_variable_of_a_foreign_service_is_imported_as_a_secret(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        foreign = await there.platform.create("backend-green")
        await there.platform.configure(foreign)
        await there.platform.variables(foreign, PORT="9000", DATABASE_URL="postgres://u:p@h/d")
        found = await there.handler().read(there.screen, "backend-green", None)
        assert found is not None
        assert (found.inputs["release"]["port"], found.inputs["release"]["variables"]) == (9000, {})
        assert found.inputs["secrets"] == {"DATABASE_URL": SecretStr("postgres://u:p@h/d")}
        assert (found.inputs["owner"], found.state.release_id) == ("", None)

    play(tmp_path, scene)


def test_a_service_that_does_not_exist_cannot_be_imported(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        assert await there.handler().read(there.screen, "backend-blue", None) is None

    play(tmp_path, scene)


def test_a_service_whose_name_and_mark_tell_no_colour_is_imported_as_blue(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        id = await there.platform.create("web-api")
        found = await there.handler().read(there.screen, "web-api", None)
        assert found is not None
        assert (found.id, found.inputs["app"], found.inputs["colour"]) == (id, "web-api", "blue")

    play(tmp_path, scene)


# ── delete ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_deleted_service_is_gone(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        await there.handler().delete(there.screen, old)
        assert await there.railway.services(PROJECT) == {}

    play(tmp_path, scene)


def test_a_colour_that_carries_traffic_is_not_deleted_except_in_a_teardown(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        there.traffic.carrying.add(("backend", "green"))
        refused = await refusal(there.handler().delete(there.screen, old))
        assert "BLUEGREEN_TEARDOWN=1 pulumi destroy" in refused.next
        assert list(await there.railway.services(PROJECT)) == ["backend-green"]
        await there.handler(teardown=True).delete(there.screen, old)
        assert await there.railway.services(PROJECT) == {}

    play(tmp_path, scene)


def test_a_teardown_does_not_need_the_gateway(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        there.traffic.asked = 0
        await there.handler(teardown=True).delete(there.screen, old)
        assert there.traffic.asked == 0

    play(tmp_path, scene)


def test_deleting_what_is_already_deleted_succeeds(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        await there.handler().delete(there.screen, old)
        await there.handler().delete(there.screen, old)
        assert await there.railway.services(PROJECT) == {}

    play(tmp_path, scene)


def test_a_lost_reply_of_a_deletion_is_looked_into(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        await there.fault("ServiceDelete", LOST)
        await there.handler().delete(there.screen, old)
        assert await there.hits("ServiceDelete", "lost") == 1
        assert await there.railway.services(PROJECT) == {}

    play(tmp_path, scene)


def test_a_deletion_that_is_not_allowed_is_told(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        denied = '{"data": null, "errors": [{"message": "Not Authorized"}]}'
        await there.fault("ServiceDelete", {"kind": "answer", "status": 200, "body": denied})
        with pytest.raises(Unauthorized):
            await there.handler().delete(there.screen, old)

    play(tmp_path, scene)


def test_a_deletion_that_stays_without_an_answer_is_told(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        await there.fault("ServiceDelete", RESET, times=None)
        with pytest.raises(LostReply) as caught:
            await there.handler().delete(there.screen, old)
        assert isinstance(caught.value, Halt)
        assert await there.hits("ServiceDelete", "reset") == 3

    play(tmp_path, scene)
