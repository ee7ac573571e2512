"""What a deployment is made of: the instance's configuration, its rendered variables and the image, as they are now.

Later edits do not alter a snapshot; redeploy, rollback and restart use the old one again.

Not modelled: references between environments, variables that set platform options
(RAILWAY_DEPLOYMENT_OVERLAP_SECONDS and its like).
"""

import copy
import re
from datetime import datetime

from pydantic import JsonValue

from sandbox.railway_images import Images
from sandbox.railway_store import Deployment, Instance, Script, Service, Store, new_id

REFERENCE = re.compile(r"\$\{\{\s*(?:(?P<service>[\w-]+)\.)?(?P<name>\w+)\s*\}\}")
DEEPEST = 10  # references inside references
NOT_IN_MANIFEST = ("source", "builder", "rootDirectory", "railwayConfigFile", "watchPatterns", "ipv6EgressEnabled")


def provided(store: Store, service: Service) -> dict[str, str]:
    """The variables that the platform itself sets."""
    return {
        "RAILWAY_PROJECT_ID": store.world.project_id,
        "RAILWAY_ENVIRONMENT_ID": store.world.environment_id,
        "RAILWAY_ENVIRONMENT_NAME": "production",
        "RAILWAY_SERVICE_ID": service.id,
        "RAILWAY_SERVICE_NAME": service.name,
        "RAILWAY_PRIVATE_DOMAIN": f"{service.name}.railway.internal",
    }


def rendered(store: Store, service: Service, instance: Instance) -> dict[str, str]:
    """The instance's variables with every reference replaced, and the platform's own."""
    scope = {**provided(store, service), **instance.variables}
    return {name: _render(store, scope, value, DEEPEST) for name, value in scope.items()}


def _render(store: Store, scope: dict[str, str], value: str, depth: int) -> str:
    def resolve(match: re.Match[str]) -> str:
        owner, name = match["service"], match["name"]
        names = scope if owner is None else _variables_of(store, owner)
        return _render(store, names, names.get(name, ""), depth - 1)

    return REFERENCE.sub(resolve, value) if depth else ""


def _variables_of(store: Store, owner: str) -> dict[str, str]:
    if owner == "shared":
        return store.world.shared_variables
    for service in store.world.services:
        if service.name == owner and service.deleted_at is None:
            instance = store.instance(service.id, store.world.environment_id)
            return {**provided(store, service), **(instance.variables if instance else {})}
    return {}


def manifest(instance: Instance) -> dict[str, JsonValue]:
    """The configuration as a deployment keeps it in `meta.serviceManifest`."""
    config = copy.deepcopy(instance.config)
    deploy: dict[str, JsonValue] = {key: value for key, value in config.items() if key not in NOT_IN_MANIFEST}
    regions = config["multiRegionConfig"]
    deploy["region"] = next(iter(regions)) if isinstance(regions, dict) else None
    deploy["runtime"] = "V2"
    deploy["limitOverride"] = {"containers": dict(instance.limits)} if instance.limits else None
    return {"build": {"builder": config["builder"]}, "deploy": deploy}


def snapshot(store: Store, instance: Instance, script: Script | None, now: datetime, images: Images) -> Deployment:
    """A new deployment of the instance as it is now."""
    service = store.service(instance.service_id)
    assert service is not None
    meta: dict[str, JsonValue] = {
        **_origin(store, instance, script, images),
        "reason": "deploy",
        "serviceManifest": manifest(instance),
    }
    return _deployment(
        instance.service_id, instance.environment_id, meta, rendered(store, service, instance), script, now
    )


def _origin(store: Store, instance: Instance, script: Script | None, images: Images) -> dict[str, JsonValue]:
    """Where the deployment's image comes from: what is built from a repository names no image."""
    source = instance.config["source"]
    named = source if isinstance(source, dict) else {}
    repository, image = named.get("repo"), named.get("image")
    if isinstance(repository, str):
        return {"repo": repository, "branch": instance.branch, "commitHash": images.commit(repository)}
    if script is not None and script.outcome == "wrong-image":
        before = next(store.deployments_of(instance.service_id, instance.environment_id), None)
        image = script.image or (before.meta.get("image") if before else None) or image
    return {"image": image}


def again(old: Deployment, reason: str, script: Script | None, now: datetime) -> Deployment:
    """A new deployment of an old one's snapshot."""
    meta = {**copy.deepcopy(old.meta), "reason": reason}
    copied = _deployment(old.service_id, old.environment_id, meta, dict(old.variables), script, now)
    copied.snapshot_id = old.snapshot_id
    return copied


def _deployment(
    service_id: str,
    environment_id: str,
    meta: dict[str, JsonValue],
    variables: dict[str, str],
    script: Script | None,
    now: datetime,
) -> Deployment:
    return Deployment(
        id=new_id(),
        service_id=service_id,
        environment_id=environment_id,
        snapshot_id=new_id(),
        created_at=now,
        updated_at=now,
        status_updated_at=now,
        meta=meta,
        variables=variables,
        script=script,
    )
