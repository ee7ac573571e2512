"""Whether there is a way back now, and whether somebody answers at its end. It deliberately goes nowhere."""

from collections.abc import Sequence

from bluegreen.standing import AppFacts
from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.looking import WITHIN, answered, readable, surveyed
from bluegreen.validation.traffic import traffic_told_by

GROUP = "rollback"
NOTHING_OLDER = "nothing older has passed here"


@check(
    "rollback-possible",
    group=GROUP,
    within=WITHIN,
    severity="warn",
    expected="the release that was live before can be gone back to",
    hint="Until then only a new release mends anything: ship it, or keep the one before in the idle colour.",
)
async def possible(room: Room) -> Sequence[Seen]:
    unread = (await surveyed(room)).unread
    if unread:
        raise Skip(f"Which releases were live before is in Pulumi's state: {unread}.")
    return [_possible(app) for app in await readable(room)]


def _possible(app: AppFacts) -> Seen:
    back = app.rollback
    if back is None or (not back.possible and (NOTHING_OLDER in back.why or len(app.history) < 2)):
        why = "no other release has been live here yet"
        return Seen(True, why, about=app.app, app=app.app, status="skipped")
    if app.move or app.hold or app.live is None:  # what has to be put right first is told where it is found
        why = f"traffic is not at rest, as {traffic_told_by(app)} tells"
        return Seen(True, why, about=app.app, app=app.app, status="skipped")
    said = back.why.partition(": ")[2].rstrip(".") or back.why
    if back.possible and not any(side.colour == back.colour and side.stored is not None for side in app.sides):
        said = f"{back.colour} has no target in Kong any more, which a rollback by hand goes to"
        hint = f"To go back all the same: apps.{app.app}.live: {back.colour}, then pulumi up, which writes its target."
        return Seen(False, said, about=app.app, app=app.app, hint=hint)
    return Seen(back.possible, said, about=app.app, app=app.app)


@check(
    "rollback-answers",
    group=GROUP,
    within=WITHIN,
    expected="the colour that a rollback would go to answers well, as the release that was live there",
    hint="Look at its logs in Railway; pulumi refresh, then pulumi up, deploys it again where it was stopped. Until "
    "then a rollback would find nobody.",
)
async def answers(room: Room) -> Sequence[Seen]:
    found = []
    for app in await readable(room):
        back = app.rollback
        if back is None or not back.possible or back.colour is None:
            why = "there is nothing to go back to, as rollback-possible tells"
            found.append(Seen(True, why, about=app.app, app=app.app, status="skipped"))
        elif any(side.colour == back.colour and side.stopped for side in app.sides):
            why = f"{back.colour} is stopped; pulumi up starts it before it goes there"
            found.append(Seen(True, why, about=app.app, app=app.app, status="skipped"))
        else:
            release, seen = await answered(room, app.app, back.colour)
            unmarked = room.settings.observed(app.app, back.colour)
            well = release is not None and (unmarked or back.release in (None, release))
            said = seen if well or release is None else f"{seen}, and {back.release} was live there"
            found.append(Seen(well, f"{back.colour}: {said}", about=app.app, app=app.app))
    return found
