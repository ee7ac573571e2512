"""A colour that carries traffic is neither deployed over, stopped nor deleted, whenever its traffic came back."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bluegreen.handler import Cancelled, Halt, Held, Partial, Refused
from bluegreen.railway.service import ServiceHandler
from bluegreen.railway.spec import Place, ServiceSpec, ServiceState
from bluegreen.spec import Colour
from tests.railway_room import PLACE, Room, Screen, image, play, service
from tests.test_railway_idle_stopped import stopped

GREEN: tuple[str, Colour] = ("backend", "green")
WRITES = {"ServiceInstanceDeploy", "DeploymentStop", "ServiceDelete"}


class Told(Screen):
    """A context in which something happens as soon as a status or a milestone says so."""

    def __init__(self, text: str, happens: Callable[[], None]) -> None:
        super().__init__()
        self._text, self._happens = text, happens

    async def status(self, text: str) -> None:
        await super().status(text)
        if self._text in text:
            self._happens()


def back(there: Room) -> Callable[[], None]:
    """Somebody takes traffic back to this colour."""
    return lambda: there.traffic.carrying.add(GREEN)


def lost_now() -> Callable[[str, Colour], Awaitable[datetime | None]]:
    """The colour lost its traffic at this moment."""
    at = datetime.now(UTC)

    async def since(app: str, colour: Colour) -> datetime | None:
        return at

    return since


async def refusal(ending: Awaitable[Any]) -> Refused:
    with pytest.raises(Refused) as caught:
        await ending
    assert caught.value.world == "Nothing was changed."
    return caught.value


Doing = Callable[[ServiceHandler, Screen, Held[ServiceState]], Awaitable[Any]]
DOINGS: dict[str, tuple[Doing, str]] = {
    "deploy": (
        lambda handler, screen, old: handler.update(screen, service("v2", maxRequestSeconds=1), old),
        "would be deployed over it",
    ),
    "stop": (
        lambda handler, screen, old: handler.update(screen, service(running=False, maxRequestSeconds=1), old),
        "would be stopped right after this update",
    ),
    "delete": (lambda handler, screen, old: handler.delete(screen, old), "so it is not deleted"),
}


@pytest.mark.parametrize("doing", DOINGS)
def test_traffic_that_comes_back_while_a_colour_drains_is_met_by_nothing(tmp_path: Path, doing: str) -> None:
    do, said = DOINGS[doing]

    async def scene(there: Room) -> None:
        old = await there.running(maxRequestSeconds=1)
        there.calls.clear()
        refused = await refusal(do(there.handler(lost_now()), Told("draining", back(there)), old))
        assert said in refused.what
        assert WRITES.isdisjoint(there.calls)

    play(tmp_path, scene)


def test_traffic_that_comes_back_while_somebody_elses_deployment_is_waited_for_is_met_by_nothing(
    tmp_path: Path,
) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        await there.railway.service_instance_deploy(Place.model_validate(PLACE), old.id)
        there.calls.clear()
        screen = Told("waits for deployment", back(there))
        refused = await refusal(there.handler().update(screen, service("v2"), old))
        assert "would be deployed over it" in refused.what
        assert WRITES.isdisjoint(there.calls)

    play(tmp_path, scene)


def test_traffic_that_comes_back_while_the_configuration_is_written_is_not_deployed_over(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        there.after["VariableCollectionUpsert"] = back(there)
        made = len(there.platform.store.world.deployments)
        with pytest.raises(Partial) as caught:
            await there.handler().update(there.screen, service("v2"), old)
        assert "would be deployed over it" in caught.value.what
        assert caught.value.world.startswith("Nothing was deployed. Its configuration is back on ")
        assert (len(there.platform.store.world.deployments), there.instance()["source"]["image"]) == (made, image("v1"))

    play(tmp_path, scene)


# ── a service keeps its name and its place ───────────────────────────────────────────────────────────────────────────


def renamed() -> ServiceSpec:
    return service(name="backend-green2", release={"serviceName": "backend-green2"})


@pytest.mark.parametrize("asked", ["preview", "update"])
@pytest.mark.parametrize(
    ("wanted", "what", "next"),
    [
        (
            renamed(),
            "The Railway service of backend green is backend-green, and the config calls it backend-green2.",
            "Write apps.backend.green.serviceName: backend-green. Another name takes two updates while the colour is"
            " idle: one without its block, one with it anew.",
        ),
        (
            service(place={**PLACE, "environmentId": "staging"}),
            f"backend-green is in environment {PLACE['environmentId']} of project {PLACE['projectId']}, and the config"
            f" says environment staging of project {PLACE['projectId']}.",
            "Correct the config's railway, or make another stack for that place.",
        ),
    ],
    ids=["another name", "another environment"],
)
def test_a_service_is_never_replaced_by_another_one(
    tmp_path: Path, asked: str, wanted: ServiceSpec, what: str, next: str
) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        there.calls.clear()
        refused = await refusal(getattr(there.handler(), asked)(there.screen, wanted, old))
        assert (refused.what, refused.next, there.calls) == (what, next, [])

    play(tmp_path, scene)


# ── what is said to have happened, happened ──────────────────────────────────────────────────────────────────────────


def test_a_create_that_is_stopped_once_the_service_is_there_says_so(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        def stops() -> None:
            there.screen.cancelled = True

        there.after["ServiceCreate"] = stops
        with pytest.raises(Cancelled) as caught:
            await there.handler().create(there.screen, service())
        assert caught.value.world == "Service backend-green exists; nothing was deployed."
        assert [each.name for each in there.platform.store.world.services] == ["backend-green"]

    play(tmp_path, scene)


def test_a_colour_that_is_being_asked_after_its_start_when_somebody_stops_is_not_called_unable(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        held = await stopped(there)
        there.screen.milestones.clear()

        async def answers(spec: ServiceSpec) -> tuple[str | None, str]:
            there.screen.cancelled = True
            return None, "GET /health answered 503"

        with pytest.raises(Halt) as caught:
            await there.handler(answers=answers).update(there.screen, service(role="live"), held)
        assert isinstance(caught.value, Cancelled)
        assert not [said for said in there.screen.milestones if "cannot be restarted" in said]

    play(tmp_path, scene)


def test_a_stop_that_is_refused_late_has_written_no_configuration(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running(maxRequestSeconds=1)
        wanted = service(running=False, maxRequestSeconds=1, release={"schemaMin": "011"}, owner="acme.other")
        there.calls.clear()
        await refusal(there.handler(lost_now()).update(Told("draining", back(there)), wanted, old))
        assert not {"ServiceInstanceUpdate", "VariableCollectionUpsert"} & set(there.calls)

    play(tmp_path, scene)


def test_what_does_not_run_is_not_said_to_be_kept(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        for each in there.platform.store.world.deployments:
            each.status = "CRASHED"
        state = await there.handler().update(there.screen, service(running=False), old)
        assert (state.status, state.stopped_at, state.kept_until) == ("STOPPED", None, None)
        assert "backend-green: nothing of it runs, so there is nothing to stop" in there.screen.milestones

    play(tmp_path, scene)


# ── who else leads there ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("doing", DOINGS)
def test_a_colour_that_kong_leads_to_past_the_weights_is_left_alone(tmp_path: Path, doing: str) -> None:
    do = DOINGS[doing][0]
    done = {"deploy": "redeployed", "stop": "stopped", "delete": "deleted"}[doing]

    async def scene(there: Room) -> None:
        old = await there.running()
        there.traffic.past.append("legacy")
        refused = await refusal(do(there.handler(), there.screen, old))
        assert (refused.what, refused.next) == (
            "Kong leads to backend-green.railway.internal past the weights, by its service legacy, so backend-green is"
            f" not {done}.",
            "Lead it to the host backend instead, which goes by the weights.",
        )

    play(tmp_path, scene)


def test_a_service_whose_colour_is_still_declared_is_not_deleted(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        there.traffic.blocks.add(GREEN)
        there.calls.clear()
        refused = await refusal(there.handler().delete(there.screen, old))
        assert refused.what == "backend-green is not deleted, because the gateway still leads to it as backend green."
        assert "ServiceDelete" not in there.calls
        await there.handler(teardown=True).delete(there.screen, old)
        assert there.platform.store.world.services[0].deleted_at

    play(tmp_path, scene)


# ── what is being replaced is no way back ────────────────────────────────────────────────────────────────────────────


def test_nobody_goes_back_by_hand_to_what_is_being_replaced(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        there.traffic.proven[GREEN] = str(old.state.release_id)
        met: list[bool] = []
        there.after["ServiceInstanceUpdate"] = lambda: met.append(GREEN in there.traffic.proven)
        await there.handler().update(there.screen, service("v2"), old)
        assert met == [False]
        assert there.traffic.proven == {GREEN: service("v2").release_id}

    play(tmp_path, scene)


def test_what_serves_on_after_a_failed_deployment_may_be_gone_back_to_again(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        there.traffic.proven[GREEN] = str(old.state.release_id)
        await there.platform.script({"outcome": "pull-failure"})
        with pytest.raises(Partial):
            await there.handler().update(there.screen, service("v2"), old)
        assert there.traffic.proven == {GREEN: old.state.release_id}

    play(tmp_path, scene)


def test_a_colour_is_no_way_back_while_it_is_being_stopped(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        there.traffic.proven[GREEN] = str(old.state.release_id)
        met: list[bool] = []
        there.after["DeploymentStop"] = lambda: met.append(GREEN in there.traffic.proven)
        await there.handler().update(there.screen, service("v1", running=False), old)
        assert (met, there.traffic.proven) == ([False], {GREEN: old.state.release_id})

    play(tmp_path, scene)
