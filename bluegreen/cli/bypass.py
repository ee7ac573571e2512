"""`bluegreen bypass APP`: is there a way to the app past the gateway, and does the serving release answer there?

It moves nobody: only a domain that was made beforehand (`gateway.bypass` in the config) can be a way, and only whoever
owns the DNS or the clients can send users there. Without such a domain it says so and ends with 15; there is no
pretended bypass. On that way nothing of the gateway is there: no keys, no limits, no CORS.
"""

from typing import Annotated

import typer

from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.handler import Halt
from bluegreen.http import Client
from bluegreen.spec import Colour, Spec

WORLD = "Nothing was changed."

App = Annotated[str, typer.Argument(help="The app.")]


class Way(Spec):
    """Where one colour of an app is, past the gateway."""

    app: str
    colour: Colour
    url: str
    release: str


async def bypass(desk: Desk, app: App) -> Outcome:
    """Say where the serving release answers past the gateway, if the config names such a place."""
    if app not in desk.settings.apps:
        return Outcome(exit=Exit.REFUSED, what=f"There is no app {app!r}.", world=WORLD, next="Name an app.")
    colour, release = await _serving(desk, app)
    url = desk.settings.gateway.bypass.get(app, {}).get(colour)
    if url is None:
        made = desk.settings.railway_name(app, colour)
        return Outcome(
            exit=Exit.REFUSED,
            what=f"There is no way to {app} past the gateway: gateway.bypass.{app}.{colour} is not in the config.",
            world=WORLD,
            next=f"Make a domain for {made} on Railway before it is needed, and write it there.",
        )
    path = desk.settings.release(app, colour).healthcheck_path
    async with Client(f"{app}-{colour}", url, hint="Look at that domain on Railway.") as line:
        answer = await line.probe(path)
    header = desk.settings.lanes()[app].probe.release_header
    found = answer.headers.get(header.lower())
    unmarked = desk.settings.observed(app, colour)
    if answer.status != 200 or (found != release and not unmarked):
        seen = f"GET {path} answered {answer.status} by release {found or 'unknown'}, not {release}"
        what = f"{url} is no way to the serving release: {seen}."
        return Outcome(exit=Exit.REFUSED, what=what, world=WORLD, next="Correct gateway.bypass or that domain.")
    return Outcome(
        exit=Exit.OK,
        what=f"{app} answers past the gateway at {url}, {'' if unmarked else f'as release {release} '}on {colour}.",
        world=f"{WORLD} On that way there are no keys, limits or CORS of the gateway.",
        next="Send users there by your DNS or clients, and back once the gateway is well.",
        facts=Way(app=app, colour=colour, url=url, release=release),
    )


async def _serving(desk: Desk, app: str) -> tuple[Colour, str]:
    """The colour that serves and its release: as Kong says, or as the config does where Kong does not answer."""
    live = desk.settings.apps[app].live
    try:
        split = await desk.connections.gateway().split(desk.settings.lanes()[app].upstream)
    except Halt as halt:
        await desk.ctx.milestone(f"{halt.what} Taken from the config: {live} is live.")
        return live, desk.settings.release_id(app, live)
    colour = split.live or live
    slot = split.slots.get(colour)
    return colour, (slot.release if slot and slot.release else desk.settings.release_id(app, colour))
