"""What of a schema may be laid on a scratch server at all, and what of that as its superuser.

The schema is somebody else's text, the server runs on the machine of whoever deploys, and its superuser may start
programs there. So the grammar decides, never a search through text: a statement is laid if it is one of those that
pg_dump writes and that make, describe or grant something. It is laid as a role without rights of its own; as superuser
only where that one may not, and only if nothing in it is code that runs while it is laid. A function that would start a
program or read a file, or that is written in a language that may, is no part of a copy.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

MAKES = {
    *("CreateSchemaStmt", "CreateStmt", "CreateSeqStmt", "AlterSeqStmt", "ViewStmt", "IndexStmt", "AlterTableStmt"),
    *("CreateFunctionStmt", "AlterFunctionStmt", "CreateTrigStmt", "CreatePolicyStmt", "RuleStmt", "DefineStmt"),
    *("CompositeTypeStmt", "CreateEnumStmt", "CreateRangeStmt", "CreateDomainStmt", "AlterDomainStmt", "AlterTypeStmt"),
    *("CreateOpClassStmt", "CreateOpFamilyStmt", "AlterOpFamilyStmt", "AlterOperatorStmt", "CreateCastStmt"),
    *("CreateConversionStmt", "CreateTransformStmt", "CreateStatsStmt", "AlterStatsStmt", "CreatePublicationStmt"),
    *("AlterPublicationStmt", "CreateFdwStmt", "CreateForeignServerStmt", "CreateForeignTableStmt"),
    *("CreateExtensionStmt", "AlterOwnerStmt", "AlterObjectDependsStmt", "GrantStmt", "AlterDefaultPrivilegesStmt"),
    *("CommentStmt", "SecLabelStmt", "CreateTableAsStmt", "RefreshMatViewStmt"),
}
PEOPLE = {"CreateRoleStmt", "AlterRoleStmt", "GrantRoleStmt", "AlterRoleSetStmt", "AlterDatabaseSetStmt"}  # ours
# What pg_dump sets for itself at the head, for tables, and for whoever granted something.
SETTINGS = {
    *("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout", "xmloption"),
    *("client_encoding", "standard_conforming_strings", "check_function_bodies", "client_min_messages", "row_security"),
    *("default_tablespace", "default_table_access_method", "default_with_oids", "session_authorization"),
}
LOADS = re.compile(r"librar|control_path|_command$", re.IGNORECASE)  # settings that name files or programs
LANGUAGES = {"sql", "plpgsql", "plperl", "pltcl", "plv8"}  # trusted: they reach nothing outside of the database
REACHES = re.compile(
    r"\b(to|from)\s+program\b|\blo_(import|export)\b|\bpg_(read|write|stat|ls)_?\w*(file|dir)\w*\b|\bload\s+'",
    re.IGNORECASE,
)
UNTRUSTED = frozenset(  # extensions that start programs, read files or open connections on the machine they run on
    {"plpython3u", "plpython2u", "plpythonu", "plperlu", "pltclu", "pljavau", "plsh", "plr", "file_fdw", "adminpack"}
)
REACHING = frozenset({"pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"})
EVALUATED = {"AlterTableStmt", "AlterDomainStmt", "IndexStmt", "CreateTableAsStmt"}


def layable(trees: Iterable[Any]) -> bool:
    """Whether all of these are statements that a copy may have."""
    return all(_layable(tree) for tree in trees)


def quiet(trees: Iterable[Any]) -> bool:
    """Whether nothing of somebody else's runs while these are laid, so that the superuser may lay them."""
    return all(
        type(tree).__name__ != "RefreshMatViewStmt" and (type(tree).__name__ not in EVALUATED or not _calls(tree))
        for tree in trees
    )


def is_setting(tree: Any) -> bool:
    """Whether it sets something for the session that lays."""
    if type(tree).__name__ == "VariableSetStmt":
        return str(tree.name) != "session_authorization"
    return type(tree).__name__ == "SelectStmt"


def new_owner(tree: Any) -> str:
    """Who owns something after this statement, if that is what it says."""
    kind = type(tree).__name__
    if kind == "AlterOwnerStmt":
        return str(tree.newowner.rolename or "")
    if kind == "AlterTableStmt":
        return next((str(one.newowner.rolename or "") for one in tree.cmds if one.subtype.name == "AT_ChangeOwner"), "")
    return ""


def _layable(tree: Any) -> bool:
    kind = type(tree).__name__
    if kind == "VariableSetStmt":
        return str(tree.name) in SETTINGS
    if kind == "SelectStmt":
        return _without_search_path(tree)
    if kind == "CreateFunctionStmt":
        return _trusted(tree.options or ())
    if kind == "CreateTableAsStmt":
        return bool(tree.into.skipData) and tree.objtype.name == "OBJECT_MATVIEW"
    if kind == "CreateSchemaStmt":
        return not tree.schemaElts
    if kind == "CreateExtensionStmt":
        return str(tree.extname) not in UNTRUSTED
    return kind in MAKES | PEOPLE


def _without_search_path(tree: Any) -> bool:
    """`SELECT pg_catalog.set_config('search_path', '', false)`, and no other question."""
    from pglast.parser import parse_sql

    expected = parse_sql("select pg_catalog.set_config('search_path', '', false)")[0].stmt
    return bool(tree == expected)


def _trusted(options: Sequence[Any]) -> bool:
    for option in options:
        if option.defname == "language" and str(option.arg.sval).lower() not in LANGUAGES:
            return False
        if option.defname == "set" and LOADS.search(str(option.arg.name)):
            return False
        if option.defname == "as" and any(REACHES.search(str(part.sval)) for part in option.arg):
            return False
    return True


def _calls(tree: Any) -> bool:
    """Whether a function, an operator or a type that is not Postgres's own stands in it."""
    from pglast import ast
    from pglast.visitors import Visitor

    found: list[Any] = []

    class Calls(Visitor):
        def visit_FuncCall(self, ancestors: Any, node: ast.FuncCall) -> None:
            found.extend(_foreign(node.funcname))

        def visit_A_Expr(self, ancestors: Any, node: ast.A_Expr) -> None:
            found.extend(_foreign(node.name))

        def visit_TypeCast(self, ancestors: Any, node: ast.TypeCast) -> None:
            found.extend(_foreign(node.typeName.names if node.typeName else ()))

    Calls()(tree)
    return bool(found)


def _foreign(names: Sequence[Any] | None) -> list[str]:
    names = names or ()
    return [str(names[0].sval)] if len(names) > 1 and str(names[0].sval) != "pg_catalog" else []
