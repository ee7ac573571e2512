"""Committing an environment patch: an instance that is not there is made, variables are sealed, set or deleted.

A patch is `{"services": {"<service id>": {"variables": {"NAME": {"value": "…", "isSealed": true}, "OLD": null}}}}`. A
service that is named and has no instance in the environment gets one, also with `{}`. What was deployed and has other
variables now is deployed, as Railway does with what a patch touches. Anything else in a patch is refused, whole.

Assumed: a sealed variable stays sealed when its value changes, and the commit's id is any string.
"""

import copy
from collections.abc import Mapping
from typing import Any

from sandbox.railway_call import Args, Call
from sandbox.railway_rules import Refused, check_variables, invalid, not_modelled
from sandbox.railway_store import DEFAULT_CONFIG, Instance, new_id


async def commit(call: Call, args: Args) -> str:
    """The id of the commit; a patch that changes nothing is refused, as Railway refuses it."""
    call.authorise(environment=args["environmentId"])
    wanted = _services(args.get("patch"))
    changes = {call.service(service_id).id: _variables(config) for service_id, config in wanted.items()}
    touched = [each for each in (_apply(call, service, values) for service, values in changes.items()) if each]
    if not touched:
        raise Refused("No patch to apply")
    call.store.save()
    for instance in touched:
        if any(call.store.deployments_of(instance.service_id, instance.environment_id)):
            await call.platform.deploy(instance)
    return new_id()


def _services(patch: object) -> dict[str, Any]:
    if not isinstance(patch, dict) or not isinstance(patch.get("services", {}), dict):
        raise invalid("patch must be a map with services")
    if set(patch) - {"services"}:
        raise not_modelled(f"a patch of {', '.join(sorted(set(patch) - {'services'}))}")
    return dict(patch.get("services", {}))


def _variables(config: object) -> Mapping[str, Any]:
    """The variables of a service in a patch, checked whole before anything is written."""
    if not isinstance(config, dict):
        raise invalid("a service in a patch must be a map")
    if set(config) - {"variables"}:
        raise not_modelled(f"a service's {', '.join(sorted(set(config) - {'variables'}))} in a patch")
    values: dict[str, Any] = config.get("variables") or {}
    for name, wanted in values.items():
        if wanted is not None and not isinstance(wanted, dict):
            raise invalid(f"variable {name} in a patch must be a map or null")
    check_variables({name: wanted.get("value") for name, wanted in values.items() if wanted is not None})
    return values


def _apply(call: Call, service_id: str, values: Mapping[str, Any]) -> Instance | None:
    """The instance, if this made or changed it."""
    world, now = call.store.world, call.platform.clock.now()
    found = call.store.instance(service_id, world.environment_id)
    made = found is None
    if found is None:
        found = Instance(
            id=new_id(),
            service_id=service_id,
            environment_id=world.environment_id,
            created_at=now,
            updated_at=now,
            config=copy.deepcopy(DEFAULT_CONFIG),
        )
        world.instances.append(found)
    before = (dict(found.variables), set(found.sealed))
    for name, wanted in values.items():
        if wanted is None:
            found.variables.pop(name, None)
        else:
            found.variables[name] = wanted["value"]
            found.sealed |= {name} if wanted.get("isSealed") else set()
    found.sealed &= found.variables.keys()
    if not made and before == (found.variables, found.sealed):
        return None
    found.updated_at = now
    return found
