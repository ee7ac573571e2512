"""The whole judge: what many metrics of many apps add up to, silence, dry runs, an early stop."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.analysis import Look, Metric, Prometheus, Seen, ThresholdRange, Verdict
from bluegreen.rollout.judge import Decision, Judge
from bluegreen.rollout.ruling import worst
from tests.judge_room import analysis, judged, latencies, metric, value

GOOD, BAD, FEW = Seen(1000, 0), Seen(1000, 100), Seen(100, 0)
SILENT = Seen(error="Kong does not answer")


def once(seen: dict[tuple[str, str], Seen], *metrics: Metric, **given: Any) -> Decision:
    """One look, the last, of so many apps and metrics."""
    looks = [Look(app, name, each) for (app, name), each in seen.items()]
    return Judge(analysis(*metrics, **given)).look(looks, timedelta(seconds=30), last=True)


def query(**given: Any) -> Metric:
    source = Prometheus(url="http://prometheus", query="up")
    return Metric(name="saturation", prometheus=source, threshold_range=ThresholdRange(max=1.0), **given)


@pytest.mark.parametrize(
    ("case", "wanted", "looks", "verdict", "sentence"),
    [
        (
            "probes only, at night",
            metric(),
            [Seen(20 * n, 0) for n in range(2, 32, 2)],
            "pass",
            "backend errors: 0 % of 600 requests (bar 1 %, at most 0.5 % with 95 % certainty) in 30 s: pass",
        ),
        (
            "little traffic, no probes",
            metric(),
            [Seen(n, 0) for n in range(2, 32, 2)],
            "inconclusive",
            "backend errors: 0 % of 30 requests (bar 1 %, at most 9.6 % with 95 % certainty) in 30 s: inconclusive, "
            "it needs 300 requests to pass",
        ),
        (
            "no data at all",
            metric(),
            [Seen()] * 15,
            "inconclusive",
            "backend errors: nothing was seen in 30 s (onNoData): inconclusive",
        ),
        (
            "a misspelt metric",
            query(),
            [Seen(error="the query answers nothing")] * 15,
            "error",
            "backend saturation: the query answers nothing, 5 looks in a row, in 10 s: error",
        ),
        (
            "Prometheus down",
            query(),
            [Seen(error="http://prometheus does not answer.")] * 15,
            "error",
            "backend saturation: http://prometheus does not answer, 5 looks in a row, in 10 s: error",
        ),
        (
            "Prometheus answers NaN",
            query(),
            [Seen(value=float("nan"))] * 15,
            "error",
            "backend saturation: it answers no number but nan, 5 looks in a row, in 10 s: error",
        ),
        (
            "Prometheus comes back",
            query(),
            [*[Seen(error="it does not answer")] * 4, *[Seen(value=0.5)] * 11],
            "pass",
            "backend saturation: 0.5 (bar 1; 11th answer) in 30 s: pass",
        ),
        (
            "Prometheus goes down before the end",
            query(),
            [*[Seen(value=0.5)] * 13, *[Seen(error="it does not answer")] * 2],
            "error",
            "backend saturation: 0.5 (bar 1; 13th answer) in 26 s: error, it does not answer, at the last 2 looks",
        ),
        (
            "one missed look in the middle",
            query(),
            [*[Seen(value=0.5)] * 7, Seen(error="it does not answer"), *[Seen(value=0.5)] * 7],
            "pass",
            "backend saturation: 0.5 (bar 1; 14th answer) in 30 s: pass",
        ),
    ],
)
def test_each_night_has_its_verdict_and_its_sentence(
    case: str, wanted: Metric, looks: Sequence[Seen], verdict: Verdict, sentence: str
) -> None:
    decisions = judged(analysis(wanted, min_requests=300), lambda at: looks[round(at / 2) - 1])
    assert (verdict, sentence) == (decisions[-1].verdict, decisions[-1].sentence), case


def test_no_data_fails_where_it_is_told_to() -> None:
    decision = once({("backend", "errors"): Seen()}, metric(), on_no_data="fail")
    assert ("fail", "backend errors: nothing was seen in 30 s (onNoData): fail") == (
        decision.verdict,
        decision.sentence,
    )


def test_one_failing_metric_fails_at_once_whatever_the_others_say() -> None:
    judge = Judge(analysis(metric(), value(max=10)))
    looks = [Look("backend", "errors", GOOD), Look("frontend", "errors", BAD), Look("backend", "queue", Seen(value=1))]
    decision = judge.look(looks, timedelta(seconds=2), last=False)
    assert "fail" == decision.verdict
    assert decision.sentence.startswith("frontend errors: 10 % of 1,000 requests")
    assert [None, "fail", None] == [ruling.verdict for ruling in decision.rulings]


@pytest.mark.parametrize(
    ("verdict", "verdicts"),
    [
        ("fail", ["pass", "error", "fail", "inconclusive"]),
        ("error", ["inconclusive", "error", "pass"]),
        ("inconclusive", ["pass", "inconclusive"]),
        ("pass", ["pass", "pass"]),
    ],
)
def test_the_worst_verdict_decides(verdict: Verdict, verdicts: list[Verdict]) -> None:
    assert verdict == worst(verdicts)


def test_a_metric_that_cannot_be_measured_ends_it_at_once() -> None:
    decisions = judged(analysis(metric(), value(max=1)), lambda _: SILENT)
    assert 5 == len(decisions)
    assert ("error", "backend errors: Kong does not answer, 5 looks in a row, in 10 s: error") == (
        decisions[-1].verdict,
        decisions[-1].sentence,
    )
    assert "backend errors: Kong does not answer, at the look after 2 s: goes on" == decisions[0].sentence


def test_four_silent_looks_are_forgiven_again_and_again() -> None:
    def sees(at: float) -> Seen:
        return Seen(round(20 * at), 0) if at % 10 == 0 else SILENT

    assert "pass" == judged(analysis(metric(), seconds=60), sees)[-1].verdict


LONG = {"seconds": 150, "every": 30}
WELL, NONE = Seen(value=0.5), Seen()


@pytest.mark.parametrize(
    ("case", "wanted", "looks", "verdict", "because"),
    [
        ("one good count, then silence", metric(), [GOOD, *[SILENT] * 4], "error", "Kong does not answer, at the last"),
        ("one good answer, then silence", query(), [WELL, *[SILENT] * 4], "error", "Kong does not answer, at the last"),
        (
            "silent at the last look alone",
            metric(),
            [*[GOOD] * 4, SILENT],
            "error",
            "Kong does not answer, at the last",
        ),
        (
            "answers at both ends alone",
            query(),
            [WELL, *[SILENT] * 3, WELL],
            "error",
            "Kong does not answer: there were answers for 60 s of 150 s, and a pass needs half",
        ),
        (
            "nothing to answer at the end",
            query(),
            [*[WELL] * 4, NONE],
            "inconclusive",
            "the last look had no answer",
        ),
        (
            "nothing new after the first look",
            metric(),
            [GOOD] * 5,
            "inconclusive",
            "nothing new was counted for 120 s of 150 s, and a pass needs half",
        ),
        (
            "nothing new between both ends",
            metric(),
            [*[GOOD] * 4, Seen(1001, 0)],
            "inconclusive",
            "nothing new was counted for 90 s of 150 s, and a pass needs half",
        ),
        (
            "no new latency after the first look",
            metric("latency", 500, measures="latency"),
            [latencies(300, 0, 0)] * 5,
            "inconclusive",
            "nothing new was counted for 120 s of 150 s, and a pass needs half",
        ),
        ("a count makes up for what was missed", metric(), [FEW, *[SILENT] * 3, GOOD], "pass", "pass"),
        ("a pause of users in the middle", metric(), [FEW, FEW, FEW, GOOD, Seen(1100, 0)], "pass", "pass"),
    ],
)
def test_a_pass_has_heard_the_end_and_half_of_the_time(
    case: str, wanted: Metric, looks: Sequence[Seen], verdict: Verdict, because: str
) -> None:
    decision = judged(analysis(wanted, **LONG), lambda at: looks[round(at / 30) - 1])[-1]
    assert verdict == decision.verdict, case
    assert because in decision.sentence, case


def test_little_traffic_that_comes_all_the_time_is_no_silence() -> None:
    decisions = judged(analysis(metric(), seconds=3600), lambda at: Seen(round(at // 10), 0))
    assert "pass" == decisions[-1].verdict


def test_silence_at_the_only_look_is_an_error() -> None:
    decision = once({("backend", "errors"): SILENT}, metric())
    assert "backend errors: Kong does not answer, at every look in 30 s: error" == decision.sentence


def test_a_metric_that_was_never_looked_at_is_no_data() -> None:
    decision = once({("backend", "errors"): GOOD}, metric(), value(max=10))
    assert ("inconclusive", "queue: nothing was seen in 30 s (onNoData): inconclusive") == (
        decision.verdict,
        decision.sentence,
    )


def test_an_app_that_is_no_longer_looked_at_is_an_error_of_that_look() -> None:
    judge = Judge(analysis(metric()))
    judge.look([Look("backend", "errors", Seen())], timedelta(seconds=2), last=False)
    decision = judge.look([], timedelta(seconds=4), last=False)
    assert "backend errors: it was not looked at, at the look after 4 s: goes on" == decision.sentence


def test_a_dry_run_is_told_and_decides_nothing() -> None:
    dry = metric("canary-errors", dry_run=True)
    seen = {("backend", "errors"): GOOD, ("backend", "canary-errors"): BAD}
    decision = once(seen, metric(), dry)
    assert "pass" == decision.verdict
    assert ["pass", "fail"] == [ruling.verdict for ruling in decision.rulings]
    assert decision.rulings[1].sentence.endswith("in 30 s: dry run: would fail, luck is no explanation")
    assert [False, True] == [ruling.dry_run for ruling in decision.rulings]
    assert "canary" not in decision.sentence


@pytest.mark.parametrize(
    ("words", "seen"),
    [("would pass", GOOD), ("would fail", BAD), ("would be inconclusive", FEW), ("would be an error", SILENT)],
)
def test_a_dry_run_says_what_would_be(words: str, seen: Seen) -> None:
    (ruling,) = once({("backend", "errors"): seen}, metric(dry_run=True)).rulings
    assert f": dry run: {words}" in ruling.sentence


def test_an_analysis_of_dry_runs_passes_and_says_that_nothing_was_judged() -> None:
    decision = once({("backend", "errors"): BAD}, metric(dry_run=True))
    assert ("pass", "nothing was judged, every metric is a dry run: pass") == (decision.verdict, decision.sentence)


def test_an_analysis_without_metrics_passes_and_says_that_nothing_was_judged() -> None:
    judge = Judge(analysis())
    going = judge.look([], timedelta(seconds=2), last=False)
    assert (None, "nothing is judged in 2 s: goes on") == (going.verdict, going.sentence)
    end = judge.look([], timedelta(seconds=30), last=True)
    assert ("pass", "nothing was judged, the analysis has no metric: pass") == (end.verdict, end.sentence)


def test_an_analysis_that_was_stopped_early_never_passes() -> None:
    look = Look("backend", "errors", GOOD)
    decision = Judge(analysis(metric())).look([look], timedelta(seconds=12), last=True)
    assert "inconclusive" == decision.verdict
    assert decision.sentence.startswith(
        "stopped after 12 s of 30 s: inconclusive; until then backend errors: 0 % of 1,000 requests"
    )
    assert "pass" == Judge(analysis(metric())).look([look], timedelta(seconds=29.9), last=True).verdict
    assert (
        "fail"
        == Judge(analysis(metric())).look([Look("backend", "errors", BAD)], timedelta(seconds=12), last=True).verdict
    )


ANY_SEEN = st.sampled_from([Seen(), GOOD, BAD, FEW, SILENT, Seen(400, 2)])
NAMES = st.tuples(st.sampled_from(["backend", "frontend", "worker"]), st.sampled_from(["errors", "latency"]))
LATENCIES = st.sampled_from([Seen(), SILENT, latencies(300, 0, 0), latencies(0, 300, 0), latencies(50, 0, 0)])


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(NAMES, st.tuples(ANY_SEEN, LATENCIES), max_size=6), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_order_of_looks_changes_nothing(rounds: list[dict[tuple[str, str], Any]], random: Any) -> None:
    wanted = analysis(metric(), metric("latency", 500, measures="latency", failure_limit=1), seconds=2 * len(rounds))
    one, other = Judge(wanted), Judge(wanted)
    for number, seen in enumerate(rounds, 1):
        looks = [Look(app, name, pair[name == "latency"]) for (app, name), pair in seen.items()]
        shuffled = random.sample(looks, len(looks))
        at, last = timedelta(seconds=2 * number), number == len(rounds)
        first, second = one.look(looks, at, last=last), other.look(shuffled, at, last=last)
        assert first.verdict == second.verdict
        assert set(first.rulings) == set(second.rulings)
        assert not last or first.verdict is not None
