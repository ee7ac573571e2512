"""Railway, colour by colour: its service is there, runs, runs the right image, and as the config says.

Whether an image can still be pulled is not to be learnt from Railway. It deliberately deploys nothing.
"""

from collections.abc import Sequence

from bluegreen.http import RateLimited, Rejected
from bluegreen.railway.spec import Release
from bluegreen.spec import Colour
from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.finding import Severity
from bluegreen.validation.looking import listed, serving
from bluegreen.validation.platform import Found, platform

GROUP = "colours"
IMAGE = "the image is "
ENDED = {
    "": "nothing of it runs yet",
    "sleeping": "it sleeps, and its first request may be lost",
    "exited": "it was stopped",
}


@check(
    "railway-services",
    group=GROUP,
    expected="every colour of the config has a Railway service of its own",
    hint="pulumi refresh, then pulumi up, makes it.",
    within=15.0,
)
async def services(room: Room) -> Sequence[Seen]:
    known, found = await platform(room), []
    ids = [each.id for each in known.services.values()]
    for app, colour in known.missing:
        name, live = room.settings.railway_name(app, colour), colour == await serving(room, app)
        hint = f"Users are sent there: pulumi refresh, then pulumi up, makes {name} again." if live else ""
        found.append(Seen(False, f"there is no service {name}", about=name, app=app, hint=hint,
                          severity=None if live else "warn"))  # fmt: skip
    for (app, _), each in known.services.items():
        if ids.count(each.id) > 1:
            found.append(Seen(False, f"{each.name} is the service of two colours", about=each.name, app=app))
    return found or [Seen(True, f"{len(ids)} services", n=len(ids))]


@check(
    "railway-running",
    group=GROUP,
    expected="what carries traffic, and what may be gone back to, runs",
    hint="Look at its logs in Railway, then run pulumi refresh and pulumi up.",
    within=15.0,
)
async def running(room: Room) -> Sequence[Seen]:
    return [await _running(room, app, colour, each) for app, colour, each in await _deployed(room, stopped=False)]


async def _running(room: Room, app: str, colour: Colour, found: Found) -> Seen:
    severity, latest = await _severity(room, app, colour), found.latest
    if found.serving is None:
        ended = f"its last deployment is {latest.status}" if latest else "nothing was ever deployed there"
        return Seen(False, ended, about=found.name, app=app, severity=severity)
    end = found.serving.end
    if end == "running":
        moving = latest is not None and latest.in_flight
        said = "runs, and another deployment is on its way" if moving else "runs"
        return Seen(True, said, about=found.name, app=app)
    asleep = "Switch serverless sleeping off in Railway (sleepApplication)." if end == "sleeping" else ""
    said = ENDED.get(end or "", f"it is {end}")
    return Seen(False, said, about=found.name, app=app, hint=asleep, severity=severity)


@check(
    "railway-image",
    group=GROUP,
    expected="every colour runs the digest that the config says",
    hint="pulumi refresh shows what runs; pulumi up brings what the config says.",
    within=15.0,
)
async def image(room: Room) -> Sequence[Seen]:
    found = []
    for app, colour, each in await _deployed(room):
        apart = [said for said in _differences(room, app, colour, each) if said.startswith(IMAGE)]
        digest = _release(room, app, colour).digest
        astray = _template(each, digest)
        said = apart[0] if apart else astray or f"runs {digest[:19]}…"
        hint = "pulumi up writes the template again; a restart by Railway would bring the other." if astray else ""
        severity = "error" if astray and not apart else await _severity(room, app, colour)
        hint = "" if apart else hint
        found.append(Seen(not (apart or astray), said, about=each.name, app=app, hint=hint, severity=severity))
    return found


def _template(found: Found, digest: str) -> str:
    source = found.template.get("source") or {}
    named = str(source.get("repo") or source.get("image") or "")
    return "" if not named or named.partition("@")[2] == digest else f"its next deployment would be made of {named}"


@check(
    "railway-configuration",
    group=GROUP,
    expected="replicas, regions, limits, health check, overlap and draining are deployed as the config says",
    hint="Take back what was changed in Railway: pulumi refresh, then pulumi up.",
    within=15.0,
)
async def configuration(room: Room) -> Sequence[Seen]:
    found = []
    for app, colour, each in await _deployed(room):
        apart = [said for said in _differences(room, app, colour, each) if not said.startswith(IMAGE)]
        said, severity = listed(apart) or "as the config says", await _severity(room, app, colour)
        found.append(Seen(not apart, said, about=each.name, app=app, severity=severity))
    return found


@check(
    "railway-regions",
    group=GROUP,
    severity="warn",
    expected="no region that Railway gives up",
    hint="Name the region that replaces it in replicas, and ship that like any release.",
    within=15.0,
)
async def regions(room: Room) -> Sequence[Seen]:
    await platform(room)
    settings = room.settings
    try:
        there = await room.once(
            "railway/regions", lambda: room.connections.railway().regions(settings.railway.project_id)
        )
    except RateLimited:
        raise
    except Rejected as rejected:
        raise Skip("The token may not read the list of regions.") from rejected
    found, asked = [], set[str]()
    for app, colour in (*settings.deployed("live"), *settings.deployed("idle")):
        for region in _release(room, app, colour).replicas if app in room.wanted() else ():
            asked.add(region)
            name, where = settings.service_name(app, colour), f"apps.{app}.{colour}.replicas"
            if there and region not in there:
                hint = f"Name one of {', '.join(sorted(there))} in {where}."
                said = f"Railway has no region {region}"
                found.append(Seen(False, said, about=name, app=app, severity="error", hint=hint))
            elif (instead := there.get(region)) is not None:
                hint = f"Name {instead} in {where}, and ship that like any release."
                found.append(Seen(False, f"{region} gives way to {instead}", about=name, app=app, hint=hint))
    return found or [Seen(True, ", ".join(sorted(asked)) or "none is named", n=len(asked))]


async def _deployed(room: Room, *, stopped: bool = True) -> list[tuple[str, Colour, Found]]:
    """Every wanted colour that is ours and that has ever served, `stopped` ones too where they count."""
    known, found = await platform(room), []
    for (app, colour), each in known.services.items():
        halted = each.serving is not None and each.serving.halted
        meant = halted and room.settings.apps[app].idle == "stopped" and colour != await serving(room, app)
        if app in room.wanted() and (stopped or not meant):
            found.append((app, colour, each))
    if not found:
        raise Skip("Railway has no service of ours, as railway-services tells.")
    return found


async def _severity(room: Room, app: str, colour: Colour) -> Severity:
    """What nobody meets may be what the next update brings: the config is ahead of it before every release."""
    return "error" if colour == await serving(room, app) else "warn"


def _differences(room: Room, app: str, colour: Colour, found: Found) -> Sequence[str]:
    return found.serving.differences(_release(room, app, colour)) if found.serving is not None else ()


def _release(room: Room, app: str, colour: Colour) -> Release:
    release = room.settings.release(app, colour)
    assert isinstance(release, Release)
    return release
