"""SQL laid into a scratch database piece by piece, where a piece that does not fit is left out by name.

A dump is cut by the grammar: what stands in the body of a function or in a comment is text and stays text, whatever it
looks like. pg_dump's own remarks between two statements only name what follows them.

All pieces go in one round trip as long as nothing is wrong. A refusal costs the halves of what was sent, again and
again, until it is one piece; the order stays, so what depends on it is refused in its turn and named too.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bluegreen.postgres.scratch.plain import is_setting, layable, quiet
from bluegreen.postgres.session import Session, SqlError
from bluegreen.postgres.statements import Statement, split

# How pg_dump announces each thing in its text.
ENTRY = re.compile(r"^--\n-- Name: (.*?); Type: (.*?); Schema: (.*?); Owner: (.*)\n--\n", re.MULTILINE)
HEADER = "header"
ACL = "ACL"
OWNER_OF = "owner of"
AFTER = frozenset(
    {ACL, OWNER_OF, "COMMENT", "SECURITY LABEL"}
)  # what is said about a thing that has an entry of its own
FORBIDDEN = "42501"  # the server's word for what a role may not do


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing, the SQL that makes it, and whose it is; `parts` are its statements as the grammar knows them."""

    kind: str
    name: str
    sql: str
    owner: str = ""
    parts: tuple[Statement, ...] = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.name}"

    @property
    def trees(self) -> list[Any]:
        return [part.parsed for part in self.parts or split(self.sql)]

    @property
    def layable(self) -> bool:
        """Whether a copy may have it."""
        return layable(self.trees)

    @property
    def quiet(self) -> bool:
        """Whether the superuser may lay it."""
        return layable(self.trees) and quiet(self.trees)


Otherwise = Callable[[Piece], Awaitable[list[Piece]]]  # lays a piece in another way, or answers it as refused


async def laid(session: Session, pieces: Sequence[Piece], otherwise: Otherwise | None = None) -> list[Piece]:
    """Lay the pieces; answers those that the server refuses. `otherwise` has a say in what this session may not lay.

    Raises:
        Lost: no answer came.
    """
    if not pieces:
        return []
    try:
        await session.run("".join(f"{piece.sql}\n;\n" for piece in pieces))
        return []
    except SqlError as problem:
        if len(pieces) == 1:
            if otherwise is None or problem.code != FORBIDDEN:
                return list(pieces)
            return await otherwise(pieces[0])
    middle = len(pieces) // 2
    return [*await laid(session, pieces[:middle], otherwise), *await laid(session, pieces[middle:], otherwise)]


def pieces(dump: str) -> list[Piece]:
    """What a plain dump holds, in its order; its settings come one by one.

    Raises:
        Unparsable: it is no SQL.
    """
    return [_piece(*entry) for entry in _entries(dump)]


def missing(refused: Sequence[Piece]) -> list[str]:
    """Their names; a grant or comment is not named beside the thing that it is about."""
    things = [piece for piece in refused if piece.kind not in AFTER | {HEADER}]
    gone = {piece.name.rpartition(".")[2] for piece in things}
    said = [piece for piece in refused if piece.kind in AFTER and not any(piece.name.endswith(name) for name in gone)]
    return list(dict.fromkeys(str(piece) for piece in [*things, *said]))


Announced = tuple[str, str, str, str]  # name, type, schema, owner


def _entries(dump: str) -> Iterator[tuple[Announced | None, list[Statement]]]:
    """The statements of each thing, under the remark that announces it."""
    announced: Announced | None = None
    together: list[Statement] = []
    end = 0
    for statement in split(dump):
        remarks = ENTRY.findall(dump, end, statement.at)
        setting = is_setting(statement.parsed)
        if together and (remarks or setting):
            yield announced, together
            together = []
        announced = remarks[-1] if remarks else announced
        end = statement.end
        if setting:
            yield None, [statement]
        else:
            together.append(statement)
    if together:
        yield announced, together


def _piece(announced: Announced | None, parts: list[Statement]) -> Piece:
    text = ";\n".join(part.text for part in parts)
    if announced is None:
        return Piece(HEADER, parts[0].text, text, parts=tuple(parts))
    name, kind, schema, owner = announced
    return Piece(kind, name if schema == "-" else f"{schema}.{name}", text, owner, tuple(parts))
