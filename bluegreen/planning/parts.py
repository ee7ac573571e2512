"""The rest of a change: what differs in the gateway, what policies object to, and how large the double fleet is.

A colour's preview opens and closes with its block; that is the release's own doing and is told with it, not as a change
of the gateway.
"""

from collections.abc import Iterator
from typing import Literal

from bluegreen.planning.document import Fleet, Part, Policy, Side
from bluegreen.planning.previewed import HALVES, KONG, Previewed, Step
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS

FRONT = "Front"
HOUR, DAY = 3600, 24
OPS: dict[str, Literal["added", "changed", "removed"]] = {"create": "added", "delete": "removed"}


def gateway(settings: Settings, preview: Previewed) -> tuple[Part, ...]:
    """Everything of Kong that is added, changed or removed; what users meet comes first."""
    own = {*_own(settings)}
    found = [
        Part(
            op=OPS.get(step.op.removesuffix("[retain]"), "changed"),
            kind=step.type.removeprefix(KONG).lower(),
            name=step.name,
            users=step.inside == FRONT,
        )
        for step in preview.of(KONG)
        if step.changes and (step.type.removeprefix(KONG), step.name) not in own
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda part: (not part.users, part.kind, part.name)))


def _own(settings: Settings) -> Iterator[tuple[str, str]]:
    for app in settings.order():
        for colour in COLOURS:
            name = settings.service_name(app, colour)
            yield "Service", name
            yield "Plugin", f"{name}-absent"


def policies(preview: Previewed) -> tuple[Policy, ...]:
    """What was found, what stops an update first."""
    found = [
        Policy(rule=each.rule, level=each.level, resource=each.resource, says=each.says) for each in preview.objections
    ]
    return tuple(sorted(found, key=lambda each: (each.level != "mandatory", each.rule, each.resource)))


def fleet(settings: Settings, sides: tuple[tuple[str, Side], ...]) -> Fleet:
    """Replicas beside those that serve: now, afterwards, and until nobody goes back any more."""
    live = sum(side.after.replicas for _, side in sides if side.after and side.after.weight)
    before = sum(side.before.replicas for _, side in sides if side.before and not side.before.weight)
    after = sum(side.after.replicas for _, side in sides if side.after and not side.after.weight)
    window = settings.rollout.rollback_window.duration.total_seconds() / HOUR
    return Fleet(
        live=live,
        idle_before=before,
        idle_after=after,
        window_hours=round(window, 2),
        replica_hours=round(after * window, 1),
        a_day=float(after * DAY),
    )


def operations(preview: Previewed) -> tuple[str, ...]:
    """What changes, in the engine's words; sorted, because the engine does many things at once."""
    changing = [step for step in preview.steps if step.changes and step.op not in HALVES]
    return tuple(_said(step) for step in sorted(changing, key=lambda step: (step.type, step.name)))


def _said(step: Step) -> str:
    paths = f" ({', '.join(step.paths)})" if step.paths else ""
    return f"{step.op} {step.type} {step.name}{paths}"
