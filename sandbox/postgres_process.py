"""A Postgres server as a process on one cluster: started as a user who may, ready when it says so, ended for good.

Whether it is ready stands in its own lock file, so no driver and no password is needed to know. On Linux the kernel
ends it with the process that started it; elsewhere only an orderly end takes it along.

Deliberately not here: what is in the cluster (`sandbox.postgres_template`) and where it lies.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sandbox.postgres_binaries import NoPostgres, Owner
from sandbox.world_members import Process

READY_SECONDS = 15.0
STOP_SECONDS = 1.5  # a fast shutdown; then the immediate one
KILL_SECONDS = 5.0
LOOK_SECONDS = 0.01
IN_USE = "still in use"  # what Postgres says while the processes of a killed server are still going
LOCK = "postmaster.pid"  # in the cluster; the first line is the server's pid, the eighth how far it is
PR_SET_PDEATHSIG = 1
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # no socket, so no path that is too long
    "fsync": "off",  # a commit is with the operating system, which outlives any kill of the server
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # files of the cluster, so that a killed server leaves none elsewhere
    "jit": "off",
    "autovacuum_naptime": "10s",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postmaster:
    """The server's first process, which starts and ends all others."""

    def __init__(self, programs: Path, cluster: Path, port: int, log: Path, owner: Owner) -> None:
        self.port = port
        self._programs, self._cluster, self._log, self._owner = programs, cluster, log, owner
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """None while it is stopped."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it, and return once it takes connections.

        Raises:
            NoPostgres: it cannot start; the text says why.
        """
        end = time.monotonic() + READY_SECONDS
        self._spawn()
        while not self._ready():
            ended = self.pid is None
            if ended and IN_USE in self._last_words() and time.monotonic() < end:
                self._spawn()
            elif ended or time.monotonic() > end:
                self.stop()
                raise NoPostgres(
                    f"Postgres cannot start on port {self.port}: {self._last_words()} It is not running. "
                    f"See {self._log}, and start it again."
                )
            time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """End it, in order where it lets us."""
        if self._process is None:
            return
        for number, seconds in (
            (signal.SIGINT, STOP_SECONDS),
            (signal.SIGQUIT, STOP_SECONDS),
            (signal.SIGKILL, KILL_SECONDS),
        ):
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                break
        self._process = None

    def _spawn(self) -> None:
        self._disown_lock()
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._programs / "postgres"), "-D", str(self._cluster), "-p", str(self.port), *settings]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
                **demoted(self._owner),
            )

    def _disown_lock(self) -> None:
        """A killed server that nobody has reaped still holds its lock in Postgres's eyes, though it is dead.

        With a pid that cannot be another server's, Postgres goes on to ask whether the shared memory is in use.
        """
        with contextlib.suppress(OSError, ValueError):
            first, *rest = (self._cluster / LOCK).read_text(encoding="utf-8").splitlines(keepends=True)
            if Process.of(int(first)) is None:
                (self._cluster / LOCK).write_text("".join([f"{os.getpid()}\n", *rest]), encoding="utf-8")

    def _ready(self) -> bool:
        try:
            lines = (self._cluster / LOCK).read_text(encoding="utf-8").splitlines()
        except (FileNotFoundError, UnicodeDecodeError):
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _last_words(self) -> str:
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
        told = ([line for line in said if "FATAL" in line or "could not" in line] or said)[-1]
        return (told.partition("] ")[2] or told).rstrip(".") + "."


def refuse_if_taken(port: int) -> None:
    """Making a cluster takes a moment; whether its port can be had is known before."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server itself will
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise NoPostgres(f"Port {port} on 127.0.0.1 cannot be used ({reason}); choose another.") from error


def demoted(owner: Owner) -> dict[str, Any]:
    """How Postgres's own programs are run: as this user, from nowhere, without this shell's settings."""
    ways: dict[str, Any] = {"env": environment(), "cwd": "/"}
    return {**ways, "user": owner.uid, "group": owner.gid, "extra_groups": []} if owner.foreign else ways


def environment() -> dict[str, str]:
    """This process's, without what Postgres's programs would take from it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)
