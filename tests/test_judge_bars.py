"""Latencies and answered numbers: enough samples, breaks in a row, the live colour beside it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from bluegreen.analysis import Look, Seen, Verdict
from bluegreen.rollout.bars import ordinal
from bluegreen.rollout.judge import Decision, Judge
from tests.judge_room import analysis, judged, latencies, metric, value


def slow(name: str = "latency", most: float = 500.0, **given: Any) -> Any:
    return metric(name, most, **{"measures": "latency", **given})


def adding(*looks: Sequence[int]) -> list[Seen]:
    """What has been counted after each look that adds so many samples per bucket."""
    totals = [[sum(column) for column in zip(*looks[: place + 1], strict=True)] for place in range(len(looks))]
    return [latencies(*total) for total in totals]


def run(wanted: Any, looks: Sequence[Seen], live: Sequence[Seen] | None = None) -> list[Decision]:
    """One look every 2 s, the last of them the last."""
    return judged(
        analysis(wanted, seconds=2 * len(looks)),
        lambda at: looks[round(at / 2) - 1],
        lambda at: None if live is None else live[round(at / 2) - 1],
    )


def verdicts(decisions: Sequence[Decision]) -> list[Verdict | None]:
    return [decision.verdict for decision in decisions]


FAST, SLOW = (200, 0, 0), (0, 200, 0)


def test_a_fast_release_passes() -> None:
    decisions = run(slow(), adding(FAST, FAST))
    assert ("backend latency: p95 is 95 ms of 200 samples (bar 500 ms) in the last 2 s: goes on") == decisions[
        0
    ].sentence
    assert "pass" == decisions[-1].verdict


def test_a_slow_release_fails_at_its_first_full_look() -> None:
    decisions = run(slow(), adding(SLOW, SLOW))
    assert ["fail"] == verdicts(decisions)
    assert (
        "backend latency: p95 is 955 ms of 200 samples (bar 500 ms) in the last 2 s: fail, the bar is broken"
    ) == decisions[0].sentence


def test_samples_are_gathered_until_they_suffice() -> None:
    decisions = run(slow(), adding((0, 90, 0), (0, 90, 0), (0, 90, 0)))
    assert [None, None, "fail"] == verdicts(decisions)
    assert "180 new samples of the 200 that a p95 needs in 4 s: goes on" in decisions[1].sentence
    assert "270 samples (bar 500 ms) in the last 6 s" in decisions[2].sentence


def test_too_few_samples_for_the_percentile_are_inconclusive_at_the_end() -> None:
    decisions = run(slow(percentile=99), adding(FAST, FAST))
    assert "backend latency: 400 samples in 4 s: inconclusive, a p99 needs 1,000" == decisions[-1].sentence


def test_breaks_warn_until_they_are_more_in_a_row_than_tolerated() -> None:
    decisions = run(slow(failure_limit=2), adding(SLOW, SLOW, SLOW, FAST))
    assert [None, None, "fail"] == verdicts(decisions)
    assert decisions[1].sentence.endswith("in the last 2 s: warns, 2 in a row, 2 tolerated")
    assert [True, True, False] == [decision.rulings[0].warns for decision in decisions]
    assert decisions[2].sentence.endswith("fail, the bar is broken, 3 times in a row")


def test_a_look_that_keeps_the_bar_takes_the_warning_back() -> None:
    decisions = run(slow(failure_limit=1), adding(SLOW, FAST, SLOW, FAST))
    assert [None, None, None, "pass"] == verdicts(decisions)


def test_a_run_that_ends_over_its_bar_is_inconclusive() -> None:
    decisions = run(slow(failure_limit=1), adding(FAST, SLOW))
    assert "inconclusive" == decisions[-1].verdict
    assert decisions[-1].sentence.endswith("inconclusive, it ends over its bar, 1 in a row, 1 tolerated")


def test_what_is_left_at_the_end_is_judged_with_the_stretch_before_it() -> None:
    decisions = run(slow(), adding(FAST, (0, 100, 0)))
    assert [None, "fail"] == verdicts(decisions)
    assert "p95 is 865 ms of 300 samples (bar 500 ms) in the last 4 s: fail" in decisions[-1].sentence


def test_what_is_left_at_the_end_does_not_count_the_same_break_twice() -> None:
    decisions = run(slow(failure_limit=1), adding(FAST, SLOW, (0, 10, 0)))
    assert "inconclusive" == decisions[-1].verdict


def test_a_percentile_beyond_the_last_bucket_is_more_than_its_bound() -> None:
    decisions = run(slow(most=1000), adding((0, 0, 200), FAST))
    assert "p95 is more than 1,000 ms of 200 samples (bar 1,000 ms)" in decisions[0].sentence
    assert "fail" == decisions[0].verdict


def test_a_bar_beyond_the_last_bucket_cannot_be_judged_there() -> None:
    decisions = run(slow(most=2000), adding((0, 0, 200), (0, 0, 200)))
    assert [None, "inconclusive"] == verdicts(decisions)
    assert decisions[-1].sentence.endswith("inconclusive, the bar lies beyond the last bucket")
    assert "pass" == run(slow(most=2000), adding((0, 0, 200), FAST))[-1].verdict


def test_a_release_as_slow_as_the_live_one_passes_where_an_increase_is_allowed() -> None:
    wanted = slow(allowed_increase=1.5)
    decisions = run(wanted, adding(SLOW, SLOW), adding(SLOW, SLOW))
    assert [None, "pass"] == verdicts(decisions)
    assert "p95 is 955 ms of 200 samples (bar 500 ms and 1.5 times live's 955 ms)" in decisions[0].sentence
    assert ["fail"] == verdicts(run(wanted, adding(SLOW, SLOW), adding(FAST, FAST)))


@pytest.mark.parametrize("live", [None, adding((0, 150, 0)), [Seen(error="no answer")]])
def test_without_a_live_colour_to_compare_the_bar_stands_alone(live: list[Seen] | None) -> None:
    (decision,) = run(slow(allowed_increase=1.5), adding(SLOW), live)
    assert "fail" == decision.verdict
    assert "(bar 500 ms and 1.5 times live's, not known)" in decision.sentence


def test_the_live_colour_is_compared_over_the_same_stretch() -> None:
    decisions = run(slow(allowed_increase=1.5, failure_limit=1), adding(SLOW, SLOW), adding(FAST, SLOW))
    assert "live's 95 ms" in decisions[0].sentence
    assert "live's 955 ms" in decisions[1].sentence
    assert "pass" == decisions[1].verdict


def test_a_fast_release_needs_its_requests_too() -> None:
    wanted = analysis(slow(), seconds=2, min_requests=300)
    (decision,) = judged(wanted, lambda _: latencies(*FAST))
    assert decision.sentence.endswith("inconclusive, 200 requests in all, and it needs 300 to pass")


def test_requests_without_a_measured_latency_are_no_data() -> None:
    (decision,) = run(slow(), [Seen(400, 400)])
    assert "backend latency: nothing was seen in 2 s (onNoData): inconclusive" == decision.sentence


def test_a_source_that_counts_anew_is_judged_on_what_it_counts() -> None:
    decisions = run(slow(), [latencies(900, 0, 0), latencies(0, 210, 0)])
    assert [None, "fail"] == verdicts(decisions)


def answered(wanted: Any, values: Sequence[float | None], live: Sequence[float] | None = None) -> list[Decision]:
    beside = None if live is None else [Seen(value=number) for number in live]
    return run(wanted, [Seen(value=number) for number in values], beside)


def test_a_number_within_its_bar_passes() -> None:
    decisions = answered(value(min=1, max=10), [1, 10, 4.5])
    assert [None, None, "pass"] == verdicts(decisions)
    assert "backend queue: 4.5 (bar 1 to 10; 3rd answer) in 6 s: pass" == decisions[-1].sentence
    assert (4.5, 3) == (decisions[-1].rulings[0].value, decisions[-1].rulings[0].seen)


@pytest.mark.parametrize(
    ("bar", "number", "said"), [({"max": 10}, 10.5, "bar 10"), ({"min": 1}, 0.5, "bar at least 1")]
)
def test_a_number_beyond_its_bar_fails(bar: dict[str, Any], number: float, said: str) -> None:
    (decision,) = answered(value(**bar), [number, 5])
    assert f"backend queue: {number} ({said}; 1st answer) in 2 s: fail, the bar is broken" == decision.sentence


def test_a_number_may_break_its_bar_as_often_as_is_tolerated() -> None:
    assert "pass" == answered(value(max=10, failure_limit=2), [11, 11, 9, 11, 11, 9])[-1].verdict
    assert "fail" == answered(value(max=10, failure_limit=2), [9, 11, 11, 11, 9])[-1].verdict


def test_a_number_may_be_so_many_times_the_live_ones() -> None:
    assert "pass" == answered(value(max=10, allowed_increase=2), [20], [10])[-1].verdict
    assert "fail" == answered(value(max=10, allowed_increase=2), [20.5], [10])[-1].verdict
    assert "pass" == answered(value(min=10, allowed_increase=2), [5], [10])[-1].verdict
    assert "fail" == answered(value(min=10, allowed_increase=2), [4], [10])[-1].verdict
    assert "fail" == answered(value(max=10, allowed_increase=2), [11], [float("nan")])[-1].verdict


def test_no_number_yet_is_neither_kept_nor_broken() -> None:
    decisions = answered(value(max=10), [None, 3, 3])
    assert "backend queue: no answer yet in 2 s: goes on" == decisions[0].sentence
    assert "pass" == decisions[-1].verdict
    (alone,) = answered(value(max=10), [None])
    assert "backend queue: nothing was seen in 2 s (onNoData): inconclusive" == alone.sentence


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_is_an_error(number: float) -> None:
    (decision,) = answered(value(max=10), [number])
    assert f"backend queue: it answers no number but {number}, at every look in 2 s: error" == decision.sentence


def test_a_verdict_is_kept() -> None:
    wanted = analysis(value(max=10, dry_run=True), seconds=4)
    judge = Judge(wanted)
    first = judge.look([Look("backend", "queue", Seen(value=11))], timedelta(seconds=2), last=False)
    second = judge.look([Look("backend", "queue", Seen(value=9))], timedelta(seconds=4), last=True)
    assert "fail" == first.rulings[0].verdict
    assert first.rulings == second.rulings


@pytest.mark.parametrize(
    ("text", "number"), [("1st", 1), ("2nd", 2), ("3rd", 3), ("4th", 4), ("11th", 11), ("21st", 21), ("112th", 112)]
)
def test_ordinals(text: str, number: int) -> None:
    assert text == ordinal(number)
