"""What turns an object from what it is into what it was, attribute by attribute.

Where one attribute has a statement of its own (`attributes.py`), only that is said. Kinds that are made anew for
anything else stand in `ANEW`. What neither knows (another value in an enum, another way to partition) has no statement.
"""

from bluegreen.postgres.catalog import makes
from bluegreen.postgres.catalog.attributes import KNOWN, Ways
from bluegreen.postgres.catalog.compare import called, kind_of
from bluegreen.postgres.catalog.drops import Like, default_privileges, drop, in_this_database
from bluegreen.postgres.catalog.grants import PLACES, grants
from bluegreen.postgres.catalog.spec import Snapshot

ANEW = {
    "constraint",
    "index",
    "view",
    "materialized view",
    "function",
    "procedure",
    "aggregate",
    "trigger",
    "event trigger",
    "rule",
    "policy",
    "published table",
    "statistics",
    "cast",
    "collation",
    "range type",
}
_WORDS = {**{kind: place for kind, place in PLACES.items() if place in ("type", "routine")}, "domain": "domain"}


def alter(name: str, attribute: str, here: Snapshot, there: Snapshot) -> Ways | None:
    """How one attribute becomes what it is `there`; None where only making it anew, or nothing, helps."""
    kind, now, then = kind_of(name), here.like(name), there.like(name)
    if attribute == "owner":
        return ((_owner(kind, name, then["owner"]),),)
    if attribute == "privileges":
        return (_privileges(kind, name, now, then),)
    known = KNOWN.get((kind, attribute))
    return known(called(name), now, then) if known else None


def anew(name: str, here: Snapshot, there: Snapshot) -> Ways:
    """The ways to make a changed object as it is `there`: in its place where that can be, or dropped and made."""
    kind = kind_of(name)
    dropped, made = drop(name, here.like(name)), makes.make(name, there)
    if kind not in ANEW or not made:
        return ()
    if kind in ("function", "procedure"):
        return (made, (*dropped, *made))
    if kind == "view":
        return ((makes.view(called(name), there.like(name), replace=True),), (*dropped, *made))
    return ((*dropped, *made),) if dropped else ()


def _owner(kind: str, name: str, owner: str) -> str:
    if kind == "database":
        return in_this_database(f"alter database %I owner to {owner}")
    return f"alter {_WORDS.get(kind, kind)} {called(name)} owner to {owner}"


def _privileges(kind: str, name: str, now: Like, then: Like) -> tuple[str, ...]:
    here, there = now.get("privileges", {}), then.get("privileges", {})
    if kind == "default privileges":
        return default_privileges(called(name), here, there, then)
    if kind == "column":
        return grants(f"table {then['on']}", here, there, column=then["name"])
    if kind == "database":
        return tuple(in_this_database(text) for text in grants("database %I", here, there))
    return grants(f"{PLACES[kind]} {called(name)}", here, there)
