"""`bluegreen rollback kong`: what it says of what it did, and that it never claims more than was seen."""

import asyncio
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from bluegreen.cli.hold import by_hand
from bluegreen.cli.keep import keep
from bluegreen.cli.rollback import RolledBack, rollback
from bluegreen.cli.verb import Exit, Outcome
from bluegreen.coherence import FRONTS
from bluegreen.kong import kept as kong
from tests.gateway_room import HELLO, MET, Here, play
from tests.memory import START

ROUTE = "/routes/backend-api"
END = {"status_code": 503}


async def edited(here: Here) -> dict[str, Any]:
    """Somebody ends every request by hand; how the route was before."""
    await here.do(keep)
    before = await here.row(ROUTE)
    await here.on("backend-api", "request-termination", END, tags=MET)
    await here.put(ROUTE, paths=["/apis"], service={"name": "backend"}, tags=MET)
    here.settle()
    return before


async def back(here: Here) -> Outcome:
    return await here.do(rollback, "kong", reason="edited by hand")


@pytest.mark.parametrize("agrees", [True, False])
def test_a_hand_edit_is_put_back_proved_in_force_and_held_unless_the_config_agrees(
    tmp_path: Path, agrees: bool
) -> None:
    async def scene(here: Here) -> None:
        before, witness = await edited(here), await here.witness(FRONTS)
        if not agrees:
            here.shop.config["shop:gateway"] = {"plugins": {"cors": {}}}
        outcome = await back(here)
        assert isinstance(outcome.facts, RolledBack)
        changes = ["route backend-api: paths, strip_path", "plugin backend-api-request-termination is gone"]
        assert changes == list(outcome.facts.changes)
        assert (Exit.OK, ["pass"]) == (outcome.exit, [result.status for result in outcome.facts.results])
        assert (before, witness) == (await here.row(ROUTE), await here.witness(FRONTS))
        async with here.shop.desk() as desk:
            hold = await kong.held(desk.connections.kong())
        assert (None if agrees else "edited by hand") == (hold and hold.reason)
        assert agrees == ("The config agrees, so nothing is held." in outcome.world)

    play(tmp_path, scene)


def test_what_no_worker_has_seen_yet_is_not_said_to_be_in_force(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, bool]:
        before, witness = await edited(here), await here.witness(FRONTS)
        here.too_late()
        outcome = await back(here)
        return outcome, (before, witness) == (await here.row(ROUTE), await here.witness(FRONTS))

    outcome, as_before = play(tmp_path, scene)
    assert (Exit.ROLLBACK_FAILED, True) == (outcome.exit, as_before)
    assert outcome.what.startswith("The gateway is put back and not in force everywhere: /.bluegreen/front/")


def test_a_write_that_arrives_while_it_is_proved_is_put_back_as_well(tmp_path: Path) -> None:
    async def scene(here: Here) -> None:
        before, witness = await edited(here), await here.witness(FRONTS)

        async def late() -> None:
            await here.put(ROUTE, paths=["/late"], service={"name": "backend"}, tags=MET)

        async with here.meanwhile(late, method="PATCH", path="/plugins/gateway-front-*"):
            outcome = await back(here)
        assert isinstance(outcome.facts, RolledBack)
        assert (Exit.OK, before, witness) == (outcome.exit, await here.row(ROUTE), await here.witness(FRONTS))
        assert 2 == list(outcome.facts.changes).count("route backend-api: paths, strip_path")

    play(tmp_path, scene)


def test_somebody_who_writes_again_and_again_is_told_in_the_end(tmp_path: Path) -> None:
    async def scene(here: Here) -> Outcome:
        await edited(here)
        writes: list[asyncio.Task[Any]] = []

        def again() -> None:
            here.settle()
            written = here.put(ROUTE, paths=["/late"], service={"name": "backend"}, tags=MET)
            writes.append(asyncio.ensure_future(written))

        here.shop.clock.passing = again
        outcome = await back(here)
        await asyncio.gather(*writes)
        return outcome

    outcome = play(tmp_path, scene)
    assert (Exit.ROLLBACK_FAILED, "It may be half put back.") == (outcome.exit, outcome.world)
    assert outcome.what.startswith("Somebody else writes what users meet again and again: route backend-api: paths")
    assert outcome.next.startswith("Stop the other writer.")


def test_a_plugin_that_is_lost_with_its_secret_is_no_other_writer(tmp_path: Path) -> None:
    async def scene(here: Here) -> Outcome:
        log = {"http_endpoint": "http://ann:word@log.test/in"}
        await here.put("/plugins/gateway-http-log", name="http-log", config=log, tags=MET)
        here.settle()
        await here.do(keep)
        await here.shop.room.made("DELETE", "/plugins/gateway-http-log")
        here.settle()
        return await back(here)

    outcome = play(tmp_path, scene, gateway={"plugins": {"http-log": {}}})
    assert isinstance(outcome.facts, RolledBack)
    (said,) = outcome.facts.changes
    assert (Exit.OK, True) == (outcome.exit, "it cannot be put back without http_endpoint" in said)


@pytest.mark.parametrize("edits", [True, False])
def test_a_check_that_fails_on_the_gateway_that_is_back_is_named_and_no_success(tmp_path: Path, edits: bool) -> None:
    async def scene(here: Here) -> Outcome:
        await (edited(here) if edits else here.do(keep))
        here.shop.config["shop:checks"] = [HELLO, {**HELLO, "name": "never", "expect": {"status": 418}}]
        return await back(here)

    outcome = play(tmp_path, scene)
    assert Exit.INCONCLUSIVE == outcome.exit
    passed = "1 of 2 checks on the way that users take pass (backend/never does not: answered 200 hello)."
    assert outcome.what.endswith(passed)
    assert edits == outcome.world.startswith("It is back all the same. Changed: ")
    assert outcome.next.startswith("See to backend/never.")


def test_whoever_has_no_name_on_this_machine_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    held = by_hand("logins\nfail", START)
    assert (f"uid-{os.getuid()}", "logins fail") == (held.by.partition("@")[0], held.reason)


def test_one_that_dies_while_it_asks_the_witness_is_finished_by_the_next(tmp_path: Path) -> None:
    async def scene(here: Here) -> None:
        before, witness = await edited(here), await here.witness(FRONTS)
        here.fault({"kind": "answer", "status": 500}, method="PATCH", path="/plugins/gateway-front*")
        first = await back(here)
        assert (Exit.ROLLBACK_FAILED, "It may be half put back.") == (first.exit, first.world)
        assert (Exit.OK, before, witness) == (
            (await back(here)).exit,
            await here.row(ROUTE),
            await here.witness(FRONTS),
        )

    play(tmp_path, scene)


def test_where_nothing_was_kept_there_is_nothing_to_go_back_to(tmp_path: Path) -> None:
    outcome = play(tmp_path, back)
    assert (Exit.REFUSED, "No gateway of this stack was ever kept.") == (outcome.exit, outcome.what)


@pytest.mark.parametrize(
    ("what", "reason", "said"), [("kong", " ", "No reason is given."), ("shop", "x", "There is no app 'shop'.")]
)
def test_without_a_reason_or_a_known_name_nothing_is_done(tmp_path: Path, what: str, reason: str, said: str) -> None:
    outcome = play(tmp_path, lambda here: here.do(rollback, what, reason=reason))
    assert (Exit.REFUSED, said, "Nothing was changed.") == (outcome.exit, outcome.what, outcome.world)
