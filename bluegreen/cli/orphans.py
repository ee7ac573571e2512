"""`bluegreen orphans`: what in Kong is marked as this stack's and is in no state; with `--prune` it is deleted.

Pruning is guarded, because a lost state makes everything an orphan: it refuses while anybody holds the stack, and
unless a preview would change nothing, which means that whatever the program declares is in state.
"""

from typing import Annotated

import typer

from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.kong import orphans as kong
from bluegreen.spec import State as Facts

KONG = "bluegreen:kong:"

Prune = Annotated[bool, typer.Option("--prune", help="Delete them, after a preview that changes nothing.")]


class Found(Facts):
    """The orphans, as `kind name`, and what became of them."""

    orphans: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


async def orphans(desk: Desk, *, prune: Prune = False) -> Outcome:
    """Show what in Kong is marked as this stack's and is in no state, or delete it."""
    gateway, owner = desk.connections.kong(), desk.settings.owner
    if prune and (lock := desk.stack.lock()) is not None:
        what, after = f"The stack is held by {lock}.", "Wait for it, or run bluegreen recover if it is dead."
        return Outcome(exit=Exit.LOCKED, what=what, world="Nothing was changed.", next=after)
    if prune:
        desk.stack.must_be_settled()
    before_us = desk.settings.adopt.values()  # it outlives the stack, with our mark on it
    found = await kong.orphans(gateway, owner, {*desk.stack.ids(KONG), *before_us})
    named = tuple(str(orphan) for orphan in found)
    if not found:
        return Outcome(exit=Exit.OK, what=f"Nothing in Kong is marked {owner} without being in state.", facts=Found())
    if not prune:
        return Outcome(
            exit=Exit.DRIFT,
            what=f"{len(found)} in Kong marked {owner} and in no state: {', '.join(named)}.",
            world="Nothing was changed.",
            next="pulumi up adopts what the program declares; bluegreen orphans --prune deletes the rest.",
            facts=Found(orphans=named),
        )
    deleted, left = await kong.prune(gateway, owner, found)
    facts = Found(orphans=named, deleted=tuple(str(one) for one in deleted), left=tuple(str(one) for one in left))
    return Outcome(
        exit=Exit.DRIFT if left else Exit.OK,
        what=f"Deleted: {', '.join(facts.deleted) or 'nothing'}.",
        world=f"Left, because something that stays leads there: {', '.join(facts.left)}." if left else "",
        next="Take away what leads there, then run this again." if left else "",
        facts=facts,
    )
