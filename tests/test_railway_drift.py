"""What a refresh finds beside the release that serves: a stop without a trace, and a template that names another.

The template is what the next deployment is made of, and Railway deploys by itself: as long as it names another image
than what was proven, a restart brings that up. Over the Railway stand-in.
"""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bluegreen.handler import Held, Partial
from bluegreen.provider.check import conceal, dump
from bluegreen.provider.diff import diff
from bluegreen.railway.deployment import Deployment
from bluegreen.railway.need import need
from bluegreen.railway.spec import ServiceSpec, ServiceState
from bluegreen.railway.template import config
from bluegreen.spec import Colour
from tests.railway_room import Room, Screen, image, play, service

DENIED = '{"data": null, "errors": [{"message": "Not Authorized"}]}'


async def refreshed(there: Room, held: Held[ServiceState]) -> Held[ServiceState]:
    found = await there.handler().read(there.screen, held.id, held)
    assert found is not None
    return found


async def up(there: Room, wanted: ServiceSpec, held: Held[ServiceState]) -> Held[ServiceState]:
    """An update that ends well, as the engine keeps it."""
    state = await there.handler().update(there.screen, wanted, held)
    return Held(held.id, wanted.model_dump(), state)


async def stopped(there: Room) -> Held[ServiceState]:
    return await up(there, service(running=False), await there.running())


def pinned(there: Room) -> str:
    """What a restart by Railway would deploy."""
    return str(there.instance()["source"]["image"])


async def killed(there: Room, wanted: ServiceSpec, id: str) -> None:
    """What an update leaves that dies right before its deployment."""
    await there.railway.service_instance_update(wanted.place, id, config(wanted))
    await there.railway.variable_collection_upsert(wanted.place, id, wanted.environment())


async def orphaned(there: Room, wanted: ServiceSpec, old: Held[ServiceState]) -> Held[ServiceState]:
    """What is held when nobody is left to report to once the variables are written."""
    screen = Screen()

    async def since(app: str, colour: Colour) -> datetime | None:
        screen.orphaned = there.instance()["variables"] == wanted.environment()
        return None

    with pytest.raises(Partial) as caught:
        await there.handler(since).update(screen, wanted, old)
    assert len(there.platform.store.world.deployments) == 1
    return caught.value.held


async def not_put_back(
    there: Room, wanted: ServiceSpec, old: Held[ServiceState], failing: str = "ServiceInstanceUpdate"
) -> Held[ServiceState]:
    """What is held after a release that failed, and whose configuration could not be undone."""
    await there.platform.script({"outcome": "healthcheck-timeout"})
    await there.fault(failing, {"kind": "answer", "status": 200, "body": DENIED}, skip=1)
    with pytest.raises(Partial) as caught:
        await there.handler().update(Screen(), wanted, old)
    return caught.value.held


# ── what is stopped ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "stop", "instances", "halted"),
    [
        ("SUCCESS", True, [], True),
        ("SUCCESS", True, ["EXITED"], True),
        ("SUCCESS", True, ["EXITED", "RUNNING"], False),
        ("SUCCESS", False, [], False),
        ("DEPLOYING", True, [], False),
        ("REMOVED", True, [], False),
    ],
)
def test_what_serves_is_halted_when_it_is_stopped_and_nothing_of_it_runs(
    status: str, stop: bool, instances: list[str], halted: bool
) -> None:
    listed = [{"id": str(number), "status": each} for number, each in enumerate(instances)]
    node = {"id": "d", "status": status, "deploymentStopped": stop, "instances": listed}
    assert Deployment.of(node).halted == halted


def test_what_is_stopped_and_has_no_instances_left_is_started_before_it_takes_traffic(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        held = await stopped(there)
        there.platform.store.world.deployments[0].units.clear()
        found = await refreshed(there, held)
        assert found == held
        assert need(service(role="live"), found) == "resume"
        imported = await there.handler().read(there.screen, "backend-green", None)
        assert imported is not None
        assert (imported.inputs["running"], imported.state.status) == (False, "STOPPED")

    play(tmp_path, scene)


def test_what_somebody_started_again_is_no_longer_told_as_kept(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        held = await stopped(there)
        assert held.state.kept_until is not None
        await there.platform.do("DeploymentRestart", id=held.state.deployment_id)
        (deployment,) = there.platform.store.world.deployments
        async with asyncio.timeout(10):
            await there.platform.store.until(lambda: {unit.status for unit in deployment.units} == {"RUNNING"})
        found = await refreshed(there, held)
        assert (found.inputs["running"], found.state.status) == (True, "SUCCESS")
        assert (found.state.stopped_at, found.state.kept_until) == (None, None)

    play(tmp_path, scene)


# ── what the template names ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["killed", "edited"])
def test_a_template_that_names_something_else_is_drift_which_a_configuration_mends(tmp_path: Path, how: str) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        if how == "killed":
            await killed(there, service("v2"), old.id)
        else:
            await there.platform.configure(old.id, source={"image": image("v2")})
        found = await refreshed(there, old)
        assert found.inputs == {**old.inputs, "templateImage": image("v2")}
        assert found.state == old.state.model_copy(update={"template_image": image("v2")})
        assert await refreshed(there, found) == found
        there.calls.clear()
        mended = await up(there, service("v1"), found)
        assert (mended.state, pinned(there)) == (old.state, image("v1"))
        assert there.instance()["variables"] == service("v1").environment()
        assert "ServiceInstanceUpdate" in there.calls
        assert "ServiceInstanceDeploy" not in there.calls
        assert await refreshed(there, mended) == mended

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("source", "told"), [({"image": None, "repo": "acme/backend"}, "acme/backend"), ({"image": None}, "no image")]
)
def test_a_template_without_an_image_is_drift_too(tmp_path: Path, source: dict[str, Any], told: str) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        id = there.platform.store.world.instances
        (instance,) = [each for each in id if each.service_id == old.id]
        instance.config["source"] = source
        assert (await refreshed(there, old)).inputs["templateImage"] == told

    play(tmp_path, scene)


def test_a_template_that_was_put_right_by_hand_is_drift_no_more(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.platform.configure(old.id, source={"image": image("v2")})
        found = await refreshed(there, old)
        assert found != old
        await there.platform.configure(old.id, source={"image": image("v1")})
        assert await refreshed(there, found) == old

    play(tmp_path, scene)


def test_the_engine_is_shown_such_a_template_as_one_change_that_replaces_nothing(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.platform.configure(old.id, source={"image": image("v2")})
        handler, found = there.handler(), await refreshed(there, old)
        (change,) = diff(handler, conceal(ServiceSpec, found.inputs), dump(service("v1")))
        assert (str(change), change.kind, change.replace) == ("templateImage", "DELETE", False)

    play(tmp_path, scene)


def test_a_release_that_fails_after_such_a_drift_puts_back_what_was_proven(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.platform.configure(old.id, source={"image": image("v7")})
        found = await refreshed(there, old)
        await there.platform.script({"outcome": "healthcheck-timeout"})
        with pytest.raises(Partial) as caught:
            await there.handler().update(there.screen, service("v2"), found)
        assert (pinned(there), caught.value.held.state) == (image("v1"), old.state)

    play(tmp_path, scene)


def test_variables_that_were_not_put_back_are_remembered_by_a_refresh(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        held = await not_put_back(there, service("v2"), old, "VariableCollectionUpsert")
        assert (pinned(there), there.instance()["variables"]) == (image("v1"), service("v2").environment())
        found = await refreshed(there, held)
        assert found.inputs["templateImage"] == image("v2")
        await up(there, service("v1"), found)
        assert there.instance()["variables"] == service("v1").environment()

    play(tmp_path, scene)


# ── what was not put back ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("left", [orphaned, not_put_back])
def test_going_back_after_a_template_that_was_not_put_back_writes_it_once(tmp_path: Path, left: Any) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        held = await left(there, service("v2"), old)
        assert (pinned(there), held.state.template_image) == (image("v2"), image("v2"))
        there.calls.clear()
        back = await up(there, service("v1"), held)
        assert (pinned(there), back.state) == (image("v1"), old.state)
        assert "ServiceInstanceDeploy" not in there.calls
        there.calls.clear()
        assert (await up(there, service("v1"), back)).state == old.state
        assert there.calls == []  # what is unchanged touches no network

    play(tmp_path, scene)


def test_the_same_image_with_other_variables_is_remembered_by_a_refresh(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        louder = service("v1", release={"variables": {"LOG": "debug"}})
        held = await orphaned(there, louder, old)
        found = await refreshed(there, held)
        assert found.inputs["templateImage"] == image("v1")
        await up(there, service("v1"), found)
        assert there.instance()["variables"] == service("v1").environment()

    play(tmp_path, scene)
