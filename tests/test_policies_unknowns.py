"""What a preview cannot know breaks no rule and passes none, and nothing on the wire makes a rule fail."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.rule import UNKNOWN, Finding, Resource, Unjudged, Violation
from policies.rules import OF_TRAFFIC as RULES_OF_TRAFFIC
from tests.policies_room import (
    IMAGE,
    RESOURCE_RULES,
    contract,
    done,
    entity,
    findings,
    lane,
    service,
    stack,
    traffic,
    unjudged,
    verification,
)

OF_TRAFFIC = [rule.name for rule in RULES_OF_TRAFFIC]


def test_an_unknown_image_is_neither_pinned_nor_refused() -> None:
    assert unjudged("image-pinned", service(image=UNKNOWN)) == [
        "backend-blue: release.image is not known here, so it is not judged. A whole update judges it."
    ]


def test_a_resource_of_which_nothing_is_known_is_not_judged() -> None:
    unheard = Resource("bluegreen:railway:Service", "backend-blue", "production", UNKNOWN)
    asked = [rule for rule in RESOURCE_RULES if unheard.type in rule.of and rule.name != "production-protected"]
    assert [len(unjudged(rule.name, unheard)) for rule in asked] == [1] * 5


def test_what_is_known_to_be_broken_is_said_before_what_is_unknown() -> None:
    first, second = findings("production-handover", service(overlapSeconds=0, drainingSeconds=UNKNOWN))
    assert isinstance(first, Violation)
    assert isinstance(second, Unjudged)


def test_an_unknown_of_one_route_leaves_the_others_judged() -> None:
    resources = [*stack(), entity("Route", "other", service=UNKNOWN)]
    assert [type(finding) for finding in findings("route-authenticated", resources)] == [Violation, Unjudged]


def test_a_plugin_of_which_nothing_is_known_guards_nothing_and_opens_nothing() -> None:
    unheard = Resource("bluegreen:kong:Plugin", "somewhere", "production", UNKNOWN)
    assert unjudged("route-authenticated", stack(unheard)) == [
        "somewhere: name is not known here, so it is not judged. A whole update judges it."
    ]


RELEASES = st.fixed_dictionaries(
    {},
    optional={
        "image": st.sampled_from([IMAGE, "ghcr.io/acme/backend:v1"]),
        "healthcheckPath": st.sampled_from(["/health", "/", "/health-check"]),
        "replicas": st.dictionaries(st.sampled_from(["eu", "us"]), st.integers(0, 2)),
        "overlapSeconds": st.integers(0, 1),
        "drainingSeconds": st.integers(0, 1),
        "variables": st.dictionaries(st.sampled_from(["API_KEY", "LOG"]), st.sampled_from(["x", "redis://:p@h"])),
    },
)
NAMES = st.sampled_from([None, "api", "other"])
ENTITIES = st.lists(
    st.one_of(
        st.builds(
            lambda **fields: entity("Plugin", "p", **fields),
            name=st.sampled_from(["key-auth", "jwt", "acl", "request-termination"]),
            route=NAMES,
            service=NAMES,
            enabled=st.sampled_from([None, True, False]),
            config=st.sampled_from([{}, {"anonymous": "guest"}, {"trigger": "x"}]),
        ),
        st.builds(lambda **fields: entity("Service", "api", **fields), enabled=st.sampled_from([None, True, False])),
        st.builds(lambda **fields: entity("Route", "api", **fields), service=NAMES),
    ),
    max_size=5,
)


def clouded(value: Any, draw: Any) -> Any:
    """The same, with parts of it not known yet."""
    if draw(st.integers(0, 4)) == 0:
        return UNKNOWN
    return {key: clouded(inner, draw) for key, inner in value.items()} if isinstance(value, dict) else value


def settled(before: list[Finding], after: list[Finding]) -> bool:
    """Whether nothing was refused that turned out well, and nothing passed that turned out broken."""
    refused = {finding.sentence for finding in before if isinstance(finding, Violation)}
    broken = {finding.sentence for finding in after if isinstance(finding, Violation)}
    left_open = any(isinstance(finding, Unjudged) for finding in before)
    return refused <= broken and (left_open or refused == broken)


@given(RELEASES, st.data())
def test_no_rule_about_a_resource_takes_an_unknown_for_a_value(release: dict[str, Any], data: st.DataObject) -> None:
    whole = Resource("bluegreen:railway:Service", "backend-blue", "production", {"release": release})
    hazy = Resource(whole.type, whole.name, whole.stack, {"release": clouded(release, data.draw)})
    assert [
        rule.name for rule in RESOURCE_RULES if not settled(rule.findings(hazy, {}), rule.findings(whole, {}))
    ] == []


STEPS = st.lists(st.fixed_dictionaries({"setWeight": st.sampled_from([5, 50, 100])}), max_size=2)
ROLLOUTS = st.fixed_dictionaries(
    {},
    optional={
        "steps": STEPS,
        "stepAnalysis": st.sampled_from([{}, {"metrics": []}]),
        "postPromotionAnalysis": st.sampled_from([{}, {"metrics": [{"dryRun": True}]}]),
        "progressDeadlineSeconds": st.sampled_from([10, 900]),
        "freezeOverride": st.just("an incident"),
    },
)
LANES = st.dictionaries(
    st.sampled_from(["backend", "frontend"]), st.builds(lane, st.sampled_from(["blue", "green"])), max_size=2
)


@given(ENTITIES, st.data())
@pytest.mark.parametrize("rule", ["route-authenticated", "route-limited", "request-size", "correlation-id"])
def test_no_rule_about_the_gateway_takes_an_unknown_for_a_value(
    rule: str, whole: list[Resource], data: st.DataObject
) -> None:
    hazy = [replace(one, properties=clouded(one.properties, data.draw)) for one in whole]
    before, after = findings(rule, hazy), findings(rule, whole)
    # Routes that lack the same thing are one line, which names those that are known.
    broke, breaks = ([one.sentence for one in found if isinstance(one, Violation)] for found in (before, after))
    left_open = any(isinstance(one, Unjudged) for one in before)
    assert breaks or not broke
    assert left_open or broke == breaks


@given(LANES, ROLLOUTS, st.data())
def test_no_rule_about_traffic_takes_an_unknown_for_a_value(
    lanes: dict[str, Any], rollout: dict[str, Any], data: st.DataObject
) -> None:
    whole = traffic(lanes, history=[done("blue"), done("green", ago=2)])
    whole = replace(whole, properties={"lanes": lanes, "rollout": rollout})
    hazy = replace(whole, properties=clouded(whole.properties, data.draw))
    wrong = [
        name
        for name in OF_TRAFFIC
        if not settled(findings(name, [hazy, verification()]), findings(name, [whole, verification()]))
    ]
    assert wrong == []


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
FIELDS = ("name", "service", "route", "enabled", "headers", "hosts", "paths", "config", "consumer")
RELEASED = ("image", "healthcheckPath", "replicas", "overlapSeconds", "variables", "startCommand")
MOVED = ("steps", "stepAnalysis", "postPromotionAnalysis", "rollbackWindow", "freeze", "freezeOverride")


@given(st.dictionaries(st.sampled_from(RELEASED), JSON) | JSON)
def test_nothing_on_the_wire_makes_a_rule_about_a_service_fail(release: Any) -> None:
    one = Resource("bluegreen:railway:Service", "backend-blue", "production", {"release": release})
    assert [finding for rule in RESOURCE_RULES for finding in rule.findings(one, {}) if not _one_line(finding)] == []


@given(JSON | st.dictionaries(st.just("backend"), st.dictionaries(st.sampled_from(["live", "weights"]), JSON)), JSON)
def test_nothing_on_the_wire_makes_a_rule_about_lanes_fail(lanes: Any, history: Any) -> None:
    one = replace(traffic(lanes), outputs={"history": history})
    assert [found for name in OF_TRAFFIC for found in findings(name, [one, contract()]) if not _one_line(found)] == []


@given(st.dictionaries(st.sampled_from(MOVED), JSON) | JSON)
def test_nothing_on_the_wire_makes_a_rule_about_a_rollout_fail(rollout: Any) -> None:
    one = replace(traffic(), properties={"lanes": {"backend": lane()}, "rollout": rollout})
    others = [contract(rollbackWindow="x"), verification()]
    assert [found for name in OF_TRAFFIC for found in findings(name, [one, *others]) if not _one_line(found)] == []


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON), min_size=3, max_size=3))
def test_nothing_on_the_wire_makes_a_rule_about_the_gateway_fail(properties: list[dict[str, Any]]) -> None:
    kinds = ("Route", "Service", "Plugin")
    pairs = zip(kinds, properties, strict=True)
    resources = [Resource(f"bluegreen:kong:{kind}", "odd", "production", fields) for kind, fields in pairs]
    broken = [
        finding
        for rule in ("route-authenticated", "route-limited", "request-size", "correlation-id", "cors-origins")
        for finding in findings(rule, resources)
        if not _one_line(finding)
    ]
    assert broken == []


def _one_line(finding: Finding) -> bool:
    return isinstance(finding, Violation) and "\n" not in finding.sentence
