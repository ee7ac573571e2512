"""Who is at work in the database and in the way of what comes next: who waits, who holds on, who forgot a transaction.

What a role may not see is said and never taken for calm. It deliberately ends nobody: hints say how to.
"""

from collections.abc import Sequence
from typing import Any

from bluegreen.validation.check import Room, Seen, check
from bluegreen.validation.queries import OURS, WITHIN, base, sees_all

GROUP = "database"
WAITING, OPEN, IDLE = 5.0, 300.0, 60.0  # seconds from which somebody waits, works or sleeps for too long
END = "select pg_terminate_backend({pid});"


@check(
    "database-locks",
    group=GROUP,
    within=WITHIN,
    expected="nobody waits longer than 5 s for a lock",
    hint="End whoever is in the way.",
)
async def locks(room: Room) -> Sequence[Seen]:
    return [_wait(*row) for row in (await waits(room))[:5]] or [Seen(True, "nobody waits")]


async def waits(room: Room) -> Sequence[Any]:
    """Everybody who waits for a lock for too long.

    Raises:
        Skip: the database cannot be asked.
    """
    return [row for row in (await base(room)).rows("waits") if row[3] >= WAITING]


def _wait(
    pid: int, app: str, user: str, seconds: float, thing: str, by: int, theirs: str, who: str, since: float | None
) -> Seen:
    age = f", whose transaction is open for {since:.0f} s" if since is not None else ""
    blocker = f"process {by}{_called(theirs, who)}{age}" if by else "a prepared transaction"
    hint = f"End it: {END.format(pid=by)}" if by else "ROLLBACK PREPARED it; pg_prepared_xacts names it."
    if theirs.startswith(OURS):
        hint = "Let it end, then validate again: that is bluegreen's own work."
    said = f"process {pid}{_called(app, user)} waits for {thing} since {seconds:.0f} s, because of {blocker}"
    return Seen(False, said, about=str(pid), hint=hint)


@check(
    "database-transactions",
    group=GROUP,
    within=WITHIN,
    expected="no transaction is open for more than 5 min",
    hint="Wait for it, or end it.",
)
async def transactions(room: Room) -> Sequence[Seen]:
    old = [row for row in await _transactions(room) if row[3] >= OPEN]
    return [
        Seen(
            False,
            f"process {pid}{_called(app, user)} is in a transaction for {seconds:.0f} s ({state})",
            about=str(pid),
            hint=f"A migration would wait for it. Let it end, or end it: {END.format(pid=pid)}",
        )
        for pid, app, user, seconds, state, _ in old[:5]
    ] or [Seen(True, "none is that old")]


@check(
    "database-idle-transactions",
    group=GROUP,
    within=WITHIN,
    severity="warn",
    expected="nobody sleeps in a transaction for more than 1 min",
    hint="Find the client that forgot its COMMIT.",
)
async def idle(room: Room) -> Sequence[Seen]:
    asleep = [
        row
        for row in await _transactions(room)
        if row[4].startswith("idle in transaction") and row[5] >= IDLE and row[3] < OPEN
    ]
    return [
        Seen(
            False,
            f"process {pid}{_called(app, user)} sleeps in a transaction for {asleep_for:.0f} s",
            about=str(pid),
            hint="Find the client that forgot its COMMIT, set idle_in_transaction_session_timeout for its role, or end "
            f"it: {END.format(pid=pid)}",
        )
        for pid, app, user, _, _, asleep_for in asleep[:5]
    ] or [Seen(True, "nobody sleeps in one")]


@check(
    "database-prepared",
    group=GROUP,
    within=WITHIN,
    severity="warn",
    expected="no prepared transaction holds its locks",
    hint="COMMIT PREPARED or ROLLBACK PREPARED it: nothing else ends it, not even a restart.",
)
async def prepared(room: Room) -> Sequence[Seen]:
    found = (await base(room)).rows("prepared")
    return [
        Seen(
            False,
            f"{gid!r} of {owner} is prepared for {seconds:.0f} s and holds its locks",
            about=str(gid),
            hint=f"COMMIT PREPARED {_quoted(gid)} or ROLLBACK PREPARED {_quoted(gid)}: nothing else ends it, not "
            "even a restart.",
        )
        for gid, owner, seconds in found[:5]
    ] or [Seen(True, "there is none")]


async def _transactions(room: Room) -> Sequence[tuple[int, str, str, float, str, float]]:
    found = await sees_all(room)
    return [
        (pid, app, user, age, state, rest or 0.0) for pid, app, user, age, state, rest in found.rows("transactions")
    ]


def _quoted(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def _called(app: str, user: str) -> str:
    who = ", ".join(part for part in (app, user) if part)
    return f" ({who})" if who else ""
