"""Records as GraphQL shows them: one function a type, field names as in the schema.

A field with arguments is a function of them, which graphql-core calls. Deliberately not here: access and lookups.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sandbox.railway_deployments import Platform
from sandbox.railway_machines import LogLine
from sandbox.railway_rules import REGIONS, invalid
from sandbox.railway_store import ACTIVE, Deployment, Event, Instance, Service, Store, in_flight, stopped

View = dict[str, Any]
LATEST_LAG = 2.0  # platform seconds until a new deployment is the latest one


def time(value: datetime | None) -> str | None:
    return None if value is None else value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"


def page(items: Sequence[Any], show: Callable[[Any], View], first: int | None, after: str | None) -> View:
    """A connection; the cursor is the position, opaque to clients."""
    if after is not None and not after.isdecimal():
        raise invalid(f"cursor {after!r} is not valid")
    start = 0 if after is None else int(after) + 1
    end = len(items) if first is None else min(start + first, len(items))
    edges = [{"cursor": str(index), "node": show(items[index])} for index in range(start, end)]
    last = edges[-1]["cursor"] if edges else None
    return {"edges": edges, "pageInfo": {"hasNextPage": end < len(items), "endCursor": last}}


def empty() -> View:
    return page([], dict, None, None)


def service(found: Service, store: Store) -> View:
    return {
        "id": found.id,
        "name": found.name,
        "icon": found.icon,
        "projectId": store.world.project_id,
        "createdAt": time(found.created_at),
        "updatedAt": time(found.updated_at),
        "deletedAt": time(found.deleted_at),
        "isRestricted": False,
        "hasHiddenRegistryCredentialsFromTemplate": False,
    }


def instance(found: Instance, platform: Platform) -> View:
    store, config = platform.store, found.config
    owner = store.service(found.service_id)
    regions = config["multiRegionConfig"]
    assert isinstance(regions, dict)
    replicas = [region["numReplicas"] for region in regions.values() if isinstance(region, dict)]
    deployments = list(store.deployments_of(found.service_id, found.environment_id))
    seen = platform.clock.now() - platform.clock.span(LATEST_LAG)
    latest = next((each for each in deployments if each.created_at <= seen), None)
    return {
        **config,
        "id": found.id,
        "serviceId": found.service_id,
        "serviceName": owner.name if owner else "",
        "environmentId": found.environment_id,
        "isUpdatable": True,
        "deletedAt": None,
        "createdAt": time(found.created_at),
        "updatedAt": time(found.updated_at),
        "nextCronRunAt": None,
        "numReplicas": replicas[0] if len(replicas) == 1 else 1,
        "region": next(iter(regions)) if len(regions) == 1 else None,
        "latestDeployment": None if latest is None else deployment(latest, platform),
        "activeDeployments": [deployment(each, platform) for each in deployments if each.status in ACTIVE],
        "domains": {"serviceDomains": [], "customDomains": []},
    }


def deployment(found: Deployment, platform: Platform) -> View:
    return {
        "id": found.id,
        "status": found.status,
        "deploymentStopped": stopped(found),
        "statusUpdatedAt": time(found.status_updated_at),
        "createdAt": time(found.created_at),
        "updatedAt": time(found.updated_at),
        "canRedeploy": not in_flight(found),
        "canRollback": platform.rollback_possible(found),
        "projectId": platform.store.world.project_id,
        "environmentId": found.environment_id,
        "serviceId": found.service_id,
        "snapshotId": found.snapshot_id,
        "url": None,
        "staticUrl": None,
        "meta": found.meta,
        "diagnosis": None,
        "instances": [{"id": unit.id, "status": unit.status} for unit in found.units],
    }


def event(found: Event) -> View:
    payload: View = dict(found.payload)
    if found.completed_at is not None:
        payload["durationMs"] = int((found.completed_at - found.created_at).total_seconds() * 1000)
    return {
        "id": found.id,
        "step": found.step,
        "createdAt": time(found.created_at),
        "completedAt": time(found.completed_at),
        "payload": payload,
    }


def log(line: LogLine, found: Deployment) -> View:
    return {
        "timestamp": line.time,
        "message": line.text,
        "severity": "error" if line.text.startswith(("fatal:", "error:")) else "info",
        "attributes": [],
        "tags": {
            "deploymentId": found.id,
            "deploymentInstanceId": None,
            "serviceId": found.service_id,
            "environmentId": found.environment_id,
            "snapshotId": found.snapshot_id,
        },
    }


def region(name: str) -> View:
    location, country = REGIONS[name]
    return {
        "id": name,
        "name": name,
        "region": name,
        "country": country,
        "location": location,
        "deploymentConstraints": {"deprecationInfo": None},
    }
