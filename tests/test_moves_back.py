"""Ways back: not to whoever is not well, also from a fault of our own, and what counts as proven."""

from datetime import timedelta

import pytest

from bluegreen.gateway import Hold, MoveTag
from bluegreen.handler import Refused
from bluegreen.rollout.breakglass import way_back
from bluegreen.rollout.endings import Stopped
from bluegreen.rollout.plan import unfinished
from bluegreen.rollout.spec import Rollout
from bluegreen.spec import Colour
from tests.memory import START, bad
from tests.rollout_room import LOOK, World, in_steps

BACK: dict[Colour, int] = {"blue": 100, "green": 0}


def stopped(world: World) -> Stopped:
    with pytest.raises(Stopped) as problem:
        world.move("green")
    return problem.value


def test_traffic_stays_where_it_is_when_the_colour_it_came_from_is_not_well_any_more() -> None:
    world = World(rollout=in_steps())
    world.meter.courses["backend"] = bad
    world.meter.looking = lambda: world.answers.releases.update({("backend", "blue"): None})
    problem = stopped(world)
    assert world.weights() == [{"blue": 95, "green": 5}]
    assert problem.world == (
        "backend could not be taken back: blue is not well: GET /health answered 503. "
        "backend stays on blue 95 % / green 5 %."
    )
    assert problem.next == "Run bluegreen recover, then pulumi up again."


def test_a_fault_of_our_own_takes_traffic_back_like_everything_else_and_quotes_nothing() -> None:
    def fault() -> None:
        raise KeyError("a key that nobody should see")

    world = World(rollout=in_steps())
    world.meter.looking = fault
    problem = stopped(world)
    assert (world.weights(), world.rejected(), world.marks()) == ([BACK], [], [])
    assert problem.what == "The move met a fault of bluegreen itself: KeyError."


def test_a_fault_of_our_own_on_the_way_back_leaves_no_other_app_behind() -> None:
    world = World("backend", "frontend")
    world.meter.courses["backend"] = bad
    world.rollout = Rollout(post_promotion_analysis=LOOK)
    real = world.memory.budget

    async def faulty() -> timedelta:
        world.memory.budget = real  # type: ignore[method-assign]
        raise KeyError("nobody thought of that")

    def look() -> None:
        world.memory.budget = faulty  # type: ignore[method-assign]

    world.meter.looking = look
    problem = stopped(world)
    assert world.weights() == [BACK, {"blue": 0, "green": 100}]
    assert problem.world.startswith(
        "frontend could not be taken back: The move met a fault of bluegreen itself: KeyErr"
    )
    assert "backend is back on blue" in problem.world
    assert problem.next == "Run bluegreen recover, then pulumi up again."


def test_an_unfinished_move_whose_origin_is_not_well_sends_nobody_back_there() -> None:
    world = World(rollout=in_steps())

    def die_at_half() -> None:
        if world.memory.weights("backend")["green"] == 50:
            world.clock.orphaned = True
            raise KeyError

    world.meter.looking = die_at_half
    stopped(world)
    assert world.weights() == [{"blue": 50, "green": 50}]
    world.clock.orphaned, world.meter.looking = False, None
    world.answers.releases["backend", "blue"] = None
    world.memory.writes.clear()
    world.clock.rows.clear()
    world.move("green", id="next")
    assert world.memory.writes == [("backend", "green", 100), ("backend", "blue", 0)]
    assert [
        share for share in (5, 25, 50) if any(row.startswith(f"backend {share} %") for row in world.clock.rows)
    ] == [50]
    assert (world.marks(), world.weights()) == ([], [{"blue": 0, "green": 100}])


def test_an_approval_that_comes_while_a_share_is_proved_stops_nobody() -> None:
    world = World(rollout=in_steps())

    def approve() -> None:
        if world.memory.rows["backend"]["green"].weight == 25:
            world.change("backend", "green", approved=Hold("ann@laptop", START, "looks good"))

    world.memory.proving = approve
    world.move("green")
    assert (world.marks(), world.weights()) == ([], [{"blue": 0, "green": 100}])


def test_of_two_marks_the_younger_one_knows_where_traffic_belongs() -> None:
    world = World()
    world.move("green")
    older = MoveTag("older", "green", START + timedelta(minutes=1))
    world.change("backend", "blue", move=older)
    world.change("backend", "green", move=MoveTag("younger", "blue", START + timedelta(minutes=2)))
    ended = unfinished("backend", world.lanes("green")["backend"], world.splits()["backend"])
    assert ended is not None
    assert ended.origin == "blue"


def test_what_was_live_before_somebody_moved_it_by_hand_is_gone_back_to_in_one_step() -> None:
    world = World(rollout=in_steps())
    world.move("green")
    world.change("backend", "green", weight=0)
    world.change("backend", "blue", weight=100)
    move = world.plan("green")
    assert str(move) == "rollback: backend blue → green 100 %"


def test_a_release_that_never_arrived_is_no_way_back_by_hand_unless_it_is_named() -> None:
    world = World(rollout=in_steps())
    world.meter.courses["backend"] = bad
    stopped(world)
    world.change("backend", "green", rejected=False)
    lane, split = world.lanes("blue")["backend"], world.splits()["backend"]
    with pytest.raises(Refused, match=r"release r-green on green has never carried all the traffic") as refused:
        way_back("backend", lane, split)
    assert "--to green" in refused.value.next
    assert way_back("backend", lane, split, to="green").goal == "green"


def test_a_release_that_has_been_live_is_one() -> None:
    world = World()
    world.move("green")
    assert way_back("backend", world.lanes("green")["backend"], world.splits()["backend"]).goal == "blue"
