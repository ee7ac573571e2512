"""Checks at the wire: what is asked, what counts as which result, and what nobody ever gets to see."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from bluegreen.http import Client
from bluegreen.measure.checks import AT_ONCE, NoWay, Result, Way, ask_all
from bluegreen.measure.spec import Check, misfits
from bluegreen.spec import problems
from tests.memory import Clock

KEY = "hunter2-and-more"
Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
USERS, GREEN = Way({}), Way({"X-Preview-Colour": "green"}, release="abc")
YOUNG = Way({"X-Preview-Colour": "green"}, release="abc", mark=("X-Preview", "backend-green"), young=True)


def check(**given: Any) -> Check:
    return Check.model_validate({"name": "hello", "app": "backend", "path": "/api/hello", "within": "30s", **given})


@asynccontextmanager
async def served(answer: Answering) -> AsyncIterator[Client]:
    """A gateway that answers everything with `answer`."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with Client("The gateway", f"http://127.0.0.1:{runner.addresses[0][1]}", secrets=[KEY]) as client:
            yield client
    finally:
        await runner.cleanup()


def asked(answer: Answering, *asked: tuple[Check, Way | NoWay], clock: Clock | None = None) -> list[Result]:
    async def ask() -> list[Result]:
        async with served(answer) as gateway:
            return await ask_all(asked, gateway, clock or Clock())

    return asyncio.run(ask())


def one(answer: Answering, way: Way | NoWay = USERS, **given: Any) -> Result:
    return asked(answer, (check(**given), way))[0]


def always(body: str = '{"app": "backend"}', status: int = 200, **headers: str) -> Answering:
    given = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body.encode(), status=status, headers=given)

    return answer


def seen(answer: Answering, **given: Any) -> tuple[str, str]:
    result = one(answer, **given)
    return result.status, result.observed


# What is asked


async def told(request: web.Request) -> web.StreamResponse:
    names = ("X-Probe", "apikey", "X-Preview-Colour", "Content-Type")
    asked = {name: request.headers[name] for name in names if name in request.headers}
    body = await request.json() if request.can_read_body else None
    said = {"method": request.method, "at": request.path_qs, "host": request.host, "asked": asked, "body": body}
    return web.json_response(said)


def test_a_check_sends_its_method_path_host_headers_and_body() -> None:
    result = one(
        told,
        method="POST",
        path="/api/teams?dry=1",
        host="velro.app",
        headers={"X-Probe": "yes"},
        body={"name": "x"},
        expect={
            "json": {
                "method": "POST",
                "at": "/api/teams?dry=1",
                "host": "velro.app",
                "asked": {"X-Probe": "yes", "Content-Type": "application/json"},
                "body": {"name": "x"},
            }
        },
    )
    assert (result.status, result.observed) == ("pass", "answered 200")


def test_the_headers_of_the_way_win_over_the_checks_own_whatever_their_case() -> None:
    result = one(
        told, Way({"apikey": "right"}), headers={"APIKEY": "wrong"}, expect={"json": {"asked": {"apikey": "right"}}}
    )
    assert result.status == "pass"


def test_an_options_request_is_judged_by_its_headers() -> None:
    answer = always("", 200, Access_Control_Allow_Origin="https://velro.app")
    expect = {"headers": {"access-control-allow-origin": "https://velro.app"}}
    assert one(answer, method="OPTIONS", expect=expect).status == "pass"


# What passes and what fails


@pytest.mark.parametrize(
    ("answer", "expect", "outcome"),
    [
        (always(), {}, ("pass", "answered 200")),
        (always(status=401), {"status": 401}, ("pass", "answered 401")),
        (always('{"error": "broken"}', 500), {}, ("fail", 'answered 500 {"error": "broken"}')),
        (always("", 301, Location="/x"), {}, ("fail", "answered 301")),
        (always(), {"status": 401}, ("fail", 'answered 200 {"app": "backend"}')),
        (always(), {"json": {"app": "frontend"}}, ("fail", 'json.app is "backend"')),
        (always(), {"json": {"app": "backend", "colour": "blue"}}, ("fail", "no json.colour")),
        (always('{"ids": [1, 2]}'), {"json": {"ids": [3]}}, ("fail", "no 3 in json.ids")),
        (always("<p>hello"), {"json": {}}, ("fail", "no JSON in the answer")),
        (always("[" * 200_000), {"json": {}}, ("fail", "no JSON in the answer")),
        (always(), {"contentType": "text/html"}, ("fail", "content type application/json")),
        (always(Content_Type="text/html; charset=utf-8"), {"contentType": "text/HTML"}, ("pass", "answered 200")),
        (
            always(Content_Type="text/html; charset=utf-8"),
            {"contentType": "text/html;charset=latin-1"},
            ("fail", "content type text/html; charset=utf-8"),
        ),
        (always(), {"headers": {"X-Release": "abc"}}, ("fail", "no header X-Release")),
        (always(X_Release="abd"), {"headers": {"x-release": "abc"}}, ("fail", "header x-release: abd")),
        (always(X_Release="abc"), {"headers": {"X-RELEASE": "abc"}}, ("pass", "answered 200")),
    ],
)
def test_an_answer_is_held_against_what_was_expected(
    answer: Answering, expect: Mapping[str, Any], outcome: tuple[str, str]
) -> None:
    assert seen(answer, expect=expect) == outcome


def test_every_difference_is_told_at_once() -> None:
    expect = {"contentType": "text/html", "headers": {"X-A": "1"}, "json": {"app": "frontend"}}
    assert (
        one(always(), expect=expect).observed == 'content type application/json; no header X-A; json.app is "backend"'
    )


def test_a_result_says_what_was_expected() -> None:
    expect = {"status": 201, "contentType": "text/html", "json": {"a": 1}, "headers": {"X-A": "1"}}
    assert one(always(), expect=expect, within="3s").expected == '201, text/html, JSON {"a": 1}, X-A: 1, within 3 s'


@pytest.mark.parametrize(
    ("status", "consumer", "hint"),
    [
        (401, None, "Name the `consumer` that asks."),
        (403, "web", "Check consumer web's key and groups."),
        (404, None, "Check the path, the host and the routes of backend."),
        (500, None, "Look at backend's logs, or correct what the check expects."),
    ],
)
def test_a_failure_says_where_to_look(status: int, consumer: str | None, hint: str) -> None:
    assert one(always("", status), consumer=consumer).hint == hint


def test_who_is_let_in_where_a_key_was_to_be_asked_for_points_at_the_gateway() -> None:
    open_door = one(always("", 200), expect={"status": 401})
    assert "bluegreen validate --only key-required" in open_door.hint
    assert "Look at backend's logs" in one(always("", 200), consumer="web", expect={"status": 401}).hint


def test_a_long_answer_is_cut() -> None:
    assert len(one(always("x" * 5000, 500)).observed) == 240


def test_what_an_app_answers_cannot_steer_a_terminal() -> None:
    assert one(always("\x1b[2Jgone", 500)).observed == "answered 500 ?[2Jgone"


# Errors, slowness, order


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def test_no_answer_is_an_error_in_the_words_of_the_transport() -> None:
    result = one(cut)
    assert result.status == "error"
    assert result.observed.startswith("The gateway did not answer GET /api/hello: ")
    assert result.hint.startswith("Check that The gateway is reachable at http://127.0.0.1:")


def test_a_body_that_never_ends_is_no_whole_answer() -> None:
    async def trickling(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in itertools.count():
            await response.write(b"more ")
            await asyncio.sleep(0.05)
        return response

    result = one(trickling, within="1s")
    assert (result.status, result.observed, result.seconds) == ("fail", "no whole answer within 1 s", 1.0)


def test_a_slow_check_fails_alone_and_every_result_keeps_its_place() -> None:
    async def slow_at_one_place(request: web.Request) -> web.StreamResponse:
        if request.path == "/slow":
            await asyncio.Event().wait()
        return web.json_response({})

    paths = [f"/{number}" for number in range(12)]
    paths[3] = "/slow"
    checks = [(check(name=f"n{number}", path=path), USERS) for number, path in enumerate(paths)]
    checks[3] = (check(name="n3", path="/slow", within="1s"), USERS)
    results = asked(slow_at_one_place, *checks)
    assert [result.id for result in results] == [f"n{number}" for number in range(12)]
    assert [result.id for result in results if result.status != "pass"] == ["n3"]


def test_never_more_than_a_few_requests_are_under_way() -> None:
    under_way, most = 0, 0
    full = asyncio.Event()

    async def counting(_: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == AT_ONCE:
            full.set()
        await full.wait()  # nobody is answered before as many as may be are there
        under_way -= 1
        return web.json_response({})

    results = asked(counting, *((check(name=f"n{number}"), USERS) for number in range(2 * AT_ONCE)))
    assert {result.status for result in results} == {"pass"}
    assert most == AT_ONCE


def test_each_request_comes_over_a_connection_of_its_own() -> None:
    peers: list[object] = []

    async def noting(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        return web.json_response({})

    asked(noting, *((check(name=f"n{number}"), USERS) for number in range(5)))
    assert len(set(peers)) == 5


def test_what_is_not_asked_is_told_with_its_reason_and_never_reaches_the_gateway() -> None:
    reached: list[str] = []

    async def noting(request: web.Request) -> web.StreamResponse:
        reached.append(request.path)
        return web.json_response({})

    result = one(noting, NoWay("skipped", "backend has no green block"))
    assert (result.status, result.observed, result.seconds, reached) == (
        "skipped",
        "backend has no green block",
        None,
        [],
    )


# One colour alone


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (always(X_Release="abc"), ("pass", "answered 200")),
        (always(X_Release="abd"), ("fail", "answered by release abd")),
        (always(), ("fail", "answered without the header X-Release")),
        (always("no", 500, X_Release="abc"), ("fail", "answered 500 no")),
        (always("no", 404, X_Release="abc"), ("fail", "answered 404 no")),
        (always("no", 503), ("fail", "answered 503 no; answered without the header X-Release")),
    ],
)
def test_of_a_colour_only_its_release_may_answer(answer: Answering, outcome: tuple[str, str]) -> None:
    result = one(answer, GREEN)
    assert (result.status, result.observed) == outcome


def test_a_way_that_is_not_in_force_yet_is_asked_for_again() -> None:
    answers = itertools.chain([404, 404], itertools.repeat(200))

    async def lagging(_: web.Request) -> web.StreamResponse:
        status = next(answers)
        return web.Response(
            status=status, headers={"X-Release": "abc", "X-Preview": "backend-green"} if status == 200 else {}
        )

    clock = Clock()
    assert [result.status for result in asked(lagging, (check(), YOUNG), clock=clock)] == ["pass"]
    assert (clock.now() - Clock().now()).total_seconds() == 0.5


def test_a_way_that_never_comes_into_force_fails_in_the_end() -> None:
    result = one(always('{"message":"no Route matched with those values"}', 404), YOUNG)
    assert (result.status, result.observed.rpartition("; ")[2]) == (
        "fail",
        "answered on another way than the preview's",
    )
    assert result.hint.startswith("Only release abc may answer here")


def test_an_answer_on_the_way_that_was_meant_is_not_asked_for_again() -> None:
    clock = Clock()
    answer = always("no", 404, X_Release="abc", X_Preview="backend-green")
    assert [result.observed for result in asked(answer, (check(), YOUNG), clock=clock)] == ["answered 404 no"]
    assert clock.now() == Clock().now()


def test_on_the_way_of_users_a_404_is_an_answer() -> None:
    count = itertools.count(1)

    async def counting(_: web.Request) -> web.StreamResponse:
        next(count)
        return web.Response(status=404)

    assert (one(counting).status, next(count)) == ("fail", 2)


# A page and its assets


def page(html: str, assets: Mapping[str, tuple[int, str]] = {}, release: str = "abc") -> Answering:
    async def answer(request: web.Request) -> web.StreamResponse:
        status, kind = (200, "text/html") if request.path == "/" else assets.get(request.path, (404, "text/plain"))
        return web.Response(
            status=status, text=html if request.path == "/" else "", content_type=kind, headers={"X-Release": release}
        )

    return answer


SCRIPT = '<script src="/app.js"></script><link rel="stylesheet" href="app.css"><img src="https://cdn.example/x.png">'


@pytest.mark.parametrize(
    ("assets", "outcome"),
    [
        ({"/app.js": (200, "text/javascript"), "/app.css": (200, "text/css")}, ("pass", "answered 200")),
        ({"/app.js": (200, "text/javascript")}, ("fail", "/app.css: answered 404")),
        (
            {"/app.js": (200, "text/html"), "/app.css": (200, "text/css")},
            ("fail", "/app.js: answered with a page instead of the asset"),
        ),
    ],
)
def test_every_asset_that_the_page_names_has_to_be_there(
    assets: Mapping[str, tuple[int, str]], outcome: tuple[str, str]
) -> None:
    assert seen(page(SCRIPT, assets), path="/", host="velro.app", expect={"assets": True}) == outcome


def test_many_missing_assets_are_counted() -> None:
    html = "".join(f'<img src="/{number}.png">' for number in range(9))
    expected = "/0.png: answered 404; /1.png: answered 404; /2.png: answered 404; and 6 more of 9 assets"
    assert seen(page(html), path="/", expect={"assets": True}) == ("fail", expected)


@pytest.mark.parametrize(
    ("answer", "observed"),
    [
        (page("<p>empty"), "the page names no script, stylesheet or image of its own"),
        (always(), "the answer is no HTML, so it names no assets"),
    ],
)
def test_a_page_without_assets_does_not_pass_for_one_whose_assets_are_there(answer: Answering, observed: str) -> None:
    assert seen(answer, path="/", expect={"assets": True}) == ("fail", observed)


def test_of_a_colour_the_assets_too_have_to_come_from_its_release() -> None:
    async def mixed(request: web.Request) -> web.StreamResponse:
        if request.path == "/":
            return web.Response(text=SCRIPT, content_type="text/html", headers={"X-Release": "abc"})
        release = "abc" if request.path == "/app.css" else "abd"
        return web.Response(text="", content_type="text/css", headers={"X-Release": release})

    result = one(mixed, GREEN, path="/", expect={"assets": True})
    assert (result.status, result.observed) == ("fail", "/app.js: answered by release abd")


def test_an_asset_that_does_not_answer_is_told_by_its_name() -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        if request.path == "/":
            return web.Response(text='<script src="/cut.js"></script><img src="/slow.png">', content_type="text/html")
        if request.path == "/cut.js":
            return await cut(request)
        await asyncio.Event().wait()
        return web.Response()

    status, observed = seen(half, path="/", within="2s", expect={"assets": True})
    assert status == "fail"
    assert observed.startswith("/cut.js: The gateway did not answer GET /cut.js: ")
    assert observed.endswith("; /slow.png: no whole answer within 2 s")


# Secrets


@pytest.mark.parametrize(
    "given",
    [
        {"expect": {"status": 418}},
        {"expect": {"json": {"asked": {"apikey": "another"}}}},
    ],
)
def test_a_key_that_the_app_answers_with_is_never_shown(given: Mapping[str, Any]) -> None:
    result = one(told, Way({"apikey": KEY}), **given)
    assert result.status == "fail"
    assert KEY not in result.model_dump_json()
    assert "***" in result.observed


def test_a_key_at_the_edge_of_a_cut_leaves_no_half_of_itself() -> None:
    shown = one(always("x" * 220 + KEY, 500)).observed
    assert KEY[:4] not in shown


# What may be written


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"path": "api"}, "path: String should match pattern"),
        ({"path": "/a b"}, "path: String should match pattern"),
        ({"host": "velro.app/x"}, "host: String should match pattern"),
        ({"within": "0s"}, "within is no time at all; write 2s or more"),
        ({"within": "fast"}, "within: 'fast' is not a span of time"),
        ({"headers": {"Host": "velro.app"}}, "write the Host header as `host`, beside `headers`"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "headers: names a header twice"),
        ({"headers": {"X-A": "ä"}}, "headers.X-A: String should match pattern"),
        ({"headers": {"X A": "1"}}, "headers.X A"),
        ({"method": "GET", "body": {}}, "GET carries no body"),
        ({"method": "HEAD", "expect": {"json": {}}}, "HEAD brings no JSON back"),
        ({"method": "POST", "expect": {"assets": True}}, "POST brings no page whose assets could be asked"),
        ({"method": "FETCH"}, "method: Input should be 'GET'"),
        ({"expect": {"status": 99}}, "expect.status: Input should be greater than or equal to 100"),
        ({"expect": {"contentType": "html"}}, "expect.contentType: 'html' is not a media type"),
        ({"expect": {"stauts": 200}}, "expect.stauts: unknown key"),
    ],
)
def test_a_check_that_cannot_be_asked_is_refused_by_its_path(given: Mapping[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError) as refused:
        check(**given)
    assert [text for text in problems(refused.value) if text.startswith(fault)] != []


def test_checks_of_one_stack_have_different_names_and_apps_that_exist() -> None:
    checks: Sequence[Check] = [check(), check(app="nobody"), check(name="other")]
    assert list(misfits(checks, ["backend"])) == [
        "checks[1].app: there is no app 'nobody'",
        "checks[1].name: 'hello' is the name of another check",
    ]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, ""),
        ({"consumer": "web", "expect": {"status": 401}}, ""),
        ({"expect": {"status": 401}}, "whether somebody without a key gets 401 is the gateway's doing"),
        ({"expect": {"status": 403}}, "whether somebody without a key gets 403 is the gateway's doing"),
        ({"method": "OPTIONS"}, "CORS is the gateway's doing"),
        ({"expect": {"headers": {"Access-Control-Allow-Origin": "*"}}}, "CORS is the gateway's doing"),
    ],
)
def test_what_the_gateway_itself_answers_says_nothing_about_a_colour(given: Mapping[str, Any], reason: str) -> None:
    assert check(**given).only_at_the_gateway == reason
