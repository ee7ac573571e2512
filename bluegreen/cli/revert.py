"""`bluegreen revert`: the commit that undoes the last release of the stack's file, and nothing else.

The release is undone as git would: the way from the commit to the one before it is taken out of the file, whatever
else has changed in it since stays, and where both touch one place nothing is written. What other files the commit
touched stays too. In a folder without git the last move that Pulumi's state tells of is what is taken back, by its one
line. Either way nothing serves otherwise before `pulumi up`, which moves traffic first; `bluegreen rollback` is faster
and needs no Pulumi.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import typer
import yaml

from bluegreen.cli.recorded import recorded
from bluegreen.cli.stage import DryRun, Pr
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.handler import Refused
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour
from bluegreen.staging.delivery import Message, Wish, deliver
from bluegreen.staging.edit import Apps
from bluegreen.staging.file import Draft, read
from bluegreen.staging.repository import Commit, Repository
from bluegreen.staging.told import Reverted

WORLD = "Nothing was changed."
AGAIN = "Revert "
TOGETHER = timedelta(seconds=5)  # between two apps of one move; between two updates there is more

CommitName = Annotated[str, typer.Argument(metavar="COMMIT", help="The commit to undo; the last release by default.")]
Last = Annotated[bool, typer.Option("--last", help="The last release; the same as naming nothing.")]


@dataclass(frozen=True, slots=True)
class Undo:
    """What is undone, and what the file is without it."""

    text: str
    commit: Commit | None = None
    others: int = 0


async def revert(
    desk: Desk, commit: CommitName = "", *, last: Last = False, pr: Pr = False, dry_run: DryRun = False
) -> Outcome:
    """Undo the last release of the stack's file in a commit of its own."""
    if commit and last:
        raise Refused("A commit and --last are both given.", world=WORLD, next="Give one of them.")
    text = read(desk.stack.file)
    here = await asyncio.to_thread(Repository.of, desk.stack.file)
    if here is None:
        if commit or pr:
            Repository.clean(desk.stack.file)  # says why there is none
        undo = await _by_state(desk, text)
    else:
        Repository.clean(desk.stack.file)
        undo = await asyncio.to_thread(_by_commit, desk, here, text, commit)
    draft = Draft(desk.stack.file, text, undo.text)
    if not draft.diff:
        what = f"{undo.commit.subject if undo.commit else 'It'} is undone already."
        return Outcome(exit=Exit.OK, what=what, world=WORLD, facts=_facts(desk, {}, undo, desk.settings))
    will = draft.settings(desk.stack.project, desk.stack.name)
    message = _message(desk, undo, will)
    delivered = await deliver(desk.ctx, draft, message, Wish(here is not None, pr, dry_run), desk.stack.name)
    if undo.others:
        await desk.ctx.milestone(
            f"{undo.others} further file{'s' * (undo.others > 1)} of that commit stay as they are."
        )
    undone = f"“{undo.commit.subject}” ({undo.commit.id[:10]})" if undo.commit else "the last move"
    return Outcome(
        exit=Exit.OK,
        what=f"{'Would undo' if dry_run else 'Undid'} {undone} in {desk.stack.file.name}.",
        world=delivered.world,
        next=delivered.next or "pulumi up moves traffic first, and then does the rest.",
        facts=_facts(desk, delivered.facts, undo, will),
    )


def _by_commit(desk: Desk, here: Repository, text: str, word: str) -> Undo:
    """The file without one commit's part of it.

    Raises:
        Refused: there is no such commit, or too much has changed since.
    """
    commit = here.found(word) if word else _last_release(desk, here)
    now, before = here.content(commit.id), here.content(commit.parents[0]) if commit.parents else None
    if now is None or before is None:
        raise Refused(
            f"{commit.id[:10]} ({commit.subject}) did not change {here.path}: the file began or ended with it.",
            world=WORLD,
            next=f"git log -- {here.path} names the commits that did.",
        )
    if now == before:
        what = f"{commit.id[:10]} ({commit.subject}) did not change {here.path}."
        raise Refused(what, world=WORLD, next=f"git log -- {here.path} names the commits that did.")
    merged = here.merged(text.encode("utf-8"), now, before)
    if merged is None:
        raise Refused(
            f"What {commit.id[:10]} ({commit.subject}) changed in {here.path} was changed again since.",
            world=WORLD,
            next="Undo the later commit first, or edit the file by hand.",
        )
    return Undo(merged.decode("utf-8"), commit, here.others(commit))


def _last_release(desk: Desk, here: Repository) -> Commit:
    """The newest commit that changed what is in a colour, or which one serves."""
    for commit in here.commits():
        if not commit.parents:
            break
        now, before = here.content(commit.id), here.content(commit.parents[0])
        if now is None or before is None or _releases(desk, now) == _releases(desk, before):
            continue
        if commit.subject.startswith(AGAIN):
            raise Refused(
                f"The last release commit of {here.path} is itself a revert: {commit.subject} ({commit.id[:10]}).",
                world=WORLD,
                next=f"To undo that one, name it: bluegreen revert {commit.id[:10]}. "
                f"For an earlier one: git log -- {here.path}.",
            )
        return commit
    raise Refused(
        f"No commit of {here.path} changed what is in a colour or which one serves.",
        world=WORLD,
        next=f"git log -- {here.path} names its commits; name the one to undo.",
    )


def _releases(desk: Desk, content: bytes) -> Any:
    """What of every app a release changes; None where that cannot be read."""
    try:
        config = yaml.safe_load(content.decode("utf-8"))["config"]
        apps = config.get(f"{desk.stack.project}:apps", config.get("apps"))
        return {app: {key: block.get(key) for key in ("live", *COLOURS)} for app, block in apps.items()}
    except (yaml.YAMLError, UnicodeDecodeError, LookupError, TypeError, AttributeError):
        return None


async def _by_state(desk: Desk, text: str) -> Undo:
    """The file with every app back where the last move came from, as Pulumi's state tells it.

    Raises:
        Refused: it tells of none, or cannot be read.
    """
    known = await recorded(desk.stack)
    passed = [done for done in known.traffic.history if done.verdict == "passed"] if known.traffic else []
    goals: dict[str, Colour] = {}
    for number, done in enumerate(passed[::-1]):
        later = passed[-number] if number else None
        if later is not None and later.started - done.finished > TOGETHER:
            break  # of an older move
        known_app = desk.settings.apps.get(done.app)
        if known_app is not None and known_app.live == done.goal and done.origin not in (None, done.goal):
            goals.setdefault(done.app, done.origin)
    if not goals:
        why = known.unread or "its history tells of no move that brought what is live"
        raise Refused(
            f"{desk.stack.file.name} is in no git repository, and Pulumi's state does not help: {why}.",
            world=WORLD,
            next="Write the line by hand: apps.<app>.live.",
        )
    for app, colour in goals.items():
        text = Apps.read(text, desk.stack.project).promoted(app, colour)
    return Undo(text)


def _message(desk: Desk, undo: Undo, will: Settings) -> Message:
    if undo.commit is None:
        each = " and ".join(f"{app} on {colour}" for app, colour in _moved(desk, will).items())
        return Message(f"{each} of {desk.stack.name} again", "", "")
    body = f"This reverts commit {undo.commit.id}."
    body += f"\nOnly {desk.stack.file.name} is touched." if undo.others else ""
    return Message(f'{AGAIN}"{undo.commit.subject}"', body, f"revert-{desk.stack.name}-{undo.commit.id[:10]}")


def _moved(desk: Desk, will: Settings) -> dict[str, Colour]:
    apps = desk.settings.apps
    return {name: app.live for name, app in will.apps.items() if name in apps and apps[name].live != app.live}


def _facts(desk: Desk, handed: Mapping[str, Any], undo: Undo, will: Settings) -> Reverted:
    return Reverted(
        **{"stack": desk.stack.name, "file": desk.stack.file.name, **handed},
        undone=undo.commit.id if undo.commit else "",
        subject=undo.commit.subject if undo.commit else "",
        live=_moved(desk, will),
        others=undo.others,
    )
