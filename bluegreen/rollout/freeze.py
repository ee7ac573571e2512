"""When nothing is rolled out: windows that begin as a cron expression says and last for a while.

A window begins by the clock of its own time zone, as cron counts (a beginning in the hour that spring skips comes right
after it, one in the hour that autumn repeats comes once), and lasts in real time: over a night in which the clocks
change it ends an hour earlier or later by the clock. Pure: what a freeze forbids, whom it spares and who overrides it
is decided elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import field_validator

from bluegreen.spec import Duration, Name, Spec

LONGEST = timedelta(days=366)
LOOK = timedelta(hours=1)  # how far back a beginning is looked for at first
FIELDS = "minute, hour, day of the month, month, day of the week"
MACHINE = ("localtime", "posixrules", "posix/", "right/")  # files beside the zones: another meaning on each machine


class Freeze(Spec):
    """A window in which nothing is rolled out, each time it comes round."""

    name: Name
    cron: str
    duration: Duration
    timezone: str = "UTC"

    @field_validator("cron")
    @classmethod
    def _begins(cls, cron: str) -> str:
        fields = len(cron.split())
        if fields != 5:
            msg = f"{cron!r} has {fields} field{'' if fields == 1 else 's'}, and a cron expression has 5: {FIELDS}"
            raise ValueError(msg)
        try:
            next(CronSim(cron, datetime(2024, 1, 1, tzinfo=UTC)))
        except (CronSimError, ValueError) as problem:
            msg = f"{cron!r} is no cron expression: {str(problem)[:1].lower()}{str(problem)[1:]}"
            raise ValueError(msg) from None
        except StopIteration:
            msg = f"{cron!r} names a day that never comes"
            raise ValueError(msg) from None
        return cron

    @field_validator("duration")
    @classmethod
    def _lasts(cls, duration: timedelta) -> timedelta:
        if timedelta() < duration <= LONGEST:
            return duration
        msg = "a window lasts between 1s and 366d"
        raise ValueError(msg)

    @field_validator("timezone")
    @classmethod
    def _exists(cls, timezone: str) -> str:
        try:
            _zone(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            msg = f"{timezone!r} is no time zone that is known here. Write it as Europe/Berlin or UTC"
            raise ValueError(msg) from None
        return timezone


@dataclass(frozen=True, slots=True)
class Frozen:
    """A window that is open now: from `since` on, and no longer at `until`. Both are UTC."""

    name: str
    since: datetime
    until: datetime

    def __str__(self) -> str:
        return f"{self.name}, {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"


def frozen(freezes: Sequence[Freeze], now: datetime) -> Frozen | None:
    """The window that is open now; of several the one that is open longest from now on."""
    instant = now.astimezone(UTC)  # in a zone with clock changes, sums would be by the clock
    windows = [window for freeze in freezes if (window := _window(freeze, instant))]
    return max(windows, key=lambda window: (window.until, window.until - window.since), default=None)


def _window(freeze: Freeze, now: datetime) -> Frozen | None:
    """Every window of a freeze is as long as the others, so the one that began last also ends last."""
    since = _begun(freeze, now)
    return Frozen(freeze.name, since, since + freeze.duration) if since else None


def _begun(freeze: Freeze, now: datetime) -> datetime | None:
    """The last beginning before a whole duration has passed, `now` included.

    Looked for forwards from further and further back: backwards, a beginning in an hour that comes twice is missed,
    and a long way forwards at once would pass half a million beginnings of a window that opens every minute.
    """
    back = min(LOOK, freeze.duration)
    while True:
        start = (now - back).astimezone(_zone(freeze.timezone))
        ticks = (tick.astimezone(UTC) for tick in CronSim(freeze.cron, start))
        # Cron knows no fold: from within an hour that comes twice it may begin again with the first of the two.
        begun = [tick for tick in takewhile(lambda tick: tick <= now, ticks) if tick > now - back]
        if begun or back == freeze.duration:
            return begun[-1] if begun else None
        back = min(4 * back, freeze.duration)


def _zone(name: str) -> tzinfo:
    if name.startswith(MACHINE):
        raise ZoneInfoNotFoundError(name)
    return UTC if name == "UTC" else ZoneInfo(name)  # UTC needs no zone files, which small images do without
