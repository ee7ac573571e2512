"""How long Railway keeps the image of what no longer runs, by the plan of the project. Pure.

Railway documents it for a deployment that was removed. For one that is stopped nothing is documented, so this is the
least that may be counted on, and what comes after it is no loss of a way back: the release is deployed anew from its
digest, which takes a deployment's time instead of a start's. An image whose registry has lost it is beyond both.
"""

from datetime import timedelta

SHORTEST = timedelta(hours=24)  # also of a trial, about which nothing is said
# `subscriptionType` has no word for Enterprise (360 h), so that plan is taken for what it says it is.
KEEPS = {"free": SHORTEST, "trial": SHORTEST, "hobby": timedelta(hours=72), "pro": timedelta(hours=120)}


def keeps(plan: str | None) -> timedelta:
    """How long an image is kept at least; the shortest time where the plan is not known."""
    return KEEPS.get((plan or "").lower(), SHORTEST)
