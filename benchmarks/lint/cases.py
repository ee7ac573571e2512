"""The list of dangerous statements in `tests/dangerous/`, read: the lint's tests and its benchmark judge the same list.

A case is what stands below a line `-- refused: RULE` or `-- accepted`, with `in a contract` where its file is one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bluegreen.postgres import segments
from bluegreen.postgres.files import File
from bluegreen.postgres.spec import Phase

FOLDER = Path(__file__).parent.parent.parent / "tests" / "dangerous"
HEAD = re.compile(r"^-- (?:(refused)( in a contract)?: ([a-z-]+)|(accepted)( in a contract)?)$", re.MULTILINE)
BACKFILL = re.compile(r"^-- bluegreen:backfill (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Case:
    """One script and what is to be said of it; an empty `rule` means nothing."""

    where: str  # file and line of its head
    sql: str
    rule: str
    phase: Phase

    @property
    def file(self) -> File:
        """It as a migration, without the headers that a contract needs."""
        return migration(self.sql, self.phase)


def migration(sql: str, phase: Phase = "expand") -> File:
    """A migration that was never on disk."""
    asked = [segments.read(found[1], sql[: found.start()].count("\n") + 1) for found in BACKFILL.finditer(sql)]
    backfills = tuple(backfill for backfill in asked if backfill)
    return File("012", "case", Path("012_case.sql"), sql, "0" * 64, phase, backfills=backfills)


def cases(folder: Path = FOLDER) -> Sequence[Case]:
    """Every case of a folder, in the order of its files and lines."""
    return [case for path in sorted(folder.glob("*.sql")) for case in _cases(path)]


def in_blocks(page: Path) -> Sequence[Case]:
    """The cases in a page's blocks of SQL, each of which is one."""
    text = page.read_text(encoding="utf-8")
    # What is no SQL becomes blank, so that lines keep their numbers.
    pieces = re.split(r"^```(?:sql)?$", text, flags=re.MULTILINE)
    blank = ["".join(letter for letter in piece if letter == "\n") for piece in pieces]
    return _of("".join(piece if at % 2 else blank[at] for at, piece in enumerate(pieces)), page.name)


def _cases(path: Path) -> Sequence[Case]:
    return _of(path.read_text(encoding="utf-8"), path.name)


def _of(text: str, name: str) -> Sequence[Case]:
    heads = list(HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    found: list[Case] = []
    for head, end in zip(heads, ends, strict=True):
        phase: Phase = "contract" if head[2] or head[5] else "expand"
        where = f"{name}:{text[: head.start()].count(chr(10)) + 1}"
        found.append(Case(where, text[head.end() : end].strip() + "\n", head[3] or "", phase))
    return found
