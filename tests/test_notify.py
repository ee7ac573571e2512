"""Events are told at once, arrive in order, and never hold up or end a release."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from pydantic import JsonValue

from bluegreen.event import Event, Kind
from bluegreen.handler import Refused
from bluegreen.notify.audience import Audience
from bluegreen.notify.sender import WAITING, Notifier
from bluegreen.notify.slack import slack
from bluegreen.notify.webhook import payload, webhook

SECRET = "/services/T0/B0/hunter2"
AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
LONG = 60.0  # seconds: longer than any test, so that it is never what ends a wait

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


def event(text: str = "backend: green 5 %", kind: Kind = "step-completed", **facts: Any) -> Event:
    return Event(kind, "shop.production", text, AT, app="backend", facts=facts)


@dataclass
class Listener:
    """An audience on a real port: keeps what it was sent, in its order, and answers as it is told."""

    answer: Answering
    heard: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def texts(self) -> list[str]:
        return [body["text"] for body in self.heard]

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path_qs)
        self.heard.append(await request.json())
        return await self.answer(request)


def always(status: int) -> Answering:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="ok")  # Slack's own answer: no JSON

    return answer


def statuses(*given: int) -> Answering:
    left = iter(given)

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=next(left))

    return answer


def until(opened: asyncio.Event) -> Answering:
    async def answer(_: web.Request) -> web.StreamResponse:
        await opened.wait()
        return web.Response(text="ok")

    return answer


async def resetting(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@contextlib.asynccontextmanager
async def listening(answer: Answering, path: str = SECRET) -> AsyncIterator[Listener]:
    listener = Listener(answer)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", listener.take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    listener.url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    try:
        yield listener
    finally:
        await runner.cleanup()


def notifier(
    *audiences: Audience, complaints: list[str] | None = None, patience: float = LONG, farewell: float = LONG
) -> Notifier:
    told = complaints if complaints is not None else []
    return Notifier(audiences, complain=told.append, patience=patience, farewell=farewell)


def telling(answer: Answering, events: Sequence[Event]) -> tuple[Listener, list[str]]:
    """What a listener heard of these events, and what was complained of at the end."""

    async def run() -> tuple[Listener, list[str]]:
        complaints: list[str] = []
        async with listening(answer) as listener:
            told = notifier(webhook(listener.url, run="r1"), complaints=complaints)
            for each in events:
                told.tell(each)
            await told.close()
        return listener, complaints

    return asyncio.run(run())


def counted(audience: Audience) -> tuple[Audience, list[Event]]:
    """The audience, and its events as often as they were tried: some tries are over before they arrive anywhere."""
    tries: list[Event] = []

    def body(event: Event) -> JsonValue:
        tries.append(event)
        return audience.body(event)

    return replace(audience, body=body), tries


def numbered(count: int) -> list[Event]:
    return [event(str(number)) for number in range(count)]


def test_every_event_arrives_in_the_order_it_was_told() -> None:
    listener, complaints = telling(always(200), numbered(20))
    assert listener.texts == [str(number) for number in range(20)]
    assert set(listener.paths) == {SECRET}
    assert complaints == []


def test_a_webhook_gets_the_whole_event_as_json() -> None:
    listener, _ = telling(always(204), [event(weight=5, bound=float("inf"))])
    assert listener.heard == [payload(event(weight=5, bound=None), "r1")]


def test_a_release_goes_on_while_an_audience_has_not_answered() -> None:
    async def run() -> list[str]:
        release_is_over = asyncio.Event()  # only then does the audience answer: a release that waits never gets there
        async with listening(until(release_is_over)) as listener:
            told = notifier(webhook(listener.url, run="r1"))
            for each in numbered(5):
                told.tell(each)
                await asyncio.sleep(0)
            release_is_over.set()
            await told.close()
            return listener.texts

    assert asyncio.run(run()) == ["0", "1", "2", "3", "4"]


def test_events_are_sent_while_the_release_goes_on_and_not_only_at_its_end() -> None:
    async def run() -> list[str]:
        arrived = asyncio.Event()

        async def answer(_: web.Request) -> web.StreamResponse:
            arrived.set()
            return web.Response()

        async with listening(answer) as listener:
            told = notifier(webhook(listener.url, run="r1"))
            told.tell(event("first"))
            await arrived.wait()
            heard = listener.texts
            told.tell(event("second"))
            await told.close()
            return heard + listener.texts

    assert asyncio.run(run()) == ["first", "first", "second"]


def test_an_audience_that_hangs_holds_up_no_other() -> None:
    async def run() -> tuple[list[str], list[str]]:
        others_were_told = asyncio.Event()  # before that the first audience answers nothing

        async def answer(_: web.Request) -> web.StreamResponse:
            if len(channel.heard) == 3:
                others_were_told.set()
            return web.Response(text="ok")

        async with listening(until(others_were_told)) as hanging, listening(answer) as channel:
            told = notifier(webhook(hanging.url, run="r1"), slack(channel.url))
            for each in numbered(3):
                told.tell(each)
            await others_were_told.wait()
            await told.close()
        return channel.texts, hanging.texts

    lines, bodies = asyncio.run(run())
    assert lines == [f"📈 shop.production: {number}" for number in range(3)]
    assert bodies == ["0", "1", "2"]


def test_what_does_not_fit_into_the_queue_is_dropped_and_counted() -> None:
    listener, complaints = telling(always(200), numbered(WAITING + 6))
    assert listener.texts == [str(number) for number in range(WAITING)]
    assert complaints == ["6 of 70 notifications did not arrive: the webhook was 64 events behind (6)."]


def test_an_error_of_theirs_is_tried_once_more() -> None:
    listener, complaints = telling(statuses(503, 200, 200), numbered(2))
    assert listener.texts == ["0", "0", "1"]
    assert complaints == []


def test_an_error_of_theirs_is_never_tried_a_third_time() -> None:
    listener, complaints = telling(always(500), numbered(2))
    assert listener.texts == ["0", "0", "1", "1"]
    assert complaints == ["2 of 2 notifications did not arrive: the webhook answered 500 (2)."]


@pytest.mark.parametrize("status", [302, 400, 404, 410, 429])
def test_a_refusal_is_not_tried_again(status: int) -> None:
    listener, complaints = telling(always(status), [event()])
    assert len(listener.heard) == 1
    assert complaints == [f"1 of 1 notification did not arrive: the webhook answered {status} (1)."]


def test_an_audience_that_hangs_is_asked_twice_and_given_up() -> None:
    async def run() -> tuple[int, list[str]]:
        complaints: list[str] = []
        async with listening(until(asyncio.Event())) as listener:
            to, tries = counted(webhook(listener.url, run="r1"))
            told = notifier(to, complaints=complaints, patience=0.05)
            told.tell(event())
            await told.close()
        return len(tries), complaints

    complaint = "1 of 1 notification did not arrive: the webhook did not answer within 0.05 s (1)."
    assert asyncio.run(run()) == (2, [complaint])


def test_a_connection_that_is_reset_is_told_without_the_address() -> None:
    listener, complaints = telling(resetting, [event()])
    assert len(listener.heard) == 2
    assert [text.partition("POST ***")[0] for text in complaints] == [
        "1 of 1 notification did not arrive: the webhook did not answer "
    ]
    assert "hunter2" not in complaints[0]


def test_an_audience_that_is_down_is_told_without_its_path() -> None:
    async def run(port: int) -> list[str]:
        complaints: list[str] = []
        told = notifier(slack(f"http://127.0.0.1:{port}{SECRET}?key=hunter3"), complaints=complaints)
        for each in numbered(2):
            told.tell(each)
        await told.close()
        return complaints

    with socket.socket() as taken:  # and never listened on, so that nobody else can
        taken.bind(("127.0.0.1", 0))
        complaints = asyncio.run(run(taken.getsockname()[1]))
    assert complaints == [
        "2 of 2 notifications did not arrive: Slack did not answer POST ***: All connection attempts failed (2)."
    ]


def test_an_audience_without_tls_is_asked_once_and_told_without_login_and_path() -> None:
    async def run() -> tuple[int, list[str], str]:
        complaints: list[str] = []
        async with listening(always(200)) as listener:
            host = listener.url.removeprefix("http://").removesuffix(SECRET)
            to, tries = counted(slack(f"https://ana:hunter4@{host}{SECRET}"))
            told = notifier(to, complaints=complaints)
            told.tell(event())
            await told.close()
        return len(tries), complaints, host

    tries, complaints, host = asyncio.run(run())
    complaint = (
        f"1 of 1 notification did not arrive: Slack cannot be reached at https://***@{host}: "
        "what listens there does not speak TLS (1)."
    )
    assert (tries, complaints) == (1, [complaint])


def test_each_reason_is_told_with_its_count() -> None:
    _, complaints = telling(statuses(404, 200, 500, 500, 404, 200, 200), numbered(6))
    assert complaints == [
        "3 of 6 notifications did not arrive: the webhook answered 404 (2); the webhook answered 500 (1)."
    ]


def test_closing_gives_up_on_what_an_audience_does_not_take_in_time() -> None:
    async def run() -> tuple[list[str], list[str]]:
        complaints: list[str] = []
        begun = asyncio.Event()

        async def answer(request: web.Request) -> web.StreamResponse:
            begun.set()
            return await until(asyncio.Event())(request)

        async with listening(answer) as listener:
            told = notifier(webhook(listener.url, run="r1"), complaints=complaints, farewell=0.05)
            for each in numbered(4):
                told.tell(each)
            await begun.wait()
            await told.close()
        return listener.texts, complaints

    complaint = "4 of 4 notifications did not arrive: the webhook did not take them in time (4)."
    assert asyncio.run(run()) == (["0"], [complaint])


def test_an_end_that_is_itself_cancelled_leaves_nothing_running() -> None:
    async def run() -> int:
        begun, never = asyncio.Event(), asyncio.Event()

        async def answer(request: web.Request) -> web.StreamResponse:
            begun.set()
            return await until(never)(request)

        async with listening(answer) as listener:
            told = notifier(webhook(listener.url, run="r1"))
            told.tell(event())
            closing = asyncio.create_task(told.close())
            await begun.wait()
            closing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await closing
            return sum("Line." in str(task.get_coro()) for task in asyncio.all_tasks())

    assert asyncio.run(run()) == 0


def test_what_did_not_arrive_is_told_once_and_more_can_be_told_afterwards() -> None:
    async def run() -> list[str]:
        async with listening(statuses(404, 200, 410)) as listener:
            told = notifier(webhook(listener.url, run="r1"))
            said = []
            for each in numbered(3):
                told.tell(each)
                said.append(await told.settle())
            await told.close()
            return said

    assert asyncio.run(run()) == [
        "1 of 1 notification did not arrive: the webhook answered 404 (1).",
        "",
        "1 of 1 notification did not arrive: the webhook answered 410 (1).",
    ]


def test_what_is_told_before_anything_runs_is_sent_at_the_end() -> None:
    async def run() -> list[str]:
        async with listening(always(200)) as listener:
            told = notifier(webhook(listener.url, run="r1"))
            await asyncio.to_thread(told.tell, event("from a thread without a loop"))
            await told.close()
            return listener.texts

    assert asyncio.run(run()) == ["from a thread without a loop"]


def test_an_event_that_cannot_be_spelled_out_is_counted_and_ends_nothing() -> None:
    listener, complaints = telling(always(200), [event("\ud800"), event("fine")])
    assert listener.texts == ["fine"]
    assert complaints == [
        "1 of 2 notifications did not arrive: the webhook was not asked: UnicodeEncodeError in the event (1)."
    ]


def test_without_audiences_nobody_is_told_and_nobody_complains() -> None:
    async def run() -> list[str]:
        complaints: list[str] = []
        told = notifier(complaints=complaints)
        told.tell(event())
        await told.close()
        return complaints

    assert asyncio.run(run()) == []


def test_the_path_and_the_query_of_an_address_are_kept_as_they_are() -> None:
    async def run(path: str) -> list[str]:
        async with listening(always(200), path) as listener:
            told = notifier(webhook(listener.url, run="r1"))
            told.tell(event())
            await told.close()
            return listener.paths

    paths = ["/hook/", "/hook/?token=a%2Fb", "/", "/T0/B0"]
    assert [asyncio.run(run(path)) for path in paths] == [[path] for path in paths]


@pytest.mark.parametrize(
    "url",
    ["hooks.example/x", "ftp://hooks.example/x", "https://", "https://host:99999/x", "https://ho st/x", "https://[x"],
)
@pytest.mark.parametrize(("make", "setting"), [(slack, "slackUrl"), (lambda url: webhook(url, run="r1"), "webhookUrl")])
def test_an_address_that_is_none_is_refused_without_being_shown(
    url: str, make: Callable[[str], Audience], setting: str
) -> None:
    with pytest.raises(Refused) as refused:
        make(url)
    assert str(refused.value) == (
        f"bluegreen:{setting} is not an address that anything can be sent to. Nothing was changed. "
        "Set it (with --secret) to the whole address, such as https://hooks.example/T0/B0."
    )
