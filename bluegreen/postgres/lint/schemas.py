"""Which schema a name without one is in: what the file itself says of it, by temporary tables and SET search_path.

A name that is read wrongly is taken for one that exists, never the other way round.
"""

from typing import Any

from bluegreen.postgres.lint.names import kind, walk, words

TEMPORARY = "pg_temp"


class Schemas:
    """The file's search path, statement by statement."""

    def __init__(self) -> None:
        self._first: str | None = None
        self._temporary = set[str]()

    def place(self, node: Any) -> None:
        """Write the schema into the names of one statement, the next of the file."""
        ranges = [each for each in walk(node) if kind(each) == "RangeVar"]
        self._temporary |= {each.relname for each in ranges if each.relpersistence == "t"}
        for each in ranges:
            if each.schemaname is None and each.relname in self._temporary:
                each.schemaname = TEMPORARY
            elif each.schemaname is None and self._first is not None:
                each.schemaname = self._first
        if kind(node) == "DropStmt" and node.removeType.name == "OBJECT_TABLE":
            node.objects = tuple(self._dropped(words(name)) for name in node.objects)
        elif kind(node) == "CreateFunctionStmt" and self._first is not None and len(node.funcname) == 1:
            node.funcname = (self._first, *words(node.funcname))
        elif kind(node) == "VariableSetStmt" and node.name == "search_path":
            path = [str(getattr(each.val, "sval", "")) for each in node.args or () if kind(each) == "A_Const"]
            self._first = next((name for name in path if name != "$user"), "pg_catalog" if node.args else None)

    def _dropped(self, name: tuple[str, ...]) -> tuple[str, ...]:
        return (TEMPORARY, *name) if len(name) == 1 and name[0] in self._temporary else name
