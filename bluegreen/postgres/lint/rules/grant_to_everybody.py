"""GRANT to anon or to PUBLIC, and of more than rows can guard to the roles of an API.

Problem: `anon` is whoever has the page open; PUBLIC is every role, also the ones that come later. A right that was
given once is in nobody's diff any more. Whoever is signed in is `authenticated`: a membership gives it all that another
role may, BYPASSRLS and SUPERUSER switch the policies off, and WITH GRANT OPTION lets it pass rights on.
Solution: grant to `authenticated` or to a role of its own, and let row level security say which rows. What is meant for
everybody (a price list) is allowed with that reason.
Levels: refused in either phase. USAGE of a schema, a type or a language is accepted: it opens nothing by itself.
Default privileges count as much as a grant.
Source: Supabase, Database advisors; PostgreSQL manual, 5.8; squawk 2.70 is silent with every rule on.
"""

from collections.abc import Iterator
from typing import Any

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import joined, roles
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.world import World

NAME = "grant-to-everybody"
EVERYBODY = ("anon", "public")
API = ("anon", "authenticated", "authenticator")  # whoever asks over the API is one of these
USED = ("SCHEMA", "TYPE", "DOMAIN", "LANGUAGE", "FOREIGN_SERVER", "FDW")
POWERS = {
    "bypassrls": "BYPASSRLS",
    "superuser": "SUPERUSER",
    "createrole": "CREATEROLE",
    "isreplication": "REPLICATION",
}
MEMBERS = ("rolemembers", "adminmembers")


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    node = statement.node.action if statement.kind == "AlterDefaultPrivilegesStmt" else statement.node
    match statement.kind:
        case "GrantRoleStmt" if node.is_grant:
            yield from _member(roles(node.grantee_roles), [str(each.priv_name) for each in node.granted_roles])
        case "CreateRoleStmt" | "AlterRoleStmt":
            yield from _role(node)
        case "GrantStmt" | "AlterDefaultPrivilegesStmt" if node.is_grant:
            yield from _rights(node)


def _member(members: Iterator[str], of: list[str]) -> Iterator[Fault]:
    found = [name for name in members if name in (*API, "public")]
    if found:
        said = f"{joined(found)} may do from then on whatever {joined(of)} may"
        yield Fault("refuse", said, "Grant the rights that are needed, one by one; or use a role of its own.")


def _role(node: Any) -> Iterator[Fault]:
    """ALTER ROLE and CREATE ROLE: powers of the API's roles, and members of others."""
    name = str(node.role) if isinstance(node.role, str) else str(node.role.rolename)
    given = {option.defname: option.arg for option in node.options or ()}
    powers = [said for word, said in POWERS.items() if word in given and getattr(given[word], "boolval", False)]
    if powers and name in API:
        said = f"{joined(powers)} goes to {name}: no policy stops it any more"
        yield Fault("refuse", said, "Use a role of its own, which the API does not become.")
    adds = getattr(node, "action", 1) == 1
    for word in MEMBERS:
        if word in given and adds:
            yield from _member(roles(given[word]), [name])
    if name in API and "addroleto" in given:
        yield from _member(iter([name]), [*roles(given["addroleto"])])


def _rights(node: Any) -> Iterator[Fault]:
    rights = [each.priv_name for each in node.privileges or ()]
    who, what = list(roles(node.grantees)), (", ".join(filter(None, rights)) or "every right").upper()
    opens = node.objtype.name.removeprefix("OBJECT_") not in USED or rights != ["usage"]
    everybody = [name for name in EVERYBODY if name in who]
    if opens and everybody:
        said = f"{what} goes to {' and '.join(everybody)}, which is everybody"
        yield Fault("refuse", said, "Grant to authenticated, or to a role of its own.")
    elif node.grant_option and (passing := [name for name in API if name in who]):
        said = f"{joined(passing)} may pass {what} on to everybody"
        yield Fault("refuse", said, "Leave WITH GRANT OPTION out.")
