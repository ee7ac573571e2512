"""Turns of SQL that every kind of object shares: its owner, who holds which privileges, what an extension brought.

All run with an empty search path, so every name that Postgres writes is whole. Deliberately not here: which kinds there
are (`relations.py`, `programs.py`, `types.py`, `surroundings.py`).
"""

from bluegreen.postgres.catalog import supabase


def owner(column: str) -> str:
    """A role's name by its number, quoted where it must be."""
    return f"quote_ident(pg_get_userbyid({column}))"


def privileges(column: str, kind: str, owned_by: str | None) -> str:
    """Who holds what as one JSON object, whether it was granted or is the default; a star is the grant option.

    All privileges on a table are called ALL, because Postgres 17 added one (MAINTAIN) to them. Who granted is left out.
    """
    given = column if owned_by is None else f"coalesce({column}, acldefault('{kind}', {owned_by}))"
    told = "string_agg(privilege || case when again then '*' else '' end, ', ' order by privilege)"
    if kind == "r":
        told = f"coalesce((select short from whole where long = {told}), {told})"
    return f"""case when {given} is not null then (
        select jsonb_object_agg(who, what) from (
            select who, {told} as what from (
                select case grantee when 0 then 'public' else {owner("grantee")} end as who,
                    privilege_type as privilege, bool_or(is_grantable) as again
                from aclexplode({given}) group by 1, 2
            ) one_by_one group by who
        ) by_role
    ) end"""


def own(catalog: str, oid: str) -> str:
    """That no extension brought the object."""
    return f"not exists (select from brought where classid = '{catalog}'::regclass and objid = {oid})"


def kept(**values: str) -> str:
    """A JSON object of what is not null."""
    pairs = ", ".join(f"'{key}', {value}" for key, value in values.items())
    return f"jsonb_strip_nulls(jsonb_build_object({pairs}))"


def flag(condition: str) -> str:
    """True, or null so that it is left out."""
    return f"nullif({condition}, false)"


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)


# What everything below refers to: the schemas that are looked at, and the relations in them.
PREFACE = f"""
with platform as materialized (
    select count(*) = {len(supabase.API_ROLES)} as here from pg_roles where rolname in ({_quoted(supabase.API_ROLES)})
),
brought as materialized (
    select classid, objid from pg_depend where deptype = 'e'
    union all
    -- A range type's own functions and casts.
    select classid, objid from pg_depend
    where deptype = 'i' and classid in ('pg_proc'::regclass, 'pg_cast'::regclass)
),
whole as materialized (
    select string_agg(privilege_type, ', ' order by privilege_type) as long, 'ALL' as short
    from aclexplode(acldefault('r', 10))
    union all
    select string_agg(privilege_type || '*', ', ' order by privilege_type), 'ALL*' from aclexplode(acldefault('r', 10))
),
space as materialized (
    select oid, quote_ident(nspname) as name, nspowner, nspacl from pg_namespace
    where nspname !~ '^pg_' and nspname <> 'information_schema' and nspname not in ({_quoted(supabase.OURS)})
        and not (
            (nspname in ({_quoted(supabase.SCHEMAS)}) or nspname ~ '{supabase.SCHEMA_PATTERNS}')
            and (select here from platform)
        )
        and not exists (select from brought where classid = 'pg_namespace'::regclass and objid = pg_namespace.oid)
),
rel as materialized (
    select c.oid, s.name || '.' || quote_ident(c.relname) as id, c.relkind, c.relnamespace, c.relowner, c.relacl,
        c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relreplident, c.relam,
        c.relispartition, c.relpartbound, c.reltoastrelid, c.reltablespace, c.reloftype, c.relispopulated
    from pg_class c join space s on s.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f', 'c')
        and not exists (select from brought where classid = 'pg_class'::regclass and objid = c.oid)
)
"""
