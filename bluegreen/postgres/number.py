"""The one number of a query that only reads: what a metric asks the database.

Every question has a session of its own, in a read-only transaction that never commits and gives a query two seconds.
The server itself refuses a second statement, so no text can end the transaction and go on writing. It deliberately
takes no values to fill in: the query says everything.
"""

from decimal import Decimal
from typing import Any

from bluegreen.handler import Halt
from bluegreen.postgres.session import NOTHING, Database, Lost, Session, SqlError

READING = "begin transaction read only; set local statement_timeout = '2s'"
TOO_LONG, WRITES = "57014", "25006"  # SQLSTATE


async def number(database: Database, query: str) -> float:
    """The number in the one row and column that the query answers.

    Raises:
        Halt: there is none, or nobody who answers; its `what` is one sentence.
    """
    async with database.session("metric") as session:
        rows = await _rows(session, query)
    if len(rows) != 1 or len(rows[0]) != 1:
        columns = f" of {len(rows[0])} columns" if rows and len(rows[0]) != 1 else ""
        counted = f"{len(rows)} {'row' if len(rows) == 1 else 'rows'}" if rows else "no row"
        raise _numberless(f"The query answers {counted}{columns} instead of one number.")
    return _number(rows[0][0])


async def _rows(session: Session, query: str) -> list[tuple[Any, ...]]:
    try:
        await session.run(READING)
        return await session.rows(query, alone=True)
    except Lost as problem:
        raise _numberless("The database closed the connection before the query was answered.") from problem
    except SqlError as problem:
        if problem.code == TOO_LONG:
            raise _numberless("The query was not answered within 2 s.") from problem
        if problem.code == WRITES:
            raise _numberless(f"The query would write, and a metric only reads: {problem.message}.") from problem
        raise _numberless(f"The database refuses the query: {problem.message}.") from problem


def _number(found: Any) -> float:
    if isinstance(found, int | float | Decimal) and not isinstance(found, bool):
        return float(found)
    kind = "null" if found is None else f"a {type(found).__name__}"
    raise _numberless(f"The query answers {kind}, and a number is needed.")


def _numberless(what: str) -> Halt:
    return Halt(what, world=NOTHING, next="Correct the metric's query.")
