"""How many calls Railway still allows, heard from its answers, and how many were made of which kind.

Every answer carries X-RateLimit-Limit, -Remaining and -Reset; what stands in the last is not documented, so seconds
since 1970, milliseconds since then, seconds from now and a date as ISO 8601 or HTTP writes it are all understood. Once
little is left, looks at a deployment are spread over what is left of the hour: the limit belongs to whoever else uses
the token as well.
It deliberately makes no call and refuses none: Railway decides, and its answer says when to come back.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LITTLE = 0.1  # of the limit: from here on calls are spread
LONGEST = 60.0  # seconds between two looks, however little is left
SHOWN = 3  # operations by name
SINCE_1970, IN_MILLISECONDS = 1e9, 1e12  # seconds from now are fewer than the first

_counting: ContextVar[tuple[Counter[str], ...]] = ContextVar("counting", default=())


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Budget:
    """What one client has heard about its limit; None where nothing was said."""

    calls: Counter[str] = field(default_factory=Counter)
    limit: int | None = None
    left: int | None = None
    resets: datetime | None = None
    clock: Callable[[], datetime] = _now

    def heard(self, operation: str, headers: Mapping[str, str]) -> None:
        """Count a call that was answered, and take what its answer says about the limit."""
        for calls in (self.calls, *_counting.get()):
            calls[operation] += 1
        said = {name.lower(): value.strip() for name, value in headers.items()}
        limit, left = said.get("x-ratelimit-limit", ""), said.get("x-ratelimit-remaining", "")
        if not (limit.isdecimal() and left.isdecimal()):
            return  # a web page of Cloudflare, say: what was heard before is still the best guess
        self.limit, self.left = int(limit), int(left)
        self.resets = _moment(said.get("x-ratelimit-reset", ""), self.clock())

    @contextmanager
    def counted(self) -> Iterator[Counter[str]]:
        """The calls that are made inside this block, and by no other task meanwhile."""
        calls: Counter[str] = Counter()
        token = _counting.set((*_counting.get(), calls))
        try:
            yield calls
        finally:
            _counting.reset(token)

    @asynccontextmanager
    async def told(self, name: str, say: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
        """Say at the end of the block, however it ends, which calls were made for this service, if any."""
        with self.counted() as calls:
            try:
                yield
            finally:
                if calls:
                    await say(f"{name}: {self.phrase(calls)}")

    def pace(self, poll: float, now: datetime) -> float:
        """Seconds until the next look: `poll`, or more where that would use up what is left before it is renewed."""
        if self.limit is None or self.left is None or self.resets is None or self.left >= self.limit * LITTLE:
            return poll
        ahead = (self.resets - now).total_seconds()
        return max(poll, min(ahead / max(self.left, 1), LONGEST))

    def phrase(self, calls: Counter[str]) -> str:
        """These calls as a phrase, with what is left."""
        named = [f"{count} {operation}" for operation, count in calls.most_common(SHOWN)]
        others = calls.total() - sum(count for _, count in calls.most_common(SHOWN))
        named += [f"{others} others"] if others else []
        left = f", {self.left:,} of {self.limit:,} left this hour" if self.limit and self.left is not None else ""
        return f"{calls.total()} calls to Railway ({', '.join(named)}){left}"

    def used_up(self) -> str:
        """A sentence once nothing is left, else nothing."""
        if self.limit is None or self.left != 0 or self.resets is None:
            return ""
        return f"Railway's hourly limit of {self.limit:,} calls is used up until {self.resets:%H:%M} UTC."


def _moment(said: str, now: datetime) -> datetime | None:
    try:
        number = float(said)
    except ValueError:
        number = None
    try:
        if number is None:
            return _written(said)
        if number < SINCE_1970:
            return now + timedelta(seconds=number)
        return datetime.fromtimestamp(number / 1000 if number >= IN_MILLISECONDS else number, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _written(said: str) -> datetime:
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        moment = parsedate_to_datetime(said)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
