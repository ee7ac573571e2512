"""`bluegreen rollback full | APP | kong --reason …`: back to what was good, at once and without Pulumi.

Traffic goes back by `rollback_traffic.py`. The gateway is put back here: users meet the last good one again.

Needs Kong alone, its proxy to prove it: no engine, no state, no Railway, no database. A hold comes first, so that an
update under way stops and a later one does not silently undo this; it clears when the config agrees. What is put back
is proved in force, looked at once more for writes that arrive late, and asked as users would. Writes that were cut
short are finished by running it again. The stack's file is read leniently: a wrong key in it keeps nobody from going
back.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Literal

import typer

from bluegreen.cli.asking import asked, failing, named, show
from bluegreen.cli.hold import by_hand
from bluegreen.cli.keep import passing
from bluegreen.cli.rollback_traffic import Wish, rollback_traffic
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.cli.witness import anew, point, proved
from bluegreen.cli.written import note
from bluegreen.coherence import FRONTS
from bluegreen.connections import READ
from bluegreen.gateway import Hold
from bluegreen.handler import Halt
from bluegreen.journal import Began, Ended
from bluegreen.kong import kept as kong
from bluegreen.kong.kept import Kept
from bluegreen.kong.restore import LOST, restore
from bluegreen.measure.checks import Result
from bluegreen.spec import Spec

What = Annotated[str, typer.Argument(help="What goes back: an app's traffic, all of it (full), or the gateway (kong).")]
Reason = Annotated[str, typer.Option(help="Why; kept with the hold.")]
To = Annotated[Literal["blue", "green"] | None, typer.Option(help="The colour, where the gateway cannot tell.")]
Guard = Annotated[float, typer.Option(help="Seconds to look whether it stays so.", min=0, max=600)]
Write = Annotated[bool, typer.Option("--write", help="Write the config's line as well.")]
Unchecked = Annotated[bool, typer.Option("--unchecked", help="Do not ask first whether the target is well.")]


LOOKS = 3  # after the proof, for writes that arrive late

FULL, GATEWAY = "full", "kong"  # no app is called so (coherence)


class RolledBack(Spec):
    """What was put back, and how users fare with it."""

    gateway: str
    changes: Sequence[str]
    seconds: float
    held: bool
    results: Sequence[Result] = ()


async def rollback(
    desk: Desk,
    what: What,
    *,
    reason: Reason,
    to: To = None,
    guard: Guard = 15.0,
    write: Write = False,
    unchecked: Unchecked = False,
) -> Outcome:
    """Take traffic back, or put the last good gateway back, at once and without Pulumi, and hold it."""
    apps = desk.settings.order()
    if not reason.strip():
        return Outcome(exit=Exit.REFUSED, what="No reason is given.", world="Nothing was changed.", next="Say why.")
    if what not in (*apps, FULL, GATEWAY):
        named = f"Name {', '.join(apps)}, {FULL} or {GATEWAY}."
        return Outcome(exit=Exit.REFUSED, what=f"There is no app {what!r}.", world="Nothing was changed.", next=named)
    if what == GATEWAY:
        return _misread(desk, await _gateway(desk, reason))
    wish = Wish(reason, to, timedelta(seconds=guard), write, unchecked)
    return _misread(desk, await rollback_traffic(desk, apps if what == FULL else [what], wish))


def _misread(desk: Desk, outcome: Outcome) -> Outcome:
    """A config that no update would take does not stop a way back; whoever reads the outcome has to hear of it."""
    if not desk.settings.misfit:
        return outcome
    world = f"{outcome.world} {desk.settings.misfit} That was left out here, and no update runs before it fits."
    after = f"{outcome.next} Correct {desk.stack.file.name}."
    return outcome.model_copy(update={"world": world.lstrip(), "next": after.lstrip()})


async def _gateway(desk: Desk, reason: str) -> Outcome:
    gateway, owner = desk.connections.kong(), desk.settings.owner
    began = desk.ctx.now()
    kept = await kong.kept(gateway, owner)
    if kept is None:
        return Outcome(
            exit=Exit.REFUSED,
            what="No gateway of this stack was ever kept.",
            world="Nothing was changed.",
            next="Revert the gateway's change in the config, then run pulumi up.",
        )
    await kong.hold_on(gateway, owner, by_hand(reason, began))
    try:
        changes, late = await _put_back(desk, kept)
    except Halt as halt:
        await _note(desk, kept, by_hand(reason, began), f"{halt.what} It may be half put back.", stopped=True)
        after = f"{halt.next} Then run this again: it goes on from there."
        return Outcome(exit=Exit.ROLLBACK_FAILED, what=halt.what, world="It may be half put back.", next=after)
    seconds = round((desk.ctx.now() - began).total_seconds(), 2)
    said = f"{'; '.join(changes) or 'nothing was to be changed'}{f'; not in force everywhere: {late}' if late else ''}"
    await _note(desk, kept, by_hand(reason, began), said, stopped=bool(late))
    agrees = kept.gateway == desk.settings.gateway_id  # then no update would undo this, and none would release it
    if agrees or not changes:
        await kong.hold_on(gateway, owner, None if agrees else kept.hold)
    results = await passing(desk, sealed=True)
    await show(desk, results)
    facts = RolledBack(gateway=kept.gateway, changes=changes, seconds=seconds, held=not agrees, results=results)
    if late:
        what_, after = f"The gateway is put back and not in force everywhere: {late}.", "Look at the gateway's nodes."
        return Outcome(exit=Exit.ROLLBACK_FAILED, what=what_, next=after, facts=facts)
    return _told(kept, facts)


async def _note(desk: Desk, kept: Kept, hold: Hold, said: str, *, stopped: bool) -> None:
    """In the record of what serves: it goes on, behind another gateway."""
    move = f"by hand: the gateway is put back to {kept}"
    began = Began(at=hold.at, move=move, by=hold.by, reason=hold.reason)
    await note(desk, began, Ended(at=desk.ctx.now(), verdict="stopped" if stopped else "passed", text=said))


async def _put_back(desk: Desk, kept: Kept) -> tuple[list[str], str]:
    """Put it back, prove it, and look until nothing else has arrived; what was done, and what is not in force.

    Whoever was at work before may still have a write on its way, for as long as that waits for its answer.
    """
    gateway, owner, last = desk.connections.kong(), desk.settings.owner, desk.settings.witness_name(FRONTS)
    changes = await restore(gateway, owner, kept.rows, last=last)
    late = await _in_force(desk, kept.gateway, anything=bool(changes))
    for look in range(LOOKS):
        if look:
            await desk.ctx.sleep(READ)
        again = await restore(gateway, owner, kept.rows, last=last)
        again = [said for said in again if said not in changes or LOST not in said]  # what is lost is lost for good
        if not again or late:
            return [*changes, *again], late
        await desk.ctx.milestone(f"Somebody else has written meanwhile. Put back once more: {'; '.join(again)}.")
        changes += again
        late = await _in_force(desk, kept.gateway, anything=True)
    raise Halt(
        f"Somebody else writes what users meet again and again: {'; '.join(again)}.",
        world="It was put back each time.",
        next="Stop the other writer.",
    )


async def _in_force(desk: Desk, id: str, *, anything: bool) -> str:
    """Empty once what was put back is in force everywhere; a hand edit leaves the id, so the witness says another."""
    if not anything:
        return await proved(desk, FRONTS, id)
    said = anew(id)
    await point(desk, FRONTS, said)
    late = await proved(desk, FRONTS, said)
    await point(desk, FRONTS, id)
    return late


def _told(kept: Kept, facts: RolledBack) -> Outcome:
    bad = failing(facts.results)
    exit = Exit.INCONCLUSIVE if bad else Exit.OK
    see = f"See to {named(bad)}." if bad else ""
    if not facts.changes:
        what = f"Users meet it already: {kept}; {asked(facts.results)}."
        return Outcome(exit=exit, what=what, world="Nothing was changed.", next=see, facts=facts)
    held = "It is held: no update changes what users meet" if facts.held else "The config agrees, so nothing is held"
    after = "Revert the gateway's change in the config and run pulumi up, which releases the hold."
    return Outcome(
        exit=exit,
        what=f"Put back in {facts.seconds:g} s, in force everywhere: {kept}; {asked(facts.results)}.",
        world=f"{'It is back all the same. ' if bad else ''}Changed: {'; '.join(facts.changes)}. {held}.",
        next=" ".join(beat for beat in (see, after if facts.held else "") if beat),
        facts=facts,
    )
