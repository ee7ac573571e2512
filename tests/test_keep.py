"""`bluegreen keep`: what is remembered as the last good gateway, and when nothing is."""

from dataclasses import replace
from pathlib import Path

import pytest

from bluegreen.cli.keep import keep
from bluegreen.cli.verb import Exit, Outcome
from bluegreen.coherence import FRONTS
from bluegreen.gateway import Hold
from bluegreen.kong import kept as kong
from bluegreen.kong.kept import Kept
from tests.gateway_room import HELLO, MET, Here, play
from tests.status_room import HOLD, OWNER

TAKEN = '{"code":5,"name":"unique constraint violation","message":"UNIQUE violation","fields":{"instance_name":"x"}}'


async def kept(here: Here) -> Kept | None:
    async with here.shop.desk() as desk:
        return await kong.kept(desk.connections.kong(), OWNER)


def test_what_passes_is_kept_with_the_number_of_its_checks(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, Kept | None, str]:
        return await here.do(keep), await kept(here), (await here.settings()).gateway_id

    outcome, found, id = play(tmp_path, scene)
    assert found is not None
    assert (Exit.OK, id, 1) == (outcome.exit, found.gateway, found.checks)
    assert ["backend-api", "gateway-front", "gateway-kept"] == [row["name"] for row in found.rows["routes"]]


def test_journeys_and_checks_that_write_are_not_asked(tmp_path: Path) -> None:
    made = {**HELLO, "name": "made", "method": "POST", "writes": True}

    async def scene(here: Here) -> tuple[Outcome, Kept | None]:
        here.shop.config["shop:checks"] = [HELLO, made, {**HELLO, "name": "step", "journey": "teams"}]
        await here.stand()
        return await here.do(keep), await kept(here)

    outcome, found = play(tmp_path, scene)
    assert found is not None
    assert (Exit.OK, 1) == (outcome.exit, found.checks)


def test_while_nothing_serves_no_gateway_is_known_to_be_good(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, Kept | None]:
        await here.shop.put("blue", 0, address=f"127.0.0.1:{here.app.port}")
        return await here.do(keep), await kept(here)

    outcome, found = play(tmp_path, scene)
    assert (Exit.OK, None) == (outcome.exit, found)


def test_what_is_not_in_force_everywhere_is_not_kept(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, Kept | None]:
        here.too_late()
        await here.put("/routes/gateway-front", paths=["/.bluegreen/front/of-before"], tags=MET)
        here.settle()
        return await here.do(keep), await kept(here)

    outcome, found = play(tmp_path, scene)
    assert (Exit.FAILED_BEFORE_SWITCH, None) == (outcome.exit, found)
    assert outcome.what.startswith("The changed gateway is not in force: /.bluegreen/front/")


def test_what_fails_a_check_is_not_kept_and_the_one_before_stays(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, Kept | None, Kept | None]:
        await here.do(keep)
        before = await kept(here)
        here.shop.config["shop:checks"] = [HELLO, {**HELLO, "name": "never", "expect": {"status": 418}}]
        return await here.do(keep), before, await kept(here)

    outcome, before, after = play(tmp_path, scene)
    assert "Users meet a gateway that does not pass (never: answered 200 hello)." == outcome.what
    assert (Exit.FAILED_BEFORE_SWITCH, f"Kept stays {before}.") == (outcome.exit, outcome.world)
    assert before == after


def test_what_the_config_has_no_more_is_not_kept_although_it_still_stands(tmp_path: Path) -> None:
    async def scene(here: Here) -> Kept | None:
        await here.put("/routes/backend-old", paths=["/old"], service={"name": "backend"}, tags=MET)
        await here.on("backend-api", "cors", {}, tags=MET)
        here.settle()
        await here.do(keep)
        return await kept(here)

    found = play(tmp_path, scene)
    assert found is not None
    assert "backend-old" not in [row["name"] for row in found.rows["routes"]]
    assert ["request-termination"] == [row["name"] for row in found.rows["plugins"]]


async def left(here: Here, enabled: bool = True) -> None:
    """CORS stands on the whole gateway and the config has it no longer."""
    await here.put("/plugins/gateway-cors", name="cors", config={"origins": ["*"]}, enabled=enabled, tags=MET)
    here.settle()


async def after(here: Here) -> tuple[bool, bool]:
    """Whether it is enabled, and whether the witness is as it is declared."""
    settings = await here.settings()
    declared = ([settings.witness_path(FRONTS, settings.gateway_id)], settings.gateway_id)
    return (await here.row("/plugins/gateway-cors"))["enabled"], declared == await here.witness(FRONTS)


def test_a_removal_is_judged_before_the_engine_deletes_and_stands_again_when_it_does_harm(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, tuple[bool, bool], Kept | None]:
        await left(here)
        return await here.do(keep), await after(here), await kept(here)

    cors = {**HELLO, "name": "cors", "expect": {"headers": {"Access-Control-Allow-Origin": "*"}}}
    outcome, there, found = play(tmp_path, scene, checks=[HELLO, cors])
    assert (Exit.FAILED_BEFORE_SWITCH, (True, True), None) == (outcome.exit, there, found)
    assert "does not pass (cors: " in outcome.what
    assert outcome.what.endswith("). What it would take away stands again.")


def test_a_removal_that_does_no_harm_is_out_of_the_way_until_the_engine_deletes_it(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, tuple[bool, bool], Kept | None]:
        await left(here)
        return await here.do(keep), await after(here), await kept(here)

    outcome, there, found = play(tmp_path, scene)
    assert found is not None
    assert (Exit.OK, (False, True)) == (outcome.exit, there)
    assert ["gateway-front-request-termination"] == [row["instance_name"] for row in found.rows["plugins"]]


def test_what_the_config_wants_again_is_switched_on_again(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, tuple[bool, bool]]:
        await left(here, enabled=False)
        return await here.do(keep), await after(here)

    outcome, there = play(tmp_path, scene, gateway={"plugins": {"cors": {"origins": ["*"]}}})
    assert (Exit.OK, (True, True)) == (outcome.exit, there), outcome.what


def test_one_that_was_killed_while_it_asked_the_witness_is_finished_by_the_next(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, tuple[bool, bool]]:
        await left(here, enabled=False)
        await here.put("/routes/gateway-front", paths=["/.bluegreen/front/of-the-killed-one"], tags=MET)
        here.settle()
        return await here.do(keep), await after(here)

    outcome, there = play(tmp_path, scene)
    assert (Exit.OK, (False, True)) == (outcome.exit, there), outcome.what


def test_a_gateway_that_is_held_is_replaced_by_no_other(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, Kept | None]:
        await here.do(keep)
        async with here.shop.desk() as desk:
            await kong.hold_on(desk.connections.kong(), OWNER, HOLD)
        here.shop.config["shop:gateway"] = {"plugins": {"cors": {}}}
        return await here.do(keep), await kept(here)

    outcome, found = play(tmp_path, scene)
    assert (Exit.REFUSED, HOLD) == (outcome.exit, found and found.hold)
    assert "go on with it: bluegreen hold release --reason …" in outcome.next


async def hold_set(here: Here, hold: Hold | None = HOLD) -> None:
    async with here.shop.desk() as desk:
        await kong.hold_on(desk.connections.kong(), OWNER, hold)


@pytest.mark.parametrize(
    "where", [{"method": "PATCH", "path": "/plugins/gateway-front-*"}, {"path": "/schemas/plugins/*"}]
)
def test_a_hold_that_is_set_while_the_checks_are_asked_is_not_overwritten(
    tmp_path: Path, where: dict[str, str]
) -> None:
    async def scene(here: Here) -> tuple[Outcome, Kept | None, Kept | None]:
        await here.do(keep)
        before = await kept(here)
        await left(here)
        async with here.meanwhile(lambda: hold_set(here), **where):
            outcome = await here.do(keep)
        return outcome, before, await kept(here)

    outcome, before, found = play(tmp_path, scene)
    assert before is not None
    assert (Exit.REFUSED, replace(before, hold=HOLD)) == (outcome.exit, found)
    assert outcome.what.endswith(f" passes, and meanwhile it was taken back: it is {HOLD}.")
    assert "Nothing was kept; users meet the gateway that was restored." == outcome.world
    assert "go on with it: bluegreen hold release --reason …" in outcome.next


def test_a_hold_that_is_set_at_the_very_moment_of_the_write_stays(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, Kept | None]:
        await here.do(keep)
        async with here.meanwhile(lambda: hold_set(here), method="PATCH", path="/plugins/*"):
            outcome = await here.do(keep)
        return outcome, await kept(here)

    outcome, found = play(tmp_path, scene)
    assert (Exit.OK, HOLD) == (outcome.exit, found and found.hold)


def test_a_hold_that_was_released_meanwhile_is_told_and_nothing_is_kept(tmp_path: Path) -> None:
    async def scene(here: Here) -> Outcome:
        await here.do(keep)
        await hold_set(here)
        async with here.meanwhile(lambda: hold_set(here, None), path="/schemas/plugins/*"):
            return await here.do(keep)

    outcome = play(tmp_path, scene)
    assert Exit.REFUSED == outcome.exit
    assert outcome.what.endswith(" passes, and somebody else released the hold at the same moment.")


def test_another_gateway_that_is_kept_while_the_checks_are_asked_is_not_overwritten(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, Kept | None]:
        await here.do(keep)

        async def another() -> None:
            found = await kept(here)
            assert found is not None
            async with here.shop.desk() as desk:
                await kong.keep(desk.connections.kong(), OWNER, replace(found, gateway="another"))

        async with here.meanwhile(another, path="/schemas/plugins/*"):
            outcome = await here.do(keep)
        return outcome, await kept(here)

    outcome, found = play(tmp_path, scene)
    assert (Exit.REFUSED, "another") == (outcome.exit, found and found.gateway)
    assert outcome.what.endswith(" passes, and somebody else kept a gateway at the same moment.")


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_that_somebody_else_kept_at_the_same_moment_is_said_in_three_beats(tmp_path: Path, method: str) -> None:
    async def scene(here: Here) -> tuple[Outcome, Kept | None, Outcome]:
        if method == "PATCH":
            await here.do(keep)
        before = await kept(here)
        here.fault({"kind": "answer", "status": 409, "body": TAKEN}, method=method, path="/plugins*")
        return await here.do(keep), before, await here.do(keep)

    first, before, again = play(tmp_path, scene)
    assert (Exit.REFUSED, Exit.OK) == (first.exit, again.exit)
    assert first.what.endswith(" passes, and somebody else kept a gateway at the same moment.")
    assert f"Nothing of the gateway itself was changed. Kept is {before or 'none'}." == first.world
    assert "Run pulumi up again." == first.next
