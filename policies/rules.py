"""Every rule of the pack. A new one is a function beside its kin, an entry here and an entry in docs/policies.md.

A name is what people write in a policy config: chosen once.
"""

from policies.routes import ANONYMOUS, PREVIEWS, routes_are_authenticated
from policies.rule import AnyRule, ResourceRule, StackRule
from policies.services import (
    AT_LEAST,
    SERVICE,
    STACKS,
    deployments_hand_over,
    health_path_is_valid,
    image_is_pinned,
    replicas_are_enough,
)

RULES: tuple[AnyRule, ...] = (
    ResourceRule("image-pinned", "An image is pinned to its digest.", of=SERVICE, judge=image_is_pinned),
    ResourceRule("health-path", "A health check path is one that works.", of=SERVICE, judge=health_path_is_valid),
    ResourceRule(
        "production-replicas",
        "A colour in production survives the loss of a replica.",
        of=SERVICE,
        judge=replicas_are_enough,
        parameters={"stacks": STACKS, "minimum": AT_LEAST},
    ),
    ResourceRule(
        "production-handover",
        "A deployment in production lets the one before it finish.",
        of=SERVICE,
        judge=deployments_hand_over,
        parameters={"stacks": STACKS},
    ),
    StackRule(
        "route-authenticated",
        "A route that leads to an app asks who is calling, or is named as public.",
        judge=routes_are_authenticated,
        parameters={"anonymous": ANONYMOUS, "previews": PREVIEWS},
    ),
)
