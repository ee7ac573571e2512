"""The tools behind the rows about migrations: arithmetic, relay, and how peers are fetched and called. No network."""

import asyncio
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.migrations.contenders import (
    Command,
    Migration,
    careful,
    dbmate,
    psql,
    supabase,
    well,
    yoyo,
)
from benchmarks.migrations.load import PROJECTS, Load, Running
from benchmarks.migrations.peers import LOCK, NPM, PACKAGES, SUPABASE, fetched
from benchmarks.migrations.relay import relay
from benchmarks.migrations.traffic import Answer, Traffic, read
from benchmarks.row import NotMeasured

URL = "postgresql://postgres:word@127.0.0.1:5432/bench_1"
LATE = "3 7 250000 1 1700000002 500000 12"


def traffic(*latencies: float) -> Traffic:
    """One transaction every 10 ms."""
    return Traffic([Answer(number / 100, latency) for number, latency in enumerate(latencies)])


def test_a_line_of_the_log_is_a_latency_from_when_it_was_due_and_the_moment_of_its_end() -> None:
    found = read(
        [LATE, "0 1 1500 0 1700000001 250000 0", "0 2 failed 0 1700000003 0 0", "1 3 skipped 0 1700000003 0 9"]
    )
    assert list(found.answers) == [Answer(1700000001.25, 1.5), Answer(1700000002.5, 250.0)]


@pytest.mark.parametrize(("percent", "latency"), [(50, 50), (99, 99), (100, 100), (0, 1), (98.1, 99)])
def test_a_percentile_is_the_latency_that_so_many_do_not_exceed(percent: float, latency: float) -> None:
    assert traffic(*reversed(range(1, 101))).percentile(percent) == latency


def test_slow_is_more_than_100_ms() -> None:
    assert traffic(100, 100.1, 1, 5000).slow == 50
    assert traffic(100, 100.1, 1, 5000).longest == 5000


def test_the_longest_silence_lies_between_two_ends() -> None:
    ends = [1.0, 1.25, 4.25, 4.5]
    assert Traffic([Answer(end, 1) for end in ends]).silence == 3000
    assert Traffic([Answer(1, 1)]).silence == 0


def test_a_transaction_belongs_to_a_time_in_which_it_waited() -> None:
    answers = [Answer(1, 500), Answer(2, 500), Answer(4, 1500), Answer(6, 500)]
    assert list(Traffic(answers).during(1.75, 3).answers) == answers[1:3]


def test_a_load_that_was_over_before_the_migration_measures_nothing() -> None:
    over = Running(Traffic([Answer(10, 1), Answer(12, 1)]))
    assert len(over.during(9, 12).answers) == 2
    with pytest.raises(NotMeasured, match=r"^The load was over 1\.5 s before the migration\."):
        over.during(9, 13.5)
    with pytest.raises(NotMeasured, match=r"^Nobody asked anything meanwhile\."):
        over.during(10.5, 11.5)


def test_the_load_asks_in_the_proportion_of_its_weights(tmp_path: Path) -> None:
    command = Load(PROJECTS, 16, 20_000).command(Path("/pg/pgbench"), tmp_path, URL)
    assert [part.rpartition("@")[2] for part in command if part.startswith("--file=")] == ["4", "1"]
    assert {"--client=16", "--rate=400", "--time=16"} <= set(command)
    assert command[-1] == URL
    scripts = [(tmp_path / f"{number}.sql").read_text(encoding="utf-8") for number in range(2)]
    assert [script.split()[:5] for script in scripts] == [
        ["\\set", "n", "random(1,", "20000)", verb] for verb in ("select", "update")
    ]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says what it heard once there is no more to come."""
    writer.write(b"heard " + await reader.read())
    writer.close()
    await writer.wait_closed()


def test_the_relay_carries_everything_both_ways_and_waits_for_each_piece() -> None:
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    async def run() -> bytes:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with relay(server.sockets[0].getsockname()[1], 0.5, wait) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for part in range(1000):
                writer.write(b"%d;" % part)
                await writer.drain()
            writer.write_eof()
            heard = await reader.read()
            writer.close()
            await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return heard

    assert asyncio.run(run()) == b"heard " + b"".join(b"%d;" % part for part in range(1000))
    assert len(waits) >= 4  # a piece and an end, each way
    assert all(0 < seconds <= 0.5 for seconds in waits)


def test_a_relay_that_ends_takes_its_lines_along() -> None:
    async def run() -> tuple[bytes, bytes]:
        came, rest = asyncio.Event(), asyncio.get_running_loop().create_future()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(4)
            came.set()
            rest.set_result(await reader.read())
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        async with relay(server.sockets[0].getsockname()[1], 0.0) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"here")
            await came.wait()
        ends = await reader.read(), await rest
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return ends

    assert asyncio.run(run()) == (b"", b"")


def locked() -> dict[str, str]:
    found = re.findall(r"^([a-z0-9-]+)==([0-9.]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(found)


def test_the_lock_has_every_peer_that_is_asked_for_with_hashes() -> None:
    asked = LOCK.with_suffix(".in").read_text(encoding="utf-8").splitlines()
    exact = dict(line.partition("[")[0].partition("==")[::2] for line in asked if "==" in line and "[" not in line)
    assert exact == {name: locked()[name] for name in exact}
    assert set(PACKAGES.values()) <= exact.keys()
    entries = re.split(r"^(?=[a-z0-9])", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(entries) == len(locked())
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


class Installers:
    """uv and npm as they look from outside: they fill a folder, or end with what they have to say."""

    def __init__(self, **failing: str) -> None:
        self.failing = failing
        self.lines: list[list[str]] = []

    def __call__(self, line: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        self.lines.append(line)
        program = Path(line[0]).name
        if program in self.failing:
            return subprocess.CompletedProcess(line, 7, "", self.failing[program])
        if "sync" in line:
            environment = Path(line[line.index("--python") + 1]).parents[1]
            for name in PACKAGES.values():
                info = environment / "lib" / "python3.11" / "site-packages" / f"{name}-{locked()[name]}.dist-info"
                info.mkdir(parents=True)
                (info / "METADATA").write_text(f"Name: {name}\nVersion: {locked()[name]}\n", encoding="utf-8")
        return subprocess.CompletedProcess(line, 0, "", "")


@pytest.fixture
def with_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "npm").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(programs))
    return programs


def uv() -> Path:
    return Path("/uv")


def test_peers_are_fetched_once_by_exact_version(tmp_path: Path, with_npm: Path) -> None:
    run = Installers()
    found = fetched(tmp_path / "peers", run, uv)
    assert found == fetched(tmp_path / "peers", run, uv)
    assert found.told() == {name: locked()[package] for name, package in PACKAGES.items()} | {"supabase": SUPABASE}
    venv, sync, npm = run.lines
    assert venv[:2] == ["/uv", "venv"]
    assert "--relocatable" in venv
    assert {"--require-hashes", str(LOCK)} <= set(sync)
    assert npm[0] == str(with_npm / "npm")
    assert (npm[4:-1], npm[-1]) == (list(NPM), f"supabase@{SUPABASE}")
    assert found.programs["supabase"].parts[-3:] == ("node_modules", ".bin", "supabase")


def test_a_peer_that_cannot_be_had_is_told_by_name_and_leaves_nothing(tmp_path: Path, with_npm: Path) -> None:
    run = Installers(uv="no network\n", npm="npm error\n  code ENOTFOUND")
    found = fetched(tmp_path / "peers", run, uv)
    python = "not measured: uv ended with 7: no network"
    assert found.told() == dict.fromkeys(PACKAGES, python) | {
        "supabase": "not measured: npm ended with 7: npm error code ENOTFOUND"
    }
    assert (found.programs, [path for path in (tmp_path / "peers").iterdir() if path.is_dir()]) == ({}, [])


def test_without_npm_only_its_peer_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = fetched(tmp_path / "peers", Installers(), uv)
    assert dict(found.missing) == {"supabase": "no npm"}
    assert set(found.programs) == {"python", *PACKAGES}


def written(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.sql"))
    }


def test_a_tool_gets_the_file_in_the_form_that_it_asks_for(tmp_path: Path) -> None:
    before = Migration("select 0;\n", "before")
    change = Migration("select 1;\n", "change", "012", (before,))
    program = Path("/bin/tool")
    tools = {"psql": psql, "careful": careful, "dbmate": dbmate, "yoyo": yoyo, "supabase": supabase}
    lines: dict[str, Command] = {}
    for name, tool in tools.items():
        (tmp_path / name).mkdir()
        ready = tool(program)(change, URL, tmp_path / name)
        assert isinstance(ready, Command)
        lines[name] = ready
    plain = {"011_before.sql": "select 0;\n", "012_change.sql": "select 1;\n"}
    assert written(tmp_path / "psql") == written(tmp_path / "careful") == plain
    assert (
        written(tmp_path / "yoyo" / "migrations") == written(tmp_path / "supabase" / "supabase" / "migrations") == plain
    )
    ways = written(tmp_path / "dbmate" / "migrations")
    assert ways == {name: f"-- migrate:up\n{sql}\n-- migrate:down\n" for name, sql in plain.items()}
    assert lines["psql"].line[-1] == lines["careful"].line[-1] == URL
    assert URL.replace("postgresql", "postgresql+psycopg") in lines["yoyo"].line
    assert f"{URL}?sslmode=disable" in lines["dbmate"].line
    assert f"{URL}?sslmode=disable" in lines["supabase"].line


def test_a_command_sees_a_home_of_its_own_and_nothing_of_a_database_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://somewhere/else")
    monkeypatch.setenv("PGHOST", "somewhere")
    said = asyncio.run(Command(["sh", "-c", "echo $HOME.$DATABASE_URL.$PGHOST"], tmp_path)()).said
    assert said == f"{tmp_path}..\n"


def test_a_tool_that_fails_is_not_measured(tmp_path: Path) -> None:
    fails = Command(["sh", "-c", "echo no such table; exit 3"], tmp_path)
    with pytest.raises(NotMeasured, match=r"^dbmate ended with 3: no such table Nothing of this row was written\.$"):
        asyncio.run(well("dbmate", fails))


def test_a_tool_that_is_given_up_takes_along_what_it_started(tmp_path: Path) -> None:
    kept = tmp_path / "pipe"
    os.mkfifo(kept)

    async def run() -> None:
        line = f"sh -c 'exec sleep 600' > {kept} & wait"
        work = asyncio.create_task(Command(["sh", "-c", line], tmp_path)())
        with await asyncio.to_thread(open, kept, "rb") as held:  # it has opened the other end
            work.cancel()
            await asyncio.wait({work})
            assert await asyncio.to_thread(held.read) == b""  # nobody is left who could write

    asyncio.run(run())
