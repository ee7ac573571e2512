"""The one door to HTTP: what is repeated, what an error says, what is never shown."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bluegreen.http import (
    ApiError,
    Client,
    Conflict,
    LostReply,
    Method,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreachable,
)

SECRET = "hunter2"
Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(answer: Answering) -> AsyncIterator[Client]:
    """A client of a real server that answers everything with `answer`."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with Client("The API", f"http://127.0.0.1:{port}", secrets=[SECRET], read=2.0) as client:
            yield client
    finally:
        await runner.cleanup()


def always(status: int, text: str = "{}", **headers: str) -> Answering:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return answer


def failure(answer: Answering, *, write: bool) -> ApiError:
    async def call() -> ApiError:
        async with served(answer) as client:
            with pytest.raises(ApiError) as raised:
                await client.call("POST" if write else "GET", "/things", {} if write else None, writes=write)
            return raised.value

    return asyncio.run(call())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, NotFound),
        (409, Conflict),
        (429, RateLimited),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
def test_a_status_is_an_error_of_its_kind_in_three_beats(status: int, kind: type[ApiError]) -> None:
    error = failure(always(status, '{"message": "no"}'), write=False)
    assert type(error) is kind
    assert error.what == f'The API answered {status} to GET /things: {{"message": "no"}}.'
    assert error.world == "Nothing was changed."


def test_a_success_that_is_not_json_is_no_success() -> None:
    assert type(failure(always(200, "<html>"), write=False)) is Unavailable


def test_a_server_error_on_a_write_leaves_open_whether_it_happened() -> None:
    assert failure(always(502, ""), write=True).world == "Whether it took effect is unknown."


def test_retry_after_is_told_in_seconds() -> None:
    error = failure(always(429, "{}", **{"Retry-After": "7"}), write=False)
    assert isinstance(error, RateLimited)
    assert error.retry_after == 7.0


def test_an_error_keeps_the_headers_of_its_answer_and_shows_none() -> None:
    error = failure(always(429, "{}", **{"X-RateLimit-Remaining": "0"}), write=False)
    assert (error.headers["x-ratelimit-remaining"], "atelimit" in str(error).lower()) == ("0", False)


def test_a_secret_in_an_answer_is_never_shown() -> None:
    error = failure(always(400, f'{{"message": "key {SECRET} is bad"}}'), write=True)
    assert SECRET not in str(error)
    assert "key *** is bad" in str(error)


def test_a_long_body_is_cut() -> None:
    assert len(failure(always(400, '"' + "x" * 5000 + '"'), write=False).what) < 400


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def test_a_reply_that_is_lost_on_a_write_says_to_look_first() -> None:
    error = failure(cut, write=True)
    assert (type(error), error.world, error.next) == (
        LostReply,
        "Whether it took effect is unknown.",
        "Look at its state first.",
    )


def test_a_reply_that_is_lost_on_a_read_changed_nothing() -> None:
    assert type(failure(cut, write=False)) is Unavailable


def test_nobody_listening_is_unreachable() -> None:
    async def call() -> ApiError:
        async with Client("The API", "http://127.0.0.1:1") as client:
            with pytest.raises(Unreachable) as raised:
                await client.write("POST", "/things", {})
            return raised.value

    assert "The API cannot be reached at http://127.0.0.1:1" in asyncio.run(call()).what


def test_a_read_is_repeated_until_it_goes_well_and_a_write_never_is() -> None:
    seen: list[str] = []

    async def twice_busy(request: web.Request) -> web.StreamResponse:
        seen.append(request.method)
        return web.json_response({"n": len(seen)}, status=503 if len(seen) < 3 else 200)

    async def reads() -> object:
        async with served(twice_busy) as client:
            return (await client.read("/things")).json

    async def writes() -> None:
        async with served(twice_busy) as client:
            with pytest.raises(Unavailable):
                await client.write("POST", "/things", {})

    assert (asyncio.run(reads()), seen) == ({"n": 3}, ["GET", "GET", "GET"])
    seen.clear()
    asyncio.run(writes())
    assert seen == ["POST"]


def test_a_refusal_is_not_repeated() -> None:
    seen: list[str] = []

    async def missing(request: web.Request) -> web.StreamResponse:
        seen.append(request.method)
        return web.json_response({}, status=404)

    async def reads() -> None:
        async with served(missing) as client:
            with pytest.raises(NotFound):
                await client.read("/things")

    asyncio.run(reads())
    assert seen == ["GET"]


def reads_of(retry_after: str) -> tuple[RateLimited, int]:
    """The error of a read that is always told to come back later, and how many calls it took."""
    seen: list[str] = []

    async def limited(request: web.Request) -> web.StreamResponse:
        seen.append(request.method)
        return web.Response(status=429, text="{}", headers={"Retry-After": retry_after})

    async def reads() -> RateLimited:
        async with served(limited) as client:
            with pytest.raises(RateLimited) as raised:
                await client.read("/things")
            return raised.value

    return asyncio.run(reads()), len(seen)


def test_a_read_that_is_asked_to_wait_for_an_hour_says_so_at_once() -> None:
    error, calls = reads_of("3600")
    assert (calls, error.retry_after, error.next) == (1, 3600.0, "Try again in 60 min.")


def test_a_read_that_is_asked_to_come_back_at_once_is_repeated() -> None:
    error, calls = reads_of("0")
    assert (calls, error.next) == (4, "Try again in 0 s.")


def test_a_fresh_client_stays_on_one_connection_and_says_which() -> None:
    async def call() -> list[str]:
        async with served(always(200)) as client:
            answers = []
            for _ in range(2):
                async with client.fresh() as line:
                    answers += [await client.call("GET", "/", writes=False, client=line) for _ in range(2)]
            return [answer.connection for answer in answers]

    first, again, second, last = asyncio.run(call())
    assert (first, second) == (again, last)
    assert first != second


def test_an_answer_after_which_the_server_closes_is_an_answer_over_a_connection_of_its_own() -> None:
    async def call() -> list[str]:
        async with served(always(200, Connection="close")) as client, client.fresh() as line:
            answers = [await client.call("GET", "/", writes=False, client=line) for _ in range(2)]
            return [answer.connection for answer in answers]

    first, second = asyncio.run(call())
    assert first != second


def test_a_probe_hands_over_whatever_status_came() -> None:
    async def call() -> int:
        async with served(always(503, "busy")) as client:
            return (await client.probe("/health")).status

    assert asyncio.run(call()) == 503


def test_at_most_ten_calls_of_a_client_are_under_way_and_the_rest_wait_their_turn() -> None:
    under_way, most = 0, 0
    ten = asyncio.Event()

    async def counted(_: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == 10:
            ten.set()
        await ten.wait()
        under_way -= 1
        return web.json_response({})

    async def scene() -> list[int]:
        async with served(counted) as client:
            answers = await asyncio.gather(*(client.write("POST", "/things", {}) for _ in range(35)))
            return [answer.status for answer in answers]

    assert (asyncio.run(scene()), most) == ([200] * 35, 10)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_no_write_is_repeated_whatever_its_method(method: Method) -> None:
    seen: list[str] = []

    async def busy(request: web.Request) -> web.StreamResponse:
        seen.append(request.method)
        return web.json_response({}, status=503)

    async def writes() -> None:
        async with served(busy) as client:
            with pytest.raises(Unavailable):
                await client.write(method, "/things/1", {})

    asyncio.run(writes())
    assert seen == [method]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_that_is_busy_is_asked_again(status: int) -> None:
    statuses = [status, 200]

    async def recovering(_: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=statuses.pop(0))

    async def reads() -> int:
        async with served(recovering) as client:
            return (await client.read("/things")).status

    assert asyncio.run(reads()) == 200


def test_a_server_that_comes_up_late_is_reached_by_a_read() -> None:
    async def scene() -> int:
        answered = web.Application()
        answered.router.add_get("/things", always(200))
        runner = web.AppRunner(answered)
        await runner.setup()
        with socket.socket() as taken:  # bound and not listening: connections are refused
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            async with Client("The API", f"http://127.0.0.1:{port}") as client:
                with pytest.raises(Unreachable):
                    await client.call("GET", "/things", writes=False)
                reading = asyncio.create_task(client.read("/things"))
                taken.listen()
                await web.SockSite(runner, taken).start()
                try:
                    return (await reading).status
                finally:
                    await runner.cleanup()

    assert asyncio.run(scene()) == 200
