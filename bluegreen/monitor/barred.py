"""Why nothing goes back, though that was wished for. Pure: what was seen goes in, a sentence comes out.

A monitor moves traffic only on what it can tell: that what failed still serves, that nobody else is moving traffic,
that something answers through the gateway, and that what it would go back to was well in the last round. By hand
somebody may know better. It deliberately does not ask what the way back itself refuses (`rollout/breakglass.py`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from bluegreen.journal import Beat
from bluegreen.monitor.asking import blind
from bluegreen.monitor.sight import Sight, strangers
from bluegreen.spec import COLOURS, Colour

Live = Mapping[str, Colour | None]  # by app


def barred(owner: str, sight: Sight, failed: Live, beats: Sequence[Beat], now: datetime) -> str:
    """Why not, in a sentence; empty where nothing speaks against it.

    Args:
        owner: whose traffic it is to be.
        sight: what Kong says now.
        failed: what served when it failed.
        beats: the last round.
    """
    why = (
        _foreign(sight, owner)
        or _under_way(sight, now)
        or _another(sight, failed)
        or _silent(beats)
        or unwell(sight, beats)
    )
    return f"Traffic was not taken back: {why}." if why else ""


def unwell(sight: Sight, beats: Sequence[Beat]) -> str:
    """What is wrong with the colour that traffic would go back to, by the last round; empty where nothing is."""
    live = sight.live
    idle = [beat for beat in beats if beat.way in COLOURS and live.get(beat.app) not in (None, beat.way)]
    faulty = next((beat for beat in idle if beat.fault), None)
    if faulty is None:
        return ""
    return f"{faulty.app}'s {faulty.way} was not well in the last round either ({faulty.endpoint}: {faulty.fault})"


def _foreign(sight: Sight, owner: str) -> str:
    found = strangers(sight, owner)
    return next((f"{app}'s rows in Kong belong to {other}, not to {owner}" for app, other in found.items()), "")


def _under_way(sight: Sight, now: datetime) -> str:
    """A rollout has a judge of its own, and the stack's lock; a mark past its time was left by nobody alive."""
    for app, split in sorted(sight.splits.items()):
        for slot in split.slots.values():
            if slot.move is not None and slot.move.deadline > now:
                return (
                    f"move {slot.move.id} of {app} to {slot.colour} is under way, and whoever makes it judges it and "
                    "goes back by itself (by hand: bluegreen rollback full)"
                )
    return ""


def _another(sight: Sight, failed: Live) -> str:
    for app, colour in failed.items():
        if app in sight.splits and sight.splits[app].live != colour:
            split = sight.splits[app]
            held = f", {split.hold}" if split.hold is not None else ""
            now = " and ".join(split.carrying) or "nothing"
            verb = "serve" if len(split.carrying) > 1 else "serves"
            return f"by now {now} {verb} {app}{held}, and {colour or 'several'} did when it failed"
    return ""


def _silent(beats: Sequence[Beat]) -> str:
    return "nothing answers through the gateway, so no colour can be told to be well" if blind(beats) else ""
