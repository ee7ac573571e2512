"""One run of `pulumi up` for a verb: its events as they come, its end, and a wish to stop passed on to it.

The engine has a session and files of its own: neither a terminal that is closed nor a reader who is gone ends an
update in its middle. ^C is passed on once, as the wish that the engine understands: providers take traffic back, state
is saved. It is never killed from here; whoever asks again is told how that is done and what comes after it.
"""

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bluegreen.cli.previewing import asked
from bluegreen.cli.screen import WISHES
from bluegreen.cli.stack import Stack
from bluegreen.handler import Context

PULSE = 0.1  # seconds between two looks into the event log
LONGEST = 64 * 1024  # characters of what an engine says that never began

Event = Mapping[str, Any]
Hears = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Order:
    """What the engine is asked to do."""

    packs: Sequence[Path] = ()
    configs: Sequence[Path] = ()
    reason: str = ""

    def command(self, stack: Stack, log: Path) -> Sequence[str]:
        """The whole command line. A preview is for policies: it lets them object before anything is changed."""
        given = ["--yes", *([] if self.packs else ["--skip-preview"])]
        given += [f"--message={self.reason}"] if self.reason else []
        return ("pulumi", "up", *given, *asked(stack, log, self.packs, self.configs))


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run. `wish` is the signal that somebody asked it to stop with."""

    code: int
    said: str
    wish: int | None = None


async def run(stack: Stack, order: Order, hears: Hears, ctx: Context) -> Run:
    """Run it to its end, whatever asks it to stop; every event is heard in its order."""
    # The event log is one of the options that the engine keeps for those who ask for them.
    environment = {**os.environ, "PULUMI_DEBUG_COMMANDS": "true"}
    if order.reason:
        environment["BLUEGREEN_REASON"] = order.reason
    with tempfile.TemporaryDirectory(prefix="bluegreen-up-") as folder:
        log, said = Path(folder) / "events.jsonl", Path(folder) / "said.txt"
        log.touch()
        with said.open("wb") as out, log.open("rb") as events:
            process = await asyncio.create_subprocess_exec(
                *order.command(stack, log),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            wishes = list[int]()
            with _listening(process, wishes, ctx):
                await _followed(process, events, hears)
        text = said.read_text(encoding="utf-8", errors="replace")[-LONGEST:]
        return Run(process.returncode or 0, text, wishes[0] if wishes else None)


async def _followed(process: asyncio.subprocess.Process, events: BinaryIO, hears: Hears) -> None:
    """Hear everything until the engine has ended, and what it wrote last."""
    ended = asyncio.ensure_future(process.wait())
    rest = b""
    try:
        while not ended.done():
            await asyncio.wait({ended}, timeout=PULSE)
            rest += events.read()
            *lines, rest = rest.split(b"\n")
            for event in _read(lines):
                await hears(event)
    finally:
        if not ended.done():  # our own fault, or somebody cancels us: the engine is never left in the middle
            _ask(process)
            await ended


def _read(lines: Sequence[bytes]) -> Iterator[Event]:
    for line in lines:
        with suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                yield entry


@contextmanager
def _listening(process: asyncio.subprocess.Process, wishes: list[int], ctx: Context) -> Iterator[None]:
    """Every first wish to stop is passed on as ^C, further ones are answered."""
    loop, told = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def hear(number: int) -> None:
        wishes.append(number)
        if len(wishes) == 1:
            _ask(process)
            text = "Stopping: what is under way is taken back, and state is saved."
        else:
            text = (
                f"It is stopping already: what is under way is being taken back. To end it in the middle all the same: "
                f"kill -9 {process.pid}; then bluegreen recover makes the stack whole."
            )
        told.add(loop.create_task(ctx.milestone(text)))

    for number in WISHES:
        loop.add_signal_handler(number, hear, number)
    try:
        yield
    finally:
        for number in WISHES:
            loop.remove_signal_handler(number)


def _ask(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
