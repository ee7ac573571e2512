"""Tags: how something in Kong says whose it is and what it means to us.

A tag is `key:value`. Kong refuses comma, slash, tab, newline and DEL in tags (measured on 3.9.1) and splits a query
for tags at comma and slash, so the value is percent-encoded. What a key means is decided where it is written: `owner`
by entities and gateway alike, the rest by gateway alone.
"""

from collections.abc import Iterable
from urllib.parse import quote, unquote

OWNER = "owner"
PLAIN = ":@+="  # left readable beside letters, digits and `_.-~`


def tag(key: str, value: str) -> str:
    """`tag("owner", "acme.production") == "owner:acme.production"`; `untag` undoes it.

    Raises:
        ValueError: a key with a colon or outside Kong's letters, or an empty value: neither could be read back.
    """
    if not key or quote(key, safe="") != key:
        msg = f"{key!r} cannot be the key of a tag. Write letters, digits, '.', '_', '~' and '-'"
        raise ValueError(msg)
    if not value:
        msg = f"the tag {key!r} has no value"
        raise ValueError(msg)
    return f"{key}:{quote(value, safe=PLAIN)}"


def untag(text: str) -> tuple[str, str]:
    """The key and the value of a tag; somebody else's tag without a colon is a key without a value."""
    key, _, value = text.partition(":")
    return key, unquote(value)


def owner_of(tags: Iterable[str] | None) -> str | None:
    """Whose an entity is, by its tags; None when nobody of ours has marked it."""
    for text in tags or ():
        key, value = untag(text)
        if key == OWNER and value:
            return value
    return None
