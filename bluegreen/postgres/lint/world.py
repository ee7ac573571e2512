"""What a statement meets: the database as it is, what the file has made so far, and what comes after it.

Whether a table is new decides nearly everything: nobody waits for a table that nobody knows yet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bluegreen.postgres.lint.known import Known
from bluegreen.postgres.lint.made import Made, fresh
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.things import Thing, makes, touches
from bluegreen.postgres.spec import Phase

SMALL = 10_000  # rows that are written or read through in a few milliseconds


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
        own = {thing for thing in makes(node) if fresh(node, thing, self.known, certain=True)}
        met = [thing for thing in touches(node) if thing not in own]
        return all(self.new(*thing) for thing in met) if met else bool(own)

    def small(self, table: str) -> bool:
        """Whether the database says that a table has few rows."""
        return self.known is not None and 0 <= self.known.rows.get(table, -1) <= SMALL

    def absent(self, kind: str, name: str) -> bool:
        """Whether the database says that there is no such thing."""
        return self.known is not None and not self.known.has(kind, name)


def worlds(whole: Sequence[Parsed], known: Known | None, phase: Phase) -> Iterator[tuple[Parsed, World]]:
    """Each statement with what it meets, in order."""
    made = Made(known)
    for at, statement in enumerate(whole):
        later = [each for each in whole[at + 1 :] if each.segment == statement.segment]
        yield statement, World(known, phase, frozenset(made.things), whole, later)
        made.take(statement.node, certain=not statement.inner)
