"""The proof of a way back: there, back and there again on a copy, and the fingerprints are the same each time.

What can only go forward by its nature (a new value of an enum) does not stand against it: everything else has to come
back. There again is then left out, because a file says ADD VALUE once.
"""

from collections.abc import Awaitable, Callable, Sequence

from bluegreen.postgres.catalog.compare import compare
from bluegreen.postgres.catalog.reverse import reverse
from bluegreen.postgres.catalog.script import ACCEPTED, script
from bluegreen.postgres.catalog.snapshot import snapshot
from bluegreen.postgres.catalog.spec import Reverse, Snapshot
from bluegreen.postgres.catalog.verdicts import lasting
from bluegreen.postgres.session import Session, SqlError

# A copy has rows only where the file itself wrote some; they may go.
ACCEPT, NO_LONGER = f"set {ACCEPTED} = 'on'", f"reset {ACCEPTED}"


async def proven(
    session: Session,
    before: Snapshot,
    up: Callable[[], Awaitable[None]],
    *,
    after: Snapshot | None = None,
    data: Sequence[str] = (),
) -> tuple[Snapshot, Reverse]:
    """What `up` makes of a copy that is as `before`, and the way back; the copy is as `up` left it afterwards.

    `up` runs the file, through whatever session it likes, and is called twice; once where the file was run already, and
    `after` is what it made. The session's role should be who applies the file. Where the way back did not lead to where
    it began, or the second time did not end like the first, the reverse is not proven and says what was different.
    Then, and where something is `lasting`, nobody knows what the copy is like.

    Raises:
        Lost, SqlError: the schema could not be read. Whatever `up` raises the first time.
    """
    if after is None:
        await up()
        after = await snapshot(session)
    found = await reverse(session, before, after, data=data)
    differences, lasts = await _tried(session, before, after, found, up)
    told = found.model_copy(update={"proven": not differences, "differences": differences, "lasting": lasts})
    return after, told.model_copy(update={"script": script(told)})


async def _tried(
    session: Session, before: Snapshot, after: Snapshot, found: Reverse, up: Callable[[], Awaitable[None]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What stands against the way back, and what is not meant to come back."""
    await session.rows(ACCEPT)
    try:
        await session.run(found.script)
    except SqlError as error:
        return (f"The way back is refused: {error.message} ({error.code}).",), ()
    finally:
        await session.rows(NO_LONGER)
    came_to = await snapshot(session)
    back = compare(before, came_to)
    lasts = lasting(before, came_to, back)
    back = back.model_copy(update={"changed": tuple(name for name in back.changed if name not in lasts)})
    if back:
        return (f"After the way back it is not as before: {back.told()}",), lasts
    if lasts:
        return (), lasts
    try:
        await up()
    except Exception as error:
        return (f"After the way back the file does not go through again: {error}",), ()
    again = compare(after, await snapshot(session))
    return ((f"The second time it ends otherwise: {again.told()}",) if again else ()), ()
