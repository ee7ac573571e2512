"""Who stands in the way of a lock: watched from a second connection while the first one waits.

Postgres tells who blocks a session only while it is blocked, and ours is never blocked for longer than 50 ms.
"""

import asyncio
from dataclasses import dataclass

from bluegreen.postgres.session import Lost, Session, SqlError

LOOK_SECONDS = 0.005
QUERY_SHOWN = 80  # characters
# To a role that may not see other people's sessions (no pg_monitor) all but the pid is null.
BLOCKING = """
select a.pid, coalesce(a.application_name, ''), coalesce(a.usename, ''),
    extract(epoch from pg_catalog.clock_timestamp() - coalesce(a.xact_start, a.backend_start))::float,
    coalesce(a.query, '')
from unnest(pg_catalog.pg_blocking_pids(%s)) as blocking (pid)
join pg_catalog.pg_stat_activity a on a.pid = blocking.pid
"""


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that holds what is wanted, or waits for it before us."""

    pid: int
    application: str
    user: str
    seconds: float | None
    query: str

    def __str__(self) -> str:
        who = ", ".join(part for part in (self.application, self.user) if part)
        age = "" if self.seconds is None else f" for {self.seconds:.1f} s"
        shown = " ".join(self.query.split())
        short = shown if len(shown) <= QUERY_SHOWN else shown[: QUERY_SHOWN - 1] + "…"
        doing = f": {short}" if short else ""
        return f"process {self.pid}{f' ({who})' if who else ''} in a transaction{age}{doing}"


async def watch(session: Session, pid: int, work: "asyncio.Task[None]") -> tuple[Blocker, ...]:
    """Who blocked process `pid` while `work` ran in it, asked through another session; nobody if it cannot tell."""
    seen: tuple[Blocker, ...] = ()
    while not work.done():
        try:
            found = tuple(Blocker(*row) for row in await session.rows(BLOCKING, pid))
        except (Lost, SqlError):
            break
        seen = found or seen
        await asyncio.wait({work}, timeout=LOOK_SECONDS)
    return seen
