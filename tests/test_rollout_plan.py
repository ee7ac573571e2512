"""Plans are pure: wanted, actual and history go in, a move comes out."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bluegreen.gateway import MoveTag, Slot, Split
from bluegreen.handler import Refused
from bluegreen.rollout.plan import current, plan
from bluegreen.rollout.spec import Done, Lane, Rollout, Verdict
from bluegreen.spec import Colour
from tests.memory import START

ADDRESSES: dict[Colour, str] = {"blue": "b:1", "green": "g:1"}
RELEASES: dict[Colour, str] = {"blue": "r-blue", "green": "r-green"}


def lane(live: Colour, app: str = "backend") -> Lane:
    return Lane(upstream=app, live=live, release=RELEASES[live], addresses=ADDRESSES)


def split(app: str = "backend", *, blue: int, green: int) -> Split:
    weights: dict[Colour, int] = {"blue": blue, "green": green}
    slots = {
        colour: Slot(colour, ADDRESSES[colour], weight, release=RELEASES[colour], row=f"{app}-{colour}")
        for colour, weight in weights.items()
    }
    return Split(app, slots)


def done(goal: Colour, verdict: Verdict = "passed", app: str = "backend", hours_ago: float = 1) -> Done:
    at = START - timedelta(hours=hours_ago)
    return Done(app=app, goal=goal, release=RELEASES[goal], verdict=verdict, started=at, finished=at)


def kinds(*history: Done, live: Colour, actual: Split) -> list[str]:
    move = plan({"backend": lane(live)}, Rollout(), {"backend": actual}, history, START)
    return [leg.kind for leg in move.legs]


def test_traffic_that_is_as_wanted_needs_no_move() -> None:
    assert not plan({"backend": lane("blue")}, Rollout(), {"backend": split(blue=100, green=0)}, [], START)


def test_the_first_colour_is_neither_rollout_nor_rollback() -> None:
    assert kinds(live="blue", actual=Split("backend", {})) == ["first"]


def test_a_release_that_never_was_live_is_rolled_out() -> None:
    assert kinds(done("blue"), live="green", actual=split(blue=100, green=0)) == ["rollout"]


def test_a_release_that_passed_before_is_rolled_back_to() -> None:
    assert kinds(done("blue", hours_ago=9), done("green"), live="blue", actual=split(blue=0, green=100)) == ["rollback"]


def test_the_same_colour_with_another_release_is_a_rollout() -> None:
    history = [done("blue", hours_ago=9).model_copy(update={"release": "r-older"}), done("green")]
    assert kinds(*history, live="blue", actual=split(blue=0, green=100)) == ["rollout"]


def test_a_release_left_longer_ago_than_the_window_is_a_rollout() -> None:
    history = [done("blue", hours_ago=200), done("green", hours_ago=73)]
    assert kinds(*history, live="blue", actual=split(blue=0, green=100)) == ["rollout"]


def test_a_release_more_revisions_ago_than_the_window_is_a_rollout() -> None:
    other = done("green").model_copy(update={"release": "r-other"})
    history = [done("blue", hours_ago=9), other, other, other]
    assert kinds(*history, live="blue", actual=split(blue=0, green=100)) == ["rollback"]
    assert kinds(*history, other, live="blue", actual=split(blue=0, green=100)) == ["rollout"]


def test_one_app_that_rolls_out_makes_the_whole_move_a_rollout() -> None:
    lanes = {"backend": lane("blue"), "frontend": lane("green", "frontend")}
    actual = {"backend": split(blue=0, green=100), "frontend": split("frontend", blue=100, green=0)}
    history = [done("blue", hours_ago=9), done("green"), done("blue", app="frontend", hours_ago=9)]
    move = plan(lanes, Rollout(), actual, history, START)
    assert [leg.kind for leg in move.legs] == ["rollout", "rollout"]


def test_apps_move_in_order_and_come_back_in_the_reverse_order() -> None:
    rollout = Rollout(order=["frontend", "backend"])
    lanes = {"backend": lane("green"), "frontend": lane("green", "frontend")}
    before = {"backend": split(blue=100, green=0), "frontend": split("frontend", blue=100, green=0)}
    assert [leg.app for leg in plan(lanes, rollout, before, [], START).legs] == ["frontend", "backend"]
    back = {"backend": lane("blue"), "frontend": lane("blue", "frontend")}
    after = {"backend": split(blue=0, green=100), "frontend": split("frontend", blue=0, green=100)}
    history = [
        moved.model_copy(update={"app": app})
        for moved in (done("blue", hours_ago=9), done("green"))
        for app in ("backend", "frontend")
    ]
    assert [leg.app for leg in plan(back, rollout, after, history, START).legs] == ["backend", "frontend"]


def test_a_weight_changed_by_hand_is_a_repair() -> None:
    assert kinds(done("green"), live="green", actual=split(blue=40, green=60)) == ["repair"]


def test_a_split_belongs_to_the_colour_that_history_names() -> None:
    assert current("backend", split(blue=90, green=10), [done("green")]) == "green"
    assert current("backend", split(blue=90, green=10), []) == "blue"


def test_a_rejected_release_is_refused_with_the_line_to_change() -> None:
    with pytest.raises(Refused) as refused:
        kinds(done("blue"), done("green", "rejected"), live="green", actual=split(blue=100, green=0))
    assert str(refused.value) == (
        "backend: release r-green on green was rejected when it was last live. Traffic stays on blue, unchanged. "
        "Set apps.backend.live back, stage another release, or allow one more try with rollout.retry: r-green."
    )


def test_a_rejected_target_is_refused_even_when_state_was_lost() -> None:
    actual = split(blue=100, green=0)
    marked = Split("backend", {**actual.slots, "green": replace(actual.slots["green"], rejected=True)})
    with pytest.raises(Refused):
        plan({"backend": lane("green")}, Rollout(), {"backend": marked}, [], START)


def test_retry_lets_a_rejected_release_roll_out_once_more() -> None:
    history = [done("blue"), done("green", "rejected")]
    move = plan(
        {"backend": lane("green")}, Rollout(retry="r-green"), {"backend": split(blue=100, green=0)}, history, START
    )
    assert [leg.kind for leg in move.legs] == ["rollout"]


def test_a_move_that_was_stopped_rejects_nobody() -> None:
    assert kinds(done("blue"), done("green", "stopped"), live="green", actual=split(blue=100, green=0)) == ["rollout"]


def test_an_unfinished_move_goes_back_before_anything_goes_forward() -> None:
    actual = split(blue=100, green=100)
    green = replace(actual.slots["green"], move=MoveTag("theirs", "blue", START))
    move = plan(
        {"backend": lane("green")},
        Rollout(),
        {"backend": Split("backend", {**actual.slots, "green": green})},
        [],
        START,
    )
    assert [(end.app, end.origin) for end in move.ended] == [("backend", "blue")]
    assert [(leg.kind, leg.origin, leg.goal) for leg in move.legs] == [("rollout", "blue", "green")]
    assert str(move) == "backend: an unfinished move goes back to blue; rollout: backend blue → green 100 %"


def test_the_target_of_a_colour_that_no_longer_exists_goes() -> None:
    only_blue = Lane(upstream="backend", live="blue", release="r-blue", addresses={"blue": "b:1"})
    move = plan({"backend": only_blue}, Rollout(), {"backend": split(blue=100, green=0)}, [], START)
    assert (move.legs, move.leftover) == ((), (("backend", "backend", "green"),))
