"""Faults as every stand-in shows them: which requests they hit, and what a client then sees."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import ValidationError

from sandbox.faults import Answer, Fault, Faults, Lag, Reset, Where


class Stand:
    """A minimal stand-in: it counts what reached its handler."""

    def __init__(self, faults: Faults) -> None:
        self.handled = 0
        self.base = ""
        self.faults = faults

    async def handle(self, request: web.Request) -> web.Response:
        self.handled += 1
        if request.path == "/refused":
            raise web.HTTPConflict
        return web.Response(text=await request.text())


@contextlib.asynccontextmanager
async def stand(faults: Faults | None = None) -> AsyncIterator[tuple[Stand, aiohttp.ClientSession]]:
    faults = faults or Faults()
    here = Stand(faults)
    app = web.Application(middlewares=[faults.middleware()])
    app.add_routes(faults.routes())
    app.router.add_route("*", "/{any:.*}", here.handle)
    runner = web.AppRunner(app, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    here.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as session:
            yield here, session
    finally:
        await runner.cleanup()


async def outcome(session: aiohttp.ClientSession, method: str, url: str, data: str = "") -> int | str:
    """The status, or `broken` if no answer arrived."""
    try:
        async with session.request(method, url, data=data) as answer:
            await answer.read()
            return answer.status
    except aiohttp.ClientError:
        return "broken"


async def armed(session: aiohttp.ClientSession, base: str, name: str, fault: dict[str, Any]) -> Any:
    async with session.put(f"{base}/__faults/{name}", json=fault) as answer:
        return await answer.json()


async def tried(fault: dict[str, Any], *requests: tuple[str, str]) -> tuple[list[int | str], int]:
    async with stand() as (here, session):
        await armed(session, here.base, "f", fault)
        return [await outcome(session, method, here.base + path) for method, path in requests], here.handled


def test_a_fault_hits_once_unless_told_otherwise() -> None:
    fault = {"effect": {"kind": "answer", "status": 503}}
    assert ([503, 200], 1) == asyncio.run(tried(fault, ("GET", "/a"), ("GET", "/a")))


def test_a_fault_without_limit_hits_until_it_is_disarmed() -> None:
    async def scenario() -> list[int | str]:
        async with stand() as (here, session):
            await armed(
                session, here.base, "f", {"where": {"times": None}, "effect": {"kind": "answer", "status": 500}}
            )
            before = [await outcome(session, "GET", here.base) for _ in range(3)]
            removed = await outcome(session, "DELETE", f"{here.base}/__faults/f")
            return [*before, removed, await outcome(session, "GET", here.base)]

    assert [500, 500, 500, 204, 200] == asyncio.run(scenario())


def test_some_requests_pass_before_a_fault_hits() -> None:
    fault = {"where": {"skip": 1, "times": 2}, "effect": {"kind": "answer", "status": 503}}
    assert ([200, 503, 503, 200], 2) == asyncio.run(tried(fault, *[("GET", "/a")] * 4))


def test_only_requests_of_the_method_and_path_are_hit() -> None:
    where = {"method": "PATCH", "path": "/upstreams/*/targets/*", "times": None}
    requests = [("GET", "/upstreams/b/targets/1"), ("PATCH", "/upstreams/b"), ("PATCH", "/upstreams/b/targets/1")]
    fault = {"where": where, "effect": {"kind": "answer", "status": 409}}
    assert ([200, 200, 409], 2) == asyncio.run(tried(fault, *requests))


def test_only_requests_whose_body_holds_the_words_are_hit_and_the_others_arrive_whole() -> None:
    async def scenario() -> tuple[list[int | str], str]:
        async with stand() as (here, session):
            where = {"method": "PATCH", "body": '"weight":0'}
            await armed(session, here.base, "f", {"where": where, "effect": {"kind": "answer", "status": 409}})
            bodies = ['{"weight":100}', '{"weight":0}', '{"weight":0}']
            seen = [await outcome(session, "PATCH", here.base, body) for body in bodies]
            async with session.patch(here.base, data=bodies[0]) as answer:
                return seen, await answer.text()

    assert ([200, 409, 200], '{"weight":100}') == asyncio.run(scenario())


def test_words_of_a_body_count_for_skip_and_times() -> None:
    faults = Faults()
    faults.arm("f", Fault(where=Where(body="ü", skip=1), effect=Reset()))
    bodies = ("ü", "u", "aüb", "ü")
    assert [None, None, Reset(), None] == [faults.take("PUT", "/a", body.encode()) for body in bodies]


HOLD = {"effect": {"kind": "hold"}}


async def hits(session: aiohttp.ClientSession, base: str, number: int) -> None:
    """Returns once the fault `f` has hit this many requests."""
    while True:
        async with session.get(f"{base}/__faults/f") as answer:
            if (await answer.json())["hits"] == number:
                return


@pytest.mark.parametrize("again", [None, HOLD, {"effect": {"kind": "reset"}}])
def test_a_held_request_goes_on_once_its_fault_is_deleted_or_armed_again(again: dict[str, Any] | None) -> None:
    async def scenario() -> tuple[int, bool, int | str, int]:
        async with stand() as (here, session):
            await armed(session, here.base, "f", HOLD)
            asking = asyncio.ensure_future(outcome(session, "PATCH", here.base))
            await hits(session, here.base, 1)
            before = here.handled, asking.done()
            if again is None:
                await outcome(session, "DELETE", f"{here.base}/__faults/f")
            else:
                await armed(session, here.base, "f", again)
            return *before, await asking, here.handled

    assert (0, False, 200, 1) == asyncio.run(scenario())


def test_a_held_request_stays_held_while_other_faults_come_and_go_and_others_pass() -> None:
    async def scenario() -> tuple[int | str, bool, int | str]:
        async with stand() as (here, session):
            await armed(session, here.base, "f", HOLD)
            asking = asyncio.ensure_future(outcome(session, "PATCH", here.base))
            await hits(session, here.base, 1)
            await armed(session, here.base, "other", {"where": {"path": "/b"}, "effect": {"kind": "reset"}})
            await outcome(session, "DELETE", f"{here.base}/__faults/other")
            passed = await outcome(session, "GET", here.base)
            held = not asking.done()
            await outcome(session, "DELETE", f"{here.base}/__faults")
            return passed, held, await asking

    assert (200, True, 200) == asyncio.run(scenario())


def test_a_reset_breaks_the_connection_before_anything_happens() -> None:
    assert (["broken"], 0) == asyncio.run(tried({"effect": {"kind": "reset"}}, ("PATCH", "/a")))


def test_a_lost_reply_means_that_it_happened() -> None:
    assert (["broken"], 1) == asyncio.run(tried({"effect": {"kind": "lost"}}, ("PATCH", "/a")))


def test_a_lost_error_answer_is_lost_too() -> None:
    assert (["broken"], 1) == asyncio.run(tried({"effect": {"kind": "lost"}}, ("PATCH", "/refused")))


def test_a_slow_request_is_handled_all_the_same() -> None:
    assert ([200], 1) == asyncio.run(tried({"effect": {"kind": "slow", "seconds": 0.001}}, ("GET", "/a")))


def test_a_crash_comes_before_the_handler() -> None:
    async def scenario() -> tuple[int, int]:
        crashes: list[str] = []
        async with stand(Faults(crash=lambda: crashes.append("crashed"))) as (here, session):
            here.faults.arm("f", Fault(where=Where(method="PUT"), effect={"kind": "crash"}))
            await outcome(session, "GET", here.base)
            return len(crashes), here.handled

    assert (0, 1) == asyncio.run(scenario())


def test_an_answer_carries_its_body_and_headers() -> None:
    async def scenario() -> tuple[str, str, str]:
        effect = {"kind": "answer", "status": 429, "body": '{"a":1}', "headers": {"Retry-After": "7"}}
        async with stand() as (here, session):
            await armed(session, here.base, "f", {"effect": effect})
            async with session.get(here.base) as answer:
                return await answer.text(), answer.headers["Retry-After"], answer.content_type

    assert ('{"a":1}', "7", "application/json") == asyncio.run(scenario())


def test_the_operation_can_be_something_else_than_the_path() -> None:
    async def operation(request: web.Request) -> str:
        return await request.text()

    async def scenario() -> list[int | str]:
        async with stand(Faults(operation)) as (here, session):
            await armed(
                session, here.base, "f", {"where": {"path": "deploy*"}, "effect": {"kind": "answer", "status": 500}}
            )
            return [await outcome(session, "POST", here.base, name) for name in ("variables", "deployV2")]

    assert [200, 500] == asyncio.run(scenario())


def test_arming_again_starts_the_counters_afresh_and_hits_are_shown() -> None:
    async def scenario() -> list[int]:
        fault = {"effect": {"kind": "answer", "status": 503}}
        async with stand() as (here, session):
            hits = []
            for _ in range(2):
                await armed(session, here.base, "f", fault)
                await outcome(session, "GET", here.base)
                async with session.get(f"{here.base}/__faults") as answer:
                    hits += [one["hits"] for one in await answer.json()]
            return hits

    assert [1, 1] == asyncio.run(scenario())


def test_of_two_due_faults_the_older_acts_and_the_other_keeps_its_turn() -> None:
    faults = Faults()
    faults.arm("first", Fault(effect=Answer(status=500)))
    faults.arm("second", Fault(effect=Reset()))
    assert [Answer(status=500), Reset(), None] == [faults.take("GET", "/a") for _ in range(3)]


def test_a_lag_names_one_node_or_every_second_worker() -> None:
    faults = Faults()
    faults.arm("everywhere", Fault(effect=Lag(seconds=3)))
    faults.arm("one", Fault(effect=Lag(seconds=7, node=1)))
    assert [0.0, 3.0, 7.0, 7.0] == [faults.lag_of(node, worker) for node in (0, 1) for worker in (0, 1)]


def test_a_lag_touches_no_request() -> None:
    assert ([200], 1) == asyncio.run(tried({"effect": {"kind": "lag", "seconds": 60}}, ("GET", "/a")))


@pytest.mark.parametrize("body", [{"effect": {"kind": "typo"}}, {"effect": {"kind": "reset"}, "were": {}}])
def test_a_fault_that_is_misspelt_is_refused(body: dict[str, Any]) -> None:
    async def scenario() -> int:
        async with stand() as (here, session), session.put(f"{here.base}/__faults/f", json=body) as answer:
            return answer.status

    assert 400 == asyncio.run(scenario())


def test_an_answer_needs_a_real_status() -> None:
    with pytest.raises(ValidationError):
        Answer(status=7)
