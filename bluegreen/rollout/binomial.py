"""How likely so many errors are by luck: the exact binomial distribution, and what it bounds.

No normal approximation: at 300 requests and a bar of 1 % it would be wrong by a factor of ten where it matters. Sums
run from their largest term outwards and stop when nothing is left to add, so a million requests cost about as many
steps as their square root. It deliberately knows no metric and no verdict.
"""

import math
from functools import lru_cache

CERTAINTY = 0.95
NOTHING = 1e-17  # of the sum so far: less than a float can hold


def tail(bad: int, requests: int, share: float) -> float:
    """P(X >= bad) when each of so many requests fails with this share, independently."""
    if bad <= 0:
        return 1.0
    if bad > requests or share <= 0:
        return 0.0
    if share >= 1:
        return 1.0
    if bad > requests * share:
        return _outwards(bad, requests, share, upwards=True)
    return max(0.0, 1.0 - _outwards(bad - 1, requests, share, upwards=False))


def at_most(bad: int, requests: int, share: float) -> float:
    """P(X <= bad), as precisely as `tail` where it is small."""
    return tail(requests - bad, requests, 1 - share)


@lru_cache(maxsize=65536)
def breaks(bad: int, requests: int, share: float, alpha: float) -> bool:
    """Whether a true share of at most `share` explains so many errors less often than `alpha`."""
    return bad > requests * share and tail(bad, requests, share) <= alpha


@lru_cache(maxsize=65536)
def upper_bound(bad: int, requests: int, certainty: float = CERTAINTY) -> float:
    """The share that the true one does not exceed, with this certainty (Clopper and Pearson, one-sided)."""
    if bad >= requests:
        return 1.0
    low, high = bad / requests, 1.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if at_most(bad, requests, middle) > 1 - certainty:
            low = middle
        else:
            high = middle
    return high


def _outwards(bad: int, requests: int, share: float, *, upwards: bool) -> float:
    """The sum of the probabilities from `bad` up to all, or down to none; `bad` is beyond the mean on that side."""
    odds = share / (1 - share)
    term = total = math.exp(
        math.lgamma(requests + 1)
        - math.lgamma(bad + 1)
        - math.lgamma(requests - bad + 1)
        + bad * math.log(share)
        + (requests - bad) * math.log1p(-share)
    )
    while term > total * NOTHING:
        if upwards:
            term *= (requests - bad) / (bad + 1) * odds
            bad += 1
        else:
            term *= bad / (requests - bad + 1) / odds
            bad -= 1
        total += term
    return min(total, 1.0)
