"""Percentiles from buckets: Prometheus' interpolation, the open last bucket, and how many samples are enough."""

import math
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.analysis import Seen
from bluegreen.rollout.percentile import Reading, needed, reading, samples, since

INF = math.inf
BOUNDS = (10.0, 50.0, 200.0, 1000.0, INF)
CONTENTS = st.lists(st.integers(0, 500), min_size=len(BOUNDS), max_size=len(BOUNDS))


def buckets(contents: list[int]) -> list[tuple[float, int]]:
    return list(zip(BOUNDS, accumulate(contents), strict=True))


@pytest.mark.parametrize(("percentile", "least"), [(50, 20), (90, 100), (95, 200), (99, 1000), (99.9, 10_000)])
def test_a_percentile_needs_ten_samples_beyond_it(percentile: float, least: int) -> None:
    assert least == needed(percentile)


def test_within_a_bucket_values_are_spread_evenly() -> None:
    assert Reading(5.0) == reading([(10.0, 100), (INF, 100)], 50)
    assert Reading(30.0) == reading([(10.0, 25), (50.0, 75), (INF, 100)], 50)
    assert Reading(50.0) == reading([(10.0, 25), (50.0, 75), (INF, 100)], 75)


def test_an_empty_bucket_is_skipped() -> None:
    assert Reading(75.0) == reading([(10.0, 0), (50.0, 0), (100.0, 10), (INF, 10)], 50)
    assert Reading(10.0) == reading([(10.0, 50), (50.0, 50), (100.0, 100), (INF, 100)], 50)


def test_the_last_bucket_answers_its_lower_bound_and_says_that_it_is_open() -> None:
    assert Reading(10.0, open=True) == reading([(10.0, 25), (INF, 100)], 50)
    assert Reading(0.0, open=True) == reading([(INF, 100)], 50)


@pytest.mark.parametrize("nothing", [[], [(INF, 0)], [(10.0, 0), (INF, 0)]])
def test_without_samples_there_is_no_percentile(nothing: list[tuple[float, int]]) -> None:
    assert reading(nothing, 95) is None


@settings(deadline=None)
@given(CONTENTS, st.floats(1, 98), st.floats(0.1, 1))
def test_a_higher_percentile_is_never_lower(contents: list[int], percentile: float, more: float) -> None:
    if not sum(contents):
        return
    low, high = reading(buckets(contents), percentile), reading(buckets(contents), percentile + more)
    assert low is not None
    assert high is not None
    assert low.value <= high.value
    assert low.open <= high.open


@settings(deadline=None)
@given(CONTENTS, st.integers(2, 9), st.floats(1, 99))
def test_so_many_times_the_samples_have_the_same_percentile(contents: list[int], times: int, percentile: float) -> None:
    one = reading(buckets(contents), percentile)
    many = reading(buckets([times * count for count in contents]), percentile)
    if one is None or many is None:
        assert one is many
        return
    assert one.open == many.open
    assert one.value == pytest.approx(many.value)


@settings(deadline=None)
@given(CONTENTS, CONTENTS)
def test_what_was_counted_since_then_is_the_difference(before: list[int], fresh: list[int]) -> None:
    both = [old + new for old, new in zip(before, fresh, strict=True)]
    then = Seen(sum(before), 1, buckets(before))
    now = Seen(sum(both), 3, buckets(both))
    assert Seen(sum(fresh), 2, buckets(fresh)) == since(now, then)


def test_a_source_that_began_to_count_anew_is_taken_as_it_is() -> None:
    now = Seen(5, 1, [(10.0, 5), (INF, 5)])
    assert now == since(now, Seen(90, 2, [(10.0, 80), (INF, 90)]))
    assert samples(now.buckets) == 5
