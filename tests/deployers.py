"""Deployers that can be killed: forked from one process that has imported everything, so that each costs milliseconds.

`python -m tests.deployers` reads lines of JSON: address, folder and target. It answers each with the number of the
process that waits for another line, `go`, on a pipe of its own, and then applies; and with its number again when it is
over, and how it ended.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.postgres_room import ROOT, put_all


class Nursery:
    """Where deployers come from."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._born: asyncio.Queue[int] = asyncio.Queue()
        self._over: dict[int, asyncio.Future[int]] = {}
        self._turn = asyncio.Lock()
        self.listening = asyncio.ensure_future(self._listen())

    async def bear(self, url: str, at: Path, target: str) -> int:
        """A deployer's number; it waits for `go`."""
        async with self._turn:
            await self._say({"url": url, "at": str(at), "target": target})
            return await self._born.get()

    async def go(self, pid: int) -> int:
        """Let it apply, and return when it is over: 0 when it went well, negative when it was killed."""
        await self._say({"go": pid})
        return await self._over[pid]

    async def _say(self, what: dict[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        await self._process.stdin.drain()

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if "born" in said:
                self._over[said["born"]] = asyncio.get_running_loop().create_future()
                self._born.put_nowait(said["born"])
            else:
                self._over[said["over"]].set_result(said["code"])


@asynccontextmanager
async def nursery() -> AsyncIterator[Nursery]:
    """A process that bears deployers, for as long as this lasts."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.deployers", cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    found = Nursery(process)
    try:
        yield found
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await found.listening


def _bear(order: dict[str, str]) -> tuple[int, int]:
    """A child's number, and the pipe that lets it go."""
    waits, lets = os.pipe()
    if pid := os.fork():
        os.close(waits)
        return pid, lets
    os.close(lets)
    code = 1
    try:
        if os.read(waits, 1):
            put_all(order["url"], Path(order["at"]), order["target"])
            code = 0
    finally:
        os._exit(code)


async def _serve() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    gates: dict[int, int] = {}
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, _reap)
    while line := await reader.readline():
        order = json.loads(line)
        if "go" in order:
            os.write(gates[order["go"]], b"!")
            os.close(gates[order["go"]])
        else:
            pid, lets = _bear(order)
            gates[pid] = lets
            print(json.dumps({"born": pid}), flush=True)


def _reap() -> None:
    """Tell of every child that is over; no thread may run where children are forked."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            print(json.dumps({"over": ended[0], "code": os.waitstatus_to_exitcode(ended[1])}), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
