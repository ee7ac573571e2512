"""What a reverse script would lose, counted before it runs.

The script's own guards say where to look and at what; each is asked how many rows it guards instead of whether there
are any. They stay in the script: whatever is written between this look and the drop is still seen by them, unless the
loss was accepted.
"""

import re
from dataclasses import dataclass

from bluegreen.postgres.catalog.script import WOULD_LOSE
from bluegreen.postgres.session import Session

GUARD = re.compile(
    r"^do \$guard\$ begin\n\s+lock table (?P<table>[^\n]+) in share row exclusive mode;\n"
    r".*?exists \(select from (?P=table) where (?P<rows>.+?)\)\n\s+then\n"
    r"\s+raise exception using errcode = '\w+', message = E?'(?P<said>[^\n]*?)', hint = .*?^end \$guard\$",
    re.MULTILINE | re.DOTALL,
)
COLUMNS = re.compile(r"holds values in (.+) that this would lose")
# A policy that hid rows would make a table look empty; without the right to see them all it is an error instead.
BEGIN = "begin read only; set local search_path = ''; set local row_security = off; set local lock_timeout = '1s'"


@dataclass(frozen=True, slots=True)
class Loss:
    """Rows that would go: how many, of which table, and what of it."""

    table: str
    what: str
    rows: int


async def losses(session: Session, script: str) -> tuple[Loss, ...]:
    """Everything that a script guards and that has rows, in the script's order.

    Raises:
        SqlError: it cannot be counted.
    """
    found = [(each["table"], each["rows"], each["said"]) for each in GUARD.finditer(script)]
    if not found:
        return ()
    await session.run(BEGIN)
    try:
        counted = [(await session.rows(_question(table, rows)))[0][0] for table, rows, _ in found]
    finally:
        await session.rows("rollback")
    every = zip(found, counted, strict=True)
    return tuple(Loss(table, _what(table, said), rows) for (table, _, said), rows in every if rows)


def understood(script: str) -> bool:
    """Whether every guard of a script could be asked; one that was written by hand may be of another form."""
    return len(GUARD.findall(script)) == script.count(f"errcode = '{WOULD_LOSE}'")


def _question(table: str, rows: str) -> str:
    return f"select count(*) from {table} where {rows}"


def _what(table: str, said: str) -> str:
    columns = COLUMNS.search(said)
    return f"{table} ({columns[1]})" if columns else table
