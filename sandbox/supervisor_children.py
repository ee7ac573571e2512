"""App processes and the front doors they serve: started, activated, retired and ended as children of the supervisor.

A front door (an address and PORT) is a listening socket that the supervisor owns and lends to every active process of
one group, so replicas and overlapping deployments accept from one queue (see `sandbox.app`). The last active process to
leave closes the door, so that a dead app refuses connections instead of letting them hang. The address is 127.0.0.1, or
in a private network that of the group's private name.

Nothing outlives the supervisor: every child holds one end of a socket whose other end dies with it, and on Linux the
kernel kills children with their parent. So there is nothing to find again later, and no pid file that could lie.

Deliberately not here: HTTP (`sandbox.supervisor`), and any opinion on when a process should be active.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from sandbox.ports import PRIVATE, address

State = Literal["starting", "up", "serving", "retired", "stopping", "exited"]
ROOT = Path(__file__).resolve().parent.parent
KEPT_LINES = 1000
ACKNOWLEDGED_WITHIN = 10.0  # seconds; a child that hangs longer is not activated
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Refusal(Exception):
    """The order cannot be carried out; the text says why."""


@dataclass(slots=True)
class Door:
    """A front door: the socket, whose it is, and the processes that accept from it."""

    group: str
    listener: socket.socket
    users: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Line:
    """One line that a process wrote."""

    time: datetime
    text: str


class Child:
    """One app process, from its start to its exit code."""

    def __init__(self, name: str, group: str, address: str, port: int | None, log: Path) -> None:
        self.name, self.group, self.address, self.port = name, group, address, port
        self.state: State = "starting"
        self.started = datetime.now(UTC)
        self.lines: deque[Line] = deque(maxlen=KEPT_LINES)
        self.changed = asyncio.Condition()
        self.backdoor = socket.create_server(("127.0.0.1", 0))
        self.backdoor_port: int = self.backdoor.getsockname()[1]
        self._log = log
        self._channel: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._following: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode if self._process else None

    async def start(self, variables: Mapping[str, str]) -> None:
        """Start the process with this environment and nothing of the supervisor's own but the way to Python."""
        ours, theirs = socket.socketpair()
        try:
            env = {
                "PATH": os.environ.get("PATH", os.defpath),
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
                **variables,
                "SANDBOX_CONTROL_FD": str(theirs.fileno()),
                "SANDBOX_BACKDOOR_FD": str(self.backdoor.fileno()),
            }
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sandbox.app", env=env, pass_fds=(theirs.fileno(), self.backdoor.fileno()),
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            self.backdoor.close()
        ours.setblocking(False)
        self._channel = ours
        self._following = asyncio.create_task(self._follow(ours))

    async def order(self, do: Literal["serve", "retire"], until: State, listener: socket.socket | None = None) -> None:
        """Tell the process and wait until it has done so."""
        if self._channel is None or self.state in ("stopping", "exited"):
            raise Refusal(f"{self.name} is {self.state}; it cannot {do}.")
        message = [json.dumps({"do": do}).encode() + b"\n"]
        try:
            socket.send_fds(self._channel, message, [listener.fileno()] if listener else [])
            async with asyncio.timeout(ACKNOWLEDGED_WITHIN), self.changed:
                await self.changed.wait_for(lambda: self.state in (until, "stopping", "exited"))
        except (TimeoutError, OSError) as error:
            raise Refusal(f"{self.name} did not {do} within {ACKNOWLEDGED_WITHIN:g} s.") from error
        if self.state != until:
            raise Refusal(f"{self.name} is {self.state}; it cannot {do}.")

    async def end(self, draining: float) -> None:
        """SIGTERM, and SIGKILL when it has not ended after this many seconds."""
        if self._process is None or self.state == "exited":
            return
        await self.become("stopping")
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(draining):
                await self.come_to("exited")
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.come_to("exited")

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def come_to(self, state: State) -> None:
        """Return once the process has come at least this far; `exited` is the furthest, its log is complete then."""
        order = get_args(State)
        async with self.changed:
            await self.changed.wait_for(lambda: order.index(self.state) >= order.index(state))

    async def become(self, state: State) -> None:
        async with self.changed:
            if self.state != "exited":
                self.state = state
            self.changed.notify_all()

    async def _follow(self, channel: socket.socket) -> None:
        """Keep what the process says until it ends; its exit is noticed after its last line."""
        assert self._process is not None
        assert self._process.stdout is not None
        await asyncio.gather(self._read_log(self._process.stdout), self._read_events(channel))
        await self._process.wait()
        self._channel = None
        channel.close()
        await self.become("exited")

    async def _read_log(self, stream: asyncio.StreamReader) -> None:
        rest = b""
        with self._log.open("a", encoding="utf-8") as file:
            while chunk := await stream.read(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    entry = Line(datetime.now(UTC), line.decode(errors="replace"))
                    self.lines.append(entry)
                    print(entry.time.isoformat(), entry.text, file=file, flush=True)

    async def _read_events(self, channel: socket.socket) -> None:
        states: dict[str, State] = {"up": "up", "serving": "serving", "retired": "retired"}
        with contextlib.suppress(ConnectionError):
            while data := await asyncio.get_running_loop().sock_recv(channel, 4096):
                for line in data.splitlines():
                    if self.state != "stopping":
                        await self.become(states[json.loads(line)["event"]])


class Children:
    """Every app process of one supervisor, and the front doors they share."""

    def __init__(self, logs: Path, network: int | None = None) -> None:
        self._logs, self._network = logs, network
        self._children: dict[str, Child] = {}
        self._doors: dict[tuple[str, int | None], Door] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        logs.mkdir(parents=True, exist_ok=True)

    def all(self) -> list[Child]:
        return list(self._children.values())

    def find(self, name: str) -> Child | None:
        return self._children.get(name)

    async def start(self, name: str, group: str, port: int | None, variables: Mapping[str, str]) -> Child:
        """Start a process, or answer with the one that already has this name."""
        if not NAME.fullmatch(name):
            raise Refusal(f"{name!r} cannot name a process; letters, digits, dot, dash and underscore can, up to 100.")
        if found := self._children.get(name):
            return found
        where = address(group + PRIVATE, self._network)
        child = self._children[name] = Child(name, group, where, port, self._logs / f"{name}.log")
        try:
            await child.start(variables)
        except BaseException:
            del self._children[name]
            raise
        self._background(self._leave_when_ended(child))
        return child

    async def activate(self, child: Child) -> None:
        """Let the process accept from its front door, which opens with the first one that does."""
        if child.state == "serving":
            return
        door = self._open(child)
        try:
            await child.order("serve", until="serving", listener=door.listener)
        except Refusal:
            self._leave(child)
            raise

    async def retire(self, child: Child) -> None:
        """Stop accepting; what is open stays open."""
        if child.state == "serving":
            await child.order("retire", until="retired")
        self._leave(child)

    async def stop(self, child: Child, draining: float) -> None:
        """Begin to end the process: it accepts nothing more, finishes, and is killed after so many seconds."""
        if child.state not in ("stopping", "exited"):
            await child.become("stopping")
            self._background(child.end(draining))

    def forget(self, child: Child) -> None:
        if child.state != "exited":
            raise Refusal(f"{child.name} is {child.state}; only an exited process can be forgotten.")
        del self._children[child.name]

    async def end_all(self, grace: float) -> None:
        """End every process within about this time."""
        await asyncio.gather(*(child.end(grace) for child in self.all()))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for door in list(self._doors):
            self._doors.pop(door).listener.close()

    def _open(self, child: Child) -> Door:
        if child.port is None:
            child.port = free_port(child.address)
        where = child.address, child.port
        door = self._doors.get(where)
        if door is None:
            try:
                listener = socket.create_server(where, backlog=1024)
            except OSError as error:
                raise Refusal(f"Port {child.port} cannot be used for {child.name}: {error.strerror}.") from error
            door = self._doors[where] = Door(child.group, listener)
        if door.group != child.group:
            raise Refusal(f"Port {child.port} cannot be used for {child.name}: {door.group} serves it.")
        door.users.add(child.name)
        return door

    def _leave(self, child: Child) -> None:
        where = child.address, child.port
        door = self._doors.get(where)
        if door is None or child.name not in door.users:
            return
        door.users.discard(child.name)
        if not door.users:
            self._doors.pop(where).listener.close()

    async def _leave_when_ended(self, child: Child) -> None:
        """A process that is being ended, or dies, gives up its front door at once."""
        async with child.changed:
            await child.changed.wait_for(lambda: child.state in ("stopping", "exited"))
        self._leave(child)
        await child.come_to("exited")

    def _background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def free_port(address: str) -> int:
    """A port of this address that nobody listens on now."""
    with socket.create_server((address, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
