"""Resources as rules of the policy pack meet them, and what a rule says about them."""

from typing import Any

from policies.rule import Finding, Resource, ResourceRule, StackRule, Unjudged, Violation
from policies.rules import RULES

DIGEST = "3b0f6d7a54c1f2d8f5a0c79f1b2e4d6c8a9e0f1d2c3b4a5968778695a4b3c2d1"
IMAGE = f"ghcr.io/acme/backend@sha256:{DIGEST}"
BY_NAME = {rule.name: rule for rule in RULES}
RESOURCE_RULES = [rule for rule in RULES if isinstance(rule, ResourceRule)]


def service(stack: str = "production", **release: Any) -> Resource:
    fitting = {"image": IMAGE, "replicas": {"europe-west4": 2}, "healthcheckPath": "/health"}
    return Resource("bluegreen:railway:Service", "backend-blue", stack, {"release": {**fitting, **release}}, "urn:blue")


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


def findings(rule: str, judged: Resource | list[Resource], **config: Any) -> list[Finding]:
    asked = BY_NAME[rule]
    if isinstance(asked, StackRule):
        return asked.findings(judged if isinstance(judged, list) else [judged], config)
    assert isinstance(judged, Resource)
    return asked.findings(judged, config)


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
