"""Status: what serves, told whatever else is out of reach; 14 when anything is otherwise than it should be."""

import asyncio
import io
import json
import os
import pty
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bluegreen.cli import recorded as engine
from bluegreen.cli.board import table
from bluegreen.cli.hold import hold
from bluegreen.cli.status import status
from bluegreen.cli.verb import Exit, Outcome
from bluegreen.http import ApiError
from bluegreen.kong import kept as kong
from bluegreen.kong.kept import Kept
from bluegreen.survey import Survey
from sandbox.faults import Fault
from sandbox.stack import ROOT
from tests.box import Box, box, wait
from tests.database import database
from tests.memory import START
from tests.published import fitting
from tests.status_room import HOLD, MARK, OWNER, Shop, block, play

AWAY = Fault.model_validate({"where": {"times": None}, "effect": {"kind": "answer", "status": 401}})
KEPT = Kept("0123456789abcdef", START, 3, {"services": [], "routes": [], "plugins": []})
Edit = Callable[[Shop], Awaitable[object]]
Rows = list[Mapping[str, Any]]


async def look(shop: Shop) -> Outcome:
    shop.clock.milestones.clear()
    async with shop.desk() as desk:
        return await status(desk)


def facts(outcome: Outcome) -> Survey:
    assert isinstance(outcome.facts, Survey)
    return outcome.facts


def line(shop: Shop, key: str) -> str:
    """What was said of one subject; empty where nothing was."""
    found = [text for text in shop.clock.milestones if text.startswith(f"{key}: ")]
    assert len(found) <= 1, found
    return found[0].removeprefix(f"{key}: ") if found else ""


def seen(folder: Path, edit: Edit | None = None) -> tuple[Outcome, Shop]:
    """What is shown after an edit of a world in which everything agrees."""

    async def scene(shop: Shop) -> tuple[Outcome, Shop]:
        await shop.both()
        shop.pulumi(stack=shop.state())
        if edit is not None:
            await edit(shop)
        return await look(shop), shop

    return play(folder, scene)


def done(goal: str, hours_ago: float, release: str, *, kind: str = "rollout", seconds: float = 4) -> dict[str, Any]:
    at = START - timedelta(hours=hours_ago)
    origin = "green" if goal == "blue" else "blue"
    return {
        "app": "backend", "kind": kind, "verdict": "passed", "origin": origin, "goal": goal, "release": release,
        "started": (at - timedelta(seconds=seconds)).isoformat(), "finished": at.isoformat(), "said": "proved",
    }  # fmt: skip


# What serves


def test_a_calm_stack_shows_the_weights_of_config_state_and_kong_and_ends_with_0(tmp_path: Path) -> None:
    outcome, shop = seen(tmp_path)
    assert (Exit.OK, "Live: backend on blue.", "Nothing drifts.") == (outcome.exit, outcome.what, outcome.world)
    blue, green = facts(outcome).apps[0].sides
    assert (100, 100, 100) == (blue.wanted, blue.recorded, blue.stored)
    assert (0, 0, 0) == (green.wanted, green.recorded, green.stored)
    assert f"blue 100 % with release {shop.release('blue')} since 2026-02-28 03:00 UTC" == line(shop, "backend")
    assert "none is kept as the last good one" == line(shop, "gateway")
    assert "unknown: the config declares no migrations" == line(shop, "database")


def test_a_stack_that_was_never_brought_up_drifts_by_having_no_target(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> Outcome:
        return await look(shop)

    outcome = play(tmp_path, scene)
    assert Exit.DRIFT == outcome.exit
    assert "backend: Kong has no target for it, and the config wants blue." == outcome.world


def test_a_line_says_nothing_of_how_long_ago(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> tuple[list[str], list[str]]:
        await shop.both()
        shop.pulumi(stack=shop.state([done("blue", 30, shop.release("blue"))]))
        await look(shop)
        before = list(shop.clock.milestones)
        shop.clock.at += timedelta(minutes=7)
        await look(shop)
        return before, shop.clock.milestones

    before, after = play(tmp_path, scene)
    assert before == after


# Drift


async def _config_edited(shop: Shop) -> None:
    shop.app()["live"] = "green"


async def _weight_by_hand(shop: Shop) -> None:
    await shop.put("blue", 60)
    await shop.put("green", 40)


async def _state_is_old(shop: Shop) -> None:
    shop.pulumi(stack=shop.state(blue=0, green=100))


async def _redeployed(shop: Shop) -> None:
    shop.app()["blue"] = block("blue", variables={"LOG": "debug"})


async def _tag_lost(shop: Shop) -> None:
    await shop.put("blue", 100, release=None)


DRIFTS: list[tuple[Edit, str]] = [
    (
        _config_edited,
        "the config wants blue 0 / green 100, and Kong has blue 100 / green 0 "
        "(no update has run since the config changed).",
    ),
    (
        _weight_by_hand,
        "the config wants blue 100 / green 0, and Kong has blue 60 / green 40; "
        "backend: the last update recorded blue 100 / green 0, and Kong has blue 60 / green 40.",
    ),
    (_state_is_old, "the last update recorded blue 0 / green 100, and Kong has blue 100 / green 0."),
]


@pytest.mark.parametrize(("edit", "said"), DRIFTS, ids=["config", "by hand", "state"])
def test_weights_that_differ_between_config_state_and_kong_end_with_14(edit: Edit, said: str, tmp_path: Path) -> None:
    outcome, _ = seen(tmp_path, edit)
    assert (Exit.DRIFT, f"backend: {said}") == (outcome.exit, outcome.world)
    assert "pulumi up makes it as the config says; pulumi preview shows how." == outcome.next


@pytest.mark.parametrize(("edit", "runs"), [(_redeployed, "blue"), (_tag_lost, None)], ids=["edited", "tag lost"])
def test_another_release_than_the_config_wants_is_drift(edit: Edit, runs: str | None, tmp_path: Path) -> None:
    outcome, shop = seen(tmp_path, edit)
    has = facts(outcome).apps[0].sides[0].release
    wants = f"the config wants release {shop.release('blue')} on blue, and Kong's target says {has or 'none'}."
    assert (Exit.DRIFT, f"backend: {wants}") == (outcome.exit, outcome.world)
    assert (runs is None) == (has is None)


def test_a_target_that_is_not_ours_is_said_at_its_app_and_stops_no_other(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        shop.config["shop:apps"]["web"] = {"kind": "api", "live": "blue", "blue": block("blue")}
        await shop.room.made("PUT", "/upstreams/web", {})
        await shop.room.made("POST", "/upstreams/web/targets", {"target": "somebody.test:80", "weight": 5})

    outcome, shop = seen(tmp_path, edit)
    assert (Exit.DRIFT, "Live: backend on blue, web on unknown.") == (outcome.exit, outcome.what)
    assert "Kong's upstream web holds somebody.test:80 with weight 5, not ours" == line(shop, "web unread")


# Moves and holds


def test_a_move_whose_update_is_alive_is_shown_and_is_no_drift(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        shop.app()["live"] = "green"
        await shop.put("blue", 75)
        await shop.put("green", 25, move=MARK, approved=HOLD)
        shop.locked()

    outcome, shop = seen(tmp_path, edit)
    assert (Exit.OK, "A move of backend is under way.") == (outcome.exit, outcome.world)
    assert (
        "1a2b3c4d from blue to green is under way, until 2026-03-01 03:05:00 UTC at the latest, "
        "approved by ann@ops (logins fail)"
    ) == line(shop, "backend move")
    assert line(shop, "lock").startswith(f"the stack is held by process {os.getpid()} of ann@")
    assert "a move is under way or was cut short, and goes back to blue first" in line(shop, "backend rollback")


async def _nobody_holds(shop: Shop) -> None:
    await shop.put("green", 5, move=MARK)


async def _holder_is_dead(shop: Shop) -> None:
    await _nobody_holds(shop)
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    shop.locked(gone.pid)


async def _out_of_time(shop: Shop) -> None:
    await shop.put("green", 5, move=replace(MARK, deadline=START - timedelta(seconds=1)))
    shop.locked(host="elsewhere")


@pytest.mark.parametrize("edit", [_nobody_holds, _holder_is_dead, _out_of_time], ids=["free", "dead", "late"])
def test_a_mark_that_nobody_alive_has_left_is_drift_and_leads_to_recover(edit: Edit, tmp_path: Path) -> None:
    outcome, _ = seen(tmp_path, edit)
    said = "backend: move 1a2b3c4d was left by nobody alive; it goes back to blue with bluegreen recover."
    assert (Exit.DRIFT, said) == (outcome.exit, outcome.world)
    assert "Run bluegreen recover, then pulumi up." == outcome.next


def test_a_mark_is_no_drift_while_nobody_can_tell_whether_its_update_lives(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        await _nobody_holds(shop)
        shop.pulumi(stack=shop.state(), whoami={"out": json.dumps({"url": "https://api.pulumi.com"})})

    outcome, shop = seen(tmp_path, edit)
    assert Exit.OK == outcome.exit
    assert "under way, as far as can be told" in line(shop, "backend move")


def test_a_move_that_ends_between_the_two_looks_is_not_called_left(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        await _nobody_holds(shop)
        row = next(row for row in await _rows(shop) if "colour:green" in row["tags"])
        ends = ["PATCH", f"{shop.admin}/upstreams/backend/targets/{row['id']}", _unmarked(row)]
        shop.pulumi(stack={**shop.state(), "calls": [ends]})

    outcome, _ = seen(tmp_path, edit)
    assert (Exit.OK, "Nothing drifts.") == (outcome.exit, outcome.world)


def test_a_move_that_begins_between_the_two_looks_is_not_called_left(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        await _nobody_holds(shop)
        row = next(row for row in await _rows(shop) if "colour:green" in row["tags"])
        tags = [str(tag).replace("1a2b3c4d", "5e6f7a8b") for tag in row["tags"]]
        begins = ["PATCH", f"{shop.admin}/upstreams/backend/targets/{row['id']}", {"tags": tags}]
        shop.pulumi(stack={**shop.state(), "calls": [begins]})

    outcome, shop = seen(tmp_path, edit)
    assert Exit.OK == outcome.exit
    assert line(shop, "backend move").startswith("5e6f7a8b from blue to green is under way, as far as")


async def _rows(shop: Shop) -> Rows:
    found: Rows = (await shop.room.made("GET", "/upstreams/backend/targets"))["data"]
    return found


def _unmarked(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"weight": 0, "tags": [tag for tag in row["tags"] if not str(tag).startswith("move:")]}


def test_a_hold_that_agrees_with_the_config_is_shown_and_is_no_drift(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        await shop.put("blue", 100, hold=HOLD)

    outcome, shop = seen(tmp_path, edit)
    assert Exit.OK == outcome.exit
    assert "held by ann@ops since 2026-03-01 02:00 UTC (logins fail)" == line(shop, "backend hold")


def test_a_hold_that_disagrees_with_the_config_is_drift_and_tells_both_ways_out(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        shop.app()["live"] = "green"
        await shop.put("blue", 100, hold=HOLD)

    outcome, _ = seen(tmp_path, edit)
    hold = "held by ann@ops since 2026-03-01 02:00 UTC (logins fail)"
    assert (Exit.DRIFT, f"backend: blue is {hold}, and the config wants green.") == (outcome.exit, outcome.world)
    way = "Set apps.backend.live: blue, or go on with the config: bluegreen hold release --reason …"
    assert way == outcome.next


def test_what_no_update_will_bring_is_said_with_what_comes_first(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        shop.app()["live"] = "green"
        await shop.put("green", 0, rejected=True)

    outcome, shop = seen(tmp_path, edit)
    release = shop.release("green")
    assert Exit.DRIFT == outcome.exit
    assert f"no update brings it: release {release} on green was rejected when it was last live" in outcome.world
    assert outcome.next.startswith("Set apps.backend.live back, stage another release")
    assert outcome.next.endswith(f"rollout.retry: {release}.")


def test_a_hold_that_is_released_beside_a_rejected_release_does_not_promise_an_update(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> tuple[Outcome, Outcome]:
        await shop.both()
        shop.app()["live"] = "green"
        await shop.put("green", 0, rejected=True)
        await shop.put("blue", 100, hold=HOLD)
        async with shop.desk() as desk:
            barred = await hold(desk, "release", reason="it is over")
        await shop.put("green", 0)
        await shop.put("blue", 100, hold=HOLD)
        async with shop.desk() as desk:
            return barred, await hold(desk, "release", reason="it is over")

    barred, free = play(tmp_path, scene)
    assert "Users meet the same, and no update changes it. backend: release " in barred.world
    assert "rollout.retry: " in barred.next
    assert ("Users meet the same.", "pulumi up --refresh makes it as the config says.") == (free.world, free.next)


def test_a_rejected_release_is_named(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        await shop.put("green", 0, rejected=True)

    _, shop = seen(tmp_path, edit)
    assert f"release {shop.release('green')} on green" == line(shop, "backend rejected")


# The way back


def test_a_possible_rollback_is_told_with_release_deadline_and_measured_time(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        blue, green = shop.release("blue"), shop.release("green")
        back = done("blue", 1, blue, kind="rollback", seconds=7)
        slower = done("blue", 9, blue, kind="rollback", seconds=50)
        shop.pulumi(stack=shop.state([slower, done("green", 5, green), back]))

    outcome, shop = seen(tmp_path, edit)
    green = shop.release("green")
    assert (
        f"a rollback to green (release {green}, as of 2026-02-28 22:00 UTC) is possible "
        "until 2026-03-04 02:00 UTC, in about 7 s"
    ) == line(shop, "backend rollback")
    newest = f"2026-03-01 02:00 UTC rollback green → blue passed, release {shop.release('blue')}, 7.0 s: proved"
    assert newest == line(shop, "backend move -1")
    assert ["blue", "green", "blue"] == [each.goal for each in facts(outcome).apps[0].history]


def test_a_stopped_colour_is_told_with_how_long_its_image_is_kept(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        blue, green = shop.release("blue"), shop.release("green")
        shop.pulumi(
            stack=shop.state(
                [done("green", 5, green), done("blue", 1, blue)],
                {"blue": blue, "green": green},
                stopped={"green": {"stoppedAt": "2026-03-01T02:00:00Z", "keptUntil": "2026-03-06T02:00:00Z"}},
            )
        )

    outcome, shop = seen(tmp_path, edit)
    kept = "Railway keeps its image at least until 2026-03-06 02:00 UTC"
    assert f"green is stopped since 2026-03-01 02:00 UTC, and {kept}" == line(shop, "backend idle")
    assert line(shop, "backend rollback").endswith("; green is stopped, and pulumi up restarts it first")
    assert outcome.exit == 0
    assert [side.stopped is not None for side in facts(outcome).apps[0].sides] == [False, True]


def test_what_kongs_way_of_looking_names_up_may_cost_is_told_of_the_shortest_overlap(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        shop.app()["green"]["overlapSeconds"] = 10
        shop.pulumi(stack=shop.state())

    _, shop = seen(tmp_path, edit)
    assert line(shop, "names") == (
        "Kong may send requests to an address that backend-green has left for up to 3600 s (dns_stale_ttl);"
        " the deployment before goes on for 10 s (overlapSeconds). Start Kong with KONG_DNS_STALE_TTL=4."
        " Kong asks for no AAAA records (dns_order LAST,SRV,A,CNAME), so it cannot find an IPv6-only environment."
        " Start Kong with KONG_DNS_ORDER=LAST,AAAA,A,CNAME."
    )


def test_a_rollback_recorded_after_the_fact_is_no_measurement(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        blue, green = shop.release("blue"), shop.release("green")
        by_hand = done("blue", 1, blue, kind="rollback", seconds=0)
        shop.pulumi(stack=shop.state([done("green", 5, green), by_hand]))

    _, shop = seen(tmp_path, edit)
    assert line(shop, "backend rollback").endswith("is possible until 2026-03-04 02:00 UTC")


def test_a_schema_that_a_colour_lacks_blocks_the_way_back_and_is_told(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        shop.app()["green"] = block("green", schemaMin="011")
        shop.config["shop:migrations"] = {"target": "011", "baseline": "010"}
        shop.environment["BLUEGREEN_DATABASE_URL"] = database()
        shop.pulumi(stack=shop.state([done("green", 5, shop.release("green")), done("blue", 1, shop.release("blue"))]))

    outcome, shop = seen(tmp_path, edit)
    assert "holds schema 010, and the config wants 011" == line(shop, "database")
    assert "green needs schema 011, and the database holds 010" == line(shop, "backend schema")
    assert "green needs schema 011, and the database holds 010" in line(shop, "backend rollback")
    assert Exit.OK == outcome.exit


# What cannot be read


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"err": "error: no stack named 'test' found\n", "code": 255}, "pulumi says: no stack named 'test' found"),
        (
            {"err": "error: failed to load checkpoint: unexpected end of JSON input\n", "code": 255},
            "Pulumi's state cannot be read: unexpected end of JSON input",
        ),
        ({"code": 1}, "pulumi says: pulumi stack export failed"),
        ({"out": "cut sho"}, "what Pulumi exports is no state of this program"),
        ({"out": "[]"}, "what Pulumi exports is no state of this program"),
        (
            {"out": '{"deployment":{"resources":[{"type":"bluegreen:rollout:Traffic","outputs":{"history":7}}]}}'},
            "what Pulumi exports is no state of this program",
        ),
        ({"out": '{"deployment":null}'}, "no update has recorded any traffic yet"),
    ],
)
def test_a_state_that_cannot_be_read_is_said_in_its_place(answer: dict[str, Any], said: str, tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        shop.pulumi(stack=answer)

    outcome, shop = seen(tmp_path, edit)
    assert (Exit.OK, f"unknown: {said}") == (outcome.exit, line(shop, "state"))
    assert "backend on blue" in outcome.what
    assert "is in Pulumi's state, which is unknown now" in line(shop, "backend rollback")


def test_without_pulumi_everything_else_is_shown(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> tuple[Outcome, Shop]:
        await shop.both()
        return await look(shop), shop

    outcome, shop = play(tmp_path, scene)
    assert (Exit.OK, "unknown: there is no pulumi on PATH") == (outcome.exit, line(shop, "state"))
    assert [None, None] == [side.recorded for side in facts(outcome).apps[0].sides]


def test_a_pulumi_that_does_not_answer_in_time_is_ended_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.3)

    async def edit(shop: Shop) -> None:
        shop.pulumi(stack={"hangs": True})

    outcome, shop = seen(tmp_path, edit)
    assert (Exit.OK, "unknown: pulumi stack export gave no answer within 0.3 s") == (outcome.exit, line(shop, "state"))


def test_a_database_that_does_not_answer_is_said_in_its_place(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        shop.config["shop:migrations"] = {"target": "011", "baseline": "010"}
        shop.environment["BLUEGREEN_DATABASE_URL"] = "postgresql://a:word@127.0.0.1:1/shop"

    outcome, shop = seen(tmp_path, edit)
    said = line(shop, "database")
    assert (Exit.OK, True, False) == (outcome.exit, said.startswith("unknown: "), "word" in said)
    assert said.endswith("; the config wants schema 011")


def test_an_encrypted_database_address_is_told_with_the_variable_that_opens_it(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        shop.config["shop:migrations"] = {"target": "011", "baseline": "010"}
        shop.config["bluegreen:databaseUrl"] = {"secure": "v1:abc"}

    _, shop = seen(tmp_path, edit)
    why = "bluegreen:databaseUrl is encrypted; BLUEGREEN_DATABASE_URL would name it"
    assert f"unknown: {why}; the config wants schema 011" == line(shop, "database")


def test_without_its_secrets_a_release_is_not_claimed_to_be_another(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        shop.config["shop:secrets"] = {
            "releaseKey": {"secure": "v1:k"},
            "backend": {"blue": {"URL": {"secure": "v1:u"}}},
        }
        await _put_as(shop, "0123456789abcdef")
        shop.pulumi(stack=shop.state(releases={"blue": "0123456789abcdef"}))

    outcome, _ = seen(tmp_path, edit)
    assert (Exit.OK, "Nothing drifts.") == (outcome.exit, outcome.world)


async def _put_as(shop: Shop, release: str) -> None:
    secrets = shop.config.pop("shop:secrets")
    await shop.put("blue", 100, release=release)
    shop.config["shop:secrets"] = secrets


def test_a_release_without_secrets_of_its_own_is_compared_although_others_are_sealed(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        await shop.put("blue", 100, release="0123456789abcdef")
        shop.config["shop:secrets"] = {"releaseKey": {"secure": "v1:k"}, "consumers": {"web": {"secure": "v1:w"}}}

    outcome, _ = seen(tmp_path, edit)
    assert Exit.DRIFT == outcome.exit
    assert "Kong's target says 0123456789abcdef" in outcome.world


@pytest.mark.parametrize("watch", [False, True], ids=["once", "watched"])
def test_a_kong_that_does_not_answer_is_the_one_thing_that_ends_it(watch: bool, tmp_path: Path) -> None:
    async def scene(shop: Shop) -> str:
        shop.config["bluegreen:kongAdminUrl"] = "http://127.0.0.1:1"
        async with shop.desk() as desk:
            with pytest.raises(ApiError) as problem:
                await status(desk, watch=watch)
        return problem.value.what

    assert play(tmp_path, scene).startswith("Kong's Admin API cannot be reached at http://127.0.0.1:1: ")


# The gateway


async def _keep(shop: Shop, kept: Kept) -> None:
    async with shop.desk() as desk:
        await shop.room.made("PUT", "/routes/gateway-kept", {"paths": ["/"], "headers": {"X-Kept": ["nobody"]}})
        await kong.keep(desk.connections.kong(), OWNER, kept)


def test_the_kept_gateway_is_told_and_compared_with_the_config(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        async with shop.desk() as desk:
            id = desk.settings.gateway_id
        await _keep(shop, replace(KEPT, gateway=id))

    outcome, shop = seen(tmp_path, edit)
    id = facts(outcome).kept.gateway
    assert f"kept is {id} of 2026-03-01 03:00 UTC, 3 checks passed; as the config wants it" == line(shop, "gateway")


def test_a_held_gateway_that_the_config_does_not_want_is_drift(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        await _keep(shop, replace(KEPT, hold=HOLD))

    outcome, shop = seen(tmp_path, edit)
    hold = "held by ann@ops since 2026-03-01 02:00 UTC (logins fail)"
    assert (Exit.DRIFT, f"the gateway is {hold}, and the config wants another.") == (outcome.exit, outcome.world)
    assert (hold, "not what the config wants" in line(shop, "gateway")) == (line(shop, "gateway hold"), True)
    assert outcome.next.startswith("Revert the gateway's change in the config")


def test_a_kept_gateway_that_the_config_has_left_behind_is_told_and_is_no_drift(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        await _keep(shop, KEPT)

    outcome, shop = seen(tmp_path, edit)
    assert (Exit.OK, True) == (outcome.exit, line(shop, "gateway").endswith("not what the config wants"))


def test_a_gateway_with_sealed_secrets_is_not_claimed_to_be_another(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        shop.config["shop:secrets"] = {"plugins": {"http-log": {"headers.Authorization": {"secure": "v1:p"}}}}
        await _keep(shop, replace(KEPT, hold=HOLD))

    outcome, shop = seen(tmp_path, edit)
    assert (Exit.OK, None) == (outcome.exit, facts(outcome).kept.agrees)
    assert line(shop, "gateway").endswith("cannot be told without the secrets")


def test_what_is_kept_for_another_stack_is_said_in_its_place(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        await _keep(shop, KEPT)
        await shop.room.made("PATCH", "/plugins/gateway-kept", {"tags": ["kept-for:other.stack"]})

    outcome, shop = seen(tmp_path, edit)
    assert Exit.OK == outcome.exit
    assert line(shop, "gateway").endswith("it is kept for other.stack, not for shop.test")


def test_a_freeze_that_is_on_now_is_told(tmp_path: Path) -> None:
    async def edit(shop: Shop) -> None:
        shop.config["shop:rollout"] = {"freeze": [{"name": "night", "cron": "0 2 * * *", "duration": "4h"}]}

    _, shop = seen(tmp_path, edit)
    assert line(shop, "freeze").startswith("rollouts are frozen (night, 2026-03-01 02:00 to 2026-03-01 06:00 UTC)")


# How it is shown


def test_the_table_has_a_row_for_each_colour_and_the_rest_below(tmp_path: Path) -> None:
    outcome, shop = seen(tmp_path)
    page = io.StringIO()
    Console(file=page, width=160).print(table(facts(outcome)))
    head, blue, green, *rest = [text.split() for text in page.getvalue().splitlines()]
    assert ["app", "colour", "config", "state", "Kong", "release", "since"] == head
    assert ["backend", "blue", "100", "100", "100", shop.release("blue"), "2026-02-28", "03:00", "UTC"] == blue
    assert ["backend", "green", "0", "0", "0", shop.release("green")] == green
    assert ["backend", "rollback:"] in [words[:2] for words in rest]


def test_the_command_answers_json_on_one_stream_and_lines_on_the_other(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> tuple[int | None, dict[str, Any], str]:
        await shop.both()
        shop.pulumi(stack=shop.state())
        process = await shop.command("status", "--json")
        out, err = await process.communicate()
        return process.returncode, fitting("status", out.decode()), err.decode()

    code, told, err = play(tmp_path, scene)
    assert (0, 0, "blue") == (code, told["exit"], told["facts"]["apps"][0]["live"])
    assert {"wanted": 100, "recorded": 100, "stored": 100}.items() <= told["facts"]["apps"][0]["sides"][0].items()
    assert "backend: blue 100 % with release" in err


def test_on_a_terminal_it_is_a_table(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> str:
        await shop.both()
        shop.pulumi(stack=shop.state())
        ours, theirs = pty.openpty()
        try:
            process = await shop.command("status", stderr=theirs)
            os.close(theirs)
            await process.communicate()
            shown = os.read(ours, 65536)
        finally:
            os.close(ours)
        return shown.decode()

    assert "colour" in play(tmp_path, scene).splitlines()[0]


# Watching


def test_a_watch_tells_each_change_once_and_ends_with_0_on_interrupt(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> tuple[int | None, str, list[str]]:
        shop.config["shop:apps"]["backend"]["live"] = "blue"
        await shop.both()
        shop.pulumi(stack=shop.state())
        process = await shop.command("status", "--watch", "--interval", "0.2")
        assert process.stdout is not None
        assert process.stderr is not None
        told = [await _until(process.stderr, "state: read")]
        await shop.put("blue", 100, hold=HOLD)
        told.append(await _until(process.stderr, "backend hold: held by ann@ops"))
        await shop.put("blue", 100)
        told.append(await _until(process.stderr, "backend hold: no more"))
        process.send_signal(signal.SIGINT)
        out, rest = await process.communicate()
        return process.returncode, out.decode(), [*told, rest.decode()]

    code, out, told = play(tmp_path, scene)
    assert (0, True) == (code, out.startswith("Watched for "))
    assert (1, 1) == ("".join(told).count(" backend: blue 100 %"), "".join(told).count("hold: held by"))
    assert "Traceback" not in "".join(told)


async def _until(stream: asyncio.StreamReader, text: str) -> str:
    """Everything up to the line that says so."""
    told = ""
    while text not in told:
        got = await asyncio.wait_for(stream.readline(), 20)
        assert got, told
        told += got.decode()
    return told


def test_a_watch_goes_on_while_kong_is_away_for_a_moment(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> list[str]:
        await shop.both()
        looks = 0

        def passing() -> None:
            nonlocal looks
            looks += 1
            if looks == 1:
                shop.room.kong.faults.arm("away", AWAY)
            if looks == 2:
                shop.room.kong.faults.disarm(["away"])
            if looks == 3:
                raise asyncio.CancelledError

        shop.clock.passing = passing
        async with shop.desk() as desk:
            outcome = await status(desk, watch=True, interval=2.0)
        assert (Exit.OK, "Watched for 6 s.") == (outcome.exit, outcome.what)
        return [text.partition(" ")[2] for text in shop.clock.milestones]

    told = play(tmp_path, scene)
    assert ["Kong", "Kong: answers again"] == [told[-2].partition(":")[0], told[-1]]


@pytest.mark.parametrize(("weight", "asked"), [(0, 2), (5, 6)], ids=["calm", "beside a mark without a lock"])
def test_a_watch_asks_pulumi_less_often_than_kong_unless_it_has_to(weight: int, asked: int, tmp_path: Path) -> None:
    async def scene(shop: Shop) -> int:
        await shop.both(move=MARK if weight else None)
        shop.pulumi(stack=shop.state())
        looks = 0

        def passing() -> None:
            nonlocal looks
            looks += 1
            if looks == 6:
                raise asyncio.CancelledError

        shop.clock.passing = passing
        async with shop.desk() as desk:
            await status(desk, watch=True, interval=2.0)
        return shop.asked()

    assert asked == play(tmp_path, scene)


# With the engine


def test_a_gate_of_a_real_update_is_seen_by_status_and_opened_by_approve(tmp_path: Path) -> None:
    with box(tmp_path) as here:
        here.both()
        calm = _told(here, "status")
        here.stack.config["velro:rollout"]["steps"] = [{"setWeight": 25}, {"gate": "90s"}]
        here.stack.shift("green")
        edited = _told(here, "status")
        update = here.stack.start("up", "--yes", "--skip-preview")
        wait(lambda: {"blue": 75, "green": 25} == here.weights())
        moving = _told(here, "status")
        word = _told(here, "approve", "backend", "--reason", "seen on the preview")
        run = update.finish()
        after = _told(here, "status")
    assert (0, "Live: backend on blue.", "Nothing drifts.") == (calm["exit"], calm["what"], calm["world"])
    assert (14, True) == (edited["exit"], "no update has run since the config changed" in edited["world"])
    assert (0, "A move of backend is under way.") == (moving["exit"], moving["world"])
    assert (True, True) == (moving["facts"]["apps"][0]["move"]["alive"], "process" in moving["facts"]["lock"])
    assert (0, 25, "green") == (word["exit"], word["facts"]["weight"], word["facts"]["colour"])
    assert (0, True) == (run.code, "(seen on the preview)" in run.output)
    assert (0, "Live: backend on green.", None) == (after["exit"], after["what"], after["facts"]["lock"])
    back = after["facts"]["apps"][0]["rollback"]
    assert (True, "blue", ["green", "blue"]) == (
        back["possible"],
        back["colour"],
        [each["goal"] for each in after["facts"]["apps"][0]["history"]],
    )


def _told(here: Box, *arguments: str) -> dict[str, Any]:
    """What the command answers in the sandbox's own stack."""
    command = [str(ROOT / "bin" / "bluegreen"), *arguments, "--stack", here.stack.name, "--json"]
    done = subprocess.run(command, cwd=ROOT, env=here.stack.environment(), capture_output=True, text=True, check=False)
    told = fitting(arguments[0], done.stdout)
    assert done.returncode == told["exit"], done.stderr
    return told
