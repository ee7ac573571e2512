"""Looking before queueing: is anybody holding what a transaction will ask for?

A request for a lock that waits makes everybody behind it wait, even those who could have gone on; so none is made while
a transaction older than half a second is in the way. Younger ones are about to end: the attempt's own 50 ms are for
them. Who may not see how old other people's transactions are measures it, from first sight on.

A running autovacuum gives way only to who waits longer than `deadlock_timeout`. If nothing else is in the way, one
attempt may wait that long; one that prevents wraparound never gives way, and is waited for like everybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bluegreen.postgres.blockers import Blocker
from bluegreen.postgres.errand import Errand
from bluegreen.postgres.session import Session, SqlError
from bluegreen.postgres.transaction import LOCK_TIMEOUT
from bluegreen.postgres.wants import CONFLICTS, Lock

OLD_SECONDS = 0.5
POLL_SECONDS = 0.1
VACUUM_MS, LONGEST_MS = 200, 2000  # beyond deadlock_timeout, and at most
TABLES = """
with recursive wanted (relation, modes) as (
    select pg_catalog.to_regclass(name)::oid, modes::text[] from unnest(%s::text[], %s::text[]) as given (name, modes)
), tree (relation, modes) as (
    select relation, modes from wanted where relation is not null
    union
    select part.relation, t.modes from tree t cross join lateral (
        select inhrelid from pg_catalog.pg_inherits where inhparent = t.relation
        union all
        select indrelid from pg_catalog.pg_index where indexrelid = t.relation
    ) part (relation)
)
select distinct on (1, 2) coalesce(l.pid, 0), l.virtualtransaction,
    case when l.pid is null then 'prepared' else coalesce(a.application_name, '') end, coalesce(a.usename, ''),
    extract(epoch from pg_catalog.clock_timestamp() - coalesce(a.xact_start, p.prepared))::float,
    coalesce(a.query, p.gid, ''), a.backend_type = 'autovacuum worker'
from tree t
join pg_catalog.pg_locks l on l.locktype = 'relation' and l.relation = t.relation and l.mode = any(t.modes)
    and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
left join pg_catalog.pg_stat_activity a on a.pid = l.pid
left join pg_catalog.pg_prepared_xacts p on l.pid is null and l.virtualtransaction = '-1/' || p.transaction
where l.pid is distinct from pg_catalog.pg_backend_pid()
"""
# Whoever still looks at an older state of this database; a concurrent index waits for all of them.
SNAPSHOTS = """
select a.pid, a.pid || '@' || coalesce(a.xact_start::text, a.backend_xmin::text), coalesce(a.application_name, ''),
    coalesce(a.usename, ''), extract(epoch from pg_catalog.clock_timestamp() - a.xact_start)::float,
    coalesce(a.query, ''), a.backend_type = 'autovacuum worker'
from pg_catalog.pg_stat_activity a
where a.backend_xmin is not null and a.datname = pg_catalog.current_database()
    and a.pid <> pg_catalog.pg_backend_pid() and a.backend_type is distinct from 'autovacuum worker'
    and a.query !~* '^\\s*vacuum'
"""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A transaction in the way, and whether it is an autovacuum that would give way."""

    blocker: Blocker
    yields: bool = False


class Gate:
    """Lets an attempt begin when nobody old is in its way.

    Args:
        locks: what it will ask for.
        snapshots: transactions that only look are in the way, too.
    """

    def __init__(self, locks: Sequence[Lock], *, snapshots: bool = False) -> None:
        modes: dict[str, frozenset[str]] = {}
        for relation, mode in locks:
            modes[relation] = modes.get(relation, frozenset()) | CONFLICTS.get(mode, frozenset())
        self._wanted = [*modes], ["{" + ",".join(sorted(each)) + "}" for each in modes.values()]
        self._snapshots = snapshots
        self._first_seen: dict[str, datetime] = {}
        self._pushed = False  # has an autovacuum been asked to give way?

    async def free(self, errand: Errand, session: Session) -> str:
        """How long the attempt may wait for a lock, when it may begin.

        Raises:
            Locked: somebody was in the way for the whole budget.
            Stopped: somebody asked to stop meanwhile.
        """
        while True:
            try:
                found = await self._obstacles(session, errand.ctx.now())
            except SqlError as error:
                # The attempt's own patience is short, so it may begin; but nobody should believe that one looked.
                await errand.ctx.milestone(f"{errand.label}: who holds which lock could not be seen: {error.message}")
                return LOCK_TIMEOUT
            if not found:
                return LOCK_TIMEOUT
            if not self._pushed and all(each.yields for each in found):
                self._pushed = True
                patience = await _longer_than_a_deadlock(session)
                errand.patience_ms = max(errand.patience_ms, int(patience.removesuffix("ms")))
                return patience
            blockers = tuple(each.blocker for each in found)
            errand.go_on()
            if errand.spent:
                raise errand.locked(blockers)
            await errand.name(blockers)
            await errand.ctx.status(f"{errand.label}: waits without queueing, for {blockers[0]}")
            await errand.ctx.sleep(POLL_SECONDS)

    async def _obstacles(self, session: Session, now: datetime) -> tuple[Obstacle, ...]:
        rows = await session.rows(TABLES, *self._wanted) if self._wanted[0] else []
        rows += await session.rows(SNAPSHOTS) if self._snapshots else []
        here = {row[1] for row in rows}
        self._first_seen = {key: self._first_seen.get(key, now) for key in here}
        found: dict[object, Obstacle] = {}
        for pid, key, application, user, age, query, vacuum in rows:
            seconds = (now - self._first_seen[key]).total_seconds() if age is None else age
            if seconds >= OLD_SECONDS:
                yields = bool(vacuum) and "(to prevent wraparound)" not in query
                found.setdefault(pid or key, Obstacle(Blocker(pid, application, user, seconds, query), yields))
        return tuple(sorted(found.values(), key=lambda each: -(each.blocker.seconds or 0)))


async def _longer_than_a_deadlock(session: Session) -> str:
    asked = "select extract(epoch from pg_catalog.current_setting('deadlock_timeout')::interval) * 1000"
    wait = int((await session.rows(asked))[0][0]) + VACUUM_MS
    return f"{wait}ms" if wait <= LONGEST_MS else LOCK_TIMEOUT
