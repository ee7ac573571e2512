"""What a preview cannot know breaks no rule and passes none, and nothing on the wire makes a rule fail."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from policies.rule import UNKNOWN, Finding, Resource, Unjudged, Violation
from tests.policies_room import IMAGE, RESOURCE_RULES, entity, findings, service, stack, unjudged


def test_an_unknown_image_is_neither_pinned_nor_refused() -> None:
    assert unjudged("image-pinned", service(image=UNKNOWN)) == [
        "backend-blue: release.image is not known here, so it is not judged. A whole update judges it."
    ]


def test_a_resource_of_which_nothing_is_known_is_not_judged() -> None:
    unheard = Resource("bluegreen:railway:Service", "backend-blue", "production", UNKNOWN)
    assert [len(unjudged(rule.name, unheard)) for rule in RESOURCE_RULES] == [1, 1, 1, 1]


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
        "somewhere: route is not known here, so it is not judged. A whole update judges it."
    ]


RELEASES = st.fixed_dictionaries(
    {},
    optional={
        "image": st.sampled_from([IMAGE, "ghcr.io/acme/backend:v1"]),
        "healthcheckPath": st.sampled_from(["/health", "/", "/health-check"]),
        "replicas": st.dictionaries(st.sampled_from(["eu", "us"]), st.integers(0, 2)),
        "overlapSeconds": st.integers(0, 1),
        "drainingSeconds": st.integers(0, 1),
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


@given(ENTITIES, st.data())
def test_no_rule_about_the_stack_takes_an_unknown_for_a_value(whole: list[Resource], data: st.DataObject) -> None:
    hazy = [Resource(one.type, one.name, one.stack, clouded(one.properties, data.draw)) for one in whole]
    assert settled(findings("route-authenticated", hazy), findings("route-authenticated", whole))


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
FIELDS = ("name", "service", "route", "enabled", "headers", "hosts", "paths", "config", "consumer")


@given(st.dictionaries(st.sampled_from(["image", "healthcheckPath", "replicas", "overlapSeconds"]), JSON) | JSON)
def test_nothing_on_the_wire_makes_a_rule_about_a_resource_fail(release: Any) -> None:
    one = Resource("bluegreen:railway:Service", "backend-blue", "production", {"release": release})
    assert [finding for rule in RESOURCE_RULES for finding in rule.findings(one, {}) if not _one_line(finding)] == []


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON), min_size=3, max_size=3))
def test_nothing_on_the_wire_makes_a_rule_about_the_stack_fail(properties: list[dict[str, Any]]) -> None:
    kinds = ("Route", "Service", "Plugin")
    pairs = zip(kinds, properties, strict=True)
    resources = [Resource(f"bluegreen:kong:{kind}", "odd", "production", fields) for kind, fields in pairs]
    assert [finding for finding in findings("route-authenticated", resources) if not _one_line(finding)] == []


def _one_line(finding: Finding) -> bool:
    return isinstance(finding, Violation) and "\n" not in finding.sentence
