"""A small process of the benchmark's own: it says `ready` with what is to be known of it, and ends with its stdin.

The pipe is the leash: whatever happens to the benchmark, the pipe closes and the child ends, so nothing is left over.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from benchmarks.row import NotMeasured

PATIENCE = 20.0  # seconds for a start, and for an answer


class Child:
    """One running child; `told` is what it said when it was ready."""

    def __init__(self, process: asyncio.subprocess.Process, told: dict[str, Any]) -> None:
        self._process = process
        self.told = told

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """One line to it, one line back."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        return await _line(self._process)


@contextlib.asynccontextmanager
async def started(module: str, *arguments: str) -> AsyncIterator[Child]:
    """`python -m module`, until the block ends."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *arguments, stdin=pipe, stdout=pipe)
    try:
        yield Child(process, await _line(process))
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
        answer: dict[str, Any] = json.loads(line)
    except (TimeoutError, ValueError) as problem:
        raise NotMeasured(
            f"A process of the benchmark ended or gave no answer within {PATIENCE:g} s. "
            "Nothing of this row was written. Its own words are above; run it again."
        ) from problem
    return answer


async def questions() -> AsyncIterator[dict[str, Any]]:
    """In the child: every line that arrives on stdin, until it closes."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        while line := await reader.readline():
            yield json.loads(line)
    finally:
        transport.close()


def tell(**told: Any) -> None:
    """In the child: one line to whoever started it."""
    print(json.dumps(told), flush=True)
