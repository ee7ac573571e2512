"""GRANT to anon or to PUBLIC.

Problem: `anon` is whoever has the page open; PUBLIC is every role, also the ones that come later. A right that was
given once is in nobody's diff any more.
Solution: grant to `authenticated` or to a role of its own, and let row level security say which rows. What is meant for
everybody (a price list) is allowed with that reason.
Levels: refused. USAGE of a schema, a type or a language is accepted: it opens nothing by itself. Default privileges
count as much as a grant.
Source: Supabase, Database advisors; PostgreSQL manual, 5.8; squawk 2.70 is silent with every rule on.
"""

from collections.abc import Iterator

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import roles
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.world import World

NAME = "grant-to-everybody"
EVERYBODY = ("anon", "public")
USED = ("SCHEMA", "TYPE", "DOMAIN", "LANGUAGE", "FOREIGN_SERVER", "FDW")


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    node = statement.node.action if statement.kind == "AlterDefaultPrivilegesStmt" else statement.node
    if statement.kind == "GrantRoleStmt":
        who, what = list(roles(node.grantee_roles)), "membership of a role"
        given = node.is_grant
    elif statement.kind in ("GrantStmt", "AlterDefaultPrivilegesStmt"):
        rights = [each.priv_name for each in node.privileges or ()]
        who, what = list(roles(node.grantees)), (", ".join(filter(None, rights)) or "every right").upper()
        opens = node.objtype.name.removeprefix("OBJECT_") not in USED or rights != ["usage"]
        given = node.is_grant and opens
    else:
        return
    everybody = [name for name in EVERYBODY if name in who]
    if given and everybody:
        said = f"{what} goes to {' and '.join(everybody)}, which is everybody"
        yield Fault("refuse", said, "Grant to authenticated, or to a role of its own.")
