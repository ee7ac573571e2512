"""Rules about what runs: the image, the health check, how many replicas and how one deployment follows another.

They judge `bluegreen:railway:Service` as it is on the wire. A field that is not there has the provider's default,
which keeps every rule here (a test says so): what is judged is what somebody wrote. They deliberately judge raw
values although the stack config's own checks come first: those could be loosened without anybody thinking of this.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from policies.parameters import number, stacks
from policies.rule import Config, Finding, Resource, broken, is_number, shown

SERVICE = "bluegreen:railway:Service"
PINNED = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
PLAIN = re.compile(r"/[A-Za-z0-9._~/]*")
STACKS = stacks("The names of the stacks that serve users.")
AT_LEAST = number(2, "The fewest replicas of one colour, over all its regions.", minimum=1)


def image_is_pinned(service: Resource, config: Config) -> Iterator[Finding]:
    """A tag can be moved; then two deployments of one release differ, and a rollback returns to something else."""
    image = service.at("release.image")
    if not (isinstance(image, str) and PINNED.fullmatch(image)):
        yield broken(
            service,
            f"image is {shown(image)}, which names no digest: the next deployment of it may run something else",
            f"Write {_repository(image)}@sha256:… with the digest's 64 hex digits, and keep the tag as a comment.",
        )


def health_path_is_valid(service: Resource, config: Config) -> Iterator[Finding]:
    """Railway refuses a hyphen; `/` answers for the whole app; the gateway's probe route matches paths, not queries."""
    path = service.at("release.healthcheckPath", "/health")
    if (fault := _health_path_fault(path)) is not None:
        yield broken(
            service,
            f"healthcheckPath is {shown(path)}, {fault}",
            "Serve the check under one plain path such as /health, and write that.",
        )


def replicas_are_enough(service: Resource, config: Config) -> Iterator[Finding]:
    """One replica is one host: when it goes away, the colour that serves every user goes with it."""
    if service.stack not in config["stacks"]:
        return
    replicas, least = service.at("release.replicas"), int(config["minimum"])
    total = _total(replicas)
    if total is None or total < least:
        yield broken(
            service,
            f"replicas are {shown(replicas)}, {total or 0} in total, and stack {service.stack} needs {least} of every "
            "colour: a host that goes away must not take it along",
            f"Raise the numbers to {least} or more together.",
        )


def deployments_hand_over(service: Resource, config: Config) -> Iterator[Finding]:
    """Railway's own defaults are 0 s: the deployment before is gone at once, and its requests are cut off."""
    if service.stack not in config["stacks"]:
        return
    for name, fitting, without in (
        ("overlapSeconds", 20, "the deployment before stops while the gateway still sends requests to it"),
        ("drainingSeconds", 30, "requests that are still being answered are cut off"),
    ):
        seconds = service.at(f"release.{name}", fitting)
        if not (is_number(seconds) and seconds > 0):
            yield broken(
                service,
                f"{name} is {shown(seconds)} in stack {service.stack}: {without}",
                f"Write a number above 0, such as {name}: {fitting}.",
            )


def _health_path_fault(path: Any) -> str | None:
    if not isinstance(path, str) or not path.startswith("/"):
        return "which does not start with a slash"
    if "-" in path:
        return "and Railway rejects a hyphen there as invalid input"
    if "?" in path or "#" in path:
        return "and the gateway's probe route matches a path without query or fragment, so it would never be found"
    if not PLAIN.fullmatch(path):
        return "which holds characters that a plain path does not have"
    if path.strip("/") == "":
        return "which any page of the app answers: it says nothing about its health"
    return None


def _repository(image: Any) -> str:
    """`ghcr.io/acme/backend` of an image with a tag or a broken digest."""
    named = image.partition("@")[0] if isinstance(image, str) else ""
    folder, slash, last = named.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}".strip() or "repository"


def _total(replicas: Any) -> int | None:
    if not isinstance(replicas, Mapping) or not all(is_number(count) and count >= 0 for count in replicas.values()):
        return None
    return sum(replicas.values())
