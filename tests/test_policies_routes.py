"""The policy rule about who gets in: what guards a route, what only looks as if it did, what is said."""

from collections.abc import Mapping

import pytest

from policies.rule import Resource, Violation
from tests.policies_room import entity, findings, plugin, preview, said, stack


@pytest.mark.parametrize(
    "guard", [{"route": "backend-api"}, {"service": "backend"}, {"route": "backend-api", "service": "backend"}, {}]
)
def test_a_plugin_on_the_route_its_service_or_everything_guards(guard: Mapping[str, str]) -> None:
    assert said("route-authenticated", stack(plugin(**guard))) == []


@pytest.mark.parametrize(
    "kind", ["key-auth", "jwt", "basic-auth", "hmac-auth", "oauth2", "openid-connect", "ldap-auth", "mtls-auth"]
)
def test_every_way_of_authentication_guards(kind: str) -> None:
    assert said("route-authenticated", stack(plugin(kind, route="backend-api"))) == []


def test_an_open_route_is_refused_with_the_ways_out() -> None:
    assert said("route-authenticated", stack(hosts=["api.acme.dev"])) == [
        "backend-api: api.acme.dev /api is open to strangers: no authentication plugin stands on it, on its service "
        "backend or on the whole gateway. As declared, everybody who reaches the gateway gets through. Give the route "
        "a plugin such as key-auth or jwt, or name backend-api in `anonymous` of this rule's config if it is public on "
        "purpose."
    ]


@pytest.mark.parametrize(
    "useless",
    [
        plugin(route="another-route"),
        plugin(service="another-service"),
        plugin(route="backend-api", enabled=False),
        plugin(route="backend-api", consumer="web"),  # in force only for somebody who is known already
        plugin("rate-limiting", route="backend-api"),
        plugin("acl", route="backend-api"),
        plugin("request-termination", route="backend-api", config={"trigger": "x-maintenance"}),
        entity("Service", "another", enabled=False),
    ],
)
def test_what_keeps_nobody_out_does_not_guard(useless: Resource) -> None:
    assert len(said("route-authenticated", stack(useless))) == 1


def test_a_plugin_that_lets_strangers_in_as_somebody_guards_nothing() -> None:
    [sentence] = said("route-authenticated", stack(plugin(route="backend-api", config={"anonymous": "guest"})))
    assert "backend-api-key-auth lets callers without credentials in (config.anonymous)." in sentence


def test_the_most_specific_plugin_of_a_kind_is_in_force() -> None:
    lenient, strict = {"anonymous": "guest"}, {"key_names": ["apikey"]}
    assert said("route-authenticated", stack(plugin(config=lenient), plugin(service="backend", config=strict))) == []
    assert said("route-authenticated", stack(plugin(config=strict), plugin(service="backend", config=lenient))) != []
    both = (plugin(route="backend-api", config=lenient), plugin(service="backend", config=strict))
    assert said("route-authenticated", stack(*both)) != []
    assert said("route-authenticated", stack(*reversed(both))) != []


def test_one_strict_plugin_beside_a_lenient_one_of_another_kind_guards() -> None:
    lenient = plugin(route="backend-api", config={"anonymous": "guest"})
    assert said("route-authenticated", stack(lenient, plugin("jwt", service="backend"))) == []


@pytest.mark.parametrize(
    "resources",
    [
        stack(service=None),
        [entity("Service", "backend", enabled=False), entity("Route", "backend-api", service="backend")],
        stack(plugin("request-termination", service="backend", config={"status_code": 503})),
    ],
)
def test_a_route_that_leads_to_no_app_needs_no_authentication(resources: list[Resource]) -> None:
    assert said("route-authenticated", resources) == []


def test_a_route_that_is_public_on_purpose_is_named_in_the_config() -> None:
    assert said("route-authenticated", stack(), anonymous=["backend-api"]) == []


def test_open_previews_are_one_line_whatever_their_number() -> None:
    routes = [preview("green", "probe"), preview("blue", "api"), preview("blue", "probe")]
    assert said("route-authenticated", routes) == [
        "backend-blue-api, backend-blue-probe, backend-green-probe: nothing asks who is calling there. As declared, "
        "anybody can look past the weights, at a colour that is not live. Set secrets.previewKey in the stack config, "
        'which puts key-auth on every preview and probe route, or write "previews": "open" in this rule\'s config if '
        "it is meant."
    ]


def test_a_header_is_recognised_in_any_case() -> None:
    route = entity("Route", "backend-blue-api", service="backend-blue", headers={"x-preview-colour": ["blue"]})
    assert said("route-authenticated", [route], previews="open") == []


def test_open_previews_may_be_meant_and_open_routes_are_still_refused() -> None:
    found = findings("route-authenticated", [*stack(), preview()], previews="open")
    assert [finding.resource for finding in found if isinstance(finding, Violation)] == [stack()[1]]


def test_a_guarded_preview_and_one_that_is_named_are_content() -> None:
    guarded = [preview(), plugin(route="backend-blue-api"), preview("green")]
    assert said("route-authenticated", guarded, anonymous=["backend-green-api"]) == []
