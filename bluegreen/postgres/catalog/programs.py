"""One query for each kind of what acts by itself or when asked: functions, triggers, event triggers, rules, policies.

A trigger on a table of the platform counts where its function is the user's; a policy counts wherever it is, because
the platform brings none. A trigger that a constraint or a partitioned table made is that one's, and not told again.
"""

from bluegreen.postgres.catalog.words import kept, own, owner, privileges

_ROUTINE = {
    "owner": owner("p.proowner"),
    "privileges": privileges("p.proacl", "f", "p.proowner"),
}
_NAMED = "s.name || '.' || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')'"
_FROM = f"from pg_proc p join space s on s.oid = p.pronamespace where {own('pg_proc', 'p.oid')}"
FUNCTIONS = f"""
select {_NAMED}, {kept(definition="pg_get_functiondef(p.oid)", **_ROUTINE)} {_FROM} and p.prokind in ('f', 'w')
"""
PROCEDURES = f"select {_NAMED}, {kept(definition='pg_get_functiondef(p.oid)', **_ROUTINE)} {_FROM} and p.prokind = 'p'"

_LIKE_AGGREGATES = kept(
    sfunc="g.aggtransfn::regproc::text",
    stype="format_type(g.aggtranstype, null)",
    sspace="nullif(g.aggtransspace, 0)",
    initcond="g.agginitval",
    finalfunc="case when g.aggfinalfn <> 0 then g.aggfinalfn::regproc::text end",
    combinefunc="case when g.aggcombinefn <> 0 then g.aggcombinefn::regproc::text end",
    serialfunc="case when g.aggserialfn <> 0 then g.aggserialfn::regproc::text end",
    deserialfunc="case when g.aggdeserialfn <> 0 then g.aggdeserialfn::regproc::text end",
    kind="nullif(g.aggkind, 'n')",
    finalExtra="nullif(g.aggfinalextra, false)",
    finalModify="nullif(g.aggfinalmodify, 'r')",
    movingFunctions="""case when g.aggmtransfn <> 0 then
            concat_ws(' ', g.aggmtransfn::regproc, g.aggminvtransfn::regproc, g.aggmfinalfn::regproc,
                format_type(g.aggmtranstype, null), g.aggminitval)
        end""",
    sortOperator="case when g.aggsortop <> 0 then g.aggsortop::regoperator::text end",
    parallel="nullif(p.proparallel, 'u')",
    **_ROUTINE,
)
AGGREGATES = f"""
select {_NAMED}, {_LIKE_AGGREGATES}
from pg_aggregate g join pg_proc p on p.oid = g.aggfnoid join space s on s.oid = p.pronamespace
where {own("pg_proc", "p.oid")}
"""

_LIKE_TRIGGERS = kept(
    on="c.id",
    name="quote_ident(g.tgname)",
    definition="pg_get_triggerdef(g.oid)",
    enabled="nullif(g.tgenabled, 'O')",
)
TRIGGERS = f"""
select c.id || '.' || quote_ident(g.tgname), {_LIKE_TRIGGERS}
from pg_trigger g
join (
    select k.oid, quote_ident(n.nspname) || '.' || quote_ident(k.relname) as id, k.relnamespace
    from pg_class k join pg_namespace n on n.oid = k.relnamespace
    where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'bluegreen', 'supabase_migrations')
) c on c.oid = g.tgrelid
join pg_proc p on p.oid = g.tgfoid
where not g.tgisinternal and g.tgparentid = 0 and {own("pg_trigger", "g.oid")}
    and (
        c.relnamespace in (select oid from space)
        or p.pronamespace in (select oid from space) and {own("pg_proc", "p.oid")}
    )
"""

_LIKE_EVENT_TRIGGERS = kept(
    event="e.evtevent",
    tags="(select jsonb_agg(t order by t) from unnest(e.evttags) t)",
    function="s.name || '.' || quote_ident(p.proname)",
    enabled="nullif(e.evtenabled, 'O')",
    owner=owner("e.evtowner"),
)
EVENT_TRIGGERS = f"""
select quote_ident(e.evtname), {_LIKE_EVENT_TRIGGERS}
from pg_event_trigger e join pg_proc p on p.oid = e.evtfoid join space s on s.oid = p.pronamespace
where {own("pg_event_trigger", "e.oid")}
"""

_LIKE_RULES = kept(
    on="r.id",
    name="quote_ident(w.rulename)",
    definition="pg_get_ruledef(w.oid)",
    enabled="nullif(w.ev_enabled, 'O')",
)
RULES = f"""
select r.id || '.' || quote_ident(w.rulename), {_LIKE_RULES}
from pg_rewrite w join rel r on r.oid = w.ev_class where w.rulename <> '_RETURN'
"""

POLICIES = """
select p.id || '.' || quote_ident(p.polname), jsonb_strip_nulls(jsonb_build_object(
    'on', p.id,
    'name', quote_ident(p.polname),
    'restrictive', nullif(not p.polpermissive, false),
    'for', case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
        else 'all' end,
    'to', (
        select jsonb_agg(case r when 0 then 'public' else quote_ident(pg_get_userbyid(r)) end
            order by pg_get_userbyid(r)) from unnest(p.polroles) r
    ),
    'using', pg_get_expr(p.polqual, p.polrelid),
    'check', pg_get_expr(p.polwithcheck, p.polrelid)
))
from (
    select y.*, quote_ident(n.nspname) || '.' || quote_ident(c.relname) as id
    from pg_policy y join pg_class c on c.oid = y.polrelid join pg_namespace n on n.oid = c.relnamespace
    where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'bluegreen', 'supabase_migrations')
        and not exists (select from brought where classid = 'pg_class'::regclass and objid = c.oid)
) p
"""
