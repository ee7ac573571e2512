"""The judge's row: drawn runs are what they claim, everybody is asked fairly, and the short cut loses nothing."""

import random
from statistics import mean

import pytest

from benchmarks.judge.contenders import PEERS, counting, ours, suspicious
from benchmarks.judge.rows import BAD, HEALTHY, OURS, Cell, Runs, cell, figures, measured
from benchmarks.judge.streams import SECONDS, Release, Run, drawn

TOTAL = Release(1 - 1e-12, 1)


def run_of(*failed: int, rps: int = 1) -> Run:
    return Run(Release(0.5, rps), failed)


@pytest.mark.parametrize("release", [Release(0.005, 20), Release(0.05, 5), Release(0.2, 1)])
def test_a_drawn_run_has_its_share_of_errors(release: Release) -> None:
    chance = random.Random(1)
    runs = [drawn(release, chance) for _ in range(300)]
    requests = SECONDS * release.rps
    expected = release.share * requests
    within = 4 * (expected / 300) ** 0.5  # standard errors
    assert mean(len(run.failed) for run in runs) == pytest.approx(expected, abs=within)
    assert all(0 <= run.failed[0] and run.failed[-1] < requests for run in runs if run.failed)
    assert all(len(set(run.failed)) == len(run.failed) for run in runs)


def test_a_release_that_always_fails_fails_every_request() -> None:
    assert tuple(range(SECONDS)) == drawn(TOTAL, random.Random(1)).failed


def test_errors_are_counted_until_a_moment() -> None:
    run = run_of(0, 3, 4, 9, rps=2)
    assert [0, 1, 2, 3, 4] == [run.errors(at) for at in (0, 1, 2, 3, 5)]


def test_a_measurement_fails_when_its_own_interval_is_above_the_bar() -> None:
    at_ten = run_of(5, 15, 25)  # one of ten requests in each of the first three intervals
    assert 30.0 == counting(at_ten, interval=10, failures=3)
    assert counting(at_ten, interval=10, failures=4) is None
    exactly_the_bar = run_of(0, 100, 200, rps=10)
    assert counting(exactly_the_bar, interval=10, failures=1) is None


def test_an_outage_is_caught_by_everybody_when_their_rules_say() -> None:
    run = drawn(TOTAL, random.Random(1))
    assert ("fail", 4.0) == ours(run)
    assert [30.0, 180.0, 300.0] == [peer(run) for peer in PEERS.values()]


def test_a_run_without_errors_passes_and_nobody_gives_it_up() -> None:
    run = Run(Release(0.0, 20), ())
    assert ("pass", 600.0) == ours(run)
    assert ("pass", 30.0) == ours(run, 30)
    assert not suspicious(run)
    assert [None, None, None] == [peer(run) for peer in PEERS.values()]


@pytest.mark.parametrize("release", [Release(0.005, 1), Release(0.02, 1), Release(0.02, 5)])
def test_a_run_that_ours_fails_is_always_suspicious(release: Release) -> None:
    chance = random.Random(2)
    runs = [drawn(release, chance) for _ in range(40)]
    failed = [run for run in runs if ours(run)[0] == "fail"]
    assert all(suspicious(run) for run in failed)
    assert sum(suspicious(run) for run in runs) >= len(failed)


def test_the_same_seed_gives_the_same_figures() -> None:
    said: list[str] = []
    one, other = (cell(HEALTHY[0], 20, said.append, spares=True) for _ in range(2))
    assert one == other
    assert said[0] == said[1]


def test_figures_take_the_median_of_an_outage_and_the_worst_kind() -> None:
    def of(release: Release, *ends: float | None) -> Cell:
        return Cell(release, dict.fromkeys((OURS, *PEERS), ends), passed=1)

    healthy = [of(release, None, None, None, None) for release in HEALTHY[1:]]
    healthy.append(of(HEALTHY[0], 10.0, None, None, None))
    bad = [of(release, 2.0, 8.0, 12.0, None) for release in BAD]
    caught, few, faint, wrong, missed, passed, step = figures(healthy, bad, 75.0)
    assert ("caught: errors of 5 % at 20 rps, median", 10.0) == (caught.metric, caught.ours)
    assert (2.0, 600) == caught.spread[OURS]
    assert [10.0, 10.0] == [few.ours, faint.ours]
    assert (25.0, False, 4) == (wrong.ours, wrong.met, wrong.repetitions)
    assert (0.0, 25.0) == wrong.spread[OURS]
    assert (25.0, 25.0) == (missed.ours, missed.peers["argo-10s-limit-2"])
    assert (25.0, 25.0) == (passed.ours, passed.peers["flagger-60s-threshold-5"])
    assert (25.0, None) == (step.ours, step.ratio)


def test_a_small_match_has_every_figure() -> None:
    said: list[str] = []
    results = measured(Runs(healthy=4, bad=3), said.append)
    assert len(HEALTHY) + len(BAD) == len(said)
    assert {"judge"} == {result.row for result in results}
    assert [True, None, None, True] == [result.met for result in results[:4]]
    assert set(PEERS) == set(results[0].peers)
