"""A transaction that is tried until it goes through, and never lets others queue for long.

Before each attempt one looks whether the locks that it needs are free, without asking for them. The attempt itself has
50 ms for each lock; if that is not enough it is rolled back and begun again a little later, whole, until the budget is
spent. A wish to stop cancels the statement in hand.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from bluegreen.handler import Halt
from bluegreen.postgres.blockers import Blocker, watch
from bluegreen.postgres.errand import AGAIN, CANCELLED, Errand
from bluegreen.postgres.gate import Gate
from bluegreen.postgres.session import Session, SqlError
from bluegreen.postgres.transaction import Transaction

LOOK_SECONDS = 0.1  # how soon a wish to stop is noticed
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0


class Blocked(Exception):
    """The transaction was rolled back because a lock was not to be had in time."""

    def __init__(self, by: Sequence[Blocker]) -> None:
        super().__init__()
        self.by = tuple(by)


async def attempt_until_through(
    errand: Errand, session: Session, gate: Gate, made: Callable[[str], Transaction]
) -> None:
    """Return when a transaction is committed. `made` makes it anew for each attempt, with its patience for locks.

    Raises:
        Halt: as `apply` does.
    """
    pause, seen = FIRST_PAUSE, tuple[Blocker, ...]()
    async with AsyncExitStack() as opened:
        watcher: Session | None = None
        while True:
            patience = await gate.free(errand, session)
            errand.attempts += 1
            try:
                await _attempt(errand, session, made(patience), watcher)
                errand.through += 1
                return
            except Blocked as blocked:
                seen = blocked.by or seen
            errand.go_on()
            if errand.ctx.now().timestamp() + pause >= errand.end.timestamp():
                raise errand.locked(seen)
            await errand.name(seen)
            await errand.ctx.status(f"{errand.label}: attempt {errand.tries} met a lock")
            watcher = watcher or await _watcher(errand, opened)
            await errand.ctx.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 1.5, LONGEST_PAUSE)


async def run(errand: Errand, session: Session, text: str) -> None:
    """Run a text; a wish to stop cancels it.

    Raises:
        Stopped: it was cancelled on such a wish.
        SqlError: the server refused it.
    """
    work = asyncio.ensure_future(session.run(text))
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=LOOK_SECONDS)
            if errand.asked_to_stop and not work.done():
                await session.cancel()
    finally:
        await _settled(session, work)
    try:
        work.result()
    except SqlError as error:
        if errand.asked_to_stop and error.code == CANCELLED:
            raise errand.stopped() from error
        raise


async def _attempt(errand: Errand, session: Session, transaction: Transaction, watcher: Session | None) -> None:
    work = asyncio.ensure_future(run(errand, session, str(transaction)))
    looking = asyncio.ensure_future(watch(watcher, session.pid, work)) if watcher else None
    try:
        await asyncio.wait({work})
    finally:
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
        seen = await looking if looking else ()
    try:
        work.result()
    except SqlError as error:
        if error.code in AGAIN:
            raise Blocked(seen) from error
        raise errand.failed(transaction.told(error), error, transaction.segment) from error


async def _watcher(errand: Errand, opened: AsyncExitStack) -> Session | None:
    try:
        return await opened.enter_async_context(errand.database.session("blockers"))
    except Halt:
        return None  # no second connection to be had: names are a courtesy


async def _settled(session: Session, work: "asyncio.Task[None]") -> None:
    """Return when the server has ended it; whoever waited for it may be gone."""
    if not work.done():
        await session.cancel()
        await asyncio.wait({work})
    work.exception()  # is looked at by whoever is still there
