"""The load, and who is in the way: pgbench at a steady rate, and a transaction that stays open for a while.

pgbench and psql are the server's own. The load logs in as the app's owner without time limits, because an app's users
would see their 8 s run out in errors, and an error has no latency to compare.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.migrations.place import Place
from benchmarks.migrations.traffic import Traffic, read
from benchmarks.row import NotMeasured
from bluegreen.postgres.session import Database
from sandbox.postgres_process import environment

CLIENTS, RATE = 16, 400
LOOK_SECONDS = 0.02
START_SECONDS = 20.0
# By weight; `:n` is a row's number. Projects are read and written by their key, as an app does.
PROJECTS: Mapping[str, int] = {
    "select name from public.projects where id = md5('p' || :n::text)::uuid": 4,
    "update public.projects set description = 'seen ' || :n::text where id = md5('p' || :n::text)::uuid": 1,
}
GENERATIONS: Mapping[str, int] = {
    "select status from public.generations where id = md5('g' || :n::text)::uuid": 4,
    "update public.generations set status = 'running' where id = md5('g' || :n::text)::uuid": 1,
}
WRITES: Mapping[str, int] = {
    "update public.users set display_name = 'u' || :n::text where id = md5('u' || (:n % 200)::text)::uuid": 1,
    "update public.projects set description = 'seen ' || :n::text where id = md5('p' || :n::text)::uuid": 1,
    "update public.generations set status = 'running' where id = md5('g' || :n::text)::uuid": 1,
}
# What holds a table while it does nothing: a report that reads, an import that writes.
READER = "select count(*) from public.projects"
WRITER = "update public.projects set name = name where id = md5('p0')::uuid"


@dataclass(frozen=True, slots=True)
class Load:
    """Who asks what, how often and for how long."""

    statements: Mapping[str, int]
    seconds: int
    rows: int  # the numbers of the rows that are asked for are 1 to this
    clients: int = CLIENTS
    rate: int = RATE

    def command(self, pgbench: Path, folder: Path, url: str) -> list[str]:
        """pgbench's, with the scripts written into this folder."""
        command = [str(pgbench), "--no-vacuum", "--protocol=prepared", "--log", f"--log-prefix={folder}/log"]
        command += [f"--client={self.clients}", "--jobs=2", f"--rate={self.rate}", f"--time={self.seconds}"]
        for number, (statement, weight) in enumerate(self.statements.items()):
            script = folder / f"{number}.sql"
            script.write_text(f"\\set n random(1, {self.rows})\n{statement};\n", encoding="utf-8")
            command.append(f"--file={script}@{weight}")
        return [*command, url]


@dataclass
class Running:
    """A load that is under way; `traffic` is there once the block has ended."""

    answers: Traffic | None = None

    @property
    def traffic(self) -> Traffic:
        assert self.answers is not None, "the load has not ended yet"
        return self.answers

    def during(self, began: float, ended: float) -> Traffic:
        """What was under way in this time.

        Raises:
            NotMeasured: the load was over before, or nobody asked meanwhile; it would tell of a quiet time.
        """
        if self.traffic.answers[-1].ended < ended:
            raise NotMeasured(
                f"The load was over {ended - self.traffic.answers[-1].ended:.1f} s before the migration. "
                "Nothing of this row was written. Run it again while the machine does little else."
            )
        found = self.traffic.during(began, ended)
        if not found.answers:
            raise NotMeasured("Nobody asked anything meanwhile. Nothing of this row was written. Run it again.")
        return found


@contextlib.asynccontextmanager
async def under(load: Load, here: Place, url: str) -> AsyncIterator[Running]:
    """Everybody asks; the block's end waits for the load's own."""
    folder = here.scratch()
    command = load.command(here.server.programs / "pgbench", folder, url)
    process = await _started(command)
    try:
        await _connected(here, url, "pgbench", "true", load.clients)
        running = Running()
        yield running
        said = (await process.communicate())[0].decode()
    except BaseException:
        await _ended(process)
        raise
    if process.returncode:
        raise NotMeasured(f"pgbench ended with {process.returncode}: {said[-500:]} Nothing of this row was written.")
    running.answers = read(line for log in folder.glob("log.*") for line in log.read_text("utf-8").splitlines())


@contextlib.asynccontextmanager
async def held(here: Place, url: str, statement: str, seconds: float) -> AsyncIterator[None]:
    """A transaction of somebody's that has made this statement and stays open for so long, or to the block's end."""
    sleep = f"{statement}; select pg_sleep({seconds})"  # one text is one transaction
    process = await _started([str(here.psql), "--no-psqlrc", "--quiet", f"--command={sleep}", _named(url, "holder")])
    try:
        await _connected(here, url, "holder", "wait_event = 'PgSleep'", 1)
        yield
    finally:
        # Told to end by a signal, psql cancels what its server does; killed, it would leave the lock behind.
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        await process.communicate()


async def _started(command: list[str]) -> asyncio.subprocess.Process:
    out, pipe = asyncio.subprocess.STDOUT, asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=out, env=environment())


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.communicate()


async def _connected(here: Place, url: str, application: str, state: str, count: int) -> None:
    """Return when so many sessions of that name are in that state."""
    here_now = "application_name = %s and datname = current_database()"
    query = f"select count(*) from pg_stat_activity where {here_now} and {state}"
    end = time.monotonic() + START_SECONDS
    async with Database(here.as_superuser(url), "bench-eye").session() as eye:
        while (await eye.rows(query, application))[0][0] < count:
            if time.monotonic() > end:
                raise NotMeasured(f"{application} did not begin within {START_SECONDS:g} s. Run it again.")
            await asyncio.sleep(LOOK_SECONDS)


def _named(url: str, application: str) -> str:
    return f"{url}?application_name={application}"
