"""What a database says about itself beside its schema: who is in it, how large it is, and what no copy can have.

Only the catalog is read, in one session that writes nothing. Passwords cannot be read and are not wanted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bluegreen.postgres.session import Session

OWN_SCHEMA = "bluegreen"  # never part of a copy: the ledger knows production, not the copy
# What Supabase keeps for itself (its CLI lists it); migrations refer to auth, storage, realtime and extensions.
PLATFORM = {
    *("_analytics", "_realtime", "_supavisor", "cron", "dbdev", "etl", "graphql", "graphql_public", "net", "pgbouncer"),
    *("pgmq", "pgsodium", "pgsodium_masks", "pgtle", "repack", "supabase_migrations", "tiger"),
    *("tiger_data", "topology", "vault"),
}
SUPABASE = frozenset({"anon", "authenticated", "service_role"})

ASK = """
select current_setting('server_version_num')::int / 10000, current_user::text, d.datcollate::text, o.rolname::text,
    has_database_privilege(d.oid, 'create')
from pg_catalog.pg_database d join pg_catalog.pg_roles o on o.oid = d.datdba where d.datname = current_database()
"""
ROLES = """
select rolname::text, rolcanlogin, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls
from pg_catalog.pg_roles where rolname !~ '^pg_' order by rolname
"""
# The options of one membership came with 16; as text, because an older server knows no such column.
MEMBERS = """
select r.rolname::text, m.rolname::text, a.admin_option,
    (to_jsonb(a) ->> 'inherit_option')::bool, (to_jsonb(a) ->> 'set_option')::bool
from pg_catalog.pg_auth_members a
join pg_catalog.pg_roles r on r.oid = a.roleid join pg_catalog.pg_roles m on m.oid = a.member
where m.rolname !~ '^pg_' order by 1, 2
"""
SETTINGS = """
select coalesce(r.rolname::text, ''), s.setdatabase <> 0, split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
from pg_catalog.pg_db_role_setting s left join pg_catalog.pg_roles r on r.oid = s.setrole,
    unnest(s.setconfig) with ordinality as each (c, at)
where s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))
    and (s.setrole = 0 or r.rolname is not null)
order by 1, 2, at
"""
EXTENSIONS = """
select e.extname::text, n.nspname::text
from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace order by 1
"""
# Not to be dumped by us; a copy has its columns and keys all the same, for the catalog is everybody's to read.
UNREADABLE = """
select n.nspname::text, c.relname::text from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not (has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'))
order by 1, 2
"""
SCHEMAS = (
    "select nspname::text from pg_catalog.pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'"
)
VIEWS = """
select format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relkind = 'm' and c.relispopulated order by c.oid
"""
LANGUAGE = """
select r.rolname::text from pg_catalog.pg_language l join pg_catalog.pg_roles r on r.oid = l.lanowner
where l.lanname = 'plpgsql'
"""
# From the books alone: asking for the size of the files takes a lock, and whoever has the table would be waited for.
SIZES = """
with recursive leaf (root, oid) as (
    select c.oid, c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    union all select leaf.root, i.inhrelid from leaf join pg_catalog.pg_inherits i on i.inhparent = leaf.oid
)
select format('%I.%I', n.nspname, r.relname),
    sum(case when c.reltuples > 0 then c.reltuples else coalesce(s.n_live_tup, 0) end)::bigint,
    sum(greatest(c.relpages, 0) + coalesce(t.relpages, 0))::bigint * current_setting('block_size')::bigint
from leaf join pg_catalog.pg_class c on c.oid = leaf.oid join pg_catalog.pg_class r on r.oid = leaf.root
join pg_catalog.pg_namespace n on n.oid = r.relnamespace
left join pg_catalog.pg_class t on t.oid = c.reltoastrelid
left join pg_catalog.pg_stat_all_tables s on s.relid = c.oid
where c.relkind <> 'p'
group by r.oid, n.nspname, r.relname having bool_and(c.reltuples >= 0 or s.n_live_tup > 0) order by 1
"""
WIDE = 200  # bytes: a row of a table of which only the number of rows is known

Sizes = Mapping[str, tuple[int, int]]  # `schema.table`: rows as last counted, and bytes


@dataclass(frozen=True, slots=True)
class Role:
    """Who may own, be granted something, or be named by a policy."""

    name: str
    login: bool
    superuser: bool
    inherit: bool
    createrole: bool
    createdb: bool
    replication: bool
    bypassrls: bool


@dataclass(frozen=True)
class Source:
    """A database as it describes itself."""

    major: int
    user: str
    collation: str
    owner: str  # of the database
    creates: bool  # whether the user may make schemas
    roles: Sequence[Role]
    members: Sequence[tuple[Any, ...]]
    settings: Sequence[tuple[str, bool, str, str]]  # role, only in this database, name, value
    extensions: Mapping[str, str]  # name and schema
    unreadable: Sequence[tuple[str, str]]
    schemas: frozenset[str]
    views: Sequence[str]  # materialized, and filled
    language: str  # who owns PL/pgSQL
    sizes: Sizes = field(default_factory=dict)

    @property
    def supabase(self) -> bool:
        return SUPABASE <= {role.name for role in self.roles} and "auth" in self.schemas

    @property
    def left_out(self) -> Sequence[str]:
        """Schemas that no copy has."""
        platform = {name for name in self.schemas if name in PLATFORM} if self.supabase else set()
        return sorted(platform | ({OWN_SCHEMA} & self.schemas))


async def described(session: Session) -> Source:
    """Ask a database about itself."""
    major, user, collation, owner, creates = (await session.rows(ASK))[0]
    return Source(
        major=major,
        user=user,
        collation=collation,
        owner=owner,
        creates=creates,
        roles=[Role(*row) for row in await session.rows(ROLES)],
        members=await session.rows(MEMBERS),
        settings=[(role, here, name, value) for role, here, name, value in await session.rows(SETTINGS)],
        extensions=dict(await session.rows(EXTENSIONS)),
        unreadable=[(schema, name) for schema, name in await session.rows(UNREADABLE)],
        schemas=frozenset(name for (name,) in await session.rows(SCHEMAS)),
        views=[name for (name,) in await session.rows(VIEWS)],
        language=str((await session.rows(LANGUAGE))[0][0]),
        sizes=await sizes(session),
    )


async def sizes(session: Session) -> Sizes:
    """About how many rows and bytes each table has; one that nobody has counted yet is left out.

    A partitioned table is all of its parts.
    """
    rows = await session.rows(SIZES)
    return {name: (int(number), int(size) or WIDE * int(number)) for name, number, size in rows}
