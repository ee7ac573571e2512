"""What takes an object away again, kind by kind: one statement each, which fails while something still needs it."""

from collections.abc import Callable, Mapping
from typing import Any

from bluegreen.postgres.catalog.compare import called, kind_of
from bluegreen.postgres.catalog.grants import grants

Like = Mapping[str, Any]
_WORDS = {"enum": "type", "composite type": "type", "range type": "type", "base type": "type"}
_SIMPLE = (
    "schema",
    "extension",
    "language",
    "enum",
    "domain",
    "composite type",
    "range type",
    "base type",
    "collation",
    "cast",
    "operator",
    "operator class",
    "text search configuration",
    "text search dictionary",
    "sequence",
    "table",
    "foreign table",
    "view",
    "materialized view",
    "statistics",
    "function",
    "procedure",
    "event trigger",
    "publication",
    "subscription",
    "foreign data wrapper",
    "server",
    "role",
)


def drop(name: str, like: Like) -> tuple[str, ...]:
    """The statements that take it away; none where it goes with another object, or where there is no way."""
    kind = kind_of(name)
    if kind in _SIMPLE:
        return (f"drop {_WORDS.get(kind, kind)} {called(name)}",)
    special = _SPECIAL.get(kind)
    return special(called(name), like) if special else ()


def _column(name: str, like: Like) -> tuple[str, ...]:
    if "type" not in like:  # of a view, where it is told for its privileges alone
        return grants(f"table {like['on']}", like.get("privileges", {}), {}, column=like["name"])
    return () if like.get("inherited") else (f"alter table {like['on']} drop column {like['name']}",)


def _constraint(name: str, like: Like) -> tuple[str, ...]:
    return () if like.get("inherited") else (f"alter table {like['on']} drop constraint {like['name']}",)


def _index(name: str, like: Like) -> tuple[str, ...]:
    return () if "constraint" in like or "partOf" in like else (f"drop index {name}",)


def _on_table(word: str) -> Callable[[str, Like], tuple[str, ...]]:
    return lambda name, like: (f"drop {word} {like['name']} on {like['on']}",)


def _aggregate(name: str, like: Like) -> tuple[str, ...]:
    return (f"drop aggregate {name[:-2]}(*)" if name.endswith("()") else f"drop aggregate {name}",)


def _setting(name: str, like: Like) -> tuple[str, ...]:
    whose = f"role {like.get('role', 'all')}"
    names = [str(setting).partition("=")[0] for setting in like["settings"]]
    if not like.get("here"):
        return tuple(f"alter {whose} reset {setting}" for setting in names)
    return tuple(in_this_database(f"alter {whose} in database %I reset {setting}") for setting in names)


def _user_mapping(name: str, like: Like) -> tuple[str, ...]:
    return (f"drop user mapping for {name.removesuffix(' on ' + like['server'])} server {like['server']}",)


def _default_privileges(name: str, like: Like) -> tuple[str, ...]:
    return default_privileges(name, like["privileges"], standard(name, like), like)


def standard(name: str, like: Like) -> Mapping[str, str]:
    """What holds where no default privileges are set: nothing more in a schema, else what Postgres itself gives."""
    if "schema" in like:
        return {}
    what = name.partition(" of ")[0]
    own = {"tables": "ALL", "sequences": "SELECT, UPDATE, USAGE", "functions": "EXECUTE", "types": "USAGE"}
    everybody = {what: own[what] for what in ("functions", "types")}
    given = {like["role"]: own.get(what, "CREATE, USAGE")}
    return {**given, "public": everybody[what]} if what in everybody else given


def default_privileges(name: str, here: Mapping[str, str], there: Mapping[str, str], like: Like) -> tuple[str, ...]:
    """From some default privileges to others."""
    inside = f" in schema {like['schema']}" if "schema" in like else ""
    prefix = f"alter default privileges for role {like['role']}{inside} "
    return grants(name.partition(" of ")[0], here, there, prefix=prefix)


def in_this_database(template: str) -> str:
    """A statement that has to name the database, whatever it is called; `%I` stands for it."""
    return block(f"begin execute format({_text(template)}, current_database()); end")


def block(body: str) -> str:
    """A DO block; whatever stands in names and values of its body, its quotes do not end there."""
    tag = "$here$"
    while tag in body:
        tag = f"{tag[:-1]}_$"
    return f"do {tag} {body} {tag}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


_SPECIAL: dict[str, Callable[[str, Like], tuple[str, ...]]] = {
    "column": _column,
    "constraint": _constraint,
    "index": _index,
    "trigger": _on_table("trigger"),
    "rule": _on_table("rule"),
    "policy": _on_table("policy"),
    "aggregate": _aggregate,
    "published table": lambda name, like: (f"alter publication {like['publication']} drop table {like['table']}",),
    "published schema": lambda name, like: (
        f"alter publication {like['publication']} drop tables in schema {like['schema']}",
    ),
    "membership": lambda name, like: (f"revoke {like['group']} from {like['member']}",),
    "settings": _setting,
    "user mapping": _user_mapping,
    "default privileges": _default_privileges,
    "comment": lambda name, like: (f"comment on {commented(like)} is null",),
}


def commented(like: Like) -> str:
    """What a comment is on, as COMMENT ON wants it named."""
    kind, identity = like["type"], like["identity"]
    if kind == "domain constraint":
        constraint, _, domain = identity.partition(" on ")
        return f"constraint {constraint} on domain {domain}"
    for suffix in (" column", " constraint"):
        if kind.endswith(suffix):
            return f"{suffix[1:]} {identity}"
    return f"{kind} {identity}"
