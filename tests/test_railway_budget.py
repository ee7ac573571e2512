"""The hourly limit of Railway's API: heard, counted, spread, told; and a storm of refusals amid a deploy."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import stamina
from aiohttp import web
from pydantic import SecretStr

from bluegreen.handler import Partial
from bluegreen.http import RateLimited
from bluegreen.railway.api import Railway
from bluegreen.railway.budget import Budget
from bluegreen.railway.patience import Patience
from bluegreen.railway.watch import watch
from tests.railway_platform import served
from tests.railway_room import Room, Screen, image, play, service

NOW = datetime(2030, 1, 1, 13, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def said(limit: Any, left: Any, reset: Any) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(left),
        "X-RateLimit-Reset": str(reset),
    }


def heard(limit: Any, left: Any, reset: Any) -> Budget:
    budget = Budget(clock=lambda: NOW)
    budget.heard("DeploymentPoll", said(limit, left, reset))
    return budget


# ── what is heard ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "reset",
    [
        int((NOW + HOUR).timestamp()),
        int((NOW + HOUR).timestamp() * 1000),
        3600,
        "3600.0",
        (NOW + HOUR).isoformat(),
        "2030-01-01T14:00:00Z",
        "2030-01-01T14:00:00",
        "Tue, 01 Jan 2030 14:00:00 GMT",
        "Tue, 01 Jan 2030 15:00:00 +0100",
    ],
)
def test_whatever_way_the_end_of_the_hour_is_written_it_is_understood(reset: Any) -> None:
    budget = heard(1_000, 999, reset)
    assert (budget.limit, budget.left, budget.resets) == (1_000, 999, NOW + HOUR)


@pytest.mark.parametrize("reset", ["soon", "", "nan", "1e300"])
def test_an_end_that_cannot_be_read_is_no_end(reset: str) -> None:
    budget = heard(1_000, 5, reset)
    assert (budget.left, budget.resets, budget.used_up()) == (5, None, "")


@pytest.mark.parametrize("headers", [{}, {"X-RateLimit-Limit": "1000"}, said("many", "few", 1)])
def test_an_answer_that_says_nothing_leaves_what_was_heard_before(headers: dict[str, str]) -> None:
    budget = heard(1_000, 7, 3600)
    budget.heard("DeploymentPoll", headers)
    assert (budget.limit, budget.left, budget.calls) == (1_000, 7, Counter(DeploymentPoll=2))


def test_calls_of_one_block_are_not_those_of_another_task() -> None:
    async def scene() -> tuple[int, int, int]:
        budget, both = Budget(), asyncio.Barrier(2)

        async def one(calls_made: int) -> int:
            with budget.counted() as calls:
                await both.wait()
                for _ in range(calls_made):
                    budget.heard("DeploymentPoll", {})
                await both.wait()
            return calls.total()

        first, second = await asyncio.gather(one(2), one(5))
        return first, second, budget.calls.total()

    assert asyncio.run(scene()) == (2, 5, 7)


def test_the_calls_are_told_with_what_is_left() -> None:
    calls = Counter(DeploymentPoll=5, DeploymentsList=3, ServiceInstanceRead=2, DeploymentRead=1, ServiceCreate=1)
    told = "12 calls to Railway (5 DeploymentPoll, 3 DeploymentsList, 2 ServiceInstanceRead, 2 others)"
    assert heard(10_000, 9_986, 3600).phrase(calls) == f"{told}, 9,986 of 10,000 left this hour"
    assert Budget().phrase(calls) == told


# ── what follows ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("left", "seconds"),
    [(1_000, 2.0), (100, 2.0), (99, 3600 / 99), (60, 60.0), (1, 60.0), (0, 60.0)],
)
def test_what_is_left_is_spread_over_the_hour_once_it_is_little(left: int, seconds: float) -> None:
    assert heard(1_000, left, 3600).pace(2.0, NOW) == seconds


def test_a_limit_that_is_renewed_in_a_moment_spreads_nothing() -> None:
    assert heard(1_000, 50, 5).pace(2.0, NOW) == 2.0
    assert heard(1_000, 50, 5).pace(2.0, NOW + HOUR) == 2.0


def test_a_watch_asks_no_oftener_than_the_rest_of_the_hour_allows() -> None:
    asked: list[float] = []
    screen = Screen(hurried=True)
    resets = int((screen.now() + HOUR).timestamp())

    async def answer(request: web.Request) -> web.Response:
        asked.append((screen.now() - datetime(2030, 1, 1, tzinfo=UTC)).total_seconds())
        node = {"id": "d", "status": "QUEUED", "deploymentStopped": False, "instances": []}
        return web.json_response({"data": {"deployment": node}}, headers=said(1_000, 90 - len(asked), resets))

    async def scene() -> None:
        app = web.Application()
        app.router.add_post("/graphql/v2", answer)
        async with served(app) as address, Railway(f"{address}/graphql/v2", SecretStr("token")) as railway:
            patience = Patience(screen, screen.now() + timedelta(seconds=400), 2.0, chance=lambda: 0.0)
            assert (await watch(railway, "d", "backend-green", patience)).how == "overdue"

    asyncio.run(scene())
    pauses = [later - earlier for earlier, later in pairwise(asked[:-1])]  # the last one meets the deadline
    assert all(40.0 <= pause <= 60.0 for pause in pauses)
    assert max(screen.waited) <= 1.0  # whoever asks to stop is heard meanwhile


def test_pauses_that_nobody_asked_for_are_spread_by_up_to_a_fifth() -> None:
    async def scene(chance: float) -> list[float]:
        screen = Screen(hurried=True)
        patience = Patience(screen, screen.now() + HOUR, 2.0, chance=lambda: chance)
        await patience.pause(10.0)
        return screen.waited

    assert [asyncio.run(scene(chance)) for chance in (0.0, 0.5, 1.0)] == [[10.0], [11.0], [12.0]]


def test_a_deploy_says_at_its_end_how_many_calls_it_took(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        await there.handler().create(there.screen, service())
        last = there.screen.milestones[-1]
        assert last.startswith(f"backend-green: {len(there.calls)} calls to Railway (")
        assert f"{there.calls.count('DeploymentPoll')} DeploymentPoll" in last
        assert last.endswith(f", {10_000 - len(there.calls):,} of 10,000 left this hour")

    play(tmp_path, scene)


def test_a_limit_that_is_used_up_is_told_with_its_end_and_what_to_do(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        there.platform.store.save()
        for _ in range(40 - len(there.calls)):
            await there.railway.project_token()
        screen = Screen(hurried=True)
        with pytest.raises(RateLimited) as caught:
            await there.handler().update(screen, service("v2"), old)
        resets = there.railway.budget.resets
        assert resets is not None
        assert str(caught.value) == (
            f"Railway's hourly limit of 40 calls is used up until {resets:%H:%M} UTC. Nothing was changed."
            " Run pulumi up after that, or raise bluegreen:railwayPollSeconds."
        )
        assert screen.waited == []

    play(tmp_path, scene, limit=40)


# ── a storm ──────────────────────────────────────────────────────────────────────────────────────────────────────────

PAGE = "<!doctype html><title>Access denied</title><h1>Error 1015</h1><p>Cloudflare</p>"
LIMITED = json.dumps({"errors": [{"message": "Rate limit exceeded, please try again in 20 seconds"}]})
STORM: dict[str, list[dict[str, Any]]] = {
    "DeploymentsList": [{"status": 429, "body": LIMITED, "headers": {"Retry-After": "20"}}],
    "ServiceInstanceUpdate": [{"status": 429, "body": PAGE, "headers": {"Content-Type": "text/html"}}],
    "ServiceInstanceRead": [{"status": 502, "body": "<html>502 Bad Gateway</html>"}],
    "VariableCollectionUpsert": [{"status": 429, "body": LIMITED, "headers": {"Retry-After": "20"}}],
    "ServiceInstanceDeploy": [{"status": 429, "body": PAGE, "headers": {"Content-Type": "text/html"}}],
    "DeploymentPoll": [{"status": 429, "body": PAGE}],
    "DeploymentRead": [{"status": 429, "body": LIMITED, "headers": {"Retry-After": "20"}}],
    "PrivateEndpointRead": [{"status": 503, "body": PAGE}],
}


def test_a_storm_of_429s_and_web_pages_ends_well_within_the_budget_and_counts_its_calls(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        there.calls.clear()
        for operation, answers in STORM.items():
            for each in answers:
                await there.fault(operation, {"kind": "answer", **each}, times=3)
        screen = Screen(hurried=True)
        with stamina.set_testing(True, attempts=4):
            state = await there.handler(poll=2.0).update(screen, service("v2"), old)
        deployments = there.platform.store.world.deployments
        assert (state.release_id, len(deployments)) == (service("v2").release_id, 2)
        assert [await there.hits(operation, "answer") for operation in STORM] == [3] * len(STORM)
        (told,) = [each for each in screen.milestones if " calls to Railway (" in each]
        print(f"\n{told}")
        assert told.startswith(f"backend-green: {len(there.calls)} calls ")
        assert len(there.calls) < 60
        budget = there.railway.budget
        assert (budget.limit, budget.used_up()) == (100, "")
        assert "waits 20 s: Railway answered DeploymentsList: Rate limit exceeded" in " ".join(screen.statuses)
        web_page = "waits 30 s: A web page instead of Railway answered ServiceInstanceUpdate with 429 (Cloudflare"
        assert web_page in " ".join(screen.statuses)

    play(tmp_path, scene, limit=100)


def test_a_storm_that_does_not_end_is_told_before_the_deadline_and_leaves_what_serves(tmp_path: Path) -> None:
    async def scene(there: Room) -> None:
        old = await there.running("v1")
        there.calls.clear()
        await there.fault("VariableCollectionUpsert", {"kind": "answer", "status": 429, "body": PAGE}, times=None)
        screen = Screen(hurried=True)
        with pytest.raises(Partial) as caught:
            await there.handler(poll=2.0).update(screen, service("v2"), old)
        assert caught.value.what == (
            "A web page instead of Railway answered VariableCollectionUpsert with 429 (Cloudflare error 1015)."
        )
        # Nor could the configuration be put back: what Railway would deploy next is remembered.
        assert caught.value.held.state == old.state.model_copy(update={"template_image": image("v2")})
        assert "ServiceInstanceDeploy" not in there.calls
        assert len(there.calls) < 40

    play(tmp_path, scene, limit=100)
