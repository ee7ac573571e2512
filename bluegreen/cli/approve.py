"""`bluegreen approve APP --reason …`: let a move that waits at a gate go on.

The word is written on the candidate's row in Kong, where the waiting move looks for it; so it needs neither Pulumi nor
its lock, which the waiting update holds. It lasts for the share of traffic at which it was given: the next step forgets
it. Nobody is let through in advance: without a move under way there is nothing to approve. It moves no traffic itself.
"""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer

from bluegreen.cli.hold import by_hand
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.gateway import Moved, Slot, Split
from bluegreen.rollout.stages import Gate, Weigh, stages
from bluegreen.spec import Colour, Spec

WORLD = "Nothing was changed."
TRIES = 3  # against the move itself, which writes the same row

App = Annotated[str, typer.Argument(help="The app whose move waits.")]
Reason = Annotated[str, typer.Option(help="Why it may go on; told in the log and kept with the move.")]


class Approved(Spec):
    """Who let which move go on, and where it was then."""

    app: str
    colour: Colour
    weight: int
    release: str | None
    move: str
    by: str
    at: datetime
    reason: str


async def approve(desk: Desk, app: App, *, reason: Reason) -> Outcome:
    """Let the move of an app that waits at a gate go on."""
    apps = desk.settings.order()
    if app not in apps:
        return _refused(f"There is no app {app!r}.", f"Name {' or '.join(apps)}.")
    if not reason.strip():
        return _refused("No reason is given.", "Say why with --reason.")
    upstream, gateway = desk.settings.lanes()[app].upstream, desk.connections.gateway()
    for _ in range(TRIES):
        found = _candidate(app, await gateway.split(upstream), desk.ctx.now())
        if isinstance(found, Outcome):
            return found
        if found.approved is not None:
            facts = _facts(app, found)
            what = f"{app} at {found.weight} % {found.colour} is approved already, by {facts.by} ({facts.reason})."
            return Outcome(exit=Exit.OK, what=what, world=WORLD, facts=facts)
        approved = replace(found, approved=by_hand(reason, desk.ctx.now()))
        try:
            await gateway.put(upstream, approved, seen=found)
        except Moved:
            continue  # the move has written its row meanwhile: look again where it is
        return _told(desk, app, approved)
    return _refused(f"{app}: the move writes its row again and again.", "Run this again once it waits at its gate.")


def _candidate(app: str, split: Split, now: datetime) -> Slot | Outcome:
    """The row that waits for a word, or why there is none."""
    serves = " and ".join(f"{colour} {split.slots[colour].weight} %" for colour in split.carrying) or "nothing"
    marked = next((slot for slot in split.slots.values() if slot.move is not None), None)
    if split.hold is not None:
        return _refused(
            f"{app} is {split.hold}: no move is under way there.", "bluegreen hold show tells the ways out."
        )
    if marked is None or marked.move is None:
        return _refused(
            f"No move of {app} is under way: {serves} serves.", "Approve once a move waits; bluegreen status tells."
        )
    mark = marked.move
    if mark.deadline <= now:
        what = f"Move {mark.id} of {app} ran out of its time at {mark.deadline:%Y-%m-%d %H:%M:%S} UTC."
        return _refused(what, "Run bluegreen recover, then pulumi up.")
    if mark.origin == marked.colour:
        return _refused(f"Move {mark.id} of {app} is on its way back to {mark.origin}, which waits for nobody.", "")
    return marked


def _told(desk: Desk, app: str, slot: Slot) -> Outcome:
    facts = _facts(app, slot)
    waits = slot.weight in _gates(desk, app)
    other = f"The config has no gate at {slot.weight} %, and the next step forgets this."
    return Outcome(
        exit=Exit.OK,
        what=f"{app} may go on from {slot.weight} % {slot.colour}, release {slot.release or 'unknown'}.",
        world=f"Approved by {facts.by}: {facts.reason}." if waits else other,
        next="" if waits else "bluegreen status tells where it is.",
        facts=facts,
    )


def _gates(desk: Desk, app: str) -> frozenset[int]:
    """The shares of traffic at which the config has a gate."""
    at, found = 0, set[int]()
    for stage in stages(desk.settings.rollout, desk.settings.lanes()[app]):
        if isinstance(stage, Weigh):
            at = stage.weight
        elif isinstance(stage, Gate):
            found.add(at)
    return frozenset(found)


def _facts(app: str, slot: Slot) -> Approved:
    mark, word = slot.move, slot.approved
    assert mark is not None, "only a move under way is approved"
    assert word is not None, "and told of once it is"
    return Approved(
        app=app,
        colour=slot.colour,
        weight=slot.weight,
        release=slot.release,
        move=mark.id,
        by=word.by,
        at=word.at,
        reason=word.reason,
    )


def _refused(what: str, after: str) -> Outcome:
    return Outcome(exit=Exit.REFUSED, what=what, world=WORLD, next=after)
