"""Resources as rules of the policy pack meet them, and what a rule says about them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from policies.rule import Finding, Resource, ResourceRule, StackRule, Unjudged, Violation
from policies.rules import RULES

DIGEST = "3b0f6d7a54c1f2d8f5a0c79f1b2e4d6c8a9e0f1d2c3b4a5968778695a4b3c2d1"
IMAGE = f"ghcr.io/acme/backend@sha256:{DIGEST}"
BY_NAME = {rule.name: rule for rule in RULES}
RESOURCE_RULES = [rule for rule in RULES if isinstance(rule, ResourceRule)]


def service(stack: str = "production", **release: Any) -> Resource:
    fitting = {"image": IMAGE, "replicas": {"europe-west4": 2}, "healthcheckPath": "/health"}
    inputs = {"app": "backend", "colour": "blue", "role": "live", "release": {**fitting, **release}}
    return Resource("bluegreen:railway:Service", "backend-blue", stack, inputs, "urn:blue", True)


def entity(kind: str, called: str, /, **fields: Any) -> Resource:
    return Resource(f"bluegreen:kong:{kind}", called, "production", {"name": called, **fields}, f"urn:{called}")


def plugin(kind: str = "key-auth", **fields: Any) -> Resource:
    name = "-".join(str(part) for part in (fields.get("route"), fields.get("service"), kind) if part)
    return entity("Plugin", name, **{"name": kind, **fields})


def stack(*more: Resource, **route: Any) -> list[Resource]:
    """One app behind one route."""
    led = {"service": "backend", "paths": ["/api"], **route}
    return [entity("Service", "backend", host="backend"), entity("Route", "backend-api", **led), *more]


def preview(colour: str = "blue", name: str = "api", **fields: Any) -> Resource:
    headers = {"X-Preview-Colour": [colour], "X-Preview-App": ["backend"]}
    return entity("Route", f"backend-{colour}-{name}", service=f"backend-{colour}", headers=headers, **fields)


def lane(live: str = "blue", **fields: Any) -> dict[str, Any]:
    """A way to two colours, of which one is live."""
    addresses = {"blue": "backend-blue.internal:8000", "green": "backend-green.internal:8000"}
    weights = {colour: 100 if colour == live else 0 for colour in ("blue", "green")}
    given = {"upstream": "backend", "live": live, "release": f"of-{live}", "addresses": addresses, "weights": weights}
    return {**given, "whole": False, **fields}


def traffic(
    lanes: Any = None, *, on: str = "production", history: Any = (), needs: Any = ("urn:verified",), **rollout: Any
) -> Resource:
    """Traffic that keeps every rule, after moves that are remembered."""
    fitting = {"steps": [{"setWeight": 5}, {"setWeight": 50}], "stepAnalysis": {}, "postPromotionAnalysis": {}}
    inputs = {"lanes": {"backend": lane()} if lanes is None else lanes, "rollout": {**fitting, **rollout}}
    told = {"history": [*history]}
    return Resource("bluegreen:rollout:Traffic", "traffic", on, inputs, "urn:traffic", True, told, needs)


def verification(colour: str = "blue", *triggers: Any, app: str = "backend") -> Resource:
    told = f"exec bin/bluegreen verify --stack production --app {app} --colour {colour}"
    inputs = {"create": told, "triggers": list(triggers or (f"of-{colour}", "an-id"))}
    return Resource("command:local:Command", f"{app}-{colour}-verified", "production", inputs, "urn:verified")


def done(goal: str = "blue", *, ago: float = 1, **fields: Any) -> dict[str, Any]:
    """A rollout to this colour that passed so many hours ago, as history keeps it."""
    origin = "green" if goal == "blue" else "blue"
    at = (datetime.now(UTC) - timedelta(hours=ago)).isoformat()
    given = {"app": "backend", "kind": "rollout", "verdict": "passed", "origin": origin, "goal": goal}
    return {**given, "release": f"of-{goal}", "originRelease": f"of-{origin}", "finished": at, **fields}


def contract(applied: Any = None, **fields: Any) -> Resource:
    inputs = {"phase": "contract", "version": "012", "upstreams": ["backend"], "rollbackWindow": "3d", **fields}
    kind, needs = "bluegreen:postgres:Migration", ("urn:traffic",)
    told = {"appliedAt": applied}
    return Resource(kind, "012_away", "production", inputs, "urn:012", outputs=told, needs=needs)


def findings(rule: str, judged: Resource | list[Resource], **config: Any) -> list[Finding]:
    asked = BY_NAME[rule]
    if isinstance(asked, StackRule):
        return asked.findings(judged if isinstance(judged, list) else [judged], config)
    several = judged if isinstance(judged, list) else [judged]
    return [finding for one in several for finding in asked.findings(one, config)]


def said(rule: str, judged: Resource | list[Resource], **config: Any) -> list[str]:
    """What is broken; the test fails if anything could not be judged."""
    found = findings(rule, judged, **config)
    assert [finding for finding in found if isinstance(finding, Unjudged)] == []
    return [finding.sentence for finding in found if isinstance(finding, Violation)]


def unjudged(rule: str, judged: Resource | list[Resource], **config: Any) -> list[str]:
    """What could not be judged; the test fails if anything was found broken."""
    found = findings(rule, judged, **config)
    assert [finding for finding in found if isinstance(finding, Violation)] == []
    return [str(finding) for finding in found]
