"""`bluegreen rehearse`: what counts as harm, when it may be asked at all, and how a removal is rehearsed."""

from pathlib import Path
from typing import Any

import pytest

from bluegreen.cli.keep import keep
from bluegreen.cli.rehearse import Rehearsed, rehearse
from bluegreen.cli.verb import Exit, Outcome
from bluegreen.coherence import PREVIEWS
from bluegreen.gateway import Hold
from bluegreen.kong.kept import held, hold_on
from tests.gateway_room import ANN, HELLO, MET, OURS, Here, play
from tests.status_room import HOLD, OWNER

PREVIEW = "backend-blue-api"
END = {"status_code": 503}
CORS = {**HELLO, "name": "cors", "expect": {"headers": {"Access-Control-Allow-Origin": "*"}}}
MODEL = {"name": "q1", "type": "image", "host": "models.test"}


def facts(outcome: Outcome) -> Rehearsed:
    assert isinstance(outcome.facts, Rehearsed)
    return outcome.facts


def test_while_nothing_serves_nobody_can_be_harmed(tmp_path: Path) -> None:
    async def scene(here: Here) -> Outcome:
        await here.shop.put("blue", 0, address=f"127.0.0.1:{here.app.port}")
        return await here.do(rehearse)

    outcome = play(tmp_path, scene)
    assert (Exit.OK, 0) == (outcome.exit, facts(outcome).asked)


def test_a_gateway_that_does_no_harm_passes_and_nothing_is_written(tmp_path: Path) -> None:
    async def scene(here: Here) -> Outcome:
        here.fault({"kind": "answer", "status": 599}, body="{", times=None)
        return await here.do(rehearse)

    outcome = play(tmp_path, scene)
    assert (Exit.OK, 1, ()) == (outcome.exit, facts(outcome).asked, tuple(facts(outcome).harm)), outcome.what


def test_previews_that_do_not_come_into_force_stop_the_change(tmp_path: Path) -> None:
    async def scene(here: Here) -> Outcome:
        here.too_late()
        await here.put("/routes/gateway-previews", paths=["/.bluegreen/previews/of-before"])
        here.settle()
        return await here.do(rehearse)

    outcome = play(tmp_path, scene)
    assert Exit.FAILED_BEFORE_SWITCH == outcome.exit
    assert outcome.what.startswith("The changed previews are not in force: /.bluegreen/previews/")
    assert "What users meet is as it was." == outcome.world


def test_an_answer_of_another_release_on_the_preview_is_harm(tmp_path: Path) -> None:
    async def scene(here: Here) -> Outcome:
        here.release = "of-yesterday"
        return await here.do(rehearse)

    outcome = play(tmp_path, scene)
    assert Exit.FAILED_BEFORE_SWITCH == outcome.exit
    assert ["answered by release of-yesterday"] == [result.observed for result in facts(outcome).harm]


def test_what_fails_on_the_way_of_users_already_is_told_and_stops_nothing(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, list[str]]:
        return await here.do(rehearse), here.shop.clock.milestones

    never = {**HELLO, "name": "never", "expect": {"status": 418}}
    outcome, told = play(tmp_path, scene, checks=[HELLO, never])
    assert (Exit.OK, ["never"]) == (outcome.exit, [result.id for result in facts(outcome).before])
    assert ["backend/never fails on the way that users take, too: answered 200 hello"] == told


def test_who_asks_shows_a_token_on_the_preview_as_on_the_way_of_users(tmp_path: Path) -> None:
    mine = {**HELLO, "name": "mine", "path": "/api/mine", "token": "ann"}
    options: dict[str, Any] = {"checks": [HELLO, mine], "secrets": {"tokens": {"ann": ANN}}}
    outcome = play(tmp_path, lambda here: here.do(rehearse), **options)
    assert (Exit.OK, 2, ()) == (outcome.exit, facts(outcome).asked, tuple(facts(outcome).before)), outcome.what


def test_that_strangers_are_turned_away_is_not_asked_of_open_previews(tmp_path: Path) -> None:
    closed = {**HELLO, "name": "closed", "expect": {"status": 401}}
    outcome = play(tmp_path, lambda here: here.do(rehearse), checks=[closed])
    assert (Exit.OK, 0) == (outcome.exit, facts(outcome).asked)


@pytest.mark.parametrize("agrees", [True, False])
def test_a_hold_is_released_once_the_config_agrees_with_it(tmp_path: Path, agrees: bool) -> None:
    async def scene(here: Here) -> tuple[Outcome, Hold | None]:
        await here.do(keep)
        async with here.shop.desk() as desk:
            await hold_on(desk.connections.kong(), OWNER, HOLD)
        if not agrees:
            here.shop.config["shop:gateway"] = {"consumers": {"web": {}}}
            await here.stand()
        outcome = await here.do(rehearse)
        async with here.shop.desk() as desk:
            return outcome, await held(desk.connections.kong())

    outcome, hold = play(tmp_path, scene)
    assert (Exit.OK, None if agrees else HOLD) == (outcome.exit, hold), outcome.what
    assert agrees == ("The hold is released: the config agrees with it (held by ann@ops" in outcome.what)


# Removals: the engine deletes last, so what is declared no longer stands until then


async def _left(here: Here, plugin: str, config: dict[str, Any]) -> None:
    """It stands on the preview, is in force there, and the config has it no longer."""
    await here.on(PREVIEW, plugin, config)
    here.settle()


async def _after(here: Here, plugin: str) -> tuple[bool, bool]:
    """Whether it is enabled on the preview, and whether the witness is as it is declared."""
    settings = await here.settings()
    declared = ([settings.witness_path(PREVIEWS, settings.gateway_id)], settings.gateway_id)
    return (await here.row(f"/plugins/{PREVIEW}-{plugin}"))["enabled"], declared == await here.witness(PREVIEWS)


def test_what_an_earlier_try_left_on_the_preview_is_switched_off_before_anything_is_asked(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, tuple[bool, bool]]:
        await _left(here, "request-termination", END)
        return await here.do(rehearse), await _after(here, "request-termination")

    outcome, after = play(tmp_path, scene)
    assert (Exit.OK, (False, True)) == (outcome.exit, after), outcome.what


def test_a_removal_that_does_harm_is_seen_and_taken_back(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, tuple[bool, bool]]:
        await here.on("backend-api", "cors", {"origins": ["*"]}, tags=MET)
        await _left(here, "cors", {"origins": ["*"]})
        return await here.do(rehearse), await _after(here, "cors")

    outcome, after = play(tmp_path, scene, checks=[HELLO, CORS])
    assert (Exit.FAILED_BEFORE_SWITCH, (True, True)) == (outcome.exit, after)
    assert ["cors"] == [result.id for result in facts(outcome).harm]


def test_a_route_that_is_declared_no_longer_is_out_of_the_way_while_it_is_rehearsed(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, dict[str, Any]]:
        headers = {"X-Preview-App": ["backend"], "X-Preview-Colour": ["blue"]}
        more = {"paths": ["/api/hello"], "strip_path": False, "service": {"name": "backend-blue"}}
        await here.put("/routes/backend-blue-hello", headers=headers, **more)
        await here.on("backend-blue-hello", "request-termination", END)
        here.settle()
        return await here.do(rehearse), (await here.row("/routes/backend-blue-hello"))["headers"]

    outcome, headers = play(tmp_path, scene)
    assert (Exit.OK, ["nobody"]) == (outcome.exit, headers["X-Bluegreen-Retired"]), outcome.what


def test_a_rehearsal_that_was_killed_in_between_is_finished_by_the_next_one(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, tuple[bool, bool]]:
        await _left(here, "request-termination", END)
        await here.put(f"/plugins/{PREVIEW}-request-termination", name="request-termination", enabled=False,
                       route={"name": PREVIEW}, config=END)  # fmt: skip
        await here.on("gateway-previews", "request-termination", {"status_code": 200, "message": "of the killed one"})
        here.settle()
        return await here.do(rehearse), await _after(here, "request-termination")

    outcome, after = play(tmp_path, scene)
    assert (Exit.OK, (False, True)) == (outcome.exit, after), outcome.what


# Models


@pytest.mark.parametrize(
    ("status", "harm"), [(200, False), (401, False), (429, False), (404, True), (500, True), (503, True)]
)
def test_what_stands_before_models_is_asked_without_any_model(tmp_path: Path, status: int, harm: bool) -> None:
    async def scene(here: Here) -> Outcome:
        await here.put("/routes/gateway-image", paths=["/"], headers={"X-Preview-Kind": ["image"]}, tags=OURS)
        await here.on("gateway-image", "request-termination", {"status_code": status, "message": "image"})
        here.settle()
        return await here.do(rehearse)

    outcome = play(tmp_path, scene, gateway={"models": [MODEL]})
    assert (Exit.FAILED_BEFORE_SWITCH if harm else Exit.OK) == outcome.exit, outcome.what
    assert harm == (f"what stands before models of kind image answered {status}" in outcome.what)
