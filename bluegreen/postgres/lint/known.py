"""What a database has already, as far as the lint asks: which relations a statement meets, how large, how indexed.

Without it (no database at hand) everything counts as existing that the file does not make itself. Names are
`schema.name` without quotes. Rows are the planner's estimate; a table that was never analysed has none.
"""

from collections.abc import Mapping

from bluegreen.postgres.session import Session
from bluegreen.postgres.verify.exposed import exposed
from bluegreen.spec import State

RELATIONS = """
    select n.nspname || '.' || c.relname, c.relkind::text, c.reltuples::bigint
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and c.relkind <> 't'
"""
INDEXES = """
    select n.nspname || '.' || c.relname,
        array(select a.attname::text from unnest(i.indkey[0:i.indnkeyatts - 1]) with ordinality k(attnum, at)
            join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum order by k.at)
    from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where i.indisvalid and i.indpred is null and i.indexprs is null
    and n.nspname not in ('pg_catalog', 'pg_toast')
"""
FUNCTIONS = """
    select distinct n.nspname || '.' || p.proname from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace where n.nspname not in ('pg_catalog', 'information_schema')
"""
TYPES = """
    select n.nspname || '.' || t.typname from pg_catalog.pg_type t
    join pg_catalog.pg_namespace n on n.oid = t.typnamespace
    where t.typtype in ('c', 'd', 'e', 'm', 'r') and n.nspname not in ('pg_catalog', 'information_schema')
"""
STORAGE = "storage"  # served by an API of its own
SCHEMAS = "select nspname::text from pg_catalog.pg_namespace"
ROLES = "select rolname::text from pg_catalog.pg_roles"


class Known(State):
    """What exists before the file runs; `exposed` are the schemas that an API serves."""

    relations: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    schemas: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    rows: Mapping[str, int] = {}
    indexes: Mapping[str, tuple[tuple[str, ...], ...]] = {}  # the columns of each whole, valid index of a table
    exposed: tuple[str, ...] = ("public", "storage")

    def has(self, kind: str, name: str) -> bool:
        """Whether there is one of that kind and name."""
        there = {
            "relation": self.relations,
            "function": self.functions,
            "type": self.types,
            "schema": self.schemas,
            "role": self.roles,
        }
        return name in there.get(kind, frozenset())


async def look(session: Session) -> Known:
    """What this database has; reads the catalog alone."""
    relations = await session.rows(RELATIONS)
    indexes: dict[str, list[tuple[str, ...]]] = {}
    for table, columns in await session.rows(INDEXES):
        indexes.setdefault(table, []).append(tuple(columns))
    return Known(
        relations=frozenset(name for name, _, _ in relations),
        functions=frozenset(name for (name,) in await session.rows(FUNCTIONS)),
        types=frozenset(name for (name,) in await session.rows(TYPES)),
        schemas=frozenset(name for (name,) in await session.rows(SCHEMAS)),
        roles=frozenset(name for (name,) in await session.rows(ROLES)),
        exposed=(*await exposed(session), STORAGE),
        rows={name: rows for name, kind, rows in relations if kind in ("r", "p") and rows >= 0},
        indexes={table: tuple(each) for table, each in indexes.items()},
    )
