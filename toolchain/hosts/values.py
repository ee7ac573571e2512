"""Pulumi's property values as they travel: a protobuf Struct in which secrets and unknowns are marked by agreed texts.

Pure functions over those structs. The command plugin hands inputs back as it got them, so nothing here rebuilds a
value; it only reads.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        UNKNOWN,  # string
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)


def plain(value: Value) -> Any:
    """The value with secrets opened; numbers that are whole become integers."""
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "number_value":
            return int(value.number_value) if value.number_value.is_integer() else value.number_value
        case "list_value":
            return [plain(item) for item in value.list_value.values]
        case "struct_value":
            inner = _opened(value.struct_value)
            return plain(inner) if inner is not None else fields(value.struct_value)
    return None


def fields(struct: Struct) -> dict[str, Any]:
    """Every field with secrets opened; a field that is null is one that is absent."""
    return {name: plain(value) for name, value in struct.fields.items() if value.WhichOneof("kind") != "null_value"}


def secrets(value: Value, hidden: bool = False) -> Iterator[str]:
    """Every text that stands inside a secret."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        inner = _opened(value.struct_value)
        for part in [inner] if inner is not None else value.struct_value.fields.values():
            yield from secrets(part, hidden or inner is not None)
    elif kind == "list_value":
        for part in value.list_value.values:
            yield from secrets(part, hidden)
    elif hidden and kind == "string_value":
        yield value.string_value


def has_secret(value: Value) -> bool:
    """Whether any part of it is a secret."""
    if value.WhichOneof("kind") == "list_value":
        return any(has_secret(part) for part in value.list_value.values)
    struct = value.struct_value
    return _opened(struct) is not None or any(has_secret(part) for part in struct.fields.values())


def is_unknown(item: Any) -> bool:
    """Whether a plain value stands for one that only a real run will know."""
    return isinstance(item, str) and item in _UNKNOWNS


def secret(inner: Value) -> Value:
    """The same value, marked secret."""
    marked = Value()
    marked.struct_value.fields[_SIGNATURE].string_value = _SECRET
    marked.struct_value.fields["value"].CopyFrom(inner)
    return marked


def _opened(struct: Struct) -> Value | None:
    if _SIGNATURE in struct.fields and struct.fields[_SIGNATURE].string_value == _SECRET:
        return struct.fields["value"]
    return None
