"""Names in a statement's tree, as `schema.name` without quotes; what has no schema is in `public`.

A file that relies on another search_path is read as if it meant `public`: then the lint takes less for new, not more.
"""

from collections.abc import Iterator, Sequence
from typing import Any

PUBLIC = "public"


def relation(range_var: Any) -> str:
    """A table, view, index or sequence."""
    if range_var.relpersistence == "t":
        return f"pg_temp.{range_var.relname}"
    return f"{range_var.schemaname or PUBLIC}.{range_var.relname}"


def words(listed: Any) -> tuple[str, ...]:
    """The parts of a name that the tree keeps as a list, or as one word."""
    if listed is None:
        return ()
    if isinstance(listed, str):
        return (listed,)
    if type(listed).__name__ == "String":
        return (str(listed.sval),)
    if type(listed).__name__ == "TypeName":
        return words(listed.names)
    if type(listed).__name__ == "ObjectWithArgs":
        return words(listed.objname)
    return tuple(part for word in listed for part in words(word))


def dotted(listed: Any) -> str:
    """Such a name with its schema."""
    parts = words(listed)
    return ".".join(parts[-2:]) if len(parts) > 1 else f"{PUBLIC}.{''.join(parts)}"


def roles(specs: Any) -> Iterator[str]:
    """Who is meant by a list of roles; `public` is everybody."""
    for spec in specs or ():
        yield "public" if spec.roletype.name == "ROLESPEC_PUBLIC" else str(spec.rolename or spec.roletype.name)


def options(stmt: Any) -> dict[str, Any]:
    """A statement's options by name; a later one wins."""
    return {option.defname: option.arg for option in stmt.options or ()}


def kind(node: Any) -> str:
    """What a node of the tree is called."""
    return type(node).__name__


def walk(node: Any) -> Iterator[Any]:
    """A node and everything below it, top down."""
    if isinstance(node, tuple | list):
        for each in node:
            yield from walk(each)
    elif type(node).__module__ == "pglast.ast":
        yield node
        for name in node:
            yield from walk(getattr(node, name))


def joined(items: Sequence[str]) -> str:
    """Names in a sentence."""
    return ", ".join(dict.fromkeys(items))
