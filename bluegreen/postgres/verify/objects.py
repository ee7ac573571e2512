"""Which objects are meant: names of a catalog difference, found again in the database that is asked.

A name is `public.teams`, or has a kind before it: `table public.teams`, `policy public.teams.seen_by_members`,
`index public.teams_slug_key`, `function public.my_teams(text[])`. A table stands for all that hangs on it; a policy, a
trigger, a constraint or an index for itself. What is not there, and what has no schema, is passed over.
"""

import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from bluegreen.postgres.session import Session, SqlError

WORD = r'(?:"(?:[^"]|"")+"|[\w$]+)'
NAMED = re.compile(rf"(?:^|\s)(?P<path>{WORD}(?:\.{WORD})+)(?P<arguments>\(.*\))?$", re.DOTALL)
PARTS = re.compile(WORD)
INSIDE = ("column", "constraint", "trigger", "policy", "rule")  # kinds that are named within a table
RELATIONS = """
select asked.name, c.oid::bigint, i.indrelid::bigint from unnest(%s::text[]) asked (name)
join pg_class c on c.oid = to_regclass(asked.name) left join pg_index i on i.indexrelid = c.oid
"""
FUNCTIONS = """
select f.oid::bigint, format('%%I.%%I', n.nspname, f.proname), array[
    '(' || pg_get_function_identity_arguments(f.oid) || ')', substring(f.oid::regprocedure::text from '\\(.*$')
] from pg_proc f join pg_namespace n on n.oid = f.pronamespace
where format('%%I.%%I', n.nspname, f.proname) = any (%s)
"""


@dataclass(frozen=True, slots=True)
class Objects:
    """What was named, by object id: relations as a whole, parts of others, indexes and functions."""

    whole: frozenset[int] = frozenset()
    parts: frozenset[tuple[str, int, str]] = frozenset()  # kind, relation, name
    indexes: frozenset[int] = frozenset()
    functions: frozenset[int] = frozenset()
    around: frozenset[int] = frozenset()  # every relation that is named, or that something named belongs to

    def mean(self, kind: str, relation: int, name: str) -> bool:
        """Whether this part of a relation was named, by itself or with all of it."""
        return relation in self.whole or (kind, relation, name) in self.parts


async def found(session: Session, names: Collection[str]) -> Objects:
    """The objects of these names that there are."""
    relations: dict[str, list[tuple[str, str]]] = {}
    functions: dict[str, str] = {}
    for name in names:
        kind, path, arguments = _read(name)
        if not path:
            continue
        if arguments is not None or kind in ("function", "procedure", "aggregate"):
            functions[f"{path}{arguments or ''}"] = path
            continue
        words = PARTS.findall(path)
        part = unquoted(words[2]) if kind in INSIDE and len(words) > 2 else ""
        relations.setdefault(".".join(words[:2]), []).append((kind if part else "", part))
    whole, parts, indexes, around = set[int](), set[tuple[str, int, str]](), set[int](), set[int]()
    for name, oid, table in await session.rows(RELATIONS, list(relations)):
        around.add(table or oid)
        for kind, part in relations[name]:
            if table:
                indexes.add(oid)
            elif part:
                parts.add((kind, oid, part))
            else:
                whole.add(oid)
    return Objects(
        frozenset(whole), frozenset(parts), frozenset(indexes), await _functions(session, functions), frozenset(around)
    )


async def _functions(session: Session, names: dict[str, str]) -> frozenset[int]:
    """By their arguments; one whose arguments are spelled in another way, by its name."""
    if not names:
        return frozenset()
    exact, alike = set[int](), dict[str, set[int]]()
    async with every_schema_spelled(session):
        rows = await session.rows(FUNCTIONS, list(names.values()))
    for oid, path, spelled in rows:
        alike.setdefault(path, set()).add(oid)
        if any(f"{path}{arguments}" in names for arguments in spelled):
            exact.add(oid)
            alike[path].discard(oid)
    loose = {path for name, path in names.items() if name == path}
    return frozenset(exact.union(*(alike.get(path, set()) for path in loose)))


@asynccontextmanager
async def every_schema_spelled(session: Session) -> AsyncIterator[None]:
    """Meanwhile Postgres names every object with its schema; within a transaction or without one."""
    before = (await session.rows("select current_setting('search_path'), set_config('search_path', '', false)"))[0][0]
    try:
        yield
    finally:
        with suppress(SqlError):  # in a transaction that has failed, its end puts it back
            await session.rows("select set_config('search_path', %s, false)", before)


def _read(name: str) -> tuple[str, str, str | None]:
    """Kind, dotted name, and arguments where it has some."""
    match = NAMED.search(name)
    if match is None:
        return "", "", None
    return name[: match.start()].strip(), match["path"], match["arguments"]


def unquoted(word: str) -> str:
    """A name as the catalog holds it."""
    return word[1:-1].replace('""', '"') if word.startswith('"') else word
