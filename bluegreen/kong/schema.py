"""What Kong itself says about its entities: types, defaults, sets; and comparing by it.

`GET /schemas/…` tells which lists are unordered, what a field is when nobody gave it and which values are secret, so
nothing of that is written down here and a newer Kong is followed. Comparing by the schema is what keeps an unchanged
stack free of differences: `[]`, `{}` and null are all "nothing", a set has no order, a record is compared leaf by leaf.

Trees here are in Kong's words (snake_case); a null in one means "not given".
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bluegreen.kong.api import Kong

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """One field: its type in Kong's words, its default, and what it is made of."""

    kind: str = "any"
    default: Any = None
    fields: Mapping[str, "Shape"] = field(default_factory=dict)  # of a record
    items: "Shape | None" = None  # of an array, a set or a map
    auto: bool = False  # written by Kong alone
    secret: bool = False
    moved: Mapping[str, str] = field(default_factory=dict)  # deprecated name: what is written instead

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> "Shape":
        """One field, or a whole entity, as `GET /schemas/…` tells it."""
        items = told.get("elements") or told.get("values")
        return cls(
            kind=told.get("type", "record" if "fields" in told else "any"),
            default=told.get("default"),
            fields={name: cls.parse(inner) for name, inner in _named(told.get("fields"))},
            items=cls.parse(items) if isinstance(items, Mapping) else None,
            auto=bool(told.get("auto")),
            secret=bool(told.get("encrypted")),
            moved={name: _instead(inner) for name, inner in _named(told.get("shorthand_fields"))},
        )

    def of(self, name: str) -> "Shape":
        """The shape of one field; a field that Kong does not know is compared as it is."""
        return self.fields.get(name, ANY)

    def joined(self, other: "Shape") -> "Shape":
        """This entity with what another says on top: a plugin is what every plugin is, and what its type adds."""
        return Shape(kind="record", fields={**self.fields, **other.fields})


ANY = Shape()


class Schemas:
    """Asks each schema once: they change with Kong's version, and a provider lives for one update."""

    def __init__(self, kong: Kong) -> None:
        self._kong = kong
        self._known: dict[str, Shape] = {}

    async def shape(self, kind: str) -> Shape:
        """Of an entity (`routes`) or a plugin (`plugins/cors`)."""
        if kind not in self._known:
            self._known[kind] = Shape.parse(await self._kong.schema(kind))
        return self._known[kind]


def same(shape: Shape, one: Any, other: Any) -> bool:
    """Whether Kong would treat the two values alike."""
    return bool(_canonical(shape, one) == _canonical(shape, other))


def difference(shape: Shape, wanted: Mapping[str, Any], before: Mapping[str, Any], actual: Mapping[str, Any]) -> Tree:
    """What a merging write has to carry: what is wanted otherwise, and the default of what is no longer wanted.

    A default is written out: null inside a record would be stored as null.
    """
    changed: Tree = {}
    for name in dict.fromkeys((*wanted, *before)):
        if name not in wanted and name not in shape.fields:
            continue
        inner, value = shape.of(name), wanted.get(name)
        if inner.kind == "record" and isinstance(value, Mapping | None):
            leaves = difference(inner, value or {}, _map(before.get(name)), _map(actual.get(name)))
            if leaves:
                changed[name] = leaves
            continue
        value = inner.default if value is None else value
        if not same(inner, value, actual.get(name)):
            changed[name] = value
    return changed


def seen(shape: Shape, declared: Mapping[str, Any], actual: Mapping[str, Any]) -> Tree:
    """The declared fields as they really are: the very same value where Kong holds the same."""
    found: Tree = {}
    for name, value in declared.items():
        inner, real = shape.of(name), actual.get(name)
        if inner.kind == "record" and isinstance(value, Mapping):
            found[name] = seen(inner, value, _map(real))
        elif same(inner, value, real):
            found[name] = value
        else:
            real = _plain(inner, real)
            if real is not None:
                found[name] = real
    return found


def departures(shape: Shape, actual: Mapping[str, Any]) -> Tree:
    """Everything that is not at its default, without what Kong writes by itself."""
    found: Tree = {}
    for name, inner in shape.fields.items():
        real = actual.get(name)
        if inner.auto:
            continue
        if inner.kind == "record":
            leaves = departures(inner, _map(real))
            if leaves:
                found[name] = leaves
        elif not same(inner, inner.default, real):
            real = _plain(inner, real)
            if real is not None:
                found[name] = real
    return found


def known(shape: Shape, actual: Mapping[str, Any]) -> Tree:
    """What of an answer is really there, leaf by leaf: no deprecated shorthand, nothing that Kong writes by itself."""
    return {
        name: known(inner, _map(actual.get(name))) if inner.kind == "record" else actual.get(name)
        for name, inner in shape.fields.items()
        if not inner.auto
    }


def secret_paths(shape: Shape) -> Iterator[tuple[str, ...]]:
    """Where the schema says that a value is kept encrypted."""
    for name, inner in shape.fields.items():
        if inner.secret:
            yield (name,)
        for path in secret_paths(inner):
            yield (name, *path)


def merged(base: Mapping[str, Any], top: Mapping[str, Any]) -> Tree:
    """One tree with another on top, maps merged."""
    result = dict(base)
    for name, value in top.items():
        under = result.get(name)
        result[name] = merged(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return result


def _canonical(shape: Shape, value: Any) -> Any:
    if shape.kind == "record" and isinstance(value, Mapping | None):
        given = _map(value)
        leaves = {name: _canonical(inner, given.get(name, inner.default)) for name, inner in shape.fields.items()}
        leaves |= {name: _canonical(ANY, given[name]) for name in given if name not in shape.fields}
        return {name: leaf for name, leaf in leaves.items() if leaf is not None}
    items = shape.items or ANY
    if isinstance(value, Mapping):
        return {name: _canonical(items, item) for name, item in value.items() if item is not None} or None
    if isinstance(value, list | tuple):
        row = [_canonical(items, item) for item in value]
        if shape.kind == "set":
            row = [json.loads(text) for text in sorted({json.dumps(item, sort_keys=True) for item in row})]
        return row or None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _plain(shape: Shape, value: Any) -> Any:
    # An empty list may be printed as {}.
    return [] if shape.kind in ("array", "set") and value == {} else value


def _named(rows: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for row in rows or ():
        yield from row.items()


def _instead(told: Mapping[str, Any]) -> str:
    paths = (told.get("deprecation") or {}).get("replaced_with") or ()
    return " and ".join(".".join(row.get("path", ())) for row in paths)
