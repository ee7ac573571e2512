"""Run one command to its end: environment in, output out, live lines on the way, and a stop that reaches everything it
started.

It knows nothing of Pulumi's protocol; the live lines go to a callable. A failure is one text for the user: what ended
how, what it printed last, and what to do.
"""

import asyncio
import codecs
import errno
import os
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.hosts import processes
from toolchain.hosts.inputs import Inputs

STDOUT_BEFORE = "PULUMI_COMMAND_STDOUT"
STDERR_BEFORE = "PULUMI_COMMAND_STDERR"
LAST_LINES = 20
_COMMAND_SHOWN = 200
_LIVE_BACKLOG = 200
_HIDDEN = "[secret]"
_NOT_RUN = "Nothing was run. Correct it, then run `pulumi up` again."


class Failed(Exception):
    """The command did not do what it was asked to; the text is for the user, free of secrets."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a command wrote, without the last newline of each stream."""

    stdout: str = ""
    stderr: str = ""


class Veil:
    """Replaces every secret text in what people get to see."""

    def __init__(self, texts: Iterable[str]) -> None:
        pieces = {line.strip() for text in texts for line in [text, *text.splitlines()]}
        self._pieces = sorted((piece for piece in pieces if len(piece) >= 3), key=len, reverse=True)

    def over(self, text: str) -> str:
        for piece in self._pieces:
            text = text.replace(piece, _HIDDEN)
        return text


class _Stream:
    """One output stream: kept whole for the state, cut into lines for the people who watch."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._tell = tell
        self._parts: list[str] = []
        self._line = ""

    def take(self, data: bytes, final: bool = False) -> None:
        text = self._decode(data, final)
        self._parts.append(text)
        *lines, self._line = (self._line + text).split("\n")
        for line in [*lines, *([self._line] if final and self._line else [])]:
            self._tell(line)

    def text(self) -> str:
        return "".join(self._parts).removesuffix("\n")


class Live:
    """Sends lines on in their order, and drops old ones when the reader of them is slower than the command."""

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: deque[str] = deque(maxlen=_LIVE_BACKLOG)
        self._more = asyncio.Event()
        self._over = False
        self._task = asyncio.create_task(self._pass_on())

    def tell(self, line: str) -> None:
        if line.strip():
            self._waiting.append(line)
            self._more.set()

    async def finish(self) -> None:
        """Send what waits, then stop."""
        self._over = True
        self._more.set()
        await self._task

    async def _pass_on(self) -> None:
        while not self._over:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                await self._send(self._waiting.popleft())


async def run(
    command: str,
    inputs: Inputs,
    *,
    verb: str,
    before: Output,
    veil: Veil,
    live: Callable[[str], Awaitable[None]],
    cancelled: asyncio.Event,
    limit: float = 0,
) -> Output:
    """What the command wrote, or `Failed`; a limit of 0 seconds is none."""
    seen: deque[str] = deque(maxlen=LAST_LINES)
    shown = Live(live)

    def stream(name: str) -> _Stream:
        def tell(line: str) -> None:
            seen.append(veil.over(line))
            if inputs.logging in (name, "stdoutAndStderr"):
                shown.tell(veil.over(line))

        return _Stream(tell)

    out, err = stream("stdout"), stream("stderr")
    name = f"the {verb} command `{_short(veil.over(command))}`"
    began = time.monotonic()
    try:
        child = await processes.start(
            [*inputs.interpreter, command],
            environment=_environment(inputs, before),
            folder=_folder(inputs),
            stdin=inputs.stdin,
            stdout=out.take,
            stderr=err.take,
        )
        how = await _ending(child, cancelled, limit)
    except (OSError, ValueError) as problem:
        raise Failed(f"{name} cannot be started: {veil.over(_reason(problem, inputs))} {_NOT_RUN}") from problem
    finally:
        out.take(b"", final=True)
        err.take(b"", final=True)
        await shown.finish()
    if how:
        raise Failed(_failure(name, how, time.monotonic() - began, seen))
    return Output(out.text(), err.text())


async def _ending(child: processes.Child, cancelled: asyncio.Event, limit: float) -> str:
    """How it ended if it did not end well; whatever stops the wait stops the command."""
    done, stop = asyncio.create_task(child.done()), asyncio.create_task(cancelled.wait())
    try:
        await asyncio.wait({done, stop}, timeout=limit or None, return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            return _how(done.result())
        why = "the update was cancelled" if stop.done() else f"its timeout of {limit:g} s was over"
        return f"was stopped, with everything it had started, because {why},"
    finally:
        if not done.done():
            await asyncio.shield(child.end())
        for task in (done, stop):
            task.cancel()
        await asyncio.gather(done, stop, return_exceptions=True)


def _environment(inputs: Inputs, before: Output) -> Mapping[str, str]:
    previous = {STDOUT_BEFORE: before.stdout, STDERR_BEFORE: before.stderr} if inputs.previous_output else {}
    return {**os.environ, **inputs.environment, **{name: text for name, text in previous.items() if text}}


def _folder(inputs: Inputs) -> Path:
    folder = Path(inputs.dir) if inputs.dir else Path.cwd()
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(folder))
    return folder


def _reason(problem: Exception, inputs: Inputs) -> str:
    match problem:
        case NotADirectoryError():
            return f"its `dir` {problem.filename} is not a folder."
        case FileNotFoundError() | PermissionError():
            return f"its interpreter {inputs.interpreter[0]} is no program that can be run."
        case OSError(errno=errno.E2BIG):
            return "its environment is too large (addPreviousOutputInEnv: false leaves the last output out of it)."
        case _:
            return f"{problem}."


def _how(code: int) -> str:
    if not code:
        return ""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _failure(name: str, how: str, took: float, seen: Iterable[str]) -> str:
    lines = [line.rstrip() for line in seen if line.strip()]
    printed = ["Its last lines:", *(f"    {line}" for line in lines)] if lines else ["It printed nothing."]
    return "\n".join(
        [
            f"{name} {how} after {took:.1f} s.",
            *printed,
            "Nothing that waits for it was changed. Mend what it reports, then run `pulumi up` again.",
        ]
    )


def _short(command: str) -> str:
    one = " ".join(command.split())
    return one if len(one) <= _COMMAND_SHOWN else f"{one[: _COMMAND_SHOWN - 1]}…"
