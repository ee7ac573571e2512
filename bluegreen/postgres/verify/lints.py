"""What an advisor looks for, as catalog queries: each answers relation, part, object and what to say of it.

The names are those of Supabase's advisors where there is one, so that a remark can be looked up there. Conditions of
policies are judged by their text as Postgres spells it back.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lint:
    """One thing to look for. `message` and `hint` are filled with what the query answers as `object` and `more`."""

    name: str
    kind: str  # of the part that it is about; empty for the relation itself, `function` for functions
    message: str
    hint: str
    query: str


_NAME = "format('%%I.%%I', n.nspname, c.relname)"
_FROM = "from pg_class c join pg_namespace n on n.oid = c.relnamespace"
_OURS = "c.oid = any (%(oids)s::bigint[])"
_API = """exists (
    select from pg_roles api where api.rolname in ('anon', 'authenticated')
        and has_schema_privilege(api.oid, n.oid, 'usage') and has_any_column_privilege(api.oid, c.oid, 'select')
)"""
_EXPOSED = f"n.nspname = any (%(exposed)s::text[]) and {_API}"
_POLICY = f"""
    {_FROM} join pg_policy p on p.polrelid = c.oid,
    lateral (select concat_ws(' ', pg_get_expr(p.polqual, c.oid), pg_get_expr(p.polwithcheck, c.oid))) told (text)
    where {_OURS}"""
# A call that stands first in a SELECT of its own is made once a statement; every other one is made for each row.
_ONCE = r"select\s+\(*\s*(auth\.(uid|jwt|role|email)|current_setting)\("
_CALL = r"(auth\.(uid|jwt|role|email)|current_setting)\("


def _policies(condition: str, more: str = "''") -> str:
    return (
        f"select c.oid::bigint, p.polname, {_NAME} || '.' || quote_ident(p.polname), {more} {_POLICY} and {condition}"
    )


def _relations(condition: str, more: str = "''") -> str:
    return f"select c.oid::bigint, '', {_NAME}, {more} {_FROM} where {_OURS} and {condition}"


_FUNCTION = """
    select f.oid::bigint, '', format('%%I.%%s', n.nspname, f.oid::regprocedure::text), ''
    from pg_proc f join pg_namespace n on n.oid = f.pronamespace
    where f.oid = any (%(functions)s::bigint[]) and f.prokind in ('f', 'p') and """

LINTS = (
    Lint(
        "auth_rls_initplan",
        "policy",
        "The policy {object} asks who is signed in for every row anew.",
        "Write (select auth.uid()) for auth.uid(), and the same for jwt(), role() and current_setting().",
        _policies(f"regexp_replace(told.text, '{_ONCE}', '', 'gi') ~* '{_CALL}'"),
    ),
    Lint(
        "multiple_permissive_policies",
        "policy",
        "The policy {object} is one of several permissive ones for {more}: each is asked for every row.",
        "Make one of them, with OR; or make one restrictive, if both were meant to hold.",
        f"""select c.oid::bigint, p.polname, {_NAME} || '.' || quote_ident(p.polname), (
            select string_agg(distinct word.name || ' by ' || coalesce(r.rolname, 'public'), ', ')
            {{more}}
        ) {_POLICY} and p.polpermissive and exists (select {{more}})""".replace(
            "{more}",
            """from pg_policy o, unnest(p.polroles) mine (oid) left join pg_roles r on r.oid = mine.oid,
            unnest('{r,a,w,d}'::text[], '{SELECT,INSERT,UPDATE,DELETE}'::text[]) word (letter, name)
            where o.polrelid = p.polrelid and o.oid <> p.oid and o.polpermissive
            and (o.polroles && p.polroles and mine.oid = any (o.polroles))
            and p.polcmd::text in (word.letter, '*') and o.polcmd::text in (word.letter, '*')""",
        ),
    ),
    Lint(
        "policy_exists_rls_disabled",
        "",
        "{object} has policies, and row level security is off: they guard nothing.",
        "Run ALTER TABLE {object} ENABLE ROW LEVEL SECURITY.",
        _relations("not c.relrowsecurity and exists (select from pg_policy p where p.polrelid = c.oid)"),
    ),
    Lint(
        "rls_enabled_no_policy",
        "",
        "{object} has row level security and no policy: nobody but its owner and administrators sees a row.",
        "Write its policies; if nobody is meant to see it, revoke the grants of anon and authenticated.",
        _relations(f"c.relrowsecurity and {_API} and not exists (select from pg_policy p where p.polrelid = c.oid)"),
    ),
    Lint(
        "rls_disabled_in_public",
        "",
        "{object} can be read through the API, and row level security is off: everybody sees every row.",
        "Run ALTER TABLE {object} ENABLE ROW LEVEL SECURITY and write its policies.",
        _relations(f"c.relkind in ('r', 'p') and not c.relrowsecurity and {_EXPOSED}"),
    ),
    Lint(
        "rls_references_user_metadata",
        "policy",
        "The policy {object} trusts user_metadata, which whoever is signed in writes themselves.",
        "Ask a table, or app_metadata, which only an administrator writes.",
        _policies("told.text ~* 'user_metadata'"),
    ),
    Lint(
        "rls_policy_always_true",
        "policy",
        "The policy {object} lets everybody write: one of its conditions is always true.",
        "Say whose rows are meant; without any, revoke the grant instead of a policy that keeps nobody out.",
        _policies(
            """p.polpermissive and p.polcmd <> 'r' and (
                pg_get_expr(p.polqual, c.oid) in ('true', '(1 = 1)')
                and coalesce(pg_get_expr(p.polwithcheck, c.oid), 'true') in ('true', '(1 = 1)')
                or pg_get_expr(p.polwithcheck, c.oid) in ('true', '(1 = 1)') and p.polcmd in ('a', '*')
            ) and exists (
                select from unnest(p.polroles) given (oid) left join pg_roles r on r.oid = given.oid
                where given.oid = 0 or r.rolname in ('anon', 'authenticated')
            )"""
        ),
    ),
    Lint(
        "function_search_path_mutable",
        "function",
        "The function {object} finds its tables by the caller's search_path: a caller can put others in their place.",
        "Add SET search_path = '' to it and name every object with its schema.",
        _FUNCTION + "not exists (select from unnest(f.proconfig) s (text) where s.text like 'search_path=%%')",
    ),
    Lint(
        "anon_security_definer_function_executable",
        "function",
        "The function {object} runs with its owner's rights, and anon may call it.",
        "Run REVOKE EXECUTE ON FUNCTION {object} FROM public, anon; grant it to whom it is for.",
        _FUNCTION
        + """f.prosecdef and n.nspname = any (%(exposed)s::text[]) and f.prorettype <> 'trigger'::regtype
            and exists (
                select from pg_roles r where r.rolname = 'anon' and has_function_privilege(r.oid, f.oid, 'execute')
            )
        """,
    ),
    Lint(
        "unindexed_foreign_keys",
        "constraint",
        "The foreign key {object} has no index: a delete in {more} reads the whole table for each row.",
        "Create an index that begins with its columns; the migration that makes the table can, at no cost.",
        f"""select c.oid::bigint, k.conname, {_NAME} || '.' || quote_ident(k.conname), k.confrelid::regclass::text
            {_FROM} join pg_constraint k on k.conrelid = c.oid and k.contype = 'f' and k.conparentid = 0
            where {_OURS} and not exists (
                select from pg_index i where i.indrelid = c.oid and i.indisvalid and i.indpred is null
                    and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey
                    and k.conkey @> (i.indkey::int2[])[0:cardinality(k.conkey) - 1]
            )""",
    ),
    Lint(
        "security_definer_view",
        "",
        "The view {object} reads with the rights of its owner: row level security of its tables does not hold in it.",
        "Run ALTER VIEW {object} SET (security_invoker = true), or take the view out of the API.",
        _relations(
            f"""c.relkind = 'v' and {_EXPOSED} and not exists (
                select from unnest(c.reloptions) o (text)
                where o.text ~* '^security_invoker=(true|on|yes|1)$'
            )"""
        ),
    ),
    Lint(
        "materialized_view_in_api",
        "",
        "The materialized view {object} can be read through the API, and it has no row level security.",
        "Revoke SELECT on it from anon and authenticated, or move it to a schema that is not exposed.",
        _relations(f"c.relkind = 'm' and {_EXPOSED}"),
    ),
    Lint(
        "foreign_table_in_api",
        "",
        "The foreign table {object} can be read through the API, and it has no row level security.",
        "Revoke SELECT on it from anon and authenticated, or move it to a schema that is not exposed.",
        _relations(f"c.relkind = 'f' and {_EXPOSED}"),
    ),
    Lint(
        "no_primary_key",
        "",
        "{object} has no primary key: no row of it can be named, and replication cannot follow it.",
        "Give it one, at the latest before it has rows.",
        _relations(
            "c.relkind in ('r', 'p') and not c.relispartition"
            " and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)"
        ),
    ),
    Lint(
        "duplicate_index",
        "index",
        "The index {object} is the same as {more}: each write pays for both.",
        "Drop one of them.",
        f"""select c.oid::bigint, i.indexrelid::bigint::text, i.indexrelid::regclass::text, string_agg(
                o.indexrelid::regclass::text, ', ' order by o.indexrelid)
            {_FROM} join pg_index i on i.indrelid = c.oid join pg_index o on o.indrelid = c.oid
                and o.indexrelid < i.indexrelid and o.indkey = i.indkey and o.indclass = i.indclass
                and o.indcollation = i.indcollation and o.indoption = i.indoption and o.indisunique = i.indisunique
                and coalesce(pg_get_expr(o.indexprs, c.oid), '') = coalesce(pg_get_expr(i.indexprs, c.oid), '')
                and coalesce(pg_get_expr(o.indpred, c.oid), '') = coalesce(pg_get_expr(i.indpred, c.oid), '')
            where {_OURS} group by c.oid, i.indexrelid""",
    ),
)
