"""Moves, carried out against a gateway in memory: raise, prove, lower, prove; or back."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.handler import Refused
from bluegreen.rollout.endings import Stopped
from bluegreen.spec import COLOURS, Colour
from tests.memory import Died
from tests.rollout_room import World


def test_the_new_colour_is_raised_before_the_old_one_is_lowered() -> None:
    world = World()
    world.move("green")
    assert world.memory.writes == [("backend", "green", 100), ("backend", "blue", 0)]
    assert world.marks() == []


def test_a_rollback_takes_the_same_two_writes() -> None:
    world = World()
    world.move("green")
    world.move("blue")
    assert world.memory.writes[2:] == [("backend", "blue", 100), ("backend", "green", 0)]
    assert [done.kind for done in world.history] == ["first", "rollout", "rollback"]


def test_a_candidate_that_answers_as_another_release_never_gets_traffic() -> None:
    world = World()
    world.answers.releases["backend", "green"] = "r-older"
    with pytest.raises(Refused) as refused:
        world.move("green")
    assert refused.value.world == "Traffic stays on blue."
    assert world.memory.writes == []


def test_no_app_moves_while_one_candidate_is_not_ready() -> None:
    world = World("backend", "frontend")
    world.answers.releases["frontend", "green"] = None
    with pytest.raises(Refused):
        world.move("green")
    assert world.memory.writes == []


def test_a_raise_that_is_not_in_force_never_lowers_the_old_colour() -> None:
    world = World()
    world.memory.lagging = frozenset({"green"})
    with pytest.raises(Stopped) as stopped:
        world.move("green")
    assert world.memory.writes == [("backend", "green", 100), ("backend", "green", 0)]
    assert stopped.value.world == "backend is back on blue, proved by 2 answers from 1 node in 0.01 s."
    assert [done.verdict for done in world.history] == ["passed", "stopped"]


def test_a_rollback_goes_on_when_a_node_is_only_unseen() -> None:
    world = World()
    world.move("green")
    world.memory.lagging, world.memory.unseen = frozenset({"blue"}), True
    world.move("blue")
    assert world.weights() == [{"blue": 100, "green": 0}]
    assert "Going on, because this is the way back." in world.clock.milestones[-2]


def test_a_rollout_stops_when_a_node_is_unseen() -> None:
    world = World()
    world.memory.lagging, world.memory.unseen = frozenset({"green"}), True
    with pytest.raises(Stopped):
        world.move("green")
    assert world.weights() == [{"blue": 100, "green": 0}]


def test_a_release_that_dies_under_traffic_is_moved_away_from_and_rejected() -> None:
    world = World()
    world.answers.dies_when_live = (world.memory, "backend", "green")
    with pytest.raises(Stopped) as stopped:
        world.move("green")
    assert "did not answer as release r-green once it was live" in stopped.value.what
    assert world.weights() == [{"blue": 100, "green": 0}]
    assert world.memory.rows["backend"]["green"].rejected
    with pytest.raises(Refused):
        world.move("green")


def test_all_apps_come_back_when_the_second_fails() -> None:
    world = World("backend", "frontend")
    world.answers.dies_when_live = (world.memory, "frontend", "green")
    with pytest.raises(Stopped):
        world.move("green")
    assert world.weights() == [{"blue": 100, "green": 0}, {"blue": 100, "green": 0}]


def test_cancelling_takes_traffic_back_to_where_it_was() -> None:
    world = World()

    def cancel() -> None:
        world.clock.cancelled = True

    world.memory.proving = cancel
    with pytest.raises(Stopped) as stopped:
        world.move("green")
    assert stopped.value.cancelled
    assert (world.weights(), world.marks()) == ([{"blue": 100, "green": 0}], [])


def test_a_hand_set_weight_is_put_right_without_a_place_in_history() -> None:
    world = World()
    world.move("green")
    slots = world.memory.rows["backend"]
    slots["blue"] = replace(slots["blue"], weight=40)
    before = len(world.history)
    world.move("green")
    assert (world.weights(), len(world.history)) == ([{"blue": 0, "green": 100}], before)


def killed(world: World, live: Colour, before: int) -> None:
    """A deployer that dies before its n-th write."""
    world.memory.dies_before = before
    with pytest.raises(Died):
        world.move(live, id="killed")
    world.memory.dies_before = None


def test_each_raise_and_each_lowering_is_proved_in_that_order() -> None:
    world = World()
    world.memory.proofs.clear()
    world.move("green")
    assert world.memory.proofs == [("backend", "green", 100), ("backend", "blue", 0), ("backend", "green", 100)]


def test_apps_come_back_together_when_the_deployer_dies_in_the_second() -> None:
    world = World("backend", "frontend")
    killed(world, "green", before=3)
    assert [weights["green"] for weights in world.weights()] == [100, 100]
    world.move("blue", id="next")
    assert (world.weights(), world.marks()) == ([{"blue": 100, "green": 0}] * 2, [])


def test_a_way_back_that_nobody_finished_is_finished_and_not_undone() -> None:
    world = World()
    world.move("green")
    killed(world, "blue", before=1)
    assert [end.origin for end in world.plan("blue", id="next").ended] == ["blue"]
    world.memory.writes.clear()
    world.move("blue", id="next")
    assert ("backend", "green", 100) not in world.memory.writes
    assert world.weights() == [{"blue": 100, "green": 0}]


def test_an_unfinished_move_does_not_go_back_to_a_colour_that_is_not_well() -> None:
    world = World()
    killed(world, "green", before=2)
    world.answers.releases["backend", "blue"] = None
    with pytest.raises(Refused) as refused:
        world.move("blue", id="next")
    assert "cannot go back to blue, which is not well" in refused.value.what
    assert world.weights() == [{"blue": 0, "green": 100}]
    world.move("green", id="after")
    assert (world.weights(), world.marks()) == ([{"blue": 0, "green": 100}], [])


def test_an_update_that_is_stopped_while_an_unfinished_moves_origin_is_asked_says_where_traffic_is() -> None:
    world = World()
    killed(world, "green", before=2)
    world.answers.releases["backend", "blue"] = None

    def stops() -> None:
        world.clock.cancelled = True

    world.clock.passing = stops
    with pytest.raises(Refused) as refused:
        world.move("blue", id="next")
    assert (refused.value.what, refused.value.world, refused.value.next) == (
        "The update was stopped on request.",
        "Traffic stays on green.",
        "Run pulumi up again when ready.",
    )


def test_a_row_that_a_dead_deployer_knew_is_another_one_after_the_way_back() -> None:
    world = World()
    killed(world, "green", before=1)
    known = {colour: slot.row for colour, slot in world.memory.rows["backend"].items()}
    world.move("blue", id="next")
    now = {colour: slot.row for colour, slot in world.memory.rows["backend"].items()}
    assert [colour for colour in COLOURS if known[colour] == now[colour]] == []


def test_one_answer_alone_is_not_enough() -> None:
    world = World()
    world.answers.every_other = True
    with pytest.raises(Refused):
        world.move("green")
    assert world.memory.writes == []


@given(
    apps=st.integers(1, 3),
    path=st.lists(st.sampled_from(COLOURS), min_size=1, max_size=5),
    deaths=st.lists(st.integers(0, 14), min_size=1, max_size=4),
)
def test_a_deployer_killed_at_any_write_never_empties_a_ring_and_the_next_update_converges(
    apps: int, path: list[Colour], deaths: list[int]
) -> None:
    world = World(*("backend", "frontend", "worker")[:apps])
    for number, death in enumerate(deaths):
        world.memory.dies_before = death
        with suppress(Died):
            world.move(path[number % len(path)], id=f"deployer-{number}")
        world.memory.dies_before = None
    world.move(path[-1], id="last")
    idle: Colour = "green" if path[-1] == "blue" else "blue"
    assert not world.memory.empty
    assert world.marks() == []
    for weights in world.weights():
        assert (weights[path[-1]], weights.get(idle, 0)) == (100, 0)


@pytest.mark.parametrize("wanted", COLOURS)
def test_a_way_back_that_ended_while_its_row_was_made_anew_still_goes_back(wanted: Colour) -> None:
    world = World()
    killed(world, "green", before=1)
    del world.memory.rows["backend"]["blue"]
    world.memory.writes.clear()
    world.move(wanted, id="next")
    assert world.memory.writes[:2] == [("backend", "blue", 100), ("backend", "green", 0)]
    assert (world.weights()[0][wanted], world.marks()) == (100, [])
    assert world.memory.rows["backend"][wanted].release == f"r-{wanted}"
