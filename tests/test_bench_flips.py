"""The flips' own tools: the load counts what happens exactly, and every contender really moves the traffic."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.flips.app import App
from benchmarks.flips.arena import Place, arena
from benchmarks.flips.contenders import PEERS, ours, ours_in_steps
from benchmarks.flips.load import ClosedLoop, Counts
from benchmarks.flips.match import OURS, Tally, figures, play
from sandbox.stack import ROOT
from tests.kong_room import Room, application, room

QUICK: Mapping[str, Any] = {"worker_state_update_frequency": 0.05, "db_update_frequency": 0.05}


async def counted(here: Room, effect: Mapping[str, object], times: int) -> Counts:
    """What the load counted when the gateway broke exactly so many requests."""
    fault = {"where": {"path": "/api", "skip": 30, "times": times}, "effect": effect}
    await here.made("PUT", "/__proxy/__faults/broken", fault)
    url = f"http://127.0.0.1:{here.kong.proxy_port}/api"
    async with ClosedLoop(url, 8).running() as load:
        while (await here.made("GET", "/__proxy/__faults/broken"))["hits"] < times:
            await load.settled()
        return await load.settled()


@pytest.mark.parametrize(
    ("effect", "reason"),
    [
        ({"kind": "answer", "status": 503}, "status 503"),
        ({"kind": "reset"}, "reset"),
        ({"kind": "lost"}, "reset"),
    ],
)
def test_the_load_counts_every_broken_request_once(effect: dict[str, object], reason: str) -> None:
    async def run() -> None:
        async with room() as here, application("blue") as blue:
            await here.routed({blue.target: 100})
            counts = await counted(here, effect, 7)
            assert (counts.failed, dict(counts.reasons)) == (7, {reason: 7})
            assert counts.requests > 37

    asyncio.run(run())


def test_the_load_sent_what_the_gateway_took() -> None:
    async def run() -> None:
        async with room() as here, application("blue") as blue:
            await here.routed({blue.target: 100})
            async with ClosedLoop(f"http://127.0.0.1:{here.kong.proxy_port}/api", 3).running() as load:
                await load.settled()
                # No await between the two: nothing is sent meanwhile, and what is sent may not have arrived yet.
                sent, taken = load.counts.requests, here.kong.cluster.nodes[0].counts.total
            assert 0 <= sent - taken <= 3
            assert taken >= 6

    asyncio.run(run())


def test_a_refused_connection_is_a_failed_request() -> None:
    async def run() -> None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        async with ClosedLoop(f"http://127.0.0.1:{port}/", 2).running() as load:
            counts = await load.settled()
            assert counts.failed >= 4
            assert set(counts.reasons) == {"connect"}

    asyncio.run(run())


def test_an_answer_is_stale_only_when_its_request_was_sent_after_the_colour_was_over() -> None:
    async def run() -> None:
        async with room() as here, application("blue") as blue:
            await here.routed({blue.target: 100})
            async with ClosedLoop(f"http://127.0.0.1:{here.kong.proxy_port}/api", 2).running() as load:
                load.expects = "blue"
                assert (await load.settled()).stale == 0
                load.expects = "green"
                under_way = load.counts.requests
                counts = await load.settled()
                assert 2 <= counts.stale <= counts.requests - under_way
                load.expects = None
                stale = (await load.settled()).stale
                assert (await load.settled()).stale == stale

    asyncio.run(run())


def test_an_app_answers_once_per_head_however_the_bytes_arrive() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: App("green"), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        for part in (head[:7], head[7:] + head, head):
            writer.write(part)
            await writer.drain()
        answers = [await reader.readuntil(b"ok\n") for _ in range(3)]
        assert answers[0].startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nX-Colour: green\r\nX-Release: release-green\r\n" in answers[0]
        assert answers == [answers[0]] * 3
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    asyncio.run(run())


async def matched(here: Room, contenders: Mapping[str, Any], steps: tuple[int, ...]) -> tuple[dict[str, Tally], Any]:
    """One turn of each contender, and the weights it left, read from the gateway itself."""
    left: list[dict[str, int]] = []

    def followed(change: Any) -> Any:
        async def changed(arena: Any, wanted: Any, goal: Any) -> float | None:
            took: float | None = await change(arena, wanted, goal)
            rows = (await here.made("GET", f"/upstreams/{arena.name}/targets"))["data"]
            left.append({tag: row["weight"] for row in rows for tag in row["tags"] if tag.startswith("colour")})
            return took

        return changed

    async with arena(Place(url(here.kong.admin_port), url(here.kong.proxy_port), 1)) as place:
        watched = {name: followed(change) for name, change in contenders.items()}
        tallies = await play(place, watched, changes=len(steps), steps=steps, say=lambda _: None)
    for kind in ("upstreams", "services", "routes"):
        assert (await here.made("GET", f"/{kind}"))["data"] == []
    return tallies, left


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def test_every_contender_moves_all_traffic_and_nothing_stays_behind() -> None:
    async def run() -> None:
        async with room(**QUICK) as here:
            tallies, left = await matched(here, {OURS: ours, **PEERS}, (100,))
        green, blue = {"colour:green": 100, "colour:blue": 0}, {"colour:green": 0, "colour:blue": 100}
        assert left == [green, blue, green, blue, green]
        assert {name: len(tally.failed) for name, tally in tallies.items()} == dict.fromkeys((OURS, *PEERS), 1)
        assert (tallies[OURS].failed, tallies[OURS].stale) == ([0], [0])

    asyncio.run(run())


def test_a_shift_in_steps_fails_nothing_and_ends_with_all_traffic() -> None:
    async def run() -> None:
        async with room(**QUICK) as here:
            tallies, left = await matched(here, {OURS: ours_in_steps}, (5, 50, 100))
        assert [weights["colour:green"] for weights in left] == [5, 50, 100]
        assert [weights["colour:blue"] for weights in left] == [95, 50, 0]
        assert (tallies[OURS].failed, tallies[OURS].stale) == ([0, 0, 0], [0, 0, 0])

    asyncio.run(run())


def test_figures_sum_what_failed_and_show_the_best_and_the_worst_change() -> None:
    mine = Tally(failed=[0, 0, 0], stale=[0, 0, 0], requests=30, seconds=[0.03, 0.01, 0.02])
    theirs = Tally(failed=[1, 9, 2], stale=[0, 4, 0], requests=20, seconds=[0.2, 0.1, 0.3])
    failed, stale, took, sent = figures("flips", {OURS: mine, "peer": theirs}, "3 flips")
    assert (failed.metric, failed.ours, failed.peers, failed.met) == (
        "failed requests in 3 flips",
        0,
        {"peer": 12},
        True,
    )
    assert failed.spread == {"ours": (0, 0), "peer": (1, 9)}
    assert (stale.ours, stale.peers, stale.repetitions) == (0, {"peer": 4}, 3)
    assert (took.unit, took.ours, took.peers, took.ratio) == ("ms", 20, {"peer": 200}, 0.1)
    assert (sent.ours, sent.peers, sent.ratio, sent.repetitions) == (30, {"peer": 20}, None, 3)


def test_the_command_measures_a_row_and_writes_it(tmp_path: Path) -> None:
    out = tmp_path / "results.json"

    async def run() -> tuple[int | None, str]:
        async with room(**QUICK) as here:
            gateway = ["--kong-admin", url(here.kong.admin_port), "--kong-proxy", url(here.kong.proxy_port)]
            command = ["-m", "benchmarks", "--only", "flips", "--flips", "2", "--out", str(out), *gateway]
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=pipe, cwd=ROOT)
            said, _ = await process.communicate()
            return process.returncode, said.decode()

    code, said = asyncio.run(run())
    assert code == 0, said
    written = json.loads(out.read_text(encoding="utf-8"))
    assert [(entry["row"], entry["unit"]) for entry in written] == [
        ("flips", "requests"),
        ("flips", "answers"),
        ("flips", "ms"),
        ("flips", "requests"),
    ]
    assert (written[0]["ours"], written[0]["met"], written[0]["repetitions"]) == (0, True, 2)
    assert set(written[0]["peers"]) == set(PEERS)
    machine = json.loads((tmp_path / "results.machine.json").read_text(encoding="utf-8"))["flips"]
    assert set(machine) == {"cpus", "python", "kernel", "machine", "load", "date"}
