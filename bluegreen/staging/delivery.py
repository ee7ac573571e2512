"""An edit handed on: shown, and then written, committed, or pushed as a branch that asks for review.

Whatever cannot go all the way does not begin: what would stop it is looked for before the file is written, and where
git refuses in the end, the file is as it was.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bluegreen.handler import Context, Refused
from bluegreen.staging.file import Draft
from bluegreen.staging.repository import Repository

UNTOUCHED = "Nothing that serves was changed"


@dataclass(frozen=True, slots=True)
class Wish:
    """How far an edit is to go."""

    commit: bool = False
    pr: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """What a commit says, and how its branch is called where it has one."""

    subject: str
    body: str
    branch: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """How far it went; `facts` are the fields of `told.Handed`."""

    facts: Mapping[str, Any]
    world: str
    next: str = ""


def ready(draft: Draft, wish: Wish) -> Repository | None:
    """The repository that it will go to; None where it will not.

    Raises:
        Refused: it could not be committed or pushed.
    """
    if not (wish.commit or wish.pr) or wish.dry_run:
        return None
    here = Repository.clean(draft.file)
    if wish.pr:
        here.remote()
    return here


async def deliver(ctx: Context, draft: Draft, message: Message, wish: Wish, stack: str) -> Delivered:
    """Show the diff, and hand the edit on as far as is wished.

    Raises:
        Refused: it could not be; the file is as it was.
    """
    facts = {"stack": stack, "file": draft.file.name, "diff": draft.diff, "hunks": draft.hunks}
    here = await asyncio.to_thread(ready, draft, wish)
    await ctx.milestone(draft.shown())
    if wish.dry_run:
        return Delivered(facts, "Nothing was written.", "Run it without --dry-run.")
    if here is None:
        draft.write()
        return Delivered({**facts, "written": True}, f"{UNTOUCHED}; {draft.file.name} is written.")
    if wish.pr:
        return await asyncio.to_thread(_proposed, here, draft, message, facts)
    return await asyncio.to_thread(_committed, here, draft, message, facts)


def _committed(here: Repository, draft: Draft, message: Message, facts: Mapping[str, Any]) -> Delivered:
    draft.write()
    try:
        commit = here.commit(message.subject, message.body)
    except Refused:
        draft.undo()
        raise
    world = f"{UNTOUCHED}; {draft.file.name} is committed as {commit[:10]}."
    return Delivered({**facts, "written": True, "commit": commit}, world)


def _proposed(here: Repository, draft: Draft, message: Message, facts: Mapping[str, Any]) -> Delivered:
    branch = message.branch
    commit = here.branched(branch, draft.after.encode("utf-8"), message.subject, message.body)
    remote = here.push(branch)
    url, by_hand = here.request(branch, message.subject, message.body)
    told = {**facts, "commit": commit, "branch": branch, "pull_request": url}
    where = f"; the pull request is {url}" if url else ""
    world = f"{UNTOUCHED}; branch {branch} is pushed to {remote}{where}, and {draft.file.name} here stays as it is."
    return Delivered(told, world, "" if url else f"Open the pull request: {by_hand}")
