"""How far a concurrent index is, asked from a second connection while it is built."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bluegreen.handler import Halt
from bluegreen.postgres.errand import Errand
from bluegreen.postgres.session import Lost, Session, SqlError

POLL_SECONDS = 0.5
BUILDING = """
select p.phase, p.blocks_done, p.blocks_total, p.tuples_done, p.tuples_total, p.lockers_done, p.lockers_total,
    coalesce(a.application_name, ''), p.current_locker_pid
from pg_catalog.pg_stat_progress_create_index p
left join pg_catalog.pg_stat_activity a on a.pid = nullif(p.current_locker_pid, 0)
where p.pid = %s
"""


@asynccontextmanager
async def shown(errand: Errand, session: Session) -> AsyncIterator[None]:
    """While this lasts, the status says how far the index is that `session` builds."""
    telling = asyncio.ensure_future(_tell(errand, session.pid))
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait({telling})
        if not telling.cancelled():
            telling.exception()  # a courtesy: whatever it died of


async def _tell(errand: Errand, pid: int) -> None:
    try:
        async with errand.database.session("progress") as watcher:
            while True:
                if rows := await watcher.rows(BUILDING, pid):
                    await errand.ctx.status(f"{errand.label}: {_told(*rows[0])}")
                await asyncio.sleep(POLL_SECONDS)
    except (Halt, Lost, SqlError):
        return


def _told(
    phase: str,
    blocks: int,
    all_blocks: int,
    rows: int,
    all_rows: int,
    lockers: int,
    all_lockers: int,
    holder: str,
    pid: int | None,
) -> str:
    if pid:
        who = f"process {pid}{f' ({holder})' if holder else ''}"
        return f"{phase}: {who}, {lockers} of {all_lockers} are over"
    if all_blocks:
        return f"{phase}: {100 * blocks // all_blocks} %"
    if all_rows:
        return f"{phase}: {100 * rows // all_rows} %"
    return phase
