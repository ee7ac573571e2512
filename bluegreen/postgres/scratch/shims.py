"""Stand-ins for what a scratch server cannot have: extensions, tables that may not be dumped, and Supabase's own part.

A function of a missing extension is there under its name and says so when it is called; the few that defaults are made
of (`uuid_generate_v4`, `gen_random_bytes`, `digest`) work. A type is a domain over text. A table that may not be dumped
has its columns, keys and row level security, which the catalog tells everybody.
"""

from collections.abc import Collection, Sequence

from bluegreen.postgres.scratch.laying import Piece
from bluegreen.postgres.scratch.people import literal
from bluegreen.postgres.scratch.server import quoted
from bluegreen.postgres.session import Session

FUNCTIONS = """
select e.extname::text, n.nspname::text, p.proname::text, pg_catalog.pg_get_function_arguments(p.oid),
    pg_catalog.pg_get_function_identity_arguments(p.oid), pg_catalog.pg_get_function_result(p.oid), p.provolatile::text
from pg_catalog.pg_proc p
join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
join pg_catalog.pg_extension e on e.oid = d.refobjid join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where p.prokind = 'f' and e.extname = any(%s) order by p.oid
"""
TYPES = """
select n.nspname::text, t.typname::text
from pg_catalog.pg_type t
join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_type'::regclass and d.objid = t.oid and d.deptype = 'e'
join pg_catalog.pg_extension e on e.oid = d.refobjid join pg_catalog.pg_namespace n on n.oid = t.typnamespace
where t.typtype = 'b' and e.extname = any(%s) order by t.oid
"""
COLUMNS = """
select n.nspname::text, c.relname::text, r.rolname::text, c.relrowsecurity, string_agg(
    format('%%I %%s', a.attname, format_type(a.atttypid, a.atttypmod))
        || case when x.adbin is null or a.attgenerated <> '' or pg_get_expr(x.adbin, c.oid) ~ 'nextval' then ''
            else ' default ' || pg_get_expr(x.adbin, c.oid) end
        || case when a.attnotnull then ' not null' else '' end, ', ' order by a.attnum),
    array(select pg_get_constraintdef(k.oid) from pg_catalog.pg_constraint k
        where k.conrelid = c.oid and k.contype in ('p', 'u') order by k.contype, k.conname)
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_roles r on r.oid = c.relowner
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_catalog.pg_attrdef x on x.adrelid = c.oid and x.adnum = a.attnum
where (n.nspname, c.relname) in (select * from unnest(%s::text[], %s::text[])) group by c.oid, 1, 2, 3, 4 order by 1, 2
"""
# What defaults are made of, by name and the types of the arguments.
WORKING = {
    ("uuid_generate_v4", ""): "select pg_catalog.gen_random_uuid()",
    ("gen_random_bytes", "integer"): "select substr(string_agg(sha256(gen_random_uuid()::text::bytea), ''), 1, $1) "
    "from generate_series(0, $1 / 32)",
    ("digest", "text, text"): "select case lower($2) when 'sha256' then sha256($1::bytea) when 'sha512' then "
    "sha512($1::bytea) when 'sha384' then sha384($1::bytea) when 'sha224' then sha224($1::bytea) "
    "when 'md5' then decode(md5($1), 'hex') end",
    ("digest", "bytea, text"): "select case lower($2) when 'sha256' then sha256($1) when 'sha512' then sha512($1) "
    "when 'sha384' then sha384($1) when 'sha224' then sha224($1) when 'md5' then decode(md5($1), 'hex') end",
}
KNOWN = (  # the same for a baseline file, where there is nobody to ask for signatures
    ("uuid-ossp", "uuid_generate_v4", "", "uuid"),
    ("pgcrypto", "gen_random_bytes", "integer", "bytea"),
    ("pgcrypto", "digest", "text, text", "bytea"),
    ("pgcrypto", "digest", "bytea, text", "bytea"),
)
VOLATILE = {"i": "immutable", "s": "stable", "v": "volatile"}


async def of_extensions(session: Session, names: Sequence[str]) -> list[Piece]:
    """Stand-ins for the types and functions of extensions, as their database describes them."""
    types = [
        Piece("type", name, f"{_schema(schema)}; create domain {quoted(schema)}.{quoted(name)} as text")
        for schema, name in await session.rows(TYPES, list(names))
    ]
    return [*types, *(_function(*row) for row in await session.rows(FUNCTIONS, list(names)))]


def of_known(names: Collection[str], schema: str) -> list[Piece]:
    """Stand-ins for what is known of these extensions."""
    return [
        _function(extension, schema, name, arguments, arguments, result, "v")
        for extension, name, arguments, result in KNOWN
        if extension in names
    ]


async def of_tables(session: Session, tables: Sequence[tuple[str, str]]) -> list[Piece]:
    """Tables without what may not be dumped: their columns and keys."""
    found = []
    asked = [schema for schema, _ in tables], [name for _, name in tables]
    for schema, name, owner, secured, columns, keys in await session.rows(COLUMNS, *asked):
        whole = f"{quoted(schema)}.{quoted(name)}"
        text = f"{_schema(schema)}; create table {whole} ({', '.join([columns, *keys])}); "
        text += f"alter table {whole} owner to {quoted(owner)}"
        found.append(Piece("table", f"{schema}.{name}", text + _closed(whole, secured)))
    return found


def _closed(table: str, secured: bool) -> str:
    return f"; alter table {table} enable row level security" if secured else ""


def _function(
    extension: str, schema: str, name: str, arguments: str, identity: str, result: str, volatile: str
) -> Piece:
    head = f"{_schema(schema)}; create function {quoted(schema)}.{quoted(name)}({arguments}) returns {result} "
    types = ", ".join(part.strip().rpartition(" ")[2] for part in identity.split(",")) if identity else ""
    if (name, types) in WORKING:
        body = f"language sql {VOLATILE[volatile]} as {literal(WORKING[name, types])}"
    else:
        said = literal(f"{name}() is of the extension {extension}, which the copy does not have")
        raised = literal(f"begin raise exception using message = {said}; end")
        body = f"language plpgsql {VOLATILE[volatile]} as {raised}"
    return Piece("function", f"{schema}.{name}", head + body)


def _schema(name: str) -> str:
    return f"create schema if not exists {quoted(name)}"
