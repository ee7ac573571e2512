"""The load generator counts every failure, waits for nobody, and never sends a byte twice. Real sockets throughout."""

import asyncio
import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sandbox import load, load_tally
from sandbox.load import Config, Load, LoadError, Target
from sandbox.load_records import Ledger, Reader, Record, Totals
from sandbox.load_schedule import Attempt, Generator
from sandbox.load_tally import OUTSIDE, Phase, Span, phases_of, tally
from sandbox.load_wire import Answer, Failed
from sandbox.world_members import Process, wait_until

ROOT = Path(__file__).resolve().parents[1]
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def site(handle: Handle) -> AsyncIterator[str]:
    """An aiohttp server for every path; yields its address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def wire(script: Script) -> AsyncIterator[str]:
    """A server that does to the bytes what the script says; yields its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await script(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def generate(path: Path, url: str, **bounds: Any) -> tuple[list[Record], Totals]:
    """Run the generator in this process until its bound; its records and totals."""
    target = {"app": "backend", "url": url, "rps": 400, **bounds.pop("target", {})}
    config = Config(targets=(Target(**target),), **{"max_requests": 20, "timeout_seconds": 5, **bounds})
    ledger = Ledger(path / "load.jsonl")
    try:
        await Generator(config, ledger).run()
        ledger.close()
    finally:
        ledger.abandon()
    reader = Reader(path / "load.jsonl")
    reader.read()
    assert reader.totals is not None
    return reader.records, reader.totals


async def blue(request: web.Request) -> web.StreamResponse:
    return web.Response(text="hello", headers={"X-Colour": "blue", "X-Release": "r1", "X-Pid": "77"})


# What counts as failed


def test_a_server_that_answers_exactly_three_503s_gives_exactly_three_failures(tmp_path: Path) -> None:
    async def scenario() -> None:
        answers = iter([200] * 5 + [503] * 3)

        async def handle(request: web.Request) -> web.StreamResponse:
            return web.Response(status=next(answers, 200), text="failure to get a peer")

        async with site(handle) as url:
            records, totals = await generate(tmp_path, url)
        assert totals.requests == 20
        assert totals.failed == 3
        assert totals.failures == {"status 503": 3}
        assert {"failure to get a peer"} == {record.detail for record in records if record.failure}

    asyncio.run(scenario())


@pytest.mark.parametrize("status", [201, 204, 301, 404, 500])
def test_every_status_but_200_is_a_failure(tmp_path: Path, status: int) -> None:
    async def scenario() -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            return web.Response(status=status)

        async with site(handle) as url:
            _, totals = await generate(tmp_path, url, max_requests=4)
        assert {f"status {status}": 4} == totals.failures

    asyncio.run(scenario())


def test_a_connection_closed_in_the_middle_of_an_answer_is_a_short_body(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

        async with wire(script) as url:
            _, totals = await generate(tmp_path, url, max_requests=6)
        assert totals.failures == {"short body": 6}

    asyncio.run(scenario())


def test_a_kept_connection_closed_after_a_request_was_sent_is_a_failure_and_never_sent_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        answered = unanswered = 0

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal answered, unanswered
            asked = await head(reader)
            answered += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            if b"Connection: keep-alive" in asked:
                await head(reader)  # the second request arrives, and nobody answers it
                unanswered += 1

        async with wire(script) as url:
            records, totals = await generate(tmp_path, url, max_requests=40, kept_connections=1)
        assert totals.requests == 40 == answered + unanswered
        assert unanswered > 0
        assert totals.failures == {"reset": unanswered}
        assert {record.kind for record in records if record.failure} == {"kept"}

    asyncio.run(scenario())


def test_a_kept_connection_closed_while_idle_is_replaced_without_a_failure(tmp_path: Path) -> None:
    async def scenario() -> None:
        connections = 0

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        async with wire(script) as url:
            _, totals = await generate(tmp_path, url, kept_connections=1)
        assert totals.failed == 0
        assert connections == 20

    asyncio.run(scenario())


def test_a_refused_connection_is_a_failure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    _, totals = asyncio.run(generate(tmp_path, f"http://127.0.0.1:{port}", max_requests=5))
    assert totals.failures == {"connect": 5}


def test_an_answer_that_never_comes_is_a_timeout(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()  # until the client gives up

        async with wire(script) as url:
            records, totals = await generate(tmp_path, url, max_requests=4, timeout_seconds=0.2)
        assert totals.failures == {"timeout": 4}
        assert all(record.ms >= 200 for record in records)

    asyncio.run(scenario())


def test_an_answer_that_is_no_http_is_a_failure(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
            await reader.read()

        async with wire(script) as url:
            _, totals = await generate(tmp_path, url, max_requests=4)
        assert totals.failed == 4
        assert {"bad answer", "reset"} >= set(totals.failures)

    asyncio.run(scenario())


# How requests leave


def test_no_request_waits_for_the_answer_of_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        everyone = asyncio.Event()
        arrived = 0

        async def handle(request: web.Request) -> web.StreamResponse:
            nonlocal arrived
            arrived += 1
            if arrived == 30:
                everyone.set()
            await everyone.wait()  # a generator that waits for answers would never send the thirtieth
            return web.Response()

        async with site(handle) as url:
            _, totals = await generate(tmp_path, url, max_requests=30)
        assert (totals.requests, totals.failed) == (30, 0)

    asyncio.run(scenario())


def test_half_of_the_requests_use_kept_connections_and_half_new_ones(tmp_path: Path) -> None:
    async def scenario() -> None:
        connections: dict[str, set[object]] = {"keep-alive": set(), "close": set()}

        async def handle(request: web.Request) -> web.StreamResponse:
            connections[request.headers["Connection"]].add(request.transport)
            return web.Response()

        async with site(handle) as url:
            records, _ = await generate(tmp_path, url, max_requests=60, kept_connections=4)
        assert sum(record.kind == "kept" for record in records) == 30
        assert len(connections["close"]) == 30
        assert 4 <= len(connections["keep-alive"]) <= 30

    asyncio.run(scenario())


def test_a_slow_request_is_in_flight_at_every_moment(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            if request.path == "/slow":
                await asyncio.sleep(0.3)
            return web.Response()

        async with site(handle) as url:
            target = {"rps": 100, "slow_path": "/slow", "slow_every": 0.1}
            records, totals = await generate(tmp_path, url, target=target, max_requests=10_000, max_seconds=1)
        slow = [record for record in records if record.kind == "slow"]
        quick = [record.sent_mono for record in records if record.kind != "slow"]
        quick = [moment for moment in quick if moment > slow[0].sent_mono]
        assert totals.failed == 0
        assert load_tally.slow_gap(records, "backend") == 0.0
        assert len(quick) > 50
        assert all(any(s.sent_mono <= moment <= s.answered_mono for s in slow) for moment in quick)

    asyncio.run(scenario())


def test_a_record_says_which_colour_release_and_process_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with site(blue) as url:
            records, _ = await generate(tmp_path, url, max_requests=2)
        assert sorted(record.kind for record in records) == ["kept", "new"]
        for record in records:
            assert (
                record.app, record.status, record.colour, record.release, record.pid
            ) == ("backend", 200, "blue", "r1", "77")  # fmt: skip
            assert record.scheduled <= record.sent + 0.001
            assert record.sent <= record.answered
            assert record.ms >= (record.answered_mono - record.sent_mono) * 1000 - 0.01

    asyncio.run(scenario())


def test_a_post_carries_its_body_and_headers(tmp_path: Path) -> None:
    async def scenario() -> None:
        seen: list[tuple[str, str, str, str]] = []

        async def handle(request: web.Request) -> web.StreamResponse:
            seen.append((request.method, request.headers["apikey"], request.headers["Host"], await request.text()))
            return web.Response()

        async with site(handle) as url:
            target = {"method": "POST", "body": "{}", "headers": {"apikey": "k"}, "host": "api.example", "path": "/x"}
            await generate(tmp_path, url, target=target, max_requests=2)
        assert seen == [("POST", "k", "api.example", "{}")] * 2

    asyncio.run(scenario())


def test_latency_is_counted_from_the_scheduled_moment() -> None:
    late = Attempt("backend", "new", due=time.monotonic() - 5, sent=time.time(), sent_mono=time.monotonic())
    late.leaves()
    assert late.record(None, None).ms >= 5000


def test_the_load_ends_at_its_bound_and_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with site(blue) as url:
            records, totals = await generate(tmp_path, url, max_requests=7)
        assert (totals.ended, len(records)) == ("max_requests", 7)

    asyncio.run(scenario())


# Reading answers from the wire

HEAD = b"HTTP/1.1 200 OK\r\nX-Colour: blue\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=1\r\n world\r\n0\r\n\r\n"
COUNTED = HEAD + b"Content-Length: 11\r\n\r\nhello world"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + COUNTED


@given(st.sampled_from([CHUNKED, COUNTED, INTERIM]), st.lists(st.integers(1, 120), max_size=12))
def test_an_answer_reads_the_same_however_the_network_cuts_it(raw: bytes, cuts: list[int]) -> None:
    answer = Answer()
    places = sorted({cut for cut in cuts if cut < len(raw)})
    for since, until in zip([0, *places], [*places, len(raw)], strict=True):
        assert not answer.whole
        answer.feed(raw[since:until])
    assert (answer.whole, answer.status, answer.body, answer.headers["x-colour"]) == (True, 200, b"hello world", "blue")


@given(st.sampled_from([CHUNKED, COUNTED, INTERIM]), st.data())
def test_an_answer_cut_short_anywhere_is_never_whole(raw: bytes, data: st.DataObject) -> None:
    answer = Answer()
    answer.feed(raw[: data.draw(st.integers(0, len(raw) - 1))])
    assert not answer.whole
    with pytest.raises(Failed):
        answer.end()


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    answer = Answer()
    answer.feed(b"HTTP/1.1 200 OK\r\n\r\nhello")
    assert not answer.whole
    answer.end()
    assert (answer.whole, answer.reusable) == (True, False)


def test_bytes_after_an_answer_are_a_failure() -> None:
    with pytest.raises(Failed):
        Answer().feed(COUNTED + b"HTTP/1.1 200")


# Counting

GOOD = Record("backend", "kept", 10.0, 10.0, 10.1, 10.0, 10.1, 100.0, 200, colour="blue", release="r1", pid="1")


def at(sent: float, **changes: Any) -> Record:
    return replace(GOOD, sent=sent, **{"answered": sent + 0.1, **changes})


def test_a_request_belongs_to_the_phase_in_which_it_was_sent() -> None:
    records = [at(1.0), at(1.95, answered=2.5), at(2.0, failure="reset"), at(9.0)]
    report = tally(records, [Phase("one", 1.0, 2.0), Phase("two", 2.0, 3.0)])
    assert [(p.name, p.requests, p.failed) for p in report.phases] == [("one", 2, 0), ("two", 1, 1), (OUTSIDE, 1, 0)]
    assert (report.total.requests, report.total.failed) == (4, 1)


def test_an_answer_from_a_colour_that_may_not_answer_is_wrong() -> None:
    green = [Span("backend", frozenset({"green"}), 5.0)]
    assert tally([at(5.0), at(6.0, colour="green")], [], green).total.wrong_colour == 1


def test_a_colour_is_judged_only_for_its_own_app_and_within_its_span() -> None:
    green = [Span("backend", frozenset({"green"}), 5.0, 6.0)]
    records = [at(4.9, answered=5.5), at(6.0), at(5.5, app="frontend")]
    assert tally(records, [], green).total.wrong_colour == 0


def test_a_request_in_flight_across_a_change_may_be_answered_by_either_side() -> None:
    spans = [Span("backend", frozenset({"blue"}), 0.0, 5.0), Span("backend", frozenset({"green"}), 5.0)]
    assert tally([at(4.99, answered=5.1, colour="green"), at(4.0, answered=6.0)], [], spans).total.wrong_colour == 0
    assert tally([at(4.0, answered=4.9, colour="green")], [], spans).total.wrong_colour == 1
    assert tally([at(4.99, answered=5.1, colour="red")], [], spans).total.wrong_colour == 1


def test_a_good_answer_without_a_colour_is_wrong_and_a_failed_one_is_only_failed() -> None:
    green = [Span("backend", frozenset({"green"}), 0.0)]
    report = tally([at(1.0, colour=None), at(1.0, colour=None, status=503, failure="status 503")], [], green)
    assert (report.total.wrong_colour, report.total.failed) == (1, 1)


RECORDS = st.lists(
    st.builds(
        at,
        st.floats(0, 10),
        kind=st.sampled_from(["kept", "new", "slow"]),
        failure=st.sampled_from([None, "reset", "status 503"]),
        colour=st.sampled_from(["blue", "green"]),
        ms=st.floats(0, 1e5),
    ),
    max_size=60,
)


@given(RECORDS, st.lists(st.floats(0, 10), min_size=1, max_size=5, unique=True))
def test_the_phases_always_sum_up_to_the_total(records: list[Record], moments: list[float]) -> None:
    marks = [(f"phase {number}", moment) for number, moment in enumerate(sorted(moments))]
    spans = [Span("backend", frozenset({"green"}), moments[0])]
    report = tally(records, phases_of(marks, 10.5), spans)
    for what in ("requests", "failed", "wrong_colour"):
        assert getattr(report.total, what) == sum(getattr(phase, what) for phase in report.phases)
    assert report.total.failed == sum(report.failures.values())


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_are_measured_values_in_order(milliseconds: list[float]) -> None:
    ranked = load_tally.percentiles(milliseconds)
    assert ranked is not None
    figures = [ranked.p50, ranked.p95, ranked.p99, ranked.max]
    assert sorted(figures) == figures
    assert set(figures) <= set(milliseconds)
    assert max(milliseconds) == ranked.max
    assert sum(value <= ranked.p95 for value in milliseconds) >= math.ceil(0.95 * len(milliseconds))


def test_a_gap_between_slow_requests_is_measured() -> None:
    slow = [at(1.0, kind="slow", answered=3.0), at(2.0, kind="slow", answered=2.5), at(3.5, kind="slow", answered=4.0)]
    assert load_tally.slow_gap(slow, "backend") == 0.5


def test_the_report_has_the_shape_that_others_read() -> None:
    told = tally([at(1.0, failure="reset")], [Phase("flip", 0.0, 2.0)]).as_json()
    assert {key: value for key, value in told["phases"][0].items() if key not in ("kept", "new")} == {
        "name": "flip",
        "seconds": 2.0,
        "requests": 1,
        "failed": 1,
        "wrong_colour": 0,
    }
    assert {"requests": 1, "failed": 1, "wrong_colour": 0}.items() <= told["total"].items()
    assert "name" not in told["total"]
    json.dumps(told)


def test_the_table_shows_every_phase_and_why_requests_failed() -> None:
    console = Console(width=160, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(load_tally.table(tally([at(1.0, failure="reset")], [Phase("flip", 0.0, 2.0)])))
    console.file.close()
    shown = console.export_text()
    assert "flip" in shown
    assert "1 × reset" in shown


def test_a_line_that_is_not_whole_yet_is_read_at_the_next_look(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "whole.jsonl")
    ledger.add(GOOD)
    ledger.close()
    whole = (tmp_path / "whole.jsonl").read_bytes()
    growing, reader = tmp_path / "growing.jsonl", Reader(tmp_path / "growing.jsonl")
    assert reader.read() == []
    growing.write_bytes(whole[:40])
    assert reader.read() == []
    growing.write_bytes(whole)
    assert reader.read() == [GOOD]
    assert reader.read() == []
    assert reader.totals is not None
    assert reader.totals.requests == 1


# The process and its handle


def test_a_driver_marks_phases_and_gets_every_request_that_was_in_flight(tmp_path: Path) -> None:
    async def scenario() -> None:
        release = asyncio.Event()
        waiting = asyncio.Event()

        async def handle(request: web.Request) -> web.StreamResponse:
            if request.path == "/slow":
                waiting.set()
                await release.wait()
            return await blue(request)

        async with site(handle) as url:
            target = Target(app="backend", url=url, rps=100, slow_path="/slow", slow_every=60)
            with await asyncio.to_thread(Load.start, Config(targets=(target,)), tmp_path) as running:
                running.serving("backend", "blue")
                running.mark("before")
                await waiting.wait()
                await asyncio.to_thread(wait_until, lambda: len(running.records()) > 10, 10)
                seen = len(running.records())
                running.serving("backend", "green")
                running.mark("after")
                await asyncio.to_thread(wait_until, lambda: len(running.records()) > seen + 20, 10)
                stopping = asyncio.create_task(asyncio.to_thread(running.stop))
                asyncio.get_running_loop().call_later(0.3, release.set)
                report = await stopping
        phases = {phase.name: phase for phase in report.phases}
        assert report.total.failed == 0
        assert phases["before"].wrong_colour == 0
        assert phases["after"].requests == phases["after"].wrong_colour > 0
        assert sum(record.kind == "slow" for record in running.records()) == 1
        assert report.generator is not None
        assert report.generator.ended == "asked"
        assert report.total.requests == report.generator.requests

    asyncio.run(scenario())


def test_a_generator_that_was_killed_gives_no_report(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with site(blue) as url:
            target = Target(app="backend", url=url, rps=50)
            with await asyncio.to_thread(Load.start, Config(targets=(target,)), tmp_path) as running:
                os.kill(running.pid, signal.SIGKILL)
                with pytest.raises(LoadError, match=r"ended before it was done \(exit -9\)"):
                    await asyncio.to_thread(running.stop)

    asyncio.run(scenario())


def test_the_generator_ends_when_its_driver_is_gone(tmp_path: Path) -> None:
    driver = (
        "import os, sys; from pathlib import Path; from sandbox.load import Config, Load, Target\n"
        "target = Target(app='backend', url='http://127.0.0.1:9', rps=1)\n"
        "print(Load.start(Config(targets=(target,)), Path(sys.argv[1])).pid, flush=True); os._exit(1)"
    )
    told = subprocess.run(
        [sys.executable, "-c", driver, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    process = Process.of(int(told.stdout))
    assert process is None or wait_until(lambda: not process.alive, 10)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"targets": [{"app": "a", "url": "http://x", "rps": 1, "rate": 2}]}', "targets.0.rate: Extra inputs"),
        ('{"targets": [{"app": "a", "url": "https://x", "rps": 1}]}', "targets.0.url: Value error, https://x is not"),
        ('{"targets": []}', "targets: Tuple should have at least 1 item"),
        ("{", "the file: Invalid JSON"),
    ],
)
def test_a_wrong_config_is_refused_by_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, expected: str
) -> None:
    config = tmp_path / "load.json"
    config.write_text(content)
    assert load.main(["--config", str(config), "--out", str(tmp_path / "out")]) == 2
    assert expected in capsys.readouterr().err


def test_an_address_that_cannot_be_resolved_is_told_before_any_load(tmp_path: Path) -> None:
    target = Target(app="backend", url="http://nowhere.invalid", rps=1)
    with pytest.raises(LoadError, match="did not start: The load cannot run"):
        Load.start(Config(targets=(target,)), tmp_path)
