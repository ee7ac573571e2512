"""What somebody holds by hand: no update moves it, one that agrees releases it, a move under way stops before it."""

from collections.abc import Callable, Mapping

import pytest

from bluegreen.handler import Refused
from bluegreen.rollout.endings import Stopped
from bluegreen.spec import Colour
from tests.memory import Answers
from tests.rollout_room import HOLD, LOOK, World, in_steps

BACK: dict[Colour, int] = {"blue": 100, "green": 0}
OVER: dict[Colour, int] = {"blue": 0, "green": 100}
BOTH = ("backend", "frontend")


def by_hand(world: World, app: str, live: Colour) -> None:
    """As a rollback by hand leaves an app: rows anew, no mark, a hold on both."""
    for colour in world.memory.rows[app]:
        world.change(app, colour, weight=100 if colour == live else 0, row=f"{app}-{colour}-anew", move=None, hold=HOLD)


def once(world: World, at: int, do: Callable[[], None], app: str = "backend") -> None:
    """Do this at the first look while the app's candidate carries this share."""

    def look() -> None:
        if world.memory.weights(app).get("green") == at:
            world.meter.looking = None
            do()

    world.meter.looking = look


def test_an_app_that_is_held_otherwise_is_refused_with_the_line_to_write() -> None:
    world = World()
    world.hold("backend")
    with pytest.raises(Refused) as refused:
        world.move("green")
    assert str(refused.value) == (
        "backend is held by ann@laptop since 2026-03-01 03:00 UTC (logins fail): blue serves, and green is wanted. "
        "Traffic is unchanged. "
        "Set apps.backend.live: blue, or go on with it: bluegreen hold release --reason …"
    )
    assert world.memory.writes == []


def test_an_app_that_is_held_while_split_is_refused_with_the_way_to_finish_it() -> None:
    world = World()
    world.move("green")
    world.hold("backend")
    world.change("backend", "blue", weight=40)
    with pytest.raises(Refused) as refused:
        world.move("green")
    assert refused.value.what.endswith(": no single colour serves, and green is wanted.")
    assert refused.value.next == (
        "Finish it by hand: bluegreen rollback backend --to … --reason …, or go on with it: "
        "bluegreen hold release --reason …"
    )


def test_a_config_that_agrees_releases_the_hold_and_moves_nobody() -> None:
    world = World()
    world.move("green")
    world.memory.writes.clear()
    by_hand(world, "backend", "blue")
    assert str(world.plan("blue")) == "backend: the hold is released, the config agrees with it"
    world.move("blue")
    assert (world.memory.writes, world.weights(), world.splits()["backend"].hold) == ([], [BACK], None)
    assert world.clock.milestones[-1] == f"backend: no longer {HOLD}"
    assert [event.kind for event in world.events][-1] == "hold-released"


def test_a_way_back_by_hand_has_its_place_in_history_once_the_config_agrees() -> None:
    world = World()
    world.move("green")
    by_hand(world, "backend", "blue")
    world.move("blue")
    last = world.history[-1]
    assert (last.kind, last.verdict, last.goal, last.release, last.finished) == (
        "rollback",
        "passed",
        "blue",
        "r-blue",
        HOLD.at,
    )
    assert last.said == "by hand, ann@laptop: logins fail"


def test_of_two_apps_the_one_that_is_held_otherwise_stops_both() -> None:
    world = World(*BOTH)
    world.hold("frontend")
    with pytest.raises(Refused) as refused:
        world.move("green")
    assert refused.value.what.startswith("frontend is held by ann@laptop")
    assert (world.memory.writes, world.weights()) == ([], [{"blue": 100}, {"blue": 100}])


def test_of_two_apps_the_one_that_is_held_as_wanted_is_released_and_the_other_moves() -> None:
    world = World(*BOTH)
    world.move("green")
    world.move("blue")
    by_hand(world, "frontend", "green")
    world.memory.writes.clear()
    world.move("green")
    assert {app for app, _, _ in world.memory.writes} == {"backend"}
    assert (world.weights(), world.splits()["frontend"].hold) == ([OVER, OVER], None)


@pytest.mark.parametrize("live", ["blue", "green"])
def test_a_move_that_finds_its_app_held_stops_and_leaves_it_as_it_is(live: Colour) -> None:
    world = World(rollout=in_steps())
    once(world, 25, lambda: by_hand(world, "backend", live))
    with pytest.raises(Stopped) as stopped:
        world.move("green")
    assert world.weights() == [BACK if live == "blue" else OVER]
    assert world.splits()["backend"].hold == HOLD
    assert stopped.value.what == f"backend is {HOLD}."
    assert stopped.value.world == f"backend is left as it is, {HOLD}."
    assert stopped.value.next == "bluegreen hold show tells the ways out."


class Taken(Answers):
    """Answers, while somebody takes the app into their own hands."""

    def __init__(self, world: World) -> None:
        super().__init__(world.answers.releases)
        self._world = world

    async def __call__(self, path: str, headers: Mapping[str, str], release_header: str) -> tuple[str | None, str]:
        self._world.hold("backend")
        return await super().__call__(path, headers, release_header)


def test_a_hold_that_comes_before_the_first_step_leaves_everything_as_it_is() -> None:
    world = World(rollout=in_steps())
    world.answers = Taken(world)
    with pytest.raises(Stopped) as stopped:
        world.move("green")
    assert (world.memory.writes, stopped.value.what) == ([], f"backend is {HOLD}.")


def test_when_one_app_is_taken_by_hand_the_other_one_goes_back() -> None:
    world = World(*BOTH, rollout=in_steps())
    once(world, 50, lambda: by_hand(world, "backend", "green"), app="frontend")
    with pytest.raises(Stopped):
        world.move("green")
    assert (world.weights(), world.splits()["backend"].hold) == ([OVER, BACK], HOLD)
    assert world.rejected() == []


def test_a_release_that_fails_while_its_app_is_taken_by_hand_moves_nobody() -> None:
    world = World(rollout=in_steps(post_promotion_analysis=LOOK))
    once(world, 100, lambda: by_hand(world, "backend", "green"))
    with pytest.raises(Stopped):
        world.move("green")
    assert (world.weights(), world.splits()["backend"].hold) == ([OVER], HOLD)


def test_a_hold_that_comes_with_the_last_look_is_neither_undone_nor_called_an_arrival() -> None:
    world = World(rollout=in_steps(step_analysis=None, post_promotion_analysis=LOOK))
    looks = iter(range(5))

    def look() -> None:
        if next(looks) == 4:
            by_hand(world, "backend", "blue")

    world.meter.looking = look
    with pytest.raises(Stopped) as stopped:
        world.move("green")
    assert (world.weights(), world.splits()["backend"].hold) == ([BACK], HOLD)
    assert stopped.value.world == "Its weights were left as they are."
