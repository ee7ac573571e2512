"""The one database behind all nodes of the Kong stand-in: rows, unique keys, references, tags, pages.

Every write is complete when the call returns and is told to the listeners afterwards, as Kong's DAO tells its cluster;
nothing here knows about workers or when a change comes into force. A row's id is never given out twice, so a deleted
id answers nothing for ever. Ids and time come from outside, so a recorded conversation can be replayed exactly.

Deliberately not here: persistence (kong_journal.py) and concurrency control (Kong has none either: the last write
wins).
"""

import base64
import json
import math
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sandbox.kong_entities import KINDS, TARGETS, Kind
from sandbox.kong_errors import (
    Row,
    invalid_offset,
    invalid_size,
    invalid_tags_option,
    missing_reference,
    still_referenced,
    unique_violation,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write, with the row as it was stored (or, after a delete, as it had been)."""

    kind: Kind
    operation: str  # create, update, delete
    row: Row
    node: int  # the node that took the write


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of a collection and where the next one begins."""

    rows: list[Row]
    offset: str | None


Ids = dict[tuple[str, ...], dict[str, None]]


def spelled(row: Mapping[str, object], fields: tuple[str, ...]) -> tuple[str, ...]:
    """These values of a row as a key: a reference is a dictionary, and a body may hold anything."""
    return tuple(repr(row[field]) for field in fields)


def new_id() -> str:
    return str(uuid.uuid4())


class Store:
    """Rows that keep Kong's promises: unique keys, no dangling reference, cascades."""

    def __init__(self, ids: Callable[[], str] = new_id, clock: Callable[[], float] = time.time) -> None:
        self.ids = ids
        self.clock = clock
        self._rows: dict[str, dict[str, Row]] = {name: {} for name in KINDS}
        self._ids: dict[str, dict[tuple[str, ...], Ids]] = {name: {} for name in KINDS}  # by the values of some fields
        self._listeners: list[Callable[[Change], None]] = []

    def listen(self, listener: Callable[[Change], None]) -> None:
        self._listeners.append(listener)

    def restore(self, rows: Mapping[str, Iterable[Row]]) -> None:
        """Hold these rows, by kind, instead of any others; nobody is told."""
        self._rows = {name: {row["id"]: row for row in rows.get(name, ())} for name in KINDS}
        self._ids = {name: {} for name in KINDS}

    # --- reading ---

    def get(self, kind: Kind, id: str) -> Row | None:
        row = self._rows[kind.name].get(id)
        return None if row is None or self._expired(row) else row

    def all(self, kind: Kind, where: Mapping[str, Row] | None = None) -> list[Row]:
        """Every row, by id; `where` narrows to the children of given parents."""
        rows = (row for row in self._rows[kind.name].values() if not self._expired(row))
        wanted = {field: {"id": parent["id"]} for field, parent in (where or {}).items()}
        return sorted(
            (row for row in rows if all(row[field] == parent for field, parent in wanted.items())),
            key=lambda row: str(row["id"]),
        )

    def find(self, kind: Kind, values: Mapping[str, object]) -> Row | None:
        """The row with these values, if there is one."""
        fields = tuple(sorted(values))
        for id in self._by(kind, fields).get(spelled(values, fields), ()):
            row = self._rows[kind.name][id]
            if not self._expired(row):
                return row
        return None

    def _by(self, kind: Kind, fields: tuple[str, ...]) -> Ids:
        """The ids of all rows by the values of these fields; kept from the first question on."""
        indexes = self._ids[kind.name]
        if fields not in indexes:
            indexes[fields] = {}
            for row in self._rows[kind.name].values():
                indexes[fields].setdefault(spelled(row, fields), {})[row["id"]] = None
        return indexes[fields]

    def shown(self, row: Row) -> Row:
        """A row as answers show it: a credential's time to live counts down."""
        if row.get("ttl") is None:
            return row
        return row | {"ttl": max(0, math.ceil(row["ttl"] - self.clock()) - 1)}

    def stamp(self, kind: Kind) -> float:
        now = self.clock()
        return round(now, 3) if kind is TARGETS else int(now)

    def _expired(self, row: Row) -> bool:
        expires = row.get("ttl")
        return expires is not None and expires <= self.clock()

    # --- writing ---

    def put(self, kind: Kind, row: Row, node: int) -> Row:
        """Store this row, new or instead of the one with its id."""
        for fields in kind.unique:
            self._refuse_duplicate(kind, row, fields)
        for field, parent in kind.parents.items():
            if row[field] is not None and self.get(KINDS[parent], row[field]["id"]) is None:
                raise missing_reference(field, {"id": row[field]["id"]}, parent)
        rows = self._rows[kind.name]
        operation = "update" if row["id"] in rows else "create"
        self._forget(kind, row["id"])
        rows[row["id"]] = row
        for fields, ids in self._ids[kind.name].items():
            ids.setdefault(spelled(row, fields), {})[row["id"]] = None
        self._tell(Change(kind, operation, row, node))
        return row

    def delete(self, kind: Kind, row: Row, node: int) -> None:
        """Remove this row and what hangs on it."""
        children = [
            (child, field) for child in KINDS.values() for field in child.parents if child.parents[field] == kind.name
        ]
        for child, field in children:
            if not child.cascades and self.all(child, {field: row}):
                raise still_referenced(kind.name, child.name)
        for child, field in children:
            for dependant in self.all(child, {field: row}):
                self.delete(child, dependant, node)
        self._forget(kind, row["id"])
        self._tell(Change(kind, "delete", row, node))

    def _forget(self, kind: Kind, id: str) -> None:
        row = self._rows[kind.name].pop(id, None)
        for fields, ids in self._ids[kind.name].items() if row else ():
            values = spelled(row or {}, fields)
            ids[values].pop(id, None)
            if not ids[values]:
                del ids[values]

    def _refuse_duplicate(self, kind: Kind, row: Row, fields: tuple[str, ...]) -> None:
        key = {field: row[field] for field in fields}
        if len(fields) == 1 and key[fields[0]] is None:
            return
        other = self.find(kind, key)
        if other is not None and other["id"] != row["id"]:
            raise unique_violation(key)

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)


# --- pages and tags ---------------------------------------------------------------------------------------------------


def page_size(query: Mapping[str, str]) -> int:
    given = query.get("size", "100")
    if not given.isdigit() or not 1 <= int(given) <= 1000:
        raise invalid_size()
    return int(given)


def by_id(rows: Iterable[Row], query: Mapping[str, str], field: str = "id") -> Page:
    """The rows after the offset, which names the last id of the page before."""
    size, after = page_size(query), decoded(query["offset"]) if "offset" in query else ""
    rest = [row for row in rows if row[field] > after]
    last = rest[size - 1][field] if len(rest) > size else None
    return Page(rest[:size], encoded(last) if last else None)


def by_position(rows: list[Row], query: Mapping[str, str]) -> Page:
    """The rows after the offset, which is a plain number: how Kong pages targets."""
    size, offset = page_size(query), query.get("offset", "0")
    if not offset.isdigit():
        raise invalid_offset(offset, "bad number")
    end = int(offset) + size
    return Page(rows[int(offset) : end], str(end) if end < len(rows) else None)


def encoded(id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([id]).encode()).decode().rstrip("=")


def decoded(offset: str) -> str:
    try:
        raw = base64.urlsafe_b64decode(offset + "=" * (-len(offset) % 4))
    except ValueError:
        raise invalid_offset(offset, "bad base64 encoding") from None
    try:
        return str(json.loads(raw)[0])
    except (ValueError, LookupError, TypeError):
        raise invalid_offset(offset, "bad json encoding") from None


def tagged(rows: Iterable[Row], expression: str) -> list[Row]:
    """The rows with all of `a,b` or any of `a/b`."""
    if "," in expression and "/" in expression:
        raise invalid_tags_option()
    if "/" in expression:
        wanted = set(expression.split("/"))
        return [row for row in rows if wanted & set(row["tags"] or [])]
    wanted = set(expression.split(","))
    return [row for row in rows if wanted <= set(row["tags"] or [])]


def tag_rows(store: Store, tag: str | None) -> list[Row]:
    """Everything that carries this tag (or any), in the shape of `/tags`."""
    found = [
        {"tag": one, "entity_name": kind.name, "entity_id": row["id"]}
        for kind in KINDS.values()
        for row in store.all(kind)
        for one in row["tags"] or []
        if tag in (None, one)
    ]
    return sorted(found, key=lambda entry: (str(entry["entity_id"]), str(entry["tag"])))
