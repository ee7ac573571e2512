"""What would make an update wait or refuse although nothing is broken: a freeze, somebody else at work.

Neither stops a rollback, so neither is a fault. It deliberately takes nobody's lock away.
"""

from bluegreen.rollout.freeze import frozen
from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.looking import recorded

GROUP = "freeze"


@check(
    "freeze-window",
    group=GROUP,
    severity="warn",
    expected="no freeze is in force",
    hint="Wait for its end, or write the reason into rollout.freezeOverride. A rollback needs neither.",
)
async def window(room: Room) -> Seen:
    rollout = room.settings.rollout
    found = frozen(rollout.freeze, room.ctx.now())
    if found is None:
        declared = f"{len(rollout.freeze)} windows, none of them open" if rollout.freeze else "no window is declared"
        return Seen(True, declared)
    if rollout.freeze_override:
        return Seen(True, f"{found}, and it is overridden: {rollout.freeze_override}")
    return Seen(False, f"rollouts are frozen: {found}")


@check(
    "stack-lock",
    group=GROUP,
    severity="warn",
    expected="nobody is at work on the stack",
    hint="Wait for its end; if that process is gone, bluegreen recover takes its lock away.",
)
async def lock(room: Room) -> Seen:
    known = await recorded(room)
    if known.lock is not None:
        return Seen(False, f"the stack is held by {known.lock}")
    if known.held is None:
        why = f"It is not known: {known.unread}." if known.unread else "This backend does not show who holds a stack."
        raise Skip(why)
    return Seen(True, "nobody holds it")
