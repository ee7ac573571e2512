"""A folder of migrations, a context in real time, and a process that applies: what the tests of migrations share.

`python -m tests.postgres_room URL FOLDER` applies what is wanted there, as a deployer of its own that can be killed.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from bluegreen.handler import Halt
from bluegreen.postgres import files, ledger
from bluegreen.postgres.apply import Applied, apply
from bluegreen.postgres.files import File
from bluegreen.postgres.ledger import Book
from bluegreen.postgres.session import Database
from bluegreen.postgres.spec import Migrations
from bluegreen.postgres.wants import Lock

OWNER = "shop.test"
WAITING = "-- bluegreen:allow outside-call somebody has to see it run\n"  # directly above a pg_sleep
PATIENCE = 20.0  # seconds that a test waits for something that must come
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Context:
    """A context in real time that remembers what it was told; `on_milestone` hears it at once.

    A clock that is put `ahead` spares a test somebody's patience.
    """

    cancelled: bool = False
    orphaned: bool = False
    deadline: datetime | None = None
    milestones: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    on_milestone: Callable[[str], None] = lambda text: None
    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.05))

    async def milestone(self, text: str) -> None:
        self.milestones.append(text)
        self.on_milestone(text)

    async def status(self, text: str) -> None:
        self.states.append(text)


def folder(at: Path, **scripts: str) -> Path:
    """A folder of migrations; `_011_teams="…"` is the file 011_teams.sql."""
    at.mkdir(exist_ok=True)
    for name, sql in scripts.items():
        (at / f"{name.removeprefix('_')}.sql").write_text(sql, encoding="utf-8")
    return at


def wanted(target: str = "011", baseline: str = "010", budget: float = 30.0) -> Migrations:
    return Migrations(target=target, baseline=baseline, lock_budget=timedelta(seconds=budget))


def read(at: Path, target: str = "011") -> tuple[File, ...]:
    return files.read(at, wanted(target))


async def put(
    url: str, file: File, ctx: Context | None = None, *, budget: float = 30.0, also: Sequence[Lock] = ()
) -> Applied:
    """Apply one file."""
    return await apply(Database(url), file, file.spec(OWNER, wanted(budget=budget)), ctx or Context(), also=also)


def put_all(url: str, at: Path, target: str = "011", ctx: Context | None = None) -> list[Applied]:
    """Apply every file of a folder, in order."""

    async def one_by_one() -> list[Applied]:
        return [await put(url, file, ctx) for file in read(at, target)]

    return asyncio.run(one_by_one())


def halted(work: Any) -> Halt:
    """How a coroutine ended that must not end well."""
    try:
        answer = asyncio.run(work)
    except Halt as halt:
        return halt
    raise AssertionError(f"it went well: {answer}")


def book(url: str) -> Book:
    return asyncio.run(ledger.look(Database(url)))


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as line:
        cursor = line.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


async def until(url: str, query: str) -> None:
    """Return when the query answers true; it is asked again and again."""
    async with asyncio.timeout(PATIENCE):
        line = await psycopg.AsyncConnection.connect(url, autocommit=True)
        try:
            while True:
                row = await (await line.execute(query.encode())).fetchone()
                if row is not None and row[0]:
                    return
                await asyncio.sleep(0.01)
        finally:
            await line.close()


@contextlib.contextmanager
def deployer(url: str, at: Path, target: str = "011") -> Iterator["subprocess.Popen[str]"]:
    """A process that applies; it is gone afterwards."""
    command = [sys.executable, "-m", "tests.postgres_room", url, str(at), target]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=dict(os.environ)
    ) as process:
        try:
            yield process
        finally:
            process.kill()


if __name__ == "__main__":
    aloud = Context(on_milestone=lambda text: print(text, flush=True))
    for each in put_all(sys.argv[1], Path(sys.argv[2]), sys.argv[3], aloud):
        print("applied" if each.fresh else "already applied", flush=True)
