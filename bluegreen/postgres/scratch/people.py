"""The roles of a database, made on a scratch server: their attributes, memberships and settings, never a password.

Without one nobody but the owner can log in there. A setting with a dot in its name may hold anything, a secret too, so
it stays behind, and so do those that load libraries, which are not there. Nor does anybody reach the files and programs
of the machine that the copy is on: those memberships stay behind as well.
"""

import re
from collections.abc import Iterator, Sequence

from bluegreen.postgres.scratch.cluster import SUPERUSER
from bluegreen.postgres.scratch.laying import Piece
from bluegreen.postgres.scratch.plain import LOADS, REACHING
from bluegreen.postgres.scratch.server import quoted
from bluegreen.postgres.scratch.source import Role, Source

ATTRIBUTES = ("login", "superuser", "inherit", "createrole", "createdb", "replication", "bypassrls")
RAW = frozenset({"search_path", "temp_tablespaces"})  # lists, kept as they are written
NAME = re.compile(r'\s*(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^\s,"]+))\s*(?:,(?=.)|$)', re.DOTALL)
OPTIONS_SINCE = 16  # a membership can be without inheriting or setting


def people(source: Source, there: frozenset[str], major: int) -> list[Piece]:
    """Every role of the source with what it is and may become, but for what reaches out of the database."""
    return [
        *(_role(role, there) for role in source.roles if role.name != SUPERUSER),
        *_memberships(source, major),
    ]


def settings(source: Source, database: str) -> tuple[list[Piece], list[str]]:
    """What is set for roles and for the database; and what is left out."""
    wanted, left_out = [], []
    for role, here, name, value in source.settings:
        scope = f" in database {quoted(database)}" if here and role else ""
        whose = f"role {quoted(role)}{scope}" if role else f"database {quoted(database)}"
        label = f"{name} of {role if role else 'the database'}"
        said = _value(name, value)
        if "." in name or LOADS.search(name) or said is None:
            left_out.append(f"setting {label}")
        elif role or here:
            wanted.append(Piece("setting", label, f"alter {whose} set {quoted(name)} = {said}"))
    return wanted, left_out


def unreached(source: Source) -> list[str]:
    """The memberships that stay behind, by name."""
    return [f"membership of {member} in {role}" for role, member, *_ in source.members if role in REACHING]


def literal(text: str) -> str:
    """A text as SQL, whatever `standard_conforming_strings` says."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


def _role(role: Role, there: frozenset[str]) -> Piece:
    words = [name if getattr(role, name) else f"no{name}" for name in ATTRIBUTES]
    verb = "alter" if role.name in there else "create"
    return Piece("role", role.name, f"{verb} role {quoted(role.name)} {' '.join(words)}")


def _memberships(source: Source, major: int) -> Iterator[Piece]:
    seen: set[tuple[str, str]] = set()
    for role, member, admin, inherits, sets in source.members:
        if role in REACHING or ((role, member) in seen and not admin):
            continue
        seen.add((role, member))
        options = f"admin {str(bool(admin)).lower()}"
        if inherits is not None:
            options += f", inherit {str(inherits).lower()}, set {str(sets).lower()}"
        granted = f"grant {quoted(role)} to {quoted(member)}"
        if major >= OPTIONS_SINCE:
            yield Piece("membership", f"of {member} in {role}", f"{granted} with {options}")
        else:
            yield Piece("membership", f"of {member} in {role}", granted + (" with admin option" if admin else ""))


def listed(value: str) -> list[str] | None:
    """The names in a list as Postgres keeps it; None if it is none.

    Whatever stands there was checked as a list of names and as nothing else: `a;drop` is a name to it.
    """
    names, at = [], 0
    while at < len(value):
        found = NAME.match(value, at)
        if found is None:
            return None
        plain, doubled = found["plain"], found["quoted"]
        names.append(plain.lower() if plain is not None else doubled.replace('""', '"'))
        at = found.end()
    return names


def _value(name: str, value: str) -> str | None:
    if name not in RAW:
        return literal(value)
    names = listed(value)
    return None if names is None else ", ".join(literal(each) for each in names) or "''"


def bare(names: Sequence[str], there: frozenset[str]) -> list[Piece]:
    """Roles of which nothing is known but the name."""
    return [Piece("role", name, f"create role {quoted(name)} nologin") for name in names if name not in there]
