"""What is proven after Railway says SUCCESS: the manifest, its answer; who replaced whom; what a token opens."""

import json
from pathlib import Path
from typing import Any

import pytest

from bluegreen.handler import Held, Refused
from bluegreen.http import Unauthorized, Unreachable
from bluegreen.railway.aftermath import NotDeployed
from bluegreen.railway.deploy import Deploy
from bluegreen.railway.deployment import Deployment
from bluegreen.railway.proof import Answers
from bluegreen.railway.reading import refreshed
from bluegreen.railway.spec import ServiceSpec, ServiceState
from tests.railway_platform import ENVIRONMENT, PROJECT, REGION, TOKEN, WORKSPACE_TOKEN
from tests.railway_room import POLL, Room, Screen, image, play, service

Seen = tuple[str | None, str]


# ── it answers as itself ─────────────────────────────────────────────────────────────────────────────────────────────


class Door:
    """What the gateway answers about a service, one after another, the last one for ever; None is no answer at all."""

    def __init__(self, *seen: Seen | None) -> None:
        self._seen = list(seen)
        self.asked = 0

    async def __call__(self, spec: ServiceSpec) -> Seen:
        self.asked += 1
        seen = self._seen.pop(0) if len(self._seen) > 1 else self._seen[0]
        if seen is None:
            raise Unreachable("Kong's proxy cannot be reached.", world="Nothing was changed.", next="Look at Kong.")
        return seen


def well(spec: ServiceSpec) -> Seen:
    return spec.release_id, f"GET /health was answered by release {spec.release_id}"


LATE: Seen = (None, "GET /health answered 503")
OTHER: Seen = ("0" * 16, f"GET /health was answered by release {'0' * 16}")


def deploy(there: Room, screen: Screen, old: Held[ServiceState], answers: Answers) -> Deploy:
    async def allowed() -> None:
        return None

    before = ServiceSpec.model_validate(dict(old.inputs))
    wanted, poll = service("v2"), 2.0 if screen.hurried else POLL
    return Deploy(screen, there.railway, wanted, old.id, old.state, before, allowed, poll, answers)


def test_a_release_counts_once_it_has_answered_as_itself_three_times_in_a_row(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old, wanted = await there.running("v1"), service("v2")
        door = Door(LATE, OTHER, well(wanted), None, well(wanted))
        state = await deploy(there, Screen(hurried=True), old, door).bring()
        assert (state.release_id, door.asked) == (wanted.release_id, 4 + 3)

    play(tmp_path, scene)


@pytest.mark.parametrize("seen", [LATE, OTHER])
def test_a_release_that_answers_otherwise_is_not_deployed_and_not_pinned(tmp_path: Path, seen: Seen) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        screen = Screen(hurried=True)
        with pytest.raises(NotDeployed) as caught:
            await deploy(there, screen, old, Door(seen)).bring()
        id = there.platform.store.world.deployments[-1].id
        assert caught.value.what == (
            f"backend-green runs and does not answer as release {service('v2').release_id}: {seen[1]}."
        )
        assert caught.value.world == (
            f"Deployment {id} is SUCCESS. Deployment {id} serves; traffic was not moved."
            f" Its configuration is back on {image('v1').partition('@')[2][:19]}…, without a deployment."
        )
        assert caught.value.next == "Look at backend-green's logs, then run pulumi up again."
        assert (caught.value.state.release_id, there.instance()["source"]["image"]) == (None, image("v1"))
        overlap = service("v2").release.overlap_seconds  # the one before may answer for so long
        assert 60 + overlap <= sum(screen.waited) < 90 + overlap

    play(tmp_path, scene)


def test_a_gateway_that_gives_no_answer_says_nothing_about_the_release(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        with pytest.raises(NotDeployed) as caught:
            await deploy(there, Screen(hurried=True), old, Door(None)).bring()
        assert (caught.value.what, caught.value.next) == ("Kong's proxy cannot be reached.", "Look at Kong.")
        assert caught.value.world.endswith("its configuration stays.")
        assert (caught.value.state.release_id, there.instance()["source"]["image"]) == (None, image("v2"))
        made = len(there.platform.store.world.deployments)
        state = await deploy(there, Screen(hurried=True), old, Door(well(service("v2")))).bring()
        assert (state.release_id, len(there.platform.store.world.deployments)) == (service("v2").release_id, made)

    play(tmp_path, scene)


def test_whoever_asks_to_stop_ends_the_questions_and_undoes_nothing(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        with pytest.raises(NotDeployed) as caught:
            await deploy(there, Screen(hurried=True, cancel_when="its answer"), old, Door(LATE)).bring()
        assert (caught.value.cancelled, there.instance()["source"]["image"]) == (True, image("v2"))
        assert caught.value.what == "backend-green was not asked to the end, because the update was stopped."

    play(tmp_path, scene)


# ── the manifest ─────────────────────────────────────────────────────────────────────────────────────────────────────


def deployed(**changes: Any) -> Deployment:
    deploy = {
        "healthcheckPath": "/health",
        "overlapSeconds": 20,
        "drainingSeconds": 30,
        "multiRegionConfig": {REGION: {"numReplicas": 1}},
        **changes,
    }
    return Deployment.of(
        {"id": "d", "status": "SUCCESS", "meta": {"image": image("v1"), "serviceManifest": {"deploy": deploy}}}
    )


@pytest.mark.parametrize(
    ("release", "shown", "difference"),
    [
        ({}, {"healthcheckTimeout": 300}, "healthcheckTimeout is 300 instead of 120"),
        ({}, {"restartPolicyType": "ON_FAILURE"}, "restartPolicyType is ON_FAILURE instead of ALWAYS"),
        ({}, {"restartPolicyMaxRetries": None}, ""),
        (
            {"restartPolicy": "ON_FAILURE"},
            {"restartPolicyMaxRetries": 3},
            "restartPolicyMaxRetries is 3 instead of 10",
        ),
        ({"startCommand": "serve"}, {"startCommand": None}, "startCommand is not set instead of serve"),
        ({}, {"startCommand": ""}, ""),
        ({"preDeployCommand": "warm"}, {"preDeployCommand": ["warm"]}, ""),
        ({"preDeployCommand": "warm"}, {"preDeployCommand": "warm"}, ""),
        ({"preDeployCommand": "warm"}, {"preDeployCommand": []}, "preDeployCommand is not set instead of warm"),
        ({}, {"sleepApplication": True}, "sleepApplication is True instead of not set"),
        ({}, {"sleepApplication": False, "cronSchedule": None}, ""),
        ({}, {"cronSchedule": "* * * * *"}, "cronSchedule is * * * * * instead of not set"),
        ({}, {"limitOverride": None}, ""),
        ({"limits": {"vcpus": 2}}, {"limitOverride": {"containers": {"cpu": 2}}}, ""),
        ({"limits": {"vcpus": 2}}, {"limitOverride": None}, "limits are not set instead of cpu: 2.0"),
        ({}, {"limitOverride": {"containers": {"cpu": 8}}}, "limits are cpu: 8 instead of not set"),
    ],
)
def test_every_field_that_the_manifest_names_is_compared(
    release: dict[str, Any], shown: dict[str, Any], difference: str
) -> None:
    wanted = service(release=release).release
    assert deployed(**shown).differences(wanted) == ([difference] if difference else [])


# ── who replaced whom ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_replacement_of_the_same_release_is_watched(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.platform.script({"outcome": "queued", "seconds": 1e6})
        replaced: list[str] = []

        class Replaced(Screen):
            async def status(self, text: str) -> None:
                if "QUEUED" in text and not replaced:
                    first = there.platform.store.world.deployments[-1]
                    again = await there.platform.deploy(old.id)
                    replaced.extend([first.id, again.id])

        screen = Replaced()
        state = await there.handler().update(screen, service("v2"), old)
        assert (state.deployment_id, state.release_id) == (replaced[1], service("v2").release_id)
        what = f"deployment {replaced[0]} was replaced by Railway with {replaced[1]}, of the same release"
        assert f"backend-green: {what}" in screen.milestones

    play(tmp_path, scene)


def test_a_deployment_that_gave_way_to_its_like_is_told_and_nothing_is_done(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        again = await there.platform.do("DeploymentRedeploy", id=old.state.deployment_id)
        deployment = there.platform.store.deployment(again["id"])
        assert deployment is not None
        await there.platform.until(deployment, "SUCCESS")
        found = await refreshed(there.railway, old.id, old, there.screen.milestone)
        assert found is not None
        what = f"deployment {old.state.deployment_id} gave way to {deployment.id} with the same digest; nothing to do"
        assert f"backend-green: {what}" in there.screen.milestones
        assert found.inputs == old.inputs
        there.screen.milestones.clear()
        assert await refreshed(there.railway, old.id, found, there.screen.milestone) == found
        assert there.screen.milestones == []

    play(tmp_path, scene)


def test_a_release_that_crashes_after_it_was_proven_is_deployed_anew_once_that_was_seen(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        never = {"restartPolicy": "NEVER"}
        held = await there.running("v1", release=never)
        crashed = there.platform.store.world.deployments[-1]
        for process in there.machines.processes:
            there.machines.exit(process, 1)
        await there.platform.until(crashed, "CRASHED")
        there.calls.clear()
        assert await there.handler().update(there.screen, service("v1", release=never), held) == held.state
        assert there.calls == []  # what nobody has seen needs nothing
        found = await there.handler().read(there.screen, held.id, held)
        assert found is not None
        assert (found.inputs["releaseId"], found.state.release_id) == ("", None)
        state = await there.handler().update(there.screen, service("v1", release=never), found)
        assert (state.release_id, state.status) == (held.state.release_id, "SUCCESS")
        assert state.deployment_id != crashed.id

    play(tmp_path, scene)


# ── whose token it is ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (
            {"projectId": PROJECT, "environmentId": "staging"},
            f"The Railway token opens project {PROJECT}, which has no environment staging (it has production"
            f" ({ENVIRONMENT})). Nothing was changed. Correct railway.environmentId.",
        ),
        (
            {"projectId": "elsewhere", "environmentId": ENVIRONMENT},
            "The Railway token opens no project elsewhere: Railway answered ProjectRead: Not Authorized",
        ),
    ],
)
def test_a_workspace_token_has_to_open_the_place(tmp_path: Path, place: dict[str, str], sentence: str) -> None:
    async def scene(there: Room) -> None:
        with pytest.raises(Refused) as caught:
            await there.handler().create(there.screen, service(place=place))
        assert str(caught.value).startswith(sentence)
        assert set(there.calls) == {"ProjectRead"}

    play(tmp_path, scene, token=WORKSPACE_TOKEN, kind="workspace")


def test_a_project_that_railway_will_delete_tomorrow_is_no_place(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        told = {"id": PROJECT, "isTempProject": True, "subscriptionType": "free", "environments": {"edges": []}}
        body = json.dumps({"data": {"project": told}})
        await there.fault("ProjectRead", {"kind": "answer", "status": 200, "body": body})
        with pytest.raises(Refused) as caught:
            await there.handler().create(there.screen, service())
        assert str(caught.value) == (
            f"Project {PROJECT} is a temporary one: Railway deletes it a day after it was made."
            " Nothing was changed. Claim it in Railway, then run pulumi up again."
        )

    play(tmp_path, scene, token=WORKSPACE_TOKEN, kind="workspace")


@pytest.mark.parametrize("kind", ["lost", "reset"])
def test_an_instance_that_the_environment_lacks_is_made_once(tmp_path: Path, kind: str) -> None:
    async def scene(there: Room) -> None:
        await there.platform.script({"outcome": "absent-instance"})
        await there.fault("EnvironmentPatchCommit", {"kind": kind})
        screen = Screen(hurried=True)
        held = await there.handler(poll=5.0).create(screen, service())
        assert held.state.status == "SUCCESS"
        assert "backend-green: has no instance in its environment, so one is asked for" in screen.milestones
        assert there.calls.count("EnvironmentPatchCommit") == {"lost": 1, "reset": 2}[kind]

    play(tmp_path, scene)


def test_a_workspace_token_brings_a_release_up(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        assert (await there.running("v1")).state.status == "SUCCESS"

    play(tmp_path, scene, token=WORKSPACE_TOKEN, kind="workspace")


def test_a_token_of_another_kind_says_which_setting_it_may_be(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        denied = '{"data": null, "errors": [{"message": "Project Token not found"}]}'
        await there.fault("WhoAmIProjectToken", {"kind": "answer", "status": 200, "body": denied})
        with pytest.raises(Unauthorized) as caught:
            await there.handler().create(there.screen, service())
        assert str(caught.value).endswith("; or, for a workspace token, set bluegreen:railwayTokenKind: workspace.")

    play(tmp_path, scene, token=TOKEN)
