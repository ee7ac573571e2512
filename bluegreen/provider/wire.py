"""The codec: Pulumi property bags to plain Python and back.

On the wire a bag is a protobuf Struct in which a few things are disguised: an unknown is one of seven sentinel texts,
a secret is a map that carries a signature. Here a bag is plain data (dict, list, str, int, float, bool, None) beside
the paths that are secret; an unknown is `UNKNOWN`. Rules, each with a test:

- a null in a map is an absent key, a null in a list keeps its place;
- numbers are doubles: a whole one within ±2**53 becomes int, and an int outside of it is refused on the way out;
- of nested secrets the outermost counts; a secret null hides nothing and is a null;
- a resource reference is its id, or its URN where it has none, as the engine itself downgrades it;
- assets, archives, byte strings and signatures that nobody here knows are refused by their path.

It deliberately knows no spec and no resource.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value
from pydantic.alias_generators import to_camel

from bluegreen.spec import path as shown

Path: TypeAlias = tuple[str | int, ...]

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
REFUSED = {
    "c44067f5952c0a294b673a41bacd8c17": "an asset",
    "0def7320c3a5731c473e5ecbe6d01bc7": "an archive",
    "803fd3297a5875dc03ca845dda5d2a98": "text that is not UTF-8",
}
UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
UNKNOWN_TEXTS = frozenset(
    {
        UNKNOWN_TEXT,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)
EXACT = 2**53  # beyond it a double skips integers


class Unknown:
    """A value that only the real run will know; there is one of it, `UNKNOWN`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


class Unreadable(ValueError):
    """A value that cannot cross the wire; says which one and why."""


@dataclass(frozen=True, slots=True)
class Bag:
    """Properties as plain data, with the paths below which everything is secret and those that are unknown yet."""

    values: dict[str, Any] = field(default_factory=dict)
    secrets: frozenset[Path] = frozenset()
    unknowns: frozenset[Path] = frozenset()


def decode(struct: Struct) -> Bag:
    """A bag as it came over the wire.

    Raises:
        Unreadable: it holds something that is neither data nor a secret nor an unknown.
    """
    reading = _Reading()
    return Bag(reading.fields(struct, (), False), frozenset(reading.secrets), frozenset(reading.unknowns))


class _Reading:
    """One pass over a Struct that gathers the paths of secrets and unknowns on its way."""

    __slots__ = ("secrets", "unknowns")

    def __init__(self) -> None:
        self.secrets: list[Path] = []
        self.unknowns: list[Path] = []

    def fields(self, struct: Struct, at: Path, hidden: bool) -> dict[str, Any]:
        found = {}
        for key in sorted(struct.fields):  # protobuf's own order differs from process to process
            plain = self.value(struct.fields[key], (*at, key), hidden)
            if plain is not None:
                found[key] = plain
        return found

    def value(self, value: Value, at: Path, hidden: bool) -> Any:
        match value.WhichOneof("kind"):
            case "string_value":
                text = value.string_value
                return self.unknown(at) if text in UNKNOWN_TEXTS else text
            case "number_value":
                return number(value.number_value)
            case "bool_value":
                return value.bool_value
            case "struct_value":
                signature = value.struct_value.fields.get(SIGNATURE)
                if signature is None:
                    return self.fields(value.struct_value, at, hidden)
                return self.disguised(signature.string_value, value.struct_value, at, hidden)
            case "list_value":
                return [self.value(item, (*at, index), hidden) for index, item in enumerate(value.list_value.values)]
            case _:
                return None

    def unknown(self, at: Path) -> Unknown:
        self.unknowns.append(at)
        return UNKNOWN

    def disguised(self, signature: str, struct: Struct, at: Path, hidden: bool) -> Any:
        fields = struct.fields
        if signature == SECRET:
            return self.secret(fields.get("value"), at, hidden)
        if signature == OUTPUT:
            secret = "secret" in fields and fields["secret"].bool_value
            inner = fields["value"] if "value" in fields else Value(string_value=UNKNOWN_TEXT)
            return self.secret(inner, at, hidden) if secret else self.value(inner, at, hidden)
        if signature == RESOURCE:
            return self.value(fields["id"] if "id" in fields else fields["urn"], at, hidden)
        kind = REFUSED.get(signature, f"a value of a kind that is not known here ({signature or 'no signature'})")
        msg = f"{shown(at)}: this is {kind}, and only plain data is accepted"
        raise Unreadable(msg)

    def secret(self, inner: Value | None, at: Path, hidden: bool) -> Any:
        plain = None if inner is None else self.value(inner, at, True)
        if plain is not None and not hidden:
            self.secrets.append(at)
        return plain


def number(value: float) -> int | float:
    """3.0 is 3; what a double cannot tell from its neighbours stays a float."""
    return int(value) if value.is_integer() and abs(value) <= EXACT else value


def encode(values: Mapping[str, Any], secrets: Collection[Path] = ()) -> Struct:
    """Plain data as a Struct, with every secret path wrapped.

    Raises:
        Unreadable: it holds something that has no shape on the wire.
    """
    struct = Struct()
    _write(struct, values, (), frozenset(secrets))
    return struct


def _write(struct: Struct, values: Mapping[str, Any], at: Path, secrets: frozenset[Path]) -> None:
    fields = struct.fields
    for key, value in values.items():
        if value is not None:
            _fill(fields[key], value, (*at, key), secrets)


def _fill(target: Value, value: Any, at: Path, secrets: frozenset[Path]) -> None:
    if value is not None and at in secrets:
        wrapper = target.struct_value.fields
        wrapper[SIGNATURE].string_value = SECRET
        _fill(wrapper["value"], value, at, frozenset())
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        if abs(value) > EXACT:
            msg = f"{shown(at)}: {value} is too large to be sent exactly; make it text"
            raise Unreadable(msg)
        target.number_value = value
    elif isinstance(value, float):
        target.number_value = value
    elif isinstance(value, Mapping):
        target.struct_value.SetInParent()  # an empty map is a map
        _write(target.struct_value, value, at, secrets)
    elif isinstance(value, list | tuple):
        _list(target.list_value, value, at, secrets)
    elif value is UNKNOWN:
        target.string_value = UNKNOWN_TEXT
    elif value is None:
        target.null_value = NULL_VALUE
    else:
        msg = f"{shown(at)}: {type(value).__name__} is not plain data"
        raise Unreadable(msg)


def _list(target: ListValue, items: Iterable[Any], at: Path, secrets: frozenset[Path]) -> None:
    target.SetInParent()
    for index, item in enumerate(items):
        _fill(target.values.add(), item, (*at, index), secrets)


def settle(paths: Iterable[Path], values: Mapping[str, Any]) -> frozenset[Path]:
    """Those of the paths that exist in `values`, in its spelling (`api_key` may have become `apiKey`)."""
    return frozenset(found for path in paths if (found := _settled(path, values)) is not None)


def _settled(path: Path, values: Any) -> Path | None:
    found: list[str | int] = []
    for part in path:
        if isinstance(values, Mapping) and isinstance(part, str):
            part = part if part in values else to_camel(part)
            if part not in values:
                return None
        elif not (isinstance(values, list | tuple) and isinstance(part, int) and part < len(values)):
            return None
        found.append(part)
        values = values[part]
    return tuple(found)


def texts(values: Any) -> Iterable[str]:
    """Every text within, wherever it is."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from texts(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from texts(value)


def at(values: Any, path: Path) -> Any:
    """The value at a path that exists."""
    for part in path:
        values = values[part]
    return values
