"""The mutations that the sandbox models, each as one resolver of a root field.

None has an idempotency key, as Railway has none: whoever lost a reply has to read before writing again.
What is not listed in `MUTATIONS` is answered with a clear error.
"""

import copy
import secrets
from collections.abc import Mapping

from sandbox import railway_patches
from sandbox import railway_views as views
from sandbox.railway_call import Args, Call, Resolver
from sandbox.railway_rules import Refused, check_name, check_variables, invalid, not_modelled, updated
from sandbox.railway_store import ACTIVE, DEFAULT_CONFIG, ENDED, Deployment, Instance, Service, in_flight, new_id
from sandbox.railway_views import View

DAY = 24 * 3600.0  # platform seconds
BUSY = "Cannot redeploy yet, please wait for the original deployment to finish"


async def service_create(call: Call, args: Args) -> View:
    """A service and its instance; with a source it deploys at once, before anyone can set its variables."""
    wanted = args["input"]
    call.authorise(project=wanted["projectId"], environment=wanted.get("environmentId"))
    name = wanted.get("name") or f"service-{secrets.token_hex(3)}"
    check_name(name)
    world, now = call.store.world, call.platform.clock.now()
    if sum(call.within(DAY, each.created_at) for each in world.services) >= call.options.services_per_day:
        limit = f"{call.options.services_per_day} services per day"
        raise Refused(f"You have reached the service creation limit ({limit})")
    if any(each.name == name and each.deleted_at is None for each in world.services):
        raise Refused(f'A service named "{name}" already exists in this project')
    variables = check_variables(wanted.get("variables") or {})
    source = wanted.get("source")
    _check_source(call, source)
    found = Service(id=new_id(), name=name, icon=wanted.get("icon"), created_at=now, updated_at=now)
    made = Instance(
        id=new_id(),
        service_id=found.id,
        environment_id=world.environment_id,
        created_at=now,
        updated_at=now,
        config={**copy.deepcopy(DEFAULT_CONFIG), "source": source},
        credentials=wanted.get("registryCredentials") is not None,
        variables=variables,
        branch=wanted.get("branch") or "main",
    )
    world.services.append(found)
    if call.platform.scripts.take(name, creation=True) is None:
        world.instances.append(made)
    call.store.save()
    if source and (source.get("image") or source.get("repo")):
        await call.platform.deploy(made)
    return views.service(found, call.store)


def _check_source(call: Call, source: Mapping[str, str | None] | None) -> None:
    """Refuse a source that nothing can be deployed from; a new source takes the whole place of the one before."""
    repository = (source or {}).get("repo")
    if repository and (source or {}).get("image"):
        raise invalid("source must name an image or a repository, not both")
    if repository and repository not in call.platform.images.repositories:
        raise not_modelled(f"the repository {repository} (without --built {repository}=IMAGE)")


async def service_update(call: Call, args: Args) -> View:
    found = call.service(args["id"])
    change = args["input"]
    if change.get("name"):
        check_name(change["name"])
        others = [each for each in call.store.world.services if each.id != found.id and each.deleted_at is None]
        if any(each.name == change["name"] for each in others):
            raise Refused(f'A service named "{change["name"]}" already exists in this project')
        found.name = change["name"]
    if "icon" in change:
        found.icon = change["icon"]
    found.updated_at = call.platform.clock.now()
    call.store.save()
    return views.service(found, call.store)


async def service_delete(call: Call, args: Args) -> bool:
    call.authorise(environment=args.get("environmentId"))
    found = call.service(args["id"])
    found.deleted_at = call.platform.clock.now()
    call.store.save()
    call.platform.remove_all(found)
    return True


async def service_instance_update(call: Call, args: Args) -> bool:
    """Changes the template of the next deployment; true and without effect when the instance does not exist."""
    environment = args.get("environmentId") or call.store.world.environment_id
    call.authorise(environment=environment)
    found = call.visible(args["serviceId"], environment)
    _check_source(call, args["input"].get("source"))
    if found is None:
        return True
    call.changes(found)
    deployed = any(call.store.deployments_of(found.service_id, environment))
    early = None if call.options.early_healthcheck else deployed
    updated(found, args["input"], reset=call.options.reset, deployed=early)
    found.updated_at = call.platform.clock.now()
    call.store.save()
    return True


async def limits_update(call: Call, args: Args) -> bool:
    wanted = args["input"]
    found = call.instance(wanted["serviceId"], wanted["environmentId"])
    call.changes(found)
    chosen = {"cpu": wanted.get("vCPUs"), "memoryBytes": (wanted.get("memoryGB") or 0) * 1e9}
    found.limits = {key: float(value) for key, value in chosen.items() if value}
    call.store.save()
    return True


async def variable_collection_upsert(call: Call, args: Args) -> bool:
    wanted = args["input"]
    new = check_variables(wanted["variables"])
    return await _write(call, wanted, new, replace=wanted["replace"], deploy=not wanted["skipDeploys"])


async def variable_upsert(call: Call, args: Args) -> bool:
    wanted = args["input"]
    new = check_variables({wanted["name"]: wanted["value"]})
    return await _write(call, wanted, new, replace=False, deploy=not wanted["skipDeploys"])


async def variable_delete(call: Call, args: Args) -> bool:
    """There is no way to skip the deployment that a deletion causes."""
    wanted = args["input"]
    call.authorise(project=wanted["projectId"], environment=wanted["environmentId"])
    if wanted.get("serviceId") is None:
        call.store.world.shared_variables.pop(wanted["name"], None)
        call.store.save()
        return True
    found = call.instance(wanted["serviceId"], wanted["environmentId"])
    rest = {name: value for name, value in found.variables.items() if name != wanted["name"]}
    return await _write(call, wanted, rest, replace=True, deploy=True)


async def _write(call: Call, place: Args, new: Mapping[str, str], *, replace: bool, deploy: bool) -> bool:
    call.authorise(project=place["projectId"], environment=place["environmentId"])
    if place.get("serviceId") is None:
        shared = call.store.world.shared_variables
        call.store.world.shared_variables = {**({} if replace else shared), **new}
        call.store.save()
        return True
    found = call.instance(place["serviceId"], place["environmentId"])
    call.changes(found)
    before = dict(found.variables)
    found.variables = {**({} if replace else before), **new}
    found.sealed &= found.variables.keys()
    found.updated_at = call.platform.clock.now()
    call.store.save()
    deployed = any(call.store.deployments_of(found.service_id, found.environment_id))
    if deploy and deployed and found.variables != before:
        await call.platform.deploy(found)
    return True


async def deploy(call: Call, args: Args) -> str:
    """The id of a new deployment of the current configuration; one still on its way up is superseded."""
    found = call.instance(args["serviceId"], args["environmentId"])
    call.changes(found)
    source = found.config["source"]
    if not isinstance(source, dict) or not (source.get("image") or source.get("repo")):
        raise invalid("the service has no source to deploy")
    return (await call.platform.deploy(found)).id


async def service_instance_redeploy(call: Call, args: Args) -> bool:
    """Runs the latest deployment's old snapshot again, whatever the configuration says now."""
    found = call.instance(args["serviceId"], args["environmentId"])
    latest = next(call.store.deployments_of(found.service_id, found.environment_id), None)
    if latest is None:
        raise Refused("Deployment not found")
    await _repeat(call, latest, "redeploy")
    return True


async def deployment_redeploy(call: Call, args: Args) -> View:
    return views.deployment(await _repeat(call, call.deployment(args["id"]), "redeploy"), call.platform)


async def deployment_rollback(call: Call, args: Args) -> bool:
    found = call.deployment(args["id"])
    if not call.platform.rollback_possible(found):
        raise Refused("Deployment cannot be rolled back to: its image is no longer available")
    await _repeat(call, found, "rollback")
    return True


async def _repeat(call: Call, old: Deployment, reason: str) -> Deployment:
    call.instance(old.service_id, old.environment_id)
    if any(in_flight(each) for each in call.store.deployments_of(old.service_id, old.environment_id)):
        raise Refused(BUSY)
    return await call.platform.repeat(old, reason)


async def deployment_stop(call: Call, args: Args) -> bool:
    found = call.deployment(args["id"])
    if found.status not in ACTIVE:
        raise Refused(f"Deployment cannot be stopped: it is {found.status}")
    await call.platform.stop(found)
    return True


async def deployment_restart(call: Call, args: Args) -> bool:
    found = call.deployment(args["id"])
    if found.status not in ACTIVE:
        raise Refused(f"Deployment cannot be restarted: it is {found.status}")
    await call.platform.restart(found)
    return True


async def deployment_remove(call: Call, args: Args) -> bool:
    found = call.deployment(args["id"])
    if found.status not in ENDED:
        call.platform.remove(found)
    return True


async def deployment_cancel(call: Call, args: Args) -> bool:
    found = call.deployment(args["id"])
    if not in_flight(found):
        raise Refused(f"Deployment cannot be cancelled: it is {found.status}")
    call.platform.remove(found)
    return True


async def deployment_approve(call: Call, args: Args) -> bool:
    found = call.deployment(args["id"])
    if found.status != "NEEDS_APPROVAL":
        raise Refused(f"Deployment cannot be approved: it is {found.status}")
    found.approved = True
    call.store.save()
    return True


MUTATIONS: Mapping[str, Resolver] = {
    "deploymentApprove": deployment_approve,
    "deploymentCancel": deployment_cancel,
    "deploymentRedeploy": deployment_redeploy,
    "deploymentRemove": deployment_remove,
    "deploymentRestart": deployment_restart,
    "deploymentRollback": deployment_rollback,
    "deploymentStop": deployment_stop,
    "environmentPatchCommit": railway_patches.commit,
    "serviceCreate": service_create,
    "serviceDelete": service_delete,
    "serviceInstanceDeployV2": deploy,
    "serviceInstanceLimitsUpdate": limits_update,
    "serviceInstanceRedeploy": service_instance_redeploy,
    "serviceInstanceUpdate": service_instance_update,
    "serviceUpdate": service_update,
    "variableCollectionUpsert": variable_collection_upsert,
    "variableDelete": variable_delete,
    "variableUpsert": variable_upsert,
}
