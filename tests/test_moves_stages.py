"""A rollout in steps: what is written in which order, what an analysis may decide, and who comes back for it."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from bluegreen.analysis import Analysis
from bluegreen.gateway import Hold
from bluegreen.handler import Refused
from bluegreen.rollout.endings import Stopped
from bluegreen.rollout.plan import Move
from bluegreen.rollout.spec import Rollout, Step
from bluegreen.spec import Colour
from tests.memory import Course, bad, good, nothing, unanswered
from tests.rollout_room import LOOK, World, in_steps, metric

BOTH = ("backend", "frontend")
ALONE = frozenset({"backend"})
BACK: dict[Colour, int] = {"blue": 100, "green": 0}
OVER: dict[Colour, int] = {"blue": 0, "green": 100}


def steps_of(app: str, *weights: int) -> list[tuple[str, str, int]]:
    """The writes of a rollout of one app: the candidate up, the other one down."""
    return [(app, colour, share) for weight in weights for colour, share in (("green", weight), ("blue", 100 - weight))]


def stopped(world: World, live: Colour = "green") -> Stopped:
    with pytest.raises(Stopped) as problem:
        world.move(live)
    return problem.value


def when(world: World, app: str, weight: int, course: Course) -> Course:
    """Good, until the app's candidate carries this share."""
    return lambda seconds: (course if world.memory.weights(app).get("green") == weight else good)(seconds)


def test_every_step_raises_and_proves_before_it_lowers_and_proves() -> None:
    world = World(rollout=in_steps())
    world.move("green")
    assert world.memory.writes == steps_of("backend", 5, 25, 50, 100)
    proofs = [(colour, weight) for _, colour, weight in world.memory.proofs]
    assert proofs[:6] == [("green", 5), ("blue", 95), ("green", 5), ("green", 25), ("blue", 75), ("green", 25)]
    assert proofs[-3:] == [("green", 100), ("blue", 0), ("green", 100)]
    assert (world.marks(), world.meter.under_way) == ([], 0)


def test_an_analysis_follows_every_step_below_all_of_it() -> None:
    world = World(rollout=in_steps())
    world.move("green")
    assert world.meter.watched == [("backend",)] * 3
    assert [text.partition(":")[0] for text in world.clock.milestones if "errors" in text] == ["5 %", "25 %", "50 %"]


def test_no_weight_goes_up_before_the_step_below_it_has_passed() -> None:
    world = World(rollout=in_steps())
    seen: list[int] = []
    world.meter.looking = lambda: seen.append(world.memory.weights("backend")["green"])
    world.meter.courses["backend"] = when(world, "backend", 25, bad)
    stopped(world)
    assert sorted(set(seen)) == [5, 25]
    assert max(weight for _, colour, weight in world.memory.writes if colour == "green") == 25


def test_apps_take_their_steps_one_after_another() -> None:
    world = World(*BOTH, rollout=in_steps(order=["frontend", "backend"]))
    world.move("green")
    assert world.memory.writes == [*steps_of("frontend", 5, 25, 50, 100), *steps_of("backend", 5, 25, 50, 100)]
    assert world.meter.watched == [("frontend",)] * 3 + [BOTH[::-1]] * 3


def test_a_frontend_that_fails_at_half_takes_both_back_in_reverse_order() -> None:
    world = World(*BOTH, rollout=in_steps())
    world.meter.courses["frontend"] = when(world, "frontend", 50, bad)
    problem = stopped(world)
    assert world.memory.writes[-4:] == [
        ("frontend", "blue", 100),
        ("frontend", "green", 0),
        ("backend", "blue", 100),
        ("backend", "green", 0),
    ]
    assert (world.weights(), world.marks(), world.memory.empty) == ([BACK, BACK], [], False)
    assert problem.world == (
        "frontend is back on blue, proved by 2 answers from 1 node in 0.01 s. "
        "backend is back on blue, proved by 2 answers from 1 node in 0.01 s."
    )


def test_only_the_app_that_is_to_blame_is_rejected() -> None:
    world = World(*BOTH, rollout=in_steps())
    world.meter.courses["frontend"] = when(world, "frontend", 50, bad)
    problem = stopped(world)
    assert world.rejected() == [("frontend", "green")]
    assert world.verdicts() == [("backend", "stopped"), ("frontend", "rejected")]
    assert problem.next == "Stage another release; frontend-green is rejected until rollout.retry names it."
    with pytest.raises(Refused) as refused:
        world.move("green")
    assert refused.value.what == "frontend: release frontend-green on green was rejected when it was last live."
    world.releases["frontend", "green"] = world.answers.releases["frontend", "green"] = "frontend-better"
    world.meter.courses.clear()
    world.move("green")
    assert world.weights() == [OVER, OVER]


def test_an_earlier_app_that_turns_bad_later_is_the_one_to_blame() -> None:
    world = World(*BOTH, rollout=in_steps())
    world.meter.courses["backend"] = when(world, "frontend", 25, bad)
    stopped(world)
    assert (world.weights(), world.rejected()) == ([BACK, BACK], [("backend", "green")])


def test_a_failed_analysis_is_told_whole() -> None:
    world = World(rollout=in_steps())
    world.meter.courses["backend"] = bad
    assert str(stopped(world)) == (
        "backend at 5 %: backend errors: 20 % of 200 requests (bar 1 %, at most 26 % with 95 % certainty) in 2 s: "
        "fail, luck is no explanation (9 answered 503). "
        "backend is back on blue, proved by 2 answers from 1 node in 0.01 s. "
        "Stage another release; r-green is rejected until rollout.retry names it."
    )


@pytest.mark.parametrize(
    ("course", "verdict"), [(nothing, "inconclusive"), (unanswered, "error"), (lambda _: good(0.5), "inconclusive")]
)
def test_without_a_pass_traffic_goes_back_and_nobody_is_rejected(course: Course, verdict: str) -> None:
    world = World(*BOTH, rollout=in_steps())
    world.meter.courses["backend"] = course
    problem = stopped(world)
    assert (world.weights(), world.rejected(), world.marks()) == ([BACK, {"blue": 100}], [], [])
    assert world.verdicts() == [("backend", "stopped")]
    assert verdict in problem.what
    assert problem.next == "Nothing is rejected: look at what could not be told, then run pulumi up again."
    world.meter.courses.clear()
    world.move("green")
    assert world.weights() == [OVER, OVER]


def test_no_data_rejects_where_the_analysis_says_so() -> None:
    strict = LOOK.model_copy(update={"on_no_data": "fail"})
    world = World(rollout=in_steps(step_analysis=strict))
    world.meter.courses["backend"] = nothing
    stopped(world)
    assert (world.weights(), world.rejected()) == ([BACK], [("backend", "green")])


def test_a_candidate_that_fails_before_any_traffic_never_gets_any() -> None:
    world = World(*BOTH, rollout=in_steps(pre_promotion_analysis=LOOK))
    world.meter.courses["frontend"] = bad
    problem = stopped(world)
    assert (world.memory.writes, world.meter.watched) == ([], [BOTH])
    assert world.verdicts() == [("backend", "stopped"), ("frontend", "rejected")]
    assert problem.world == "frontend stays on blue. backend stays on blue."
    assert problem.what.startswith("backend, frontend at preview: frontend errors: ")


def test_a_candidate_with_a_target_is_remembered_there_too() -> None:
    world = World(rollout=in_steps(pre_promotion_analysis=LOOK))
    world.meter.courses["backend"] = nothing
    stopped(world)
    world.rollout = in_steps()
    stopped(world)  # green has a target by now, at 0
    assert world.rejected() == []
    world.meter.courses["backend"] = bad
    world.rollout = in_steps(pre_promotion_analysis=LOOK)
    world.memory.writes.clear()
    stopped(world)
    assert (world.memory.writes, world.rejected(), world.weights()) == ([], [("backend", "green")], [BACK])
    world.history.clear()  # state is lost, the target is not
    with pytest.raises(Refused):
        world.move("green")


def test_all_come_back_when_the_last_analysis_fails() -> None:
    world = World(*BOTH, rollout=in_steps(post_promotion_analysis=LOOK))
    world.meter.courses["backend"] = lambda seconds: (bad if world.weights() == [OVER, OVER] else good)(seconds)
    problem = stopped(world)
    assert (world.weights(), world.marks()) == ([BACK, BACK], [])
    assert world.verdicts() == [("backend", "rejected"), ("frontend", "stopped")]
    assert problem.what.startswith("backend, frontend at 100 %: backend errors: ")


def test_marks_stay_on_until_the_last_analysis_has_passed() -> None:
    world = World(*BOTH, rollout=in_steps(post_promotion_analysis=LOOK))
    marks: list[int] = []
    world.meter.looking = lambda: marks.append(len(world.marks()))
    world.move("green")
    assert (marks[-1], world.marks()) == (2, [])


def test_a_metric_on_dry_run_is_told_and_decides_nothing() -> None:
    trial = metric("trial", dry_run=True)
    with_trial = Analysis(metrics=[metric("errors"), trial], duration=timedelta(seconds=10))
    world = World(rollout=in_steps(step_analysis=with_trial))
    world.meter.courses["backend", "trial"] = bad
    world.move("green")
    assert (world.weights(), world.rejected()) == ([OVER], [])
    told = [text for text in world.clock.milestones if "trial" in text]
    assert len(told) == 3
    assert all(text.endswith("dry run: would fail, luck is no explanation") for text in told)


def test_what_fails_on_dry_run_is_not_to_blame_for_what_fails_beside_it() -> None:
    trial = metric("trial", dry_run=True)
    with_trial = Analysis(metrics=[metric("errors"), trial], duration=timedelta(seconds=10))
    world = World(*BOTH, rollout=in_steps(step_analysis=with_trial))
    world.meter.courses["backend", "trial"] = bad
    world.meter.courses["frontend", "errors"] = bad
    stopped(world)
    assert world.rejected() == [("frontend", "green")]


def test_an_app_that_is_never_split_goes_over_at_once_while_the_other_steps() -> None:
    world = World(*BOTH, rollout=in_steps(), whole=frozenset({"frontend"}))
    world.move("green")
    assert world.memory.writes == [*steps_of("backend", 5, 25, 50, 100), *steps_of("frontend", 100)]
    assert str(world.history[-1].said).startswith("proved by")


def test_an_app_that_is_never_split_still_takes_part_in_the_analyses_around_it() -> None:
    around = in_steps(pre_promotion_analysis=LOOK, post_promotion_analysis=LOOK)
    world = World(*BOTH, rollout=around, whole=frozenset({"frontend"}))
    world.move("green")
    assert world.meter.watched == [BOTH, ("backend",), ("backend",), ("backend",), BOTH]


def test_an_app_that_is_never_split_keeps_what_its_steps_wait_for_and_look_at() -> None:
    minute = timedelta(minutes=1)
    steps = [Step(set_weight=5), Step(pause=minute), Step(set_weight=50), Step(analysis=LOOK), Step(gate=2 * minute)]
    world = World(rollout=Rollout(steps=steps, step_analysis=LOOK), whole=ALONE)
    wanted = ["0 %", "pause 60 s", "analysis of 10 s", "gate of 120 s", "100 %"]
    assert _texts(world.plan("green")) == wanted
    world.rollout = Rollout(steps=[*steps[:4], Step(set_weight=100)], step_analysis=LOOK)
    assert _texts(world.plan("green")) == ["pause 60 s", "analysis of 10 s", "100 %"]


def test_an_app_that_is_never_split_is_approved_before_any_traffic() -> None:
    world = World(rollout=Rollout(steps=[Step(set_weight=50), Step(gate=timedelta(minutes=2))]), whole=ALONE)
    marks: list[object] = []

    def approve() -> None:
        slot = world.memory.rows["backend"]["green"]
        world.clock.passing = None
        marks.append((slot.weight, slot.move is not None))
        world.change("backend", "green", approved=Hold("ann@laptop", world.clock.at, "looks fine"))

    world.clock.passing = approve
    world.move("green")
    assert marks == [(0, True)]
    assert world.memory.writes == [("backend", "green", 0), *steps_of("backend", 100)]
    assert "backend: 0 %, approved by ann@laptop (looks fine)" in world.clock.milestones
    assert (world.weights(), world.marks()) == ([OVER], [])


def test_an_app_that_is_never_split_gets_no_traffic_that_nobody_approved_or_that_did_not_pass() -> None:
    unapproved = World(rollout=Rollout(steps=[Step(set_weight=50), Step(gate=timedelta(minutes=2))]), whole=ALONE)
    assert stopped(unapproved).what == "backend: nobody approved r-green at 0 % within 120 s."
    unfit = World(rollout=Rollout(steps=[Step(set_weight=50), Step(analysis=LOOK)]), whole=ALONE)
    unfit.meter.courses["backend"] = bad
    assert stopped(unfit).what.startswith("backend at 0 %: backend errors: ")
    for world in (unapproved, unfit):
        assert world.memory.weights("backend").get("green", 0) == 0
        assert (world.memory.weights("backend")["blue"], world.marks()) == (100, [])
    assert (unapproved.rejected(), unfit.verdicts()) == ([], [("backend", "rejected")])


def test_a_rollback_takes_no_step_and_is_never_analysed() -> None:
    around = in_steps(pre_promotion_analysis=LOOK, post_promotion_analysis=LOOK)
    world = World(*BOTH, rollout=around)
    world.move("green")
    world.memory.writes.clear()
    world.meter.watched.clear()
    world.meter.courses = dict.fromkeys(BOTH, bad)
    world.move("blue")
    assert world.meter.watched == []
    assert world.memory.writes == [
        ("frontend", "blue", 100),
        ("frontend", "green", 0),
        ("backend", "blue", 100),
        ("backend", "green", 0),
    ]


def test_a_share_that_ends_below_all_of_it_goes_on_to_all_of_it() -> None:
    world = World(rollout=Rollout(steps=[Step(set_weight=30)]))
    assert world.plan("green").legs[0].weights == "30/100"
    world.move("green")
    assert world.memory.writes == steps_of("backend", 30, 100)


def test_the_row_tells_who_is_where_with_what_and_for_how_long() -> None:
    world = World(rollout=in_steps())
    world.move("green")
    assert "backend 5 % green · 200 req · 0.0 % err (≤ 1 %) · 8 s left" in world.clock.rows


def test_the_milestones_tell_each_step_and_each_verdict() -> None:
    world = World(rollout=in_steps())
    world.move("green")
    told = world.clock.milestones
    assert told[:2] == [
        "backend: green 5 %, proved by 2 answers from 1 node in 0.01 s",
        "5 %: backend errors: 0 % of 1,000 requests (bar 1 %, at most 0.3 % with 95 % certainty) in 10 s: pass",
    ]
    assert len(told) == 7


def test_whoever_listens_hears_of_the_move_its_steps_its_verdicts_and_its_end() -> None:
    world = World(rollout=in_steps())
    world.move("green")
    middle = ["step-completed", "analysis-completed"] * 3
    assert [event.kind for event in world.events] == ["move-started", *middle, "step-completed", "move-completed"]
    world.events.clear()
    world.move("blue")
    assert [event.kind for event in world.events] == ["rollback-started", "step-completed", "rollback-completed"]


def test_what_the_page_shows_of_a_step_is_what_is_told() -> None:
    page = (Path(__file__).parent.parent / "docs" / "notifications.md").read_text(encoding="utf-8")
    shown = json.loads(page.split("```json\n")[1].split("```")[0])
    world = World(rollout=in_steps())
    world.move("green")
    told = next(event for event in world.events if event.kind == shown["kind"])
    assert list(shown["facts"]) == list(told.facts)
    assert {fact for event in world.events for fact in event.facts if f"`{fact}`" not in page} == set()


def test_a_rejected_release_may_be_tried_once_more_and_is_rejected_for_good_then() -> None:
    world = World(rollout=in_steps())
    world.meter.courses["backend"] = bad
    stopped(world)
    world.rollout = in_steps(retry="r-green")
    stopped(world)
    assert [(done.verdict, done.retried) for done in world.history[1:]] == [("rejected", False), ("rejected", True)]
    with pytest.raises(Refused) as refused:
        world.move("green")
    assert str(refused.value) == (
        "backend: release r-green on green was rejected again when rollout.retry allowed it once more. "
        "Traffic stays on blue, unchanged. Set apps.backend.live back, stage another release."
    )


def test_a_second_try_that_passes_is_trusted_from_then_on() -> None:
    world = World(rollout=in_steps())
    world.meter.courses["backend"] = bad
    stopped(world)
    world.rollout, world.meter.courses = in_steps(retry="r-green"), {}
    world.move("green")
    assert (world.weights(), world.rejected()) == ([OVER], [])
    world.rollout = in_steps()
    world.move("blue")
    world.move("green")
    assert [done.kind for done in world.history[-2:]] == ["rollback", "rollback"]


def test_a_second_try_that_tells_nothing_leaves_the_first_verdict_as_it_was() -> None:
    world = World(rollout=in_steps())
    world.meter.courses["backend"] = bad
    stopped(world)
    world.rollout, world.meter.courses["backend"] = in_steps(retry="r-green"), nothing
    stopped(world)
    assert (world.weights(), world.rejected()) == ([BACK], [("backend", "green")])
    world.rollout = in_steps()
    with pytest.raises(Refused):
        world.move("green")


def test_a_release_that_was_left_by_hand_after_it_had_passed_is_rejected_by_its_tag() -> None:
    world = World(rollout=in_steps())
    world.move("green")
    world.change("backend", "blue", weight=100)
    world.change("backend", "green", weight=0, rejected=True)
    with pytest.raises(Refused) as refused:
        world.move("green")
    assert refused.value.next.endswith("or allow one more try with rollout.retry: r-green.")


def _texts(move: Move) -> list[str]:
    return [str(stage) for leg in move.legs for stage in leg.stages]


def test_a_stage_says_what_it_is() -> None:
    minute = timedelta(minutes=1)
    steps = [Step(set_weight=5), Step(pause=minute), Step(analysis=LOOK), Step(gate=2 * minute), Step(set_weight=100)]
    world = World(rollout=Rollout(steps=steps))
    assert _texts(world.plan("green")) == ["5 %", "pause 60 s", "analysis of 10 s", "gate of 120 s", "100 %"]


@pytest.mark.parametrize("live", ["green", "blue"])
def test_a_first_move_takes_no_steps(live: Colour) -> None:
    world = World(rollout=in_steps())
    world.memory.rows.clear()
    world.history.clear()
    world.move(live)
    assert world.memory.writes == [("backend", live, 100)]
    assert world.meter.watched == []
