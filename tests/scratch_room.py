"""What the tests of scratch servers share: the majors that this machine can start, and a source to copy from."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from bluegreen.postgres import files
from bluegreen.postgres.files import File
from bluegreen.postgres.scratch.copy import Copied, copy
from bluegreen.postgres.scratch.programs import installed
from bluegreen.postgres.scratch.server import server
from bluegreen.postgres.session import Database, Session

# The wheel's two always; the system's own, where there are any, are tried as well.
MAJORS = [major for major, programs in installed().items() if programs.serves and programs.asks]
ALWAYS = (16, 18)
T = TypeVar("T")
BASELINE = Path(__file__).resolve().parent.parent / "sandbox" / "baseline" / "010.sql"


def file(folder: Path, sql: str, name: str = "012_change.sql") -> File:
    """A migration as it would be read from a folder."""
    path = folder / name
    path.write_text(sql, encoding="utf-8")
    return files.one(path)


async def ask(database: Database, query: str) -> list[tuple[object, ...]]:
    async with database.session("test") as session:
        return await session.rows(query)


async def do(database: Database, *statements: str) -> None:
    async with database.session("test") as session:
        await all_of(session, statements)


async def all_of(session: Session, statements: Sequence[str]) -> None:
    for statement in statements:
        await session.rows(statement)


class Copies:
    """Copies of the baseline, as many as are wanted, in one server for each major; they end together."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._servers = AsyncExitStack()
        self._first: dict[int, Copied] = {}
        self._numbers = itertools.count(1)

    def on(self, major: int, work: Callable[[Copied], Awaitable[T]]) -> T:
        """Do something with a fresh copy."""
        return self._runner.run(self._do(major, work))

    def end(self) -> None:
        self._runner.run(self._servers.aclose())
        self._runner.close()

    async def _do(self, major: int, work: Callable[[Copied], Awaitable[T]]) -> T:
        if major not in self._first:
            self._first[major] = await copy(await self._servers.enter_async_context(server(major)), BASELINE)
        scratch = self._first[major].scratch
        name = f"copy_{next(self._numbers)}"
        database = await scratch.clone(name, self._first[major].name)
        return await work(Copied(scratch, name, database, BASELINE.name))


@contextmanager
def copies() -> Iterator[Copies]:
    made = Copies()
    try:
        yield made
    finally:
        made.end()
