"""What the catalog says about who may what: row level security, policies, grants and functions, a line each.

This part needs no rows and no people, so it is also what a production database is asked. The conditions of policies
are not spelled: majors spell them differently, and the answers of people say what they come to.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from bluegreen.postgres.session import Session
from bluegreen.postgres.verify.objects import every_schema_spelled
from bluegreen.spec import State

COMMANDS = {"r": "select", "a": "insert", "w": "update", "d": "delete", "*": "all"}
TABLES = """
select format('%%s.%%s', n.nspname, c.relname), c.relkind in ('r', 'p'), c.relrowsecurity, c.relforcerowsecurity
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (%s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
order by 1
"""
POLICIES = """
select format('%%s.%%s', n.nspname, c.relname), p.polname, p.polpermissive, p.polcmd::text,
    array(
        select coalesce(r.rolname, 'public') from unnest(p.polroles) given (oid)
        left join pg_roles r on r.oid = given.oid order by 1
    )::text[], p.polqual is not null, p.polwithcheck is not null
from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (%s) order by 1, 2
"""
GRANTS = """
select format('%%s.%%s', n.nspname, c.relname), r.name, p.name, has_table_privilege(r.name, c.oid, p.name),
    case when p.name in ('select', 'insert', 'update', 'references') then array(
        select a.attname from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            and has_column_privilege(r.name, c.oid, a.attnum, p.name) order by a.attnum
    )::text[] else '{}' end
from pg_class c join pg_namespace n on n.oid = c.relnamespace,
    unnest(%s::text[]) with ordinality r (name, at),
    unnest('{select,insert,update,delete,truncate,references,trigger}'::text[]) with ordinality p (name, at)
where n.nspname = any (%s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
    and has_schema_privilege(r.name, n.oid, 'usage')
order by 1, r.at, p.at
"""
FUNCTIONS = """
select format('%%s.%%s(%%s)', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid)),
    case when f.prosecdef then 'runs as ' || pg_get_userbyid(f.proowner) else 'runs as the caller' end,
    array(
        select r.name from unnest(%s::text[]) with ordinality r (name, at)
        where has_function_privilege(r.name, f.oid, 'execute') and has_schema_privilege(r.name, n.oid, 'usage')
        order by r.at
    )
from pg_proc f join pg_namespace n on n.oid = f.pronamespace
where n.nspname = any (%s) and not exists (select from pg_depend d where d.objid = f.oid and d.deptype = 'e')
order by 1
"""


class Line(State):
    """One answer: what it is about, what is done to it, by whom, and what comes of it."""

    what: str = ""
    verb: str = ""
    who: str = ""
    answer: str = ""


async def rules(session: Session, roles: Sequence[str], exposed: Collection[str]) -> list[Line]:
    """Everything that the catalog says about these roles, in an order that does not change by itself."""
    schemas, found = list(exposed), list[Line]()
    for name, is_table, on, forced in await session.rows(TABLES, schemas):
        if is_table:
            found.append(_line(name, "rls", "-", f"{'on' if on else 'off'}{', forced' if forced else ''}"))
    for policy in await session.rows(POLICIES, schemas):
        found.append(_policy(*policy))
    found += _grants(await session.rows(GRANTS, list(roles), schemas), roles)
    async with every_schema_spelled(session):
        functions = await session.rows(FUNCTIONS, list(roles), schemas)
    for name, runs, those in functions:
        found.append(_line(name, "call", ", ".join(those) or "nobody", runs))
    return found


def _policy(table: str, name: str, permissive: bool, command: str, roles: list[str], using: bool, check: bool) -> Line:
    clauses = " and ".join(word for word, there in (("using", using), ("with check", check)) if there)
    kind = "" if permissive else "restrictive, "
    return _line(table, "policy", name, f"{kind}{COMMANDS[command]} to {', '.join(roles)}, {clauses}")


def _grants(rows: Sequence[tuple[Any, ...]], roles: Sequence[str]) -> Iterator[Line]:
    """One line for a role and a table; a column is named where the whole table is not granted."""
    told: dict[tuple[str, str], list[str]] = {}
    for table, role, privilege, whole, columns in rows:
        parts = told.setdefault((table, role), [])
        if whole:
            parts.append(privilege)
        elif columns:
            parts.append(f"{privilege} ({', '.join(columns)})")
    for table, role in sorted(told, key=lambda pair: (pair[0], roles.index(pair[1]))):
        yield _line(table, "grant", role, ", ".join(told[table, role]) or "none")


def _line(what: str, verb: str, who: str, answer: str) -> Line:
    return Line(what=what, verb=verb, who=who, answer=answer)
