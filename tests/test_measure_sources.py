"""Numbers from elsewhere: what is asked, and which sentence stands for each way of having no number."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from bluegreen.analysis import Look, Metric
from bluegreen.measure.meter import Sampling
from bluegreen.measure.sources import Asked, filled
from bluegreen.postgres.number import number
from bluegreen.postgres.session import Database
from tests.database import database
from tests.measure_room import Answering, Door, analysis, door, metric, subject, watched

TOKEN = "hunter2-of-prometheus"
GREEN = Asked("shop", "green", "r-green", "30s")


def look(sampling: Sampling, wanted: Metric) -> Look:
    async def measured() -> Look:
        async with watched(sampling, wanted) as (_, watch):
            (found,) = await watch.look()
            return found

    return asyncio.run(measured())


def asked(answer: Answering, wanted: dict[str, Any]) -> tuple[Look, Door]:
    """One look at a metric whose `URL` is a server that answers like this, and what came to it."""

    async def measured() -> tuple[Look, Door]:
        async with door(answer) as server:
            text = json.dumps(wanted).replace("URL", server.url)
            async with watched(Sampling(server.client), metric(**json.loads(text))) as (_, watch):
                (found,) = await watch.look()
                return found, server

    return asyncio.run(measured())


def saying(body: Any, status: int = 200) -> Answering:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body))

    return answer


def vector(*values: str) -> dict[str, Any]:
    found = [{"metric": {}, "value": [1700000000.0, value]} for value in values]
    return {"status": "success", "data": {"resultType": "vector", "result": found}}


def prometheus(query: str = "up", **more: Any) -> dict[str, Any]:
    return {"prometheus": {"url": "URL/prom", "query": query}, **more}


def test_a_query_answers_one_number_about_the_candidate() -> None:
    found, server = asked(saying(vector("0.25")), prometheus('rate(x{c="$colour",r="$release"}[$window])'))
    assert (0.25, "", None) == (found.candidate.value, found.candidate.error, found.live)
    (request,) = server.requests
    assert ("/prom/api/v1/query", 'rate(x{c="green",r="r-green"}[30s])') == (request.path, request.query["query"])


def test_the_live_colour_is_asked_too_where_the_metric_compares() -> None:
    async def by_colour(request: web.Request) -> web.StreamResponse:
        return web.json_response(vector("2" if request.query["query"] == "x_green" else "1"))

    found, _ = asked(by_colour, prometheus("x_$colour", allowedIncrease=1.5))
    assert found.live is not None
    assert (2.0, 1.0) == (found.candidate.value, found.live.value)


def test_a_scalar_is_a_number() -> None:
    scalar = {"data": {"resultType": "scalar", "result": [1700000000.0, "7"]}}
    assert asked(saying(scalar), prometheus())[0].candidate.value == 7.0


def test_a_query_is_filled_in_and_other_dollar_signs_stay() -> None:
    query = '${app} $colour $$x label_replace(a, "b", "$1", "c", "^d$") $release/$window'
    assert filled(query, GREEN) == 'shop green $x label_replace(a, "b", "$1", "c", "^d$") r-green/30s'


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (vector(), 200, "The query answers nothing: is the metric spelt right, and does it have samples yet?"),
        (vector("1", "2"), 200, "The query answers 2 samples instead of one: sum them, or ask for one."),
        (
            vector("NaN"),
            200,
            "Metric errors answers nan, which is no number to judge by, as a division by no requests does.",
        ),
        (vector("+Inf"), 200, "Metric errors answers inf, which is no number to judge by."),
        (vector("much"), 200, "The query is no number."),
        ({"error": 'parse error: unexpected "}"'}, 400, 'Prometheus refuses the query: parse error: unexpected "}".'),
        ({"status": "success"}, 200, "What answers there is not Prometheus: its answer has no data.result."),
        ([1], 200, "What answers there is not Prometheus: its answer has no data.result."),
        (
            {"data": {"resultType": "matrix", "result": []}},
            200,
            "The query answers a matrix, and a vector of one sample or a scalar is needed.",
        ),
        ("no", 404, "Prometheus answered 404 to GET /api/v1/query: no."),
        ("<html>", 200, "Prometheus answered 200 to GET /api/v1/query: <html>."),
        ("", 503, "Prometheus answered 503 to GET /api/v1/query."),
    ],
)
def test_a_query_without_one_number_is_told_in_one_sentence(body: Any, status: int, error: str) -> None:
    found, _ = asked(saying(body, status), prometheus())
    assert (error, None) == (found.candidate.error, found.candidate.value)


def test_an_unknown_name_is_told_without_asking_anybody() -> None:
    found, server = asked(saying(vector("1")), prometheus("rate(x[$interval])"))
    assert server.requests == []
    assert found.candidate.error == (
        "A query names $interval; only $app, $colour, $release, $window are filled in (write $$ for a dollar sign)."
    )


def test_nobody_who_answers_is_told_in_one_sentence() -> None:
    found, _ = asked(saying(""), {"prometheus": {"url": "http://127.0.0.1:1", "query": "up"}})
    assert found.candidate.error.startswith("Prometheus cannot be reached at http://127.0.0.1:1: ")


async def abort(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def test_a_dropped_connection_is_told_in_one_sentence() -> None:
    found, _ = asked(abort, prometheus())
    assert found.candidate.error.startswith("Prometheus did not answer GET /api/v1/query: ")


def test_an_address_that_is_none_is_told_in_one_sentence() -> None:
    for url in ("http://[", "http://:80", "http://x:99999"):
        found, _ = asked(saying(""), {"http": {"url": url, "path": "a"}})
        assert found.candidate.error == "A metric's url is no address: write https://host/path."


def test_the_authorization_is_sent_and_never_shown() -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        said = f"{request.headers['Authorization']} and {TOKEN}"
        return web.json_response({"error": said}, status=400)

    for source in (prometheus(), {"http": {"url": "URL/x", "path": "a"}}):
        found, server = asked(echo, {**source, "authorization": f"Bearer {TOKEN}"})
        assert [f"Bearer {TOKEN}"] == [request.headers["Authorization"] for request in server.requests]
        assert TOKEN not in found.candidate.error
        assert "*** and ***" in found.candidate.error


def test_the_query_of_an_url_is_sent_and_never_shown() -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500, text=f"{request.path_qs}, {request.query['token']}, " + "x" * 500)

    found, server = asked(echo, {"http": {"url": "URL/x?of=1&token=se%2Bkret", "path": "a"}})
    assert ["/x?of=1&token=se%2Bkret"] == [request.raw_path for request in server.requests]
    assert found.candidate.error.startswith(f"{server.url} answered 500 to GET /x: ")
    assert [] == [text for text in ("of=1", "se+kret", "se%2Bkret") if text in found.candidate.error]
    found, _ = asked(abort, {"http": {"url": "URL/x?t=abc", "path": "a"}})
    assert found.candidate.error.startswith(f"{server.url.rpartition(':')[0]}:")
    assert "did not answer GET /x: " in found.candidate.error


def test_a_metrics_secret_is_hidden_in_whatever_is_said_of_it() -> None:
    found, _ = asked(saying({"a": {}}), {"http": {"url": "URL/x", "path": f"a.{TOKEN}"}, "authorization": TOKEN})
    assert found.candidate.error == "The answer has nothing at a.***: *** is not there."


def test_an_authorization_that_no_header_holds_is_told_without_it() -> None:
    found, server = asked(saying(""), prometheus(authorization="Bearer käse"))
    assert [] == server.requests
    assert found.candidate.error == "The authorization of metric errors holds characters that no header has."


def fetched(body: Any, path: str) -> Look:
    return asked(saying(body), {"http": {"url": "URL/stats?of=today", "path": path}})[0]


def test_a_number_is_found_at_a_dotted_path() -> None:
    found, server = asked(saying({"a": [{"b": 1}, {"b": 2.5}]}), {"http": {"url": "URL/s?of=1", "path": "a.1.b"}})
    assert (2.5, "/s?of=1") == (found.candidate.value, server.requests[0].path_qs)
    assert fetched(7, ".").candidate.error != ""
    assert fetched({"0": 3}, "0").candidate.value == 3.0


@pytest.mark.parametrize(
    ("body", "path", "error"),
    [
        ({"a": {}}, "a.b", "The answer has nothing at a.b: b is not there."),
        ({"a": [1]}, "a.1", "The answer has nothing at a.1: 1 is not there."),
        ({"a": 1}, "a.b", "The answer has nothing at a.b: b is not there."),
        ({"a": True}, "a", "The answer at a is a bool, and a number is needed."),
        ({"a": None}, "a", "The answer at a is nothing, and a number is needed."),
        ({"a": "7"}, "a", "The answer has text at a, and a number is needed."),
        ({"a": [1]}, "a", "The answer at a is a list, and a number is needed."),
        (
            '{"a": NaN}',
            "a",
            "Metric errors answers nan, which is no number to judge by, as a division by no requests does.",
        ),
        ('{"a": 1' + "0" * 400 + "}", "a", "The answer at a is no number."),
    ],
)
def test_an_answer_without_a_number_there_is_told_in_one_sentence(body: Any, path: str, error: str) -> None:
    assert fetched(body, path).candidate.error == error


def test_a_slow_source_is_asked_beside_the_others() -> None:
    async def measured() -> list[str]:
        both = asyncio.Barrier(2)

        async def meet(_: web.Request) -> web.StreamResponse:
            await both.wait()  # neither is answered before both were asked
            return web.json_response({"a": 1})

        async with door(meet) as server:
            wanted = [metric(name, http={"url": f"{server.url}/{name}", "path": "a"}) for name in ("one", "two")]
            async with watched(Sampling(server.client), *wanted) as (_, watch):
                return [found.metric for found in await watch.look() if found.candidate.value == 1.0]

    assert asyncio.run(measured()) == ["one", "two"]


def read(query: str) -> Look:
    url = database()
    return look(Sampling(Door().client, number=lambda text: number(Database(url), text)), metric(sql={"query": query}))


@pytest.mark.parametrize("query", ["select 2.5", "select 2.5::numeric", "select 2.5::float8 as x;"])
def test_a_query_of_the_database_answers_one_number(query: str) -> None:
    assert 2.5 == read(query).candidate.value


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("select 1 where false", "The query answers no row instead of one number."),
        ("select * from generate_series(1, 3)", "The query answers 3 rows instead of one number."),
        ("select 1, 2", "The query answers 1 row of 2 columns instead of one number."),
        ("select null::int", "The query answers null, and a number is needed."),
        ("select 'x'", "The query answers a str, and a number is needed."),
        ("select true", "The query answers a bool, and a number is needed."),
        ("select * from nothing", 'The database refuses the query: relation "nothing" does not exist.'),
        ("select pg_sleep(60)", "The query was not answered within 2 s."),
        (
            "create table made (id int)",
            "The query would write, and a metric only reads: cannot execute CREATE TABLE in a read-only transaction.",
        ),
        (
            "commit; create table made (id int); select 1",
            "The database refuses the query: cannot insert multiple commands into a prepared statement.",
        ),
        (
            "select 'NaN'::float8",
            "Metric errors answers nan, which is no number to judge by, as a division by no requests does.",
        ),
    ],
)
def test_a_query_of_the_database_without_one_number_is_told_in_one_sentence(query: str, error: str) -> None:
    assert read(query).candidate.error == error


def test_a_database_out_of_reach_is_told_in_one_sentence() -> None:
    away = Database("postgresql://me:hush@127.0.0.1:1/shop")
    found = look(Sampling(Door().client, number=lambda text: number(away, text)), metric(sql={"query": "select 1"}))
    assert found.candidate.error == "Postgres cannot be reached at 127.0.0.1:1/shop: Connection refused."


def test_without_a_database_a_query_is_told_as_such() -> None:
    found = look(Sampling(Door().client), metric(sql={"query": "select 1"}))
    assert found.candidate.error == "Metric errors asks the database, and none is configured."


def test_time_of_the_analysis_is_the_window_of_a_query() -> None:
    of = analysis(metric(http={"url": "http://x", "path": "a"}))
    longer = of.model_copy(update={"duration": timedelta(minutes=2)})
    assert ["30s", "120s"] == [Asked.of(subject(), "green", each).window for each in (of, longer)]
