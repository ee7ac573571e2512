"""The demo app, one process: what a deployment of a sandbox image really runs.

`python -m sandbox.app` alone binds 127.0.0.1:$PORT and serves. Under the supervisor it has two doors, because a new
deployment is health-checked while the old one still serves the same private name and port:

* the *back door*, a listener on a port of its own, open from the start, for the platform's health check;
* the *front door*, 127.0.0.1:$PORT. The supervisor owns that listening socket and hands it over (SCM_RIGHTS) when the
  deployment becomes active. Two deployments in overlap then accept from **one** queue, so that the leaving one can
  stop accepting without losing a connection. With SO_REUSEPORT each would have its own queue, and the kernel resets
  what waits in the queue of the one that closes (tcp_migrate_req is off by default).

Orders come over an inherited socket, one JSON object a line: `{"do": "serve"}` with the socket, `{"do": "retire"}`;
each is acknowledged, so the supervisor knows when it is done. The end of that channel is the end of the supervisor,
and of this process. SIGTERM: stop accepting, answer what comes on open connections with `Connection: close`, finish
what is in flight, exit 0.

Its environment is `sandbox.app_setup`'s to read. SANDBOX_CONTROL_FD and SANDBOX_BACKDOOR_FD come from the supervisor.

Deliberately not here: what it answers (`sandbox.app_pages`, `sandbox.backend`, `sandbox.frontend`).
"""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
from typing import Literal

from aiohttp import web

from sandbox.app_pages import Pages
from sandbox.app_setup import Setup
from sandbox.registry import Behaviour, UnknownImage

PR_SET_PDEATHSIG = 1
LINGER = 0.5  # seconds in which open keep-alive connections are told `Connection: close` before they are closed
STEP = 0.02


def pages(setup: Setup) -> Pages:
    """What this process answers with. A frontend need not load a database client, so each is imported on demand."""
    if setup.app == "backend":
        from sandbox.backend.pages import Backend

        return Backend(setup)
    from sandbox.frontend.pages import Frontend

    return Frontend(setup)


class Process:
    """The running app: its doors, and its orderly end."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.ended = asyncio.Event()
        self._leaving = False
        self._front: web.SockSite | None = None
        self._pages = pages(setup)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=max(setup.draining, 0.1))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        response = await self._pages.answer(request)
        if self._leaving:
            response.force_close()
        return response

    async def open(self) -> None:
        """Open the doors that are this process's own."""
        await self._runner.setup()
        if self.setup.backdoor is not None:
            await web.SockSite(self._runner, socket.socket(fileno=self.setup.backdoor)).start()
        if self.setup.control is None:
            await web.TCPSite(self._runner, "127.0.0.1", self.setup.port).start()

    async def serve(self, listener: socket.socket) -> None:
        """Accept from the front door."""
        if self._front is not None:
            listener.close()
            return
        listener.setblocking(False)
        self._leaving = False
        self._front = web.SockSite(self._runner, listener, backlog=1024)
        await self._front.start()

    async def retire(self) -> None:
        """Accept nothing more from the front door; open connections are answered once more, then closed."""
        self._leaving = True
        if self._front is not None:
            await self._front.stop()
            self._front = None

    async def close(self) -> None:
        """Finish what is in flight and let every connection go."""
        await self.retire()
        for site in self._runner.sites:
            await site.stop()
        rounds = int(min(LINGER, self.setup.draining / 2) / STEP)
        for _ in range(rounds):
            if self._runner.server is None or not self._runner.server.connections:
                break
            await asyncio.sleep(STEP)
        await self._runner.cleanup()
        await self._pages.close()


class Orders:
    """The channel to the supervisor."""

    def __init__(self, descriptor: int, process: Process) -> None:
        self._channel = socket.socket(fileno=descriptor)
        self._channel.setblocking(False)
        self._process = process

    def say(self, event: Literal["up", "serving", "retired"]) -> None:
        with contextlib.suppress(OSError):
            self._channel.send(json.dumps({"event": event}).encode() + b"\n")

    async def follow(self) -> None:
        """Do as told until the channel ends, which is the end of everything."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._channel, readable.set)
        while True:
            await readable.wait()
            readable.clear()
            try:
                data, descriptors, _, _ = socket.recv_fds(self._channel, 4096, 8)
            except BlockingIOError:
                continue
            except OSError:
                data, descriptors = b"", []
            if not data:
                os._exit(70)  # the supervisor is gone; nothing may be left behind
            for line in data.splitlines():
                await self._obey(json.loads(line)["do"], descriptors)

    async def _obey(self, order: str, descriptors: list[int]) -> None:
        if order == "serve":
            await self._process.serve(socket.socket(fileno=descriptors.pop(0)))
            self.say("serving")
        elif order == "retire":
            await self._process.retire()
            self.say("retired")


def die_with_parent() -> None:
    """On Linux the kernel ends this process with its parent even when it hangs; elsewhere the channel has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


async def run(setup: Setup) -> None:
    """Serve until SIGTERM."""
    process = Process(setup)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.ended.set)
    following: asyncio.Task[None] | None = None
    await process.open()
    if setup.control is not None:
        orders = Orders(setup.control, process)
        orders.say("up")
        following = asyncio.create_task(orders.follow())
    print(f"{setup.app} {setup.colour} {setup.release} is up, pid {os.getpid()}", flush=True)
    if setup.behaviour is Behaviour.CRASH_LATER:
        loop.call_later(setup.crash_after, crash, "out of luck, as shipped")
    await process.ended.wait()
    print("SIGTERM: finishing what is in flight", flush=True)
    await process.close()
    if following is not None:
        following.cancel()


def crash(reason: str) -> None:
    """End as a program does whose exception nobody caught."""
    print(f"fatal: {reason}", file=sys.stderr, flush=True)
    os._exit(1)


def main() -> int:
    try:
        setup = Setup.read(os.environ)
    except (ValueError, UnknownImage) as error:
        print(error, file=sys.stderr)
        return 2
    if setup.control is not None:
        die_with_parent()
    if setup.behaviour is Behaviour.CRASHING:
        crash("cannot start, as shipped")
    try:
        asyncio.run(run(setup))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        print(f"Port {setup.port} on 127.0.0.1 cannot be used ({reason}); choose another.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
