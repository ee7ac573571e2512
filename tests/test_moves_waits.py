"""While a rollout waits, in an analysis, a pause or a gate: ^C, a lost engine, no time left, an approval."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from bluegreen.gateway import Hold
from bluegreen.rollout.endings import Stopped
from bluegreen.rollout.spec import Lane, Rollout, Step
from bluegreen.spec import Colour
from tests.memory import START, nothing
from tests.rollout_room import LOOK, World, in_steps

BACK: dict[Colour, int] = {"blue": 100, "green": 0}
OVER: dict[Colour, int] = {"blue": 0, "green": 100}
ANN = Hold("ann@laptop", START, "looks fine")
MINUTE = timedelta(minutes=1)
Interrupt = Callable[[World], None]


def waits(**what: object) -> Rollout:
    """A quarter, this one wait, and all of it."""
    return Rollout(steps=[Step(set_weight=25), Step.model_validate(what), Step(set_weight=100)])


WAITS = {"analysis": waits(analysis=LOOK), "pause": waits(pause=MINUTE), "gate": waits(gate=MINUTE)}


def stopped(world: World) -> Stopped:
    with pytest.raises(Stopped) as problem:
        world.move("green")
    return problem.value


def after(world: World, sleeps: int, do: Callable[[], None]) -> None:
    """Do this once, when somebody has slept so often."""
    left = iter(range(sleeps))

    def slept() -> None:
        if next(left, None) is None:
            world.clock.passing = None
            do()

    world.clock.passing = slept


def cancel(world: World) -> None:
    world.clock.cancelled = True


def orphan(world: World) -> None:
    world.clock.orphaned = True


def approve(world: World) -> None:
    world.change("backend", "green", approved=ANN)


@pytest.mark.parametrize("wait", WAITS)
def test_stopping_while_it_waits_takes_traffic_back_and_rejects_nobody(wait: str) -> None:
    world = World(rollout=WAITS[wait])
    after(world, 2, lambda: cancel(world))
    problem = stopped(world)
    assert (world.weights(), world.marks(), world.rejected()) == ([BACK], [], [])
    assert (problem.cancelled, world.verdicts(), world.meter.under_way) == (True, [("backend", "stopped")], 0)
    assert str(problem) == (
        "The update was stopped on request. backend is back on blue, proved by 2 answers from 1 node in 0.01 s. "
        "Run pulumi up again when ready."
    )


@pytest.mark.parametrize("wait", WAITS)
def test_without_its_engine_it_leaves_traffic_and_the_mark_that_tells_the_way_back(wait: str) -> None:
    world = World(rollout=WAITS[wait])
    after(world, 2, lambda: orphan(world))
    problem = stopped(world)
    assert (world.weights(), world.marks()) == ([{"blue": 75, "green": 25}], ["mine"])
    assert problem.world == "Traffic stays as it is; its mark tells the way back."
    assert world.meter.under_way == 0
    world.clock.orphaned = False
    world.rollout = in_steps()
    world.memory.writes.clear()
    world.move("green", id="next")
    assert world.memory.writes[:2] == [("backend", "blue", 100), ("backend", "green", 0)]
    assert (world.weights(), world.marks()) == ([OVER], [])


def test_stopping_before_any_traffic_says_that_none_moved() -> None:
    world = World(rollout=in_steps(pre_promotion_analysis=LOOK))
    after(world, 1, lambda: cancel(world))
    assert str(stopped(world)) == (
        "The update was stopped on request. No traffic moved. Run pulumi up again when ready."
    )
    assert (world.memory.writes, world.verdicts()) == ([], [])


def test_a_pause_lasts_as_long_as_it_says() -> None:
    world = World(rollout=WAITS["pause"])
    began = world.clock.at
    world.move("green")
    assert (world.weights(), world.clock.at - began) == ([OVER], MINUTE)
    assert "backend 25 % green · pause · 60 s left" in world.clock.rows


def test_a_pause_that_outlasts_the_deadline_ends_in_going_back() -> None:
    world = World("backend", "frontend", rollout=WAITS["pause"].model_copy(update={"progress_deadline_seconds": 45}))
    problem = stopped(world)
    assert (world.weights(), world.rejected()) == ([BACK, {"blue": 100}], [])
    assert problem.what == "backend: the move ran out of time at 25 %, after 45 s."
    assert problem.next == "Raise rollout.progressDeadlineSeconds or shorten the steps, then run pulumi up again."


def test_an_analysis_that_the_deadline_cuts_short_is_inconclusive_and_goes_back() -> None:
    world = World(
        "backend", "frontend", rollout=waits(analysis=LOOK).model_copy(update={"progress_deadline_seconds": 6})
    )
    problem = stopped(world)
    assert (world.weights(), world.rejected(), world.marks()) == ([BACK, {"blue": 100}], [], [])
    assert world.verdicts() == [("backend", "stopped")]
    assert problem.what.startswith("backend at 25 %: stopped after 6 s of 10 s: inconclusive; until then ")


def test_every_app_has_the_whole_deadline_for_its_own_steps() -> None:
    world = World("backend", "frontend", rollout=WAITS["pause"].model_copy(update={"progress_deadline_seconds": 90}))
    world.move("green")
    assert world.weights() == [OVER, OVER]


def test_a_gate_waits_until_somebody_approves() -> None:
    world = World(rollout=WAITS["gate"])
    after(world, 5, lambda: approve(world))
    world.move("green")
    assert world.weights() == [OVER]
    assert "backend: waits at 25 % until 2026-03-01 04:01:00 UTC for: bluegreen approve backend --reason …" in (
        world.clock.milestones
    )
    assert "backend: 25 %, approved by ann@laptop (looks fine)" in world.clock.milestones
    assert "gate-waiting" in [event.kind for event in world.events]


def test_a_gate_that_nobody_opens_goes_back_and_never_promotes() -> None:
    world = World(rollout=WAITS["gate"])
    problem = stopped(world)
    assert (world.weights(), world.rejected(), world.marks()) == ([BACK], [], [])
    assert ("backend", "green", 100) not in world.memory.writes
    assert str(problem) == (
        "backend: nobody approved r-green at 25 % within 60 s. "
        "backend is back on blue, proved by 2 answers from 1 node in 0.01 s. "
        "Run pulumi up again when somebody is there to approve."
    )


def test_a_gate_never_outlasts_the_deadline() -> None:
    world = World(rollout=WAITS["gate"].model_copy(update={"progress_deadline_seconds": 20}))
    began = world.clock.at
    stopped(world)
    assert world.clock.at - began == timedelta(seconds=20)
    assert world.weights() == [BACK]


def test_an_approval_opens_one_gate_and_not_the_next() -> None:
    gates = [Step(set_weight=25), Step(gate=MINUTE), Step(gate=MINUTE), Step(set_weight=100)]
    world = World(rollout=Rollout(steps=gates))
    after(world, 2, lambda: approve(world))
    assert stopped(world).what == "backend: nobody approved r-green at 25 % within 60 s."
    assert world.weights() == [BACK]


def test_an_approval_of_a_smaller_share_is_none_for_a_greater_one() -> None:
    gates = [Step(set_weight=25), Step(gate=MINUTE), Step(set_weight=50), Step(gate=MINUTE), Step(set_weight=100)]
    world = World(rollout=Rollout(steps=gates))
    after(world, 2, lambda: approve(world))
    assert stopped(world).what == "backend: nobody approved r-green at 50 % within 60 s."


def test_no_approval_is_left_on_the_target_when_the_move_is_over() -> None:
    world = World(rollout=WAITS["gate"])
    after(world, 1, lambda: approve(world))
    world.move("green")
    assert [slot.approved for slot in world.memory.rows["backend"].values()] == [None, None]


@pytest.mark.parametrize("wait", WAITS)
def test_an_app_that_somebody_else_has_moved_meanwhile_is_left_to_them(wait: str) -> None:
    world = World("backend", "frontend", rollout=WAITS[wait])

    def recovered() -> None:
        world.change("frontend", "blue", row="anew", weight=100)
        world.change("frontend", "green", row="anew-too", weight=0, move=None)

    def approved_or_taken() -> None:
        if world.memory.weights("backend")["green"] == 25:
            approve(world)
        elif world.memory.weights("frontend").get("green") == 25:
            recovered()
            world.change("frontend", "green", approved=ANN)

    world.clock.passing = approved_or_taken
    problem = stopped(world)
    assert problem.what == "frontend: green is no longer at 25 %, where this move left it; somebody else is writing."
    assert problem.world == (
        "Its weights were left as they are. frontend is left to whoever moves it. "
        "backend is back on blue, proved by 2 answers from 1 node in 0.01 s."
    )
    assert (world.weights(), world.rejected()) == ([BACK, BACK], [])


def test_an_analysis_that_tells_nothing_lasts_as_long_as_it_may() -> None:
    world = World(rollout=in_steps())
    world.meter.courses["backend"] = nothing
    began = world.clock.at
    stopped(world)
    assert world.clock.at - began == LOOK.duration


# ── what goes ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Leaving(World):
    """Blue has no block any more."""

    def _lane(self, app: str, live: Colour) -> Lane:
        lane = super()._lane(app, live)
        if live == "blue":
            return lane
        return lane.model_copy(update={"addresses": {"green": lane.addresses["green"]}})


def test_the_target_of_a_colour_that_goes_stays_until_its_last_request_may_be_answered() -> None:
    world = Leaving(rollout=Rollout(max_request_seconds=60))
    world.move("green")
    lost = world.history[-1].finished
    assert list(world.memory.rows["backend"]) == ["green"]
    assert world.clock.at >= lost + timedelta(seconds=60)
    assert any("the unused blue target drains" in row for row in world.clock.rows)


def test_a_target_that_lost_its_traffic_long_ago_goes_at_once() -> None:
    world = Leaving(rollout=Rollout(max_request_seconds=60))
    world.move("green")
    world.change("backend", "green", since=world.clock.at)
    world.memory.rows["backend"]["blue"] = replace(
        world.memory.rows["backend"]["green"], colour="blue", weight=0, since=world.clock.at - timedelta(hours=1)
    )
    before = world.clock.at
    world.move("green")
    assert (list(world.memory.rows["backend"]), world.clock.at) == (["green"], before)


def test_an_update_that_is_stopped_while_a_target_drains_leaves_it() -> None:
    world = Leaving(rollout=Rollout(max_request_seconds=60))

    def stops() -> None:
        world.clock.cancelled = "drains" in "".join(world.clock.rows)

    world.clock.passing = stops
    done = stopped(world).done
    assert (world.weights(), [each.verdict for each in done]) == ([{"blue": 0, "green": 100}], ["passed"])
