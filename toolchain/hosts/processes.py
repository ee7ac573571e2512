"""Children in process groups of their own, so that ending one ends everything it started.

A shell that is killed alone leaves its children running and its pipes open; here a stop is SIGTERM to the whole group,
a grace to tidy up, then SIGKILL to what is left. Output is read through pipes of ours, so waiting for a child never
waits for a grandchild that kept one open.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

GRACE_SECONDS = 3.0
_GROUP_CHECK_SECONDS = 0.05

Sink = Callable[[bytes], None]


class _Pipe(asyncio.Protocol):
    """One end of a pipe that hands every chunk on and knows when the last writer is gone."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.closed = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._sink(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


@dataclass(frozen=True, slots=True)
class Child:
    """A running process, the group that it leads, and the pipes that it writes to."""

    process: asyncio.subprocess.Process
    pipes: tuple[tuple[asyncio.BaseTransport, _Pipe], ...] = ()

    async def done(self) -> int:
        """The exit code, once the process has ended and everything that it or its children wrote has been handed on."""
        code = await self.process.wait()
        for _, pipe in self.pipes:
            await pipe.closed
        return code

    async def end(self, grace: float = GRACE_SECONDS) -> None:
        """Stop the whole group: politely, then not; return when the process is gone."""
        group = self.process.pid
        if _signal(group, signal.SIGTERM):
            await _emptied(group, grace)
            _signal(group, signal.SIGKILL)
        await self.process.wait()
        self.let_go()

    def let_go(self) -> None:
        """Stop reading: what still holds a pipe open left the group and is on its own."""
        for transport, _ in self.pipes:
            transport.close()


async def start(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path | str | None = None,
    stdin: str | None = None,
    stdout: Sink | None = None,
    stderr: Sink | None = None,
) -> Child:
    """Start `arguments` in a group of its own; a stream without a sink is this process's own."""
    opened: list[tuple[asyncio.BaseTransport, _Pipe]] = []
    ends: list[int] = []
    given = _as_file(stdin)
    try:
        targets: list[int | None] = []
        for sink in (stdout, stderr):
            if sink is None:
                targets.append(None)
                continue
            reading, writing = os.pipe()
            ends.append(writing)
            targets.append(writing)
            opened.append(await _read(reading, sink))
        process = await asyncio.create_subprocess_exec(
            *arguments,
            cwd=folder,
            env=dict(environment),
            stdin=given or asyncio.subprocess.DEVNULL,
            stdout=targets[0],
            stderr=targets[1],
            start_new_session=True,
        )
    except BaseException:
        for transport, _ in opened:
            transport.close()
        raise
    finally:
        for end in ends:
            os.close(end)
        if given:
            given.close()
    return Child(process, tuple(opened))


async def _read(end: int, sink: Sink) -> tuple[asyncio.BaseTransport, _Pipe]:
    transport, pipe = await asyncio.get_running_loop().connect_read_pipe(lambda: _Pipe(sink), os.fdopen(end, "rb", 0))
    return transport, pipe


def _as_file(text: str | None) -> IO[bytes] | None:
    """Text to be read as standard input: a nameless file, so that no writer can block on a child that never reads."""
    if not text:
        return None
    file = tempfile.TemporaryFile()  # noqa: SIM115 -- the child reads it; start() closes it
    file.write(text.encode())
    file.seek(0)
    return file


def _signal(group: int, number: int) -> bool:
    """Whether anything in the group was there to be told."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


async def _emptied(group: int, within: float) -> None:
    """Return once nothing in the group runs any more, or the time is over."""
    for _ in range(int(within / _GROUP_CHECK_SECONDS)):
        if not (_signal(group, 0) and _running(group)):
            return
        await asyncio.sleep(_GROUP_CHECK_SECONDS)


def _running(group: int) -> bool:
    """Whether any of the group is more than a zombie that its new parent has yet to collect, where the system tells."""
    states = [about for process in Path("/proc").glob("[0-9]*") if (about := _state_and_group(process))]
    return not states or any(state not in "ZX" and of == str(group) for state, of in states)


def _state_and_group(process: Path) -> tuple[str, str] | None:
    try:
        _, _, after = (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")
    except OSError:
        return None  # it has just ended
    state, _, group, *_ = after.split()
    return state, group
