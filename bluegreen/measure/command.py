"""The number that a program prints: its last line, once it has ended well.

No shell comes in between, its environment is what it needs and `PATH`, and it gets no input. It has a process group of
its own, which ends with it, after ten seconds, or when nobody waits any longer: nothing that it started stays behind,
except what leaves the group on purpose. Only the end of what it prints is kept, so a talkative program costs no memory.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bluegreen.handler import Halt

PATIENCE = 10.0  # seconds
KEPT = 4096  # bytes of each of its outputs
SHOWN = 160  # characters of a line that an error quotes
STDOUT, STDERR = 1, 2


async def printed(
    run: Sequence[str], environment: Mapping[str, str], folder: Path, *, patience: float = PATIENCE
) -> float:
    """The number on the last line of what the program prints.

    Raises:
        Halt: there is none; its `what` is one sentence.
    """
    loop = asyncio.get_running_loop()
    path = {"PATH": os.environ.get("PATH", os.defpath)}
    try:
        transport, program = await loop.subprocess_exec(
            _Program,
            *run,
            stdin=asyncio.subprocess.DEVNULL,
            cwd=folder,
            env={**path, **environment},
            start_new_session=True,  # and with it a process group, whose id is the program's
        )
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        raise _numberless(f"{run[0]} cannot be started: {reason}.") from None
    try:
        async with asyncio.timeout(patience):
            await program.ended.wait()
    except TimeoutError:
        raise _numberless(f"{run[0]} did not end within {patience:g} s.") from None
    finally:
        transport.close()  # kills the program, if it still runs
        await program.ended.wait()
    return _number(run[0], transport.get_returncode() or 0, program)


class _Program(asyncio.SubprocessProtocol):
    """What a running program has printed so far; `ended` once it is gone and its outputs are closed."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self._tails = {STDOUT: b"", STDERR: b""}
        self._pid = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._pid = transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._tails[fd] = (self._tails[fd] + data)[-KEPT:]

    def process_exited(self) -> None:
        _kill(self._pid)  # a child that it left behind would keep its outputs open

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()

    def last(self, output: int) -> str:
        """The last line that says anything."""
        lines = self._tails[output].decode(errors="replace").strip().splitlines()
        text = lines[-1].strip() if lines else ""
        return "".join(sign if sign.isprintable() else "?" for sign in text)[:SHOWN]


def _number(name: str, code: int, program: _Program) -> float:
    said, complaint = program.last(STDOUT), program.last(STDERR)
    if code:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
        raise _numberless(f"{name} {how}" + (f": {complaint.rstrip('.')}." if complaint else " and said nothing."))
    try:
        return float(said)
    except ValueError:
        shown = f"{said!r}, which is no number" if said else "nothing"
        more = f": {complaint.rstrip('.')}" if complaint else ""
        raise _numberless(f"{name} printed {shown}{more}.") from None


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS refuses where only zombies are left
        os.killpg(group, signal.SIGKILL)


def _numberless(what: str) -> Halt:
    return Halt(what, world="Nothing was changed.", next="Correct the metric's command, or what it asks.")
