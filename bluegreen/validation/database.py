"""The database, before anything is asked of it: there, writable, with room for two fleets, and nothing half made.

How full its disk is cannot be seen from a session, so nothing is said of it. Who is at work there is in `sessions.py`,
what migrations left of their own in `migrations.py`.
"""

from collections.abc import Collection, Sequence

from bluegreen.handler import Halt
from bluegreen.postgres.session import POOLER_PORT, Pooled, SqlError
from bluegreen.postgres.verify.leftovers import Fault
from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.looking import listed
from bluegreen.validation.queries import WITHIN, base, opened, refused, sees_all

GROUP = "database"
OLDEST = 160_000  # the catalog is read, and migrations are rehearsed, from Postgres 16 on
SPARE = 0.2  # of what clients may have
BEHIND = 1 << 30  # bytes of WAL that are kept for a slot nobody reads
LOST = ("unreserved", "lost")


@check(
    "database-reachable",
    group=GROUP,
    within=WITHIN,
    expected="Postgres answers with the credentials of the config",
    hint="Check bluegreen:databaseUrl and that the database is reachable from here.",
)
async def reachable(room: Room) -> Seen:
    try:
        found = await opened(room)
    except Pooled:
        return Seen(True, "a pooler answers")  # whether that will do is another check's
    except Halt as halt:
        return Seen(False, halt.what, hint=halt.next)
    return Seen(True, f"Postgres {found.rows('server')[0][1].partition(' ')[0]} at {room.connections.database().where}")


@check(
    "database-session",
    group=GROUP,
    within=WITHIN,
    expected="a direct connection or a session pooler",
    hint="Name the session port (5432) or the database's own host in bluegreen:databaseUrl.",
)
async def session(room: Room) -> Seen:
    try:
        await base(room)
    except Skip as skip:
        if isinstance(skip.__cause__, Pooled):
            return Seen(False, skip.__cause__.what, hint=skip.__cause__.next)
        raise
    port = room.connections.database().door[1]
    return Seen(True, f"a session of its own{' through a pooler' if str(port) == POOLER_PORT else ''}")


@check(
    "database-version",
    group=GROUP,
    within=WITHIN,
    expected="Postgres 16 or newer",
    hint="Upgrade the server to Postgres 16 or newer before anything is migrated there.",
)
async def version(room: Room) -> Seen:
    number, shown, *_ = (await base(room)).rows("server")[0]
    return Seen(number >= OLDEST, f"Postgres {shown}")


@check(
    "database-writable",
    group=GROUP,
    within=WITHIN,
    expected="the primary, and it takes writes",
    hint="Name the primary in bluegreen:databaseUrl; a platform that ran out of disk makes it read-only until there is "
    "room again.",
)
async def writable(room: Room) -> Seen:
    _, _, standby, read_only = (await base(room)).rows("server")[0]
    if standby:
        return Seen(False, "a standby, which takes no writes")
    if read_only == "on":
        return Seen(False, "every transaction is read-only (default_transaction_read_only is on)")
    return Seen(True, "a primary that takes writes")


@check(
    "database-role",
    group=GROUP,
    within=WITHIN,
    expected="no superuser, and it may do what migrations do",
    hint="Name the owner of the tables in bluegreen:databaseUrl.",
)
async def role(room: Room) -> Seen:
    found = await base(room)
    name, superuser, may_create, ledger, may_use, _ = found.rows("role")[0]
    if superuser:
        hint = f"Name a role that owns the tables and is no superuser, instead of {name}, in bluegreen:databaseUrl."
        return Seen(False, f"{name} is a superuser, whom nothing stops", severity="warn", hint=hint)
    if not (may_use if ledger else may_create):
        what, right = ("use", "USAGE ON SCHEMA bluegreen") if ledger else ("make", "CREATE ON DATABASE")
        hint = f"GRANT {right} to {name}, or name the one who {'made it' if ledger else 'may'}."
        return Seen(False, f"{name} may not {what} the schema bluegreen, where the ledger is", hint=hint)
    foreign = [f"{table} ({owner}'s)" for table, owner in found.rows("foreign")]
    if foreign:
        hint = f"Name the tables' owner in bluegreen:databaseUrl, or GRANT its role to {name}."
        return Seen(False, f"{name} may not alter {listed(foreign)}", hint=hint, n=len(foreign))
    return Seen(True, f"{name}, which is no superuser and may alter every table of public")


@check(
    "database-connections",
    group=GROUP,
    within=WITHIN,
    expected="connections for both fleets: a fifth of all is free, and as many as the apps have now once more",
    hint="Lower the pool of each replica, end idle clients, or raise max_connections, before the second colour starts.",
)
async def connections(room: Room) -> Seen:
    found = await sees_all(room)
    most, reserved, limit, used, here = found.rows("room")[0]
    room_left, of = most - reserved - used, most - reserved
    if 0 <= limit and limit - here < room_left:
        room_left, of = limit - here, limit
    by = [(str(name), int(count), int(cap)) for name, count, cap in found.rows("users")]
    apps = sum(count for _, count, _ in by)
    told = ", ".join(f"{name} {count}" for name, count, _ in by[:5])
    said = f"{room_left} of {of} are free; the apps have {apps}{f' ({told})' if told else ''} and may need as many more"
    for name, count, cap in by:
        if 0 <= cap < 2 * count:
            hint = f"ALTER ROLE {name} CONNECTION LIMIT {2 * count}, or lower the pool of each replica."
            return Seen(False, f"{name} has {count} of its own {cap}, and a second fleet needs as many", hint=hint)
    return Seen(room_left >= max(apps, SPARE * of), said, n=used)


@check(
    "database-slots",
    group=GROUP,
    within=WITHIN,
    severity="warn",
    expected="no replication slot keeps more than 1 GB of WAL that nobody reads",
    hint="Bring its reader back, or drop the slot: it fills the disk.",
)
async def slots(room: Room) -> Sequence[Seen]:
    found = (await base(room)).rows("slots")
    bad = [row for row in found if row[2] in LOST or (not row[1] and row[3] > BEHIND)]
    return [
        Seen(
            False,
            f"slot {name} {'is read' if active else 'has no reader'}, keeps {kept / (1 << 20):.0f} MB"
            f"{f' and is {status}' if status in LOST else ''}",
            about=str(name),
            hint=f"Bring its reader back, or drop it: select pg_drop_replication_slot('{name}');",
        )
        for name, active, status, kept in bad[:5]
    ] or [Seen(True, f"{len(found)} slots, all read" if found else "there is none", n=len(found))]


@check(
    "database-indexes",
    group=GROUP,
    within=WITHIN,
    expected="every index is valid",
    hint="Drop the index, then create it again.",
)
async def indexes(room: Room) -> Sequence[Seen]:
    building = {name for (name,) in (await base(room)).rows("building")}  # which is no fault, and may become one
    return _half_done([fault for fault in await _halves(room) if fault.rule == "invalid-index"], building)


@check(
    "database-constraints",
    group=GROUP,
    within=WITHIN,
    severity="warn",
    expected="every constraint is validated, every trigger is on, every partition is attached",
    hint="Validate the constraint, or switch the trigger on.",
)
async def constraints(room: Room) -> Sequence[Seen]:
    return _half_done([fault for fault in await _halves(room) if fault.rule != "invalid-index"])


def _half_done(found: Sequence[Fault], in_work: Collection[str] = ()) -> Sequence[Seen]:
    told = [
        Seen(
            False,
            each.message.rstrip("."),
            about=each.object,
            hint=each.hint,
            severity="warn" if each.object in in_work else None,
        )
        for each in found[:5]
    ]
    return told or [Seen(True, "everything that is there is in force")]


async def _halves(room: Room) -> Sequence[Fault]:
    found = (await base(room)).halves
    if isinstance(found, SqlError):
        raise refused(found)
    return found
