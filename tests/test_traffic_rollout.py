"""The resource Traffic while it rolls out: frozen or not, held or not, judged, and what state and the engine learn."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from bluegreen.event import Event
from bluegreen.gateway import MoveTag
from bluegreen.handler import Cancelled, Held, Partial, Refused
from bluegreen.rollout.freeze import Freeze
from bluegreen.rollout.spec import Lane, Probe, Rollout, TrafficSpec, TrafficState
from bluegreen.rollout.traffic import TrafficHandler
from bluegreen.spec import COLOURS, Colour
from tests.memory import START, Answers, Clock, Memory, Script, bad, nothing
from tests.rollout_room import HOLD, LOOK, in_steps, release

NIGHT = Freeze(name="night", cron="0 0 * * *", duration=timedelta(hours=6))  # the tests' clock stands at 3 o'clock
FROZEN = "night, 2026-03-01 00:00 to 2026-03-01 06:00 UTC"
BOTH = ("backend", "frontend")


class Listener:
    """Whoever is told of moves, and how they say that they did not hear all of it."""

    def __init__(self, complaint: str = "") -> None:
        self.events: list[Event] = []
        self.complaint = complaint

    def tell(self, event: Event) -> None:
        self.events.append(event)

    async def settle(self) -> str:
        return self.complaint


class Desk:
    """A handler on a gateway in memory, its meter, its listener, and the state that the engine would keep."""

    def __init__(self, *apps: str, complaint: str = "") -> None:
        self.apps = apps or ("backend",)
        self.memory, self.clock, self.meter, self.listener = Memory(), Clock(), Script(), Listener(complaint)
        self.answers = Answers({(app, colour): release(app, colour) for app in self.apps for colour in COLOURS})
        self.handler = TrafficHandler(self.memory, self.answers, meter=self.meter, audience=self.listener)
        wanted = self.handler.fill(self.spec("blue"), {})
        self.held = replace(asyncio.run(self.handler.create(self.clock, wanted)), inputs=inputs(wanted))
        self.memory.writes.clear()
        self.clock.milestones.clear()
        self.listener.events.clear()

    def spec(self, live: Colour, rollout: Rollout | None = None) -> TrafficSpec:
        lanes = {
            app: Lane(
                upstream=app,
                live=live,
                release=release(app, live),
                addresses={colour: f"{app}-{colour}:1" for colour in COLOURS},
                probe=Probe(headers={"app": dict.fromkeys(COLOURS, app), "colour": {c: c for c in COLOURS}}),
            )
            for app in self.apps
        }
        return TrafficSpec(owner="velro.test", lanes=lanes, rollout=rollout or Rollout())

    def preview(self, live: Colour, rollout: Rollout | None = None) -> TrafficState:
        wanted = self.handler.fill(self.spec(live, rollout), self.held.inputs)
        return asyncio.run(self.handler.preview(self.clock, wanted, self.held))

    def update(self, live: Colour, rollout: Rollout | None = None) -> TrafficState:
        """An update as the engine makes it; what it may keep of one that failed, it keeps."""
        wanted = self.handler.fill(self.spec(live, rollout), self.held.inputs)
        try:
            state = asyncio.run(self.handler.update(self.clock, wanted, self.held))
        except Partial as partial:
            self.held = partial.held
            raise
        self.held = Held(self.held.id, inputs(wanted), state)
        return state

    def read(self) -> dict[str, Any]:
        """The lanes as a read finds them."""
        found = asyncio.run(self.handler.read(self.clock, self.held.id, self.held))
        assert found is not None
        return dict(found.inputs["lanes"])

    def hold(self, app: str) -> None:
        self.memory.rows[app] = {colour: replace(slot, hold=HOLD) for colour, slot in self.memory.rows[app].items()}


def inputs(of: TrafficSpec) -> dict[str, Any]:
    return of.model_dump(mode="json", by_alias=True, exclude_unset=True)


def test_a_rollout_is_refused_while_it_is_frozen() -> None:
    desk = Desk()
    with pytest.raises(Refused) as refused:
        desk.update("green", Rollout(freeze=[NIGHT]))
    assert str(refused.value) == (
        f"Rollouts are frozen: {FROZEN}. rollout: backend blue → green 100 %. "
        "Traffic is unchanged. A rollback is never frozen. "
        "Wait, or say why it cannot in rollout.freezeOverride."
    )
    assert desk.memory.writes == []


def test_a_preview_tells_of_the_freeze_and_refuses_nothing() -> None:
    desk = Desk()
    assert desk.preview("green", Rollout(freeze=[NIGHT])).live == {"backend": "green"}
    assert desk.clock.milestones == [
        "rollout: backend blue → green 100 %",
        f"frozen now ({FROZEN}): until then an update with this rollout is refused",
    ]


def test_a_reason_lets_a_rollout_through_a_freeze_and_is_logged() -> None:
    desk = Desk()
    desk.update("green", Rollout(freeze=[NIGHT], freeze_override="the login is broken"))
    assert desk.memory.weights("backend") == {"blue": 0, "green": 100}
    assert f"frozen ({FROZEN}), and overridden: the login is broken" in desk.clock.milestones


def test_a_rollback_is_never_frozen() -> None:
    desk = Desk()
    desk.update("green")
    desk.update("blue", in_steps(freeze=[NIGHT]))
    assert desk.memory.weights("backend") == {"blue": 100, "green": 0}
    assert (desk.held.state.history[-1].kind, desk.meter.watched) == ("rollback", [])


def test_a_weight_that_was_edited_by_hand_is_put_right_in_a_freeze() -> None:
    desk = Desk()
    desk.update("green")
    rows = desk.memory.rows["backend"]
    rows["blue"] = replace(rows["blue"], weight=40)
    desk.update("green", Rollout(freeze=[NIGHT]))
    assert desk.memory.weights("backend") == {"blue": 0, "green": 100}


def test_outside_its_window_a_freeze_stops_nobody() -> None:
    desk = Desk()
    desk.clock.at = START + timedelta(hours=3)
    desk.update("green", Rollout(freeze=[NIGHT]))
    assert desk.memory.weights("backend") == {"blue": 0, "green": 100}


def test_an_app_that_is_held_shows_as_a_difference_so_that_an_update_comes() -> None:
    desk = Desk(*BOTH)
    desk.hold("frontend")
    assert {app: lane["live"] for app, lane in desk.read().items()} == {"backend": "blue", "frontend": "held"}


def test_a_mark_on_a_held_app_shows_as_unfinished() -> None:
    desk = Desk()
    desk.hold("backend")
    blue = desk.memory.rows["backend"]["blue"]
    desk.memory.rows["backend"]["blue"] = replace(blue, move=MoveTag("theirs", "blue", START))
    assert desk.read()["backend"]["live"] == "unfinished"


def test_a_preview_refuses_what_an_update_would_because_somebody_holds_it() -> None:
    desk = Desk()
    desk.hold("backend")
    with pytest.raises(Refused) as previewed:
        desk.preview("green")
    with pytest.raises(Refused) as updated:
        desk.update("green")
    assert str(previewed.value) == str(updated.value)


def test_an_update_that_agrees_with_a_hold_releases_it_and_says_so_in_preview() -> None:
    desk = Desk()
    desk.hold("backend")
    desk.preview("blue")
    assert desk.clock.milestones == ["backend: the hold is released, the config agrees with it"]
    desk.update("blue")
    assert desk.read()["backend"]["live"] == "blue"
    assert desk.memory.writes == []


def test_a_preview_tells_the_steps_of_a_rollout_and_the_one_of_a_rollback() -> None:
    desk = Desk()
    desk.preview("green", in_steps())
    desk.update("green", in_steps())
    desk.preview("blue", in_steps())
    assert desk.clock.milestones[0] == "rollout: backend blue → green 5/25/50/100 %"
    assert desk.clock.milestones[-1] == "rollback: backend green → blue 100 %"


def test_history_keeps_who_failed_and_who_only_came_back() -> None:
    desk = Desk(*BOTH)
    desk.meter.courses["frontend"] = bad
    with pytest.raises(Partial):
        desk.update("green", in_steps())
    assert [(done.app, done.verdict) for done in desk.held.state.history[2:]] == [
        ("backend", "stopped"),
        ("frontend", "rejected"),
    ]
    assert desk.held.state.live == dict.fromkeys(BOTH, "blue")
    with pytest.raises(Refused):
        desk.preview("green", in_steps())


def test_a_second_update_tries_again_what_could_not_be_told() -> None:
    desk = Desk()
    desk.meter.courses["backend"] = nothing
    with pytest.raises(Partial):
        desk.update("green", in_steps())
    desk.meter.courses.clear()
    desk.update("green", in_steps())
    assert desk.memory.weights("backend") == {"blue": 0, "green": 100}


def test_stopping_inside_an_analysis_is_cancelled_and_not_failed() -> None:
    desk = Desk()

    def cancel() -> None:
        desk.clock.cancelled = True

    desk.meter.looking = cancel
    with pytest.raises(Cancelled):
        desk.update("green", in_steps())
    assert desk.memory.weights("backend") == {"blue": 100, "green": 0}


def test_without_its_engine_state_keeps_that_a_move_is_unfinished() -> None:
    desk = Desk()

    def orphan() -> None:
        desk.clock.orphaned = True

    desk.meter.looking = orphan
    with pytest.raises(Cancelled) as cancelled:
        desk.update("green", in_steps())
    assert cancelled.value.held.state.live == {"backend": "unfinished"}
    assert desk.memory.weights("backend") == {"blue": 95, "green": 5}


def test_whoever_listens_is_told_and_a_deaf_one_stops_nobody() -> None:
    desk = Desk(complaint="webhook: 2 of 3 messages did not arrive")
    desk.update("green", Rollout(post_promotion_analysis=LOOK))
    assert [event.kind for event in desk.listener.events] == [
        "move-started",
        "step-completed",
        "analysis-completed",
        "move-completed",
    ]
    assert desk.clock.milestones[-1] == "webhook: 2 of 3 messages did not arrive"
    assert {event.owner for event in desk.listener.events} == {"velro.test"}


def test_a_failed_move_is_told_with_where_everybody_is() -> None:
    desk = Desk(complaint="webhook: nobody answers")
    desk.meter.courses["backend"] = bad
    with pytest.raises(Partial) as partial:
        desk.update("green", in_steps())
    last = desk.listener.events[-1]
    assert (last.kind, last.text) == ("move-failed", str(partial.value))
    assert desk.clock.milestones[-1] == "webhook: nobody answers"


def test_a_secret_of_a_metric_is_in_no_state() -> None:
    metrics = [metric.model_copy(update={"authorization": SecretStr("Bearer abc")}) for metric in LOOK.metrics]
    desk = Desk()
    desk.update("green", in_steps(step_analysis=LOOK.model_copy(update={"metrics": metrics})))
    assert "Bearer abc" not in f"{desk.held.state.model_dump_json()} {desk.clock.milestones} {desk.listener.events}"
