"""The rule about proof before traffic: a colour is live only after a verification of its release, which Traffic awaits.

What is asked for is what makes that true: a command that verifies this app and colour, that runs again for another
release, and on which Traffic depends. That it passes is the engine's business: what depends on a command that failed is
not touched. It deliberately does not judge what is verified; that is the app's `verify` in the stack config.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from policies.rule import UNKNOWN, Config, Finding, Resource, Unjudged, Violation, mapping, sequence
from policies.traffic import COLOURS, TRAFFIC

COMMAND = "command:local:Command"
Verified = tuple[str, str]


def traffic_is_verified(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    """A deployment that is healthy to Railway may still answer everybody with an error."""
    commands, hazy = _verifications(resources)
    before = {one.urn: one.needs for one in resources}
    for traffic in resources:
        if traffic.type != TRAFFIC:
            continue
        awaited = _awaited(traffic.urn, before)
        lanes = mapping(traffic.at("lanes", {}))
        for app in sorted(lanes):
            lane = mapping(lanes[app])
            live = lane.get("live")
            if live not in COLOURS or live in sequence(lane.get("unmarked")):
                continue  # nobody's colour, or somebody else's deployment
            command = commands.get((app, live))
            if command is None and hazy:
                yield hazy[0]
                continue
            yield from _faults(traffic, f"{app} {live}", str(lane.get("release")), command, awaited)


def _faults(
    traffic: Resource, whose: str, release: str, command: Resource | None, awaited: set[str]
) -> Iterator[Finding]:
    world = "As declared, users meet a release that nobody has tried."
    if command is None:
        fault = "no command verifies it"
        instead = "Declare the colour as components/colour.py does."
    elif command.urn not in awaited:
        fault = f"traffic does not wait for {command.name}"
        instead = f"Let {traffic.name} depend on the live colours, as __main__.py does."
    elif (known := _known(command, release)) is None:
        yield Unjudged(command, "triggers")
        return
    elif known is False:
        fault = f"{command.name} does not run again for release {release}"
        instead = "Let the release id be one of its triggers."
    else:
        return
    yield Violation(traffic, f"{traffic.name}: {whose} is to be live, and {fault}. {world} {instead}")


def _known(command: Resource, release: str) -> bool | None:
    """Whether this release is among the triggers; None where one of them may be it."""
    triggers = command.seen("triggers")
    if triggers is UNKNOWN:
        return None
    if release in sequence(triggers):
        return True
    return None if UNKNOWN in sequence(triggers) else False


def _verifications(resources: Sequence[Resource]) -> tuple[Mapping[Verified, Resource], list[Unjudged]]:
    """Every command that verifies a colour, and those of which that is not known."""
    found: dict[Verified, Resource] = {}
    hazy: list[Unjudged] = []
    for command in resources:
        if command.type != COMMAND:
            continue
        try:
            words = _words(command.at("create", ""))
        except Unjudged as unjudged:
            hazy.append(unjudged)
            continue
        if "verify" in words:
            found[_after("--app", words), _after("--colour", words)] = command
    return found, hazy


def _words(text: Any) -> list[str]:
    try:
        return shlex.split(text) if isinstance(text, str) else []
    except ValueError:
        return []


def _after(option: str, words: Sequence[str]) -> str:
    return next((value for name, value in pairwise(words) if name == option), "")


def _awaited(urn: str, before: Mapping[str, Any]) -> set[str]:
    """Everything that is done before this, however far back."""
    reached: set[str] = set()
    ahead = [urn]
    while ahead:
        ahead += (fresh := set(before.get(ahead.pop(), ())) - reached)
        reached |= fresh
    return reached
