"""The private name that Kong is sent to: there, active and ours, before a release counts as deployed."""

import json
from pathlib import Path
from typing import Any

import pytest

from bluegreen.handler import Cancelled, Partial
from tests.railway_room import Room, Screen, image, play, service

DENIED = '{"data": null, "errors": [{"message": "Not Authorized"}]}'


def endpoint(**changes: Any) -> dict[str, Any]:
    """A fault that answers with this endpoint, or with none."""
    node = {"publicId": "e", "dnsName": "backend-green", "syncStatus": "ACTIVE", "deletedAt": None, **changes}
    return {"kind": "answer", "status": 200, "body": json.dumps({"data": {"privateNetworkEndpoint": node}})}


NONE = {"kind": "answer", "status": 200, "body": '{"data": {"privateNetworkEndpoint": null}}'}


async def failed(there: Room, effect: dict[str, Any], screen: Screen | None = None) -> Partial:
    old = await there.running("v1")
    await there.fault("PrivateEndpointRead", effect, times=None)
    with pytest.raises(Partial) as caught:
        await there.handler(poll=10.0).update(screen or Screen(hurried=True), service("v2"), old)
    return caught.value


@pytest.mark.parametrize(
    ("effect", "status"),
    [
        (endpoint(syncStatus="CREATING"), "CREATING"),
        (endpoint(syncStatus="DELETING"), "DELETING"),
        (NONE, "missing"),
        (endpoint(deletedAt="2030-01-01T00:00:00Z"), "missing"),
        ({"kind": "answer", "status": 200, "body": DENIED.replace("Not Authorized", "Service not found")}, "missing"),
    ],
)
def test_a_service_without_a_private_name_is_not_deployed(tmp_path: Path, effect: dict[str, Any], status: str) -> None:
    async def scene(there: Room) -> None:
        error = await failed(there, effect)
        assert error.what == (f"backend-green runs and has no private name yet: its endpoint is {status} after 60 s.")
        assert error.world.endswith(" runs and is not proven; its configuration stays.")
        assert (error.held.state.release_id, there.instance()["source"]["image"]) == (None, image("v2"))

    play(tmp_path, scene)


def test_a_private_name_that_becomes_active_in_time_is_waited_for(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.fault("PrivateEndpointRead", endpoint(syncStatus="CREATING"), times=3)
        screen = Screen(hurried=True)
        state = await there.handler(poll=2.0).update(screen, service("v2"), old)
        assert state.private_domain == "backend-green.railway.internal"
        assert "backend-green: waits for its private name, whose endpoint is CREATING" in screen.statuses

    play(tmp_path, scene)


def test_another_private_name_than_kong_is_sent_to_is_told(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        error = await failed(there, endpoint(dnsName="web-api"))
        assert error.what == (
            "Kong would be sent to backend-green.railway.internal, and its private name is web-api.railway.internal."
        )
        assert error.next == "Rename its private endpoint to backend-green in Railway, then run pulumi up again."

    play(tmp_path, scene)


@pytest.mark.parametrize(
    "effect",
    [
        endpoint(dnsName="backend-green.railway.internal"),
        endpoint(syncStatus="UPDATING"),
        endpoint(syncStatus="SOMETHING_NEW"),
        {"kind": "answer", "status": 200, "body": DENIED},
    ],
    ids=["whole name", "updating", "unknown status", "not allowed to look"],
)
def test_what_says_nothing_against_the_name_does_not_stop_a_release(tmp_path: Path, effect: dict[str, Any]) -> None:
    async def scene(there: Room) -> None:
        await there.fault("PrivateEndpointRead", effect, times=None)
        assert (await there.running("v1")).state.private_domain == "backend-green.railway.internal"

    play(tmp_path, scene)


def test_whoever_asks_to_stop_does_not_wait_for_the_name(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        screen = Screen(hurried=True, cancel_when="private name")
        error = await failed(there, endpoint(syncStatus="CREATING"), screen)
        assert isinstance(error, Cancelled)
        assert error.what == "backend-green still waited for its private name when the update was stopped."

    play(tmp_path, scene)


def test_the_networks_of_an_environment_are_asked_for_once(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        await there.handler().update(there.screen, service("v2"), old)
        assert [there.calls.count(each) for each in ("PrivateNetworksRead", "PrivateEndpointRead")] == [1, 2]

    play(tmp_path, scene)
