"""What a watch makes of a world in which things go away, come back, break and are moved by others: its real engine.

Time passes when everybody waits (`monitor_world.py`), so nothing here depends on a machine.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from bluegreen.gateway import Hold, MoveTag
from bluegreen.journal import Analysed, Looked, Pulse
from bluegreen.monitor.document import Monitored, ReturnTold
from tests.memory import START
from tests.monitor_world import World, during, watched


def levels(told: Monitored, level: str = "critical") -> list[str]:
    return [each.subject for each in told.alerts if each.level == level]


def between(first: float, last: float) -> Callable[[float], bool]:
    return lambda seconds: first <= seconds < last


def test_what_is_well_passes() -> None:
    told = watched(World())
    assert ("pass", 0) == (told.verdict, told.exit)
    assert (25, 0) == (told.rounds, told.skipped)
    assert () == told.alerts
    assert told.judged.n > 1000


def test_a_fault_that_heals_stays_a_failure_and_every_alert_is_resolved() -> None:
    told = watched(World(green=during(30, 60)))
    assert ("fail", 10) == (told.verdict, told.exit)
    assert {"shop on green (live)", "shop on the way of users"} == set(levels(told))
    assert all(each.resolved for each in told.alerts if each.level == "critical")
    assert told.timings.detect_ms is not None
    assert 0 < told.timings.detect_ms <= 11_000
    assert 25 == told.rounds


def test_a_failure_takes_traffic_back_and_says_that_users_are_well() -> None:
    world = World(green=during(30, 1e9))
    told = watched(world, returns=True)
    assert ("fail", 11) == (told.verdict, told.exit)
    assert told.rollback is not None
    assert told.rollback.well
    assert {"blue": 100, "green": 0} == world.weights("shop")
    assert 100.0 == told.timings.rollback_ms


def test_what_hangs_on_when_traffic_is_back_is_not_said_to_answer_again() -> None:
    told = watched(World(green=during(30, 1e9, instead=None)), returns=True)
    assert 11 == told.exit
    assert ["hello on the way of users"] == [each.subject for each in told.alerts if each.text == "answers again"]


def test_a_way_back_to_a_colour_that_is_not_well_is_not_gone() -> None:
    world = World(green=during(30, 1e9), blue=during(30, 1e9))
    told = watched(world, returns=True)
    assert 10 == told.exit
    assert told.rollback is not None
    assert told.rollback.refused
    assert "shop's blue was not well in the last round either (hello: answered 503)." in told.rollback.said
    assert {"blue": 0, "green": 100} == world.weights("shop")


def test_where_both_colours_are_ill_nobody_is_told_to_go_back() -> None:
    both = during(30, 60)
    world = World(green=both, blue=both)
    assert 10 == watched(world).exit
    assert "Nothing was moved, and no way back would have helped: shop's blue was not well" in world.advice
    assert "rollback" not in world.advice


def test_where_the_idle_colour_is_well_whoever_moved_nothing_is_told_how_to_go_back() -> None:
    world = World(green=during(30, 60), blue=during(70, 90))  # what is ill later was well when it mattered
    assert 10 == watched(world).exit
    assert "Nothing was moved: bluegreen rollback full --reason … takes traffic back." == world.advice


def test_rows_that_are_another_stacks_by_now_are_moved_by_nobody() -> None:
    def taken(world: World, seconds: float) -> None:
        if seconds >= 20:
            for colour, slot in world.rows["shop"].items():
                world.rows["shop"][colour] = replace(slot, owner="shop.other")

    world = World(green=during(30, 1e9), meanwhile=taken)
    told = watched(world, returns=True)
    assert told.rollback is not None
    assert "shop's rows in Kong belong to shop.other, not to shop.test." in told.rollback.said
    assert {"blue": 0, "green": 100} == world.weights("shop")


# Whatever goes away


@pytest.mark.parametrize("gone", [(31, 33.5), (31, 52), (33.3, 37.1), (30, 61), (8.05, 30), (0.5, 40)])
@pytest.mark.parametrize("returns", [False, True])
def test_the_network_from_here_may_be_away_for_any_time_without_a_release_being_blamed(
    gone: tuple[float, float], returns: bool
) -> None:
    dark = between(*gone)
    world = World(proxy_dark=dark, admin_dark=dark)
    told = watched(world, returns=returns)
    assert ("pass", 0) == (told.verdict, told.exit), (told.sentence, world.said)
    assert [] == levels(told) + levels(told, "warning")
    assert told.rollback is None
    assert {"blue": 0, "green": 100} == world.weights("shop")


def test_an_absence_that_a_round_met_is_in_the_document() -> None:
    dark = between(31, 52)
    told = watched(World(proxy_dark=dark, admin_dark=dark))
    assert (
        "03:00:35: Nothing answers, Kong's Admin API included: the network from here may be away. What happens "
        "meanwhile is not known.",
        "03:00:55: There are answers again.",
    ) == told.notes


def test_a_network_that_stays_away_makes_the_watch_inconclusive() -> None:
    dark = between(31, 1e9)
    world = World(proxy_dark=dark, admin_dark=dark)
    told = watched(world, returns=True)
    assert ("inconclusive", 13) == (told.verdict, told.exit)
    assert "nothing was judged: nothing answered here, Kong's Admin API included" in told.sentence
    assert told.rollback is None
    assert 1 == sum(isinstance(entry, Analysed) for entry in world.entries)  # not once for every second of it


def test_a_release_that_breaks_while_the_network_is_away_fails_when_it_is_back() -> None:
    dark = between(31, 52)
    world = World(proxy_dark=dark, admin_dark=dark, green=during(40, 1e9))
    told = watched(world, returns=True)
    assert ("fail", 11) == (told.verdict, told.exit)


def test_a_proxy_that_has_never_answered_is_no_releases_fault() -> None:
    told = watched(World(proxy_dark=between(0, 1e9)), returns=True)
    assert ("error", 13) == (told.verdict, told.exit)
    assert "nothing has ever answered through the proxy (bluegreen:kongProxyUrl)" in told.sentence
    assert ([], None) == (levels(told), told.rollback)


def test_a_proxy_that_goes_away_alone_is_an_outage_and_no_way_back_helps() -> None:
    world = World(proxy_dark=between(31, 80))
    told = watched(world, returns=True)
    assert ("fail", 10) == (told.verdict, told.exit)
    assert told.rollback is not None
    assert "nothing answers through the gateway, so no colour can be told to be well." in told.rollback.said


def test_a_live_colour_that_hangs_is_told_apart_from_the_network() -> None:
    told = watched(World(green=during(31, 1e9, instead=None), admin_dark=between(31, 70)))
    assert "fail" == told.verdict
    assert "hello on green (live)" in levels(told)


def test_an_admin_api_that_is_away_alone_changes_nothing() -> None:
    world = World(admin_dark=between(20, 60))
    told = watched(world)
    assert ("pass", 0) == (told.verdict, told.exit)
    assert {} in [entry.weights for entry in world.entries if isinstance(entry, Pulse)]


def test_a_way_back_waits_for_an_admin_api_that_is_away() -> None:
    world = World(green=during(30, 1e9), admin_dark=between(20, 70))
    told = watched(world, returns=True)
    assert ("fail", 11) == (told.verdict, told.exit)
    assert told.timings.rollback_ms is not None
    assert told.timings.rollback_ms > 20_000  # the wait is a part of how long it took
    assert any(text.startswith("Traffic is to go back, and Kong's Admin API does not answer") for text in world.said)


# Whoever else is at work


def test_a_rollout_under_way_is_left_to_its_own_judge_and_that_is_said() -> None:
    def step(world: World, seconds: float) -> None:
        if seconds >= 20 and not world.rows["shop"]["blue"].weight:
            mark = MoveTag("ab12", "green", START + timedelta(minutes=10))
            world.to("blue", 25, move=mark)
            world.to("green", 75)

    world = World(blue=during(30, 1e9), green=during(30, 1e9), meanwhile=step)
    told = watched(world, returns=True)
    assert ("fail", 10) == (told.verdict, told.exit)
    assert told.rollback is not None
    assert "move ab12 of shop to blue is under way, and whoever makes it judges it" in told.rollback.said
    assert {"blue": 25, "green": 75} == world.weights("shop")


def test_a_mark_past_its_time_was_left_by_nobody_alive_and_bars_nothing() -> None:
    def begin(world: World, seconds: float) -> None:
        if 1 <= seconds and world.rows["shop"]["blue"].move is None and world.rows["shop"]["blue"].weight == 0:
            world.to("blue", 0, move=MoveTag("ab12", "green", START))

    told = watched(World(green=during(30, 1e9), meanwhile=begin), returns=True)
    assert 11 == told.exit


def test_traffic_that_somebody_else_took_back_in_time_is_no_longer_judged_by_what_was_before() -> None:
    """Green breaks, and is out of traffic before anybody could say so; blue is well, and nothing goes back to green."""

    def back(world: World, seconds: float) -> None:
        if seconds >= 33 and not world.rows["shop"]["blue"].weight:
            world.to("blue", 100)
            world.to("green", 0, rejected=True)

    world = World(green=during(31, 33), meanwhile=back)
    told = watched(world, returns=True)
    assert ("pass", 0, None) == (told.verdict, told.exit, told.rollback)
    assert {"shop": "blue"} == told.judged.colours
    assert {"blue": 100, "green": 0} == world.weights("shop")


def test_what_failed_has_to_serve_still_when_traffic_goes_back() -> None:
    """Somebody is quicker by the moment between the last look and the way back."""
    world = World(green=during(30, 1e9))

    def gone(given: World, why: str) -> ReturnTold:
        raise AssertionError(why)

    def say(text: str) -> None:
        if text.startswith("fail, "):
            world.to("blue", 100, hold=Hold("ann@ops", START, "logins fail"))
            world.to("green", 0)

    world.hearing, world.returns = say, gone
    told = watched(world, returns=True)
    assert 10 == told.exit
    assert told.rollback is not None
    assert "by now blue serves shop, held by ann@ops" in told.rollback.said
    assert {"shop": {"blue": 100, "green": 0}} == told.weights


# Whoever stops it


@pytest.mark.parametrize("at", [0.0, 2.0, 17.0, 40.5])
def test_whoever_stops_it_at_any_time_gets_a_report(at: float) -> None:
    def stop(world: World, seconds: float) -> None:
        world.cancelled = world.cancelled or seconds >= at

    told = watched(World(meanwhile=stop))
    assert ("inconclusive", 143, "SIGTERM") == (told.verdict, told.exit, told.interrupted)
    assert told.rounds == 1 + int(at // 5)


def test_a_stop_while_traffic_goes_back_lets_it_arrive() -> None:
    world = World(green=during(30, 1e9))

    def stopped(given: World, why: str) -> ReturnTold:
        given.cancelled, given.returns = True, None
        given.to("blue", 100)
        given.to("green", 0)
        return ReturnTold(done=True, said="Traffic is back.", apps={"shop": "blue"}, seconds=0.1)

    world.returns = stopped
    told = watched(world, returns=True)
    assert (11, "SIGTERM") == (told.exit, told.interrupted)


def test_every_look_is_written_down_but_those_that_saw_nothing() -> None:
    dark = between(31, 52)
    world = World(proxy_dark=dark, admin_dark=dark)
    watched(world)
    looks = [entry for entry in world.entries if isinstance(entry, Looked)]
    assert looks
    assert not any(fault for entry in looks for samples in entry.samples.values() for _, _, _, fault in samples)
