"""Tell a waiting person that something happens: one line that counts the seconds on a terminal, a plain line now and
then elsewhere.

It also runs the commands that are waited for: their output goes to a log, their end by ^C or SIGTERM is the end of all
they started.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TextIO

from toolchain.trouble import Trouble

_LOOK_SECONDS = 0.1
_TERMINAL_SECONDS = 0.5
_PLAIN_SECONDS = 30.0
_STOP_SECONDS = 5.0
LAST_LINES = 15


class Step:
    """One thing that is waited for."""

    def __init__(self, what: str, out: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._what, self._out, self._now = what, out, now
        self._live = out.isatty()
        self._began = self._shown = now()
        self.detail = ""
        self._print(f"{what} …")

    def tick(self) -> None:
        """Say again that it goes on, if it is time to."""
        every = _TERMINAL_SECONDS if self._live else _PLAIN_SECONDS
        if self._now() - self._shown >= every:
            self._shown = self._now()
            detail = f", {self.detail}" if self.detail else ""
            self._print(f"{self._what} … {self._shown - self._began:.0f} s{detail}")

    def done(self, text: str) -> None:
        self._print(f"{text} ({self._now() - self._began:.1f} s)")
        if self._live:
            self._out.write("\n")
            self._out.flush()

    def broken(self) -> None:
        if self._live:
            self._out.write("\n")
            self._out.flush()

    def _print(self, line: str) -> None:
        width = shutil.get_terminal_size().columns - 1  # a line that wraps could not be taken back
        self._out.write(f"\r\033[K{line[:width]}" if self._live else f"{line}\n")
        self._out.flush()


class Waiting:
    """A step that begins when it is first asked to tick: for what mostly takes no time at all."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._step: Step | None = None

    def __call__(self) -> None:
        self._step = self._step or Step(self._what, sys.stderr)
        self._step.tick()


@contextmanager
def step(what: str, done: str, out: TextIO | None = None) -> Iterator[Step]:
    """Show `what` while the block runs and `done` after it, or leave the line as it is when it fails."""
    shown = Step(what, out or sys.stderr)
    try:
        yield shown
    except BaseException:
        shown.broken()
        raise
    shown.done(done)


def run(
    command: Sequence[str | Path],
    *,
    log: Path,
    shown: Step,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    read: Callable[[Path], str] = lambda _: "",
) -> None:
    """Run a command to its end; `read` makes the step's detail of the log so far. A failure is Trouble."""
    started: list[subprocess.Popen[bytes]] = []
    with open(log, "ab") as file:
        try:
            with _signals_held():
                started.append(_start(command, environment, folder, file))
            code = _ended(started[0], log, shown, read)
        except BaseException:
            for process in started:
                _stop(process)
            raise
    if code:
        lines = last_lines(log)
        raise Trouble(
            f"`{' '.join([Path(command[0]).name, *map(str, command[1:3])])} …` ended with exit code {code}:\n{lines}\n",
            world="What was there before is unchanged.",
            next="Mend what it says (a registry that cannot be reached, a full disk), then run `make setup` again.",
        )


def last_lines(log: Path) -> str:
    """The end of a log, indented."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-LAST_LINES:])


def _start(
    command: Sequence[str | Path], environment: Mapping[str, str] | None, folder: Path | None, out: IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [str(part) for part in command],
            env=dict(environment) if environment is not None else None,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as problem:
        raise Trouble(
            f"{command[0]} cannot be started: {problem.strerror}.",
            world="Nothing was installed by it.",
            next="Check it, then run again.",
        ) from problem


@contextmanager
def _signals_held() -> Iterator[None]:
    """^C and SIGTERM come at the end of the block: raised inside Popen, they would leave a process nobody knows of."""
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = [number for number, handler in handlers.items() if callable(handler)]
    for number in ours:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, handlers[number])
    for held in came:
        signal.raise_signal(held)


def _ended(process: subprocess.Popen[bytes], log: Path, shown: Step, read: Callable[[Path], str]) -> int:
    while True:
        try:
            return process.wait(_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            shown.detail = read(log)
            shown.tick()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever else is in its group: politely, then for certain."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
