"""What POST, PUT, PATCH and DELETE mean to Kong: create, replace, merge, remove, each with its oddities.

PUT replaces everything but the id and starts `created_at` afresh; PATCH merges records deeply and null asks for the
default; a target knows no upsert. Deliberately not here: HTTP (kong_admin.py) and rows (kong_store.py).
"""

import secrets
import string
from typing import Any

from sandbox.kong_checks import WRONG_TARGET, full_target
from sandbox.kong_entities import (
    ACLS,
    KEYS,
    KINDS,
    PLUGINS,
    PRIORITIES,
    TARGETS,
    Kind,
    plugin_schema,
    prepared,
    schema_of,
    settled,
)
from sandbox.kong_errors import (
    Json,
    Row,
    no_such_entity,
    not_found,
    primary_key_violation,
    schema_violation,
    unresolved_references,
)
from sandbox.kong_schema import Rule, Schema, is_uuid, named
from sandbox.kong_store import Store

ALPHABET = string.ascii_letters + string.digits


def schema_for(kind: Kind, given: Row) -> Schema:
    """The schema that judges this entity; a plugin brings its own."""
    if kind is not PLUGINS or not isinstance(given.get("name"), str):
        return schema_of(kind.name)
    plugin = given["name"]
    if plugin not in PRIORITIES:
        why = f"plugin '{plugin}' not enabled; add it to the 'plugins' configuration property"
        raise schema_violation({"name": why})
    return plugin_schema(plugin)


def judged(kind: Kind, given: Row) -> Row:
    """The completed entity, or a schema violation; touches no row, so it serves `/schemas/*/validate` too."""
    schema = schema_for(kind, given)
    whole = settled(kind, schema.complete(prepared(kind, given)), given)
    problems = schema.problems(whole)
    if problems:
        raise schema_violation(problems)
    return whole


class Writes:
    """Kong's write semantics over one store, as one node performs them."""

    def __init__(self, store: Store, node: int) -> None:
        self.store = store
        self.node = node

    def create(self, kind: Kind, given: Row) -> Row:
        if kind is TARGETS and isinstance(given.get("target"), str) and not full_target(given["target"]):
            raise schema_violation({"target": f"Invalid target; {WRONG_TARGET}"})
        whole = judged(kind, self._resolved(kind, given))
        return self._stored(kind, whole | {"id": whole["id"] or self.store.ids()})

    def replace(self, kind: Kind, given: Row, key: str, old: Row | None) -> Row:
        """PUT: by id or by key, create or replace; the name in the path wins."""
        given = self._resolved(kind, given)
        if is_uuid(key):
            given["id"] = key
        elif kind is not ACLS or "group" not in given:
            given[kind.key] = key
        whole = judged(kind, given)
        return self._stored(kind, whole | {"id": old["id"] if old else whole["id"] or self.store.ids()})

    def merge(self, kind: Kind, given: Row, old: Row) -> Row:
        """PATCH: what is not named stays."""
        if kind is TARGETS and "weight" in given and given["weight"] is None:
            raise primary_key_violation(old["id"])
        given = self._resolved(kind, given)
        schema = schema_for(kind, old | given)
        # A stored time to live is a moment, not a duration: it is neither judged nor restarted here.
        kept = {"ttl": old["ttl"]} if kind is KEYS and "ttl" not in given else {}
        merged = merge(schema.fields, old | dict.fromkeys(kept), prepared(kind, given))
        whole = settled(kind, schema.complete(merged), given)
        problems = schema.problems(whole)
        if problems:
            raise schema_violation(problems)
        return self._stored(kind, whole | kept, created=old["created_at"], restart=not kept)

    def remove(self, kind: Kind, row: Row) -> None:
        self.store.delete(kind, row, self.node)

    def _stored(self, kind: Kind, row: Row, created: Json = None, restart: bool = True) -> Row:
        now = self.store.stamp(kind)
        row = row | {"created_at": now if created is None else created}
        if "updated_at" in row:
            row["updated_at"] = now
        if kind is KEYS:
            row["key"] = row["key"] or "".join(secrets.choice(ALPHABET) for _ in range(32))
            if restart:
                row["ttl"] = self.store.clock() + row["ttl"] if row["ttl"] else None
        return self.store.put(kind, row, self.node)

    def _resolved(self, kind: Kind, given: Row) -> Row:
        """The same entity with its parents named by id."""
        given, missing = dict(given), []
        for field, parent in kind.parents.items():
            reference = given.get(field)
            if not isinstance(reference, dict) or "id" in reference:
                continue
            unique = KINDS[parent].key
            found = self.store.find(KINDS[parent], {unique: reference.get(unique)}) if unique in reference else None
            if found is not None:
                given[field] = {"id": found["id"]}
            elif unique in reference:
                missing.append((field, unique, reference[unique], parent))
        if missing:
            raise unresolved_references(missing)
        return given


def merge(fields: dict[str, Rule], old: Row, given: Row) -> Row:
    """The old entity with the given values; records are merged inside, null stands for the default."""
    whole = dict(old)
    for name, value in given.items():
        rule: dict[str, Any] = fields.get(name, {})
        before = whole.get(name)
        if rule.get("type") == "record" and isinstance(value, dict) and isinstance(before, dict):
            # Deprecated shorthands repeat what stands elsewhere, so they must not win over what is given.
            known = {key: held for key, held in before.items() if key not in named(rule.get("shorthand_fields", []))}
            whole[name] = merge(named(rule.get("fields", [])), known, value)
        else:
            whole[name] = value
    return whole


def absent(kind: Kind, key: str) -> Exception:
    """What a change of a missing entity answers."""
    if kind.strict or kind is PLUGINS:
        return not_found()
    return no_such_entity({"id": key} if is_uuid(key) else {kind.key: key})
