"""`rollback`: the gateway first, by hand and without an engine; the commit second; the update that lets go of it last.

Users come first, so nothing of git stands before them. Whatever fails after that leaves them where they are, held, and
ends with what a person has to write: 14, because the branch says something else than the gateway.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from bluegreen.cli.phase_work import Work
from bluegreen.cli.rollback_traffic import Wish as Back
from bluegreen.cli.rollback_traffic import rollback_traffic
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.handler import Halt, Refused
from bluegreen.rollout.breakglass import InForce, unreached, way_back
from bluegreen.spec import Colour
from bluegreen.staging.delivery import Message, Wish, deliver
from bluegreen.staging.edit import Apps
from bluegreen.staging.file import Draft, read
from bluegreen.staging.standing import splits
from bluegreen.staging.told import Handed

WORLD = "Nothing was changed."


async def back(work: Work) -> Outcome:
    """Traffic back at once; then the lines, committed and pushed; then an update that finds both in agreement."""
    desk, wish = await work.sealed(), work.wish
    if not wish.reason:
        raise Refused("No reason is given.", world=WORLD, next="Say why: --reason …")
    apps = await _with_a_way(desk, wish.apps)
    order = Back(wish.reason, None, timedelta(seconds=wish.guard), False, wish.unchecked)
    done = await work.did("rollback", rollback_traffic(desk, apps, order))
    if done.exit not in (Exit.OK, Exit.INCONCLUSIVE) and not (done.exit == Exit.REFUSED and await _held(desk)):
        return work.end(done)
    lines = await _held(desk)
    work.about(*lines)
    if not lines:
        return work.end(done)
    users = f"Users are back: {', '.join(f'{app} on {colour}' for app, colour in lines.items())}."
    by_hand = "; ".join(f"{desk.stack.project}:apps.{app}.live: {colour}" for app, colour in lines.items())
    left = f"Write {by_hand}, commit and push it, then run bluegreen up, which lets go of what is held."
    try:
        await work.begin()
        end = await work.land("write", lambda desk: _written(desk, lines, wish.reason, commit=work.commits))
    except Halt as halt:
        return work.ended(Exit.DRIFT, f"{users} The branch does not say so yet: {halt.what}", halt.world, left)
    if end is not None:
        return work.ended(
            Exit.DRIFT, f"{users} The branch does not say so yet: {end.what}", end.world, end.next or left
        )
    settled = await _settled(work)
    if settled.exit:
        next_ = f"{settled.next} Then run bluegreen up: it lets go of what is held.".strip()
        return work.ended(settled.exit, f"{users} The branch says so, too. {settled.what}", settled.world, next_)
    world = "Config, state and gateway agree, and nothing is held."
    return work.ended(done.exit, users, world, done.next if done.exit else "")


async def _with_a_way(desk: Desk, named: Sequence[str]) -> Sequence[str]:
    """Those that were named; or every app that has a way back, while one that was never moved stays where it is.

    Raises:
        Refused: there is no such app.
    """
    order = desk.settings.order()
    if unknown := [app for app in named if app not in order]:
        what = f"There is no app {unknown[0]!r} in the config."
        raise Refused(what, world=WORLD, next=f"Name one of {', '.join(order)}.")
    if named:
        return named
    lanes, gateway, found = desk.settings.lanes(), desk.connections.gateway(), list[str]()
    splits = {app: await gateway.split(lane.upstream) for app, lane in lanes.items()}
    waiting = unreached(splits)
    for app in order:
        try:
            way_back(app, lanes[app], splits[app], waits=app in waiting)
        except InForce:
            found.append(app)
        except Refused as refused:
            await desk.ctx.milestone(f"{refused.what} It stays as it is.")
        else:
            found.append(app)
    return found or order


async def _settled(work: Work) -> Outcome:
    """The update; what keeps it from beginning is an outcome, because users are back already."""
    try:
        return await work.bring_up()
    except Halt as halt:
        return Outcome(exit=Exit.DRIFT, what=halt.what, world=halt.world, next=halt.next)


async def _held(desk: Desk) -> Mapping[str, Colour]:
    """Every app that is held on a colour, and that colour, where the gateway can say."""
    found, _ = await splits(desk.connections, desk.settings.order())
    return {app: split.live for app, split in found.items() if split.hold is not None and split.live is not None}


async def _written(desk: Desk, lines: Mapping[str, Colour], reason: str, *, commit: bool) -> Outcome:
    """The line of every app that is back."""
    text = after = read(desk.stack.file)
    for app, colour in lines.items():
        after = Apps.read(after, desk.stack.project).promoted(app, colour)
    draft, name = Draft(desk.stack.file, text, after), desk.stack.name
    facts = Handed(stack=name, file=desk.stack.file.name)
    if not draft.diff:
        return Outcome(exit=Exit.OK, what=f"{draft.file.name} says so already.", facts=facts)
    each = " and ".join(f"{app} on {colour}" for app, colour in lines.items())
    message = Message(f"Roll back {name}: {each}", reason, "")
    delivered = await deliver(desk.ctx, draft, message, Wish(commit), name)
    return Outcome(
        exit=Exit.OK, what=f"Wrote {each} of {name}.", world=delivered.world, facts=Handed(**delivered.facts)
    )
