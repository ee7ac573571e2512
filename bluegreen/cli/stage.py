"""`bluegreen stage APP IMAGE`: the next release beside the one that serves, as an edit of the stack's file.

The idle colour becomes a copy of the live one with another image, so that what is tried is what serves and one thing
else. A tag is asked for its digest once, here: the digest is what is written and deployed, the tag stays as a comment
for people, and no update ever asks a registry. `--from` takes what serves in another stack, where it has passed there.

What is traded: whatever somebody has set on the idle colour alone is lost by a copy, so it is named and refused until
they choose (`--keep`, `--overwrite`). Nothing is deployed and no traffic moves; `pulumi up` does the one, `bluegreen
promote` and another update the other.
"""

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from bluegreen.cli.recorded import recorded
from bluegreen.cli.stack import Stack
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.handler import Refused
from bluegreen.http import ApiError
from bluegreen.plain import Unreadable, plain
from bluegreen.railway.spec import RegistryCredentials
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour
from bluegreen.staging.delivery import Delivered, Message, Wish, deliver, ready
from bluegreen.staging.edit import Apps
from bluegreen.staging.file import Draft, read
from bluegreen.staging.passed import Elsewhere, Wanted
from bluegreen.staging.reference import reference
from bluegreen.staging.registry import Absent, doors, resolve
from bluegreen.staging.standing import must_be_calm, splits
from bluegreen.staging.told import Staged, StagedApp

WORLD = "Nothing was changed."

App = Annotated[str, typer.Argument(metavar="APP", help="The app; all of them with --from alone.")]
Image = Annotated[
    str, typer.Argument(metavar="IMAGE", help="repository:tag, repository@sha256:…, or a tag of the live repository.")
]
From = Annotated[str, typer.Option("--from", metavar="STACK", help="What serves in this stack and has passed there.")]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the idle colour's block, and change its image alone.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Copy the live block over what the idle one has set.")]
Commit = Annotated[bool, typer.Option("--commit", help="Commit the file, and nothing else.")]
Pr = Annotated[bool, typer.Option("--pr", help="Push it as a branch and open a pull request; the file here stays.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the diff, and write nothing.")]


async def stage(
    desk: Desk,
    app: App = "",
    image: Image = "",
    *,
    origin: From = "",
    keep: Keep = False,
    overwrite: Overwrite = False,
    commit: Commit = False,
    pr: Pr = False,
    dry_run: DryRun = False,
) -> Outcome:
    """Write the next release into the idle colour: a copy of the live one with another image."""
    wish, text = Wish(commit, pr, dry_run), read(desk.stack.file)
    _must_fit(desk, app, image, origin, keep=keep and overwrite)
    await asyncio.to_thread(ready, Draft(desk.stack.file, text, text), wish)
    before = Apps.read(text, desk.stack.project)
    names = [app] if app else list(desk.settings.order())
    kong = await _calm(desk, names)
    found = await _elsewhere(desk, names, origin) if origin else [await _resolved(desk, before, app, image)]
    wanted = [each for each in found if not _serves(desk, each, named=bool(app))]
    staged = [_staged(desk, before, each, keep=keep, overwrite=overwrite) for each in wanted]
    after = text
    for each, told in zip(wanted, staged, strict=True):
        edit, live = Apps.read(after, desk.stack.project), desk.settings.apps[each.app].live
        after = (
            edit.reimaged(each.app, told.colour, each.image)
            if keep and told.before
            else edit.staged(each.app, live, told.colour, each.image)
        )
    draft = Draft(desk.stack.file, text, after)
    if not draft.diff:
        return _nothing(desk, staged, kong)
    draft.settings(desk.stack.project, desk.stack.name)
    for told in staged:
        await _said(desk, told)
    delivered = await deliver(desk.ctx, draft, _message(desk, wanted, staged), wish, desk.stack.name)
    return _outcome(desk, wanted, staged, delivered, wish, kong)


def _must_fit(desk: Desk, app: str, image: str, origin: str, *, keep: bool) -> None:
    if app and app not in desk.settings.apps:
        names = ", ".join(desk.settings.order())
        raise Refused(f"There is no app {app!r} in the config.", world=WORLD, next=f"Name one of {names}.")
    if bool(image) == bool(origin) or (image and not app):
        what = "An image and --from are both given." if image and origin else "Neither an image nor --from is given."
        raise Refused(what, world=WORLD, next="bluegreen stage APP IMAGE, or bluegreen stage [APP] --from STACK.")
    if keep:
        raise Refused("--keep and --overwrite are both given.", world=WORLD, next="Give one of them.")


def _idle(desk: Desk, app: str) -> Colour:
    return COLOURS[1] if desk.settings.apps[app].live == COLOURS[0] else COLOURS[0]


async def _calm(desk: Desk, apps: Sequence[str]) -> str:
    """Why Kong could not be asked; empty where it was, and has nothing against it."""
    found, why = await splits(desk.connections, apps)
    for app, split in found.items():
        must_be_calm(app, _idle(desk, app), split)
    if why:
        await desk.ctx.milestone(f"Kong could not be asked whether anything moves there: {why}.")
    return why


async def _resolved(desk: Desk, before: Apps, app: str, word: str) -> Wanted:
    live = (before.block(app, desk.settings.apps[app].live) or {}).get("image")
    image = reference(word, live if isinstance(live, str) else None)
    if live and image.repository != str(live).partition("@")[0]:
        await desk.ctx.milestone(f"{app} comes from another repository from now on: {image.repository}.")
    if live and image.digest == str(live).partition("@")[2]:
        return Wanted(app, image)  # what serves is known well enough
    known = doors(desk.connections.environment)
    try:
        found = await resolve(desk.ctx, image, known, lambda: _credentials(desk, image.host))
    except (ApiError, Refused) as problem:
        if image.digest is None or isinstance(problem, Absent):
            raise
        await desk.ctx.milestone(f"Whether {image.digest[:19]} is there could not be looked up: {problem.what}")
        return Wanted(app, image)
    return Wanted(app, replace(image, digest=found.digest), found.platforms)


def _credentials(desk: Desk, host: str) -> RegistryCredentials | None:
    """How this registry is asked; what is encrypted is opened only when it asks."""
    known = desk.settings.secrets.registries.get(host)
    if known is None or known.credentials is not None:
        return known.credentials if known else None
    if shutil.which("pulumi") is None:
        what = f"secrets.registries[{host!r}] is encrypted, and there is no pulumi on PATH that could read it."
        raise Refused(what, world=WORLD, next="Install it, or give the digest: repository@sha256:…")
    opened = Settings.parse(desk.stack.project, desk.stack.name, desk.stack.config())
    return opened.secrets.registries[host].credentials


async def _elsewhere(desk: Desk, apps: Sequence[str], origin: str) -> list[Wanted]:
    """What serves in the other stack, each with where it is known from that it passed there.

    Raises:
        Refused: something did not, or nobody can say so.
    """
    other = Stack.named(origin, engine=False)
    file = desk.stack.file.with_name(f"Pulumi.{other.name}.yaml")
    if other.name == desk.stack.name:
        raise Refused(f"--from names {origin}, which is this stack.", world=WORLD, next="Name the one before it.")
    text = read(file)
    try:
        settings = Settings.parse(other.project, other.name, plain(file, other.project)[0])
    except Unreadable as problem:
        raise Refused(f"{file.name} cannot be read: {problem}.", world=WORLD, next="Correct it.") from None
    written, known = Apps.read(text, other.project), await recorded(other)
    opened = await asyncio.to_thread(_opened, other, file, settings)
    there = Elsewhere(other.name, written, opened, known, desk.connections.bundles(other.name).all())
    return [there.passed(app) for app in apps]


def _opened(other: Stack, file: Any, settings: Settings) -> Settings:
    """The other stack with its secrets where they can be read: a release id is made of them."""
    if shutil.which("pulumi") is None:
        return settings
    try:
        return Settings.parse(other.project, other.name, other.config(file))
    except Refused:
        return settings


def _serves(desk: Desk, wanted: Wanted, *, named: bool) -> bool:
    """Whether this image is live already, where that is no mistake of whoever named the app."""
    live = desk.settings.apps[wanted.app].live
    image = getattr(desk.settings.apps[wanted.app].release(live), "image", None)
    same = image is not None and image.partition("@")[2] == wanted.image.digest
    if same and named:
        raise Refused(
            f"{wanted.app}: {wanted.image.tagged or image} is live already, on {live}: there is nothing to stage.",
            world=WORLD,
            next="Another setting with the same image is an edit of the idle colour's block by hand.",
        )
    return same


def _staged(desk: Desk, before: Apps, wanted: Wanted, *, keep: bool, overwrite: bool) -> StagedApp:
    """What becomes of one app.

    Raises:
        Refused: the live colour cannot be copied, or the idle one has settings of its own.
    """
    app, live, idle = wanted.app, desk.settings.apps[wanted.app].live, _idle(desk, wanted.app)
    serving, there = before.block(app, live) or {}, before.block(app, idle)
    if "image" not in serving and not (keep and there):
        raise Refused(
            f"{app}: {live} is observed, so there is no release to copy to {idle}.",
            world=WORLD,
            next=f"Write {idle}'s first block by hand, as bluegreen adopt has shown it; then take --keep.",
        )
    if keep and there is not None and "image" not in there:
        what = f"{app}: {idle} is observed, so it has no image to change."
        raise Refused(what, world=WORLD, next="Take --overwrite, which makes a release of it.")
    others = () if keep else before.differing(app, live, idle)
    if others and not overwrite:
        raise Refused(
            f"{app}: {idle} differs from {live} not in its image alone: a copy would overwrite {', '.join(others)}.",
            world=WORLD,
            next="Take --overwrite for the copy, or --keep, which changes the image alone.",
        )
    return StagedApp(
        app=app,
        colour=idle,
        image=f"{wanted.image.repository}@{wanted.image.digest}",
        tag=wanted.image.tag,
        before=there.get("image") if there else None,
        before_tag=before.tag(app, idle),
        schema_min=(there if keep and there else serving).get("schemaMin"),
        live=serving.get("image"),
        platforms=wanted.platforms,
        overwritten=others,
        lacks=before.lacking(app, live, idle),
        passed=wanted.passed,
    )


async def _said(desk: Desk, told: StagedApp) -> None:
    """What is traded for what, and what nobody but a person can know."""
    for sentence in _trades(told, desk.settings.apps[told.app].live):
        await desk.ctx.milestone(f"{told.app}: {sentence}")
    for name in told.lacks:
        path = f"{desk.stack.project}:secrets.{told.app}.{told.colour}.{name}"
        await desk.ctx.milestone(f"{told.app}: {told.colour} lacks {name}: pulumi config set --secret --path '{path}'")


def _trades(told: StagedApp, live: Colour) -> Iterator[str]:
    new = told.tag or told.image.rpartition("@")[2][:19]
    if told.before:
        old = told.before_tag or told.before.rpartition("@")[2][:19]
        yield (
            f"{told.colour} has {old} now, which is where a rollback from {live} would go. Once pulumi up deploys {new}"
            f" there, there is nothing to go back to until {new} is live."
        )
    if told.overwritten:
        yield f"{told.colour} becomes as {live} is in {', '.join(told.overwritten)}."
    if told.schema_min:
        yield f"{told.colour} says schemaMin {told.schema_min}: raise it there if {new} needs a newer schema."
    if told.platforms:
        yield "the digest is that of an index; every platform takes its own image."
    if told.passed:
        yield f"{told.passed}."


def _message(desk: Desk, wanted: Sequence[Wanted], staged: Sequence[StagedApp]) -> Message:
    pairs = list(zip(wanted, staged, strict=True))
    each = " and ".join(f"{told.app} {one.image.label} on {told.colour}" for one, told in pairs)
    lines = [f"{one.image.tagged or told.app} is\n{told.image}" for one, told in pairs]
    lines += [f"{told.app}: {told.passed}." for told in staged if told.passed]
    branch = "-".join(f"{told.app}-{one.image.label.replace(':', '-')}" for one, told in pairs)
    return Message(f"Stage {each} of {desk.stack.name}", "\n".join(lines), f"stage-{desk.stack.name}-{branch}")


def _nothing(desk: Desk, staged: Sequence[StagedApp], kong: str) -> Outcome:
    facts = Staged(stack=desk.stack.name, file=desk.stack.file.name, apps=staged, kong=kong)
    each = " and ".join(f"{told.app} {told.tag or told.image} on {told.colour}" for told in staged)
    what = f"{each} is staged already." if each else "Everything is live already: there is nothing to stage."
    return Outcome(exit=Exit.OK, what=what, world=WORLD, facts=facts)


def _outcome(
    desk: Desk,
    wanted: Sequence[Wanted],
    staged: Sequence[StagedApp],
    delivered: Delivered,
    wish: Wish,
    kong: str,
) -> Outcome:
    labels = [one.image.label for one in wanted]
    each = " and ".join(f"{told.app} {label} on {told.colour}" for told, label in zip(staged, labels, strict=True))
    apps = " ".join(told.app for told in staged)
    return Outcome(
        exit=Exit.OK,
        what=f"{'Would stage' if wish.dry_run else 'Staged'} {each} of {desk.stack.name}.",
        world=delivered.world,
        next=delivered.next or f"pulumi up deploys it without traffic; bluegreen promote {apps} is the next edit.",
        facts=Staged(**delivered.facts, apps=staged, kong=kong),
    )
