"""One query for each kind of type, and of what belongs to types: casts, collations, operators, text search.

An enum's values are told in their order, a composite type's fields too: there the place matters.
"""

from bluegreen.postgres.catalog.words import flag, kept, own, owner, privileges

_OWNED = {"owner": owner("t.typowner"), "privileges": privileges("t.typacl", "T", "t.typowner")}
_NAMED = "s.name || '.' || quote_ident(t.typname)"
_FROM = f"from pg_type t join space s on s.oid = t.typnamespace where {own('pg_type', 't.oid')}"

_LIKE_ENUMS = kept(
    values="(select jsonb_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid)",
    **_OWNED,
)
ENUMS = f"""
select {_NAMED}, {_LIKE_ENUMS}
{_FROM} and t.typtype = 'e'
"""

_LIKE_DOMAINS = kept(
    type="format_type(t.typbasetype, t.typtypmod)",
    collation="""case when t.typcollation not in (0, (select b.typcollation from pg_type b where b.oid = t.typbasetype))
        then t.typcollation::regcollation::text end""",
    default="coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault)",
    notNull=flag("t.typnotnull"),
    constraints="""(
        select jsonb_object_agg(quote_ident(c.conname), pg_get_constraintdef(c.oid)) from pg_constraint c
        where c.contypid = t.oid and c.contype = 'c'
    )""",
    **_OWNED,
)
DOMAINS = f"""
select {_NAMED}, {_LIKE_DOMAINS}
{_FROM} and t.typtype = 'd'
"""

_LIKE_COMPOSITES = kept(
    fields="""(
            select jsonb_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) ||
                case when a.attcollation not in (0, y.typcollation) then ' collate ' || a.attcollation::regcollation
                else '' end order by a.attnum)
            from pg_attribute a join pg_type y on y.oid = a.atttypid
            where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
        )""",
    **_OWNED,
)
COMPOSITES = f"""
select {_NAMED}, {_LIKE_COMPOSITES}
{_FROM} and t.typtype = 'c' and exists (select from pg_class c where c.oid = t.typrelid and c.relkind = 'c')
"""

_LIKE_RANGES = kept(
    subtype="format_type(g.rngsubtype, null)",
    collation="case when g.rngcollation <> 0 then g.rngcollation::regcollation::text end",
    subtype_opclass="(select quote_ident(n.nspname) || '.' || quote_ident(o.opcname) from pg_opclass o "
    "join pg_namespace n on n.oid = o.opcnamespace where o.oid = g.rngsubopc)",
    canonical="case when g.rngcanonical <> 0 then g.rngcanonical::regproc::text end",
    subtype_diff="case when g.rngsubdiff <> 0 then g.rngsubdiff::regproc::text end",
    multirange_type_name="format_type(g.rngmultitypid, null)",
    **_OWNED,
)
RANGES = f"""
select {_NAMED}, (
    select {_LIKE_RANGES}
from pg_range g where g.rngtypid = t.oid) {_FROM} and t.typtype = 'r'
"""

_LIKE_BASE_TYPES = kept(
    input="t.typinput::regproc::text",
    output="t.typoutput::regproc::text",
    length="t.typlen",
    alignment="t.typalign",
    storage="t.typstorage",
    **_OWNED,
)
BASE_TYPES = f"""
select {_NAMED}, {_LIKE_BASE_TYPES}
{_FROM} and t.typtype in ('b', 'p') and not exists (select from pg_type a where a.typarray = t.oid)
"""

_LIKE_CASTS = kept(
    function="case when c.castfunc <> 0 then c.castfunc::regprocedure::text end",
    method="c.castmethod",
    context="c.castcontext",
)
CASTS = f"""
select '(' || format_type(c.castsource, null) || ' as ' || format_type(c.casttarget, null) || ')', {_LIKE_CASTS}
from pg_cast c where c.oid >= 16384 and {own("pg_cast", "c.oid")}
"""

# The locale's column was renamed in Postgres 17, so it is looked up by whichever name is there.
_LIKE_COLLATIONS = kept(
    provider="case c.collprovider when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end",
    locale="coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale')",
    lc_collate="c.collcollate",
    lc_ctype="c.collctype",
    rules="to_jsonb(c) ->> 'collicurules'",
    nondeterministic=flag("not c.collisdeterministic"),
    owner=owner("c.collowner"),
)
COLLATIONS = f"""
select s.name || '.' || quote_ident(c.collname), {_LIKE_COLLATIONS}
from pg_collation c join space s on s.oid = c.collnamespace where {own("pg_collation", "c.oid")}
"""

_LIKE_OPERATORS = kept(
    function="o.oprcode::regproc::text",
    commutator="case when o.oprcom <> 0 then o.oprcom::regoperator::text end",
    negator="case when o.oprnegate <> 0 then o.oprnegate::regoperator::text end",
    restrict="case when o.oprrest <> 0 then o.oprrest::regproc::text end",
    join="case when o.oprjoin <> 0 then o.oprjoin::regproc::text end",
    hashes=flag("o.oprcanhash"),
    merges=flag("o.oprcanmerge"),
    owner=owner("o.oprowner"),
)
OPERATORS = f"""
select s.name || '.' || o.oprname || ' (' || coalesce(format_type(nullif(o.oprleft, 0), null), 'none') || ', ' ||
    format_type(o.oprright, null) || ')', {_LIKE_OPERATORS}
from pg_operator o join space s on s.oid = o.oprnamespace where {own("pg_operator", "o.oid")}
"""

_LIKE_OPERATOR_CLASSES = kept(
    type="format_type(o.opcintype, null)",
    default=flag("o.opcdefault"),
    operators="(select jsonb_agg(a.amopstrategy || ' ' || a.amopopr::regoperator order by a.amopstrategy, "
    "a.amopopr::regoperator::text) from pg_amop a where a.amopfamily = o.opcfamily)",
    functions="(select jsonb_agg(a.amprocnum || ' ' || a.amproc::regprocedure order by a.amprocnum, "
    "a.amproc::regprocedure::text) from pg_amproc a where a.amprocfamily = o.opcfamily)",
    owner=owner("o.opcowner"),
)
OPERATOR_CLASSES = f"""
select s.name || '.' || quote_ident(o.opcname) || ' using ' || quote_ident(m.amname), {_LIKE_OPERATOR_CLASSES}
from pg_opclass o join space s on s.oid = o.opcnamespace join pg_am m on m.oid = o.opcmethod
where {own("pg_opclass", "o.oid")}
"""

_LIKE_TEXT_SEARCH_CONFIGURATIONS = kept(
    parser="(select quote_ident(n.nspname) || '.' || quote_ident(p.prsname) from pg_ts_parser p "
    "join pg_namespace n on n.oid = p.prsnamespace where p.oid = c.cfgparser)",
    mappings="(select jsonb_agg(m.maptokentype || ' ' || m.mapdict::regdictionary order by m.maptokentype, "
    "m.mapseqno) from pg_ts_config_map m where m.mapcfg = c.oid)",
    owner=owner("c.cfgowner"),
)
TEXT_SEARCH_CONFIGURATIONS = f"""
select s.name || '.' || quote_ident(c.cfgname), {_LIKE_TEXT_SEARCH_CONFIGURATIONS}
from pg_ts_config c join space s on s.oid = c.cfgnamespace where {own("pg_ts_config", "c.oid")}
"""

_LIKE_TEXT_SEARCH_DICTIONARIES = kept(
    template="(select quote_ident(n.nspname) || '.' || quote_ident(t.tmplname) from pg_ts_template t "
    "join pg_namespace n on n.oid = t.tmplnamespace where t.oid = d.dicttemplate)",
    options="d.dictinitoption",
    owner=owner("d.dictowner"),
)
TEXT_SEARCH_DICTIONARIES = f"""
select s.name || '.' || quote_ident(d.dictname), {_LIKE_TEXT_SEARCH_DICTIONARIES}
from pg_ts_dict d join space s on s.oid = d.dictnamespace where {own("pg_ts_dict", "d.oid")}
"""
