"""What of a Supabase project belongs to the platform: its schemas, its roles, its publication.

A schema counts as the platform's by its name, and only where the platform's three API roles exist; elsewhere a schema
called `auth` or `cron` is the user's own. Ours are left out everywhere. Deliberately not here: what users add to the
platform's tables (triggers on auth.users, policies on storage.objects); that is theirs and is looked at.
"""

OURS = ("bluegreen", "supabase_migrations")
API_ROLES = ("anon", "authenticated", "service_role")
SCHEMAS = (
    "_analytics",
    "_realtime",
    "_supavisor",
    "auth",
    "cron",
    "dbdev",
    "etl",
    "extensions",
    "graphql",
    "graphql_public",
    "net",
    "pgbouncer",
    "pgmq",
    "pgsodium",
    "pgsodium_masks",
    "pgtle",
    "realtime",
    "repack",
    "storage",
    "supabase_functions",
    "tiger",
    "tiger_data",
    "topology",
    "vault",
)
SCHEMA_PATTERNS = r"^_?timescaledb_"
ROLES = r"^(supabase_|pgsodium_|cli_login_|pgbouncer$|dashboard_user$|pgtle_admin$)"
PUBLICATIONS = ("supabase_realtime_messages_publication",)
