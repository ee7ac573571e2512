"""Tags: how something in Kong says whose it is and what it means to us.

A tag is `key:value`. Kong refuses comma, slash, tab, newline and DEL in tags (measured on 3.9.1) and splits a query
for tags at comma and slash, so the value is percent-encoded. What a key means is decided where it is written: `owner`
by entities and gateway alike, `part` by entities, the rest by gateway alone.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from bluegreen.gateway import Hold

OWNER = "owner"
FRONT = "part:front"  # the whole tag of what users meet: what is kept as the last good gateway, and held
KEPT = "gateway-kept"  # the route on which that is kept
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


def hold_tag(key: str, hold: Hold) -> str:
    """Who, when and why as one tag."""
    return tag(key, f"{hold.by} {hold.at.isoformat(timespec='seconds')} {hold.reason}")


def hold_of(text: str | None) -> Hold | None:
    """What such a tag's value says; None where there is no such tag."""
    match (text or "").split(" ", 2):
        case [by, at, reason]:
            return Hold(by, time_of(at) or datetime.fromtimestamp(0, UTC), reason)
    return None


def time_of(text: str | None) -> datetime | None:
    """A time as tags hold it; None where there is none, or none that can be read."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
