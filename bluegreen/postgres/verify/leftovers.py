"""What is half done on the tables that a migration touched: there by name, and not in force.

An index that a failed CREATE INDEX CONCURRENTLY left, a constraint nobody validated, a trigger that is off: each looks
right in a list of objects and does not do its work. Looked at are the touched tables with everything on them.
"""

from collections.abc import Collection

from bluegreen.postgres.session import Session
from bluegreen.postgres.verify import objects
from bluegreen.spec import State

INDEXES = """
select format('%%I.%%I', n.nspname, c.relname), format('%%I.%%I', tn.nspname, t.relname),
    c.relname ~ '_cc(new|old)[0-9]*$',
    exists (select from pg_stat_progress_create_index p where p.index_relid = c.oid)
from pg_index i
join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class t on t.oid = i.indrelid join pg_namespace tn on tn.oid = t.relnamespace
where i.indrelid = any (%s::bigint[]) and not (i.indisvalid and i.indisready and i.indislive) and c.relkind = 'i'
order by 1
"""
CONSTRAINTS = """
select k.conname, format('%%I.%%I', n.nspname, t.relname), quote_ident(k.conname), k.contype::text
from pg_constraint k join pg_class t on t.oid = k.conrelid join pg_namespace n on n.oid = t.relnamespace
where k.conrelid = any (%s::bigint[]) and not k.convalidated order by 2, 1
"""
TRIGGERS = """
select g.tgname, format('%%I.%%I', n.nspname, t.relname), quote_ident(g.tgname), g.tgenabled::text, g.tgisinternal,
    coalesce((select k.conname from pg_constraint k where k.oid = g.tgconstraint), '')
from pg_trigger g join pg_class t on t.oid = g.tgrelid join pg_namespace n on n.oid = t.relnamespace
where g.tgrelid = any (%s::bigint[]) and g.tgenabled in ('D', 'R') order by 2, 1
"""
PARTITIONS = """
select format('%%I.%%I', n.nspname, c.relname), format('%%I.%%I', pn.nspname, p.relname)
from pg_inherits h
join pg_class c on c.oid = h.inhrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class p on p.oid = h.inhparent join pg_namespace pn on pn.oid = p.relnamespace
where h.inhdetachpending and (h.inhparent = any (%s::bigint[]) or h.inhrelid = any (%s::bigint[])) order by 1
"""
KINDS = {"f": "foreign key", "c": "check", "n": "not-null constraint"}


class Fault(State):
    """Something that is not in force, and what to do about it; `added` where a file leaves it so on purpose."""

    rule: str = ""
    object: str = ""
    message: str = ""
    hint: str = ""
    added: bool = False


async def leftovers(session: Session, touched: Collection[str], added: Collection[str] = ()) -> tuple[Fault, ...]:
    """Everything that is half done on what a migration touched.

    `added` is what it makes itself: a constraint among that is NOT VALID for a later file to validate.
    """
    oids = sorted((await objects.found(session, touched)).around)
    faults = [_index(*row) for row in await session.rows(INDEXES, oids)]
    for name, table, quoted, kind in await session.rows(CONSTRAINTS, oids):
        faults.append(_constraint(name, table, quoted, kind, own=f"constraint {table}.{quoted}" in added))
    faults += [_trigger(*row) for row in await session.rows(TRIGGERS, oids)]
    faults += [_partition(*row) for row in await session.rows(PARTITIONS, oids, oids)]
    return tuple(dict.fromkeys(faults))


def _index(name: str, table: str, remnant: bool, in_work: bool) -> Fault:
    if in_work:
        return Fault(
            rule="invalid-index",
            object=name,
            message=f"The index {name} on {table} is not valid yet: somebody is making it now.",
            hint="Wait for its end (pg_stat_progress_create_index shows it), then look again.",
        )
    again = "" if remnant else " Then create it again; IF NOT EXISTS would pass over the invalid one."
    return Fault(
        rule="invalid-index",
        object=name,
        message=f"The index {name} on {table} is invalid: no query uses it, and every write still pays for it.",
        hint=f"Run DROP INDEX CONCURRENTLY {name}.{again}",
    )


def _constraint(name: str, table: str, quoted: str, kind: str, *, own: bool) -> Fault:
    return Fault(
        rule="constraint-not-valid",
        object=f"{table}.{name}",
        message=f"The {KINDS.get(kind, 'constraint')} {name} of {table} is NOT VALID: older rows were not looked at.",
        hint=f"Run ALTER TABLE {table} VALIDATE CONSTRAINT {quoted} in a migration of its own; it lets writes go on.",
        added=own,
    )


def _trigger(name: str, table: str, quoted: str, enabled: str, internal: bool, constraint: str) -> Fault:
    when = "off" if enabled == "D" else "on for replication alone"
    if internal:
        return Fault(
            rule="trigger-disabled",
            object=f"{table}.{constraint or name}",
            message=f"The foreign key {constraint or name} is not watched on {table}: its trigger is {when}.",
            hint=f"Run ALTER TABLE {table} ENABLE TRIGGER ALL as a superuser, then look for rows that point nowhere.",
        )
    return Fault(
        rule="trigger-disabled",
        object=f"{table}.{name}",
        message=f"The trigger {name} of {table} is {when}.",
        hint=f"Run ALTER TABLE {table} ENABLE TRIGGER {quoted}, or drop it if nobody needs it.",
    )


def _partition(name: str, table: str) -> Fault:
    return Fault(
        rule="detach-pending",
        object=name,
        message=f"The partition {name} is half detached from {table}.",
        hint=f"Run ALTER TABLE {table} DETACH PARTITION {name} FINALIZE.",
    )
