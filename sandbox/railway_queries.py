"""The queries that the sandbox models, each as one resolver of a root field.

A resolver gets the `Call` (who asks, and the world) and the field's arguments. What is not listed in `QUERIES` is
answered with a clear error. HTTP metrics and logs are empty as Railway's are for private traffic.
"""

from collections.abc import Mapping
from datetime import timedelta

from sandbox import railway_views as views
from sandbox.railway_call import Args, Call, Resolver
from sandbox.railway_machines import LogLine
from sandbox.railway_rules import NOT_AUTHORIZED, REGIONS, Refused, not_modelled
from sandbox.railway_snapshots import rendered
from sandbox.railway_store import Deployment
from sandbox.railway_views import View

NETWORK = "private-network"
PLAN = {"containers": {"cpu": 8, "memoryBytes": 8_000_000_000}}
WORKSPACE = {"id": "workspace", "name": "Sandbox"}


async def project_token(call: Call, args: Args) -> View:
    if call.token != "project":
        raise Refused("Project Token not found")
    world = call.store.world
    return {
        "id": "project-token",
        "name": "sandbox",
        "projectId": world.project_id,
        "environmentId": world.environment_id,
        "project": _project(call),
        "environment": _environment(call),
    }


async def me(call: Call, args: Args) -> View:
    """Only an account's own token answers this, and the sandbox has none."""
    raise Refused(NOT_AUTHORIZED)


async def api_token(call: Call, args: Args) -> View:
    call.needs_workspace()
    return {"workspaces": [WORKSPACE]}


async def workspace(call: Call, args: Args) -> View:
    call.needs_workspace()
    resets = call.platform.clock.now() + timedelta(hours=1)
    return {**WORKSPACE, "apiTokenRateLimit": {"remainingPoints": 10_000, "resetsAt": views.time(resets)}}


async def project(call: Call, args: Args) -> View:
    call.authorise(project=args["id"])
    return _project(call)


def _project(call: Call) -> View:
    world = call.store.world

    def services(_: object, first: int | None = None, after: str | None = None, **rest: object) -> View:
        known = [each for each in world.services if each.deleted_at is None and not call.fresh(each)]
        return views.page(known, lambda found: views.service(found, call.store), first, after)

    def environments(_: object, first: int | None = None, after: str | None = None, **rest: object) -> View:
        return views.page([world.environment_id], lambda _: _environment(call), first, after)

    return {
        "id": world.project_id,
        "name": "sandbox",
        "description": "A laptop",
        "isTempProject": False,
        "deletedAt": None,
        "workspaceId": WORKSPACE["id"],
        "subscriptionType": "pro",
        "baseEnvironmentId": world.environment_id,
        "primaryEnvironmentId": world.environment_id,
        "services": services,
        "environments": environments,
    }


async def environment(call: Call, args: Args) -> View:
    call.authorise(project=args.get("projectId"), environment=args["id"])
    return _environment(call)


def _environment(call: Call) -> View:
    world = call.store.world
    living = {each.id for each in world.services if each.deleted_at is None}

    def instances(_: object, first: int | None = None, after: str | None = None, **rest: object) -> View:
        known = [each for each in world.instances if each.service_id in living]
        return views.page(known, lambda found: views.instance(found, call.platform), first, after)

    def config(_: object, **rest: object) -> None:
        raise not_modelled("Environment.config")

    return {
        "id": world.environment_id,
        "name": "production",
        "projectId": world.project_id,
        "isEphemeral": False,
        "canAccess": True,
        "configEtag": views.time(max([world.created_at, *(each.updated_at for each in world.instances)])),
        "unmergedChangesCount": 0,
        "createdAt": views.time(world.created_at),
        "deletedAt": None,
        "serviceInstances": instances,
        "volumeInstances": lambda _, **rest: views.empty(),
        "config": config,
    }


async def environment_staged_changes(call: Call, args: Args) -> View:
    """Always empty: nothing can be staged here."""
    call.authorise(environment=args["environmentId"])
    created = views.time(call.store.world.created_at)
    return {
        "id": "staged",
        "status": "STAGED",
        "message": None,
        "lastAppliedError": None,
        "createdAt": created,
        "updatedAt": created,
        "appliedAt": None,
        "patch": {},
    }


async def regions(call: Call, args: Args) -> list[View]:
    call.authorise(project=args.get("projectId"))
    return [views.region(name) for name in REGIONS]


async def service(call: Call, args: Args) -> View:
    return views.service(call.service(args["id"]), call.store)


async def service_instance(call: Call, args: Args) -> View:
    return views.instance(call.instance(args["serviceId"], args["environmentId"]), call.platform)


async def limit_override(call: Call, args: Args) -> View | None:
    limits = call.instance(args["serviceId"], args["environmentId"]).limits
    return {"containers": dict(limits)} if limits else None


async def limits(call: Call, args: Args) -> View:
    override = call.instance(args["serviceId"], args["environmentId"]).limits
    return {"containers": {**PLAN["containers"], **override}}


async def variables(call: Call, args: Args) -> dict[str, str]:
    call.authorise(project=args["projectId"], environment=args["environmentId"])
    if args.get("serviceId") is None:
        return dict(call.store.world.shared_variables)
    found = call.instance(args["serviceId"], args["environmentId"])
    if args.get("unrendered"):
        return dict(found.variables)
    return rendered(call.store, call.service(found.service_id), found)


async def deployment(call: Call, args: Args) -> View:
    return views.deployment(call.deployment(args["id"]), call.platform)


async def deployments(call: Call, args: Args) -> View:
    wanted = args["input"]
    call.authorise(project=wanted.get("projectId"), environment=wanted.get("environmentId"))
    status = wanted.get("status") or {}
    found = [
        each
        for each in reversed(call.store.world.deployments)
        if wanted.get("serviceId") in (None, each.service_id)
        and (status.get("in") is None or each.status in status["in"])
        and each.status not in (status.get("notIn") or [])
    ]
    return views.page(found, lambda each: views.deployment(each, call.platform), args.get("first"), args.get("after"))


async def deployment_events(call: Call, args: Args) -> View:
    events = call.deployment(args["id"]).events
    return views.page(events, views.event, args.get("first"), args.get("after"))


async def deployment_snapshot(call: Call, args: Args) -> View:
    found = call.deployment(args["deploymentId"])
    return {"id": found.snapshot_id, "createdAt": views.time(found.created_at), "variables": found.variables}


async def deployment_logs(call: Call, args: Args) -> list[View]:
    found = call.deployment(args["deploymentId"])
    lines = await call.platform.logs(found, 5000)
    return _chosen(lines, found, args)


async def build_logs(call: Call, args: Args) -> list[View]:
    """What the platform itself has to say: an image is pulled, not built."""
    found = call.deployment(args["deploymentId"])
    lines = []
    for event in found.events:
        words = event.step.lower().replace("_", " ")
        lines.append(LogLine(event.created_at.isoformat(), words))
        if event.completed_at is not None:
            error = event.payload.get("error")
            text = f"error: {words}: {error}" if error else f"{words}: done"
            lines.append(LogLine(event.completed_at.isoformat(), text))
    return _chosen(lines, found, args)


def _chosen(lines: list[LogLine], found: Deployment, args: Args) -> list[View]:
    limit = args.get("limit") or 100
    if limit > 5000:
        raise Refused("Invalid limit: at most 5000 lines", "BAD_USER_INPUT")
    wanted = args.get("filter") or ""
    return [views.log(line, found) for line in lines if wanted in line.text][-limit:]


async def private_networks(call: Call, args: Args) -> list[View]:
    call.authorise(environment=args["environmentId"])
    world = call.store.world
    return [
        {
            "publicId": NETWORK,
            "name": "default",
            "dnsName": "railway.internal",
            "networkId": "1",
            "tags": [],
            "environmentId": world.environment_id,
            "projectId": world.project_id,
            "deletedAt": None,
        }
    ]


async def private_network_endpoint(call: Call, args: Args) -> View | None:
    """Null until the first deployment, as in the real network."""
    found = call.instance(args["serviceId"], args["environmentId"])
    if args["privateNetworkId"] != NETWORK:
        raise Refused("PrivateNetwork not found")
    if next(call.store.deployments_of(found.service_id, found.environment_id), None) is None:
        return None
    return {
        "publicId": f"endpoint-{found.id}",
        "dnsName": call.service(found.service_id).name,
        "newDnsName": None,
        "privateIps": ["127.0.0.1"],
        "syncStatus": "ACTIVE",
        "tags": [],
        "serviceInstanceId": found.id,
        "deletedAt": None,
    }


async def endpoint_name_available(call: Call, args: Args) -> bool:
    call.authorise(environment=args["environmentId"])
    return all(each.name != args["prefix"] for each in call.store.world.services if each.deleted_at is None)


async def domains(call: Call, args: Args) -> View:
    call.authorise(project=args["projectId"])
    call.instance(args["serviceId"], args["environmentId"])
    return {"serviceDomains": [], "customDomains": []}


async def nothing(call: Call, args: Args) -> list[View]:
    call.authorise(environment=args.get("environmentId"))
    return []


async def no_samples(call: Call, args: Args) -> View:
    call.instance(args["serviceId"], args["environmentId"])
    return {"samples": []}


QUERIES: Mapping[str, Resolver] = {
    "apiToken": api_token,
    "buildLogs": build_logs,
    "deployment": deployment,
    "deploymentEvents": deployment_events,
    "deploymentLogs": deployment_logs,
    "deploymentSnapshot": deployment_snapshot,
    "deployments": deployments,
    "domains": domains,
    "environment": environment,
    "environmentStagedChanges": environment_staged_changes,
    "httpDurationMetrics": no_samples,
    "httpLogs": nothing,
    "httpMetrics": no_samples,
    "httpMetricsGroupedByStatus": nothing,
    "me": me,
    "privateNetworkEndpoint": private_network_endpoint,
    "privateNetworkEndpointNameAvailable": endpoint_name_available,
    "privateNetworks": private_networks,
    "project": project,
    "projectToken": project_token,
    "regions": regions,
    "service": service,
    "serviceInstance": service_instance,
    "serviceInstanceLimitOverride": limit_override,
    "serviceInstanceLimits": limits,
    "tcpProxies": nothing,
    "variables": variables,
    "variablesForServiceDeployment": variables,
    "workspace": workspace,
}
