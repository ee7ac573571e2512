"""Columns that have another type now, and whether what is in them fits into the one they had.

Asked by going there and back within an expression: through text, because not every type can be compared, nor cast to
every other. Where the type of before is not there any more when one asks, nobody can ask.
"""

import re
from collections.abc import Collection, Iterator, Mapping

from bluegreen.postgres.catalog.compare import called, kind_of
from bluegreen.postgres.catalog.identity import renamed
from bluegreen.postgres.catalog.spec import Difference, Snapshot

TYPES = ("enum", "domain", "composite type", "range type", "base type")
_TAIL = re.compile(r"(\([^()]*\)|\[\])+$")  # what follows a type's name: numeric(10,2), text[]


def retyped(before: Snapshot, after: Snapshot, was: str, now: str) -> tuple[str, str] | None:
    """The type that a column had and the one that it has, where they are two and not one under another name."""
    then, here = before.like(was), after.like(now)
    if "type" not in then or "type" not in here or "generated" in here or then["type"] == here["type"]:
        return None
    same = _renamed_types(before, after).get(_TAIL.sub("", here["type"])) == _TAIL.sub("", then["type"])
    return None if same else (then["type"], here["type"])


def unfitting(before: Snapshot, after: Snapshot, difference: Difference) -> Mapping[str, Mapping[str, str]]:
    """For a table and a column of it, as they are called now: the condition under which a value would not come back."""
    found: dict[str, dict[str, str]] = {}
    for was, now in _columns(before, after, difference):
        types, like = retyped(before, after, was, now), after.like(now)
        if types and not like.get("inherited") and _is_there(types[0], before, after):
            name = like["name"]
            again = f"{name}::{types[0]}::text::{types[1]}::text"
            found.setdefault(like["on"], {})[name] = f"{again} is distinct from {name}::text"
    return found


def _columns(before: Snapshot, after: Snapshot, difference: Difference) -> Iterator[tuple[str, str]]:
    yield from ((name, name) for name in difference.changed if kind_of(name) == "column")
    yield from ((was, now) for now, was in renamed(after, before).items() if kind_of(now) == "column")


def _renamed_types(before: Snapshot, after: Snapshot) -> Mapping[str, str]:
    found = renamed(after, before).items()
    return {called(now): called(was) for now, was in found if kind_of(now) in TYPES}


def _is_there(name: str, before: Snapshot, after: Snapshot) -> bool:
    """Whether a type of before can be named on a schema as after; one that no snapshot lists is an extension's."""
    plain = _TAIL.sub("", name)
    if _among(plain, before.objects):
        return _among(plain, after.objects)
    return "." not in plain or not any(kind_of(each) == "extension" for each in before.objects.keys() - after.objects)


def _among(name: str, objects: Collection[str]) -> bool:
    return any(f"{kind} {name}" in objects for kind in TYPES)
