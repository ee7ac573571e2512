"""`backend_deployment`, `frontend_deployment`: an image into an app's idle colour, which deploys without traffic."""

from bluegreen.cli.phase_work import Work
from bluegreen.cli.recorded import recorded
from bluegreen.cli.stage import stage
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.cli.verify import verify
from bluegreen.handler import Refused
from bluegreen.phases.images import image_of
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour

LIVE = " is live already, on "  # how `stage` says that there is nothing left to deploy


async def deployment(work: Work, named: str) -> Outcome:
    """Stage, commit, push, bring up, verify: of one app after the other."""
    await work.begin()
    settings = (await work.sealed()).settings
    apps = list(work.wish.apps) or [named]
    unknown = [app for app in work.wish.apps if app not in settings.apps]
    if unknown:
        what = f"There is no app {unknown[0]!r} in the config."
        raise Refused(what, world="Nothing was changed.", next=f"Name one of {', '.join(settings.order())}.")
    if named not in settings.apps and not work.wish.apps:
        return work.nothing(f"{work.stack.name} has no app {named}.")
    work.about(*apps)
    ended = work.nothing(f"{work.stack.name} has no app.")
    for app in apps:
        ended = await _one(work, app, image_of(work.wish.images, app, alone=len(apps) == 1))
        if ended.exit:
            return ended
    return ended


async def _one(work: Work, app: str, image: str) -> Outcome:
    async def edit(desk: Desk) -> Outcome:
        keep, overwrite = work.wish.keep, work.wish.overwrite
        return await stage(desk, app, image, keep=keep, overwrite=overwrite, commit=work.commits)

    if (end := await work.land("stage", edit, work.planned)) is not None:
        return work.nothing(end.what) if end.exit is Exit.REFUSED and LIVE in end.what else end
    idle = other((await work.sealed()).settings, app)
    if not work.facts.commit and await _runs(work, app, idle):
        return work.nothing(f"{app}-{idle} runs {image} already.")
    done = await work.bring_up()
    if done.exit:
        return await work.undo(done, unmade=not await _runs(work, app, idle))
    verified = await work.did("verify", verify(await work.opened(), app=app, colour=idle))
    if verified.exit:
        return work.end(verified)
    return work.ended(
        Exit.OK,
        f"{app}-{idle} runs {image} and is verified.",
        "No traffic was moved.",
        "bluegreen phase traffic_switch is what follows.",
    )


async def _runs(work: Work, app: str, colour: Colour) -> bool:
    """Whether exactly what the config says of a colour was proved to run there."""
    desk = await work.opened()
    known = await recorded(desk.stack)
    return (known.releases or {}).get((app, colour)) == desk.settings.release_id(app, colour)


def other(settings: Settings, app: str) -> Colour:
    """The colour that does not serve."""
    return COLOURS[1] if settings.apps[app].live == COLOURS[0] else COLOURS[0]
