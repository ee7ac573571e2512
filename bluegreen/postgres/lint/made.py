"""What a file has made so far: nobody uses that yet.

When in doubt a thing is taken for one that was there. So with IF NOT EXISTS, OR REPLACE and all that code makes, which
may not come to it: that is new only where the database is known not to have it.
"""

from typing import Any

from bluegreen.postgres.lint.known import Known
from bluegreen.postgres.lint.names import kind, relation, words
from bluegreen.postgres.lint.things import Thing, makes, touches

RELATIONS = ("_TABLE", "_VIEW", "_MATVIEW", "_INDEX", "_SEQUENCE")


class Made:
    """The things of a file, statement by statement."""

    def __init__(self, known: Known | None) -> None:
        self._known = known
        self.things = set[Thing]()

    def take(self, node: Any, certain: bool) -> None:
        """One statement more; `certain` where nothing decides whether it runs."""
        match kind(node):
            case "DropStmt":
                self.things -= {*touches(node)}
            case "RenameStmt":
                self._rename(node)
            case "AlterObjectSchemaStmt":
                self._move(node)
            case "ImportForeignSchemaStmt":
                self.things.discard(("schema", str(node.local_schema)))
        self.things |= {thing for thing in makes(node) if fresh(node, thing, self._known, certain)}

    def _rename(self, node: Any) -> None:
        if node.renameType.name == "OBJECT_SCHEMA":
            self.things -= {("schema", str(node.subname)), ("schema", str(node.newname))}
        if node.relation is None or not node.renameType.name.endswith(RELATIONS):
            return
        old = relation(node.relation)
        new = f"{old.partition('.')[0]}.{node.newname}"
        if ("relation", old) in self.things:
            self.things.add(("relation", new))
        else:
            self.things -= {("relation", new), ("schema", old.partition(".")[0])}
        self.things.discard(("relation", old))

    def _move(self, node: Any) -> None:
        """What was there before stays so, also in a schema that is new."""
        old = [thing for thing in touches(node) if thing[0] != "schema"]
        into = words(node.newschema)[-1]
        for of, name in old:
            if (of, name) in self.things:
                self.things.add((of, f"{into}.{name.partition('.')[2]}"))
            else:
                self.things -= {("schema", into), (of, f"{into}.{name.partition('.')[2]}")}
            self.things.discard((of, name))


def fresh(node: Any, thing: Thing, known: Known | None, certain: bool) -> bool:
    """Whether a statement that makes something did make it."""
    tolerant = getattr(node, "replace", False) or getattr(node, "if_not_exists", False)
    if certain and not tolerant:
        return True
    return known is not None and not known.has(*thing)
