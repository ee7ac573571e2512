"""Which schema a name without one is in, by what the file has said so far: temporary tables and the search path.

A name is looked for along the whole path, among what the file has made and what the database is known to have. When in
doubt it is taken for one that exists, never the other way round: after a SET in code, which may not come to it, both
paths are looked along.
"""

from collections.abc import Sequence
from typing import Any

from bluegreen.postgres.lint.known import Known
from bluegreen.postgres.lint.made import Made
from bluegreen.postgres.lint.names import PUBLIC, kind, walk, words
from bluegreen.postgres.lint.things import OF_FUNCTION, OF_RELATION, ON_RELATION

TEMPORARY = "pg_temp"
Path = tuple[str, ...]
USUAL: Path = (PUBLIC,)
# Where a statement keeps the name of what it makes, and of what it changes.
MAKES = {
    "CreateFunctionStmt": "funcname",
    "CreateEnumStmt": "typeName",
    "CreateRangeStmt": "typeName",
    "CreateDomainStmt": "domainname",
    "DefineStmt": "defnames",
}
CHANGES = {
    "AlterFunctionStmt": ("function", "func"),
    "AlterEnumStmt": ("type", "typeName"),
    "AlterDomainStmt": ("type", "typeName"),
    "AlterTypeStmt": ("type", "typeName"),
}
OBJECTS = ("RenameStmt", "AlterOwnerStmt", "AlterObjectSchemaStmt")


class Schemas:
    """The file's search path, statement by statement."""

    def __init__(self, known: Known | None) -> None:
        self._known = known
        self._made = Made(known)
        self._local = False
        self._temporary, self._perhaps = set[str](), set[str]()
        self.paths: tuple[Path, ...] = (USUAL,)

    def begin(self) -> None:
        """Another transaction: what was set for one alone is over, and temporary tables may be."""
        self._temporary.clear()
        if self._local:
            self.paths, self._local = (USUAL,), False

    def place(self, node: Any, certain: bool = True) -> None:
        """Write the schema into the names of one statement, the next that runs."""
        own, nodes = {id(each) for each in self._own(node)}, [*walk(node)]
        tables = [each for each in nodes if kind(each) == "RangeVar"]
        for each in (each for each in tables if each.schemaname is None and each.relpersistence != "t"):
            each.schemaname = self._home() if id(each) in own else self._found("relation", each.relname)
        self._lists(node)
        self._set(node, nodes, certain)
        self._made.take(node, certain)
        temporary = {each.relname for each in tables if each.relpersistence == "t"}
        self._perhaps |= temporary
        if certain and kind(node) in ("CreateStmt", "CreateTableAsStmt", "SelectStmt"):
            self._temporary |= temporary
        if kind(node) == "DropStmt":
            self._temporary -= {words(name)[-1] for name in node.objects if words(name)}
        elif kind(node) in ("RenameStmt", "AlterObjectSchemaStmt") and node.relation is not None:
            self._temporary.discard(node.relation.relname)

    def _own(self, node: Any) -> Sequence[Any]:
        """The name that a statement gives, where a table is made: it is looked for nowhere."""
        match kind(node):
            case "CreateStmt":
                return (node.relation,)
            case "CreateForeignTableStmt":
                return (node.base.relation,)
            case "CreateTableAsStmt":
                return (node.into.rel,)
            case "ViewStmt":
                return (node.view,)
            case "CreateSeqStmt":
                return (node.sequence,)
            case "SelectStmt" if node.intoClause:
                return (node.intoClause.rel,)
            case "CompositeTypeStmt":
                return (node.typevar,)
        return ()

    def _home(self) -> str:
        """Where what is made goes: the first schema of the path that there is."""
        path = self.paths[-1]
        there = (name for name in path if ("schema", name) in self._made.things or self._has("schema", name))
        return next(there, path[0])

    def _found(self, of: str, name: str) -> str:
        if of == "relation" and name in self._temporary:
            return TEMPORARY
        places = [self._along(path, of, name) for path in self.paths]
        old = [place for place in places if not self._new(of, f"{place}.{name}")]
        place = (old or places)[0]
        if of == "relation" and name in self._perhaps and self._known and not self._has(of, f"{place}.{name}"):
            return TEMPORARY
        return place

    def _along(self, path: Path, of: str, name: str) -> str:
        for schema in path:
            if (of, f"{schema}.{name}") in self._made.things or self._has(of, f"{schema}.{name}"):
                return schema
            if self._known is None and ("schema", schema) not in self._made.things:
                return schema  # it may be there
        return next((schema for schema in reversed(path) if ("schema", schema) not in self._made.things), path[-1])

    def _new(self, of: str, name: str) -> bool:
        return (of, name) in self._made.things or ("schema", name.partition(".")[0]) in self._made.things

    def _has(self, of: str, name: str) -> bool:
        return self._known is not None and self._known.has(of, name)

    def _lists(self, node: Any) -> None:
        """Names that are lists of words: functions, types, what is dropped."""
        if kind(node) in MAKES and len(name := words(getattr(node, MAKES[kind(node)]))) == 1:
            setattr(node, MAKES[kind(node)], (self._home(), *name))
        elif kind(node) in CHANGES:
            of, at = CHANGES[kind(node)]
            setattr(node, at, _rewritten(getattr(node, at), self._placed(of, words(getattr(node, at)))))
        elif kind(node) == "DropStmt":
            of = node.removeType.name.removeprefix("OBJECT_")
            node.objects = tuple(_rewritten(name, self._listed(of, words(name))) for name in node.objects)
        elif kind(node) in OBJECTS and node.object is not None:
            what = node.renameType if kind(node) == "RenameStmt" else node.objectType
            name = self._listed(what.name.removeprefix("OBJECT_"), words(node.object))
            node.object = _rewritten(node.object, name)

    def _listed(self, of: str, name: Path) -> Path:
        if of in OF_RELATION:
            return self._placed("relation", name)
        if of in ON_RELATION:
            return (*self._placed("relation", name[:-1]), name[-1])
        if of in OF_FUNCTION:
            return self._placed("function", name)
        return self._placed("type", name) if of in ("TYPE", "DOMAIN") else name

    def _placed(self, of: str, name: Path) -> Path:
        return (self._found(of, name[0]), *name) if len(name) == 1 else name

    def _set(self, node: Any, nodes: Sequence[Any], certain: bool) -> None:
        """Another search path, by SET or by set_config()."""
        if kind(node) == "VariableSetStmt":
            if node.name != "search_path" and node.kind.name != "VAR_RESET_ALL":
                return
            given = [str(getattr(each.val, "sval", "")) for each in node.args or () if kind(each) == "A_Const"]
            self._take(_path(given) if node.args else USUAL, bool(node.is_local), certain)
            return
        for call in (each for each in nodes if kind(each) == "FuncCall" and words(each.funcname)[-1:] == CONFIG):
            text = [str(getattr(getattr(each, "val", None), "sval", "")) for each in call.args or ()]
            if text and text[0].lower() == "search_path" and len(text) == 3:
                self._take(_path([part.strip().strip('"') for part in text[1].split(",")]), False, certain)

    def _take(self, path: Path, local: bool, certain: bool) -> None:
        self.paths = (path,) if certain else tuple(dict.fromkeys((*self.paths, path)))
        self._local = self._local or local


CONFIG = ("set_config",)


def _path(names: Sequence[str]) -> Path:
    return tuple(name for name in names if name and name != "$user") or ("pg_catalog",)


def _rewritten(named: Any, name: Path) -> Any:
    """The node that holds a name, with another one in it."""
    if kind(named) == "ObjectWithArgs":
        named.objname = name
    elif kind(named) == "TypeName":
        named.names = name
    else:
        return name if isinstance(named, tuple) else named
    return named
