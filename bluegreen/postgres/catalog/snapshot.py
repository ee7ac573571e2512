"""Reading a schema: one question, in one transaction that sees one moment and changes nothing.

Anybody may ask it: it reads the catalog alone, which a role without rights to the tables sees too.
"""

import json
from collections.abc import Iterator, Mapping

from bluegreen.postgres.catalog.kinds import present, question
from bluegreen.postgres.catalog.older import unqualified
from bluegreen.postgres.catalog.spec import Snapshot
from bluegreen.postgres.session import Session

UNQUALIFIED_SINCE = 16  # a view's own columns are written without the name of its only relation
BEGIN = "begin transaction isolation level repeatable read, read only; set local search_path = ''; set local jit = off"


async def snapshot(session: Session, *, patience: str = "") -> Snapshot:
    """A session's database as it is now; `patience` is how long one may wait for somebody who is changing it.

    Raises:
        Lost, SqlError: it could not be read.
    """
    await session.run(f"{BEGIN}; set local lock_timeout = '{patience}'" if patience else BEGIN)
    try:
        return await read(session)
    finally:
        await session.rows("rollback")


async def read(session: Session) -> Snapshot:
    """The same inside a transaction that is open already, whose search path is empty."""
    objects: dict[str, str] = {}
    numbers: dict[str, str] = {}
    major = 0
    rare = frozenset(kind for (kind,) in await session.rows(present()))
    for kind, name, like in await session.rows(question(rare)):
        if kind == "#":
            numbers[name] = like
        elif kind:
            objects[f"{kind} {name}"] = like
        else:
            major = int(name)
    if major < UNQUALIFIED_SINCE:
        objects |= dict(_as_now(objects))
    known = {name: number for name, number in numbers.items() if name in objects}
    return Snapshot(major=major, objects=objects, numbers=known)


def _as_now(objects: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Views, as a newer Postgres tells them."""
    for name, told in objects.items():
        if name.startswith(("view ", "materialized view ")):
            like = json.loads(told)
            again = {**like, "definition": unqualified(like["definition"])}
            yield name, json.dumps(again, ensure_ascii=False)
