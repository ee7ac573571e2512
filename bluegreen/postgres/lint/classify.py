"""What a statement is to the release that runs while it is applied: expand, contract, restriction, data or neutral.

*contract* takes something away or changes its meaning. *restriction* is accepted only once the new release writes what
is asked for from then on. *expand* adds, *data* writes rows, *neutral* does neither. What the file made itself nobody
uses yet, so anything may be done to it. This reads the statement alone; the catalog's difference is the other witness.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from bluegreen.postgres.lint.findings import Class, Kind
from bluegreen.postgres.lint.names import kind
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.things import touches
from bluegreen.postgres.lint.world import World

ORDER: tuple[Class, ...] = ("neutral", "expand", "data", "restriction", "contract")


def classify(statement: Parsed, world: World) -> Kind:
    """One statement's kind; what stands inside of its code is classified by itself."""
    things = touches(statement.node)
    classes = [cls for _, cls in parts(statement.node)]
    cls: Class = max(classes, key=ORDER.index, default="neutral")
    new = world.only_new(statement.node) and all(world.new("relation", name) for name in statement.writes)
    if new and cls in ("contract", "restriction"):
        cls = "expand"
    if absent(statement.node, world):
        cls = "neutral"
    return Kind(
        number=statement.number,
        line=statement.line,
        what=what(statement),
        cls=cls,
        objects=tuple(f"{of} {name}" for of, name in things),
        rows=bool(statement.writes),
        writes=statement.writes,
    )


def worst(kinds: list[Kind]) -> Kind:
    """The kinds of one statement and of what stands inside of it, as one."""
    cls = max((each.cls for each in kinds), key=ORDER.index)
    objects = tuple(dict.fromkeys(name for each in kinds for name in each.objects))
    writes = tuple(dict.fromkeys(name for each in kinds for name in each.writes))
    update = {"cls": cls, "objects": objects, "rows": any(each.rows for each in kinds), "writes": writes}
    return kinds[0].model_copy(update=update)


def what(statement: Parsed) -> str:
    """What a person calls it: `ALTER TABLE ADD COLUMN`, `CREATE UNIQUE INDEX`."""
    node = statement.node
    match kind(node):
        case "AlterTableStmt":
            return f"ALTER {_of(node.objtype)} {', '.join(dict.fromkeys(said for said, _ in parts(node)))}"
        case "DropStmt":
            return f"DROP {_of(node.removeType)}"
        case "RenameStmt":
            return f"RENAME {_of(node.renameType)}"
        case "IndexStmt":
            unique, alone = " UNIQUE" * node.unique, " CONCURRENTLY" * node.concurrent
            return f"CREATE{unique} INDEX{alone}"
    if kind(node) in WRITING:
        return WRITING[kind(node)]
    words = re.findall(r"[A-Za-z_]+", re.sub(r"/\*.*?\*/|--[^\n]*", " ", statement.text, flags=re.DOTALL))
    upper = [word.upper() for word in words[:8] if word.upper() not in ("OR", "REPLACE", "UNLOGGED", "TEMP")]
    return " ".join(upper[: 1 if upper[:1] in ONE else 3 if upper[1:2] in THREE else 2])


def _of(kind_of_object: Any) -> str:
    name = str(kind_of_object.name).removeprefix("OBJECT_").replace("_", " ")
    return CALLED.get(name, name)


CALLED = {"MATVIEW": "MATERIALIZED VIEW", "TABCONSTRAINT": "CONSTRAINT", "STATISTIC EXT": "STATISTICS"}
WRITING = {
    "SelectStmt": "SELECT",
    "InsertStmt": "INSERT",
    "UpdateStmt": "UPDATE",
    "DeleteStmt": "DELETE",
    "MergeStmt": "MERGE",
}
SAID = "DO CALL SET RESET SHOW GRANT REVOKE TRUNCATE LOCK VACUUM ANALYZE CLUSTER COMMENT COPY EXPLAIN PREPARE EXECUTE"
ONE = [[word] for word in SAID.split()]
THREE = [[word] for word in ("MATERIALIZED", "DEFAULT", "EVENT", "FOREIGN")]


def parts(node: Any) -> Iterator[tuple[str, Class]]:
    """What a statement does, piece by piece, to something that exists."""
    if kind(node) == "AlterTableStmt":
        yield from (_command(command, node) for command in node.cmds)
    else:
        of = kind(node)
        cls = CLASSES.get(of, "neutral")
        yield of, cls if isinstance(cls, str) else cls(node)


def absent(node: Any, world: World) -> bool:
    """Whether a DROP … IF EXISTS has nothing to drop, as the database knows."""
    things = touches(node)
    tolerant = kind(node) == "DropStmt" and node.missing_ok
    return bool(tolerant and things) and all(of in SEEN and world.absent(of, name) for of, name in things)


SEEN = ("relation", "function", "type", "schema")


def _command(command: Any, node: Any) -> tuple[str, Class]:
    name = command.subtype.name.removeprefix("AT_")
    said = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).upper()
    if name == "ColumnDefault":
        return ("SET DEFAULT", "expand") if command.def_ is not None else ("DROP DEFAULT", "restriction")
    if name == "AddColumn":
        return said, "restriction" if demands(command.def_) else "expand"
    if name == "AddConstraint":
        return said, constraint(command.def_)
    if name in ("SetRelOptions", "ResetRelOptions"):
        return said, "restriction" if node.objtype.name == "OBJECT_VIEW" else "neutral"
    return said.replace("ROW SECURITY", "ROW LEVEL SECURITY"), COMMANDS.get(name, "restriction")


def demands(column: Any) -> bool:
    """Whether a new column refuses rows of those who do not know it."""
    kinds = {each.contype.name.removeprefix("CONSTR_") for each in column.constraints or ()}
    filled = kinds & {"DEFAULT", "GENERATED", "IDENTITY"} or _serial(column)
    required = column.is_not_null or kinds & {"NOTNULL", "PRIMARY"}
    same = "DEFAULT" in kinds and kinds & {"UNIQUE", "PRIMARY"} and _same(column)
    return bool((required and not filled) or same)


def _same(column: Any) -> bool:
    """Whether a column's default is the same for every row."""
    default = next(each.raw_expr for each in column.constraints if each.contype.name == "CONSTR_DEFAULT")
    return kind(default) == "A_Const" or (kind(default) == "TypeCast" and kind(default.arg) == "A_Const")


def _serial(column: Any) -> bool:
    return bool(column.typeName) and str(column.typeName.names[-1].sval).lower() in SERIAL


SERIAL = frozenset({"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"})


def _deletes(merge: Any) -> bool:
    return any(clause.commandType.name == "CMD_DELETE" for clause in merge.mergeWhenClauses or ())


def constraint(given: Any) -> Class:
    """A constraint that comes to a table."""
    of = given.contype.name.removeprefix("CONSTR_")
    return "restriction" if of == "FOREIGN" or given.skip_validation else "contract"


COMMANDS: dict[str, Class] = {
    **dict.fromkeys(
        ("DropNotNull", "ValidateConstraint", "AttachPartition", "SetLogged", "SetUnLogged", "SetTableSpace"), "expand"
    ),
    **dict.fromkeys(("SetAccessMethod", "AddIdentity"), "expand"),
    **dict.fromkeys(("SetStatistics", "SetOptions", "ResetOptions", "SetStorage", "SetCompression"), "neutral"),
    **dict.fromkeys(("ClusterOn", "DropCluster"), "neutral"),
    **dict.fromkeys(("DropColumn", "AlterColumnType", "SetNotNull", "DropConstraint", "ChangeOwner"), "contract"),
    **dict.fromkeys(("DetachPartition", "DropInherit", "SetExpression", "DropExpression", "DropIdentity"), "contract"),
    **dict.fromkeys(("EnableRowSecurity", "DisableRowSecurity", "ForceRowSecurity", "NoForceRowSecurity"), "contract"),
    **dict.fromkeys(("DisableTrig", "DisableTrigAll", "DisableTrigUser", "DisableRule"), "contract"),
}
MADE = "CreateStmt CreateForeignTableStmt CreateTableAsStmt ViewStmt CreateSeqStmt CreateFunctionStmt CreateEnumStmt"
MADE += " CompositeTypeStmt CreateRangeStmt CreateDomainStmt CreateSchemaStmt CreateExtensionStmt DefineStmt"
MADE += " CreateOpClassStmt CreateOpFamilyStmt CreateConversionStmt CreateTransformStmt CreateFdwStmt CreatePLangStmt"
MADE += " CreateForeignServerStmt CreateAmStmt CreateUserMappingStmt ImportForeignSchemaStmt CreateSubscriptionStmt"
MADE += " CreateRoleStmt CreateStatsStmt CreatePublicationStmt CreateCastStmt RefreshMatViewStmt"
TAKEN = "DropStmt DropOwnedStmt DropRoleStmt DropdbStmt TruncateStmt DeleteStmt RenameStmt AlterObjectSchemaStmt"
TAKEN += " AlterOwnerStmt ReassignOwnedStmt DropUserMappingStmt DropTableSpaceStmt DropSubscriptionStmt"
LIMITED = "CreateTrigStmt CreateEventTrigStmt CreatePolicyStmt AlterPolicyStmt RuleStmt AlterSeqStmt"
LIMITED += " AlterRoleStmt AlterRoleSetStmt AlterDatabaseSetStmt AlterDatabaseStmt AlterSystemStmt AlterExtensionStmt"
LIMITED += " AlterEventTrigStmt AlterExtensionContentsStmt AlterTypeStmt"
WRITTEN = "InsertStmt UpdateStmt"
# Of ALTER DOMAIN: SET NOT NULL, ADD and DROP CONSTRAINT, DROP NOT NULL, VALIDATE; left is the default.
DOMAIN: dict[str, Class] = {"O": "restriction", "C": "restriction", "X": "contract", "N": "expand", "V": "expand"}
CLASSES: dict[str, Class | Callable[[Any], Class]] = {
    **dict.fromkeys(MADE.split(), "expand"),
    **dict.fromkeys(TAKEN.split(), "contract"),
    **dict.fromkeys(LIMITED.split(), "restriction"),
    **dict.fromkeys(WRITTEN.split(), "data"),
    "IndexStmt": lambda node: "restriction" if node.unique else "expand",
    "GrantStmt": lambda node: "expand" if node.is_grant else "contract",
    "GrantRoleStmt": lambda node: "expand" if node.is_grant else "contract",
    "AlterEnumStmt": lambda node: "contract" if node.oldVal else "expand",
    "SelectStmt": lambda node: "expand" if node.intoClause else "neutral",
    "AlterFunctionStmt": "expand",
    "AlterPublicationStmt": lambda node: "expand" if node.action.name == "AP_AddObjects" else "contract",
    "MergeStmt": lambda node: "contract" if _deletes(node) else "data",
    "CopyStmt": lambda node: "data" if node.is_from else "neutral",
    "AlterDomainStmt": lambda node: DOMAIN.get(node.subtype, "restriction" if node.def_ is None else "expand"),
}
