"""The resource Traffic: what Check fills in, what a read tells, what state keeps of a move that went wrong."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bluegreen.gateway import MoveTag, Split
from bluegreen.handler import Cancelled, Held, Partial, Refused
from bluegreen.http import ApiError, Unreachable
from bluegreen.rollout.endings import KEPT
from bluegreen.rollout.spec import Done, Lane, Probe, TrafficSpec, TrafficState
from bluegreen.rollout.traffic import TrafficHandler
from bluegreen.spec import COLOURS, Colour
from tests.memory import START, Answers, Clock, Memory

RELEASES: Mapping[Colour, str] = {"blue": "r-blue", "green": "r-green"}


class Away(Memory):
    """A gateway that cannot be reached."""

    async def split(self, upstream: str) -> Split:
        raise Unreachable("Kong cannot be reached.", world="Nothing was changed.", next="Check it.")


def spec(live: Colour = "blue", *colours: Colour, release: str | None = None) -> TrafficSpec:
    lane = Lane(
        upstream="backend",
        live=live,
        release=release or RELEASES[live],
        addresses={colour: f"backend-{colour}:1" for colour in colours or COLOURS},
        probe=Probe(headers={"app": dict.fromkeys(COLOURS, "backend"), "colour": {c: c for c in COLOURS}}),
    )
    return TrafficSpec(owner="shop.test", lanes={"backend": lane})


def inputs(of: TrafficSpec) -> dict[str, Any]:
    return of.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Desk:
    """A handler on a gateway in memory whose two colours answer as their releases."""

    def __init__(self, memory: Memory | None = None, *, offline: bool = False, teardown: bool = False) -> None:
        self.memory, self.clock = memory or Memory(), Clock()
        self.answers = Answers({("backend", colour): release for colour, release in RELEASES.items()})
        self.handler = TrafficHandler(self.memory, self.answers, offline=offline, teardown=teardown)

    def create(self, live: Colour = "blue") -> Held[TrafficState]:
        wanted = self.handler.fill(spec(live), {})
        return asyncio.run(self.handler.create(self.clock, wanted))

    def update(self, held: Held[TrafficState], wanted: TrafficSpec) -> Held[TrafficState]:
        filled = self.handler.fill(wanted, held.inputs)
        return Held(held.id, inputs(filled), asyncio.run(self.handler.update(self.clock, filled, held)))

    def read(self, held: Held[TrafficState] | None, id: str = "backend") -> Held[TrafficState] | None:
        return asyncio.run(self.handler.read(self.clock, id, held))


def test_weights_follow_from_live_for_the_colours_that_traffic_knows() -> None:
    handler = Desk().handler
    first = handler.fill(spec("blue"), {})
    assert first.lanes["backend"].weights == {"blue": 100}
    shifted = handler.fill(spec("green"), inputs(first))
    assert shifted.lanes["backend"].weights == {"blue": 0, "green": 100}
    gone = handler.fill(spec("green", "green"), inputs(shifted))
    assert gone.lanes["backend"].weights == {"green": 100}


def test_a_read_tells_what_really_is() -> None:
    desk = Desk()
    held = desk.create()
    slots = desk.memory.rows["backend"]
    slots["blue"] = replace(slots["blue"], weight=60)
    found = desk.read(held)
    assert found is not None
    assert (found.inputs["lanes"]["backend"]["live"], found.inputs["lanes"]["backend"]["weights"]) == (
        "blue",
        {"blue": 60},
    )


def test_a_mark_that_somebody_left_shows_as_a_difference() -> None:
    desk = Desk()
    held = desk.create()
    slots = desk.memory.rows["backend"]
    slots["blue"] = replace(slots["blue"], move=MoveTag("theirs", "blue", START))
    found = desk.read(held)
    assert found is not None
    assert found.inputs["lanes"]["backend"]["live"] == "unfinished"


def test_users_that_are_led_elsewhere_show_as_a_difference_and_the_next_update_leads_them_back() -> None:
    desk = Desk()
    held = desk.create()
    slots = desk.memory.rows["backend"]
    slots["blue"] = replace(slots["blue"], address="elsewhere:1")
    found = desk.read(held)
    assert found is not None
    assert found.inputs["lanes"]["backend"]["release"] == ""
    after = desk.update(found, spec("blue"))
    assert desk.memory.rows["backend"]["blue"].address == "backend-blue:1"
    again = desk.read(after)
    assert again is not None
    assert again.inputs["lanes"]["backend"]["release"] == "r-blue"


def test_traffic_without_any_target_is_gone() -> None:
    assert Desk().read(None) is None


def test_an_import_by_upstream_finds_owner_lanes_and_releases() -> None:
    desk = Desk()
    desk.create()
    found = desk.read(None, "backend")
    assert found is not None
    assert found.inputs == {
        "owner": "shop.test",
        "lanes": {
            "backend": {
                "upstream": "backend",
                "release": "r-blue",
                "addresses": {"blue": "backend-blue:1"},
                "live": "blue",
                "weights": {"blue": 100},
            }
        },
    }


def test_a_move_is_kept_in_history_with_its_releases() -> None:
    desk = Desk()
    held = desk.update(desk.create(), spec("green"))
    assert [(done.kind, done.verdict, done.origin_release, done.release) for done in held.state.history] == [
        ("first", "passed", None, "r-blue"),
        ("rollout", "passed", "r-blue", "r-green"),
    ]
    assert (held.state.live, held.state.weights) == ({"backend": "green"}, {"backend": {"blue": 0, "green": 100}})


def test_history_keeps_the_last_moves_only() -> None:
    desk = Desk()
    held = desk.create()
    for number in range(KEPT + 3):
        held = desk.update(held, spec("green" if number % 2 == 0 else "blue"))
    assert len(held.state.history) == KEPT


def test_a_move_that_failed_keeps_what_is_true_and_says_so_in_one_sentence() -> None:
    desk = Desk()
    held = desk.create()
    desk.memory.lagging = frozenset({"green"})
    with pytest.raises(Partial) as partial:
        desk.update(held, spec("green"))
    kept = partial.value.held
    assert kept.state.live == {"backend": "blue"}
    assert [done.verdict for done in kept.state.history] == ["passed", "stopped"]
    assert kept.inputs == held.inputs


def test_a_cancelled_move_is_cancelled_and_not_failed() -> None:
    desk = Desk()
    held = desk.create()

    def cancel() -> None:
        desk.clock.cancelled = True

    desk.memory.proving = cancel
    with pytest.raises(Cancelled):
        desk.update(held, spec("green"))


def test_an_update_with_nothing_to_do_writes_nothing() -> None:
    desk = Desk()
    held = desk.create()
    desk.memory.writes.clear()
    again = desk.update(held, spec("blue"))
    assert (desk.memory.writes, again.state) == ([], held.state)


def test_a_preview_says_the_move_and_writes_nothing() -> None:
    desk = Desk()
    held = desk.create()
    desk.memory.writes.clear()
    wanted = desk.handler.fill(spec("green"), held.inputs)
    expected = asyncio.run(desk.handler.preview(desk.clock, wanted, held))
    assert desk.clock.milestones[-1] == "rollout: backend blue → green 100 %"
    assert (expected.live, expected.weights) == ({"backend": "green"}, {"backend": {"blue": 0, "green": 100}})
    assert desk.memory.writes == []


def test_a_preview_refuses_a_rejected_release_before_anything_is_done() -> None:
    desk = Desk()
    held = desk.create()
    rejected = Done(app="backend", goal="green", release="r-green", verdict="rejected", started=START, finished=START)
    state = held.state.model_copy(update={"history": (*held.state.history, rejected)})
    wanted = desk.handler.fill(spec("green"), held.inputs)
    with pytest.raises(Refused):
        asyncio.run(desk.handler.preview(desk.clock, wanted, Held(held.id, held.inputs, state)))


def test_without_the_gateway_only_an_offline_preview_goes_on() -> None:
    held = Desk().create()
    wanted = Desk().handler.fill(spec("green"), held.inputs)
    with pytest.raises(ApiError):
        asyncio.run(Desk(Away()).handler.preview(Clock(), wanted, held))
    offline = Desk(Away(), offline=True)
    assert asyncio.run(offline.handler.preview(offline.clock, wanted, held)).live == {"backend": "green"}
    assert offline.clock.milestones == ["Kong cannot be reached. Compared with state only."]
    assert offline.read(held) == held


def test_targets_that_carry_traffic_are_taken_away_only_in_a_teardown() -> None:
    desk = Desk()
    held = desk.create()
    with pytest.raises(Refused):
        asyncio.run(desk.handler.delete(desk.clock, held))
    assert desk.memory.weights("backend") == {"blue": 100}
    asyncio.run(Desk(desk.memory, teardown=True).handler.delete(desk.clock, held))
    assert desk.memory.weights("backend") == {}


def test_an_app_that_came_later_is_guarded_like_the_first() -> None:
    desk = Desk()
    held = desk.create()
    later = {**held.inputs, "lanes": {"worker": {"upstream": "backend"}}}
    with pytest.raises(Refused):
        asyncio.run(desk.handler.delete(desk.clock, Held("another", later, held.state)))


def test_an_app_that_is_gone_from_the_config_leaves_no_target() -> None:
    desk = Desk()
    held = desk.create()
    with_another = {**held.inputs, "lanes": {**held.inputs["lanes"], "worker": {"upstream": "worker"}}}
    desk.memory.rows["worker"] = dict(desk.memory.rows["backend"])
    desk.update(Held(held.id, with_another, held.state), spec("blue"))
    assert (desk.memory.weights("worker"), desk.memory.weights("backend")) == ({}, {"blue": 100})
    assert desk.clock.milestones[-1] == "worker is gone from the config: its targets are taken away"
