"""The policy rules about what runs: what keeps them, what breaks them, what is said."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.rule import Resource
from tests.policies_room import DIGEST, said, service


def test_an_image_with_a_digest_is_pinned() -> None:
    assert said("image-pinned", service()) == []


def test_a_tag_is_refused_with_the_way_to_write_it() -> None:
    assert said("image-pinned", service(image="ghcr.io/acme/backend:v42")) == [
        "backend-blue: image is 'ghcr.io/acme/backend:v42', which names no digest: the next deployment of it may run "
        "something else. backend-blue is left as it is. Write ghcr.io/acme/backend@sha256:… with the digest's 64 hex "
        "digits, and keep the tag as a comment."
    ]


def test_a_missing_image_is_refused() -> None:
    assert said("image-pinned", Resource("bluegreen:railway:Service", "backend-blue", "production", {})) == [
        "backend-blue: image is missing, which names no digest: the next deployment of it may run something else. "
        "backend-blue is left as it is. Write repository@sha256:… with the digest's 64 hex digits, and keep the tag as "
        "a comment."
    ]


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("localhost:5000/backend", "localhost:5000/backend"),
        (f"ghcr.io/acme/backend@sha256:{DIGEST[1:]}", "ghcr.io/acme/backend"),
        (f"ghcr.io/acme/backend@sha256:{DIGEST}0", "ghcr.io/acme/backend"),
        (f"ghcr.io/acme/backend:v1@sha256:{DIGEST.upper()}", "ghcr.io/acme/backend"),
        (f"@sha256:{DIGEST}", "repository"),
        ("\n", "repository"),
        (7, "repository"),
    ],
)
def test_the_advice_keeps_the_repository_of_any_image(image: Any, repository: str) -> None:
    [sentence] = said("image-pinned", service(image=image))
    assert f"Write {repository}@sha256:…" in sentence


@given(st.from_regex(r"\A[a-z0-9./_-]{1,30}(:[a-z0-9.]{1,9})?@sha256:[0-9a-f]{64}\Z"))
def test_any_image_with_a_whole_digest_is_pinned(image: str) -> None:
    assert said("image-pinned", service(image=image)) == []


# health-path


@pytest.mark.parametrize("path", ["/health", "/api/health_check", "/healthz/ready", "/v1.0/up"])
def test_a_plain_health_path_is_valid(path: str) -> None:
    assert said("health-path", service(healthcheckPath=path)) == []


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/health-check", "and Railway rejects a hyphen there as invalid input"),
        ("health", "which does not start with a slash"),
        ("", "which does not start with a slash"),
        (True, "which does not start with a slash"),
        ("/", "which any page of the app answers: it says nothing about its health"),
        ("/health*", "which holds characters that a plain path does not have"),
        ("/ health", "which holds characters that a plain path does not have"),
        ("//", "which any page of the app answers: it says nothing about its health"),
        (
            "/health?full=1",
            "and the gateway's probe route matches a path without query or fragment, so it would never be found",
        ),
    ],
)
def test_a_health_path_that_cannot_work_is_refused(path: Any, fault: str) -> None:
    shown = repr(path) if isinstance(path, str) else str(path).lower()
    assert said("health-path", service(healthcheckPath=path)) == [
        f"backend-blue: healthcheckPath is {shown}, {fault}. backend-blue is left as it is. Serve the check under one "
        "plain path such as /health, and write that."
    ]


# production-replicas


def test_replicas_count_over_all_regions() -> None:
    assert said("production-replicas", service(replicas={"europe-west4": 1, "us-east4": 1})) == []


def test_one_replica_in_production_is_refused() -> None:
    assert said("production-replicas", service(replicas={"europe-west4": 1})) == [
        "backend-blue: replicas are {europe-west4: 1}, 1 in total, and stack production needs 2 of every colour: a "
        "host that goes away must not take it along. backend-blue is left as it is. Raise the numbers to 2 or more "
        "together."
    ]


@pytest.mark.parametrize("replicas", [None, {}, 2, {"europe-west4": "2"}, {"europe-west4": -3, "us-east4": 5}])
def test_replicas_that_are_no_counts_are_refused(replicas: Any) -> None:
    [sentence] = said("production-replicas", service(replicas=replicas))
    assert ", 0 in total, and stack production needs 2" in sentence


def test_the_least_number_of_replicas_is_configurable() -> None:
    assert said("production-replicas", service(), minimum=2) == []
    assert len(said("production-replicas", service(), minimum=3)) == 1


@pytest.mark.parametrize("rule", ["production-replicas", "production-handover"])
def test_a_stack_that_serves_no_users_may_be_small(rule: str) -> None:
    small = service("staging", replicas={"europe-west4": 1}, overlapSeconds=0, drainingSeconds=0)
    assert said(rule, small) == []
    assert said(rule, small, stacks=["production", "staging"]) != []


# production-handover


def test_a_deployment_that_overlaps_and_drains_hands_over() -> None:
    assert said("production-handover", service(overlapSeconds=20, drainingSeconds=1)) == []


def test_no_overlap_and_no_draining_are_refused_one_by_one() -> None:
    assert said("production-handover", service(overlapSeconds=0, drainingSeconds=0)) == [
        "backend-blue: overlapSeconds is 0 in stack production: the deployment before stops while the gateway still "
        "sends requests to it. backend-blue is left as it is. Write a number above 0, such as overlapSeconds: 20.",
        "backend-blue: drainingSeconds is 0 in stack production: requests that are still being answered are cut off. "
        "backend-blue is left as it is. Write a number above 0, such as drainingSeconds: 30.",
    ]


@pytest.mark.parametrize("seconds", [-1, "20", True])
def test_seconds_that_are_no_number_above_0_are_refused(seconds: Any) -> None:
    assert len(said("production-handover", service(overlapSeconds=seconds))) == 1
