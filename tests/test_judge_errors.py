"""Errors are judged by what luck cannot explain: at once when the bar is broken, at the end when it is kept."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.analysis import Look, Seen, Verdict
from bluegreen.rollout.error_share import percent
from bluegreen.rollout.judge import Judge
from tests.judge_room import analysis, judged, metric

ERRORS = metric()
STREAMS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 60)), min_size=1, max_size=12).map(
    lambda steps: [(sent, min(failed, sent)) for sent, failed in steps]
)
RANK: dict[Verdict, int] = {"pass": 0, "inconclusive": 1, "fail": 2}


def end(steps: Sequence[tuple[int, int]], *, most: float = 1.0, least: int = 1) -> Verdict:
    """The verdict on a run that sent and failed so many at each look."""
    totals = [(sum(sent for sent, _ in steps[:n]), sum(bad for _, bad in steps[:n])) for n in range(1, len(steps) + 1)]
    wanted = analysis(metric(most=most), seconds=2 * len(steps), min_requests=least)
    verdict = judged(wanted, lambda at: Seen(*totals[round(at / 2) - 1]))[-1].verdict
    assert verdict is not None
    return verdict


def at_once(requests: int, errors: int) -> str:
    look = Look("backend", "errors", Seen(requests, errors))
    return Judge(analysis(ERRORS)).look([look], timedelta(seconds=30), last=True).sentence


@pytest.mark.parametrize(
    ("sentence", "requests", "errors"),
    [
        (
            "backend errors: 0.17 % of 1,204 requests (bar 1 %, at most 0.53 % with 95 % certainty) in 30 s: pass",
            1204,
            2,
        ),
        ("backend errors: 0 % of 600 requests (bar 1 %, at most 0.5 % with 95 % certainty) in 30 s: pass", 600, 0),
        (
            "backend errors: 0.33 % of 600 requests (bar 1 %, at most 1.1 % with 95 % certainty) in 30 s: "
            "inconclusive, too few requests to be certain that the bar is kept",
            600,
            2,
        ),
        (
            "backend errors: 5 % of 600 requests (bar 1 %, at most 6.8 % with 95 % certainty) in 30 s: "
            "fail, luck is no explanation",
            600,
            30,
        ),
        (
            "backend errors: 100 % of 3 requests (bar 1 %, at most 100 % with 95 % certainty) in 30 s: "
            "fail, luck is no explanation",
            3,
            3,
        ),
        (
            "backend errors: 0 % of 1 request (bar 1 %, at most 95 % with 95 % certainty) in 30 s: "
            "inconclusive, too few requests to be certain that the bar is kept",
            1,
            0,
        ),
    ],
)
def test_the_sentence_has_value_bar_bound_count_and_window(sentence: str, requests: int, errors: int) -> None:
    assert sentence == at_once(requests, errors)


def test_the_ruling_carries_what_the_sentence_says() -> None:
    look = Look("backend", "errors", Seen(1204, 2))
    (ruling,) = Judge(analysis(ERRORS)).look([look], timedelta(seconds=30), last=True).rulings
    assert (ruling.app, ruling.metric, ruling.verdict, ruling.seen) == ("backend", "errors", "pass", 1204)
    assert ruling.value == pytest.approx(200 / 1204)
    assert ruling.bound == pytest.approx(0.521974, rel=1e-5)


def test_a_bad_release_fails_at_the_look_that_leaves_no_luck() -> None:
    decisions = judged(analysis(ERRORS), lambda at: Seen(round(20 * at), round(at)))
    assert [None, None, None, "fail"] == [decision.verdict for decision in decisions]
    assert "backend errors: 5 % of 160 requests" in decisions[-1].sentence


def test_a_release_that_turns_bad_late_fails_by_its_last_minute() -> None:
    def sees(at: float) -> Seen:
        return Seen(round(20 * at), max(0, round(at - 500)) * 2)

    decisions = judged(analysis(ERRORS, seconds=600), sees)
    assert "fail" == decisions[-1].verdict
    assert len(decisions) <= 260
    assert "in the last 60 s: fail" in decisions[-1].sentence


def test_a_release_is_not_failed_for_a_minute_that_an_hour_makes_likely() -> None:
    def sees(at: float) -> Seen:
        return Seen(round(at), 5 if at > 1800 else 0)

    assert "inconclusive" == judged(analysis(ERRORS, seconds=3600, min_requests=4000), sees)[-1].verdict
    assert "pass" == judged(analysis(ERRORS, seconds=3600), sees)[-1].verdict


def test_an_environment_that_fails_both_colours_is_not_held_against_the_release() -> None:
    decisions = judged(
        analysis(ERRORS), lambda at: Seen(round(20 * at), round(6 * at)), lambda at: Seen(round(20 * at), round(5 * at))
    )
    assert "inconclusive" == decisions[-1].verdict
    assert (
        "inconclusive, 25 % of 40 requests on the live colour failed too: the environment fails, not this release alone"
    ) in decisions[-1].sentence


def test_a_release_that_is_worse_than_a_failing_environment_fails() -> None:
    live = Seen(2000, 100)
    decisions = judged(analysis(ERRORS), lambda _: Seen(100, 60), lambda _: live)
    assert "fail" == decisions[-1].verdict


@pytest.mark.parametrize("live", [None, Seen(), Seen(40, 0), Seen(40, 2), Seen(40, 12, error="no answer")])
def test_a_live_colour_that_keeps_its_bar_or_says_nothing_excuses_nobody(live: Seen | None) -> None:
    assert "fail" == judged(analysis(ERRORS), lambda _: Seen(40, 12), lambda _: live)[-1].verdict


def test_no_request_at_all_goes_on_and_ends_without_data() -> None:
    decisions = judged(analysis(ERRORS, seconds=4), lambda _: Seen())
    assert "backend errors: no request yet in 2 s: goes on" == decisions[0].sentence
    assert "backend errors: nothing was seen in 4 s (onNoData): inconclusive" == decisions[-1].sentence


@settings(deadline=None)
@given(STREAMS, st.integers(0, 11), st.integers(1, 60))
def test_one_more_error_never_improves_the_verdict(steps: list[tuple[int, int]], place: int, more: int) -> None:
    worse = list(steps)
    sent, bad = worse[place % len(steps)]
    worse[place % len(steps)] = (sent, min(sent, bad + more))
    assert RANK[end(steps)] <= RANK[end(worse)]


@settings(deadline=None)
@given(STREAMS, st.integers(1, 1000))
def test_it_never_passes_without_the_requests_it_needs(steps: list[tuple[int, int]], least: int) -> None:
    seen = sum(sent for sent, _ in steps)
    assert end(steps, least=least, most=50) != "pass" or seen >= least


@settings(deadline=None)
@given(STREAMS)
def test_it_never_fails_with_fewer_than_three_errors(steps: list[tuple[int, int]]) -> None:
    few = [(sent, 0) for sent, _ in steps]
    few[0] = (few[0][0], min(2, few[0][0]))
    assert end(few, most=0.001) != "fail"


@settings(deadline=None)
@given(st.integers(300, 2000), st.integers(0, 40), st.integers(2, 20))
def test_more_of_the_same_settles_and_never_turns_the_verdict(requests: int, errors: int, times: int) -> None:
    few, many = end([(requests, errors)]), end([(times * requests, times * errors)])
    assert few in ("inconclusive", many)


@settings(deadline=None)
@given(STREAMS)
def test_the_bar_that_is_kept_is_kept_when_it_is_higher(steps: list[tuple[int, int]]) -> None:
    assert RANK[end(steps, most=20)] <= RANK[end(steps, most=2)]


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("0 %", 0),
        ("100 %", 1),
        ("0.17 %", 0.00166),
        ("1 %", 0.01),
        ("5.3 %", 0.0526),
        ("42 %", 0.424),
        ("9.5 %", 0.095),
    ],
)
def test_a_percentage_has_two_digits_that_say_something(text: str, share: float) -> None:
    assert text == percent(share)
