"""The tables of the ledger, as they are made: outside every schema that an API exposes, and granted to nobody.

A newer program makes what an older one has not, and changes nothing of what is there.
"""

API_ROLES = ("anon", "authenticated", "service_role")
MIGRATIONS = """
create schema if not exists bluegreen;
create table if not exists bluegreen.migrations (
    version text primary key check (version ~ '^[0-9]+$'),
    name text not null,
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    phase text not null check (phase in ('expand', 'contract')),
    owner text not null,
    applied_at timestamptz not null default clock_timestamp(),
    applied_by text not null default session_user,
    took_ms integer not null,
    attempts integer not null,
    requires_schema_min text,
    reverse text
);
comment on table bluegreen.migrations is 'Which migrations were applied; each row is written in its own transaction.';
alter table bluegreen.migrations enable row level security;
revoke all on schema bluegreen from public;
revoke all on bluegreen.migrations from public;
"""
SEGMENTS = """
create table if not exists bluegreen.segments (
    version text not null check (version ~ '^[0-9]+$'),
    number integer not null check (number > 0),
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    kind text not null check (kind in ('transaction', 'alone', 'backfill')),
    state text not null check (state in ('begun', 'done')),
    leaves text,
    target text,
    cursor text[],
    seen bigint not null default 0,
    changed bigint not null default 0,
    took_ms integer not null default 0,
    begun_at timestamptz not null default clock_timestamp(),
    done_at timestamptz,
    reverse text,
    primary key (version, number)
);
comment on table bluegreen.segments is 'What is done of migrations that are more than one transaction.';
alter table bluegreen.segments enable row level security;
revoke all on bluegreen.segments from public;
"""
CATALOG = """
create table if not exists bluegreen.catalog (
    id bigint generated always as identity primary key,
    version text,
    at timestamptz not null default clock_timestamp(),
    by text not null default session_user,
    reason text,
    form integer not null,
    major integer not null,
    hashes jsonb not null
);
comment on table bluegreen.catalog is 'What the schema was like after each migration, object by object.';
alter table bluegreen.catalog enable row level security;
revoke all on bluegreen.catalog from public;
"""
# As Supabase's command line makes it where it finds none.
SUPABASE = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
"""
# By what is missing; none of them asks for a lock on a table that is as it should be.
MAKE = {
    "migrations": MIGRATIONS,
    "reverse": "alter table bluegreen.migrations add column if not exists reverse text;",
    "segments": SEGMENTS,
    "target": "alter table bluegreen.segments add column if not exists target text, "
    "add column if not exists reverse text;",
    "catalog": CATALOG,
    "supabase": SUPABASE,
}
PRESENT = """
with known (relation, columns) as (
    select c.oid, pg_catalog.array_agg(a.attname::text) from pg_catalog.pg_class c
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and not a.attisdropped and a.attnum > 0
    where c.oid in (
        pg_catalog.to_regclass('bluegreen.migrations'), pg_catalog.to_regclass('bluegreen.segments'),
        pg_catalog.to_regclass('bluegreen.catalog'),
        pg_catalog.to_regclass('supabase_migrations.schema_migrations')
    )
    group by c.oid
), columns (migrations, segments, catalog, supabase, is_supabase) as (
    select
        (select columns from known where relation = pg_catalog.to_regclass('bluegreen.migrations')),
        (select columns from known where relation = pg_catalog.to_regclass('bluegreen.segments')),
        (select columns from known where relation = pg_catalog.to_regclass('bluegreen.catalog')),
        (select columns from known where relation = pg_catalog.to_regclass('supabase_migrations.schema_migrations')),
        exists (select from pg_catalog.pg_roles where rolname = 'supabase_admin')
            or pg_catalog.to_regnamespace('supabase_migrations') is not null
)
select migrations is not null, is_supabase, coalesce('version' = any(supabase), false), segments is not null,
    coalesce(pg_catalog.row_security_active(pg_catalog.to_regclass('bluegreen.migrations')::oid), false),
    pg_catalog.array_remove(array[
        case when migrations is null then 'migrations' when 'reverse' <> all(migrations) then 'reverse' end,
        case when segments is null then 'segments' when not segments @> array['target', 'reverse'] then 'target' end,
        case when catalog is null then 'catalog' end,
        case when is_supabase and supabase @> array['version', 'name', 'statements'] is not true then 'supabase' end
    ], null)
from columns
"""
