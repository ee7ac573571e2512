"""The queries about places: the project, its environment, who asks, regions, and the private network.

Each is one resolver of a root field (see `sandbox.railway_queries`). HTTP metrics and logs are empty, as Railway's are
for private traffic.
"""

from datetime import timedelta

from sandbox import railway_views as views
from sandbox.railway_call import Args, Call
from sandbox.railway_rules import NOT_AUTHORIZED, REGIONS, Refused, not_modelled
from sandbox.railway_views import View

NETWORK = "private-network"
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
    deployments = list(call.store.deployments_of(found.service_id, found.environment_id))
    if not deployments:
        return None
    creating = call.within(call.options.endpoint, deployments[-1].created_at)
    return {
        "publicId": f"endpoint-{found.id}",
        "dnsName": call.service(found.service_id).name,
        "newDnsName": None,
        "privateIps": ["127.0.0.1"],
        "syncStatus": "CREATING" if creating else "ACTIVE",
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
