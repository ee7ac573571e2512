"""A Postgres server that lives for seconds: on 127.0.0.1, with a random password, gone without a trace afterwards.

Nothing in it is worth keeping, so it syncs nothing and is ended at once. It ends with the block, with an exception,
with ^C, and by the kernel's hand with whoever started it; elsewhere than on Linux a server that was left alone ends
within a minute of its files being swept. Nothing here blocks the event loop, and several may run at a time.
"""

import asyncio
import contextlib
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from bluegreen.postgres.scratch.cluster import SUPERUSER, template
from bluegreen.postgres.scratch.places import CLUSTER, Account, NoScratch, Run, unavailable
from bluegreen.postgres.scratch.programs import Programs, demoted, environment, nearest
from bluegreen.postgres.session import Database, Lost, SqlError

APPLICATION = "bluegreen-scratch"
OWNER = "postgres"
READY_SECONDS, LOOK_SECONDS = 15.0, 0.005
END_SECONDS = 3.0  # an immediate end; then it is killed
TRIES = 3  # a free port may be taken by somebody else a moment later
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # no socket, so no path that is too long
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "40",
    "max_locks_per_transaction": "512",  # a large schema is laid in one transaction
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # files of the cluster, so that a killed server leaves none elsewhere
    "autovacuum": "off",  # it would hold locks and change times
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
ROLE = "create role {name} login createdb createrole replication bypassrls password '{password}'"
T = TypeVar("T")


class Scratch:
    """One running server; `owner` is as whom a migration is tried, no superuser unless production's is one."""

    def __init__(self, programs: Programs, port: int, password: str, note: str) -> None:
        self.programs, self.port = programs, port
        self.major = programs.major
        self.owner = OWNER
        self.told = ""
        self._password, self._note = password, note
        self._word = secrets.token_urlsafe(24)  # every role's that may log in

    async def begin(self) -> None:
        """The first owner is Supabase's; and what it is that runs here."""
        async with self.superuser().session() as session:
            await session.rows(ROLE.format(name=quoted(OWNER), password=self._word))
            version = (await session.rows("select current_setting('server_version')"))[0][0].partition(" ")[0]
        self.told = f"Postgres {version} from {self.programs.origin}{self._note}"

    def at(self, name: str, user: str | None = None) -> Database:
        """A database that is there, for its owner or another role that may log in."""
        from urllib.parse import quote

        who = quote(self.owner if user is None else user, safe="")
        word = self._password if user == SUPERUSER else self._word
        return Database(f"postgresql://{who}:{word}@127.0.0.1:{self.port}/{quote(name, safe='')}", APPLICATION)

    def superuser(self, name: str = "postgres") -> Database:
        """The same for the one who may do everything."""
        return self.at(name, SUPERUSER)

    async def database(self, name: str) -> Database:
        """A new, empty database of the owner."""
        return await self.clone(name, "template0")

    async def clone(self, name: str, template: str, owner: str = "") -> Database:
        """A new database with everything that the template has; nobody may be connected to that one."""
        whose = quoted(owner or self.owner)
        await self.run(f"create database {quoted(name)} template {quoted(template)} owner {whose}")
        return self.at(name)

    async def drop(self, name: str) -> None:
        """It goes, whoever is connected to it."""
        await self.run(f"drop database if exists {quoted(name)} with (force)")

    async def login(self, name: str) -> None:
        """From now on this role is the owner of new databases, and may log in."""
        await self.run(f"alter role {quoted(name)} login password '{self._word}'")
        self.owner = name

    async def guest(self, name: str) -> None:
        """A role that may log in and nothing else."""
        await self.run(f"create role {quoted(name)} login password '{self._word}'")

    async def run(self, statement: str) -> None:
        """One statement as superuser, outside of any copy.

        Raises:
            NoScratch: it does not go through, so the server is of no use.
        """
        try:
            async with self.superuser().session() as session:
                await session.rows(statement)
        except (Lost, SqlError) as problem:
            raise unavailable(f"it does not do what it is asked ({problem})", "Run it again.") from problem


def quoted(name: str) -> str:
    """A name as SQL."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


@asynccontextmanager
async def server(major: int) -> AsyncIterator[Scratch]:
    """A server of this major version, or of the nearest higher one that there is here.

    Raises:
        NoScratch: none can be had; why, and what to do.
    """
    programs, note = nearest(major)
    account = Account.here()
    run = await _finished(Run.begin)
    process: asyncio.subprocess.Process | None = None
    try:
        binaries = await _finished(lambda: programs.for_server(account))
        found = await template(programs, binaries, account)
        password = found.password
        await found.copied(run.folder / CLUSTER)
        try:
            process, port = await _started(binaries, account, run.folder)
        except NoScratch:
            found.forget()  # files of it may be missing: cleaners of temporary folders take old ones
            raise
        scratch = Scratch(programs, port, password, note)
        await scratch.begin()
        yield scratch
    finally:
        await _uncancelled(_ended(process, run))


async def _started(binaries: Path, account: Account, folder: Path) -> tuple[asyncio.subprocess.Process, int]:
    log = folder / "log"
    settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
    for attempt in range(1, TRIES + 1):
        port = _free_port()
        with log.open("wb") as written:
            process = await asyncio.create_subprocess_exec(
                *demoted(account, str(binaries / "postgres"), "-D", str(folder / CLUSTER), "-p", str(port), *settings),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                env=environment(),
            )
        try:
            if await _ready(process, folder / CLUSTER):
                return process, port
        except BaseException:
            await _uncancelled(_killed(process))
            raise
        await _uncancelled(_killed(process))
        said = log.read_text(encoding="utf-8", errors="replace")
        if "Address already in use" not in said or attempt == TRIES:
            break
    words = [line for line in said.splitlines() if "FATAL" in line or "could not" in line] or said.splitlines()
    raise unavailable(f"it does not start ({(words or ['it said nothing'])[-1].strip()})", "Run it again.")


async def _ready(process: asyncio.subprocess.Process, cluster: Path) -> bool:
    """Whether it takes connections now; the eighth line of its lock file says how far it is."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_SECONDS):
            while process.returncode is None:
                with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
                    lines = (cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
                    if len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                        return True
                await asyncio.sleep(LOOK_SECONDS)
    return False


async def _ended(process: asyncio.subprocess.Process | None, run: Run) -> None:
    if process is not None:
        await _killed(process)
    await asyncio.to_thread(run.end)


async def _killed(process: asyncio.subprocess.Process) -> None:
    """End it at once, for good."""
    for number in (signal.SIGQUIT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), END_SECONDS)
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _finished(work: Callable[[], T]) -> T:
    """What a function in a thread answers; a wish to stop is heard when the thread is done, for nobody can stop it."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        answer = await task
        if isinstance(answer, Run):
            answer.end()
        raise


async def _uncancelled(work: Coroutine[Any, Any, None]) -> None:
    """Tidying up comes to its end, however often somebody asks to stop."""
    task = asyncio.ensure_future(work)
    stopped = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            stopped = True
    task.result()
    if stopped:
        raise asyncio.CancelledError
