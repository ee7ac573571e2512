"""What a watch is made of, without any gateway: spans, alerts, rows and trends, troubles, verdicts, the view."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bluegreen.analysis import Analysis
from bluegreen.gateway import Hold, MoveTag, Slot, Split
from bluegreen.handler import Refused
from bluegreen.journal import Beat
from bluegreen.monitor.alarm import CALM, Alarms, Raised, Trouble, worst
from bluegreen.monitor.baseline import Baseline
from bluegreen.monitor.judging import Onset, analysis_of, subjects
from bluegreen.monitor.picture import Picture
from bluegreen.monitor.row import Before, Row, percentile
from bluegreen.monitor.sight import Sight, news
from bluegreen.monitor.trouble import troubles
from bluegreen.monitor.view import screen, spark
from bluegreen.monitor.wish import Bars, Wish, bars, spans
from bluegreen.rollout.spec import Lane, Rollout
from bluegreen.spec import Colour
from tests.memory import START

LIVE: dict[str, Colour | None] = {"shop": "green"}


def beat(fault: str = "", ms: float | None = 10.0, *, way: str = "users", name: str = "hello") -> Beat:
    status = None if ms is None else 503 if fault else 200
    return Beat(endpoint=name, app="shop", way=way, status=status, ms=ms, fault=fault)


def row(beats: Sequence[Beat]) -> Row:
    made = Row("shop", "hello", beats[0].way)
    for each in beats:
        made.add(each)
    return made


def found(*rows: Row, given: Bars | None = None, before: dict[Any, Before] | None = None) -> list[Trouble]:
    return troubles(rows, LIVE, given or Bars(), before or {})


# Spans and bars


@pytest.mark.parametrize(
    ("duration", "interval", "seconds"),
    [("300", "30", (300, 30)), ("5m", "30s", (300, 30)), ("1h30m", "1m", (5400, 60)), ("2.5", "0.5", (2.5, 0.5))],
)
def test_spans_are_seconds_or_as_the_config_writes_them(
    duration: str, interval: str, seconds: tuple[float, float]
) -> None:
    assert (timedelta(seconds=seconds[0]), timedelta(seconds=seconds[1])) == spans(duration, interval)


@pytest.mark.parametrize(
    ("duration", "interval", "said"),
    [
        ("soon", "30", "DURATION: 'soon' is not a span of time"),
        ("300", "-1", "INTERVAL: '-1' is not a span of time"),
        ("30", "300", "DURATION is 30 s, which is no whole INTERVAL of 300 s."),
        ("300", "0", "INTERVAL is 0 s, and a round over every endpoint needs 0.5 s at least."),
        ("30d", "1h", "DURATION is 30 days, and a watch lasts 7 at most."),
        ("nan", "1", "DURATION: 'nan' is not a span of time"),
    ],
)
def test_nonsense_is_refused_by_what_was_typed(duration: str, interval: str, said: str) -> None:
    with pytest.raises(Refused) as refused:
        spans(duration, interval)
    assert refused.value.what.startswith(said)
    assert "Nothing was asked." == refused.value.world


@pytest.mark.parametrize("given", [(0, 100), (100, 100), (5, 0), (float("nan"), 100), (5, float("inf"))])
def test_a_bar_that_nothing_or_everything_breaks_is_refused(given: tuple[float, float]) -> None:
    with pytest.raises(Refused):
        bars(*given)


# The judge's bars


def test_the_stacks_own_analysis_is_used_for_as_long_as_the_watch_lasts() -> None:
    own = Analysis(duration=timedelta(seconds=60), interval=timedelta(seconds=3), min_requests=400)
    used = analysis_of(Rollout(post_promotion_analysis=own), timedelta(minutes=5))
    assert (timedelta(minutes=5), timedelta(seconds=3), 400) == (used.duration, used.interval, used.min_requests)


def test_a_watch_that_could_never_tell_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        analysis_of(Rollout(), timedelta(seconds=5))
    assert "A watch of 5 s is too short to judge anything" in refused.value.what


# Alerts


@given(st.lists(st.booleans(), max_size=60), st.integers(min_value=1, max_value=3))
def test_an_alert_is_raised_once_and_resolved_once_for_one_trouble(course: list[bool], rounds: int) -> None:
    alarms, told, lately = Alarms(), list[str](), list[bool]()
    for number, bad in enumerate(course):
        lately.append(bad)
        trouble = [Trouble("key", "critical", "hello", "broken", rounds)] if bad else []
        raised, resolved = alarms.round(START + timedelta(seconds=number), trouble)
        told += ["raised"] * len(raised) + ["resolved"] * len(resolved)
        if raised:
            assert all(lately[-rounds:])
        if resolved:
            assert not any(lately[-CALM:])
    assert told == ["raised", "resolved"] * (len(told) // 2) + ["raised"] * (len(told) % 2)
    assert bool(alarms.open) == bool(len(told) % 2)
    assert len(alarms.all) == told.count("raised")


def test_what_is_told_is_no_open_alert() -> None:
    alarms = Alarms()
    alarms.tell(START, "shop", "weights went from a to b")
    assert ([], 1) == (alarms.open, len(alarms.all))


# Troubles


def test_a_single_bad_answer_is_nobodys_alert() -> None:
    assert [] == found(row([beat(), beat("answered 503"), beat()]))


def test_more_errors_than_the_bar_on_the_way_of_users_are_critical() -> None:
    (trouble,) = found(row([beat(), beat("answered 503"), beat("answered 503"), beat("answered 503")]))
    assert ("critical", "shop on the way of users") == (trouble.level, trouble.subject)
    assert "75 % of 4 requests went wrong in the last 4 rounds (bar 5 %): hello: answered 503" == trouble.text


def test_errors_below_the_bar_are_no_trouble() -> None:
    rows = [row([beat()] * 3 + [beat("answered 503")] * 3)]
    assert [] == found(*rows, given=Bars(errors=60))


@pytest.mark.parametrize(("way", "level"), [("users", "critical"), ("green", "critical"), ("blue", "warning")])
def test_an_endpoint_without_any_answer_for_two_rounds_is_as_bad_as_who_meets_it(way: str, level: str) -> None:
    silent = [beat("no answer", None, way=way)]
    assert [] == found(row(silent))
    assert {level} == {trouble.level for trouble in found(row(silent * 2))}


def test_an_app_that_hangs_is_one_trouble_however_many_endpoints_it_has() -> None:
    rows = [row([beat("no answer within 2 s", None, way="green", name=f"ask-{each}")] * 2) for each in range(6)]
    for each, made in enumerate(rows):
        made.endpoint = f"ask-{each}"
    told = [trouble for trouble in found(*rows[:5], row([beat(way="green")] * 2)) if trouble.key.startswith("silent")]
    assert [("shop on green (live)", "critical")] == [(each.subject, each.level) for each in told]
    assert "no answer from 5 of 6 endpoints, 2 rounds in a row (ask-0: no answer within 2 s)" == told[0].text


def test_what_fails_at_once_is_one_sentence_whatever_it_is_about() -> None:
    raised = [Raised(f"{at}", "critical", f"shop-{at}", "went wrong", START) for at in range(6)]
    assert "shop-0: went wrong; and 5 more alerts" == worst(raised)
    assert "shop-0: went wrong; and 1 more alert" == worst(raised[:2])
    assert "shop-0: went wrong" == worst(raised[:1])


def test_a_slow_endpoint_is_a_warning_after_its_bar_or_twice_its_baseline() -> None:
    slow, calm = row([beat(ms=2500.0)] * 6), row([beat(ms=300.0)] * 6)
    before = {("shop", "hello", "users"): Before(100, 90.0, 100.0)}
    assert ["p95 is 2,500 ms of the last 6 answers (bar 2,000 ms)"] == [each.text for each in found(slow)]
    assert [] == found(calm)
    told = "p95 is 300 ms of the last 6 answers, and was 100 ms of 100 before"
    assert [told] == [each.text for each in found(calm, before=before)]
    assert [] == found(row([beat(ms=30.0)] * 6), before={("shop", "hello", "users"): Before(100, 9.0, 10.0)})


# Rows and trends


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert (3.0, 5.0, 1.0) == (
        percentile([5, 1, 3, 2, 4], 50),
        percentile([5, 1, 3, 2, 4], 95),
        percentile([5, 1, 3, 2, 4], 0),
    )


@pytest.mark.parametrize(
    ("now", "was", "direction"),
    [(100, 100, "same"), (200, 100, "worse"), (50, 100, "better"), (12, 6, "same"), (120, 100, "same")],
)
def test_a_trend_compares_medians(now: float, was: float, direction: str) -> None:
    trend = row([beat(ms=now)] * 20).trend(Before(20, was, was))
    assert (direction, 20, now / was) == (trend.direction, trend.n, trend.ratio)


def test_too_few_answers_make_no_trend_and_none_before_are_said() -> None:
    assert "too few" == row([beat()] * 19).trend(Before(20, 1, 1)).direction
    assert "too few" == row([beat()] * 20).trend(Before(19, 1, 1)).direction
    assert "no baseline" == str(row([beat()] * 20).trend(None))


def test_an_error_is_neither_fast_nor_slow() -> None:
    assert [10.0] == row([beat(), beat("answered 503", 1.0)]).times


# What Kong says


def split(green: int, *, blue: int | None = None, **given: Any) -> Split:
    rest = 100 - green if blue is None else blue
    slots = {"blue": Slot("blue", "b:1", rest, release="old"), "green": Slot("green", "g:1", green, release="new")}
    return Split("shop", {**slots, "green": replace(slots["green"], **given)})  # type: ignore[dict-item]


def told(before: Split, now: Split) -> list[str]:
    fresh = frozenset({"shop"})
    return [text for _, text in news(Sight({"shop": before}, fresh), Sight({"shop": now}, fresh))]


def test_every_change_of_the_routing_is_news_once() -> None:
    hold = Hold("ann@ops", START, "logins fail")
    assert [] == told(split(100), split(100))
    assert ["weights went from blue 0 / green 100 to blue 100 / green 0", "release old serves instead of new"] == told(
        split(100), split(0)
    )
    assert ["held by ann@ops since 2026-03-01 03:00 UTC (logins fail)"] == told(split(100), split(100, hold=hold))
    assert ["the hold is released"] == told(split(100, hold=hold), split(100))
    assert ["move 1a to green is under way"] == told(split(100), split(100, move=MoveTag("1a", "blue", START)))


def test_what_serves_is_judged_beside_an_idle_colour_that_is_well() -> None:
    lane = Lane(upstream="shop", live="green", release="new", addresses={"blue": "b:1", "green": "g:1"})
    (alone,) = subjects({"shop": lane}, {"shop": split(100)}, {})
    (beside,) = subjects({"shop": lane}, {"shop": split(100)}, {"shop": "blue"})
    assert ("green", None) == (alone.candidate, alone.live)
    assert ("green", "blue", {"blue": "old", "green": "new"}) == (beside.candidate, beside.live, beside.releases)
    assert [] == subjects({"shop": lane}, {"shop": split(50)}, {})
    assert ["green"] == [each.candidate for each in subjects({"shop": lane}, {}, {})]


def test_an_onset_is_the_first_of_a_trouble_until_it_is_quiet() -> None:
    onset = Onset(2)
    onset.bad(START)
    onset.good()
    onset.bad(START + timedelta(seconds=1))
    assert START == onset.since
    onset.good()
    onset.good()
    assert onset.since is None


# The view


def picture(rows: int = 3, alerts: int = 0, notes: int = 0) -> Picture:
    made = Picture("shop.test", "0" * 16, Wish(), START, Baseline())
    for number in range(rows):
        for each in [beat(), beat("answered 503"), beat("no answer", None), beat(ms=25.0)] * 12:
            made.add(each.model_copy(update={"endpoint": f"an-endpoint-{number}"}))
    made.sight = Sight({"shop": split(100)}, frozenset({"shop"}))
    made.alarms.round(START, [Trouble(f"{at}", "critical", "shop", "broken " * 30) for at in range(alerts)])
    made.notes = ["a note " * 40] * notes
    return made


def drawn(given: Picture, width: int, height: int, *, ascii_only: bool = False) -> list[str]:
    console = Console(width=width, height=height, color_system=None, force_terminal=True, legacy_windows=False)
    with console.capture() as capture:
        console.print(screen(given, START + timedelta(seconds=65), width, height, ascii_only=ascii_only))
    return re.sub(r"\x1b\[[0-9;]*m", "", capture.get()).splitlines()


@pytest.mark.parametrize("size", [(80, 24), (360, 60), (60, 16), (120, 30), (40, 12)])
@pytest.mark.parametrize("rows", [0, 1, 8, 60])
@pytest.mark.parametrize("alerts", [0, 9])
def test_the_view_fits_its_terminal(size: tuple[int, int], rows: int, alerts: int) -> None:
    lines = drawn(picture(rows, alerts, 2), *size)
    assert all(len(line) <= size[0] for line in lines)
    assert len(lines) < max(size[1], 17)


@pytest.mark.parametrize(("width", "heads"), [(40, "way last errors"), (60, "way last p50 p95 errors")])
def test_a_narrow_terminal_shows_every_endpoints_whole_name_before_any_percentile(width: int, heads: str) -> None:
    made, names = picture(0), ("backend-answers", "backend-health")
    for name, way in [(name, way) for name in names for way in ("users", "green", "blue")]:
        for ms in (10.0, 1768.0, None):
            made.add(beat("" if ms else "no answer", ms, way=way, name=name))
    lines = drawn(made, width, 24)
    assert ["endpoint", *heads.split()] == lines[3].split()
    assert [*names] * 3 == [line.split()[0] for line in lines[4:10]]
    assert all(len(line) <= width for line in lines)
    assert "1:05 gone, 3:55 left" in lines[0]


def test_of_a_name_that_fits_nowhere_both_ends_are_shown() -> None:
    made = picture(0)
    for end in ("owner", "member"):
        made.add(beat(name=f"a-person-whose-invitation-was-lost-is-asked-again-as-{end}"))
    told = [line.split()[0] for line in drawn(made, 40, 24)[4:6]]
    assert [True, True] == [text.startswith("a-person") for text in told]
    assert ["owner", "member"] == [text.rpartition("-")[2] for text in told]


def test_the_view_says_without_colour_what_it_says_with_it() -> None:
    text = "\n".join(drawn(picture(1, 1), 120, 30))
    assert "test · release 0000000000000000 · 1:05 gone, 3:55 left" in text
    assert "verdict so far: none yet" in text
    assert "critical since 03:00:00: shop: broken" in text
    assert "▄×·█" in text
    assert "24/48" in text
    assert "green ███████████████ 100 %" in text


def test_a_terminal_without_unicode_gets_plain_signs() -> None:
    assert all(
        line.isascii() for line in drawn(picture(1), 80, 24, ascii_only=True) if "·" not in line and "…" not in line
    )
    assert ":x.#" == str(
        spark(row([beat(), beat("answered 503"), beat("no answer", None), beat(ms=25.0)]), 30, ascii_only=True)
    )


def test_open_alerts_are_told_the_worst_first() -> None:
    alarms = Alarms()
    alarms.round(START, [Trouble("a", "warning", "a", "slow"), Trouble("b", "critical", "b", "down")])
    first: Raised = alarms.open[0]
    assert "critical" == first.level
