"""Where users go: as the config wants it, as the last update recorded it, as Kong stores it, on every worker.

Each way of being wrong is one check's: a weight that differs is `traffic-weights`, an idle colour with a share beside
a live one that has all of it is `idle-without-traffic`, and what is held or under way explains the rest. It
deliberately moves nothing.
"""

import asyncio
from collections.abc import Sequence

from bluegreen.spec import COLOURS
from bluegreen.standing import AppFacts, Side
from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.finding import Severity
from bluegreen.validation.gateway import workers
from bluegreen.validation.looking import WITHIN, answered, apps, readable, recorded, split, surveyed

GROUP = "traffic"


@check(
    "traffic-weights",
    group=GROUP,
    within=WITHIN,
    expected="the live colour of the config has 100 % in Kong",
    hint="pulumi up makes it as the config says; pulumi preview shows how.",
)
async def weights(room: Room) -> Sequence[Seen]:
    return [_weights(app) for app in await apps(room)]


def _weights(app: AppFacts) -> Seen:
    if app.unread:
        hint = "Give the target back its tags (colour:blue, colour:green), or set its weight to 0."
        return Seen(False, app.unread, about=app.app, app=app.app, hint=hint)
    if not any(side.stored is not None for side in app.sides):
        hint = "Bring the stack up: pulumi up."
        return Seen(False, "Kong has no target for it", about=app.app, app=app.app, hint=hint)
    if explained := _explained(app):
        return Seen(True, explained, about=app.app, app=app.app, status="skipped")
    live = side_of(app, app.wanted)
    really = " / ".join(f"{side.colour} {side.stored or 0}" for side in app.sides)
    said = f"{app.wanted} is to have 100, and Kong has {really}"
    well = live is not None and live.stored == 100
    if not well and app.barred is not None:
        why = app.barred.why.removeprefix(f"{app.app}: ").rstrip(".")
        said = f"{said}; no update brings it: {why}"
        return Seen(False, said, about=app.app, app=app.app, hint=app.barred.next)
    if not well and all(side.recorded is not None and side.recorded == (side.stored or 0) for side in app.sides):
        # Nobody has touched Kong: the config is ahead, as it is before every release.
        hint = "Run pulumi up: no update has run since the config changed."
        return Seen(False, said, about=app.app, app=app.app, severity="warn", hint=hint)
    return Seen(well, f"{app.wanted} has 100" if well else said, about=app.app, app=app.app)


def _explained(app: AppFacts) -> str:
    if app.move is not None:
        return "a move has left its mark, as traffic-move tells"
    return "somebody holds it by hand, as traffic-hold tells" if app.hold and app.live != app.wanted else ""


def traffic_told_by(app: AppFacts) -> str:
    """Which check says why traffic is not as the config says."""
    if app.move is not None or app.hold:
        return "traffic-move" if app.move is not None else "traffic-hold"
    whole = (live := side_of(app, app.wanted)) is not None and live.stored == 100  # then another has a share beside it
    return "idle-without-traffic" if whole and app.live is None else "traffic-weights"


def side_of(app: AppFacts, colour: str) -> Side | None:
    """What is known of one colour."""
    return next((side for side in app.sides if side.colour == colour), None)


@check(
    "traffic-recorded",
    group=GROUP,
    within=WITHIN,
    expected="the last update recorded the weight that the live colour has",
    hint="pulumi refresh takes what is into the state; pulumi up makes it as the config says.",
)
async def as_recorded(room: Room) -> Sequence[Seen]:
    unread = (await surveyed(room)).unread
    if unread:
        raise Skip(f"What Pulumi recorded is not known: {unread}.")
    found = []
    for app in await readable(room):
        live = side_of(app, app.wanted)
        if live is None or live.stored != 100 or _explained(app):
            why = f"its weight is otherwise, as {traffic_told_by(app)} tells"
            found.append(Seen(True, why, about=app.app, app=app.app, status="skipped"))
            continue
        said = f"{app.wanted} {live.recorded or 0} recorded, {live.stored} in Kong"
        found.append(Seen(live.recorded == live.stored, said, about=app.app, app=app.app))
    return found


@check(
    "traffic-release",
    group=GROUP,
    within=WITHIN,
    expected="Kong's live target bears the release that the config wants",
    hint="Run pulumi up: the config has changed since the last update, or a target was written by hand.",
)
async def release(room: Room) -> Sequence[Seen]:
    found, known = [], (await recorded(room)).releases or {}
    for app in await readable(room):
        live = side_of(app, app.wanted)
        apart = next((each for each in app.drift if "Kong's target says" in each), "")
        if live is None or live.stored != 100 or _explained(app):
            why = f"it does not carry all the traffic, as {traffic_told_by(app)} tells"
            found.append(Seen(True, why, about=app.app, app=app.app, status="skipped"))
            continue
        said = apart.partition(": ")[2] or f"{app.wanted} bears {live.release}"
        ahead = live.release is not None and live.release == known.get((app.app, app.wanted))
        severity: Severity = "warn" if ahead else "error"  # as the last update left it, the config is merely ahead
        found.append(Seen(not apart, said, about=app.app, app=app.app, severity=severity))
    return found


@check(
    "traffic-move",
    group=GROUP,
    within=WITHIN,
    expected="no move is under way, and none was left behind",
    hint="Run bluegreen recover, then pulumi up.",
)
async def move(room: Room) -> Sequence[Seen]:
    found = []
    for app in await readable(room):
        if (under := app.move) is None:
            found.append(Seen(True, "none", about=app.app, app=app.app))
        elif under.alive is False:
            back = f"traffic belongs to {under.origin}" if under.origin else "it has no way back"
            said = f"move {under.id} to {under.to} was left by nobody alive; {back}"
            found.append(Seen(False, said, about=app.app, app=app.app))
        else:
            said = f"move {under.id} to {under.to} is under way until {under.deadline:%H:%M:%S} UTC"
            hint = "Wait for its end, then validate again."
            found.append(Seen(False, said, about=app.app, app=app.app, severity="warn", hint=hint))
    return found


@check(
    "traffic-hold",
    group=GROUP,
    within=WITHIN,
    severity="warn",  # somebody meant it: users are where they were sent
    expected="nobody holds the weights by hand",
    hint="Set live in the config to what is held, or go on with the config: bluegreen hold release --reason …",
)
async def hold(room: Room) -> Sequence[Seen]:
    found = []
    for app in await readable(room):
        said = f"{app.live or 'a split'} is held by {app.hold}" if app.hold else "nobody does"
        agrees = app.live == app.wanted
        hint = "" if agrees else f"Set apps.{app.app}.live: {app.live}, or: bluegreen hold release --reason …"
        found.append(Seen(app.hold is None, said, about=app.app, app=app.app, hint=hint))
    return found


@check(
    "traffic-rejected",
    group=GROUP,
    within=WITHIN,
    expected="no release that was moved away from because it failed is live",
    hint="Go back: bluegreen rollback <app> --reason …; then ship a release that is fixed.",
)
async def rejected(room: Room) -> Sequence[Seen]:
    found = []
    for app in await readable(room):
        bad = [side for side in app.sides if side.rejected and side.stored]
        said = (
            f"{bad[0].colour} carries {bad[0].stored} % with release {bad[0].release}, which was rejected"
            if bad
            else ""
        )
        hint = f"Go back: bluegreen rollback {app.app} --reason …; then ship a release that is fixed."
        found.append(Seen(not bad, said or "none is", about=app.app, app=app.app, hint=hint))
    return found


@check(
    "traffic-in-force",
    group=GROUP,
    within=WITHIN,
    expected="every worker of every node serves the stored weights",
    hint="Look at that node: it may be cut off from Kong's database. Restart it, or take it out of the balancer.",
)
async def in_force(room: Room) -> Sequence[Seen]:
    return await asyncio.gather(*(_in_force(room, app) for app in room.wanted()))


async def _in_force(room: Room, app: str) -> Seen:
    met, stored = await workers(room, app), await split(room, app)
    if met.astray and (await room.connections.gateway().split(room.settings.lanes()[app].upstream)) != stored:
        why = "the weights were changed meanwhile, as by a move: validate again at its end"
        return Seen(False, why, about=app, app=app, n=met.answers, status="skipped")
    shares = " / ".join(f"{colour} {stored.slots[colour].weight}" for colour in COLOURS if colour in stored.slots)
    said = f"{shares} is stored, and {met.astray[0]}" if met.astray else f"{shares} on {len(met.workers)} workers"
    return Seen(not met.astray, said, about=app, app=app, n=met.answers)


@check(
    "live-answers",
    group=GROUP,
    within=WITHIN,
    expected="the live colour answers well, as the release that Kong's target names",
    hint="Look at its logs in Railway; bluegreen rollback <app> --reason … goes back meanwhile.",
)
async def live_answers(room: Room) -> Sequence[Seen]:
    return await asyncio.gather(*(_answers(room, app) for app in await readable(room)))


async def _answers(room: Room, app: AppFacts) -> Seen:
    live = app.live
    if live is None or room.settings.apps[app.app].release(live) is None:
        return Seen(True, "no colour carries all the traffic", about=app.app, app=app.app, status="skipped")
    release, seen = await answered(room, app.app, live)
    side, settings = side_of(app, live), room.settings
    named = None if side is None or settings.observed(app.app, live) else side.release
    # Where config and target differ, either may be what runs: that they do is told by traffic-release.
    wanted = named if room.sealed else settings.release_id(app.app, live)
    well = release is not None and (named is None or release in (named, wanted))
    said = seen if well or release is None else f"{seen}, and Kong's target says {named}"
    hint = f"Look at its logs in Railway; bluegreen rollback {app.app} --reason … goes back meanwhile."
    return Seen(well, f"{live}: {said}", about=app.app, app=app.app, hint=hint)
