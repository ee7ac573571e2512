"""`bluegreen up` and what it may meet: a config that changes under it, others' locks, a gateway in the middle, secrets.

The engine is a stand-in here that writes the events which a test has laid beside it.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from bluegreen.cli.plan import plan
from bluegreen.cli.up import Brought, up
from bluegreen.cli.verb import Exit, Outcome
from bluegreen.handler import Refused
from tests.status_room import MARK, Shop, play

# Before the stand-in answers `up`, it writes the event log that it is asked for.
EVENTS = """#!/bin/sh
if [ "$1" = up ]; then
    for word in "$@"; do
        if [ "$before" = --event-log ]; then cat "${0%/*}/events" > "$word"; fi
        before=$word
    done
fi
exec "${0%/*}/answers" "$@"
"""
TRAFFIC = "bluegreen:rollout:Traffic"
SECRET = "hush-hush-1"
MOVING = {"resourcePreEvent": {"metadata": {"type": TRAFFIC, "op": "update", "urn": f"urn:{TRAFFIC}::traffic"}}}


def engine(shop: Shop, *events: Any, **answers: Any) -> None:
    """What `pulumi` answers from now on, and the events of an update."""
    config = {key: text if isinstance(text, str) else json.dumps(text) for key, text in shop.config.items()}
    opened = {"out": json.dumps({key: {"value": text} for key, text in config.items()})}
    shop.pulumi(**{"config": opened, "up": {"code": 1}, **answers})
    here = shop.folder / "bin"
    (here / "pulumi").rename(here / "answers")
    (here / "pulumi").write_text(EVENTS, encoding="utf-8")
    (here / "pulumi").chmod(0o755)
    (here / "events").write_text("".join(f"{json.dumps(event)}\n" for event in events), encoding="utf-8")


async def brought(shop: Shop, **options: Any) -> Outcome:
    async with shop.desk() as desk:
        return await up(desk, **options)


def erred(text: str) -> dict[str, Any]:
    return {"diagnosticEvent": {"severity": "error", "message": text}}


def test_a_config_that_changes_while_its_plan_is_checked_is_not_brought_up(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await shop.both()
        engine(shop, preview={"out": json.dumps({"steps": []})}, up={"code": 0})
        file = shop.folder / "plan.json"
        async with shop.desk() as desk:
            await plan(desk, save=file)
        held = await brought(shop, plan=file)
        assert (held.exit, held.facts.plan != "") == (Exit.OK, True)  # type: ignore[union-attr]

        other = {key: {"value": json.dumps(value)} for key, value in shop.config.items()}
        other["shop:apps"]["value"] = other["shop:apps"]["value"].replace("a" * 64, "c" * 64)
        other["bluegreen:kongAdminUrl"]["value"] = shop.admin
        (shop.folder / "bin" / "config.out").write_text(json.dumps(other), encoding="utf-8")
        with pytest.raises(Refused, match="was changed while its plan was checked"):
            await brought(shop, plan=file)

    play(tmp_path, scene)


def test_whoever_has_the_stack_on_another_host_is_waited_for(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        engine(shop)
        shop.locked(pid=7, host="elsewhere")
        found = await brought(shop)
        assert (found.exit, found.world) == (Exit.LOCKED, "Nothing was changed.")
        assert found.what == "Stack test is locked by process 7 of ann@elsewhere since 2026-03-01 02:59:00 UTC."
        assert "up" not in (shop.folder / "bin" / "asked").read_text(encoding="utf-8").split()

    play(tmp_path, scene)


def test_who_takes_the_stack_in_the_last_moment_is_told_all_the_same(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        said = (
            "error: the stack is currently locked by 1 lock(s).\n  x: created by bob@ci (pid 9) at 2026-03-01T03:00:00Z"
        )
        engine(shop, up={"out": said, "code": 255})
        found = await brought(shop)
        expected = "Stack test is locked by process 9 of bob@ci since 2026-03-01T03:00:00Z."
        assert (found.exit, found.what) == (Exit.LOCKED, expected)

    play(tmp_path, scene)


def test_an_engine_that_dies_in_a_move_leaves_what_the_gateway_says(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await shop.both()
        await shop.put("green", 10, move=MARK)
        engine(shop, MOVING, up={"code": 137})
        found = await brought(shop)
        assert (found.exit, found.world) == (Exit.INCONCLUSIVE, "Live: backend unfinished.")
        assert isinstance(found.facts, Brought)
        assert (found.facts.live, found.facts.engine) == ({"backend": "unfinished"}, 137)

    play(tmp_path, scene)


def test_a_silent_gateway_does_not_hide_how_the_update_ended(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        shop.config["bluegreen:kongAdminUrl"] = "http://127.0.0.1:1"
        engine(shop, erred("Kong's Admin API cannot be reached."))
        found = await brought(shop)
        assert (found.exit, found.what) == (Exit.REFUSED, "Kong's Admin API cannot be reached.")

    play(tmp_path, scene)


def test_a_secret_that_the_engine_says_is_in_no_line_and_in_no_end(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        shop.config["shop:secrets"] = {"releaseKey": SECRET}
        engine(shop, erred(f"it said {SECRET}"))
        found = await brought(shop)
        assert found.what == "it said [secret]"
        assert SECRET not in found.model_dump_json() + " ".join(shop.clock.milestones)
        assert "it said [secret]" in shop.clock.milestones

    play(tmp_path, scene)


def test_what_was_cut_short_before_is_named(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await shop.both()
        rows = [{"type": "creating", "resource": {"urn": "urn:pulumi:s::p::t::backend-green"}}]
        state = {"out": json.dumps({"deployment": {"resources": [], "pending_operations": rows}})}
        engine(shop, {"preludeEvent": {}}, up={"code": 0}, stack=state)
        found = await brought(shop)
        assert found.exit is Exit.OK
        assert shop.clock.milestones[0].startswith("An earlier update was cut short (creating backend-green): ")

    play(tmp_path, scene)
