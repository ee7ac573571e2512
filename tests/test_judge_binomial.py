"""The binomial's tails and bounds against sums of exact fractions, and what has to hold for any counts."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.rollout.binomial import at_most, breaks, tail, upper_bound

COUNTS = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
SHARES = st.integers(1, 999).map(lambda thousandths: Fraction(thousandths, 1000))


def summed(bad: int, requests: int, share: Fraction) -> Fraction:
    """P(X >= bad), exactly."""
    terms = (comb(requests, k) * share**k * (1 - share) ** (requests - k) for k in range(bad, requests + 1))
    return sum(terms, Fraction())


@settings(deadline=None)
@given(COUNTS, SHARES)
def test_the_tail_is_the_exact_sum_of_fractions(counts: tuple[int, int], share: Fraction) -> None:
    bad, requests = counts
    exact = float(summed(bad, requests, share))
    assert exact == pytest.approx(tail(bad, requests, float(share)), rel=1e-9, abs=1e-300)


@settings(deadline=None)
@given(COUNTS, SHARES)
def test_both_tails_make_one_together(counts: tuple[int, int], share: Fraction) -> None:
    bad, requests = counts
    both = tail(bad + 1, requests, float(share)) + at_most(bad, requests, float(share))
    assert both == pytest.approx(1.0, rel=1e-9)


def test_the_tail_stays_right_for_ten_million_requests() -> None:
    assert tail(10**5, 10**7, 0.01) == pytest.approx(0.5, abs=1e-3)
    assert tail(101_000, 10**7, 0.01) == pytest.approx(7.59e-4, rel=0.02)  # 3.18 standard deviations, skewed a little


@pytest.mark.parametrize(
    ("expected", "bad", "requests", "share"),
    [(1.0, 0, 10, 0.5), (0.0, 11, 10, 0.5), (0.0, 1, 10, 0.0), (1.0, 10, 10, 1.0), (1.0, 0, 0, 0.5), (0.5, 1, 1, 0.5)],
)
def test_the_ends_of_the_tail(expected: float, bad: int, requests: int, share: float) -> None:
    assert expected == tail(bad, requests, share)


@settings(deadline=None)
@given(COUNTS)
def test_the_upper_bound_is_where_so_few_errors_become_a_one_in_twenty_chance(counts: tuple[int, int]) -> None:
    bad, requests = counts
    bound = upper_bound(bad, requests)
    if bad == requests:
        assert bound == 1.0
        return
    assert bad / requests < bound < 1
    exact = 1 - summed(bad + 1, requests, Fraction(bound))
    assert float(exact) == pytest.approx(0.05, rel=1e-5)


def test_299_requests_without_an_error_say_less_than_one_percent_and_298_do_not() -> None:
    assert upper_bound(0, 299) < 0.01 < upper_bound(0, 298)
    assert upper_bound(0, 2995) < 0.001 < upper_bound(0, 2994)


def test_no_request_bounds_nothing() -> None:
    assert upper_bound(0, 0) == 1.0


@settings(deadline=None)
@given(COUNTS, SHARES)
def test_one_more_error_never_makes_it_better(counts: tuple[int, int], share: Fraction) -> None:
    bad, requests = counts
    if bad == requests:
        return
    assert tail(bad + 1, requests, float(share)) <= tail(bad, requests, float(share)) * (1 + 1e-9)
    assert upper_bound(bad, requests) < upper_bound(bad + 1, requests)
    assert breaks(bad, requests, float(share), 1e-3) <= breaks(bad + 1, requests, float(share), 1e-3)
