"""A watch on a real terminal: what stands on its screen, and that it goes on when the terminal is gone."""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte

from tests.monitor_room import PATIENCE, Ran, Shop, shop

COLUMNS, LINES = 80, 24
ENDS = {"pass": 0, "inconclusive": 13}  # a busy machine may see too little


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of one: the person's and the program's."""
    ours, theirs = pty.openpty()
    sized(theirs, LINES, COLUMNS)
    os.set_blocking(ours, False)
    open_ends = {ours, theirs}
    try:
        yield ours, theirs
    finally:
        for end in open_ends:
            try:
                os.close(end)
            except OSError:  # a scene may have hung up
                continue


def sized(end: int, lines: int, columns: int) -> None:
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


async def shown(ours: int, screen: pyte.Screen, wanted: str) -> list[str]:
    """The screen, once this stands on it."""
    stream, loop = pyte.ByteStream(screen), asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE):
        while True:
            readable = loop.create_future()
            loop.add_reader(ours, lambda done=readable: done.done() or done.set_result(None))  # type: ignore[misc]
            try:
                await readable
            finally:
                loop.remove_reader(ours)
            stream.feed(os.read(ours, 65536))
            if any(wanted in line for line in screen.display):
                return [line.rstrip() for line in screen.display]


async def watched(here: Shop, ours: int, theirs: int, *, hangs_up: bool) -> tuple[list[str], Ran]:
    here.environment |= {"TERM": "xterm-256color", "PYTHONUTF8": "1", "COLUMNS": "", "LINES": ""}
    process = await here.start("5", "0.5", "--json", stderr=theirs, stdin=theirs)
    screen = pyte.Screen(COLUMNS, LINES)
    lines = await shown(ours, screen, "round 1")  # a busy machine skips many
    if hangs_up:
        sized(theirs, 4, 10)  # nobody can read that, and it goes on
        await shown(ours, pyte.Screen(10, 4), "")  # it is drawn anew, whatever that looks like
        os.close(theirs)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
    reading = None if hangs_up else asyncio.create_task(shown(ours, screen, " 0:00 left"))
    if reading is not None:
        lines = await reading
        asyncio.get_running_loop().add_reader(ours, lambda: os.read(ours, 65536))
    ran = await here.end(process)
    if reading is not None:
        asyncio.get_running_loop().remove_reader(ours)
    return lines, ran


def scene(folder: Path, *, hangs_up: bool) -> tuple[list[str], Ran]:
    async def whole() -> tuple[list[str], Ran]:
        with terminal() as (ours, theirs):
            async with shop(folder / "shop") as here:
                return await watched(here, ours, theirs, hangs_up=hangs_up)

    return asyncio.run(whole())


def test_the_screen_shows_every_way_with_its_numbers_and_where_traffic_goes(tmp_path: Path) -> None:
    lines, ran = scene(tmp_path, hangs_up=False)
    head = next(line for line in lines if line.startswith("test · release "))
    assert f"release {ran.facts['release']} · 0:0" in head
    assert any(line.startswith("verdict so far: ") for line in lines)
    rows = [line.split() for line in lines if line.startswith("hello ")]
    assert [["users"], ["green", "live"], ["blue", "idle"]] == [rows[0][1:2], rows[1][1:3], rows[2][1:3]]
    assert any(line.startswith("backend  blue ░░░░░░░░░░ 0 %  green ██████████ 100 %") for line in lines)
    assert ENDS[ran.facts["verdict"]] == ran.code


def test_a_watch_whose_terminal_shrinks_and_hangs_up_goes_on_to_its_end_and_writes_it_down(tmp_path: Path) -> None:
    _, ran = scene(tmp_path, hangs_up=True)
    assert (ENDS[ran.facts["verdict"]], "") == (ran.code, ran.facts["interrupted"])
    assert 11 == ran.facts["rounds"] + ran.facts["skipped"]
    assert [] != list(ran.bundle.glob("monitor-*.json"))
