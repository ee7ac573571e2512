"""Which objects are the same ones under another name, and which are others under the same name.

A name is what people use; a number is what Postgres knows an object by. It stays when the object is renamed or moved to
another schema, also in a copy made from a template, and is another one after a drop. Only kinds that hold rows, or that
others hold on to, have one here. Of two databases that have nothing in common the numbers say nothing, and are ignored.
"""

import re
from collections.abc import Mapping

from bluegreen.postgres.catalog.compare import called, kind_of
from bluegreen.postgres.catalog.spec import Snapshot

# Answers like the kinds do: the name of an object, and its number.
NUMBERS = """
select case r.relkind when 'v' then 'view ' when 'm' then 'materialized view ' when 'S' then 'sequence '
    when 'f' then 'foreign table ' else 'table ' end || r.id, r.oid::text
from rel r where r.relkind <> 'c'
union all
select 'column ' || r.id || '.' || quote_ident(a.attname), r.oid || '.' || a.attnum
from rel r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
where r.relkind in ('r', 'p', 'f')
union all
select case t.typtype when 'e' then 'enum ' when 'd' then 'domain ' else 'composite type ' end
    || s.name || '.' || quote_ident(t.typname), t.oid::text
from pg_type t join space s on s.oid = t.typnamespace
where t.typtype in ('e', 'd') or t.typtype = 'c' and (select relkind = 'c' from pg_class where oid = t.typrelid)
union all
select 'index ' || s.name || '.' || quote_ident(c.relname), c.oid::text
from pg_class c join space s on s.oid = c.relnamespace where c.relkind in ('i', 'I')
union all
select 'schema ' || s.name, s.oid::text from space s
"""
_PART = re.compile(r'"(?:[^"]|"")*"|[^."]+')
_WORDS = {"enum": "type", "composite type": "type"}
ROWS = ("table", "column")
SPARE = "bluegreen_aside"


def renamed(here: Snapshot, there: Snapshot) -> Mapping[str, str]:
    """By its name here, what an object is called there, where the two differ."""
    if not _akin(here, there):
        return {}
    then = {number: name for name, number in there.numbers.items()}
    return {
        name: then[number]
        for name, number in here.numbers.items()
        if number in then and then[number] != name and kind_of(then[number]) == kind_of(name)
    }


def replaced(here: Snapshot, there: Snapshot) -> tuple[str, ...]:
    """Tables and columns that are there under the same name, and are others: dropped and made anew."""
    if not _akin(here, there):
        return ()
    return tuple(
        name
        for name, number in here.numbers.items()
        if kind_of(name) in ROWS and there.numbers.get(name, number) != number
    )


def made_anew(before: Snapshot, after: Snapshot, end: Snapshot) -> tuple[str, ...]:
    """Tables and columns, by their names in `after`, that were kept from `before` on and are others in the end."""
    kept = set(before.numbers.values()) - set(end.numbers.values())
    return tuple(
        name
        for name, number in after.numbers.items()
        if number in kept and kind_of(name) in ROWS and "generated" not in after.like(name)
    )


def rename(now: str, then: str, here: Snapshot) -> tuple[tuple[str, ...], ...]:
    """The steps that give an object its other name: one; two where another has it still; or none.

    What is in a table, and what belongs to a constraint, gets its name with that.
    """
    kind, has, wanted = kind_of(now), parts(called(now)), parts(called(then))
    if has[:-1] == wanted[:-1] and then in here.objects:
        spare = [*has[:-1], f"{SPARE}_{here.numbers[now].replace('.', '_')}"]
        return _called(kind, now, has, spare, here), _called(kind, now, spare, wanted, here)
    statements = _called(kind, now, has, wanted, here)
    return (statements,) if statements else ()


def _called(kind: str, now: str, has: list[str], wanted: list[str], here: Snapshot) -> tuple[str, ...]:
    like = here.like(now)
    same = has[-1] == wanted[-1]
    if kind == "schema":
        return (f"alter schema {has[0]} rename to {wanted[0]}",)
    if kind == "column":
        return () if same else (f"alter table {like['on']} rename column {has[-1]} to {wanted[-1]}",)
    if "constraint" in like:
        return () if same else (f"alter table {like['on']} rename constraint {has[-1]} to {wanted[-1]}",)
    word = _WORDS.get(kind, kind)
    moved = [f"alter {word} {'.'.join(has)} set schema {wanted[0]}"] if has[0] != wanted[0] and kind != "index" else []
    if not same:
        moved.append(f"alter {word} {wanted[0] if moved else has[0]}.{has[-1]} rename to {wanted[-1]}")
    return tuple(moved)


def parts(name: str) -> list[str]:
    """`public."a.b"` as its parts, quoted as they are."""
    return _PART.findall(name)


def _akin(here: Snapshot, there: Snapshot) -> bool:
    return any(there.numbers.get(name) == number for name, number in here.numbers.items())
