"""A release's steps in their order, in the words of the release, and how long it takes at most.

What has no bound of its own is not in the sum: the proofs between two weights, and the waiting for a lock.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from bluegreen.page.section import span
from bluegreen.planning.document import Leg, Part, Schema, Side, Way
from bluegreen.settings import Settings
from bluegreen.spec import Colour

LEAST_MS = 20  # what is told of a time below it: on an idle copy nothing is exact


@dataclass(frozen=True, slots=True)
class Parts:
    """What the steps are made of."""

    settings: Settings
    sides: tuple[tuple[str, Side], ...]
    traffic: Way
    migrations: Sequence[Schema]
    gateway: Sequence[Part]
    kept: Sequence[str]


def steps(parts: Parts) -> tuple[str, ...]:
    """From the first to the last, as an update takes them."""
    return tuple(_steps(parts))


def seconds(parts: Parts) -> float:
    """At most, by every step's own word."""
    deployed = [side for _, side in parts.sides if side.done == "deployed" and side.after]
    deadline = parts.settings.rollout.progress_deadline_seconds
    database = sum(each.ms or 0 for each in parts.migrations) / 1000
    return parts.traffic.seconds + database + deadline * len(deployed)


def clock(seconds: float) -> str:
    """A span as a person reads it: never less than it is."""
    if seconds < 120:
        return f"{max(1, ceil(seconds))} s"
    minutes, left = divmod(ceil(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {left} s" if left else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes % 60 else f"{minutes // 60} h"


def _steps(parts: Parts) -> Iterator[str]:
    yield from _gateway(parts)
    for each in parts.migrations:
        if each.phase != "contract":
            yield _migration(each)
    yield from _deploys(parts, live=True)
    yield from _traffic(parts)
    yield from _deploys(parts, live=False)
    for each in parts.migrations:
        if each.phase == "contract":
            yield _migration(each)
    for app, side in parts.sides:  # whatever goes, the engine takes away at the very end
        if side.done == "removed":
            yield f"{app} {side.colour} is deleted, once nobody can be there any more."
    for name in parts.kept:
        yield f"{name} is wanted no longer; its schema stays as it is."


def _gateway(parts: Parts) -> Iterator[str]:
    previews = sum(not part.users for part in parts.gateway)
    users = sum(part.users for part in parts.gateway)
    if previews:
        yield f"The gateway changes on the previews first ({previews}), where the change is rehearsed."
    if users:
        yield f"The gateway changes for users ({users}), and is kept once every check passes."


def _migration(each: Schema) -> str:
    took = f", about {span(max(each.ms, LEAST_MS))}" if each.ms is not None else ""
    return f"{each.label} is applied ({each.phase or 'expand'}{took})."


def _deploys(parts: Parts, *, live: bool) -> Iterator[str]:
    deadline = clock(parts.settings.rollout.progress_deadline_seconds)
    for app, side in parts.sides:
        if side.done == "deployed" and side.after and (side.colour == parts.settings.apps[app].live) == live:
            asked = len(parts.settings.apps[app].verify)
            then = f" and verified by {asked} command{'s' * (asked > 1)}" if asked else ""
            idle = "" if live else ", without users"
            yield f"{app} {side.colour} is deployed{then}{idle}: at most {deadline}."


def _traffic(parts: Parts) -> Iterator[str]:
    way = parts.traffic
    yield from (f"{each}." for each in way.also)
    if way.before:
        yield f"Nobody is moved before an {way.before} of the previews has passed."
    for leg in way.legs:
        yield _leg(leg)
    if way.after:
        yield f"An {way.after} of all users; if it fails, everybody goes back."


def _leg(leg: Leg) -> str:
    stages = " · ".join(leg.stages)
    at_most = f" (at most {clock(leg.seconds)})" if leg.seconds else ""
    return f"Users of {leg.app} go {_from(leg.origin)}to {leg.goal} ({leg.kind}): {stages}{at_most}."


def _from(origin: Colour | None) -> str:
    return f"from {origin} " if origin else ""
