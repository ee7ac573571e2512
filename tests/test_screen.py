"""The command line's screen: what stays on it, and what is only passing."""

import asyncio
import os
import pty
import signal

import pytest

from bluegreen.cli.screen import Screen

CLEAR = "\r\x1b[2K"


async def spoken(screen: Screen) -> None:
    await screen.status("building index: 40 %")
    await screen.status("building index: 80 %")
    await screen.milestone("index built")
    screen.leave()


def test_on_a_terminal_a_passing_state_is_overwritten_by_what_comes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        asyncio.run(spoken(Screen()))
    seen = os.read(ours, 4096).decode().replace("\r\n", "\n")
    os.close(ours)
    assert seen == (f"{CLEAR}building index: 40 %{CLEAR}building index: 80 %{CLEAR}index built\n{CLEAR}")


def test_in_a_log_a_passing_state_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(spoken(Screen()))
    assert capsys.readouterr().err == "index built\n"


def test_who_listens_takes_the_first_signal_for_a_wish_and_wakes_up() -> None:
    async def asked() -> bool:
        screen = Screen()
        screen.listen()
        sleeping = asyncio.ensure_future(screen.sleep(600))
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)
        await sleeping
        return screen.cancelled

    assert asyncio.run(asked())
