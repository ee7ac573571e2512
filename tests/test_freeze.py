"""Freeze windows: when one is open, in which zone, and what a wrong one is told."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bluegreen.rollout.freeze import Freeze, Frozen, frozen
from bluegreen.spec import problems

SECOND = timedelta(seconds=1)
BERLIN = "Europe/Berlin"  # in 2026 clocks go forward on 29 March and back on 25 October, both at 01:00 UTC
WEEKEND = Freeze(name="weekend", cron="0 16 * * FRI", duration=timedelta(hours=64), timezone=BERLIN)


def freeze(cron: str, hours: float = 1, timezone: str = "UTC", name: str = "night") -> Freeze:
    return Freeze(name=name, cron=cron, duration=timedelta(hours=hours), timezone=timezone)


def utc(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def refusal(**given: object) -> list[str]:
    with pytest.raises(ValidationError) as raised:
        Freeze.model_validate({"name": "weekend", "cron": "0 16 * * 5", "duration": "64h", **given})
    return problems(raised.value)


def test_without_windows_nothing_is_frozen() -> None:
    assert frozen([], utc(3, 1)) is None


def test_a_window_is_read_as_it_is_written_in_yaml() -> None:
    written = {"name": "weekend", "cron": "0 16 * * FRI", "duration": "64h", "timezone": BERLIN}
    assert Freeze.model_validate(written) == WEEKEND


def test_a_window_without_a_zone_is_in_utc() -> None:
    read = Freeze.model_validate({"name": "night", "cron": "0 22 * * *", "duration": "8h"})
    assert frozen([read], utc(3, 1, 23)) == Frozen("night", utc(3, 1, 22), utc(3, 2, 6))


def test_a_window_begins_by_the_clock_of_its_zone() -> None:
    assert frozen([WEEKEND], utc(7, 4)) == Frozen("weekend", utc(7, 3, 14), utc(7, 6, 6))
    assert frozen([WEEKEND], utc(1, 10)) == Frozen("weekend", utc(1, 9, 15), utc(1, 12, 7))


def test_the_beginning_belongs_to_the_window_and_the_end_does_not() -> None:
    night = freeze("0 22 * * *", hours=8)
    held = Frozen("night", utc(3, 1, 22), utc(3, 2, 6))
    assert frozen([night], utc(3, 1, 22) - timedelta(microseconds=1)) is None
    assert frozen([night], utc(3, 1, 22)) == held
    assert frozen([night], utc(3, 1, 22) + timedelta(microseconds=1)) == held
    assert frozen([night], utc(3, 2, 6) - timedelta(microseconds=1)) == held
    assert frozen([night], utc(3, 2, 6)) is None


def test_over_the_night_of_a_clock_change_a_window_lasts_as_long_as_ever() -> None:
    assert frozen([WEEKEND], utc(3, 28)) == Frozen("weekend", utc(3, 27, 15), utc(3, 30, 7))
    assert frozen([WEEKEND], utc(10, 24)) == Frozen("weekend", utc(10, 23, 14), utc(10, 26, 6))
    ends = [utc(3, 30, 7).astimezone(ZoneInfo(BERLIN)).hour, utc(10, 26, 6).astimezone(ZoneInfo(BERLIN)).hour]
    assert ends == [9, 7]


def test_a_beginning_in_the_hour_that_spring_skips_comes_right_after_it() -> None:
    early = freeze("30 2 * * *", timezone=BERLIN)
    assert frozen([early], utc(3, 29, 0, 59)) is None
    assert frozen([early], utc(3, 29, 1)) == Frozen("night", utc(3, 29, 1), utc(3, 29, 2))


def test_a_beginning_in_the_hour_that_autumn_repeats_comes_once() -> None:
    early = freeze("30 2 * * *", timezone=BERLIN)
    opened = Frozen("night", utc(10, 25, 0, 30), utc(10, 25, 1, 30))
    assert frozen([early], utc(10, 25, 1, 10)) == opened  # 02:10 for the second time
    assert frozen([early], utc(10, 25, 1, 30)) is None  # 02:30 for the second time


def test_a_window_that_closed_in_the_hour_that_autumn_repeats_stays_closed() -> None:
    early = freeze("45 1 * * *", timezone="America/New_York")
    assert frozen([early], utc(11, 1, 6, 44)) == Frozen("night", utc(11, 1, 5, 45), utc(11, 1, 6, 45))
    assert frozen([early], utc(11, 1, 7, 30)) is None  # an hour ago it was 01:30 for the second time


def test_now_may_be_given_in_any_zone() -> None:
    now = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=ZoneInfo(BERLIN))
    early = freeze("30 2 * * *", timezone=BERLIN)
    assert frozen([early], now) == Frozen("night", utc(10, 25, 0, 30), utc(10, 25, 1, 30))
    now = datetime(2026, 3, 29, 3, 30, tzinfo=ZoneInfo(BERLIN))  # half an hour after 01:59
    early = freeze("40 1 * * *", timezone=BERLIN)
    assert frozen([early], now) == Frozen("night", utc(3, 29, 0, 40), utc(3, 29, 1, 40))


def test_of_windows_that_overlap_the_one_that_lasts_longest_is_told() -> None:
    long, short = freeze("0 8 * * *", hours=12, name="day"), freeze("0 18 * * *", hours=1, name="dinner")
    for windows in ([long, short], [short, long]):
        assert frozen(windows, utc(3, 1, 18, 30)) == Frozen("day", utc(3, 1, 8), utc(3, 1, 20))
    late = freeze("0 19 * * *", hours=3, name="evening")
    assert frozen([long, late], utc(3, 1, 19)) == Frozen("evening", utc(3, 1, 19), utc(3, 1, 22))


def test_of_windows_that_end_together_the_longer_one_is_told() -> None:
    windows = [freeze("0 19 * * *", hours=1, name="evening"), freeze("0 8 * * *", hours=12, name="day")]
    assert frozen(windows, utc(3, 1, 19)) == Frozen("day", utc(3, 1, 8), utc(3, 1, 20))


def test_a_window_that_begins_again_before_it_ends_goes_on_until_its_last_end() -> None:
    assert frozen([freeze("0 * * * *", hours=1.5)], utc(3, 1, 10, 15)) == Frozen(
        "night", utc(3, 1, 10), utc(3, 1, 11, 30)
    )


def test_a_window_once_in_four_years_is_found_a_year_after_it_began() -> None:
    leap = Freeze(name="leap", cron="0 0 29 2 *", duration=timedelta(days=366))
    now = datetime(2029, 2, 28, 23, 59, tzinfo=UTC)
    assert frozen([leap], now) == Frozen("leap", datetime(2028, 2, 29, tzinfo=UTC), datetime(2029, 3, 1, tzinfo=UTC))


def test_a_window_says_its_name_and_its_edges() -> None:
    assert str(frozen([WEEKEND], utc(7, 4))) == "weekend, 2026-07-03 14:00 to 2026-07-06 06:00 UTC"


CRONS = ("30 2 * * *", "0,45 1 * * *", "*/15 1-2 * * *", "0 */6 * * *", "0 0 * * 1-5", "0 16 * * FRI", "59 23 L * *")
ZONES = ("UTC", BERLIN, "America/New_York", "America/Santiago", "Australia/Lord_Howe", "America/Havana")
# Around both clock changes of these zones, and a while that has none.
DAYS = st.sampled_from(
    [utc(month, day) for month, day in ((3, 8), (3, 29), (4, 4), (9, 5), (10, 3), (10, 25), (11, 1))]
)
FREEZES = st.builds(freeze, st.sampled_from(CRONS), st.sampled_from([0.25, 1, 2, 24, 64, 200]), st.sampled_from(ZONES))


@given(FREEZES, DAYS, st.integers(min_value=-2 * 86_400, max_value=3 * 86_400))
def test_it_is_frozen_exactly_while_the_last_beginning_is_not_a_duration_ago(
    freeze: Freeze, day: datetime, seconds: int
) -> None:
    now = day + seconds * SECOND
    begun = None
    for tick in CronSim(freeze.cron, (now - timedelta(days=40)).astimezone(ZoneInfo(freeze.timezone))):
        if tick.astimezone(UTC) > now:
            break
        begun = tick.astimezone(UTC)
    opened = begun is not None and now < begun + freeze.duration
    assert frozen([freeze], now) == (Frozen("night", begun, begun + freeze.duration) if opened and begun else None)


@given(st.lists(FREEZES, max_size=3), DAYS, st.integers(min_value=0, max_value=86_400))
def test_what_is_told_contains_now_and_no_window_is_open_longer(
    freezes: list[Freeze], day: datetime, seconds: int
) -> None:
    now = day + seconds * SECOND
    told = frozen(freezes, now)
    alone = [window for one in freezes if (window := frozen([one], now))]
    assert (told is None) == (not alone)
    assert told is None or told.since <= now < told.until == max(window.until for window in alone)


@given(st.text(alphabet="0123456789*/,-#LW? MONJAN²", max_size=14))
def test_whatever_is_written_is_either_a_window_or_refused(cron: str) -> None:
    told: list[str] = []
    try:
        frozen([Freeze(name="any", cron=cron, duration=SECOND)], utc(3, 1))
    except ValidationError as refused:
        told = problems(refused)
    assert [fault.partition(":")[0] for fault in told] in ([], ["cron"])


FIVE = "and a cron expression has 5: minute, hour, day of the month, month, day of the week"


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("61 * * * *", "'61 * * * *' is no cron expression: bad minute"),
        ("0 0 * * FUN", "'0 0 * * FUN' is no cron expression: bad day-of-week"),
        ("0 0 31 2 *", "'0 0 31 2 *' is no cron expression: bad day-of-month"),
        ("0 16 *", f"'0 16 *' has 3 fields, {FIVE}"),
        ("0 0 16 * * 5", f"'0 0 16 * * 5' has 6 fields, {FIVE}"),
        ("@daily", f"'@daily' has 1 field, {FIVE}"),
        ("0 0 * 4 31#5", "'0 0 * 4 31#5' is no cron expression: bad day-of-week"),
        ("0 0 31 2-4/2 *L", "'0 0 31 2-4/2 *L' is no cron expression: bad day-of-week"),
    ],
)
def test_a_wrong_cron_expression_is_refused_in_one_sentence(cron: str, why: str) -> None:
    assert refusal(cron=cron) == [f"cron: {why}"]


def test_a_day_that_never_comes_is_refused() -> None:
    assert refusal(cron="0 0 */31 * 1#5") == ["cron: '0 0 */31 * 1#5' names a day that never comes"]


@pytest.mark.parametrize("zone", ["Mars/Phobos", "Berlin", "Europe", "", "../etc/passwd", "localtime", "right/UTC"])
def test_a_wrong_time_zone_is_refused_in_one_sentence(zone: str) -> None:
    expected = f"timezone: {zone!r} is no time zone that is known here. Write it as Europe/Berlin or UTC"
    assert refusal(timezone=zone) == [expected]


@pytest.mark.parametrize("duration", ["0s", "367d"])
def test_a_window_lasts_at_least_a_second_and_at_most_a_year(duration: str) -> None:
    assert refusal(duration=duration) == ["duration: a window lasts between 1s and 366d"]


def test_every_fault_of_a_window_is_told_at_once() -> None:
    assert [fault.partition(":")[0] for fault in refusal(cron="x", timezone="x", colour="blue")] == [
        "cron",
        "timezone",
        "colour",
    ]
