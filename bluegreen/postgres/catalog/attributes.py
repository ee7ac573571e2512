"""The attributes of an object that have a statement of their own, and how it is written.

A step knows what the object is like and what it was like, and answers the ways to get there, the first to be tried
first; no way at all where the attribute cannot be turned back.
"""

import re
from collections.abc import Callable, Iterator

from bluegreen.postgres.catalog import makes
from bluegreen.postgres.catalog.drops import Like, commented, drop
from bluegreen.postgres.catalog.identity import parts
from bluegreen.postgres.catalog.makes import literal, option, sequence_options

Ways = tuple[tuple[str, ...], ...]  # one after another is tried, until one goes through
Step = Callable[[str, Like, Like], Ways]
_FIELD = re.compile(r'^("(?:[^"]|"")*"|\S+) (.*)$', re.DOTALL)  # a name, which may have blanks in it, and a type


def _switch(attribute: str, on: str, off: str) -> Step:
    return lambda name, now, then: ((f"alter table {name} {on if then.get(attribute) else off}",),)


def _column(attribute: str, on: str, off: str) -> Step:
    """`on` may name the value as {}."""

    def step(name: str, now: Like, then: Like) -> Ways:
        how = on.format(then[attribute]) if attribute in then else off
        return ((f"alter table {then['on']} alter column {then['name']} {how}",),)

    return step


def _type(name: str, now: Like, then: Like) -> Ways:
    collation = f" collate {then['collation']}" if "collation" in then else ""
    head = f"alter table {then['on']} alter column {then['name']}"
    change = f"{head} type {then['type']}{collation}"
    cast = f"{change} using {then['name']}::{then['type']}"
    # A default that has no cast of its own is in the way, and comes back as what still differs.
    return (change,), (cast,), (f"{head} drop default", cast)


def _identity(name: str, now: Like, then: Like) -> Ways:
    head = f"alter table {then['on']} alter column {then['name']}"
    if "identity" not in then:
        return ((f"{head} drop identity",),)
    options = sequence_options(then["sequence"])
    if "identity" not in now:
        return ((f"{head} add generated {then['identity']} as identity ({options})",),)
    return ((f"{head} set generated {then['identity']}",),)


def _identity_sequence(name: str, now: Like, then: Like) -> Ways:
    if "sequence" not in then or "sequence" not in now:
        return ()
    words = sequence_options(then["sequence"])
    for key in ("start with", "increment by", "minvalue", "maxvalue", "cache", "no cycle"):
        words = words.replace(key, f"set {key}")
    words = words if "set no cycle" in words else words.replace(" cycle", " set cycle")
    return ((f"alter table {then['on']} alter column {then['name']} {words}",),)


def _generated(name: str, now: Like, then: Like) -> Ways:
    head = f"alter table {then['on']} alter column {then['name']}"
    if "generated" not in then:
        return ((f"{head} drop expression",),)
    changed = (f"{head} set expression as ({then['generated']})",)
    again = (
        f"alter table {then['on']} drop column {then['name']}",
        f"alter table {then['on']} add column {makes.column(then)}",
    )
    return (changed, again) if "generated" in now else (again,)


def _options(word: str, attribute: str = "options", prefix: str = "") -> Step:
    return lambda name, now, then: (tuple(_set_and_reset(f"alter {word} {name}", now, then, attribute, prefix)),)


def _set_and_reset(head: str, now: Like, then: Like, attribute: str, prefix: str = "") -> Iterator[str]:
    has = {text.partition("=")[0] for text in now.get(attribute, ())}
    wanted = then.get(attribute, ())
    too_many = sorted(has - {text.partition("=")[0] for text in wanted})
    if too_many:
        yield f"{head} reset ({', '.join(prefix + key for key in too_many)})"
    if wanted:
        yield f"{head} set ({', '.join(prefix + option(text) for text in wanted)})"


def _column_options(name: str, now: Like, then: Like) -> Ways:
    head = f"alter table {then['on']} alter column {then['name']}"
    return (tuple(_set_and_reset(head, now, then, "options")),)


def _replica_identity(name: str, now: Like, then: Like) -> Ways:
    words = {"f": "full", "n": "nothing", None: "default"}
    value = then.get("replicaIdentity")
    return ((f"alter table {name} replica identity {words[value]}",),) if value in words else ()


def _index_identity(name: str, now: Like, then: Like) -> Ways:
    index = parts(name)[-1]
    return ((f"alter table {then['on']} replica identity using index {index}",),) if "replicaIdentity" in then else ()


def _clustered(name: str, now: Like, then: Like) -> Ways:
    index = parts(name)[-1]
    how = f"cluster on {index}" if then.get("clustered") else "set without cluster"
    return ((f"alter table {then['on']} {how}",),)


def _enabled(word: str) -> Step:
    how = {None: "enable", "D": "disable", "R": "enable replica", "A": "enable always"}

    def step(name: str, now: Like, then: Like) -> Ways:
        return ((f"alter table {then['on']} {how[then.get('enabled')]} {word} {then['name']}",),)

    return step


def _event_enabled(name: str, now: Like, then: Like) -> Ways:
    how = {None: "enable", "D": "disable", "R": "enable replica", "A": "enable always"}[then.get("enabled")]
    return ((f"alter event trigger {name} {how}",),)


def _sequence(name: str, now: Like, then: Like) -> Ways:
    return ((f"alter sequence {name} as {then['sequence']['type']} {sequence_options(then['sequence'])}",),)


def _values(name: str, now: Like, then: Like) -> Ways:
    """Renamed values get their names back; a value that was added stays."""
    here, there = now["values"], then["values"]
    if len(here) != len(there):
        return ()
    pairs = [(new, old) for new, old in zip(here, there, strict=True) if new != old]
    if {new for new, _ in pairs} & {old for _, old in pairs}:
        return ()
    return (tuple(f"alter type {name} rename value {literal(new)} to {literal(old)}" for new, old in pairs),)


def _domain_checks(name: str, now: Like, then: Like) -> Ways:
    here, there = now.get("constraints", {}), then.get("constraints", {})
    gone = [f"alter domain {name} drop constraint {key}" for key in sorted(here) if there.get(key) != here[key]]
    back = [
        f"alter domain {name} add constraint {key} {there[key]}" for key in sorted(there) if there[key] != here.get(key)
    ]
    return ((*gone, *back),)


def _fields(name: str, now: Like, then: Like) -> Ways:
    here, there = ([_FIELD.findall(text)[0] for text in each.get("fields", ())] for each in (now, then))
    has, wanted = dict(here), dict(there)
    steps = [f"drop attribute {key}" for key in has if key not in wanted]
    steps += [f"alter attribute {key} type {wanted[key]}" for key in has if key in wanted and has[key] != wanted[key]]
    steps += [f"add attribute {key} {wanted[key]}" for key in wanted if key not in has]
    return (tuple(f"alter type {name} {step}" for step in steps),) if steps else ()


def _settings(name: str, now: Like, then: Like) -> Ways:
    keys = {str(text).partition("=")[0] for text in then["settings"]}
    too_many = {**now, "settings": [text for text in now["settings"] if text.partition("=")[0] not in keys]}
    return ((*drop(f"settings {name}", too_many), *makes.settings(name, then)),)


def _membership(name: str, now: Like, then: Like) -> Ways:
    return ((f"revoke {now['group']} from {now['member']}", *makes.membership(name, then)),)


def _publication(name: str, now: Like, then: Like) -> Ways:
    return ((f"alter publication {name} set ({makes.publication_options(then)})",),)


def _role(name: str, now: Like, then: Like) -> Ways:
    # Only what differs is named: whoever is no superuser may not even repeat what is so already.
    words = [
        (key if then.get(key) else f"no{key}") for key in makes.ROLE_FLAGS if bool(now.get(key)) != bool(then.get(key))
    ]
    if bool(now.get("noinherit")) != bool(then.get("noinherit")):
        words.append("noinherit" if then.get("noinherit") else "inherit")
    if now.get("connections") != then.get("connections"):
        words.append(f"connection limit {then.get('connections', -1)}")
    if now.get("validUntil") != then.get("validUntil"):
        words.append(f"valid until {literal(then.get('validUntil', 'infinity'))}")
    return ((f"alter role {name} {' '.join(words)}",),)


def _tablespace(word: str) -> Step:
    return lambda name, now, then: ((f"alter {word} {name} set tablespace {then.get('tablespace', 'pg_default')}",),)


def _plain(text: str, otherwise: str) -> Step:
    """A statement that names the object and the value, or the object alone where there is none any more."""

    def step(name: str, now: Like, then: Like) -> Ways:
        attribute = text.partition("{then[")[2].partition("]")[0]
        return ((text.format(name=name, then=then) if attribute in then else otherwise.format(name=name),),)

    return step


def _parents(name: str, now: Like, then: Like) -> Ways:
    if "bound" in now or "bound" in then:
        gone = [f"alter table {now['parents'][0]} detach partition {name}"] if "bound" in now else []
        back = [f"alter table {then['parents'][0]} attach partition {name} {then['bound']}"] if "bound" in then else []
        return ((*gone, *back),)
    here, there = now.get("parents", ()), then.get("parents", ())
    steps = [f"no inherit {parent}" for parent in here if parent not in there]
    steps += [f"inherit {parent}" for parent in there if parent not in here]
    return (tuple(f"alter table {name} {step}" for step in steps),)


KNOWN: dict[tuple[str, str], Step] = {
    ("table", "rowSecurity"): _switch("rowSecurity", "enable row level security", "disable row level security"),
    ("table", "forceRowSecurity"): _switch(
        "forceRowSecurity", "force row level security", "no force row level security"
    ),
    ("table", "persistence"): _switch("persistence", "set unlogged", "set logged"),
    ("table", "options"): _options("table"),
    ("table", "toastOptions"): _options("table", "toastOptions", "toast."),
    ("table", "replicaIdentity"): _replica_identity,
    ("table", "tablespace"): _tablespace("table"),
    ("table", "accessMethod"): _plain(
        "alter table {name} set access method {then[accessMethod]}", "alter table {name} set access method heap"
    ),
    ("table", "parents"): _parents,
    ("table", "bound"): _parents,
    ("column", "type"): _type,
    ("column", "collation"): _type,
    ("column", "notNull"): _column("notNull", "set not null", "drop not null"),
    ("column", "default"): _column("default", "set default {}", "drop default"),
    ("column", "generated"): _generated,
    ("column", "identity"): _identity,
    ("column", "sequence"): _identity_sequence,
    ("column", "storage"): _column("storage", "set storage {}", "set storage default"),
    ("column", "compression"): _column("compression", "set compression {}", "set compression default"),
    ("column", "statistics"): _column("statistics", "set statistics {}", "set statistics -1"),
    ("column", "options"): _column_options,
    ("index", "options"): _options("index"),
    ("index", "clustered"): _clustered,
    ("index", "replicaIdentity"): _index_identity,
    ("index", "tablespace"): _tablespace("index"),
    ("view", "options"): _options("view"),
    ("materialized view", "options"): _options("materialized view"),
    ("materialized view", "tablespace"): _tablespace("materialized view"),
    ("sequence", "sequence"): _sequence,
    ("sequence", "ownedBy"): _plain(
        "alter sequence {name} owned by {then[ownedBy]}", "alter sequence {name} owned by none"
    ),
    ("sequence", "persistence"): lambda name, now, then: (
        (f"alter sequence {name} set {'unlogged' if 'persistence' in then else 'logged'}",),
    ),
    ("trigger", "enabled"): _enabled("trigger"),
    ("rule", "enabled"): _enabled("rule"),
    ("event trigger", "enabled"): _event_enabled,
    ("enum", "values"): _values,
    ("domain", "default"): _plain(
        "alter domain {name} set default {then[default]}", "alter domain {name} drop default"
    ),
    ("domain", "notNull"): lambda name, now, then: (
        (f"alter domain {name} {'set' if then.get('notNull') else 'drop'} not null",),
    ),
    ("domain", "constraints"): _domain_checks,
    ("composite type", "fields"): _fields,
    ("extension", "version"): lambda name, now, then: (
        (f"alter extension {name} update to {literal(then['version'])}",),
    ),
    ("extension", "schema"): _plain("alter extension {name} set schema {then[schema]}", ""),
    ("statistics", "target"): _plain(
        "alter statistics {name} set statistics {then[target]}", "alter statistics {name} set statistics -1"
    ),
    ("publication", "publish"): _publication,
    ("publication", "viaRoot"): _publication,
    ("publication", "generated"): _publication,
    ("settings", "settings"): _settings,
    ("membership", "admin"): _membership,
    ("membership", "inherit"): _membership,
    ("membership", "cannotSet"): _membership,
    ("comment", "text"): lambda name, now, then: ((f"comment on {commented(then)} is {literal(then['text'])}",),),
    **{("role", key): _role for key in (*makes.ROLE_FLAGS, "noinherit", "connections", "validUntil")},
}
