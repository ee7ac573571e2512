"""Which tables a dump holds: what was asked for with everything below it, as far as the budget and the rights go.

Judged inside the snapshot that is dumped, by the catalog alone. A table that cannot be dumped never stops the others:
it is left out by name. Partitions are tables of their own here, because their parent holds no rows. Materialised views
and foreign tables are not looked at: their rows are somebody else's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bluegreen.postgres.backup.state import LeftOut, size_of
from bluegreen.postgres.session import Session

BIGGER = "raise migrations.backup.megabytes, or keep its rows by a dump of your own first"
TABLES = """
with recursive below (root, oid) as (
    select c.oid, c.oid from pg_catalog.pg_class c where c.relkind in ('r', 'p')
    union
    select below.root, i.inhrelid from below join pg_catalog.pg_inherits i on i.inhparent = below.oid
), named as (
    select
        c.oid, n.oid as space, n.nspname, c.relname,
        pg_catalog.format('%I.%I', n.nspname, c.relname) as name, n.nspname || '.' || c.relname as plain
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and c.relpersistence <> 't'
        and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'
        and not exists (
            select from pg_catalog.pg_depend d
            where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
        )
)
select
    named.name, named.plain, named.nspname, named.relname,
    array(
        select parent.name from below join named parent on parent.oid = below.root where below.oid = named.oid
    ),
    case when pg_catalog.has_schema_privilege(named.space, 'usage')
        and pg_catalog.has_table_privilege(named.oid, 'select') then pg_catalog.pg_total_relation_size(named.oid) end,
    pg_catalog.row_security_active(named.oid)
from named order by named.name
"""


@dataclass(frozen=True, slots=True)
class Table:
    """One table as the catalog has it, `under` itself and its parents; without a `size` the user may not read it."""

    name: str  # quoted where it needs to be
    plain: str
    schema: str
    relation: str
    under: frozenset[str]
    size: int | None
    hidden: bool

    @property
    def pattern(self) -> str:
        """As pg_dump's --table takes it literally."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in (self.schema, self.relation))


@dataclass(frozen=True, slots=True)
class Choice:
    """What a dump will hold and what not.

    `asked` are those of them that were asked for; `empty` are tables of which it has the shape alone, and `closed`
    those that the user may not even look at.
    """

    asked: tuple[Table, ...]
    dumped: tuple[Table, ...]
    empty: tuple[Table, ...]
    left_out: tuple[LeftOut, ...]
    closed: tuple[Table, ...]

    @property
    def whole(self) -> bool:
        """Whether no table's rows are missing."""
        return not self.empty and not self.closed


async def tables_of(session: Session) -> tuple[Table, ...]:
    """Every table that could have rows of ours."""
    return tuple(
        Table(name, plain, schema, relation, frozenset(under), size, hidden)
        for name, plain, schema, relation, under, size, hidden in await session.rows(TABLES)
    )


def choose(known: Sequence[Table], wanted: Sequence[str], budget: int) -> Choice:
    """The tables asked for, in that order, while the budget lasts; all there are if they fit together."""
    closed = tuple(table for table in known if table.size is None)
    asked = list(dict.fromkeys(_asked(known, wanted)))
    open_ = [table for table in known if table.size is not None and not table.hidden]
    fits = sum(table.size or 0 for table in open_) <= budget
    candidates = list(dict.fromkeys([*asked, *open_])) if fits else asked
    dumped, left, spent = list[Table](), list[LeftOut](), 0
    for table in candidates:
        refused = _refused(table, budget, spent)
        if refused is None:
            dumped.append(table)
            spent += table.size or 0
        else:
            left.append(refused)
    names = {table.name for table in known} | {table.plain for table in known}
    left += [_unknown(name) for name in dict.fromkeys(wanted) if name not in names]
    empty = tuple(table for table in known if table.size is not None and table not in dumped)
    return Choice(tuple(table for table in asked if table in dumped), tuple(dumped), empty, tuple(left), closed)


def _asked(known: Sequence[Table], wanted: Sequence[str]) -> Iterable[Table]:
    for name in wanted:
        roots = {table.name for table in known if name in (table.name, table.plain)}
        yield from (table for table in known if roots & table.under)


def _refused(table: Table, budget: int, spent: int) -> LeftOut | None:
    if table.size is None:
        grant = f"grant select on {table.name} (and usage on its schema) to the user in bluegreen:databaseUrl"
        return LeftOut(table=table.name, reason="the user may not read it: neither its shape nor its rows", next=grant)
    if table.hidden:
        name = "name its owner in bluegreen:databaseUrl, or a user with bypassrls"
        return LeftOut(table=table.name, bytes=table.size, reason="row level security hides rows of it", next=name)
    if spent + table.size > budget:
        rest = f"with it the dump is over its budget of {size_of(budget)}"
        return LeftOut(table=table.name, bytes=table.size, reason=rest, next=BIGGER)
    return None


def _unknown(name: str) -> LeftOut:
    return LeftOut(table=name, reason="there is no such table", next="nothing: it has no rows yet")


def parts(table: str) -> tuple[str, str]:
    """`public."Odd Name"` as its schema and its own name, without quotes."""
    names, quoted, part = list[str](), False, ""
    for letter in table:
        if letter == '"':
            quoted = not quoted
            part += letter
        elif letter == "." and not quoted:
            names.append(part)
            part = ""
        else:
            part += letter
    schema, name = (*names, part)[-2:]
    return _bare(schema), _bare(name)


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
