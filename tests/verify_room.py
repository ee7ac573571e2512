"""A database with migration 011, and a session in it: what the tests of verification share.

A session is a superuser's unless a test says otherwise, as it is on a scratch copy.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import psycopg

from bluegreen.postgres.session import Database, Session
from bluegreen.postgres.verify.matrix import Matrix, matrix
from bluegreen.postgres.verify.people import Seed, find
from sandbox.postgres_binaries import Major
from tests.database import as_superuser, database, name_of
from tests.teams_world import apply

T = TypeVar("T")
MIGRATIONS = Path(__file__).parent.parent / "migrations"
PEOPLE = """
-- bluegreen:person anon anon
-- bluegreen:person ann authenticated 00000000-0000-0000-0000-00000000000a
-- bluegreen:person bob authenticated 00000000-0000-0000-0000-00000000000b
"""


@cache
def _template(major: Major) -> str:
    url = database(major)
    apply(url)
    return name_of(url)


def with_011(major: Major = 18) -> str:
    """The address of a fresh database with 011 and no rows."""
    return database(major, _template(major))


@cache
def blank() -> str:
    """A database without 011, for whatever leaves no trace in it."""
    return database()


@cache
def shared() -> str:
    """One with 011, for whatever leaves no trace in it."""
    return with_011()


@cache
def seed() -> Seed:
    """The world of 011."""
    found = find(MIGRATIONS, "011")
    assert found is not None
    return found


def altered(change: str, *, first: bool = True) -> Seed:
    """The same after something else was done to the schema, before its rows come or after."""
    made = seed()
    return replace(
        made, sql=f"{change};\n{made.sql}" if first else f"{made.sql};\nset constraints all immediate;\n{change}"
    )


def told(url: str, work: Callable[[Session], Awaitable[T]], *, major: Major = 18, owner: bool = False) -> T:
    """What comes of some work in a session of its own."""

    async def alone() -> T:
        async with Database(url if owner else as_superuser(url, major)).session() as session:
            return await work(session)

    return asyncio.run(alone())


def asked(url: str, seed: Seed, *, only: Sequence[str] = (), major: Major = 18) -> Matrix:
    """The matrix of a database."""
    return told(url, lambda session: matrix(session, seed, only=only), major=major)


def small(sql: str, tmp: Path, people: str = PEOPLE) -> Seed:
    """A world of its own: `sql` makes the tables too, as their owner would, so that one text is a whole case."""
    (tmp / "matrix").mkdir(exist_ok=True)
    (tmp / "matrix" / "012_small.sql").write_text(f"{people}set local role postgres;\n{sql}", encoding="utf-8")
    found = find(tmp, "012")
    assert found is not None
    return found


def done(url: str, sql: str) -> None:
    """Something done by the owner."""
    with psycopg.connect(url, autocommit=True) as line:
        line.execute(sql.encode())


def answers(found: Matrix, what: str, verb: str) -> dict[str, str]:
    """Who → answer."""
    return {line.who: line.answer for line in found.lines if (line.what, line.verb) == (what, verb)}
