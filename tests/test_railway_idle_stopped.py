"""An idle colour that is stopped, and brought back before traffic goes to it; over the Railway stand-in."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bluegreen.handler import Cancelled, Held, Partial, Refused
from bluegreen.http import Unreachable
from bluegreen.railway.retention import keeps
from bluegreen.railway.spec import ServiceSpec, ServiceState
from bluegreen.spec import Colour
from tests.railway_room import Room, Screen, image, offline, play, service

WINDOW = 72 * 3600


def stopping(tag: str = "v1", **changes: Any) -> Any:
    """The same colour with `idle: stopped` in its app."""
    return service(tag, running=False, rollbackSeconds=WINDOW, **changes)


async def stopped(there: Room) -> Held[ServiceState]:
    """A colour that was stopped well."""
    old = await there.running()
    wanted = stopping()
    state = await there.handler().update(there.screen, wanted, old)
    return Held(old.id, wanted.model_dump(), state)


async def refusal(ending: Awaitable[Any]) -> Refused:
    with pytest.raises(Refused) as caught:
        await ending
    return caught.value


def test_an_idle_colour_is_stopped_and_keeps_its_deployment_and_its_release(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        state = await there.handler().update(there.screen, stopping(), old)
        (deployment,) = there.platform.store.world.deployments
        assert (deployment.stopped, {unit.status for unit in deployment.units}) == (True, {"STOPPED"})
        assert state.stopped_at is not None
        assert state.kept_until == state.stopped_at + timedelta(hours=120)  # the stand-in's plan is pro
        said = f"Railway keeps its image at least until {state.kept_until:%Y-%m-%d %H:%M} UTC, after that it is"
        assert f"backend-green: stopped; {said} deployed anew from its digest" in there.screen.milestones
        assert (state.status, state.release_id, state.deployment_id) == (
            "STOPPED",
            old.state.release_id,
            old.state.deployment_id,
        )

    play(tmp_path, scene)


def test_what_is_stopped_already_is_left_alone_with_railway_out_of_reach() -> None:
    spec = stopping()
    state = ServiceState(service_id="s", deployment_id="d", release_id=spec.release_id, status="STOPPED")
    handler = offline()
    held = Held("s", spec.model_dump(), state)
    assert asyncio.run(handler.update(Screen(), spec, held)) == state
    assert asyncio.run(handler.preview(Screen(), spec, held)) == state


def test_what_was_stopped_is_restarted_and_not_deployed(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await stopped(there)
        there.calls.clear()
        state = await there.handler().update(there.screen, service(role="live"), old)
        (deployment,) = there.platform.store.world.deployments
        assert {unit.status for unit in deployment.units} == {"RUNNING"}
        assert (state.status, state.deployment_id, state.stopped_at) == ("SUCCESS", old.state.deployment_id, None)
        assert there.calls.count("DeploymentRestart") == 1
        assert any(f"backend-green: restarted, deployment {deployment.id}" in text for text in there.screen.milestones)

    play(tmp_path, scene)


def test_a_restart_whose_reply_got_lost_is_looked_into(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await stopped(there)
        await there.fault("DeploymentRestart", {"kind": "lost"})
        state = await there.handler().update(there.screen, service(role="live"), old)
        assert (state.status, len(there.platform.store.world.deployments)) == ("SUCCESS", 1)

    play(tmp_path, scene)


def test_a_restart_that_fails_is_a_deployment_of_the_same_digest(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await stopped(there)
        gone = '{"data": null, "errors": [{"message": "Deployment cannot be restarted: its image is gone"}]}'
        await there.fault("DeploymentRestart", {"kind": "answer", "status": 200, "body": gone})
        state = await there.handler().update(there.screen, service(role="live"), old)
        before, after = there.platform.store.world.deployments
        assert (state.deployment_id, state.image) == (after.id, image("v1"))
        assert (state.release_id, state.status, before.id) == (
            old.state.release_id,
            "SUCCESS",
            old.state.deployment_id,
        )
        said = "backend-green: cannot be restarted (Railway answered DeploymentRestart: Deployment cannot be restarted"
        assert [text for text in there.screen.milestones if text.startswith(said)] != []

    play(tmp_path, scene)


def test_a_deployment_of_something_else_is_never_taken_for_what_was_stopped(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await stopped(there)
        await there.platform.configure(old.id, source={"image": image("v2")})
        await there.platform.deploy(old.id)
        async with asyncio.timeout(10):
            await there.platform.store.until(lambda: there.platform.store.world.deployments[-1].status == "SUCCESS")
        state = await there.handler().update(there.screen, service(role="live"), old)
        assert (state.image, len(there.platform.store.world.deployments)) == (image("v1"), 3)

    play(tmp_path, scene)


def test_a_restart_that_is_cancelled_says_what_is_held(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await stopped(there)
        never = '{"data": {"deploymentRestart": true}}'
        await there.fault("DeploymentRestart", {"kind": "answer", "status": 200, "body": never})
        there.screen.cancel_when = "restarting, deployment"
        with pytest.raises(Cancelled) as caught:
            await there.handler().update(there.screen, service(role="live"), old)
        assert (caught.value.held, len(there.platform.store.world.deployments)) == (old, 1)
        assert caught.value.what == "backend-green was being brought back when the update was stopped."

    play(tmp_path, scene)


@pytest.mark.parametrize("asked", ["preview", "update"])
def test_stopping_is_refused_while_it_carries_traffic(tmp_path: Path, asked: str) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        there.traffic.carrying.add(("backend", "green"))
        refused = await refusal(getattr(there.handler(), asked)(there.screen, stopping(), old))
        assert str(refused) == (
            "backend-green carries traffic and would be stopped right after this update. Nothing was changed."
            " Set apps.backend.idle: running for this release."
        )

    play(tmp_path, scene)


@pytest.mark.parametrize("asked", ["preview", "update"])
def test_stopping_is_refused_while_a_rollback_may_need_it(tmp_path: Path, asked: str) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        there.screen.hurried = True

        async def idle_since(app: str, colour: Colour) -> datetime:
            return datetime(2029, 12, 31, 14, tzinfo=UTC)

        refused = await refusal(getattr(there.handler(idle_since), asked)(there.screen, stopping(), old))
        assert str(refused) == (
            "backend-green could still be rolled back to until 2030-01-03 14:00 UTC (rollbackWindow)."
            " Nothing was changed. Stop it after that, or set apps.backend.idle: running."
        )
        assert not there.platform.store.world.deployments[0].stopped

    play(tmp_path, scene)


def test_stopping_waits_until_what_is_under_way_is_answered(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        there.screen.hurried, now = True, Screen(hurried=True).now()

        async def idle_since(app: str, colour: Colour) -> datetime:
            return now - timedelta(seconds=20)

        there.screen.cancel_when = "draining, 30 s left"
        wanted = service(running=False, maxRequestSeconds=60)
        refused = await refusal(there.handler(idle_since).update(there.screen, wanted, old))
        assert refused.what == "backend-green was not stopped, because the update was stopped."
        assert not there.platform.store.world.deployments[0].stopped

    play(tmp_path, scene)


@pytest.mark.parametrize("asked", ["preview", "update"])
@pytest.mark.parametrize("was", ["STOPPED", "SUCCESS", None])
def test_a_release_is_never_shipped_to_a_colour_that_is_to_be_stopped(asked: str, was: str | None) -> None:
    handler = offline()
    old = Held("s", service("v1").model_dump(), ServiceState(release_id=service("v1").release_id, status=was))
    how = {"STOPPED": "is stopped", "SUCCESS": "is to be stopped", None: "does not exist yet"}[was]
    if was is None and asked == "update":
        ending: Awaitable[Any] = handler.create(Screen(), stopping("v2"))
    else:
        ending = getattr(handler, asked)(Screen(), stopping("v2"), old if was else None)
    refused = asyncio.run(refusal(ending))
    assert str(refused) == (
        f"backend-green {how} and is to run {'another' if was else 'a'} release. Nothing was changed."
        " Set apps.backend.idle: running to ship there."
    )


def test_a_preview_tells_of_a_start_and_of_a_stop_and_does_neither(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        running = await there.running()
        assert (await there.handler().preview(there.screen, stopping(), running)).status == "STOPPED"
        old = await stopped(there)
        there.calls.clear()
        assert (await there.handler().preview(there.screen, service(role="live"), old)).status == "SUCCESS"
        assert there.calls == []
        assert there.platform.store.world.deployments[0].stopped

    play(tmp_path, scene)


def test_what_may_not_read_the_plan_counts_on_the_shortest_time(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running()
        denied = '{"data": null, "errors": [{"message": "Not Authorized"}]}'
        await there.fault("ProjectRead", {"kind": "answer", "status": 200, "body": denied}, times=None)
        state = await there.handler().update(there.screen, stopping(), old)
        assert state.stopped_at is not None
        assert state.kept_until == state.stopped_at + timedelta(hours=24)

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("plan", "hours"), [("free", 24), ("trial", 24), ("hobby", 72), ("Pro", 120), ("new", 24), (None, 24)]
)
def test_an_image_is_kept_as_long_as_the_plan_says(plan: str | None, hours: int) -> None:
    assert keeps(plan) == timedelta(hours=hours)


def test_a_restart_counts_only_once_it_answers_as_its_release(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old, asked = await stopped(there), list[str]()

        async def answers(spec: ServiceSpec) -> tuple[str | None, str]:
            asked.append(spec.name)
            return (spec.release_id, "") if len(asked) > 2 else (None, "GET /health answered 503")

        state = await there.handler(answers=answers).update(there.screen, service(role="live"), old)
        assert (state.status, asked) == ("SUCCESS", ["backend-green"] * 5)
        assert len(there.platform.store.world.deployments) == 1

    play(tmp_path, scene)


def test_a_restart_that_nobody_can_reach_still_counts_as_stopped(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await stopped(there)

        async def answers(spec: ServiceSpec) -> tuple[str | None, str]:
            raise Unreachable("The gateway cannot be reached.", world="", next="Check the proxy.")

        there.screen.hurried = True
        with pytest.raises(Partial) as caught:
            await there.handler(answers=answers, poll=5.0).update(there.screen, service(role="live"), old)
        assert caught.value.held == old
        assert str(caught.value) == (
            "The gateway cannot be reached. backend-green may have been restarted; it still counts as stopped, and no"
            " traffic was moved. Check the proxy."
        )

    play(tmp_path, scene)
