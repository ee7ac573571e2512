"""Approve: one word on the candidate's row lets a waiting move go on; without such a move there is none to give."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bluegreen.cli.approve import Approved, approve
from bluegreen.cli.verb import Exit, Outcome
from bluegreen.gateway import Slot
from bluegreen.kong.gateway import KongGateway
from bluegreen.rollout.analyse import gate
from bluegreen.rollout.plan import Leg
from bluegreen.rollout.step import Tools
from sandbox.faults import Fault
from tests.memory import START
from tests.published import fits
from tests.status_room import HOLD, MARK, OWNER, Shop, play

Edit = Callable[[Shop], Awaitable[object]]
NOT_FOUND = '{"message":"Not found"}'
GATES = {"steps": [{"setWeight": 25}, {"gate": "60s"}, {"setWeight": 50}]}


async def _waiting(shop: Shop) -> None:
    shop.config["shop:rollout"] = GATES
    await shop.put("blue", 75)
    await shop.put("green", 25, move=MARK)


async def word(shop: Shop, reason: str = "looks good", app: str = "backend") -> Outcome:
    async with shop.desk() as desk:
        return fits("approve", await approve(desk, app, reason=reason))


async def slots(shop: Shop) -> dict[str, Slot]:
    async with shop.desk() as desk:
        found = await KongGateway(desk.connections.kong()).split("backend")
    return {str(colour): slot for colour, slot in found.slots.items()}


def given(folder: Path, edit: Edit, reason: str = "looks good", app: str = "backend") -> tuple[Outcome, bool]:
    """What the verb answers after an edit, and whether it wrote anything into Kong."""

    async def scene(shop: Shop) -> tuple[Outcome, bool]:
        await shop.both()
        await edit(shop)
        before = await slots(shop)
        outcome = await word(shop, reason, app)
        return outcome, before != await slots(shop)

    return play(folder, scene)


def test_the_word_is_written_on_the_candidates_row_and_nowhere_else(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> tuple[Outcome, dict[str, Slot], dict[str, Slot]]:
        await shop.both()
        await _waiting(shop)
        before = await slots(shop)
        return await word(shop, "  looks\n good "), before, await slots(shop)

    outcome, before, after = play(tmp_path, scene)
    approved = after["green"].approved
    assert approved is not None
    assert {**before, "green": replace(before["green"], approved=approved)} == after
    assert ("looks good", START, True) == (approved.reason, approved.at, "@" in approved.by)
    assert Exit.OK == outcome.exit
    assert f"backend may go on from 25 % green, release {after['green'].release}." == outcome.what


def test_the_waiting_move_goes_on_and_names_who_approved(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> str:
        await shop.both()
        await _waiting(shop)
        async with shop.desk() as desk:
            lane = desk.settings.lanes()["backend"]
            leg = Leg("backend", lane, "rollout", "green", "blue", None)
            tools = _tools(shop, KongGateway(desk.connections.kong()))
            asked = asyncio.Event()
            shop.clock.passing = asked.set
            waiting = asyncio.create_task(gate(leg, "25 %", timedelta(hours=9), tools, START + timedelta(hours=9)))
            await asked.wait()
            await word(shop)
            return await waiting

    said = play(tmp_path, scene)
    assert (True, True) == (said.startswith("approved by "), said.endswith("(looks good)"))


def _tools(shop: Shop, gateway: KongGateway) -> Tools:
    async def ask(*_: Any) -> tuple[str | None, str]:
        raise AssertionError("a gate asks no colour")

    return Tools(OWNER, MARK.id, 1, timedelta(minutes=10), gateway, ask, shop.clock)


def test_a_second_word_changes_nothing_and_names_the_first(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        await _waiting(shop)
        await shop.put("green", 25, move=MARK, approved=HOLD)

    outcome, wrote = given(tmp_path, edit)
    assert (Exit.OK, False) == (outcome.exit, wrote)
    assert "backend at 25 % green is approved already, by ann@ops (logins fail)." == outcome.what


def test_a_word_where_the_config_has_no_gate_is_given_and_said_to_be_forgotten(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        await _waiting(shop)
        await shop.put("green", 5, move=MARK)

    outcome, wrote = given(tmp_path, edit)
    assert (Exit.OK, True) == (outcome.exit, wrote)
    assert "The config has no gate at 5 %, and the next step forgets this." == outcome.world


def test_facts_tell_who_let_which_move_go_on(tmp_path: Path) -> None:
    outcome, _ = given(tmp_path, _waiting)
    assert isinstance(outcome.facts, Approved)
    assert ("backend", "green", 25, "1a2b3c4d", "looks good") == (
        outcome.facts.app,
        outcome.facts.colour,
        outcome.facts.weight,
        outcome.facts.move,
        outcome.facts.reason,
    )


# Nothing to approve


async def _calm(shop: Shop) -> None:
    shop.config["shop:rollout"] = GATES


async def _held(shop: Shop) -> None:
    await shop.put("blue", 100, hold=HOLD)


async def _late(shop: Shop) -> None:
    await shop.put("green", 25, move=replace(MARK, deadline=START))


async def _returning(shop: Shop) -> None:
    await shop.put("green", 100, move=replace(MARK, origin="green"))


REFUSALS: list[tuple[Edit, str]] = [
    (_calm, "No move of backend is under way: blue 100 % serves."),
    (
        _held,
        "backend is held by ann@ops since 2026-03-01 02:00 UTC (logins fail): no move is under way there.",
    ),
    (_late, "Move 1a2b3c4d of backend ran out of its time at 2026-03-01 03:00:00 UTC."),
    (_returning, "Move 1a2b3c4d of backend is on its way back to green, which waits for nobody."),
]


@pytest.mark.parametrize(("edit", "what"), REFUSALS, ids=["calm", "held", "late", "returning"])
def test_without_a_move_that_waits_it_is_refused_and_says_what_is(edit: Edit, what: str, tmp_path: Path) -> None:
    outcome, wrote = given(tmp_path, edit)
    assert (Exit.REFUSED, what, "Nothing was changed.", False) == (outcome.exit, outcome.what, outcome.world, wrote)


def test_a_word_without_a_reason_is_refused(tmp_path: Path) -> None:
    outcome, wrote = given(tmp_path, _waiting, "  ")
    assert (Exit.REFUSED, "No reason is given.", False) == (outcome.exit, outcome.what, wrote)


def test_an_app_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    outcome, wrote = given(tmp_path, _waiting, app="fronted")
    assert (Exit.REFUSED, "There is no app 'fronted'.", False) == (outcome.exit, outcome.what, wrote)
    assert "Name backend." == outcome.next


# The move writes at the same time


def _made_anew(times: int | None) -> Fault:
    """What Kong answers to a write of a row that somebody has made anew since it was read."""
    where = {"method": "PATCH", "times": times}
    return Fault.model_validate({"where": where, "effect": {"kind": "answer", "status": 404, "body": NOT_FOUND}})


def _against(times: int | None) -> Edit:
    async def edit(shop: Shop) -> None:
        await _waiting(shop)
        shop.room.kong.faults.arm("anew", _made_anew(times))

    return edit


def test_a_row_that_the_move_writes_meanwhile_is_looked_at_again(tmp_path: Path) -> None:
    outcome, wrote = given(tmp_path, _against(2))
    assert (Exit.OK, True) == (outcome.exit, wrote)


def test_a_row_that_the_move_writes_again_and_again_is_left_to_it(tmp_path: Path) -> None:
    outcome, wrote = given(tmp_path, _against(None))
    assert (Exit.REFUSED, "Nothing was changed.", False) == (outcome.exit, outcome.world, wrote)
    assert ("backend: the move writes its row again and again.", "Run this again once it waits at its gate.") == (
        outcome.what,
        outcome.next,
    )


def test_a_word_whose_reply_is_lost_is_given_all_the_same(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> tuple[Outcome, dict[str, Slot]]:
        await shop.both()
        await _waiting(shop)
        shop.room.kong.faults.arm(
            "lost", Fault.model_validate({"where": {"method": "PATCH"}, "effect": {"kind": "lost"}})
        )
        return await word(shop), await slots(shop)

    outcome, after = play(tmp_path, scene)
    assert (Exit.OK, True) == (outcome.exit, after["green"].approved is not None)


def test_the_command_needs_no_pulumi(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> tuple[int | None, str]:
        await shop.both()
        await shop.put("green", 25, move=replace(MARK, deadline=START + timedelta(days=36500)))
        process = await shop.command("approve", "backend", "--reason", "looks good")
        out, _ = await process.communicate()
        return process.returncode, out.decode()

    code, out = play(tmp_path, scene)
    assert (0, True) == (code, out.startswith("backend may go on from 25 % green, release "))
