"""A few connections to Postgres, opened when they are needed and kept.

At most so many at once, because a database counts connections and two colours with all their replicas share it; whoever
comes when all are taken waits a little. A connection that broke, or on which work was cut short, is never used again;
one that the server closed meanwhile is noticed before it is used, so a restarted database costs no request that comes
after it.

Deliberately not here: transactions (`sandbox.backend.pages`), retries, a minimum size, a lifetime.
"""

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

MOST = 5
PATIENCE = 3.0  # seconds that a request waits for its turn
CONNECT_SECONDS = 3

Line = psycopg.AsyncConnection[Any]


class Busy(Exception):
    """Every connection is taken, and stayed so."""


class Pool:
    """Connections to one database; never more than `most`, and none before the first request."""

    def __init__(self, url: str, name: str, *, most: int = MOST) -> None:
        self._url, self._name = url, name
        self._turns = asyncio.Semaphore(most)
        self._idle: list[Line] = []

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        """A connection for one piece of work.

        Raises:
            Busy: all are taken.
            psycopg.OperationalError: the database does not answer.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                await self._turns.acquire()
        except TimeoutError:
            raise Busy from None
        try:
            line = await self._take()
            try:
                yield line
            finally:
                await self._put_back(line)
        finally:
            self._turns.release()

    async def close(self) -> None:
        """Close them all. Called when nothing is in flight any more, so all of them are idle."""
        while self._idle:
            await self._idle.pop().close()

    async def _take(self) -> Line:
        while self._idle:
            line = self._idle.pop()  # the last one used: the others may rest
            if not _spoken_to(line):
                return line
            await line.close()
        return await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, application_name=self._name, connect_timeout=CONNECT_SECONDS
        )

    async def _put_back(self, line: Line) -> None:
        if line.closed or line.info.transaction_status is not TransactionStatus.IDLE:
            await line.close()
        else:
            self._idle.append(line)


def _spoken_to(line: Line) -> bool:
    """Whether the server said something on an idle connection; what it says then is goodbye."""
    if line.closed:
        return True
    watch = select.poll()  # select.select() ends at descriptor 1024
    watch.register(line.fileno(), select.POLLIN)
    return bool(watch.poll(0))
