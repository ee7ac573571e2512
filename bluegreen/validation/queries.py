"""What is asked of the database, all of it at once, in one session that can write nothing and waits for nobody.

Each question is answered or refused by itself: what a role may not see is an error of the one check that needs it. It
deliberately judges nothing; `database.py` and `migrations.py` do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bluegreen.connections import variable
from bluegreen.handler import Halt, Refused
from bluegreen.postgres import drift, ledger, turn
from bluegreen.postgres.drift import Drift
from bluegreen.postgres.ledger import Book
from bluegreen.postgres.session import Lost, Pooled, Session, SqlError, Unreachable
from bluegreen.postgres.verify.leftovers import Fault, leftovers
from bluegreen.standing import phrase
from bluegreen.validation.check import Room, Skip
from bluegreen.validation.looking import in_time

Rows = list[tuple[Any, ...]]
# Whatever takes longer than a check has is given up, and nothing that is asked here may change anything.
MANNERS = "set statement_timeout = '5s'; set lock_timeout = '200ms'; set default_transaction_read_only = on"
DEADLINE = 12.0  # seconds for all of it; a large schema takes a few
WITHIN = 15.0  # for each check that reads it, so that whatever is late is told once
OURS = "bluegreen"  # how the names of our own sessions begin

QUESTIONS: Mapping[str, str] = {
    "server": """
        select current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(),
            (select reset_val from pg_settings where name = 'default_transaction_read_only')
    """,
    "role": """
        select r.rolname::text, r.rolsuper, has_database_privilege(current_database(), 'CREATE'),
            to_regnamespace('bluegreen') is not null,
            coalesce(has_schema_privilege(to_regnamespace('bluegreen')::oid, 'USAGE'), false),
            pg_has_role('pg_read_all_stats', 'USAGE')
        from pg_roles r where r.rolname = current_user
    """,
    "foreign": """
        select format('%I.%I', n.nspname, c.relname), pg_get_userbyid(c.relowner)::text
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and c.relkind in ('r', 'p') and not pg_has_role(c.relowner, 'USAGE')
            and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
        order by 1
    """,
    "room": """
        select current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int
                + coalesce(current_setting('reserved_connections', true), '0')::int,
            (select datconnlimit from pg_database where datname = current_database()),
            (select count(*) from pg_stat_activity where backend_type = 'client backend'),
            (select count(*) from pg_stat_activity where backend_type = 'client backend'
                and datname = current_database())
    """,
    "users": f"""
        select a.usename::text, count(*), max(r.rolconnlimit)
        from pg_stat_activity a join pg_roles r on r.rolname = a.usename
        where a.backend_type = 'client backend' and a.datname = current_database()
            and a.application_name not like '{OURS}%'
        group by 1 order by 2 desc, 1
    """,
    "waits": """
        select a.pid, coalesce(a.application_name, ''), coalesce(a.usename, ''),
            extract(epoch from clock_timestamp() - l.waitstart)::float,
            coalesce(l.relation::regclass::text, l.locktype),
            b.pid, coalesce(b.application_name, ''), coalesce(b.usename, ''),
            extract(epoch from clock_timestamp() - b.xact_start)::float
        from pg_locks l join pg_stat_activity a on a.pid = l.pid
        cross join lateral unnest(pg_blocking_pids(l.pid)) as blocking (pid)
        left join pg_stat_activity b on b.pid = blocking.pid
        where not l.granted and l.waitstart is not null and a.datname = current_database()
        order by 4 desc
    """,
    "transactions": f"""
        select a.pid, coalesce(a.application_name, ''), coalesce(a.usename, ''),
            extract(epoch from clock_timestamp() - a.xact_start)::float, coalesce(a.state, ''),
            extract(epoch from clock_timestamp() - a.state_change)::float
        from pg_stat_activity a
        where a.xact_start is not null and a.datname = current_database() and a.backend_type = 'client backend'
            and a.pid <> pg_backend_pid() and a.application_name not like '{OURS}%'
        order by 4 desc
    """,
    "prepared": """
        select gid, owner::text, extract(epoch from clock_timestamp() - prepared)::float
        from pg_prepared_xacts where database = current_database() order by 3 desc
    """,
    "slots": """
        select slot_name::text, active, coalesce(wal_status, ''), coalesce(pg_wal_lsn_diff(
            case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, restart_lsn
        ), 0)::bigint
        from pg_replication_slots order by 1
    """,
    "building": """
        select format('%I.%I', n.nspname, c.relname)
        from pg_stat_progress_create_index p join pg_class c on c.oid = p.index_relid
        join pg_namespace n on n.oid = c.relnamespace
    """,
    "tables": """
        select format('%I.%I', n.nspname, c.relname)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p') and n.nspname <> 'bluegreen' and n.nspname !~ '^pg_'
            and (n.nspname = 'public' or pg_has_role(n.nspowner, 'USAGE')) and n.nspname <> 'information_schema'
    """,
}


@dataclass(frozen=True, slots=True)
class Base:
    """The database as it answered; `book` is the ledger, or why it cannot be read."""

    answers: Mapping[str, Rows | SqlError]
    book: Book | Halt | SqlError
    halves: tuple[Fault, ...] | SqlError = ()  # what is there by name and not in force
    migrating: str = ""  # who has the turn to migrate now
    drift: Drift | SqlError = field(default_factory=Drift)

    def rows(self, question: str) -> Rows:
        """Raises `Refused` where this question was not answered."""
        answer = self.answers[question]
        if isinstance(answer, SqlError):
            raise refused(answer)
        return answer


def refused(error: SqlError) -> Refused:
    return Refused(
        f"Postgres does not answer it: {error.message} ({error.code}).",
        world="Nothing was changed.",
        next="Give the user in bluegreen:databaseUrl the right to, or run this again.",
    )


async def base(room: Room) -> Base:
    """Everything that was asked, once.

    Raises:
        Skip: nothing answers, or no session is to be had.
    """
    try:
        return await opened(room)
    except Pooled as pooled:
        raise Skip("No session is to be had through a transaction pooler, as database-session tells.") from pooled
    except Halt as halt:
        raise Skip(f"The database cannot be asked, as database-reachable tells: {phrase(halt)}.") from halt


async def opened(room: Room) -> Base:
    """The same.

    Raises:
        Skip: no database is configured.
        Halt: nothing answers, or no session is to be had.
    """
    if not room.connections.values.get("databaseUrl"):
        raise Skip(f"No database is named here: neither bluegreen:databaseUrl nor {variable('databaseUrl')} is set.")

    async def ask() -> Base:
        where = f"Postgres at {room.connections.database().where}"
        return await in_time(_read(room), where, "bluegreen:databaseUrl", DEADLINE)

    return await room.once("database", ask)


async def sees_all(room: Room) -> Base:
    """A role that sees only its own sessions would take all others for nobody."""
    found = await base(room)
    name, *_, all_of_them = found.rows("role")[0]
    if not all_of_them:
        msg = f"{name} may not see other people's sessions; GRANT pg_read_all_stats TO {name} would let it."
        raise Skip(msg)
    return found


async def _read(room: Room) -> Base:
    database = room.connections.database()
    try:
        async with database.session("validate") as session:
            await session.run("set search_path = pg_catalog")  # nobody's function of the same name answers instead
            answers: dict[str, Rows | SqlError] = {"server": await _answer(session, QUESTIONS["server"])}
            await session.run(MANNERS)
            for name, question in QUESTIONS.items():
                if name != "server":  # asked before: these manners would answer for the server
                    answers[name] = await _answer(session, question)
            migrating = await _migrating(session)  # first: whoever ends meanwhile has left nothing half done
            book = await _book(session)
            halves, drifted = await _halves(session, answers["tables"]), await _drift(room, session, book)
            return Base(answers, book, halves, migrating, drifted)
    except Lost as lost:
        what = f"The connection to Postgres at {database.where} was lost."
        raise Unreachable(what, world="Nothing was changed.", next="Run this again.") from lost


async def _answer(session: Session, question: str) -> Rows | SqlError:
    try:
        return await session.rows(question)
    except SqlError as error:
        return error


async def _migrating(session: Session) -> str:
    try:
        holders = await session.rows(turn.HOLDER, turn.LOCK)
    except SqlError:
        return ""
    return "".join(f"process {pid} ({application or user})" for pid, application, user in holders[:1])


async def _book(session: Session) -> Book | Halt | SqlError:
    try:
        return await ledger.read(session)
    except (Halt, SqlError) as problem:
        return problem


async def _halves(session: Session, tables: Rows | SqlError) -> tuple[Fault, ...] | SqlError:
    if isinstance(tables, SqlError):
        return tables
    try:
        return await leftovers(session, [name for (name,) in tables])
    except SqlError as error:
        return error


async def _drift(room: Room, session: Session, book: Book | Halt | SqlError) -> Drift | SqlError:
    if room.settings.migrations is None or not isinstance(book, Book):
        return Drift()
    try:
        return await drift.look(session, book)
    except SqlError as error:
        return error
