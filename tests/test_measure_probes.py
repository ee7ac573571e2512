"""Requests of our own: when they are sent, what of an answer is an error, and that nothing stays behind."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from math import inf

import pytest
from aiohttp import web

from bluegreen.analysis import Question, Seen
from bluegreen.handler import Refused
from bluegreen.http import Client
from bluegreen.measure import sampler
from bluegreen.measure.meter import Sampling
from bluegreen.measure.tally import BOUNDS, Tally
from tests.kong_room import application
from tests.measure_room import (
    PATIENT,
    Answering,
    Hand,
    analysis,
    as_they_should,
    colour_of,
    door,
    looked,
    metric,
    subject,
    watched,
    well,
)

NEVER = 3600.0  # seconds; longer than any test
PROBE = metric(probe={"rps": 10.0})


def have(requests: int) -> Callable[[Seen], bool]:
    return lambda seen: seen.requests >= requests


def after(seconds: float, answer: Answering, *, patience: float = PATIENT) -> tuple[Seen, Seen, str]:
    """What was seen of green and of blue after ten probes a second for so long, and what was wrong with green."""

    async def measured() -> tuple[Seen, Seen, str]:
        async with (
            door(answer) as gateway,
            watched(Sampling(gateway.client, patience=patience), PROBE) as (clock, watch),
        ):
            await clock.move(seconds)
            sent = round(seconds * 10) + 1
            (look,) = await looked(watch, have(sent))
            while look.live is None or look.live.requests < sent:
                (look,) = await watch.look()
            return look.candidate, look.live, watch.told("shop", "green")

    return asyncio.run(measured())


def green(status: int, **headers: str) -> Answering:
    """Green answers like this, blue as it should."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers) if colour_of(request) == "green" else well(request)

    return answer


def test_both_colours_get_the_same_number_of_requests() -> None:
    candidate, live, told = after(2, as_they_should)
    assert ((21, 0), (21, 0), "") == ((candidate.requests, candidate.errors), (live.requests, live.errors), told)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (green(503), "11 answered 503"),
        (green(404, **{"X-Release": "r-green"}), "11 answered 404"),
        (green(200, **{"X-Release": "r-blue"}), "11 answered by release r-blue"),
        (green(200), "11 without the header X-Release"),
    ],
)
def test_an_error_is_another_status_or_another_release(answer: Answering, told: str) -> None:
    candidate, live, what = after(1, answer)
    assert ((11, 11), (11, 0), told) == ((candidate.requests, candidate.errors), (live.requests, live.errors), what)


def test_a_server_error_is_an_error_even_where_it_is_expected() -> None:
    async def measured() -> Seen:
        asked = subject(questions=[Question(path="/", status=503)])
        async with door(green(503)) as gateway, watched(Sampling(gateway.client), PROBE, by=asked) as (clock, watch):
            await clock.move(0)
            return (await looked(watch, have(1)))[0].candidate

    assert asyncio.run(measured()).errors == 1


def test_a_dropped_connection_is_an_error_slower_than_anything() -> None:
    async def drop(request: web.Request) -> web.StreamResponse:
        if colour_of(request) == "green" and request.transport is not None:
            request.transport.abort()
        return well(request)

    candidate, live, told = after(1, drop)
    assert (11, (60000.0, 0), (inf, 11)) == (candidate.errors, candidate.buckets[-2], candidate.buckets[-1])
    assert (0, "11 no answer") == (live.errors, told)


def test_no_answer_in_time_is_an_error_slower_than_anything() -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        if colour_of(request) == "green":
            await asyncio.Event().wait()
        return well(request)

    candidate, _, told = after(1, hang, patience=0.3)
    assert (11, 0, 11) == (candidate.errors, candidate.buckets[-2][1], candidate.buckets[-1][1])
    assert told == "11 no answer within 0.3 s"


def test_a_release_that_flaps_is_seen_as_often_as_it_does() -> None:
    asked: list[int] = []

    async def flap(request: web.Request) -> web.StreamResponse:
        asked.append(1)
        return well(request, 503 if len(asked) % 2 else 200)

    async def measured() -> Seen:
        alone = subject(live=False)
        async with door(flap) as gateway, watched(Sampling(gateway.client), PROBE, by=alone) as (clock, watch):
            await clock.move(1.9)
            (look,) = await looked(watch, have(20))
            assert look.live is None
            return look.candidate

    seen = asyncio.run(measured())
    assert (20, 10) == (seen.requests, seen.errors)


def test_a_slow_answer_delays_no_other_request() -> None:
    async def measured() -> tuple[int, Seen, Seen]:
        let_go, came = asyncio.Event(), []

        async def first_is_slow(request: web.Request) -> web.StreamResponse:
            came.append(request)
            if len(came) == 1:
                await let_go.wait()
            return well(request)

        alone = subject(live=False)
        async with door(first_is_slow) as gateway:
            async with watched(Sampling(gateway.client, patience=PATIENT), PROBE, by=alone) as (clock, watch):
                await clock.move(0)
                await looked(watch, lambda _: len(came) == 1)
                await clock.move(3)
                before = (await looked(watch, have(30)))[0].candidate
                let_go.set()
                return len(came), before, (await looked(watch, have(31)))[0].candidate

    came, before, seen = asyncio.run(measured())
    assert (31, 30, 31) == (came, before.requests, seen.requests)
    assert (2000.0, 30) == seen.buckets[8]
    assert (5000.0, 31) == seen.buckets[9]


def test_a_request_that_is_due_while_64_are_under_way_is_an_error() -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return well(request)

    async def measured() -> tuple[Seen, str]:
        alone = subject(live=False)
        async with door(hang) as gateway:
            async with watched(Sampling(gateway.client, patience=PATIENT), PROBE, by=alone) as (clock, watch):
                await clock.move(6.9)
                return (await looked(watch, have(6)))[0].candidate, watch.told("shop", "green")

    seen, told = asyncio.run(measured())
    assert (6, 6, (inf, 6)) == (seen.requests, seen.errors, seen.buckets[-1])
    assert told == "6 not sent in time (64 were under way)"


def test_a_latency_falls_into_kongs_classes() -> None:
    async def measured() -> Seen:
        async def slow(request: web.Request) -> web.StreamResponse:
            clock.at += timedelta(milliseconds=300)
            return well(request)

        alone = subject(live=False)
        async with door(slow) as gateway, watched(Sampling(gateway.client), PROBE, by=alone) as (clock, watch):
            await clock.move(0)
            return (await looked(watch, have(1)))[0].candidate

    expected = [(bound, int(bound >= 400)) for bound in BOUNDS]
    assert expected == list(asyncio.run(measured()).buckets)


def test_a_latency_at_the_edge_of_a_class_is_within_it() -> None:
    tally = Tally()
    tally.answered(25.0)
    assert (25.0, 1) == tally.seen().buckets[0]


def test_what_was_wrong_is_told_by_frequency_and_the_rest_is_summed() -> None:
    tally = Tally()
    for fault, times in (("a", 1), ("b", 4), ("c", 3), ("d", 2)):
        for _ in range(times):
            tally.answered(1.0, fault)
    assert tally.told() == "4 b, 3 c, 2 d, 1 for other reasons"


def test_a_look_waits_a_moment_for_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "SETTLING", PATIENT)  # a moment that suffices on a busy computer, too

    async def measured() -> int:
        async with door() as gateway, watched(Sampling(gateway.client), PROBE) as (clock, watch):
            await clock.move(1)
            (look,) = await watch.look()
            return look.candidate.requests

    assert 11 == asyncio.run(measured())


def test_metrics_of_one_app_share_one_stream_at_the_highest_rate() -> None:
    async def measured() -> tuple[int, list[int]]:
        metrics = (metric("a", probe={"rps": 5.0}), metric("b", measures="latency", probe={"rps": 10.0}))
        async with door() as gateway, watched(Sampling(gateway.client), *metrics) as (clock, watch):
            await clock.move(1)
            looks = await looked(watch, have(11))
            return gateway.came["green"], [look.candidate.requests for look in looks]

    assert (11, [11, 11]) == asyncio.run(measured())


def test_every_app_has_a_stream_of_its_own() -> None:
    async def measured() -> list[tuple[str, int]]:
        clock = Hand()
        other = replace(subject(live=False), app="pages")
        async with door() as gateway:
            both = [subject(live=False), other]
            async with Sampling(gateway.client).watch(analysis(PROBE), both, clock) as watch:
                await clock.asleep(2)
                await clock.move(1)
                looks = await looked(watch, have(11))
                while looks[1].candidate.requests < 11:
                    looks = await watch.look()
                return [(look.app, look.candidate.requests) for look in looks]

    assert [("shop", 11), ("pages", 11)] == asyncio.run(measured())


def test_every_other_request_comes_over_a_new_connection() -> None:
    async def measured() -> int:
        alone = subject(live=False)
        async with door() as gateway, watched(Sampling(gateway.client), PROBE, by=alone) as (clock, watch):
            for turn in range(20):
                await clock.move(0.1 if turn else 0)
                await looked(watch, have(turn + 1))
            return len(set(gateway.peers))

    assert 11 == asyncio.run(measured())  # ten new ones, and one that is kept


def test_every_question_is_asked_in_turn_with_its_host_and_the_way_to_the_colour() -> None:
    async def measured() -> list[tuple[str, str, str]]:
        asked = subject(questions=[Question(path="/a?b=1", host="shop.test"), Question(path="/c")])
        async with door() as gateway, watched(Sampling(gateway.client), PROBE, by=asked) as (clock, watch):
            for turn in range(3):
                await clock.move(0.1 if turn else 0)
                await looked(watch, have(turn + 1))
            return [
                (request.path_qs, request.host.partition(":")[0], colour_of(request))
                for request in gateway.requests
                if colour_of(request) == "green"
            ]

    assert asyncio.run(measured()) == [
        ("/a?b=1", "shop.test", "green"),
        ("/c", "127.0.0.1", "green"),
        ("/a?b=1", "shop.test", "green"),
    ]


def test_a_standstill_of_our_own_is_no_error_and_no_burst() -> None:
    async def measured() -> tuple[Seen, Seen]:
        alone = subject(live=False)
        async with door() as gateway, watched(Sampling(gateway.client), PROBE, by=alone) as (clock, watch):
            await clock.asleep(1)
            clock.at += timedelta(minutes=10)
            await clock.move(0)
            asleep = (await looked(watch, have(2)))[0].candidate
            await clock.move(1)
            return asleep, (await looked(watch, have(12)))[0].candidate

    asleep, awake = asyncio.run(measured())
    assert [(2, 0), (12, 0)] == [(asleep.requests, asleep.errors), (awake.requests, awake.errors)]


def test_nothing_is_sent_once_somebody_asked_to_stop() -> None:
    async def measured() -> int:
        async with door() as gateway, watched(Sampling(gateway.client), PROBE) as (clock, watch):
            await clock.move(0)
            await looked(watch, have(1))
            clock.cancelled = True
            for _, waking in clock.sleepers:
                waking.set_result(None)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            pacer = [task for task in others if "_pace" in repr(task)]
            await asyncio.wait(pacer, timeout=PATIENT)
            return gateway.came["green"]

    assert 1 == asyncio.run(measured())


async def left(leave: Callable[[], Awaitable[None]]) -> tuple[set[object], set[object]]:
    """The tasks before watching and after leaving it with requests under way."""

    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return well(request)

    async with door(hang) as gateway:
        before: set[object] = set(asyncio.all_tasks())
        try:
            endless = Sampling(lambda: Client("The gateway", gateway.url, read=NEVER), patience=NEVER)
            async with asyncio.timeout(PATIENT), watched(endless, PROBE) as (clock, watch):
                await clock.move(1)
                await looked(watch, lambda _: gateway.came["green"] == 11)
                await leave()
        finally:
            serving: set[object] = {task for task in asyncio.all_tasks() if "RequestHandler" in repr(task)}
            after: set[object] = {task for task in asyncio.all_tasks() if task not in serving}
    return before, after


def test_leaving_ends_every_request() -> None:
    async def at_once() -> None:
        return None

    before, after = asyncio.run(left(at_once))
    assert before == after


def test_leaving_closes_every_connection() -> None:
    async def measured() -> int:
        async with application("green") as app:
            sampling = Sampling(lambda: Client("The gateway", f"http://127.0.0.1:{app.port}"))
            async with watched(sampling, PROBE, by=subject(live=False)) as (clock, watch):
                await clock.move(3)
                await looked(watch, have(31))
            async with asyncio.timeout(PATIENT):
                for writer in app.connections:
                    await writer.wait_closed()
            assert watch.told("shop", "green")  # what was seen outlives the connections
            return len(app.connections)

    assert 16 < asyncio.run(measured())


def test_what_ends_a_watch_from_inside_comes_out_as_it_was() -> None:
    async def refuse() -> None:
        raise Refused("Enough.", world="", next="")

    with pytest.raises(Refused, match="Enough"):
        asyncio.run(left(refuse))


def unprobed(gateway: Callable[[], Client], questions: tuple[Question, ...] = (Question(path="/"),)) -> str:
    async def measured() -> str:
        async with watched(Sampling(gateway), PROBE, by=subject(questions=questions)) as (_, watch):
            (look,) = await watch.look()
            assert (look.candidate.requests, look.live and look.live.error) == (0, look.candidate.error)
            return look.candidate.error

    return asyncio.run(measured())


def test_a_gateway_that_is_not_configured_is_told_as_such() -> None:
    def closed() -> Client:
        raise Refused("The address of Kong's proxy is not configured.", world="", next="")

    assert unprobed(closed) == "The address of Kong's proxy is not configured."


def test_an_app_with_nothing_to_ask_is_told_as_such() -> None:
    told = unprobed(lambda: Client("The gateway", "http://127.0.0.1:1"), ())
    assert told == "shop cannot be probed: it has neither a check by GET nor a health check."


def test_a_gateway_that_nobody_reaches_is_an_error_at_every_request() -> None:
    async def measured() -> Seen:
        async with watched(Sampling(lambda: Client("The gateway", "http://127.0.0.1:1")), PROBE) as (clock, watch):
            await clock.move(1)
            return (await looked(watch, have(11)))[0].candidate

    seen = asyncio.run(measured())
    assert (11, 11, "") == (seen.requests, seen.errors, seen.error)


def test_a_gateway_that_is_not_trusted_says_nothing_about_a_release() -> None:
    async def measured() -> str:
        async with door() as plain:
            # A server without TLS where TLS is asked for: nothing about the release is known.
            def client() -> Client:
                return Client("The gateway", plain.url.replace("http://", "https://"))

            async with watched(Sampling(client), PROBE) as (clock, watch):
                await clock.move(0)
                (look,) = await looked(watch, lambda seen: bool(seen.error or seen.errors))
                return look.candidate.error

    assert "TLS" in asyncio.run(measured())
