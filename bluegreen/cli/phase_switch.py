"""`traffic_switch`: the line of every app whose idle colour is ahead, planned, pushed, and brought up.

Ahead is what runs beside the live colour, proved to run, and never was live before: what was is a way back, which the
phase `rollback` takes. An update that takes traffic back is not the last word here: the gateway is asked, and where it
serves what it served before, the commit is reverted, so that the branch says what is so.
"""

from collections.abc import Collection, Mapping, Sequence

from bluegreen.cli.phase_deploy import other
from bluegreen.cli.phase_work import Work
from bluegreen.cli.promote import promote
from bluegreen.cli.recorded import recorded
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.handler import Refused
from bluegreen.spec import Colour
from bluegreen.staging.standing import splits
from bluegreen.standing import Recorded

WORLD = "Nothing was changed."


async def switch(work: Work) -> Outcome:
    """Promote, commit, plan, push, bring up; and revert where traffic went back."""
    await work.begin()
    desk = await work.opened()
    known = await recorded(desk.stack)
    apps = _chosen(desk, known, work.wish.apps)
    work.about(*apps)
    if not apps:
        return await _agrees(work, desk)
    _deployed(desk, known, apps)
    origins = {app: desk.settings.apps[app].live for app in apps}

    async def edit(desk: Desk) -> Outcome:
        return await promote(desk, apps, commit=work.commits)

    if (end := await work.land("promote", edit, work.planned)) is not None:
        return end
    done = await work.bring_up()
    if done.exit:
        return await work.undo(done, unmade=await _stayed(work, origins))
    each = " and ".join(f"{app} is on {'green' if origin == 'blue' else 'blue'}" for app, origin in origins.items())
    next_ = "bluegreen monitor watches it; bluegreen phase rollback --reason … takes it back."
    return work.ended(Exit.OK, f"Traffic is moved: {each}.", done.what, next_)


def _chosen(desk: Desk, known: Recorded, named: Sequence[str]) -> list[str]:
    """The apps whose idle colour is ahead, or those of them that were named, in the order of a rollout.

    Raises:
        Refused: there is no app of that name, or nobody can say what is ahead and none is named.
    """
    order = desk.settings.order()
    if unknown := [app for app in named if app not in order]:
        what = f"There is no app {unknown[0]!r} in the config."
        raise Refused(what, world=WORLD, next=f"Name one of {', '.join(order)}.")
    if known.traffic is not None:
        lived = {(done.app, done.release) for done in known.traffic.history if done.verdict == "passed"}
        return [app for app in order if (not named or app in named) and _ahead(desk, app, lived)]
    if not named:
        raise Refused(
            f"Which colours were live before is not known: {known.unread}.",
            world=WORLD,
            next="Name the apps that are to switch: --app APP.",
        )
    return [app for app in order if app in named]


def _ahead(desk: Desk, app: str, lived: Collection[tuple[str, str]]) -> bool:
    """Whether the idle colour has a release that is another one than the live, and was never live."""
    settings, idle = desk.settings, other(desk.settings, app)
    if settings.apps[app].release(idle) is None:
        return False
    release = settings.release_id(app, idle)
    return (app, release) not in lived and release != settings.release_id(app, settings.apps[app].live)


def _deployed(desk: Desk, known: Recorded, apps: Sequence[str]) -> None:
    """The phases before this one have done their part: what is to be live runs.

    Raises:
        Refused: it does not.
    """
    for app in apps:
        idle = other(desk.settings, app)
        if desk.settings.apps[app].release(idle) is None:
            what = f"{app} has nothing on {idle}."
            raise Refused(what, world=WORLD, next=f"Deploy something there first: bluegreen stage {app} IMAGE.")
        release = desk.settings.release_id(app, idle)
        if known.releases is not None and known.releases.get((app, idle)) != release:
            raise Refused(
                f"{app}-{idle} is in the config as release {release}, and does not run yet.",
                world=WORLD,
                next="Bring it up without traffic first: bluegreen phase backend_deployment or frontend_deployment.",
            )


async def _agrees(work: Work, desk: Desk) -> Outcome:
    """Nothing is ahead: nothing to do where the gateway agrees with the config, or what was left undone otherwise."""
    found, why = await splits(desk.connections, desk.settings.order())
    astray = [app for app, split in found.items() if split.live != desk.settings.apps[app].live or split.hold]
    if why or not astray:
        return work.nothing("No app has a release beside the live one that was never live.")
    return work.ended(
        Exit.DRIFT,
        f"Nothing is ahead, but {', '.join(astray)} does not serve what the config says.",
        WORLD,
        "bluegreen status shows both; bluegreen up makes the gateway as the config says.",
    )


async def _stayed(work: Work, origins: Mapping[str, Colour]) -> bool | None:
    """Whether every app serves what it served before; None where the gateway cannot say."""
    desk = await work.sealed()
    found, why = await splits(desk.connections, origins)
    if why:
        return None
    return all(found[app].live == origin and not _marked(found[app].slots) for app, origin in origins.items())


def _marked(slots: Mapping[Colour, object]) -> bool:
    return any(getattr(slot, "move", None) is not None for slot in slots.values())
