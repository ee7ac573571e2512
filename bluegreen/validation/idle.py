"""The idle colour: nobody is sent there, and it runs, or does not, as the config says.

It deliberately stops nothing and takes no weight away.
"""

from collections.abc import Sequence

from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.looking import WITHIN, readable, serving
from bluegreen.validation.platform import platform
from bluegreen.validation.traffic import side_of, traffic_told_by

GROUP = "idle"


@check(
    "idle-without-traffic",
    group=GROUP,
    within=WITHIN,
    expected="the idle colour has weight 0",
    hint="pulumi up takes its weight away; look first who gave it one.",
)
async def without_traffic(room: Room) -> Sequence[Seen]:
    found = []
    for app in await readable(room):
        live = side_of(app, app.wanted)
        others = [side for side in app.sides if side.colour != app.wanted]
        if live is None or live.stored != 100 or app.move is not None:
            why = f"traffic is otherwise than the config says, as {traffic_told_by(app)} tells"
            found.append(Seen(True, why, about=app.app, app=app.app, status="skipped"))
            continue
        sent = [side for side in others if side.stored]
        said = (
            f"{sent[0].colour} has weight {sent[0].stored} beside {app.wanted}'s 100" if sent else "nobody goes there"
        )
        found.append(Seen(not sent, said, about=app.app, app=app.app))
    return found


@check(
    "idle-stopped",
    group=GROUP,
    within=WITHIN,
    severity="warn",
    expected="the idle colour runs, or is stopped, as apps.<app>.idle says",
    hint="pulumi refresh, then pulumi up, makes it so.",
)
async def stopped(room: Room) -> Sequence[Seen]:
    known, found = await platform(room), []
    for (app, colour), service in known.services.items():
        if app not in room.wanted() or service.serving is None or colour == await serving(room, app):
            continue
        wanted, halted = room.settings.apps[app].idle, service.serving.halted
        said = f"{colour} {'is stopped' if halted else 'runs'}, and apps.{app}.idle is {wanted}"
        after = "stops it." if wanted == "stopped" else "starts it: until then there is no way back."
        hint = f"pulumi refresh, then pulumi up, {after}"
        found.append(Seen(halted == (wanted == "stopped"), said, about=app, app=app, hint=hint))
    if not found:
        raise Skip("No app has an idle colour that is ours and was deployed.")
    return found
