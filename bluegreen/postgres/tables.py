"""The tables of the ledger, as they are made: outside every schema that an API exposes, and granted to nobody.

A newer program makes what an older one has not, and changes nothing of what is there.
"""

API_ROLES = ("anon", "authenticated", "service_role")
MIGRATIONS = """
begin;
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
alter table bluegreen.migrations add column if not exists reverse text;
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
    cursor text[],
    seen bigint not null default 0,
    changed bigint not null default 0,
    took_ms integer not null default 0,
    begun_at timestamptz not null default clock_timestamp(),
    done_at timestamptz,
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
CREATE_SUPABASE = """
begin;
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
commit
"""
PRESENT = """
select
    pg_catalog.to_regclass('bluegreen.migrations') is not null,
    exists (select from pg_catalog.pg_roles where rolname = 'supabase_admin')
        or pg_catalog.to_regnamespace('supabase_migrations') is not null,
    (
        select count(*) = 3 from pg_catalog.pg_attribute
        where attrelid = pg_catalog.to_regclass('supabase_migrations.schema_migrations')
            and attname in ('version', 'name', 'statements') and not attisdropped
    ),
    pg_catalog.to_regclass('bluegreen.segments') is not null and pg_catalog.to_regclass('bluegreen.catalog') is not null
"""
