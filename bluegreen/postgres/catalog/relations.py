"""One query for each kind of relation and what hangs on it: tables, columns, constraints, indexes, views, sequences.

Each answers rows of (name, what it is like). Whatever is as usual is left out, so that a table with nothing special is
short and the majors of Postgres agree. Left out on purpose: a column's place among the others (a column that was
dropped and made again stands last, and is the same to whoever names it), constraint names of NOT NULL (only Postgres 18
has them), what partitions and children only inherit as constraints, triggers and rows, and a sequence's position.
"""

from bluegreen.postgres.catalog.words import flag, kept, own, owner, privileges

_OPTIONS = "case when {0} is not null then (select jsonb_agg(o order by o) from unnest({0}) o) end"
_SEQUENCE = """jsonb_build_object('type', format_type(s.seqtypid, null), 'start', s.seqstart,
    'increment', s.seqincrement, 'minvalue', s.seqmin, 'maxvalue', s.seqmax, 'cache', s.seqcache,
    'cycle', s.seqcycle)"""
_SPACE = """case when {0}.reltablespace <> 0 then
    (select quote_ident(spcname) from pg_tablespace where oid = {0}.reltablespace) end"""
_COLUMN_NAMES = """(select jsonb_agg(quote_ident(k.attname) order by k.attnum) from pg_attribute k
    where k.attrelid = {0} and k.attnum = any ({1}))"""

_TABLE = {
    "owner": owner("r.relowner"),
    "privileges": privileges("r.relacl", "r", "r.relowner"),
    "persistence": "nullif(r.relpersistence, 'p')",
    "accessMethod": "case when r.relam <> 2 then (select amname from pg_am where oid = r.relam) end",
    "tablespace": _SPACE.format("r"),
    "of": "case when r.reloftype <> 0 then format_type(r.reloftype, null) end",
    "partitioned": "case when r.relkind = 'p' then pg_get_partkeydef(r.oid) end",
    "parents": """(select jsonb_agg(inhparent::regclass::text order by inhseqno) from pg_inherits
        where inhrelid = r.oid)""",
    "bound": "case when r.relispartition then pg_get_expr(r.relpartbound, r.oid) end",
    "rowSecurity": flag("r.relrowsecurity"),
    "forceRowSecurity": flag("r.relforcerowsecurity"),
    "replicaIdentity": "nullif(r.relreplident, 'd')",
    "options": _OPTIONS.format("r.reloptions"),
    "toastOptions": "(select " + _OPTIONS.format("t.reloptions") + " from pg_class t where t.oid = r.reltoastrelid)",
}
TABLES = f"select r.id, {kept(**_TABLE)} from rel r where r.relkind in ('r', 'p')"

_LIKE_FOREIGN_TABLES = kept(
    owner=_TABLE["owner"],
    privileges=_TABLE["privileges"],
    parents=_TABLE["parents"],
    bound=_TABLE["bound"],
    server="(select quote_ident(srvname) from pg_foreign_server where oid = f.ftserver)",
    foreignOptions=_OPTIONS.format("f.ftoptions"),
)
FOREIGN_TABLES = f"""
select r.id, {_LIKE_FOREIGN_TABLES}
from rel r join pg_foreign_table f on f.ftrelid = r.oid
"""

_LIKE_COLUMNS = kept(
    on="r.id",
    name="quote_ident(a.attname)",
    type="case when r.relkind not in ('v', 'm') then format_type(a.atttypid, a.atttypmod) end",
    collation="case when a.attcollation not in (0, t.typcollation) then a.attcollation::regcollation::text end",
    notNull=flag("a.attnotnull"),
    default="case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end",
    generated="case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid) end",
    virtual=flag("a.attgenerated = 'v'"),
    identity="""case a.attidentity when 'a' then 'always' when 'd' then 'by default' end""",
    sequence=f"""case when a.attidentity <> '' then (
            select {_SEQUENCE} from pg_depend i join pg_sequence s on s.seqrelid = i.objid
            where i.refclassid = 'pg_class'::regclass and i.refobjid = r.oid and i.refobjsubid = a.attnum
                and i.classid = 'pg_class'::regclass and i.deptype = 'i'
        ) end""",
    storage="""case when a.attstorage <> t.typstorage then
            case a.attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended' end
        end""",
    compression="case a.attcompression when 'p' then 'pglz' when 'l' then 'lz4' end",
    statistics="nullif(a.attstattarget, -1)",
    options=_OPTIONS.format("a.attoptions"),
    foreignOptions=_OPTIONS.format("a.attfdwoptions"),
    privileges=privileges("a.attacl", "c", None),
    inherited=flag("a.attinhcount > 0"),
)
COLUMNS = f"""
select r.id || '.' || quote_ident(a.attname), {_LIKE_COLUMNS}
from rel r
join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where r.relkind in ('r', 'p', 'f') or r.relkind in ('v', 'm') and (a.attacl is not null or d.oid is not null)
"""

_LIKE_CONSTRAINTS = kept(
    on="r.id",
    name="quote_ident(c.conname)",
    definition="pg_get_constraintdef(c.oid)",
    type="c.contype",
    columns=_COLUMN_NAMES.format("c.conrelid", "c.conkey"),
    references="case when c.confrelid <> 0 then c.confrelid::regclass::text end",
    notValid=flag("not c.convalidated"),
    inherited=flag("c.coninhcount > 0"),
    silenced="g.silenced",
)
CONSTRAINTS = f"""
select r.id || '.' || quote_ident(c.conname), {_LIKE_CONSTRAINTS}
from rel r
join pg_constraint c on c.conrelid = r.oid
left join (
    select tgconstraint, true as silenced from pg_trigger where tgisinternal and tgenabled <> 'O' group by tgconstraint
) g on g.tgconstraint = c.oid
where c.contype in ('c', 'f', 'p', 'u', 'x') and c.conparentid = 0
"""

_LIKE_INDEXES = kept(
    on="r.id",
    # What a constraint's index is like, the constraint says, all but how it is stored.
    definition="case when k.name is null then pg_get_indexdef(i.indexrelid) end",
    options=f"case when k.name is not null then {_OPTIONS.format('c.reloptions')} end",
    unique=flag("i.indisunique"),
    columns=f"case when i.indisunique and k.name is null then {_COLUMN_NAMES.format('i.indrelid', 'i.indkey')} end",
    constraint="k.name",
    partOf="case when c.relispartition then "
    "(select h.inhparent::regclass::text from pg_inherits h where h.inhrelid = i.indexrelid) end",
    invalid=flag("not i.indisvalid"),
    notReady=flag("not (i.indisready and i.indislive)"),
    clustered=flag("i.indisclustered"),
    replicaIdentity=flag("i.indisreplident"),
    tablespace=_SPACE.format("c"),
)
INDEXES = f"""
select s.name || '.' || quote_ident(c.relname), {_LIKE_INDEXES}
from rel r
join pg_index i on i.indrelid = r.oid
join pg_class c on c.oid = i.indexrelid
join space s on s.oid = c.relnamespace
left join (
    -- Joined, not looked up: no index of the catalog leads from an index to its constraint.
    select conindid, min(quote_ident(conname)) as name from pg_constraint
    where contype in ('p', 'u', 'x') group by conindid
) k on k.conindid = i.indexrelid
"""

_VIEW = {
    "definition": "pg_get_viewdef(r.oid)",
    "options": _OPTIONS.format("r.reloptions"),
    "owner": owner("r.relowner"),
    "privileges": privileges("r.relacl", "r", "r.relowner"),
}
VIEWS = f"select r.id, {kept(**_VIEW)} from rel r where r.relkind = 'v'"
MATERIALIZED_VIEWS = f"""
select r.id, {kept(**_VIEW, tablespace=_TABLE["tablespace"], empty=flag("not r.relispopulated"))}
from rel r where r.relkind = 'm'
"""

_LIKE_SEQUENCES = kept(
    owner=owner("r.relowner"),
    privileges=privileges("r.relacl", "s", "r.relowner"),
    persistence="nullif(r.relpersistence, 'p')",
    sequence=_SEQUENCE,
    ownedBy="""(
            select d.refobjid::regclass::text || '.' || quote_ident(a.attname)
            from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
            where d.classid = 'pg_class'::regclass and d.objid = r.oid and d.deptype = 'a'
                and d.refclassid = 'pg_class'::regclass
        )""",
)
SEQUENCES = f"""
select r.id, {_LIKE_SEQUENCES}
from rel r join pg_sequence s on s.seqrelid = r.oid
where not exists (
    select from pg_depend where classid = 'pg_class'::regclass and objid = r.oid and deptype = 'i'
)
"""

_LIKE_STATISTICS = kept(
    on="e.stxrelid::regclass::text",
    definition="pg_get_statisticsobjdef(e.oid)",
    target="nullif(e.stxstattarget, -1)",
    owner=owner("e.stxowner"),
)
STATISTICS = f"""
select s.name || '.' || quote_ident(e.stxname), {_LIKE_STATISTICS}
from pg_statistic_ext e join space s on s.oid = e.stxnamespace where {own("pg_statistic_ext", "e.oid")}
"""
