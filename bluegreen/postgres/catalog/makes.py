"""What makes an object that was there before, kind by kind, from what the snapshot holds of it.

Owner, privileges and comments are not in it: they are what still differs afterwards, and are put right then. No way is
known to make some rare things again (a base type, an operator class, a text search configuration, a subscription) nor
what the snapshot does not hold (a server's secret options): then there is no statement, and it is said.
"""

from collections.abc import Callable, Mapping
from typing import Any

from bluegreen.postgres.catalog.compare import called, kind_of
from bluegreen.postgres.catalog.drops import (
    Like,
    commented,
    default_privileges,
    in_this_database,
    standard,
)
from bluegreen.postgres.catalog.grants import grants
from bluegreen.postgres.catalog.spec import Snapshot


def make(name: str, schema: Snapshot) -> tuple[str, ...]:
    """The statements that make it as it is in a snapshot; none where something else makes it, or none is known."""
    kind, like = kind_of(name), schema.like(name)
    if kind == "table":
        return _table(called(name), like, schema)
    maker = MAKERS.get(kind)
    return maker(called(name), like) if maker else ()


def literal(value: Any) -> str:
    """A text as SQL."""
    text = str(value).replace("'", "''")
    return f"E'{text.replace(chr(92), chr(92) * 2)}'" if "\\" in text else f"'{text}'"


def column(like: Like) -> str:
    """A column as it stands in a CREATE TABLE."""
    parts = [like["name"], like["type"]]
    if "collation" in like:
        parts.append(f"collate {like['collation']}")
    if "compression" in like:
        parts.append(f"compression {like['compression']}")
    if "default" in like:
        parts.append(f"default {like['default']}")
    if "generated" in like:
        parts.append(f"generated always as ({like['generated']}) {'virtual' if like.get('virtual') else 'stored'}")
    if "identity" in like:
        parts.append(f"generated {like['identity']} as identity ({sequence_options(like['sequence'])})")
    if like.get("notNull"):
        parts.append("not null")
    return " ".join(parts)


def sequence_options(of: Mapping[str, Any]) -> str:
    """The options of a sequence, as CREATE and ALTER SEQUENCE write them."""
    cycle = "cycle" if of["cycle"] else "no cycle"
    return (
        f"start with {of['start']} increment by {of['increment']} minvalue {of['minvalue']} "
        f"maxvalue {of['maxvalue']} cache {of['cache']} {cycle}"
    )


def with_options(like: Like, key: str = "options") -> str:
    return f" with ({', '.join(option(text) for text in like[key])})" if like.get(key) else ""


def option(text: str) -> str:
    name, _, value = text.partition("=")
    return f"{name} = {literal(value)}"


def view(name: str, like: Like, *, replace: bool = False) -> str:
    created = "create or replace view" if replace else "create view"
    return f"{created} {name}{with_options(like)} as\n{like['definition'].rstrip().rstrip(';')}"


def _table(name: str, like: Like, schema: Snapshot) -> tuple[str, ...]:
    kept = "unlogged " if like.get("persistence") == "u" else ""
    columns = [schema.like(each) for each in schema.objects if each.startswith(f"column {name}.")]
    own = [column(each) for each in columns if each["on"] == name and not each.get("inherited")]
    tail = f" using {like['accessMethod']}" if "accessMethod" in like else ""
    tail += with_options(like)
    tail += f" tablespace {like['tablespace']}" if "tablespace" in like else ""
    by = f" partition by {like['partitioned']}" if "partitioned" in like else ""
    if "bound" in like:
        return (f"create {kept}table {name} partition of {like['parents'][0]} {like['bound']}{by}{tail}",)
    if "of" in like:
        return (f"create {kept}table {name} of {like['of']}{by}{tail}",)
    parents = f" inherits ({', '.join(like['parents'])})" if like.get("parents") else ""
    inside = ",\n    ".join(own)
    return (f"create {kept}table {name} (\n    {inside}\n){parents}{by}{tail}",)


def _column(name: str, like: Like) -> tuple[str, ...]:
    if "type" not in like:  # of a view, where it is told for its privileges alone
        return grants(f"table {like['on']}", {}, like.get("privileges", {}), column=like["name"])
    return () if like.get("inherited") else (f"alter table {like['on']} add column {column(like)}",)


def _constraint(name: str, like: Like) -> tuple[str, ...]:
    if like.get("inherited"):
        return ()
    return (f"alter table {like['on']} add constraint {like['name']} {like['definition']}",)


def _index(name: str, like: Like) -> tuple[str, ...]:
    if "constraint" in like:
        return ()
    if "partOf" in like:
        return (like["definition"], f"alter index {like['partOf']} attach partition {name}")
    return (like["definition"],)


def policy(name: str, like: Like) -> tuple[str, ...]:
    how = " as restrictive" if like.get("restrictive") else ""
    using = f" using ({like['using']})" if "using" in like else ""
    check = f" with check ({like['check']})" if "check" in like else ""
    whom = ", ".join(like["to"])
    return (f"create policy {like['name']} on {like['on']}{how} for {like['for']} to {whom}{using}{check}",)


def _domain(name: str, like: Like) -> tuple[str, ...]:
    collation = f" collate {like['collation']}" if "collation" in like else ""
    default = f" default {like['default']}" if "default" in like else ""
    required = " not null" if like.get("notNull") else ""
    checks = "".join(f" constraint {key} {value}" for key, value in like.get("constraints", {}).items())
    return (f"create domain {name} as {like['type']}{collation}{default}{required}{checks}",)


def _range(name: str, like: Like) -> tuple[str, ...]:
    keys = ("subtype", "subtype_opclass", "collation", "canonical", "subtype_diff", "multirange_type_name")
    return (f"create type {name} as range ({', '.join(f'{key} = {like[key]}' for key in keys if key in like)})",)


def _aggregate(name: str, like: Like) -> tuple[str, ...]:
    if {"kind", "movingFunctions", "sortOperator", "finalExtra", "finalModify"} & like.keys():
        return ()
    keys = ("sfunc", "stype", "sspace", "finalfunc", "combinefunc", "serialfunc", "deserialfunc")
    parts = [f"{key} = {like[key]}" for key in keys if key in like]
    parts += [f"initcond = {literal(like['initcond'])}"] if "initcond" in like else []
    parts += [f"parallel = {'safe' if like['parallel'] == 's' else 'restricted'}"] if "parallel" in like else []
    named = f"{name[:-2]}(*)" if name.endswith("()") else name
    return (f"create aggregate {named} ({', '.join(parts)})",)


def _event_trigger(name: str, like: Like) -> tuple[str, ...]:
    tags = f" when tag in ({', '.join(literal(tag) for tag in like['tags'])})" if "tags" in like else ""
    return (f"create event trigger {name} on {like['event']}{tags} execute function {like['function']}()",)


def publication_options(like: Like) -> str:
    root = "true" if like.get("viaRoot") else "false"
    generated = ", publish_generated_columns = stored" if like.get("generated") == "s" else ""
    return f"publish = {literal(like['publish'])}, publish_via_partition_root = {root}{generated}"


def _publication(name: str, like: Like) -> tuple[str, ...]:
    tables = " for all tables" if like.get("allTables") else ""
    return (f"create publication {name}{tables} with ({publication_options(like)})",)


def _published_table(name: str, like: Like) -> tuple[str, ...]:
    columns = f" ({', '.join(like['columns'])})" if "columns" in like else ""
    where = f" where ({like['where']})" if "where" in like else ""
    return (f"alter publication {like['publication']} add table {like['table']}{columns}{where}",)


def role_options(like: Like) -> str:
    words = [key if like.get(key) else f"no{key}" for key in ROLE_FLAGS]
    words.append("noinherit" if like.get("noinherit") else "inherit")
    words.append(f"connection limit {like.get('connections', -1)}")
    words.append(f"valid until {literal(like.get('validUntil', 'infinity'))}")
    return " ".join(words)


def membership(name: str, like: Like) -> tuple[str, ...]:
    options = [f"inherit {str(like['inherit']).lower()}"] if "inherit" in like else []
    options += ["set false"] if like.get("cannotSet") else []
    options += ["admin option"] if like.get("admin") and not options else ["admin true"] if like.get("admin") else []
    return (f"grant {like['group']} to {like['member']}{' with ' + ', '.join(options) if options else ''}",)


def settings(name: str, like: Like) -> tuple[str, ...]:
    whose = f"role {like.get('role', 'all')}"
    pairs = [str(setting).partition("=") for setting in like["settings"]]
    said = [(key, value or "''" if key in LISTS else literal(value)) for key, _, value in pairs]
    if like.get("here"):
        head = f"alter {whose.replace('%', '%%')} in database %I set"
        return tuple(in_this_database(f"{head} {key} = {value.replace('%', '%%')}") for key, value in said)
    return tuple(f"alter {whose} set {key} = {value}" for key, value in said)


def _collation(name: str, like: Like) -> tuple[str, ...]:
    parts = [f"provider = {like['provider']}"]
    parts += [f"locale = {literal(like['locale'])}"] if "locale" in like else []
    parts += [f"{key} = {literal(like[key])}" for key in ("lc_collate", "lc_ctype") if key in like]
    parts += ["deterministic = false"] if like.get("nondeterministic") else []
    return (f"create collation {name} ({', '.join(parts)})",)


def _cast(name: str, like: Like) -> tuple[str, ...]:
    how = {"i": "with inout", "b": "without function"}.get(like["method"], f"with function {like.get('function')}")
    when = {"a": " as assignment", "i": " as implicit"}.get(like["context"], "")
    return (f"create cast {name} {how}{when}",)


def _sequence(name: str, like: Like) -> tuple[str, ...]:
    kept = "unlogged " if like.get("persistence") == "u" else ""
    return (f"create {kept}sequence {name} as {like['sequence']['type']} {sequence_options(like['sequence'])}",)


def _materialized(name: str, like: Like) -> tuple[str, ...]:
    space = f" tablespace {like['tablespace']}" if "tablespace" in like else ""
    query = like["definition"].rstrip().rstrip(";")
    filled = "with no data" if like.get("empty") else "with data"
    return (f"create materialized view {name}{with_options(like)}{space} as\n{query}\n{filled}",)


# Settings that are lists, kept as they are written: each name in its own quotes.
LISTS = frozenset({"search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"})
ROLE_FLAGS = ("superuser", "bypassrls", "createrole", "createdb", "replication", "login")
MAKERS: dict[str, Callable[[str, Like], tuple[str, ...]]] = {
    "schema": lambda name, like: (f"create schema {name}",),
    "extension": lambda name, like: (
        f"create extension {name} with schema {like['schema']} version {literal(like['version'])}",
    ),
    "enum": lambda name, like: (f"create type {name} as enum ({', '.join(literal(v) for v in like['values'])})",),
    "domain": _domain,
    "composite type": lambda name, like: (f"create type {name} as ({', '.join(like.get('fields', ()))})",),
    "range type": _range,
    "collation": _collation,
    "cast": _cast,
    "sequence": _sequence,
    "column": _column,
    "constraint": _constraint,
    "index": _index,
    "view": lambda name, like: (view(name, like),),
    "materialized view": _materialized,
    "statistics": lambda name, like: (like["definition"],),
    "function": lambda name, like: (like["definition"].rstrip(),),
    "procedure": lambda name, like: (like["definition"].rstrip(),),
    "aggregate": _aggregate,
    "trigger": lambda name, like: (like["definition"],),
    "event trigger": _event_trigger,
    "rule": lambda name, like: (like["definition"].rstrip(";"),),
    "policy": policy,
    "publication": _publication,
    "published table": _published_table,
    "published schema": lambda name, like: (
        f"alter publication {like['publication']} add tables in schema {like['schema']}",
    ),
    "default privileges": lambda name, like: default_privileges(name, standard(name, like), like["privileges"], like),
    "role": lambda name, like: (f"create role {name} {role_options(like)}",),
    "membership": membership,
    "settings": settings,
    "comment": lambda name, like: (f"comment on {commented(like)} is {literal(like['text'])}",),
}
