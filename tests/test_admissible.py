"""Whether a rollback is possible now: plan's own answer, with the reasons and in a sentence."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.gateway import Hold, MoveTag, Slot, Split
from bluegreen.handler import Refused
from bluegreen.rollout.admissible import NOTHING, Admissible, Known, admissible
from bluegreen.rollout.plan import plan
from bluegreen.rollout.spec import Done, Lane, RollbackWindow, Rollout, Verdict
from bluegreen.spec import Colour
from tests.memory import START

ADDRESSES: dict[Colour, str] = {"blue": "b:1", "green": "g:1"}
RELEASES: dict[Colour, str] = {"blue": "r-blue", "green": "r-green"}
LANE = Lane(upstream="backend", live="green", release="r-green", addresses=ADDRESSES)
BACK = "backend: a rollback to blue (release r-blue, as of 2026-02-28 18:00 UTC)"


def split(blue: int = 0, green: int = 100, tags: Mapping[Colour, str] = RELEASES) -> Split:
    weights: dict[Colour, int] = {"blue": blue, "green": green}
    slots = {
        colour: Slot(colour, ADDRESSES[colour], weight, release=tags[colour]) for colour, weight in weights.items()
    }
    return Split("backend", slots)


def done(goal: Colour, hours_ago: float, release: str = "", verdict: Verdict = "passed") -> Done:
    at = START - timedelta(hours=hours_ago)
    return Done(app="backend", goal=goal, release=release or RELEASES[goal], verdict=verdict, started=at, finished=at)


HISTORY = [done("blue", 9), done("green", 1)]


def asked(
    *history: Done,
    actual: Split | None = None,
    lane: Lane = LANE,
    known: Known = NOTHING,
    rollout: Rollout | None = None,
) -> Admissible:
    return admissible("backend", lane, actual or split(), history or HISTORY, rollout or Rollout(), START, known)


def blocks(*history: Done, actual: Split | None = None, lane: Lane = LANE, known: Known = NOTHING) -> list[str]:
    answer = asked(*history, actual=actual, lane=lane, known=known)
    assert answer.possible == (not answer.blocks)
    return list(answer.blocks)


def test_a_release_that_was_live_before_can_be_returned_to_until_the_window_ends() -> None:
    until = START - timedelta(hours=1) + timedelta(hours=72)
    why = f"{BACK} is possible until 2026-03-04 02:00 UTC."
    assert asked() == Admissible(True, "blue", "r-blue", until, why)
    assert str(asked()) == why


@pytest.mark.parametrize(
    ("took", "text"),
    [
        (timedelta(seconds=0.3), "in about 1 s"),
        (timedelta(seconds=12.4), "in about 12 s"),
        (timedelta(minutes=4, seconds=50), "in about 5 min"),
    ],
)
def test_how_long_it_takes_is_said_where_it_was_measured(took: timedelta, text: str) -> None:
    assert asked(known=Known(took=took)).why == f"{BACK} is possible until 2026-03-04 02:00 UTC, {text}."


def test_until_is_the_last_moment_at_which_plan_still_rolls_back() -> None:
    until = asked().until
    assert until is not None
    moments = [until, until + timedelta(microseconds=1)]
    answers = [admissible("backend", LANE, split(), HISTORY, Rollout(), now) for now in moments]
    assert [answer.possible for answer in answers] == [True, False]
    wanted = {"backend": LANE.model_copy(update={"live": "blue", "release": "r-blue"})}
    plans = [plan(wanted, Rollout(), {"backend": split()}, HISTORY, now) for now in moments]
    assert [move.legs[0].kind for move in plans] == ["rollback", "rollout"]


def test_a_config_that_already_names_the_way_back_gets_the_same_answer() -> None:
    assert asked(lane=LANE.model_copy(update={"live": "blue", "release": "r-blue"})) == asked()


def test_the_first_release_has_nothing_to_go_back_to() -> None:
    only_green = Split("backend", {"green": split().slots["green"]})
    answer = asked(done("green", 1), actual=only_green)
    assert answer.blocks == ("nothing older has passed here",)
    assert answer.why == "backend: a rollback to blue is not possible: nothing older has passed here."


def test_where_nothing_carries_traffic_nothing_can_be_rolled_back() -> None:
    why = "backend: a rollback is not possible: nothing carries traffic."
    expected = Admissible(False, None, None, None, why, ("nothing carries traffic",))
    assert asked(actual=Split("backend", {})) == expected


def test_another_apps_history_counts_for_nothing() -> None:
    theirs = [entry.model_copy(update={"app": "frontend"}) for entry in HISTORY]
    assert blocks(*theirs) == ["nothing older has passed here"]


def test_a_release_that_was_rejected_is_not_returned_to() -> None:
    reason = ["release r-blue was rejected when it was last live"]
    assert blocks(*HISTORY, done("blue", 0.5, verdict="rejected")) == reason


def test_a_target_marked_as_rejected_is_not_returned_to_even_when_state_was_lost() -> None:
    slots = split().slots
    marked = Split("backend", {**slots, "blue": replace(slots["blue"], rejected=True)})
    lost = [done("green", 1)]
    assert blocks(*lost, actual=marked) == [
        "release r-blue was rejected when it was last live",
        "nothing older has passed here",
    ]


def test_a_release_left_longer_ago_than_the_window_is_not_returned_to() -> None:
    answer = asked(done("blue", 99), done("green", 73))
    assert answer.blocks == ("the rollback window is over since 2026-03-01 02:00 UTC",)
    assert answer.until == START - timedelta(hours=1)
    assert answer.why == (
        "backend: a rollback to blue (release r-blue, as of 2026-02-25 00:00 UTC) is not possible: "
        "the rollback window is over since 2026-03-01 02:00 UTC."
    )


def test_a_release_more_revisions_ago_than_the_window_is_not_returned_to() -> None:
    others = [done("green", 4 - at, release=f"r-{at}") for at in range(4)]
    assert blocks(done("blue", 9), *others[:3]) == []
    assert blocks(done("blue", 9), *others) == ["4 moves have passed since, and rollbackWindow.revisions is 3"]


def test_the_window_is_the_configured_one() -> None:
    narrow = Rollout(rollback_window=RollbackWindow(revisions=0, duration=timedelta(minutes=30)))
    assert asked(rollout=narrow).blocks == (
        "1 move has passed since, and rollbackWindow.revisions is 0",
        "the rollback window is over since 2026-03-01 02:30 UTC",
    )


def test_a_colour_without_a_block_has_no_address_to_go_to() -> None:
    alone = LANE.model_copy(update={"addresses": {"green": "g:1"}})
    assert blocks(lane=alone) == ["blue has no block in the config, so there is no address to go to"]


def test_a_colour_that_was_deployed_anew_runs_another_release() -> None:
    reason = ["blue runs another release by now: r-blue was live there, as of 2026-02-28 18:00 UTC"]
    assert blocks(known=Known(releases={"blue": "r-new", "green": "r-green"})) == reason
    assert blocks(actual=split(tags={"blue": "r-new", "green": "r-green"})) == reason
    assert blocks(lane=LANE.model_copy(update={"live": "blue", "release": "r-new"})) == reason


def test_what_the_config_has_in_a_colour_counts_more_than_the_tag_it_had_when_live() -> None:
    older = [done("blue", 20, release="r-old"), done("green", 15, release="r-mid"), done("blue", 9), done("green", 1)]
    answer = asked(*older, known=Known(releases={"blue": "r-old"}))
    assert (answer.possible, answer.release) == (True, "r-old")


def test_a_colour_that_is_stopped_can_be_returned_to_and_is_restarted_first() -> None:
    said = "is possible until 2026-03-04 02:00 UTC; blue is stopped, and pulumi up restarts it first."
    assert asked(known=Known(stopped=["blue"])).why == f"{BACK} {said}"
    assert asked(known=Known(stopped=["green"])) == asked()


def test_a_hold_on_what_is_live_is_a_reason_against_it() -> None:
    hold = Hold("ana@ops", START, "green is being watched")
    assert blocks(known=Known(hold=hold)) == [
        "green is held by ana@ops since 2026-03-01 03:00 UTC (green is being watched)"
    ]


@pytest.mark.parametrize(("needs", "holds"), [("011", "010"), ("10", "9"), ("20260301000000", "011")])
def test_a_release_that_needs_a_newer_schema_is_not_returned_to(needs: str, holds: str) -> None:
    known = Known(schema_min={"blue": needs}, schema=holds)
    assert blocks(known=known) == [f"blue needs schema {needs}, and the database holds {holds}"]


@pytest.mark.parametrize(
    "known",
    [
        Known(schema_min={"blue": "010"}, schema="011"),
        Known(schema_min={"blue": "011"}, schema="011"),
        Known(schema_min={"green": "012"}, schema="011"),
        Known(schema_min={"blue": None}, schema="011"),
        Known(schema_min={"blue": "011"}),
    ],
)
def test_a_schema_that_fits_or_is_not_known_blocks_nothing(known: Known) -> None:
    assert blocks(known=known) == []


def test_while_a_move_is_under_way_it_goes_back_first() -> None:
    slots = split(blue=25, green=75).slots
    mark = MoveTag("m1", "green", START + timedelta(minutes=5))
    moving = Split("backend", {**slots, "blue": replace(slots["blue"], move=mark)})
    assert blocks(actual=moving) == ["a move is under way or was cut short, and goes back to green first"]


def test_a_move_that_goes_back_to_the_other_colour_is_the_only_reason() -> None:
    slots = split().slots
    mark = MoveTag("m1", "blue", START + timedelta(minutes=5))
    arrived = Split("backend", {**slots, "green": replace(slots["green"], move=mark)})
    assert blocks(actual=arrived) == ["a move is under way or was cut short, and goes back to blue first"]


def test_split_traffic_is_put_right_first() -> None:
    assert blocks(actual=split(blue=25, green=75)) == [
        "traffic is split (blue 25 and green 75), and is put right first"
    ]


def test_traffic_that_somebody_moved_by_hand_can_go_back_to_what_was_live_without_an_end() -> None:
    answer = asked(actual=split(blue=100, green=0))
    assert (answer.possible, answer.colour, answer.until) == (True, "green", None)


def test_every_reason_is_told() -> None:
    hold = Hold("ana@ops", START, "")
    known = Known(hold=hold, releases={"blue": "r-blue"}, schema_min={"blue": "012"}, schema="011")
    alone = LANE.model_copy(update={"addresses": {"green": "g:1"}})
    answer = asked(done("blue", 99), done("green", 73), lane=alone, known=known)
    assert len(answer.blocks) == 4
    assert answer.why.endswith(f": {'; '.join(answer.blocks)}.")


COLOURS_ = st.sampled_from(["blue", "green"])
DONE = st.builds(
    done,
    COLOURS_,
    st.integers(min_value=0, max_value=150),
    st.sampled_from(["r1", "r2", "r3"]),
    st.sampled_from(["passed", "passed", "passed", "rejected", "stopped"]),
)
HISTORIES = st.lists(DONE, max_size=8).map(lambda history: sorted(history, key=lambda entry: entry.finished))


@given(HISTORIES, COLOURS_, st.sampled_from(["r1", "r2", "r3"]), st.integers(0, 3), st.integers(0, 100))
def test_it_is_possible_exactly_when_plan_would_roll_back(
    history: list[Done], live: Colour, release: str, revisions: int, hours: int
) -> None:
    goal: Colour = "green" if live == "blue" else "blue"
    actual = split(blue=100 if live == "blue" else 0, green=100 if live == "green" else 0)
    rollout = Rollout(rollback_window=RollbackWindow(revisions=revisions, duration=timedelta(hours=hours)))
    wanted = Lane(upstream="backend", live=goal, release=release, addresses=ADDRESSES)
    # The config names what is live; what stands in the other colour is told beside it.
    lane = wanted.model_copy(update={"live": live, "release": "r-live"})
    answer = admissible("backend", lane, actual, history, rollout, START, Known(releases={goal: release}))
    try:
        kinds = [str(leg.kind) for leg in plan({"backend": wanted}, rollout, {"backend": actual}, history, START).legs]
    except Refused:
        kinds = ["refused"]
    assert (answer.possible, answer.colour, answer.release) == (kinds == ["rollback"], goal, release)
    assert answer.possible == (not answer.blocks)
    assert not any("new rollout" in block for block in answer.blocks)
    assert not answer.possible or answer.until is None or answer.until >= START
