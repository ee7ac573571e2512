"""What a statement makes, and what it touches: things, each a kind and a name with its schema."""

from collections.abc import Iterator, Sequence
from typing import Any

from bluegreen.postgres.lint.names import dotted, kind, relation, words

Thing = tuple[str, str]  # "relation", "public.teams"


def makes(node: Any) -> Iterator[Thing]:
    """What a statement makes."""
    match kind(node):
        case "CreateStmt":
            yield "relation", relation(node.relation)
        case "CreateSeqStmt":
            yield "relation", relation(node.sequence)
        case "CreateForeignTableStmt":
            yield "relation", relation(node.base.relation)
        case "CreateTableAsStmt":
            yield "relation", relation(node.into.rel)
        case "SelectStmt" if node.intoClause:
            yield "relation", relation(node.intoClause.rel)
        case "ViewStmt":
            yield "relation", relation(node.view)
        case "IndexStmt" if node.idxname:
            yield "relation", f"{relation(node.relation).partition('.')[0]}.{node.idxname}"
        case "CreateFunctionStmt":
            yield "function", dotted(node.funcname)
        case "CreateEnumStmt" | "CreateRangeStmt":
            yield "type", dotted(node.typeName)
        case "CompositeTypeStmt":
            yield "type", relation(node.typevar)
        case "CreateDomainStmt":
            yield "type", dotted(node.domainname)
        case "CreateSchemaStmt":
            yield "schema", str(node.schemaname or "")
        case "CreateRoleStmt":
            yield "role", str(node.role)
        case "DefineStmt":
            yield "function" if node.kind.name == "OBJECT_AGGREGATE" else "other", dotted(node.defnames)
        case "CreatePolicyStmt":
            yield "policy", f"{relation(node.table)}.{node.policy_name}"
        case "CreateTrigStmt":
            yield "trigger", f"{relation(node.relation)}.{node.trigname}"


OF_RELATION = frozenset({"TABLE", "VIEW", "MATVIEW", "INDEX", "SEQUENCE", "FOREIGN_TABLE"})
ON_RELATION = frozenset({"COLUMN", "TABCONSTRAINT", "POLICY", "TRIGGER", "RULE"})
OF_FUNCTION = frozenset({"FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE"})


def touches(node: Any) -> tuple[Thing, ...]:
    """What a statement changes, makes, takes away, locks or writes to."""
    return tuple(dict.fromkeys((*makes(node), *_touched(node))))


def _touched(node: Any) -> Iterator[Thing]:
    match kind(node):
        case "DropStmt":
            yield from _listed(node.removeType.name.removeprefix("OBJECT_"), node.objects)
        case "RenameStmt" | "AlterObjectSchemaStmt" | "AlterOwnerStmt":
            what = node.renameType if kind(node) == "RenameStmt" else node.objectType
            if node.relation is not None:
                yield "relation", relation(node.relation)
            else:
                yield from _listed(what.name.removeprefix("OBJECT_"), (node.object,))
        case "GrantStmt":
            of = "SCHEMA" if node.targtype.name == "ACL_TARGET_ALL_IN_SCHEMA" else node.objtype.name[7:]
            yield from _listed(of, node.objects or ())
        case "TruncateStmt" | "LockStmt":
            yield from (("relation", relation(each)) for each in node.relations)
        case "VacuumStmt":
            yield from (("relation", relation(each.relation)) for each in node.rels or () if each.relation)
        case "CreatePolicyStmt" | "AlterPolicyStmt":
            yield "relation", relation(node.table)
        case "AlterFunctionStmt":
            yield "function", dotted(node.func)
        case "AlterEnumStmt" | "AlterDomainStmt" | "AlterTypeStmt":
            yield "type", dotted(node.typeName)
        case "AlterSeqStmt":
            yield "relation", relation(node.sequence)
        case "AlterRoleStmt" | "AlterRoleSetStmt":
            yield "role", str(node.role.rolename if node.role else "all")
        case "DropRoleStmt":
            yield from (("role", str(role.rolename)) for role in node.roles)
        case "CommentStmt" | "SecLabelStmt":
            yield from _listed(node.objtype.name[7:], (node.object,))
        case _:
            at = getattr(node, "relation", None)
            if kind(at) == "RangeVar":
                yield "relation", relation(at)


def _listed(of: str, objects: Sequence[Any]) -> Iterator[Thing]:
    """Named objects of one kind; what hangs on a table counts as the table."""
    for named in objects:
        if of in OF_RELATION:
            yield "relation", relation(named) if kind(named) == "RangeVar" else dotted(named)
        elif of in ON_RELATION:
            yield "relation", dotted(words(named)[:-1])
        elif of in OF_FUNCTION:
            yield "function", dotted(named)
        elif of in ("TYPE", "DOMAIN"):
            yield "type", dotted(named)
        elif of == "SCHEMA":
            yield "schema", ".".join(words(named))
        else:
            yield of.lower(), ".".join(words(named))
