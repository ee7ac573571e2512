"""What Supabase brings before an app has anything, for a baseline file that takes it for granted.

Its roles with their attributes and default privileges, `auth` with its users and its four functions, `storage` with
buckets and objects, the schema `extensions`. Columns and policies are those that migrations refer to, not all there
are; whoever can name the real database gets a copy of that instead. Parts that the file makes itself are left out.
"""

import re
from collections.abc import Collection

NEEDED = re.compile(
    r"\b(anon|authenticated|service_role|supabase_\w+)\b|\bauth\s*\.\s*(users|uid|jwt|role|email)\b|\bstorage\s*\.",
    re.IGNORECASE,
)

ROLES = """
grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role to postgres with admin option;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
alter language plpgsql owner to supabase_admin;
alter schema public owner to postgres;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on sequences to anon, authenticated, service_role;
"""
CREATED = {
    "anon": "nologin noinherit",
    "authenticated": "nologin noinherit",
    "service_role": "nologin noinherit bypassrls",
    "authenticator": "login noinherit",
    "supabase_admin": "nologin superuser",
    "supabase_auth_admin": "nologin noinherit createrole",
    "supabase_storage_admin": "nologin noinherit createrole",
    "dashboard_user": "nologin createrole createdb replication",
}
EXTENSIONS = """
create schema extensions authorization postgres;
grant usage on schema extensions to anon, authenticated, service_role;
"""
AUTH = """
create schema auth authorization supabase_auth_admin;
grant usage on schema auth to postgres, anon, authenticated, service_role;
create table auth.users (
    instance_id uuid, id uuid primary key, aud varchar(255), role varchar(255), email varchar(255),
    encrypted_password varchar(255), email_confirmed_at timestamptz, invited_at timestamptz,
    last_sign_in_at timestamptz, raw_app_meta_data jsonb, raw_user_meta_data jsonb, is_super_admin boolean,
    created_at timestamptz, updated_at timestamptz, phone text unique, phone_confirmed_at timestamptz,
    banned_until timestamptz, is_sso_user boolean not null default false, deleted_at timestamptz,
    is_anonymous boolean not null default false
);
alter table auth.users owner to supabase_auth_admin;
alter table auth.users enable row level security;
grant all on auth.users to postgres with grant option;
create function auth.jwt() returns jsonb language sql stable as $$
    select coalesce(nullif(current_setting('request.jwt.claim', true), ''),
        nullif(current_setting('request.jwt.claims', true), ''))::jsonb
$$;
create function auth.uid() returns uuid language sql stable as $$
    select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
$$;
create function auth.role() returns text language sql stable as $$
    select coalesce(nullif(current_setting('request.jwt.claim.role', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
$$;
create function auth.email() returns text language sql stable as $$
    select coalesce(nullif(current_setting('request.jwt.claim.email', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email')
$$;
alter function auth.jwt() owner to supabase_auth_admin;
alter function auth.uid() owner to supabase_auth_admin;
alter function auth.role() owner to supabase_auth_admin;
alter function auth.email() owner to supabase_auth_admin;
"""
STORAGE = """
create schema storage authorization supabase_storage_admin;
grant usage on schema storage to postgres, anon, authenticated, service_role;
create table storage.buckets (
    id text primary key, name text not null unique, owner uuid, owner_id text, public boolean default false,
    file_size_limit bigint, allowed_mime_types text[],
    created_at timestamptz default now(), updated_at timestamptz default now()
);
create table storage.objects (
    id uuid primary key default gen_random_uuid(), bucket_id text references storage.buckets (id), name text,
    owner uuid, owner_id text, metadata jsonb, user_metadata jsonb, version text,
    created_at timestamptz default now(), updated_at timestamptz default now(),
    last_accessed_at timestamptz default now(),
    path_tokens text[] generated always as (string_to_array(name, '/')) stored
);
create unique index bucketid_objname on storage.objects (bucket_id, name);
alter table storage.buckets enable row level security;
alter table storage.objects enable row level security;
create function storage.foldername(name text) returns text[] language sql immutable as $$
    select (string_to_array(name, '/'))[1:array_length(string_to_array(name, '/'), 1) - 1]
$$;
create function storage.filename(name text) returns text language sql immutable as $$
    select (string_to_array(name, '/'))[array_length(string_to_array(name, '/'), 1)]
$$;
create function storage.extension(name text) returns text language sql immutable as $$
    select reverse(split_part(reverse(storage.filename(name)), '.', 1))
$$;
alter table storage.buckets owner to supabase_storage_admin;
alter table storage.objects owner to supabase_storage_admin;
alter function storage.foldername(text) owner to supabase_storage_admin;
alter function storage.filename(text) owner to supabase_storage_admin;
alter function storage.extension(text) owner to supabase_storage_admin;
grant all on storage.buckets, storage.objects to postgres with grant option;
grant all on storage.buckets, storage.objects to anon, authenticated, service_role;
"""


def needed(text: str) -> bool:
    """Whether a file speaks of what only the platform brings."""
    return NEEDED.search(text) is not None


def script(there: Collection[str], roles: Collection[str], schemas: Collection[str]) -> str:
    """The platform without the roles that are there, and without the roles and schemas that the file makes."""
    made = "".join(f"create role {name} {how};\n" for name, how in CREATED.items() if name not in {*there, *roles})
    parts = {"extensions": EXTENSIONS, "auth": AUTH, "storage": STORAGE}
    whole = made + ("" if {"anon", "authenticated"} & set(roles) else ROLES)
    return whole + "".join(text for name, text in parts.items() if name not in schemas)
