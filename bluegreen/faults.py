"""How a call to somebody's API may go wrong, and which of these ends may be tried again without asking.

    ApiError                 a Halt: says who answered what to which call
    ├── Unreachable          no connection: certainly nothing happened
    │   └── Untrusted        TLS refused it, on either side
    ├── LostReply            sent, no answer: read before you write again
    ├── Unavailable          5xx, or an answer that is not JSON
    └── Rejected             4xx
        ├── Unauthorized     401, 403
        ├── NotFound         404
        ├── Conflict         409
        └── RateLimited      429, with retry_after in seconds

Reads are repeated (at most 4 attempts within 15 s), and so is one that is asked to wait for a few seconds; a longer
wait is the caller's, who can be stopped meanwhile. Writes never are: after a lost reply the caller reads the state and
decides. A reset and a lost reply look alike to a client, so on a write both are `LostReply`.
It deliberately makes no call: that is `bluegreen.http`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any

from bluegreen.handler import Halt

ATTEMPTS, PATIENCE = 4, 15.0  # of a read: how often, and for how many seconds in all
SHORT = 5.0  # seconds: a wait that is asked for and longer than this is not slept through


class ApiError(Halt):
    """A call that did not go well; `subject` is the call, `status` the HTTP status where there was one."""

    headers: Mapping[str, str] = {}  # of the answer, as far as there was one

    def __init__(
        self, what: str, *, world: str, next: str, status: int | None = None, body: Any = None, subject: str = ""
    ) -> None:
        super().__init__(what, world=world, next=next)
        self.status = status
        self.body = body
        self.subject = subject


class Unreachable(ApiError):
    """No connection came about: certainly nothing happened."""


class Untrusted(Unreachable):
    """One side did not accept the other's certificate. Trying again changes nothing."""


class LostReply(ApiError):
    """It was sent and no answer came: it may have happened. Read before you write again."""


class Unavailable(ApiError):
    """The other side is up but cannot serve: 5xx, or an answer that is not JSON."""


class Rejected(ApiError):
    """The other side understood and refused."""


class Unauthorized(Rejected):
    """401 or 403."""


class NotFound(Rejected):
    """404."""


class Conflict(Rejected):
    """409."""


class RateLimited(Rejected):
    """429; `retry_after` says after how many seconds to come back, None when it was not said."""

    retry_after: float | None = None


def meaning(status: int, *, writes: bool) -> tuple[type[ApiError], str]:
    """The kind of error that an HTTP status stands for, and the state of the world after it."""
    kinds: dict[int, type[ApiError]] = {
        401: Unauthorized,
        403: Unauthorized,
        404: NotFound,
        409: Conflict,
        429: RateLimited,
    }
    if 400 <= status < 500:
        return kinds.get(status, Rejected), "Nothing was changed."
    return Unavailable, "Whether it took effect is unknown." if writes else "Nothing was changed."


def come_back(retry_after: float | None) -> str:
    """The next step after a rate limit."""
    if retry_after is None:
        return "Try again in a minute."
    seconds = retry_after < 120
    return f"Try again in {ceil(retry_after)} s." if seconds else f"Try again in {ceil(retry_after / 60)} min."


def soon(problem: Exception) -> bool | float:
    """Whether, or in how many seconds, the same read may be made again by itself.

    A wait of an hour would be slept through: deaf to whoever asks to stop, and past every deadline.
    """
    if isinstance(problem, RateLimited):
        asked = problem.retry_after
        return True if asked is None else asked <= SHORT and asked
    return isinstance(problem, Unreachable | Unavailable) and not isinstance(problem, Untrusted)


def retry_after(header: str | None) -> float | None:
    if header is None:
        return None
    if header.isdigit():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
