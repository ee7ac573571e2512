"""A program that prints a number: what it gets, what it may not do, and that none is left running."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bluegreen.handler import Halt
from bluegreen.measure.command import printed
from bluegreen.measure.meter import Sampling
from tests.measure_room import PATIENT, Door, metric, watched

BOUND = {"APP": "shop"}


def program(folder: Path, text: str) -> list[str]:
    (folder / "program.py").write_text(text)
    return [sys.executable, "program.py"]


def number(folder: Path, text: str) -> float:
    return asyncio.run(printed(program(folder, text), BOUND, folder, patience=PATIENT))


def ended(folder: Path, text: str, *, patience: float = PATIENT) -> str:
    async def run() -> str:
        with pytest.raises(Halt) as raised:
            await printed(program(folder, text), BOUND, folder, patience=patience)
        return raised.value.what.replace(sys.executable, "python")

    return asyncio.run(run())


def test_the_last_line_is_the_number(tmp_path: Path) -> None:
    assert 2.5 == number(tmp_path, "print('counting'); print(' 2.5 '); print()")


def test_a_talkative_program_is_read_to_its_end(tmp_path: Path) -> None:
    assert 7.0 == number(tmp_path, "print('x' * 70 + '\\n' * 300_000); print(7)")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("print('much')", "python printed 'much', which is no number."),
        ("pass", "python printed nothing."),
        ("import sys; print('why', file=sys.stderr)", "python printed nothing: why."),
        (
            "import sys; print(1); print('a\\nno such table.', file=sys.stderr); sys.exit(3)",
            "python ended with 3: no such table.",
        ),
        ("import sys; print(1); sys.exit(3)", "python ended with 3 and said nothing."),
        ("import os; os.kill(os.getpid(), 9)", "python was ended by signal 9 and said nothing."),
        ("import sys; sys.exit('\\x1b[31mred')", "python ended with 1: ?[31mred."),
    ],
)
def test_a_program_without_a_number_is_told_in_one_sentence(tmp_path: Path, text: str, what: str) -> None:
    assert ended(tmp_path, text) == what


@pytest.mark.parametrize(
    ("name", "reason"),
    [("./no-such", "No such file or directory"), (".", "Permission denied"), ("a\0b", "embedded null byte")],
)
def test_a_program_that_does_not_start_is_told_in_one_sentence(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(Halt) as raised:
        asyncio.run(printed([name], {}, tmp_path))
    assert raised.value.what == f"{name} cannot be started: {reason}."


def test_it_knows_whom_it_is_asked_about_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLUEGREEN_KONG_ADMIN_KEY", "hunter2")
    text = (
        "import os\n"
        "known = {k: v for k, v in os.environ.items() if k not in ('PATH', 'LC_CTYPE')}\n"
        "wanted = [{'APP': 'shop', 'COLOUR': c, 'RELEASE': f'r-{c}'} for c in ('green', 'blue')]\n"
        "print(wanted.index(known) if os.environ['PATH'] else 'no path')"
    )

    async def measured() -> tuple[float | None, float | None]:
        wanted = metric(command={"run": program(tmp_path, text)}, allowedIncrease=1.0)
        async with watched(Sampling(Door().client, folder=tmp_path), wanted) as (_, watch):
            (look,) = await watch.look()
            assert look.live is not None
            return look.candidate.value, look.live.value

    assert (0.0, 1.0) == asyncio.run(measured())


@dataclass
class Calls:
    """Programs that called; a connection ends when its program does."""

    port: int = 0
    readers: list[asyncio.StreamReader] = field(default_factory=list)
    more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def came(self, many: int) -> None:
        async with asyncio.timeout(PATIENT), self.more:
            await self.more.wait_for(lambda: len(self.readers) >= many)

    async def gone(self) -> None:
        async with asyncio.timeout(PATIENT):
            for reader in self.readers:
                try:
                    assert await reader.read() == b""
                except ConnectionError:
                    continue  # gone as well


@asynccontextmanager
async def calls() -> AsyncIterator[Calls]:
    called = Calls()
    writers: list[asyncio.StreamWriter] = []

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        async with called.more:
            called.readers.append(reader)
            called.more.notify_all()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    called.port = server.sockets[0].getsockname()[1]
    try:
        yield called
    finally:
        server.close()
        for writer in writers:
            writer.close()
        for writer in writers:
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


# It and a child of its own call, and neither ends: the child has every signal off that can be.
HANGS = """
import os, signal, socket, time
child = os.fork() == 0
if child:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
line = socket.create_connection(("127.0.0.1", PORT))
print(1, flush=True)
while child or HANGING:
    time.sleep(60)
while not os.path.exists("go"):
    time.sleep(0.01)
"""


def test_a_program_that_hangs_is_ended_and_told(tmp_path: Path) -> None:
    assert ended(tmp_path, "import time; time.sleep(3600)", patience=0.3) == "python did not end within 0.3 s."


def test_a_program_ends_with_the_watch_that_asked_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with calls() as called:
            text = HANGS.replace("PORT", str(called.port)).replace("HANGING", "True")
            wanted = metric(command={"run": program(tmp_path, text)})
            async with watched(Sampling(Door().client, folder=tmp_path), wanted) as (_, watch):
                looking = asyncio.ensure_future(watch.look())
                await called.came(2)
                looking.cancel()
                await asyncio.wait([looking], timeout=PATIENT)
                assert looking.cancelled()
            await called.gone()

    asyncio.run(run())


def test_what_a_program_leaves_running_ends_and_delays_nobody(tmp_path: Path) -> None:
    async def run() -> float:
        async with calls() as called:
            text = HANGS.replace("PORT", str(called.port)).replace("HANGING", "False")
            running = asyncio.create_task(printed(program(tmp_path, text), BOUND, tmp_path, patience=PATIENT))
            await called.came(2)
            (tmp_path / "go").touch()
            found = await running
            await called.gone()
            return found

    assert asyncio.run(run()) == 1.0
