"""`bluegreen rollback kong`: what it says of what it did, and that it never claims more than was seen."""

from pathlib import Path
from typing import Any

import pytest

from bluegreen.cli.keep import keep
from bluegreen.cli.rollback import RolledBack, rollback
from bluegreen.cli.verb import Exit, Outcome
from bluegreen.coherence import FRONTS
from bluegreen.kong import kept as kong
from tests.gateway_room import MET, Here, play

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
