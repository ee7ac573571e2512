"""Rules about how traffic moves: where it may go, in which steps, how it is judged and how far the way back reaches.

They judge `bluegreen:rollout:Traffic` before it is touched, so they stop an update while everybody is still where they
were. What a Traffic asks for is a goal: from its inputs alone nobody can tell whether it moves anything now, or which
way. What needs that is in `moves.py`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from policies.parameters import names, number, stacks
from policies.rule import Config, Finding, Resource, broken, is_number, mapping, sequence, shown
from policies.span import seconds

TRAFFIC = "bluegreen:rollout:Traffic"
COLOURS = ("blue", "green")
STACKS = stacks("The names of the stacks that serve users.")
WHOLE = names("Apps whose traffic is never split: pages and their assets have to be of one release.")
FIRST = number(25, "The most that the first step may send to a release that nobody has judged, in percent.", minimum=1)
JUDGED = names("The analyses that a rollout has, beside those of its steps.", ["postPromotionAnalysis"])
DEADLINE = number(600, "The shortest progressDeadlineSeconds.", minimum=10)
REVISIONS = number(1, "The fewest revisions that one can go back in one step.")
HOURS = number(24, "The shortest duration of the rollback window, in hours.")


def weights_are_whole(traffic: Resource, config: Config) -> Iterator[Finding]:
    """Weights that do not add up to 100 % serve some users by accident, and those that are all 0 serve nobody."""
    lanes = mapping(traffic.at("lanes", {}))
    for app in sorted(lanes):
        lane = mapping(lanes[app])
        fault = _lane_fault(lane)
        if fault is None and app in config["whole"] and lane.get("whole") is not True:
            yield broken(
                traffic,
                f"{app} may be split between two releases, and is named in `whole` of this rule's config: a page of "
                "one would load the assets of the other",
                f"Write kind: web for {app} without a sticky cookie, or take it out of `whole`.",
            )
        if fault is not None:
            yield broken(
                traffic, f"{app}: {fault}", f"Name a colour that has a block in apps.{app}.live, and nothing else."
            )


def steps_are_judged(traffic: Resource, config: Config) -> Iterator[Finding]:
    """A step that nobody looks at is only a slower way to be wrong."""
    steps = [mapping(step) for step in sequence(traffic.at("rollout.steps", []))]
    weights = [step["setWeight"] for step in steps if step.get("setWeight") is not None]
    ordered = all(is_number(weight) and 1 <= weight <= 100 for weight in weights)
    if not ordered or weights != sorted(set(weights)):
        yield broken(
            traffic,
            f"rollout.steps set the weights {', '.join(map(shown, weights))}, which do not ascend from 1 to 100",
            "Write every setWeight above the one before it.",
        )
        return
    if traffic.stack not in config["stacks"]:
        return
    first, most = (weights or [100])[0], int(config["first"])
    if first > most:
        yield broken(
            traffic,
            f"the first step of a rollout sends {first} % of the users of stack {traffic.stack} to a release that "
            f"nobody has judged, and {most} % is the most",
            f"Begin rollout.steps with a setWeight of {most} or less.",
        )
    if unjudged := _unjudged(steps, traffic.at("rollout.stepAnalysis")):
        yield broken(
            traffic,
            f"nothing judges a release at {', '.join(f'{weight} %' for weight in unjudged)} before more users follow",
            "Write stepAnalysis: {} into rollout, or an analysis after each of these steps.",
        )


def rollouts_are_judged(traffic: Resource, config: Config) -> Iterator[Finding]:
    """What breaks only under everybody is seen after the last step, or by the users."""
    if traffic.stack not in config["stacks"]:
        return
    for name in config["analyses"]:
        analysis = traffic.at(f"rollout.{name}")
        if not _judges(analysis):
            how = "is missing" if analysis is None else "has no metric that counts (dryRun)"
            yield broken(
                traffic,
                f"rollout.{name} {how} in stack {traffic.stack}, so a bad release stays until somebody notices",
                f"Write {name}: {{}} for the usual bars, or metrics of your own.",
            )


def windows_are_wide(traffic: Resource, config: Config) -> Iterator[Finding]:
    """A deadline that is too short takes good releases back; a window that is too short leaves bad ones there."""
    if traffic.stack not in config["stacks"]:
        return
    for name, usual, least in (
        ("progressDeadlineSeconds", 600, int(config["deadlineSeconds"])),
        ("rollbackWindow.revisions", 3, int(config["revisions"])),
    ):
        value = traffic.at(f"rollout.{name}", usual)
        if not (is_number(value) and value >= least):
            yield broken(
                traffic,
                f"rollout.{name} is {shown(value)}, and stack {traffic.stack} needs {least} or more",
                f"Raise it to {least}.",
            )
    window, hours = traffic.at("rollout.rollbackWindow.duration", "72h"), int(config["hours"])
    if (lasts := seconds(window)) is None or lasts < hours * 3600:
        yield broken(
            traffic,
            f"rollout.rollbackWindow.duration is {shown(window)}, and stack {traffic.stack} needs {hours}h or more: "
            "after it, going back is a rollout like any other",
            f"Raise it to {hours}h.",
        )


def _lane_fault(lane: Mapping[str, Any]) -> str | None:
    live, addresses, weights = lane.get("live"), mapping(lane.get("addresses")), lane.get("weights")
    if live not in COLOURS:
        return f"live is {shown(live)}, which is no colour"
    if not addresses.get(live):
        return f"live is {live}, which has no address: its users would be led nowhere"
    if weights is None or weights == {}:  # filled in by the provider
        return None
    if not isinstance(weights, Mapping) or not all(is_number(one) and 0 <= one <= 100 for one in weights.values()):
        return f"weights are {shown(weights)}, and each has to be between 0 and 100"
    if sum(weights.values()) != 100:
        nobody = "nobody is served" if not any(weights.values()) else f"they add up to {sum(weights.values())}"
        return f"weights are {shown(weights)}: {nobody}, and it has to be 100"
    if not weights.get(live):
        return f"weights are {shown(weights)}, and {live} is to be live"
    if nowhere := sorted(colour for colour, weight in weights.items() if weight and not addresses.get(colour)):
        return f"weights are {shown(weights)}, and {', '.join(nowhere)} has no address"
    if lane.get("whole") is True and max(weights.values()) < 100:
        return f"weights are {shown(weights)}, and its traffic must not be split"
    return None


def _unjudged(steps: list[Mapping[str, Any]], usual: Any) -> list[Any]:
    """Every weight below 100 after which more users follow without an analysis in between."""
    unjudged: list[Any] = []
    for step in steps:
        weight = step.get("setWeight")
        if weight is not None and weight < 100 and not _judges(usual):
            unjudged.append(weight)
        elif _judges(step.get("analysis")) and unjudged:
            unjudged.pop()
    return unjudged


def _judges(analysis: Any) -> bool:
    """Whether anything of an analysis can stop a rollout; one without metrics has the usual ones."""
    if not isinstance(analysis, Mapping):
        return False
    metrics = analysis.get("metrics")
    return metrics is None or any(mapping(metric).get("dryRun") is not True for metric in sequence(metrics))
