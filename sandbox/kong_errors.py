"""Kong's error answers: code, name, message and fields, word for word as Kong 3.9.1 writes them.

A client shows `fields` to people and branches on `code`, so the stand-in must not paraphrase. Only errors that the
stand-in can run into exist here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Json = Any  # a JSON value; Kong's entities are plain JSON objects
Row = dict[str, Json]
Problem = str | dict[str, Any] | list[Any]  # a sentence, or sentences by field, or by list position


class Refusal(Exception):
    """An Admin API request that ends with an error answer."""

    def __init__(self, status: int, body: Row) -> None:
        super().__init__(body["message"])
        self.status = status
        self.body = body


def not_found() -> Refusal:
    """A path or an entity that does not exist, where Kong gives no code."""
    return Refusal(404, {"message": "Not found"})


def not_allowed() -> Refusal:
    return Refusal(405, {"message": "Method not allowed"})


def lua(value: Json, indent: int | None = None) -> str:
    """A value as Kong's Lua prints it inside messages; keys are sorted."""
    if isinstance(value, Mapping):
        if indent is None:
            return "{" + ",".join(f"{key}={lua(value[key])}" for key in sorted(value)) + "}"
        pad = "  " * (indent + 1)
        lines = [f"{pad}{key} = {lua(value[key], indent + 1)}" for key in sorted(value)]
        return "{\n" + ",\n".join(lines) + "\n" + "  " * indent + "}"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def coded(status: int, code: int, name: str, message: str, fields: Row | None = None) -> Refusal:
    body: Row = {"code": code, "name": name, "message": message}
    if fields is not None:
        body["fields"] = fields
    return Refusal(status, body)


def sentences(fields: Mapping[str, Problem]) -> list[str]:
    """The violations as Kong lists them: those of the whole entity first, then by field, one level deep."""
    found = list(fields.get("@entity", []))
    for name in sorted(fields):
        problem = fields[name]
        if name == "@entity":
            continue
        if isinstance(problem, dict):
            found += [f"{name}.{part}: {worded(problem[part])}" for part in sorted(problem)]
        elif isinstance(problem, list):
            found += [f"{name}.{i}: {worded(part)}" for i, part in enumerate(problem, 1) if part is not None]
        else:
            found.append(f"{name}: {problem}")
    return found


def worded(problem: Json) -> str:
    return problem if isinstance(problem, str) else lua(problem, indent=0)


def schema_violation(fields: Mapping[str, Problem]) -> Refusal:
    found = sentences(fields)
    count = "schema violation" if len(found) == 1 else f"{len(found)} schema violations"
    return coded(400, 2, "schema violation", f"{count} ({'; '.join(found)})", dict(fields))


def invalid_primary_key() -> Refusal:
    fields: Row = {"id": "expected a valid UUID"}
    return coded(400, 1, "invalid primary key", f"invalid primary key: '{lua(fields)}'", fields)


def primary_key_violation(id: str) -> Refusal:
    """What Kong makes of a null where its database wants a value."""
    fields: Row = {"id": id}
    return coded(400, 3, "primary key violation", f"primary key violation on key '{lua(fields)}'", fields)


def missing_reference(field: str, key: Row, parent: str) -> Refusal:
    message = f"the foreign key '{lua(key)}' does not reference an existing '{parent}' entity."
    return coded(400, 4, "foreign key violation", message, {field: key})


def still_referenced(parent: str, child: str) -> Refusal:
    message = f"an existing '{child}' entity references this '{parent}' entity"
    return coded(400, 4, "foreign key violation", message, {"@referenced_by": child})


def unique_violation(key: Row) -> Refusal:
    return coded(409, 5, "unique constraint violation", f"UNIQUE violation detected on '{lua(key)}'", key)


def no_such_entity(key: Row) -> Refusal:
    return coded(404, 6, "not found", f"could not find the entity with '{lua(key)}'", key)


def invalid_offset(offset: str, why: str) -> Refusal:
    return coded(400, 7, "invalid offset", f"'{offset}' is not a valid offset: {why}")


def invalid_size() -> Refusal:
    return coded(400, 9, "invalid size", "size must be an integer between 1 and 1000")


def invalid_unique(field: str, why: str) -> Refusal:
    return coded(400, 10, f"invalid unique {field}", why)


def invalid_tags_option() -> Refusal:
    options: Row = {"tags": "invalid filter syntax"}
    body: Row = {"code": 11, "name": "invalid options", "options": options}
    return Refusal(400, body | {"message": "invalid option (tags: invalid filter syntax)"})


def unresolved_references(references: Sequence[tuple[str, str, Json, str]]) -> Refusal:
    """Foreign keys given by (field, unique field, value, parent collection) that nothing answers to."""
    fields: dict[str, Problem] = {}
    for field, unique, value, parent in references:
        why = f"the foreign key cannot be resolved with '{lua({unique: value})}' for an existing '{parent}' entity"
        fields[field] = {unique: why}
    found = sentences(fields)
    count = "foreign key unresolved" if len(found) == 1 else f"{len(found)} foreign keys unresolved"
    return coded(400, 13, "foreign keys unresolved", f"{count} ({'; '.join(found)})", dict(fields))
