"""How many of each there are now, counted in the catalog and not in a file: only what is valid and in force."""

from collections.abc import Collection

from bluegreen.postgres.session import Session
from bluegreen.postgres.verify import objects
from bluegreen.spec import State

COUNTS = """
with whole as (select unnest(%s::bigint[]) oid),
    part as (select * from unnest(%s::text[], %s::bigint[], %s::text[]) part (kind, relation, name))
select
    (select count(*) from pg_class c where c.oid in (select oid from whole) and c.relkind in ('r', 'p')),
    (select count(*) from pg_index i where i.indisvalid
        and (i.indrelid in (select oid from whole) or i.indexrelid = any (%s::bigint[]))),
    (select count(*) from pg_policy p where p.polrelid in (select oid from whole)
        or ('policy', p.polrelid::bigint, p.polname::text) in (select * from part)),
    (select count(*) from pg_trigger g where not g.tgisinternal and g.tgenabled in ('O', 'A')
        and (g.tgrelid in (select oid from whole)
            or ('trigger', g.tgrelid::bigint, g.tgname::text) in (select * from part))),
    (select count(*) from pg_constraint k where k.contype = 'f' and k.convalidated
        and (k.conrelid in (select oid from whole)
            or ('constraint', k.conrelid::bigint, k.conname::text) in (select * from part)))
"""


class Counts(State):
    """How many there are."""

    tables: int = 0
    indexes: int = 0
    policies: int = 0
    functions: int = 0
    triggers: int = 0
    foreign_keys: int = 0

    def told(self) -> str:
        """`6 tables, 24 indexes, …`; nothing of what there is none of."""
        words = (
            ("table", "tables", self.tables),
            ("index", "indexes", self.indexes),
            ("policy", "policies", self.policies),
            ("function", "functions", self.functions),
            ("trigger", "triggers", self.triggers),
            ("foreign key", "foreign keys", self.foreign_keys),
        )
        return ", ".join(f"{count} {one if count == 1 else many}" for one, many, count in words if count) or "nothing"


async def counts(session: Session, names: Collection[str]) -> Counts:
    """How many of each kind are among the named objects; a table brings along what hangs on it."""
    named = await objects.found(session, names)
    kinds, relations, parts = ([part[at] for part in named.parts] for at in range(3))
    rows = await session.rows(COUNTS, list(named.whole), kinds, relations, parts, list(named.indexes))
    tables, indexes, policies, triggers, foreign_keys = rows[0]
    return Counts(
        tables=tables,
        indexes=indexes,
        policies=policies,
        functions=len(named.functions),
        triggers=triggers,
        foreign_keys=foreign_keys,
    )
