"""The queries that the sandbox models, each as one resolver of a root field.

A resolver gets the `Call` (who asks, and the world) and the field's arguments. What is not listed in `QUERIES` is
answered with a clear error. Those about places are in `sandbox.railway_places`.
"""

from collections.abc import Mapping

from sandbox import railway_places as places
from sandbox import railway_views as views
from sandbox.railway_call import Args, Call, Resolver
from sandbox.railway_machines import LogLine
from sandbox.railway_rules import Refused
from sandbox.railway_snapshots import provided, rendered
from sandbox.railway_store import Deployment, Instance
from sandbox.railway_views import View

PLAN = {"containers": {"cpu": 8, "memoryBytes": 8_000_000_000}}


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
    owner = call.service(found.service_id)
    everything = {**(provided(call.store, owner) if call.options.own_variables else {}), **found.variables}
    if not args.get("unrendered"):
        everything = rendered(call.store, owner, found)
    return _unsealed(everything, found)


def _unsealed(values: Mapping[str, str], instance: Instance | None) -> dict[str, str]:
    """What may be read: a sealed variable is not shown at all."""
    sealed = instance.sealed if instance else set()
    return {name: value for name, value in values.items() if name not in sealed}


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
    shown = _unsealed(found.variables, call.store.instance(found.service_id, found.environment_id))
    return {"id": found.snapshot_id, "createdAt": views.time(found.created_at), "variables": shown}


async def deployment_logs(call: Call, args: Args) -> list[View]:
    found = call.deployment(args["deploymentId"])
    lines = await call.platform.logs(found, 5000)
    return _chosen(lines, found, args)


async def build_logs(call: Call, args: Args) -> list[View]:
    """What the platform itself has to say: no build says more."""
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


QUERIES: Mapping[str, Resolver] = {
    "apiToken": places.api_token,
    "buildLogs": build_logs,
    "deployment": deployment,
    "deploymentEvents": deployment_events,
    "deploymentLogs": deployment_logs,
    "deploymentSnapshot": deployment_snapshot,
    "deployments": deployments,
    "domains": places.domains,
    "environment": places.environment,
    "environmentStagedChanges": places.environment_staged_changes,
    "httpDurationMetrics": places.no_samples,
    "httpLogs": places.nothing,
    "httpMetrics": places.no_samples,
    "httpMetricsGroupedByStatus": places.nothing,
    "me": places.me,
    "privateNetworkEndpoint": places.private_network_endpoint,
    "privateNetworkEndpointNameAvailable": places.endpoint_name_available,
    "privateNetworks": places.private_networks,
    "project": places.project,
    "projectToken": places.project_token,
    "regions": places.regions,
    "service": service,
    "serviceInstance": service_instance,
    "serviceInstanceLimitOverride": limit_override,
    "serviceInstanceLimits": limits,
    "tcpProxies": places.nothing,
    "variables": variables,
    "variablesForServiceDeployment": variables,
    "workspace": places.workspace,
}
