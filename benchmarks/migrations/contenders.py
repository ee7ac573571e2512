"""Who applies a migration: bluegreen, and the tools that people use instead, each as its own documentation says.

- `ours`: `bluegreen.postgres.apply.apply` in a process that runs already, as an update's provider calls it.
- `ours, cold`: the command `bluegreen migrate apply`, from its start to its exit (see `command.py`).
- `psql`: `psql --single-transaction --file`, a script's way; statement by statement over the network.
- `psql, 200 ms` (where it is asked): the same by a careful script, which gives up a lock after 200 ms and tries again.
- `dbmate`, `yoyo`, `supabase`: their own commands on a folder with this one file, with what they need for a file
  that they have never seen: an empty way back for dbmate and yoyo, yes to questions for supabase.

What a tool needs on the disk is written before its time begins. None of them gets more than a URL.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from benchmarks.flips.contenders import Silent
from benchmarks.migrations.peers import Peers, peers
from benchmarks.migrations.place import Place
from benchmarks.row import NotMeasured, Wanted
from bluegreen.handler import Halt
from bluegreen.postgres import files
from bluegreen.postgres.apply import apply
from bluegreen.postgres.session import Database
from bluegreen.postgres.spec import Migrations
from sandbox.postgres_process import environment

OURS = "ours"
BASELINE = "010"
BUDGET = timedelta(seconds=60)  # ours may look for its moment so long; nobody else has such a thing
QUIET = {"DO_NOT_TRACK": "1", "SUPABASE_TELEMETRY_DISABLED": "1", "NO_COLOR": "1", "CI": "1"}
SAID, PATIENCE = 1000, 120  # characters that are shown; seconds for a tool


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: what is in it, its name and number, and the files that lie before it in the folder."""

    sql: str
    name: str = "change"
    version: str = "011"
    earlier: "tuple[Migration, ...]" = ()

    @classmethod
    def of(cls, file: Path) -> "Migration":
        return cls(file.read_text(encoding="utf-8"), file.stem.partition("_")[2])

    def written(self, folder: Path, before: str = "", after: str = "") -> Path:
        """The file in this folder, with what a tool wants around it; and those before it."""
        folder.mkdir(parents=True, exist_ok=True)
        for each in self.earlier:
            each.written(folder, before, after)
        file = folder / f"{self.version}_{self.name}.sql"
        file.write_text(f"{before}{self.sql}{after}", encoding="utf-8")
        return file


@dataclass(frozen=True, slots=True)
class Ended:
    """How an application ended: 0 is well. `through` is when all of the file was done, where somebody tells."""

    code: int
    said: str
    through: float | None = None


Applied = Callable[[], Awaitable[Ended]]
# Makes everything ready to bring this file into the database at this address, using this empty folder.
Contender = Callable[[Migration, str, Path], Applied]


@dataclass(frozen=True, slots=True)
class Command:
    """A command and where it is run."""

    line: Sequence[str]
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    async def __call__(self) -> Ended:
        # A start that is cancelled half-way would leave a process behind that nobody knows: it is let finish.
        starting = asyncio.ensure_future(self._start())
        try:
            async with asyncio.timeout(PATIENCE):
                said = (await (await asyncio.shield(starting)).communicate())[0].decode(errors="replace")
        except BaseException as problem:
            process = await starting
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            if isinstance(problem, TimeoutError):
                raise NotMeasured(f"{self.line[0]} did not end within {PATIENCE} s. Nothing was written.") from problem
            raise
        return Ended(starting.result().returncode or 0, said[-SAID:])

    async def _start(self) -> asyncio.subprocess.Process:
        kept = {name: value for name, value in environment().items() if name not in ("DATABASE_URL", "VIRTUAL_ENV")}
        return await asyncio.create_subprocess_exec(
            *self.line,
            cwd=self.folder,
            env={**kept, **QUIET, "HOME": str(self.folder), **self.variables},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # so that whatever it starts ends with it
        )


def ours(migration: Migration, url: str, folder: Path) -> Applied:
    """A warm process: it has imported what it needs and judged the file before, as a plan does, and reads it anew."""
    path = migration.written(folder / "migrations")
    wanted = Migrations(target=migration.version, baseline=BASELINE, lock_budget=BUDGET)

    async def applied() -> Ended:
        try:
            file = files.read(path.parent, wanted)[-1]  # whoever comes before it was applied before
            done = await apply(Database(url), file, file.spec("bench", wanted), Silent())
        except Halt as halt:
            return Ended(1, f"{halt.what} {halt.world} {halt.next}")
        said = f"{done.entry.attempts} attempts" if done.fresh else "was there"
        return Ended(0, said, done.entry.applied_at.timestamp())

    return applied


def psql(program: Path) -> Contender:
    def ready(migration: Migration, url: str, folder: Path) -> Applied:
        file = migration.written(folder)
        once = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", f"--file={file}")
        return Command([str(program), *once, url], folder)

    return ready


def careful(program: Path) -> Contender:
    """A script as advised everywhere: it waits 200 ms for its lock, and tries again after half a second."""
    once = (
        "--no-psqlrc --quiet --set=ON_ERROR_STOP=1 --single-transaction --command=\"set local lock_timeout = '200ms'\""
    )
    line = f'for turn in $(seq 100); do "$1" {once} --file="$2" "$3" && exit; sleep 0.5; done; exit 1'

    def ready(migration: Migration, url: str, folder: Path) -> Applied:
        return Command(["sh", "-c", line, "sh", str(program), str(migration.written(folder)), url], folder)

    return ready


def dbmate(program: Path, *more: str) -> Contender:
    def ready(migration: Migration, url: str, folder: Path) -> Applied:
        file = migration.written(folder / "migrations", "-- migrate:up\n", "\n-- migrate:down\n")
        line = [str(program), "--url", f"{url}?sslmode=disable", "--migrations-dir", str(file.parent)]
        return Command([*line, "--no-dump-schema", *more, "migrate"], folder)

    return ready


def yoyo(program: Path) -> Contender:
    def ready(migration: Migration, url: str, folder: Path) -> Applied:
        file = migration.written(folder / "migrations")
        to = url.replace("postgresql://", "postgresql+psycopg://", 1)
        return Command(
            [str(program), "apply", "--no-config-file", "--batch", "--database", to, str(file.parent)], folder
        )

    return ready


def supabase(program: Path) -> Contender:
    def ready(migration: Migration, url: str, folder: Path) -> Applied:
        migration.written(folder / "supabase" / "migrations")
        line = [str(program), "db", "push", "--yes", "--workdir", str(folder), "--remote", f"{url}?sslmode=disable"]
        return Command(line, folder, {"PATH": os.environ["PATH"]})

    return ready


def available(here: Place, wanted: Wanted) -> dict[str, Contender]:
    """Ours and everybody who can be had; whoever cannot is told by name."""
    found = peers()
    for name in sorted(found.missing.keys() & {"dbmate", "yoyo", "supabase"}):
        wanted.say(f"  {name}: not measured: {found.missing[name]}")
    return contenders(here, found)


def contenders(here: Place, found: Peers) -> dict[str, Contender]:
    """Ours, psql, and those of the others whose programs were found."""
    tools: Mapping[str, Callable[[Path], Contender]] = {"dbmate": dbmate, "yoyo": yoyo, "supabase": supabase}
    had = {name: tool(found.programs[name]) for name, tool in tools.items() if name in found.programs}
    return {OURS: ours, "psql": psql(here.psql), **had}


async def well(who: str, applied: Applied) -> Ended:
    """Applied, or the row is not measured: a figure of a tool that failed would flatter it."""
    ended = await applied()
    if ended.code:
        raise NotMeasured(f"{who} ended with {ended.code}: {ended.said.strip()} Nothing of this row was written.")
    return ended
