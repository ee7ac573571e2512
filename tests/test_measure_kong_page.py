"""What Kong counted: the page as a real Kong wrote it, resets, several nodes, and metrics that are not switched on."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from math import inf
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.analysis import Metric, Seen
from bluegreen.handler import Halt, Refused
from bluegreen.http import Client
from bluegreen.measure.kong_page import LATENCY, OVERHEAD, REQUESTS, Growth, Page, parse
from bluegreen.measure.meter import Sampling
from tests.measure_room import analysis, door, metric, subject, watched
from tests.memory import START, Clock

RECORDED = Path(__file__).parent / "recorded" / "kong_metrics.txt"
LATER = START + timedelta(seconds=30)


def page(*, node: str = "n1", ok: int = 0, bad: int = 0, quick: int = 0, slow: int = 0, service: str = "shop") -> str:
    """A page with requests that went well and badly, and answers within 25 ms or within 50 ms."""
    named = f'service="{service}",route="api"'
    codes = (("200", "service", ok), ("502", "kong", bad))
    lines = [f'kong_node_info{{node_id="{node}",version="3.9.1"}} 1'] if node else []
    lines += [f'{REQUESTS}{{{named},code="{c}",source="{s}",consumer=""}} {n}' for c, s, n in codes]
    for family in (LATENCY, OVERHEAD):
        for bound, count in (("25", quick), ("50", quick + slow), ("+Inf", quick + slow)):
            lines.append(f'{family}{{{named},workspace="default",le="{bound}"}} {count}')
    return "\n".join(lines) + "\n"


def grown(pages: Sequence[str], measures: str = "errors", service: str = "shop") -> Seen:
    growth = Growth(START)
    for text in pages:
        growth.add(parse(text))
    return growth.seen(service, measures, LATER)


def test_the_page_of_a_real_kong_is_read() -> None:
    read = parse(RECORDED.read_text())
    counts = read.services["admin-api"]
    assert "120af244-9bf6-4fab-862c-b86323ed3c59" == read.node
    assert (1, 1) == (counts[REQUESTS, "200"], counts[REQUESTS, "401"])
    assert (2, 1, 2) == (counts[LATENCY, "+Inf"], counts[OVERHEAD, "1"], counts[OVERHEAD, "+Inf"])
    assert {REQUESTS, LATENCY, OVERHEAD} == read.families


def test_only_what_came_since_the_first_look_is_seen() -> None:
    seen = grown([page(ok=100, bad=7, quick=50, slow=57), page(ok=190, bad=9, quick=100, slow=99)])
    assert Seen(requests=92, errors=2, buckets=((25.0, 50), (50.0, 92), (inf, 92))) == seen


def test_a_counter_that_was_not_there_before_began_at_zero() -> None:
    assert 3 == grown([page(service="other"), page(ok=2, bad=1)]).requests


def test_a_counter_that_went_down_counts_from_zero() -> None:
    seen = grown([page(ok=100, bad=5), page(ok=110, bad=6), page(ok=4, bad=1), page(ok=5, bad=1)])
    assert (11 + 5 + 1, 2) == (seen.requests, seen.errors)


def test_a_restart_counts_in_full_even_what_is_higher_than_before() -> None:
    seen = grown([page(ok=100, bad=1), page(ok=3, bad=20)])
    assert (23, 20) == (seen.requests, seen.errors)


def test_a_node_that_restarts_without_any_series_is_a_restart() -> None:
    assert 2 == grown([page(ok=9), 'kong_node_info{node_id="n1"} 1\n', page(ok=2)]).requests


def test_nodes_behind_one_address_are_added_up() -> None:
    pages = [page(node="a", ok=100), page(node="b", ok=5), page(node="a", ok=110), page(node="b", ok=6)]
    assert 11 == grown(pages).requests


def test_a_page_that_names_no_node_is_one_nodes() -> None:
    assert 7 == grown([page(node="", ok=3), page(node="", ok=10)]).requests


def test_routes_consumers_and_sources_of_one_service_are_added_up() -> None:
    text = "".join(
        f'{REQUESTS}{{service="shop",route="{route}",code="503",source="{source}",consumer=""}} 1\n'
        for route in ("a", "b")
        for source in ("kong", "service")
    )
    assert (4, 4) == (grown(["", text]).requests, grown(["", text]).errors)


def test_overhead_and_latency_are_counted_apart() -> None:
    before = page(ok=1, quick=0, slow=0)
    after = page(ok=9, quick=3, slow=2).replace(
        f'{OVERHEAD}{{service="shop",route="api",workspace="default",le="25"}} 3', ""
    )
    assert ((25.0, 3), (50.0, 5), (inf, 5)) == grown([before, after], "latency").buckets
    assert 5 == grown([before, after], "latency").requests
    assert ((50.0, 5), (inf, 5)) == grown([before, after], "overhead").buckets[-2:]


def test_an_app_without_traffic_is_no_error_while_others_have_some() -> None:
    assert Seen() == grown([page(service="other", ok=1), page(service="other", ok=2)])


def test_what_a_label_holds_is_read_as_it_was_meant() -> None:
    text = f'{REQUESTS}{{service="a\\"b\\\\c\\nd,e}}",code="200"}} 1.5e+03 1700000000000\n'
    assert {(REQUESTS, "200"): 1500.0} == dict(parse(text).services['a"b\\c\nd,e}'])


@pytest.mark.parametrize(
    "line",
    [
        REQUESTS + '{service="shop",code="200"} many',
        REQUESTS + '{service="shop",code="200"} NaN',
        REQUESTS + '{service="shop",code="200"} -1',
        REQUESTS + '{service="shop",code="200"} +Inf',
        REQUESTS + '{service="shop" code="200"} 1',
        REQUESTS + '{service="shop",code="200"',
        REQUESTS + "{service=shop} 1",
        LATENCY + '{service="shop"} 1',
        LATENCY + '{service="shop",le="soon"} 1',
    ],
)
def test_a_line_that_is_needed_and_malformed_is_told(line: str) -> None:
    with pytest.raises(Halt) as raised:
        parse("# a page\n" + line)
    assert raised.value.what == f"Line 2 of Kong's metrics page is no counter: {line}"


def test_what_is_not_needed_may_be_anything() -> None:
    assert {} == parse("<html>\nkong_bandwidth_bytes{what} ever\n# HELP " + REQUESTS + " x\n").services


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 50), st.integers(0, 50)), max_size=20))
def test_what_is_seen_is_the_sum_of_the_parts_between_restarts(steps: list[tuple[bool, int, int]]) -> None:
    growth, ok, bad, requests, errors = Growth(START), 100, 100, 0, 0
    growth.add(Page("n1", {"shop": {(REQUESTS, "200"): ok, (REQUESTS, "500"): bad}}))
    for restarted, more_ok, more_bad in steps:
        # Only a restart that shows can be seen: more than before, everywhere, looks like traffic.
        ok, bad = (0, 0) if restarted and more_ok < ok else (ok, bad)
        ok, bad, requests, errors = ok + more_ok, bad + more_bad, requests + more_ok + more_bad, errors + more_bad
        growth.add(Page("n1", {"shop": {(REQUESTS, "200"): ok, (REQUESTS, "500"): bad}}))
    seen = growth.seen("shop", "errors", LATER)
    assert (requests, errors) == (seen.requests, seen.errors)


def looks(pages: Sequence[tuple[int, str]], wanted: Metric, *, at: float = 30, configured: bool = True) -> list[Seen]:
    """One look at each page after the first, which is read when the watch begins."""

    async def measured() -> list[Seen]:
        left = list(pages)

        async def answer(_: web.Request) -> web.StreamResponse:
            status, text = left.pop(0)
            return web.Response(status=status, text=text)

        async with door(answer) as admin, Client("Kong's Admin API", admin.url) as client:

            async def metrics() -> str:
                answered = await client.probe("/metrics")
                if answered.status != 200:
                    raise Refused(f"Kong answered {answered.status}.", world="", next="")
                return answered.text

            clock = Clock()
            sampling = Sampling(admin.client, kong_metrics=metrics if configured else None)
            found = []
            async with sampling.watch(analysis(wanted), [subject()], clock) as watch:
                clock.at += timedelta(seconds=at)
                for _ in pages[1:]:
                    (look,) = await watch.look()
                    assert look.live is None
                    found.append(look.candidate)
            return found

    return asyncio.run(measured())


ERRORS = metric(kong={})


def test_a_watch_reads_the_page_when_it_begins_and_at_each_look() -> None:
    pages = [(200, page(ok=10)), (200, page(ok=20, bad=1)), (200, page(ok=30, bad=1))]
    assert [(11, 1), (21, 1)] == [(seen.requests, seen.errors) for seen in looks(pages, ERRORS)]


def test_a_page_that_is_not_to_be_had_is_told_and_the_next_look_goes_on() -> None:
    pages = [(200, page(ok=10)), (500, ""), (200, page(ok=30))]
    assert [Seen(error="Kong answered 500."), 20] == [
        seen if seen.error else seen.requests for seen in looks(pages, ERRORS)
    ]


def test_a_watch_that_began_without_a_page_counts_from_the_first_one() -> None:
    pages = [(500, ""), (200, page(ok=10)), (200, page(ok=12))]
    assert [0, 2] == [seen.requests for seen in looks(pages, ERRORS)]


NOTHING_YET = 'kong_node_info{node_id="n1"} 1\n'
WITHOUT_LATENCY = "".join(line for line in page(ok=1).splitlines(keepends=True) if "latency" not in line)


@pytest.mark.parametrize(
    ("text", "wanted", "setting"),
    [
        (NOTHING_YET, ERRORS, "status_code_metrics"),
        (WITHOUT_LATENCY, metric(kong={}, measures="latency"), "latency_metrics"),
        (WITHOUT_LATENCY, metric(kong={}, measures="overhead"), "latency_metrics"),
    ],
)
def test_metrics_that_are_not_switched_on_are_told_with_the_setting(text: str, wanted: Metric, setting: str) -> None:
    (seen,) = looks([(200, text), (200, text)], wanted)
    assert f"prometheus.{setting} is not true" in seen.error


def test_in_the_first_second_no_series_is_no_error() -> None:
    assert [Seen()] == looks([(200, NOTHING_YET), (200, NOTHING_YET)], ERRORS, at=1)


def test_a_page_that_cannot_be_read_is_told() -> None:
    (seen,) = looks([(200, page()), (200, REQUESTS + "{ 1")], ERRORS)
    assert seen.error == f"Line 1 of Kong's metrics page is no counter: {REQUESTS}{{ 1"


def test_without_an_admin_api_kong_tells_nothing() -> None:
    (seen,) = looks([(200, ""), (200, "")], ERRORS, configured=False)
    assert seen.error == "Kong's metrics cannot be read: no Admin API is configured."


def test_one_page_serves_every_metric_of_a_look() -> None:
    async def measured() -> Mapping[str, int]:
        asked = []

        async def metrics() -> str:
            asked.append(1)
            return page(ok=len(asked), quick=len(asked))

        wanted = (ERRORS, metric("latency", kong={}, measures="latency"))
        sampling = Sampling(lambda: Client("The gateway", "http://127.0.0.1:1"), kong_metrics=metrics)
        async with watched(sampling, *wanted) as (_, watch):
            found = {look.metric: look.candidate.requests for look in await watch.look()}
            return {**found, "pages": len(asked)}

    assert asyncio.run(measured()) == {"errors": 1, "latency": 1, "pages": 2}
