"""From what a schema is to what it was: which steps there are to be taken, in an order that is likely to work.

Each step is about one object and knows one or more ways. What goes or comes with another object has no step: the
columns and policies of a table that goes are its own affair. Whether a step can be taken now is found out by trying
(`reverse.py`), so the order here decides nothing but how often is tried.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bluegreen.postgres.catalog.alters import ANEW, alter, anew
from bluegreen.postgres.catalog.compare import called, compare, kind_of
from bluegreen.postgres.catalog.drops import drop
from bluegreen.postgres.catalog.identity import rename, renamed
from bluegreen.postgres.catalog.makes import make
from bluegreen.postgres.catalog.spec import Snapshot

RELATIONS = ("table", "foreign table", "view", "materialized view")
# What hangs on others goes before them, and comes back after them.
ORDER = (
    "settings",
    "membership",
    "default privileges",
    "user mapping",
    "published table",
    "published schema",
    "publication",
    "subscription",
    "event trigger",
    "policy",
    "trigger",
    "rule",
    "statistics",
    "index",
    "constraint",
    "materialized view",
    "view",
    "column",
    "foreign table",
    "table",
    "sequence",
    "aggregate",
    "procedure",
    "function",
    "operator class",
    "operator",
    "cast",
    "text search configuration",
    "text search dictionary",
    "domain",
    "composite type",
    "range type",
    "enum",
    "base type",
    "collation",
    "server",
    "foreign data wrapper",
    "language",
    "extension",
    "schema",
    "role",
    "database",
    "comment",
)
RANK = {kind: rank for rank, kind in enumerate(ORDER)}


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done to one object: the first of its ways that goes through. `removes` it, or makes and changes."""

    object: str
    ways: tuple[tuple[str, ...], ...]
    removes: bool = False


def renames(here: Snapshot, there: Snapshot) -> tuple[Step, ...]:
    """What gets its name back; and what has taken such a name meanwhile, and goes."""
    found = renamed(here, there)
    taken = [name for name in found.values() if name in here.objects and here.numbers[name] not in _known(there)]
    going = [step for name in taken for step in removal(name, here)]
    ways = [(now, rename(now, then, here)) for now, then in found.items()]
    ways.sort(key=lambda each: RANK[kind_of(each[0])])  # a column before its table, a table before its schema
    # Whoever goes by way of a spare name makes room first.
    first = [Step(now, (way[0],)) for now, way in ways if len(way) == 2]
    return (*going, *first, *(Step(now, (way[-1],)) for now, way in ways if way))


def _known(there: Snapshot) -> set[str]:
    return set(there.numbers.values())


def steps(here: Snapshot, there: Snapshot) -> tuple[Step, ...]:
    """Everything that still differs, as far as a way is known."""
    difference = compare(there, here)
    going = [step for name in difference.added if not _goes_with(name, here, there) for step in removal(name, here)]
    coming = [step for name in difference.gone if not _comes_with(name, here, there) for step in _restored(name, there)]
    turning = [step for name in difference.changed for step in _turned(name, difference.attributes[name], here, there)]
    going.sort(key=lambda step: RANK[kind_of(step.object)])
    coming.sort(key=lambda step: -RANK[kind_of(step.object)])
    turning.sort(key=lambda step: -RANK[kind_of(step.object)])
    return tuple(dict.fromkeys((*going, *turning, *coming)))


def removal(name: str, here: Snapshot) -> Iterator[Step]:
    statements = drop(name, here.like(name))
    if statements:
        yield Step(name, (statements,), removes=True)


def _restored(name: str, there: Snapshot) -> Iterator[Step]:
    statements = make(name, there)
    if statements:
        yield Step(name, (statements,))


def _turned(name: str, attributes: tuple[str, ...], here: Snapshot, there: Snapshot) -> Iterator[Step]:
    rest: list[str] = []
    for attribute in attributes:
        ways = alter(name, attribute, here, there)
        if ways is None:
            rest.append(attribute)
        elif ways:
            yield Step(name, ways)
    if rest and kind_of(name) in ANEW:
        ways = anew(name, here, there)
        if ways:
            yield Step(name, ways)


def _goes_with(name: str, here: Snapshot, there: Snapshot) -> bool:
    """Whether it is gone as soon as something else is that has to go."""
    like = here.like(name)
    if kind_of(name) == "comment":
        return _comment_is_on(name, {each for each in here.objects if each not in there.objects}, here)
    on = like.get("on") or like.get("table") or str(like.get("ownedBy", "")).rpartition(".")[0]
    owner = _relation(on, here) if on else None
    return owner is not None and owner not in there.objects


def _comes_with(name: str, here: Snapshot, there: Snapshot) -> bool:
    """Whether it is made with something else that has to be made: a column with its table."""
    like = there.like(name)
    return kind_of(name) == "column" and _relation(like["on"], here) is None


def _comment_is_on(name: str, going: set[str], here: Snapshot) -> bool:
    like = here.like(name)
    on = str(like["identity"])
    places = {on, on.rpartition(".")[0], on.rpartition(" on ")[2]}
    return any(called(each) in places for each in going)


def _relation(on: str, schema: Snapshot) -> str | None:
    return next((f"{kind} {on}" for kind in RELATIONS if f"{kind} {on}" in schema.objects), None)
