"""What a statement meets: the database as it is, what the file has made so far, and what comes after it.

Whether a table is new decides nearly everything: nobody waits for a table that nobody knows yet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bluegreen.postgres.lint.known import Known
from bluegreen.postgres.lint.names import dotted, kind, relation, words
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.spec import Phase

SMALL = 10_000  # rows that are written or read through in a few milliseconds
Thing = tuple[str, str]  # "relation", "public.teams"


@dataclass(frozen=True, slots=True)
class World:
    """What one statement meets. `whole` is the file; `later` is what runs after it in the same transaction."""

    known: Known | None
    phase: Phase
    made: frozenset[Thing]
    whole: Sequence[Parsed]
    later: Sequence[Parsed]

    def new(self, kind: str, name: str) -> bool:
        """Whether the file itself has made it, before this statement."""
        schema, _, _ = name.partition(".")
        # Functions of one name may be several, and which one is meant is not looked at: then it is the older one.
        if kind == "function" and self.known is not None and name in self.known.functions:
            return False
        return (kind, name) in self.made or schema == "pg_temp" or ("schema", schema) in self.made

    def exists(self, table: str) -> bool:
        """Whether a relation may be in use already."""
        return not self.new("relation", table)

    def only_new(self, node: Any) -> bool:
        """Whether a statement is about nothing but what the file has made, before or by this very statement."""
        fresh = {thing for thing in makes(node) if not _was_there(node, thing, self.known)}
        met = [thing for thing in touches(node) if thing not in fresh]
        return all(self.new(*thing) for thing in met) if met else bool(fresh)

    def small(self, table: str) -> bool:
        """Whether the database says that a table has few rows."""
        return self.known is not None and 0 <= self.known.rows.get(table, -1) <= SMALL

    def absent(self, kind: str, name: str) -> bool:
        """Whether the database says that there is no such thing."""
        return self.known is not None and not self.known.has(kind, name)


def worlds(whole: Sequence[Parsed], known: Known | None, phase: Phase) -> Iterator[tuple[Parsed, World]]:
    """Each statement with what it meets, in order."""
    made: set[Thing] = set()
    for at, statement in enumerate(whole):
        later = [each for each in whole[at + 1 :] if each.segment == statement.segment]
        yield statement, World(known, phase, frozenset(made), whole, later)
        made |= {thing for thing in makes(statement.node) if not _was_there(statement.node, thing, known)}
        if renamed := _renamed(statement.node, made):
            made.add(renamed)


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


def _was_there(node: Any, thing: Thing, known: Known | None) -> bool:
    """Whether a statement that tolerates what exists did not make it."""
    if getattr(node, "replace", False):
        return known is None or known.has(*thing)
    return bool(getattr(node, "if_not_exists", False)) and known is not None and known.has(*thing)


def _renamed(node: Any, made: set[Thing]) -> Thing | None:
    if kind(node) != "RenameStmt" or node.relation is None or not node.renameType.name.endswith(RELATIONS):
        return None
    old = relation(node.relation)
    return ("relation", f"{old.partition('.')[0]}.{node.newname}") if ("relation", old) in made else None


RELATIONS = ("_TABLE", "_VIEW", "_MATVIEW", "_INDEX", "_SEQUENCE")
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
