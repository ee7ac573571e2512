"""A contract waits for the last move to be old enough: what it takes away, a rollback might have needed.

Whether there was a move that could still be taken back is for whoever owns the traffic to say.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from bluegreen.handler import Refused
from bluegreen.postgres.session import NOTHING
from bluegreen.postgres.spec import MigrationSpec

# When traffic last moved behind this upstream; None when nothing could go back any more.
Moved = Callable[[str], Awaitable[datetime | None]]


async def must_be_old_enough(new: MigrationSpec, label: str, moved: Moved, now: datetime) -> None:
    """No app has moved within the rollback window, and could still go back.

    Raises:
        Refused: one has; a contract comes in an update of its own, later.
    """
    if new.phase != "contract" or not new.rollback_window:
        return
    for upstream in new.upstreams:
        when = await moved(upstream)
        if when is not None and (until := when + new.rollback_window) > now:
            raise Refused(
                f"{label} is a contract, and {upstream} moved at {when.astimezone(UTC):%Y-%m-%d %H:%M} UTC: until "
                f"{until.astimezone(UTC):%Y-%m-%d %H:%M} UTC a rollback may still need what it takes away.",
                world=NOTHING,
                next="Apply it after that in an update of its own, or take the other colour's block out first.",
            )
