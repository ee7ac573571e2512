"""Is each colour there and itself, and does nobody else answer users?

Asked past the weights for what a colour is, and as users go for who meets them. A colour that is stopped while it is
idle is told as such. Whether the *right* colour has users is the room of traffic's to say; here a stranger's answer
fails, and what Kong itself answers says nothing of a release.
"""

import asyncio
from collections.abc import Sequence

from bluegreen.http import Answer
from bluegreen.measure.checks import Result, Way
from bluegreen.measure.spec import CLOSED, Check
from bluegreen.spec import COLOURS, Colour
from bluegreen.validation.check import Room, Seen, check
from bluegreen.validation.endpoints import PATIENCE, guarded, renamed, request
from bluegreen.validation.finding import Severity
from bluegreen.validation.judged import seen
from bluegreen.validation.looking import serving
from bluegreen.validation.ways import TURN, asker, by_kong, keys, way_of_colour, way_of_users

ABSENT = 503  # what Kong answers on the previews of a colour that does not exist yet
TIMES = 5  # requests as users: enough to meet a stranger that has a fifth of them twice in three times


def colours(room: Room) -> list[tuple[str, Colour]]:
    """Every colour that exists."""
    return [(app, colour) for app in room.wanted() for colour in COLOURS if room.settings.apps[app].release(colour)]


def resting(room: Room, app: str, colour: Colour) -> str:
    """Why a colour need not answer; empty where it has to."""
    block = room.settings.apps[app]
    return "stopped while it is idle" if block.idle == "stopped" and colour != block.live else ""


async def healths(room: Room) -> dict[tuple[str, Colour], tuple[Result, Answer | None]]:
    """What the health check of every colour answers past the weights; asked once for all who want to know."""

    async def asked() -> dict[tuple[str, Colour], tuple[Result, Answer | None]]:
        line, awake = await asker(room), [each for each in colours(room) if not resting(room, *each)]

        async def one(app: str, colour: Colour) -> tuple[Result, Answer | None]:
            path = room.settings.release(app, colour).healthcheck_path
            asked = Check(name="health", app=app, path=path, within=PATIENCE)
            # Its probe route carries no mark, and who answers is judged apart.
            way = way_of_colour(room.settings, room.connections, app, colour, None)
            return await line.answered(asked, Way(way.headers))

        return dict(zip(awake, await asyncio.gather(*(one(*each) for each in awake)), strict=True))

    return await room.once("healths", asked)


def unmet(room: Room, answer: Answer | None) -> str:
    """Why an answer past the weights says nothing of the colour, as some other check tells; empty where it does."""
    if answer is None or not by_kong(answer):
        return ""
    if answer.status in CLOSED and "preview-key" in room.telling:
        return f"the preview lets us not in, as preview-key tells: answered {answer.status}"
    if answer.status == 404 and "gateway-entities" in room.telling:
        return "no route leads there, as gateway-entities tells"
    return ""


@check(
    "health",
    group="health",
    within=TURN,
    expected="200 at the health check's path, past the weights",
    hint="Look at that colour's logs in Railway; while it is idle, ship it again or bluegreen recover.",
)
async def health(room: Room) -> Sequence[Seen]:
    answers = await healths(room)
    told = []
    for app, colour in colours(room):
        name = room.settings.service_name(app, colour)
        if why := resting(room, app, colour):
            told.append(Seen(False, why, about=name, app=app, status="skipped"))
            continue
        result, answer = answers[app, colour]
        why = unmet(room, answer)
        if not why and answer is not None and by_kong(answer) and answer.status == ABSENT:
            why = "" if await serving(room, app) == colour else f"{name} is not deployed yet: pulumi up does that"
        if why:
            told.append(Seen(False, why, about=name, app=app, status="skipped"))
            continue
        hint = f"Look at {name}'s logs in Railway; bluegreen status says whether users are on it."
        told.append(renamed(seen(Check(name="health", app=app, path="/"), result), name, hint))
    return told


@check(
    "release",
    group="health",
    within=TURN,
    expected="the release that the config names",
    hint="Run pulumi refresh, then pulumi up: the colour runs something else than the config says.",
)
async def release(room: Room) -> Sequence[Seen]:
    answers = await healths(room)
    told = []
    for app, colour in colours(room):
        name, wanted = room.settings.service_name(app, colour), room.settings.release_id(app, colour)
        answer = answers.get((app, colour), (None, None))[1]
        if room.settings.observed(app, colour):
            told.append(Seen(False, "somebody else deploys it", about=name, app=app, status="skipped"))
        elif answer is None or answer.status != 200:
            told.append(Seen(False, f"{name} does not answer", about=name, app=app, status="skipped"))
        else:
            runs = _release(room, app, answer)
            hint = f"Run pulumi refresh, then pulumi up: {name} runs something else than the config says."
            said = f"release {runs}" if runs else "no release named"
            # A release that the config names and no update has shipped yet is no fault, while nobody is sent there.
            weighs: Severity = "error" if await serving(room, app) == colour else "warn"
            expected = f"release {wanted}"
            told.append(Seen(runs == wanted, said, about=name, app=app, expected=expected, hint=hint, severity=weighs))
    return told


@check(
    "users-release",
    group="health",
    within=TURN,
    expected="a release of the config answers users",
    hint="Look at the upstream's targets in Kong (bluegreen status) and put them right with pulumi up.",
)
async def users_release(room: Room) -> Sequence[Seen]:
    """Users may meet either colour while weights move, and never anybody else."""
    return await asyncio.gather(*(_met(room, app) for app in room.wanted()))


async def _met(room: Room, app: str) -> Seen:
    colours = [colour for each, colour in room.settings.existing() if each == app]
    asked = usual(room, app)
    if asked is None:
        return Seen(False, "no plain GET leads users there", about=app, app=app, status="skipped")
    if any(room.settings.observed(app, colour) for colour in colours):
        return Seen(False, "somebody else deploys a colour of it", about=app, app=app, status="skipped")
    line, way = await asker(room), way_of_users(room.settings, asked)
    answers = [answer for _, answer in await asyncio.gather(*(line.answered(asked, way) for _ in range(TIMES)))]
    apps = [answer for answer in answers if answer is not None and not by_kong(answer)]
    # A 502 without a release is no app's either, whoever wrote it.
    met = {runs for answer in apps if (runs := _release(room, app, answer)) or answer.status < 500}
    if not met:
        return Seen(
            False, "no app answers users, which is not this check's to say", about=app, app=app, status="skipped"
        )
    known = {room.settings.release_id(app, colour) for colour in colours}
    by = sorted(runs or "somebody who names no release" for runs in met - known or met)
    return Seen(met <= known, f"answered by {', '.join(by)}", about=app, app=app, n=len(answers))


def usual(room: Room, app: str) -> Check | None:
    """What users usually ask of an app: its first plain check that is answered 200, or its first route."""
    known = keys(room.settings)
    for asked in room.settings.checks:
        if (
            asked.app == app
            and asked.question
            and asked.expect.status == 200
            and (asked.consumer or "") in {"", *known}
        ):
            return asked
    first = next(iter(room.settings.apps[app].routes.values()), None)
    consumer = next(iter(known), None) if first in [route for _, _, route in guarded(room)] else None
    return request(app, first, consumer=consumer) if first is not None else None


def _release(room: Room, app: str, answer: Answer) -> str:
    return answer.headers.get(room.settings.lanes()[app].probe.release_header.lower(), "")
