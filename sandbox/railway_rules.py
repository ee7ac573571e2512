"""What Railway refuses, in its own words, and what an update does to a service instance.

The reset rule (on unless asked otherwise): an update that omits `multiRegionConfig` leaves the default region with one
replica, and one that omits `healthcheckPath` clears it. Both happened to users whose updates were partial.

Assumed: `multiRegionConfig` replaces what was there, and a region set to null is left out.
"""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from sandbox.railway_store import DEFAULT_CONFIG, DEFAULT_REGION, Instance

REGIONS = {
    "us-west2": ("US West (California, USA)", "us"),
    "us-east4-eqdc4a": ("US East (Virginia, USA)", "us"),
    "europe-west4-drams3a": ("EU West (Amsterdam, Netherlands)", "nl"),
    "asia-southeast1-eqsg3a": ("Southeast Asia (Singapore)", "sg"),
}
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
RESERVED = frozenset({"health", "internal", "internal-health", "railway", "up"})
MOST_REPLICAS = 10  # real processes on a laptop; the platform's own limit is 50
LEGACY = ("region", "numReplicas")  # accepted and without effect


class Refused(Exception):
    """An error of the API: HTTP 200 with this message."""

    def __init__(self, message: str, code: str = "INTERNAL_SERVER_ERROR") -> None:
        super().__init__(message)
        self.message, self.code = message, code


NOT_AUTHORIZED = "Not Authorized"


def invalid(reason: str) -> Refused:
    return Refused(f"Invalid input: {reason}", "BAD_USER_INPUT")


def check_name(name: str) -> None:
    """Refuse a service name that could not become a private name."""
    if not NAME.fullmatch(name) or name in RESERVED:
        raise invalid(f'"{name}" is not a valid service name')


def check_variables(variables: object) -> dict[str, str]:
    """The map of strings that it has to be."""
    if not isinstance(variables, dict):
        raise invalid("variables must be a map of strings")
    for name, value in variables.items():
        if not isinstance(value, str):
            raise invalid(f"variable {name} must be a string")
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise invalid(f'"{name}" is not a valid variable name')
    return dict(variables)


def updated(instance: Instance, change: Mapping[str, Any], *, reset: bool, deployed: bool | None) -> None:
    """Apply an update to the template of the next deployment; `deployed` False refuses an early health-check path."""
    _check(change, deployed)
    config = dict(instance.config)
    if reset:
        config["multiRegionConfig"] = {DEFAULT_REGION: {"numReplicas": 1}}
        config["healthcheckPath"] = None
    for key, value in change.items():
        if key == "multiRegionConfig":
            config[key] = _regions(value)
        elif key not in (*LEGACY, "registryCredentials"):
            config[key] = DEFAULT_CONFIG.get(key) if value is None else value
    instance.config = config
    if "registryCredentials" in change:
        instance.credentials = change["registryCredentials"] is not None


def _check(change: Mapping[str, Any], deployed: bool | None) -> None:
    path = change.get("healthcheckPath")
    if path is not None and not re.fullmatch(r"/[A-Za-z0-9_./]*", path):
        raise invalid(f"healthcheckPath {path!r} is not a valid path")
    if path is not None and deployed is False:
        raise invalid("healthcheckPath cannot be set before the first deployment")
    if len(change.get("preDeployCommand") or []) > 1:
        raise invalid("preDeployCommand can have at most one element")
    for key in ("overlapSeconds", "drainingSeconds", "healthcheckTimeout", "restartPolicyMaxRetries"):
        if (change.get(key) or 0) < 0:
            raise invalid(f"{key} must not be negative")


def _regions(value: object) -> JsonValue:
    if value is None:
        return {DEFAULT_REGION: {"numReplicas": 1}}
    if not isinstance(value, dict):
        raise invalid("multiRegionConfig must be a map of regions")
    kept: dict[str, JsonValue] = {}
    for region, wanted in value.items():
        if wanted is None:
            continue
        if region not in REGIONS:
            raise invalid(f'"{region}" is not a valid region')
        replicas = wanted.get("numReplicas", 1) if isinstance(wanted, dict) else None
        if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 1:
            raise invalid(f"multiRegionConfig.{region}.numReplicas must be at least 1")
        kept[region] = {"numReplicas": replicas}
    if not kept:
        raise invalid("multiRegionConfig must name at least one region")
    total = sum(region["numReplicas"] for region in kept.values() if isinstance(region, dict))  # type: ignore[misc]
    if total > 50:
        raise invalid("the total number of replicas must not exceed 50")
    if total > MOST_REPLICAS:
        raise not_modelled(f"more than {MOST_REPLICAS} replicas")
    return kept


def not_modelled(what: str) -> Refused:
    return Refused(f"{what} is not modelled by the sandbox", "NOT_MODELLED_BY_SANDBOX")
