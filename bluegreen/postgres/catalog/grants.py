"""Privileges as GRANT and REVOKE: from what somebody holds to what they shall hold, object by object."""

from collections.abc import Mapping

Held = Mapping[str, str]  # by role: `SELECT, INSERT*`, or ALL; a star is the grant option

PLACES = {
    "table": "table",
    "foreign table": "table",
    "view": "table",
    "materialized view": "table",
    "sequence": "sequence",
    "function": "routine",
    "procedure": "routine",
    "aggregate": "routine",
    "schema": "schema",
    "enum": "type",
    "domain": "type",
    "composite type": "type",
    "range type": "type",
    "base type": "type",
    "language": "language",
    "foreign data wrapper": "foreign data wrapper",
    "server": "foreign server",
}


def grants(on: str, here: Held, there: Held, *, column: str = "", prefix: str = "") -> tuple[str, ...]:
    """What turns `here` into `there` on one thing (`table public.teams`); `prefix` is that of default privileges."""
    statements: list[str] = []
    for who in sorted({*here, *there}, key=lambda role: (role != "public", role)):
        had, shall = _split(here.get(who, "")), _split(there.get(who, ""))
        if had == shall:
            continue
        starred = any(part.endswith("*") for part in (*had, *shall))
        if starred or (had - shall and "ALL" in had | shall):
            lost, given = had and {"ALL"}, shall
        else:
            lost, given = had - shall, shall - had
        if lost:
            statements.append(f"{prefix}revoke {_listed(lost, column)} on {on} from {who}")
        plain = {part for part in given if not part.endswith("*")}
        again = {part[:-1] for part in given if part.endswith("*")}
        if plain:
            statements.append(f"{prefix}grant {_listed(plain, column)} on {on} to {who}")
        if again:
            statements.append(f"{prefix}grant {_listed(again, column)} on {on} to {who} with grant option")
    return tuple(statements)


def _split(text: str) -> set[str]:
    return {part.strip() for part in text.split(",") if part.strip()}


def _listed(privileges: set[str], column: str) -> str:
    inside = f" ({column})" if column else ""
    return ", ".join(f"{privilege.lower()}{inside}" for privilege in sorted(privileges))
