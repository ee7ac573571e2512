"""The policy rules about what every way in has beside authentication: limits, sizes, ids; and about origins."""

from typing import Any

import pytest

from policies.rule import Resource
from tests.policies_room import entity, plugin, preview, said, stack

LIMIT = {"minute": 600, "policy": "local"}
SIZE = {"allowed_payload_size": 10, "size_unit": "megabytes"}
ECHO = {"header_name": "X-Correlation-ID", "echo_downstream": True}
FITTING = [("route-limited", "rate-limiting", LIMIT), ("request-size", "request-size-limiting", SIZE)]
FITTING += [("correlation-id", "correlation-id", ECHO)]
RULES = [rule for rule, _, _ in FITTING]


@pytest.mark.parametrize("on", [{"route": "backend-api"}, {"service": "backend"}, {}])
@pytest.mark.parametrize(("rule", "kind", "config"), FITTING)
def test_a_plugin_on_the_route_its_service_or_everything_is_enough(
    rule: str, kind: str, config: dict[str, Any], on: dict[str, str]
) -> None:
    assert said(rule, stack(plugin(kind, config=config, **on))) == []


@pytest.mark.parametrize(
    "useless", [{"route": "another"}, {"route": "backend-api", "enabled": False}, {"consumer": "web"}]
)
@pytest.mark.parametrize(("rule", "kind", "config"), FITTING)
def test_a_plugin_that_is_not_in_force_is_none(
    rule: str, kind: str, config: dict[str, Any], useless: dict[str, Any]
) -> None:
    assert len(said(rule, stack(plugin(kind, config=config, **useless)))) == 1


@pytest.mark.parametrize(
    ("rule", "lack", "instead"),
    [
        (
            "route-limited",
            "nothing limits how often somebody may ask",
            "Give them rate-limiting with a number, such as minute: 600",
        ),
        (
            "request-size",
            "nothing limits how large a request may be",
            "Give the gateway request-size-limiting with allowed_payload_size: 50 or less",
        ),
        (
            "correlation-id",
            "requests have no correlation id",
            "Give the gateway correlation-id with echo_downstream: true",
        ),
    ],
)
def test_routes_that_lack_the_same_thing_are_one_line(rule: str, lack: str, instead: str) -> None:
    assert said(rule, stack(entity("Route", "ai-veo3", service="ai-veo3"))) == [
        f"ai-veo3, backend-api: {lack}. As declared, that holds for everybody who gets through there. {instead}, or "
        "name the route in `except` of this rule's config if it is meant."
    ]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "resources",
    [
        stack(service=None),
        [preview()],
        stack(plugin("request-termination", route="backend-api", config={"status_code": 503})),
        [entity("Service", "backend", enabled=False), entity("Route", "backend-api", service="backend")],
    ],
)
def test_a_route_by_which_users_reach_nobody_may_lack_everything(rule: str, resources: list[Resource]) -> None:
    assert said(rule, resources) == []


@pytest.mark.parametrize("rule", RULES)
def test_a_route_or_a_stack_may_be_left_out(rule: str) -> None:
    assert said(rule, stack(), **{"except": ["backend-api"]}) == []
    assert said(rule, stack(), stacks=["elsewhere"]) == []
    assert len(said(rule, stack(), stacks=["production"])) == 1


@pytest.mark.parametrize(
    ("kind", "config", "enough"),
    [
        ("rate-limiting", {"minute": 0}, False),
        ("rate-limiting", {"policy": "local"}, False),
        ("rate-limiting", {"minute": None, "day": 5}, True),
        ("rate-limiting-advanced", {"limit": [10], "window_size": [60]}, True),
        ("rate-limiting-advanced", {"limit": []}, False),
    ],
)
def test_a_limit_names_a_number(kind: str, config: dict[str, Any], enough: bool) -> None:
    found = said("route-limited", stack(plugin(kind, config=config)))
    assert [sentence.partition(".")[0] for sentence in found] == (
        [] if enough else [f"backend-api: {kind} names no number above 0 and limits nothing"]
    )


@pytest.mark.parametrize(
    ("config", "enough"),
    [
        ({"allowed_payload_size": 51}, False),
        ({}, False),  # Kong's default is 128 megabytes
        ({"allowed_payload_size": 51 * 1024, "size_unit": "kilobytes"}, False),
        ({"allowed_payload_size": 1024, "size_unit": "kilobytes"}, True),
        ({"allowed_payload_size": 1024, "size_unit": "bytes"}, True),
        ({"allowed_payload_size": 0}, False),
        ({"allowed_payload_size": "10"}, False),
    ],
)
def test_a_size_is_no_larger_than_the_rule_says(config: dict[str, Any], enough: bool) -> None:
    assert (said("request-size", stack(plugin("request-size-limiting", config=config))) == []) is enough


def test_how_large_a_request_may_be_is_configurable() -> None:
    [sentence] = said("request-size", stack(plugin("request-size-limiting", config=SIZE)), megabytes=9)
    assert sentence.startswith(
        "backend-api: request-size-limiting lets requests of 10 megabytes through, and 9 megabytes is the most."
    )


def test_the_most_specific_limit_is_the_one_that_counts() -> None:
    wide, narrow = {"allowed_payload_size": 99}, {"allowed_payload_size": 1}
    on_all, on_route = (
        plugin("request-size-limiting", config=narrow),
        plugin("request-size-limiting", config=wide, route="backend-api"),
    )
    assert len(said("request-size", stack(on_all, on_route))) == 1


def test_an_id_that_nobody_is_told_is_refused() -> None:
    [sentence] = said("correlation-id", stack(plugin("correlation-id", config={"header_name": "X-Id"})))
    assert sentence.startswith("backend-api: correlation-id does not tell callers their id (echo_downstream).")


# cors-origins


@pytest.mark.parametrize(
    "one",
    [
        plugin("cors", config={"origins": ["https://velro.app", "http://localhost:3000"], "credentials": True}),
        plugin("cors", enabled=False, config={"origins": ["*"]}),
        plugin("key-auth", config={"origins": ["*"]}),
    ],
)
def test_origins_that_are_named_are_content(one: Resource) -> None:
    assert said("cors-origins", one) == []


@pytest.mark.parametrize(
    ("origins", "fault"),
    [
        (["*"], "config.origins has *"),
        (["https://velro.app", "*"], "config.origins has *"),
        (["null"], "config.origins names null, which sandboxed frames and local files send"),
        (None, "config.origins is missing, and Kong's default is every origin"),
        ([], "config.origins is missing, and Kong's default is every origin"),
        (
            [r"https://.*\.velro\.app"],
            "config.origins has 'https://.*\\\\.velro\\\\.app', which is no origin and which Kong takes for a pattern",
        ),
        (["https://velro.app/"], "config.origins has 'https://velro.app/', which is no origin and which Kong takes"),
    ],
)
def test_origins_that_nobody_has_named_are_refused(origins: Any, fault: str) -> None:
    [sentence] = said("cors-origins", plugin("cors", config={"origins": origins}))
    assert sentence.startswith(f"cors: {fault}")
    assert sentence.endswith("cors is left as it is. Write every origin out, such as https://app.example.com.")


def test_cookies_that_go_along_are_named() -> None:
    [sentence] = said("cors-origins", plugin("cors", config={"origins": ["*"], "credentials": True}))
    assert "may read the answers, with the cookies of whoever looks (credentials: true)." in sentence
