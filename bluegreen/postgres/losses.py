"""What a reverse script would lose, counted before it runs.

The script's own guards say where to look and at what; each is asked how many rows it guards instead of whether there
are any. They stay in the script: whatever is written between this look and the drop is still seen by them. Where a
loss was accepted its guard asks for more rows than those that were counted; the others refuse as before.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bluegreen.postgres.session import Session

GUARD = re.compile(
    r"^do (?P<quote>\$\w+\$) begin\n\s+lock table (?P<table>[^\n]+) in share row exclusive mode;\n"
    r"\s+if (?P<asked>current_setting\('bluegreen\.accept_data_loss', true\) is distinct from 'on'\n"
    r"\s+and exists \(select from (?P=table) where (?P<rows>.+?)\))\n\s+then\n"
    r"\s+raise exception using errcode = 'BG002', message = E?'(?P<said>[^\n]*?)', hint = [^\n]*\n"
    r"\s+end if;\nend (?P=quote)",
    re.MULTILINE | re.DOTALL,
)
COLUMNS = re.compile(r"holds values in (.+?)(?:, of a type that was changed,)? that this would lose")
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


def accepting(script: str, found: Sequence[Loss]) -> str:
    """The script with so many rows given up, and no more; every line stays where it is."""
    given = {loss.what: loss.rows for loss in found}

    def asked(guard: re.Match[str]) -> str:
        rows = given.get(_what(guard["table"], guard["said"]))
        if rows is None:
            return guard[0]
        more = f"(select count(*) from {guard['table']}\n        where {guard['rows']}) > {rows}"
        return guard[0].replace(guard["asked"], more)

    return GUARD.sub(asked, script)


def _question(table: str, rows: str) -> str:
    return f"select count(*) from {table} where {rows}"


def _what(table: str, said: str) -> str:
    columns = COLUMNS.search(said)
    return f"{table} ({columns[1]})" if columns else table
