"""One query for each kind of what lies around relations: schemas, extensions, publications, servers, roles, comments.

Roles live in the whole cluster; they are looked at because who bypasses row level security, and who belongs to whom, is
what policies stand on. Passwords cannot be seen and are not looked for. Options of foreign servers may hold keys: only
where a server is and what its database is called is told, of anything else a digest.
"""

from bluegreen.postgres.catalog import supabase
from bluegreen.postgres.catalog.words import flag, kept, own, owner, privileges

_PLACES = "'host', 'hostaddr', 'port', 'dbname'"
_DIGESTED = f"""(
    select jsonb_object_agg(option_name, case when option_name in ({_PLACES}) then option_value
        else 'sha256 ' || left(encode(sha256(option_value::bytea), 'hex'), 12) end)
    from pg_options_to_table({{0}})
)"""

_LIKE_SCHEMAS = kept(owner=owner("s.nspowner"), privileges=privileges("s.nspacl", "n", "s.nspowner"))
SCHEMAS = f"select s.name, {_LIKE_SCHEMAS} from space s"

DATABASE = f"""
select 'itself', {kept(owner=owner("d.datdba"), privileges=privileges("d.datacl", "d", "d.datdba"))}
from pg_database d where d.datname = current_database()
"""

EXTENSIONS = f"""
select quote_ident(e.extname), {kept(schema="e.extnamespace::regnamespace::text", version="e.extversion")}
from pg_extension e
"""

_LIKE_LANGUAGES = kept(
    trusted=flag("l.lanpltrusted"),
    owner=owner("l.lanowner"),
    privileges=privileges("l.lanacl", "l", "l.lanowner"),
)
LANGUAGES = f"""
select quote_ident(l.lanname), {_LIKE_LANGUAGES}
from pg_language l where l.lanispl
"""

_LIKE_PUBLICATIONS = kept(
    allTables=flag("p.puballtables"),
    publish="concat_ws(', ', case when p.pubinsert then 'insert' end, case when p.pubupdate then 'update' end, "
    "case when p.pubdelete then 'delete' end, case when p.pubtruncate then 'truncate' end)",
    viaRoot=flag("p.pubviaroot"),
    generated="nullif(to_jsonb(p) ->> 'pubgencols', 'n')",
    owner=owner("p.pubowner"),
)
PUBLICATIONS = f"""
select quote_ident(p.pubname), {_LIKE_PUBLICATIONS}
from pg_publication p where p.pubname <> all (array{list(supabase.PUBLICATIONS)!r}::text[])
"""

_LIKE_PUBLISHED_TABLES = kept(
    publication="quote_ident(p.pubname)",
    table="r.id",
    where="pg_get_expr(m.prqual, m.prrelid)",
    columns="(select jsonb_agg(quote_ident(a.attname) order by a.attnum) from pg_attribute a "
    "where a.attrelid = m.prrelid and a.attnum = any (m.prattrs))",
)
PUBLISHED_TABLES = f"""
select r.id || ' in ' || quote_ident(p.pubname), {_LIKE_PUBLISHED_TABLES}
from pg_publication_rel m join pg_publication p on p.oid = m.prpubid join rel r on r.oid = m.prrelid
"""

PUBLISHED_SCHEMAS = f"""
select s.name || ' in ' || quote_ident(p.pubname), {kept(publication="quote_ident(p.pubname)", schema="s.name")}
from pg_publication_namespace m join pg_publication p on p.oid = m.pnpubid join space s on s.oid = m.pnnspid
"""

_LIKE_SUBSCRIPTIONS = kept(
    publications="to_jsonb(b.subpublications)",
    disabled=flag("not b.subenabled"),
    owner=owner("b.subowner"),
)
SUBSCRIPTIONS = f"""
select quote_ident(b.subname), {_LIKE_SUBSCRIPTIONS}
from (select subname, subpublications, subenabled, subowner, subdbid from pg_subscription) b
where b.subdbid = (select oid from pg_database where datname = current_database())
"""

_LIKE_WRAPPERS = kept(
    handler="case when w.fdwhandler <> 0 then w.fdwhandler::regproc::text end",
    validator="case when w.fdwvalidator <> 0 then w.fdwvalidator::regproc::text end",
    options=_DIGESTED.format("w.fdwoptions"),
    owner=owner("w.fdwowner"),
    privileges=privileges("w.fdwacl", "F", "w.fdwowner"),
)
WRAPPERS = f"""
select quote_ident(w.fdwname), {_LIKE_WRAPPERS}
from pg_foreign_data_wrapper w where {own("pg_foreign_data_wrapper", "w.oid")}
"""

_LIKE_SERVERS = kept(
    wrapper="(select quote_ident(fdwname) from pg_foreign_data_wrapper where oid = v.srvfdw)",
    type="v.srvtype",
    version="v.srvversion",
    options=_DIGESTED.format("v.srvoptions"),
    owner=owner("v.srvowner"),
    privileges=privileges("v.srvacl", "S", "v.srvowner"),
)
SERVERS = f"""
select quote_ident(v.srvname), {_LIKE_SERVERS}
from pg_foreign_server v where {own("pg_foreign_server", "v.oid")}
"""

USER_MAPPINGS = """
select case u.umuser when 0 then 'public' else quote_ident(u.usename) end || ' on ' || quote_ident(u.srvname),
    jsonb_build_object('server', quote_ident(u.srvname))
from pg_user_mappings u
"""

DEFAULT_PRIVILEGES = f"""
select case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
        when 'T' then 'types' when 'n' then 'schemas' else 'large objects' end
    || ' of ' || {owner("d.defaclrole")} || coalesce(' in ' || s.name, ''), jsonb_strip_nulls(jsonb_build_object(
    'schema', s.name, 'role', {owner("d.defaclrole")},
    'privileges', case d.defaclobjtype when 'r' then {privileges("d.defaclacl", "r", None)}
        else {privileges("d.defaclacl", "S", None)} end
)) from pg_default_acl d left join space s on s.oid = d.defaclnamespace
where d.defaclnamespace = 0 or s.oid is not null
"""

_ROLE_OF_USERS = f"{{0}}.oid >= 16384 and not ({{0}}.rolname ~ '{supabase.ROLES}' and (select here from platform))"
_LIKE_ROLES = kept(
    superuser=flag("r.rolsuper"),
    bypassrls=flag("r.rolbypassrls"),
    createrole=flag("r.rolcreaterole"),
    createdb=flag("r.rolcreatedb"),
    replication=flag("r.rolreplication"),
    login=flag("r.rolcanlogin"),
    noinherit=flag("not r.rolinherit"),
    connections="nullif(r.rolconnlimit, -1)",
    validUntil="nullif(r.rolvaliduntil, 'infinity')",
)
ROLES = f"""
select quote_ident(r.rolname), {_LIKE_ROLES}
from pg_roles r where {_ROLE_OF_USERS.format("r")}
"""

# Whether a member inherits is its own default before Postgres 16, and usually so since.
MEMBERSHIPS = f"""
select quote_ident(m.rolname) || ' in ' || quote_ident(g.rolname), jsonb_strip_nulls(jsonb_build_object(
    'member', quote_ident(m.rolname), 'group', quote_ident(g.rolname),
    'admin', nullif(bool_or(a.admin_option), false),
    'inherit', nullif(bool_or(coalesce((to_jsonb(a) ->> 'inherit_option')::boolean, m.rolinherit)), m.rolinherit),
    'cannotSet', nullif(not bool_or(coalesce((to_jsonb(a) ->> 'set_option')::boolean, true)), false)
))
from pg_auth_members a join pg_roles m on m.oid = a.member join pg_roles g on g.oid = a.roleid
where {_ROLE_OF_USERS.format("m")} group by m.rolname, g.rolname, m.rolinherit
"""

ROLE_SETTINGS = f"""
select coalesce(quote_ident(r.rolname), 'everybody') || case d.setdatabase when 0 then '' else ' in this database' end,
    jsonb_strip_nulls(jsonb_build_object(
        'role', quote_ident(r.rolname), 'here', nullif(d.setdatabase <> 0, false),
        'settings', (select jsonb_agg(c order by c) from unnest(d.setconfig) c)
    ))
from pg_db_role_setting d left join pg_roles r on r.oid = d.setrole
where d.setdatabase in (0, (select oid from pg_database where datname = current_database()))
    and (d.setrole = 0 or {_ROLE_OF_USERS.format("r")})
"""

_IN_SIGHT = """(select relnamespace from pg_class where oid = (case d.classoid
    when 'pg_trigger'::regclass then (select tgrelid from pg_trigger where oid = d.objoid)
    when 'pg_policy'::regclass then (select polrelid from pg_policy where oid = d.objoid)
    when 'pg_rewrite'::regclass then (select ev_class from pg_rewrite where oid = d.objoid)
    when 'pg_constraint'::regclass then (select nullif(conrelid, 0) from pg_constraint where oid = d.objoid)
    when 'pg_class'::regclass then d.objoid
end))"""
COMMENTS = f"""
select i.type || ' ' || i.identity, jsonb_build_object('type', i.type, 'identity', i.identity, 'text', d.description)
from pg_description d
cross join lateral pg_identify_object(d.classoid, d.objoid, d.objsubid) i
where d.objoid >= 16384
    and not exists (select from brought where classid = d.classoid and objid = d.objoid)
    and coalesce({_IN_SIGHT} in (select oid from space), i.schema in (select name from space), i.schema is null)
"""
