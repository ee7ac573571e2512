"""`bluegreen hold show | release`: what somebody put back by hand, and letting updates change it again.

A hold is set by `bluegreen rollback` and clears by itself once the config agrees with it; releasing one by hand is for
going on with a config that does not. Nothing that users meet changes by it.
"""

import getpass
import os
import socket
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

import typer

from bluegreen.cli.recorded import sealed
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.cli.written import note
from bluegreen.gateway import Hold
from bluegreen.journal import Told
from bluegreen.kong import kept as kong
from bluegreen.spec import Spec
from bluegreen.standing import Barred, Case, Recorded, barred

GATEWAY = "the gateway"

Action = Annotated[Literal["show", "release"], typer.Argument(help="Look, or let updates change it again.")]
Reason = Annotated[str, typer.Option(help="Why it is released; told in the log.")]


class Held(Spec):
    """One hold."""

    what: str
    by: str
    at: datetime
    reason: str


class Holds(Spec):
    """Every hold of the stack."""

    holds: tuple[Held, ...] = ()


def by_hand(reason: str, now: datetime) -> Hold:
    """The word of whoever runs this: who, when and why."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that nobody has named
        name = f"uid-{os.getuid()}"
    who = f"{name}@{socket.gethostname()}".replace(" ", "_")
    return Hold(who, now.replace(microsecond=0), " ".join(reason.split()))


async def hold(desk: Desk, action: Action, *, reason: Reason = "") -> Outcome:
    """Show what is held by hand, or release it."""
    gateway, owner, found = desk.connections.kong(), desk.settings.owner, await _held(desk)
    facts = Holds(holds=tuple(_facts(what, each) for what, each in found.items()))
    if not found:
        return Outcome(exit=Exit.OK, what="Nothing is held.", facts=facts)
    said = "; ".join(f"{what} is {each}" for what, each in found.items())
    said = f"{said[0].upper()}{said[1:]}."
    if action == "show":
        after = "It clears when the config agrees; to go on with another: bluegreen hold release --reason …"
        return Outcome(exit=Exit.OK, what=said, next=after, facts=facts)
    if not reason.strip():
        return Outcome(exit=Exit.REFUSED, what="No reason is given.", world=said, next="Say why with --reason.")
    if GATEWAY in found:
        await kong.hold_on(gateway, owner, None)
    for app in found.keys() - {GATEWAY}:
        await _release(desk, app)
    who = by_hand(reason, desk.ctx.now())
    await note(desk, Told(at=desk.ctx.now(), text=f"Released by hand, {who.by}: {who.reason}. It was so: {said}"))
    await desk.ctx.milestone(f"released: {said} Why: {reason}")
    barred = await _barred(desk, found.keys() - {GATEWAY})
    after = " ".join(each.next for each in barred) or "pulumi up --refresh makes it as the config says."
    if barred:
        world = " ".join(["Users meet the same, and no update changes it.", *(each.why for each in barred)])
        return Outcome(exit=Exit.OK, what=f"Released. It was so: {said}", world=world, next=after)
    return Outcome(exit=Exit.OK, what=f"Released. It was so: {said}", world="Users meet the same.", next=after)


async def _held(desk: Desk) -> dict[str, Hold]:
    """Every hold: of the gateway, and of each app's traffic."""
    found = {GATEWAY: held} if (held := await kong.held(desk.connections.kong())) else {}
    for app, lane in desk.settings.lanes().items():
        if held := (await desk.connections.gateway().split(lane.upstream)).hold:
            found[app] = held
    return found


async def _release(desk: Desk, app: str) -> None:
    """The hold goes, the weights stay."""
    gateway, upstream = desk.connections.gateway(), desk.settings.lanes()[app].upstream
    for slot in (await gateway.split(upstream)).slots.values():
        if slot.hold is not None:
            await gateway.put(upstream, replace(slot, hold=None), seen=slot)


async def _barred(desk: Desk, apps: Collection[str]) -> list[Barred]:
    """Why no update brings what the config wants, app by app: what was left by hand is rejected on its target."""
    shut, now, found = sealed(desk.stack, desk.settings), desk.ctx.now(), list[Barred]()
    for app, lane in desk.settings.lanes().items():
        if app in apps:
            split = await desk.connections.gateway().split(lane.upstream)
            bar = barred(Case(desk.settings, app, lane, Recorded(), None, now, shut), split)
            found += [bar] if bar is not None else []
    return found


def _facts(what: str, held: Hold) -> Held:
    return Held(what=what, by=held.by, at=held.at, reason=held.reason)
