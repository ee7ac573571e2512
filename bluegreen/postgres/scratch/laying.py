"""SQL laid into a scratch database piece by piece, where a piece that does not fit is left out by name.

All pieces go in one round trip as long as nothing is wrong. A refusal costs the halves of what was sent, again and
again, until it is one piece; the order stays, so what depends on it is refused in its turn and named too.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bluegreen.postgres.session import Session, SqlError

# How pg_dump announces each thing in its text.
ENTRY = re.compile(r"^--\n-- Name: (.*?); Type: (.*?); Schema: (.*?); Owner: .*\n--\n", re.MULTILINE)
HEADER = "header"
AFTER = frozenset({"ACL", "COMMENT", "SECURITY LABEL"})  # what is said about a thing that has an entry of its own
NOT_COPIED = frozenset({"EVENT TRIGGER", "SUBSCRIPTION", "USER MAPPING"})


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing and the SQL that makes it."""

    kind: str
    name: str
    sql: str

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.name}"


async def laid(session: Session, pieces: Sequence[Piece]) -> list[Piece]:
    """Lay the pieces; answers those that the server refuses.

    Raises:
        Lost: no answer came.
    """
    if not pieces:
        return []
    try:
        await session.run("".join(f"{piece.sql}\n;\n" for piece in pieces))
        return []
    except SqlError:
        if len(pieces) == 1:
            return list(pieces)
    middle = len(pieces) // 2
    return [*await laid(session, pieces[:middle]), *await laid(session, pieces[middle:])]


def pieces(dump: str) -> list[Piece]:
    """What a plain dump holds, in its order; its settings come first, one by one."""
    starts = list(ENTRY.finditer(dump))
    ends = [entry.start() for entry in starts[1:]] + [len(dump)] * bool(starts)
    head = dump[: starts[0].start()] if starts else dump
    found = [Piece(HEADER, line, line.rstrip(";")) for line in _lines(head)]
    for entry, end in zip(starts, ends, strict=True):
        name, kind, schema = entry.groups()
        text = dump[entry.end() : end]
        if entry is starts[-1]:
            text = text.partition("\n--\n-- PostgreSQL database dump complete")[0]
        found.append(Piece(kind, name if schema == "-" else f"{schema}.{name}", text.strip()))
    return found


def missing(refused: Sequence[Piece]) -> list[str]:
    """Their names; a grant or comment is not named beside the thing that it is about."""
    things = [piece for piece in refused if piece.kind not in AFTER | {HEADER}]
    gone = {piece.name.rpartition(".")[2] for piece in things}
    said = [piece for piece in refused if piece.kind in AFTER and not any(piece.name.endswith(name) for name in gone)]
    return [str(piece) for piece in [*things, *said]]


def _lines(head: str) -> Iterator[str]:
    """Settings and nothing else: a dump begins with a command of psql's, which is not SQL."""
    for line in head.splitlines():
        if line.strip() and not line.startswith(("--", "\\")):
            yield line
