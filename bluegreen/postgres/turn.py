"""Whose turn it is: one migration at a time in one database, whoever runs it.

A session's advisory lock, polled: who waits *in* it blocks `create index concurrently` of others, and the holder's is
gone with its session, so a killed deployer leaves nothing to repair.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

from bluegreen.handler import Context
from bluegreen.postgres.errand import Locked, Stopped, span
from bluegreen.postgres.session import NOTHING, Database, Lost, Session, SqlError

LOCK = int.from_bytes(b"bluegree")
POLL_SECONDS = 0.25
HOLDER = """
select a.pid, coalesce(a.application_name, ''), coalesce(a.usename, '')
from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a using (pid)
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
    and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
    and (l.classid::bigint << 32) | l.objid::bigint = %s
"""


@asynccontextmanager
async def turn(database: Database, label: str, budget: timedelta, ctx: Context, purpose: str) -> AsyncIterator[Session]:
    """A session of its own that has the turn; it is given back at the end.

    Raises:
        Locked: somebody else had it for the whole budget.
        Stopped: somebody asked to stop meanwhile.
    """
    async with database.session(purpose) as session:
        await take(session, label, budget, ctx.now() + budget, ctx)
        try:
            yield session
        finally:
            await give_back(session)


async def take(session: Session, label: str, budget: timedelta, end: datetime, ctx: Context) -> None:
    """Return when the turn is this session's; raises as `turn` does."""
    told = False
    while not (await session.rows("select pg_catalog.pg_try_advisory_lock(%s)", LOCK))[0][0]:
        holder = await _holder(session)
        if ctx.cancelled or ctx.orphaned or (ctx.deadline is not None and ctx.now() >= ctx.deadline):
            why = "was asked to stop" if ctx.cancelled else "was left alone" if ctx.orphaned else "ran too long"
            raise Stopped(
                f"{label} {why} before its turn came.",
                world=NOTHING,
                next="Run this again when you want it.",
            )
        if ctx.now() >= end:
            raise Locked(
                f"{label} did not get its turn within {span(budget)}: {holder} is migrating this database.",
                world=NOTHING,
                next="Wait for it, or end it if it is forgotten; then run this again.",
            )
        text = f"{label}: waits for {holder}, who is migrating this database"
        await (ctx.status(text) if told else ctx.milestone(text))
        told = True
        await ctx.sleep(POLL_SECONDS)


async def give_back(session: Session) -> None:
    """Whoever waits for the turn may have it."""
    with suppress(Lost, SqlError):
        await session.rows("select pg_catalog.pg_advisory_unlock(%s)", LOCK)


async def _holder(session: Session) -> str:
    for pid, application, user in await session.rows(HOLDER, LOCK):
        who = ", ".join(part for part in (application, user) if part)
        return f"process {pid} ({who})" if who else f"process {pid}"
    return "somebody"
