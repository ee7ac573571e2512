"""Every rule of the pack. A new one is a function beside its kin, an entry here and an entry in docs/policies.md.

A name is what people write in a policy config: chosen once.
"""

from policies import limits, moves, routes, services, traffic, variables
from policies.cors import origins_are_named
from policies.gateway import PLUGIN
from policies.protection import STACKS as PROTECTED
from policies.protection import production_is_protected
from policies.rule import AnyRule, ResourceRule, StackRule
from policies.services import SERVICE
from policies.traffic import TRAFFIC
from policies.verification import traffic_is_verified

OF_SERVICES: tuple[AnyRule, ...] = (
    ResourceRule("image-pinned", "An image is pinned to its digest.", of=(SERVICE,), judge=services.image_is_pinned),
    ResourceRule(
        "health-path", "A health check path is one that works.", of=(SERVICE,), judge=services.health_path_is_valid
    ),
    ResourceRule(
        "production-replicas",
        "A colour in production survives the loss of a replica.",
        of=(SERVICE,),
        judge=services.replicas_are_enough,
        parameters={"stacks": services.STACKS, "minimum": services.AT_LEAST},
    ),
    ResourceRule(
        "production-handover",
        "A deployment in production lets the one before it finish.",
        of=(SERVICE,),
        judge=services.deployments_hand_over,
        parameters={"stacks": services.STACKS},
    ),
    ResourceRule(
        "variables-public",
        "A variable in clear holds nothing that somebody could log in with.",
        of=(SERVICE,),
        judge=variables.variables_are_public,
        parameters={"public": variables.PUBLIC},
    ),
    ResourceRule(
        "production-protected",
        "Services and Traffic in production are not deleted by an edit.",
        of=(SERVICE, TRAFFIC),
        judge=production_is_protected,
        parameters={"stacks": PROTECTED},
    ),
)

OF_TRAFFIC: tuple[AnyRule, ...] = (
    ResourceRule(
        "traffic-weights",
        "Every user is led to a colour that is there.",
        of=(TRAFFIC,),
        judge=traffic.weights_are_whole,
        parameters={"whole": traffic.WHOLE},
    ),
    ResourceRule(
        "traffic-steps",
        "Traffic grows step by step, and every step is judged.",
        of=(TRAFFIC,),
        judge=traffic.steps_are_judged,
        parameters={"stacks": traffic.STACKS, "first": traffic.FIRST},
    ),
    ResourceRule(
        "production-analysis",
        "A rollout in production is judged once everybody has the new release.",
        of=(TRAFFIC,),
        judge=traffic.rollouts_are_judged,
        parameters={"stacks": traffic.STACKS, "analyses": traffic.JUDGED},
    ),
    ResourceRule(
        "production-windows",
        "A rollout in production has time to be judged, and a way back that is open long enough.",
        of=(TRAFFIC,),
        judge=traffic.windows_are_wide,
        parameters={
            "stacks": traffic.STACKS,
            "deadlineSeconds": traffic.DEADLINE,
            "revisions": traffic.REVISIONS,
            "hours": traffic.HOURS,
        },
    ),
    StackRule(
        "traffic-verified",
        "No traffic to a colour whose release was not verified.",
        judge=traffic_is_verified,
    ),
    StackRule(
        "contract-alone",
        "A contract waits for the last move, and comes in an update of its own.",
        judge=moves.contracts_stand_alone,
    ),
    StackRule(
        "freeze-kept",
        "A freeze is neither taken out nor overridden for good; a rollback is never frozen.",
        judge=moves.freezes_are_kept,
        parameters={"stacks": moves.STACKS, "windows": moves.WINDOWS, "overrideHours": moves.OVERRIDE_HOURS},
    ),
    StackRule(
        "way-back-kept",
        "The colour that users came from runs until nobody may go back to it.",
        judge=moves.ways_back_are_kept,
        parameters={"stacks": moves.STACKS},
    ),
)

LACKING = {"stacks": limits.STACKS, "except": limits.EXCEPT}

OF_THE_GATEWAY: tuple[AnyRule, ...] = (
    StackRule(
        "route-authenticated",
        "A route that leads to an app asks who is calling, or is named as public.",
        judge=routes.routes_are_authenticated,
        parameters={"anonymous": routes.ANONYMOUS, "previews": routes.PREVIEWS},
    ),
    StackRule(
        "route-limited",
        "A route that leads to somebody limits how often one may ask.",
        judge=limits.routes_are_limited,
        parameters=LACKING,
    ),
    StackRule(
        "request-size",
        "A route that leads to somebody limits how large a request may be.",
        judge=limits.sizes_are_limited,
        parameters={**LACKING, "megabytes": limits.MEGABYTES},
    ),
    StackRule(
        "correlation-id",
        "A request has an id that its caller is told.",
        judge=limits.requests_have_ids,
        parameters=LACKING,
    ),
    ResourceRule(
        "cors-origins", "Only origins that are named may read answers.", of=(PLUGIN,), judge=origins_are_named
    ),
)

RULES: tuple[AnyRule, ...] = (*OF_SERVICES, *OF_TRAFFIC, *OF_THE_GATEWAY)
