"""Diff: what differs between the inputs that are kept and the new ones, path by path, and what follows from it.

Old inputs are raw: an older version may have written them. Two bags that mean the same are the same, so a field at
its default equals a field that is absent; that is only asked when something differs, which keeps the common case (no
change at all) cheap. Nothing here does I/O.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import ValidationError

from bluegreen.handler import Handler
from bluegreen.provider.check import dump, parse
from bluegreen.provider.wire import UNKNOWN, Bag, Path

Kind = Literal["ADD", "UPDATE", "DELETE"]
Pattern = tuple[str, ...]  # "*" stands for one level
ABSENT = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One path at which old and new inputs differ."""

    path: Path
    kind: Kind
    replace: bool = False

    def __str__(self) -> str:
        """As the engine writes property paths: `lanes.backend.weights.green`, `paths[1]`, `headers["x-colour"]`."""
        return property_path(self.path)


def diff(handler: Handler[Any, Any], olds: Bag, news: Bag) -> list[Change]:
    """Every change that counts for this kind of resource."""
    raw = changes(olds, news)
    if not raw:
        return []
    quiet, replacing = _patterns(handler.quiet), _patterns(handler.replace_on)
    loud = [change for change in raw if not any(_within(change.path, pattern) for pattern in quiet)]
    loud = _without_defaults(handler, loud, olds, news)
    judged = [
        Change(change.path, change.kind, any(_touches(change.path, pattern) for pattern in replacing))
        for change in loud
    ]
    return _not_inside_secrets(judged, olds, news)


def changes(olds: Bag, news: Bag) -> list[Change]:
    """Where two bags differ, in the order of the new one; an unknown differs from everything."""
    return list(_compare(olds.values, news.values, ()))


def _compare(old: Any, new: Any, at: Path) -> Iterator[Change]:
    if old is ABSENT:
        yield Change(at, "ADD")
    elif new is ABSENT:
        yield Change(at, "DELETE")
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*new, *(key for key in old if key not in new)]:
            yield from _compare(old.get(key, ABSENT), new.get(key, ABSENT), (*at, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from _compare(_item(old, index), _item(new, index), (*at, index))
    elif old is UNKNOWN or new is UNKNOWN or old != new or isinstance(old, bool) != isinstance(new, bool):
        yield Change(at, "UPDATE")


def _item(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else ABSENT


def _without_defaults(handler: Handler[Any, Any], found: list[Change], olds: Bag, news: Bag) -> list[Change]:
    """Leave out what is only spelled out on one side and the default on the other."""
    if all(change.kind == "UPDATE" for change in found) or news.unknowns or olds.unknowns:
        return found
    try:
        old = dump(parse(handler.spec, olds.values)).values
        new = dump(parse(handler.spec, news.values)).values
    except ValidationError:  # an older version's inputs: nothing can be said about their defaults
        return found
    return [change for change in found if change.kind == "UPDATE" or not _same(_get(old, change), _get(new, change))]


def _get(values: Any, change: Change) -> Any:
    for part in change.path:
        if isinstance(values, Mapping):
            values = values.get(part, ABSENT)
        elif isinstance(values, list) and isinstance(part, int):
            values = _item(values, part)
        else:
            return ABSENT
    return values


def _same(old: Any, new: Any) -> bool:
    if old is ABSENT or new is ABSENT:
        return old is new
    return not any(_compare(old, new, ()))


def _not_inside_secrets(found: list[Change], olds: Bag, news: Bag) -> list[Change]:
    """A secret map shows as one change: which keys it holds is nobody's business."""
    secrets = olds.secrets | news.secrets
    if not secrets:
        return found
    shown: dict[Path, Change] = {}
    for change in found:
        lengths = range(1, len(change.path))
        path = next((change.path[:length] for length in lengths if change.path[:length] in secrets), change.path)
        before = shown.get(path)
        kind: Kind = change.kind if path == change.path else "UPDATE"
        shown[path] = Change(path, kind, change.replace or (before is not None and before.replace))
    return list(shown.values())


@cache
def _patterns(dotted: frozenset[str]) -> tuple[Pattern, ...]:
    return tuple(tuple(text.split(".")) for text in sorted(dotted))


def _within(path: Path, pattern: Pattern) -> bool:
    """Whether a path is what the pattern names, or below it."""
    return len(path) >= len(pattern) and all(
        step in ("*", str(part)) for step, part in zip(pattern, path, strict=False)
    )


def _touches(path: Path, pattern: Pattern) -> bool:
    """Like `_within`, and above it too where the pattern names one single place.

    A whole `place` that comes or goes takes `place.projectId` with it. A new lane is no change of `lanes.*.upstream`:
    members of a collection come and go.
    """
    return _within(path, pattern) or ("*" not in pattern and tuple(map(str, path)) == pattern[: len(path)])


def property_path(path: Path) -> str:
    """A path as the engine writes and parses it."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isascii() and part.replace("_", "a").isalnum():
            text += f".{part}" if text else part
        else:
            text += '["' + part.replace('"', '\\"') + '"]'
    return text
