"""`bluegreen promote APP…`: the one line of each app names its other colour, as an edit of the stack's file.

It says what `pulumi preview` will say of traffic and whether the way back will be open afterwards, by the same
functions that answer there, as far as Kong and Pulumi's state can be asked now. What an update would refuse because
somebody holds an app or its release was rejected is refused here already. No traffic moves before `pulumi up`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from bluegreen.cli.recorded import recorded, sealed
from bluegreen.cli.stage import Commit, DryRun, Pr
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.gateway import Split
from bluegreen.handler import Halt, Refused
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour
from bluegreen.staging.delivery import Message, Wish, deliver, ready
from bluegreen.staging.edit import Apps
from bluegreen.staging.file import Draft, read
from bluegreen.staging.standing import Ahead, must_be_calm, splits
from bluegreen.staging.told import Promoted, PromotedApp
from bluegreen.standing import Recorded

WORLD = "Nothing was changed."

AppNames = Annotated[list[str] | None, typer.Argument(metavar="APP…", help="The apps whose other colour is to serve.")]
Every = Annotated[bool, typer.Option("--all", help="Every app that has anything in its other colour.")]


async def promote(
    desk: Desk,
    app: AppNames = None,
    *,
    every: Every = False,
    commit: Commit = False,
    pr: Pr = False,
    dry_run: DryRun = False,
) -> Outcome:
    """Name the other colour as the live one, in the one line of each app."""
    wish, text = Wish(commit, pr, dry_run), read(desk.stack.file)
    names, left = _chosen(desk, app or [], every=every)
    await asyncio.to_thread(ready, Draft(desk.stack.file, text, text), wish)
    before, after = Apps.read(text, desk.stack.project), text
    for name in names:
        after = Apps.read(after, desk.stack.project).promoted(name, _other(desk.settings, name))
    draft = Draft(desk.stack.file, text, after)
    will = draft.settings(desk.stack.project, desk.stack.name)
    found, kong = await splits(desk.connections, names)
    for name, split in found.items():
        must_be_calm(name, _other(desk.settings, name), split, promoted=True)
    preview, apps = await _ahead(desk, before, will, found, names)
    delivered = await deliver(desk.ctx, draft, _message(desk, apps), wish, desk.stack.name)
    if kong:
        await desk.ctx.milestone(f"Kong could not be asked what serves now: {kong}.")
    await desk.ctx.milestone(f"pulumi preview will show {preview}")
    for told in apps:
        old, new = told.before_tag or told.origin, told.tag or told.colour
        await desk.ctx.milestone(f"{told.app}: {old} is traded for {new}; they differ in {', '.join(told.differs)}.")
        await desk.ctx.milestone(f"Afterwards: {told.why}")
    each = " and ".join(f"{told.app} {told.tag or ''} on {told.colour}".replace("  ", " ") for told in apps)
    return Outcome(
        exit=Exit.OK,
        what=f"{'Would promote' if wish.dry_run else 'Promoted'} {each} of {desk.stack.name}.",
        world=delivered.world,
        next=delivered.next or "pulumi preview shows the move, pulumi up makes it; bluegreen revert takes it back.",
        facts=Promoted(**delivered.facts, apps=apps, left=left, preview=preview, kong=kong),
    )


def _chosen(desk: Desk, words: Sequence[str], *, every: bool) -> tuple[list[str], list[str]]:
    """The apps, in the order of a rollout, and those that were left out."""
    known = desk.settings.order()
    unknown = [word for word in words if word not in known]
    if unknown:
        what = f"There is no app {unknown[0]!r} in the config."
        raise Refused(what, world=WORLD, next=f"Name one of {', '.join(known)}.")
    if every == bool(words):
        what = "Apps and --all are both given." if every else "Neither an app nor --all is given."
        raise Refused(what, world=WORLD, next="bluegreen promote APP…, or bluegreen promote --all.")
    wanted = [name for name in known if every or name in words]
    empty = [name for name in wanted if desk.settings.apps[name].release(_other(desk.settings, name)) is None]
    if empty and (not every or len(empty) == len(wanted)):
        raise Refused(
            f"{', '.join(f'{name} has nothing on {_other(desk.settings, name)}' for name in empty)}.",
            world=WORLD,
            next=f"Stage something there first: bluegreen stage {empty[0]} IMAGE.",
        )
    return [name for name in wanted if name not in empty], empty


def _other(settings: Settings, app: str) -> Colour:
    return COLOURS[1] if settings.apps[app].live == COLOURS[0] else COLOURS[0]


async def _ahead(
    desk: Desk, before: Apps, will: Settings, found: Mapping[str, Split], names: Sequence[str]
) -> tuple[str, list[PromotedApp]]:
    """What a preview will say, and what is known of every app's way back."""
    known = await recorded(desk.stack)
    releases, unknown = await asyncio.to_thread(_releases, desk)
    looked = Ahead(will, found, known.traffic.history if known.traffic else (), desk.ctx.now(), releases)
    unsure = unknown or ("" if len(found) == len(names) else "Kong could not be asked")
    steps = "/".join(str(step.set_weight) for step in will.rollout.steps if step.set_weight is not None)
    asked = f"{', '.join(f'lanes.{name}.live: {_other(desk.settings, name)}' for name in names)}"
    preview = f"{asked}; steps {steps or '100'} % for a rollout, one step for a rollback ({unsure})"
    if not unsure:
        preview = f"{asked}; {looked.move()}"
    if known.traffic is None:
        preview += f"; what passed before is unknown here ({known.unread}), so a way back may show as a rollout"
    return f"{preview}.", [_told(desk, before, looked, name, known, unsure) for name in names]


def _told(desk: Desk, before: Apps, looked: Ahead, name: str, known: Recorded, unsure: str) -> PromotedApp:
    origin, colour = desk.settings.apps[name].live, _other(desk.settings, name)
    told = PromotedApp(
        app=name,
        origin=origin,
        colour=colour,
        image=(before.block(name, colour) or {}).get("image"),
        tag=before.tag(name, colour),
        before_tag=before.tag(name, origin),
        differs=("image", *before.differing(name, origin, colour)),
    )
    why = unsure or ("" if known.traffic is not None else known.unread)
    if why:
        window = desk.settings.rollout.rollback_window
        hours = round(window.duration.total_seconds() / 3600)
        said = (
            f"{name}: whether a rollback to {origin} will be possible cannot be told ({why}); the window is {hours} h"
        )
        return told.model_copy(update={"why": f"{said}, {window.revisions} releases."})
    back = looked.back(name, origin)
    return told.model_copy(update={"back": back.possible, "why": back.why})


def _releases(desk: Desk) -> tuple[Mapping[tuple[str, Colour], str], str]:
    """Every colour's release id; or, in the second place, why nobody can tell: secrets are part of it."""
    settings = desk.settings
    if sealed(desk.stack, settings):
        try:
            settings = Settings.parse(desk.stack.project, desk.stack.name, desk.stack.config())
        except (Halt, OSError) as problem:
            why = problem.what.rstrip(".") if isinstance(problem, Halt) else "there is no pulumi on PATH"
            return {}, f"secrets are part of a release, and they cannot be read: {why}"
    return {(app, colour): settings.release_id(app, colour) for app, colour in settings.existing()}, ""


def _message(desk: Desk, apps: Sequence[PromotedApp]) -> Message:
    each = " and ".join(f"{told.app} {told.tag or 'as it is'} on {told.colour}" for told in apps)
    body = "\n".join(f"{told.app}: {told.origin} → {told.colour}, {told.image or 'observed'}" for told in apps)
    branch = "-".join(f"{told.app}-{told.colour}" for told in apps)
    return Message(f"Promote {each} of {desk.stack.name}", body, f"promote-{desk.stack.name}-{branch}")
