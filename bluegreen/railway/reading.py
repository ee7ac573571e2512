"""A service as it really is: for `pulumi refresh` (what is held, and what drifted from it) and for `pulumi import`.

Railway redeploys by itself (host migration, security updates), so the deployment's id says nothing: another *digest*
is drift, the same one is told and left alone. Drift is shown in the inputs, because only a changed input makes the next
update act; so is a service that was stopped, or started, by hand.
An import reads what can be read: registry credentials and limits cannot, and every variable counts as a secret unless
the service says, in BLUEGREEN_SECRETS, which ones are. A service whose name and mark tell no colour becomes blue.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import SecretStr, ValidationError

from bluegreen.handler import Held, Refused
from bluegreen.http import NotFound, Unauthorized
from bluegreen.railway.api import Railway
from bluegreen.railway.claim import right_place
from bluegreen.railway.deployment import Deployment
from bluegreen.railway.spec import (
    COLOUR,
    OWNER,
    PORT,
    RELEASE,
    SECRETS,
    Place,
    ServiceState,
    private_domain,
)
from bluegreen.spec import COLOURS

MARKS = frozenset({OWNER, RELEASE, COLOUR, SECRETS, PORT})
NOT_RUNNING = ""  # the release id of a service that runs none: an input that no program asks for


async def refreshed(
    railway: Railway, id: str, old: Held[ServiceState], say: Callable[[str], Awaitable[None]] | None = None
) -> Held[ServiceState] | None:
    """What is held, corrected by what is; None when the service is gone. `say` is told what needs no correction."""
    place = place_of(id, old.inputs)
    await right_place(railway, place)
    name = str(old.inputs.get("name", ""))
    if await gone(railway, place, id):
        return None
    serving = _serving(await railway.deployments(place, id))
    held, inputs = old.state, dict(old.inputs)
    known = {"service_id": id, "private_domain": private_domain(name)}
    if serving is None:
        if held.release_id is None:
            return Held(id, inputs, held.model_copy(update=known))  # it never came up, and state says so already
        inputs["releaseId"] = NOT_RUNNING
        nothing = {"deployment_id": None, "release_id": None, "image": None, "status": None, "deployed_at": None}
        return Held(id, inputs, held.model_copy(update={**known, **nothing}))
    found = {**known, "deployment_id": serving.id, "image": serving.image, "status": _status(serving)}
    release = dict(inputs.get("release") or {})
    if serving.image is not None and _digest(serving) != (str(release.get("image", "")).partition("@")[2] or None):
        release["image"] = serving.image
    replicas = serving.replicas()
    if replicas is not None and replicas != release.get("replicas"):
        release["replicas"] = replicas
    if release != inputs.get("release"):
        inputs["release"] = release
        found["release_id"] = None  # whatever it is, it is not the release that was proven
    elif say is not None and held.deployment_id not in (None, serving.id):
        what = f"deployment {held.deployment_id} gave way to {serving.id} with the same digest; nothing to do"
        await say(f"{name}: {what}")
    running = serving.end != "exited"
    if running != inputs.get("running", True):
        inputs["running"] = running
    return Held(id, inputs, held.model_copy(update=found))


async def imported(railway: Railway, id: str) -> Held[ServiceState] | None:
    """A service by its name or its id, as inputs that would make it; None when there is none."""
    if railway.kind != "project":
        what = "An import finds its project and environment by the token, and this is a workspace token."
        next_ = "Set BLUEGREEN_RAILWAY_TOKEN to the environment's project token for the import."
        raise Refused(what, world="Nothing was changed.", next=next_)
    place = await railway.project_token()
    services = await railway.services(place.project_id)
    name = id if id in services else next((name for name, each in services.items() if each == id), None)
    if name is None or await gone(railway, place, services[name]):
        return None
    service_id = services[name]
    instance = await railway.service_instance(place, service_id)
    variables = await railway.variables(place, service_id)
    serving = _serving(await railway.deployments(place, service_id))
    told = (variables.get(COLOUR), name.rpartition("-")[2])
    colour = next((each for each in told if each in COLOURS), COLOURS[0])
    release_id = await _release_id(railway, serving)
    inputs = {
        "name": name,
        "app": name.removesuffix(f"-{colour}"),
        "colour": colour,
        "place": place.model_dump(),
        "release": _release(instance, variables, serving),
        "releaseId": release_id or NOT_RUNNING,
        "secrets": {key: SecretStr(variables[key]) for key in _secret_names(variables)},
        "registryCredentials": None,
        "owner": variables.get(OWNER, ""),
        "role": "idle",
        **({"running": False} if serving is not None and serving.end == "exited" else {}),
    }
    state = ServiceState(
        service_id=service_id,
        deployment_id=serving.id if serving else None,
        release_id=release_id,
        image=serving.image if serving else None,
        private_domain=private_domain(name),
        status=_status(serving) if serving else None,
        deployed_at=serving.created_at if serving else None,
    )
    return Held(service_id, inputs, state)


def place_of(id: str, inputs: Mapping[str, Any]) -> Place:
    """Where held inputs say that the service is."""
    try:
        return Place.model_validate(inputs.get("place"))
    except ValidationError as problem:
        what = f"The state of service {id} names no project and environment."
        next_ = f"Delete it from the state, then: pulumi import bluegreen:railway:Service NAME {id}."
        raise Refused(what, world="Nothing was changed.", next=next_) from problem


async def gone(railway: Railway, place: Place, id: str) -> bool:
    """Whether the service is no more. A deleted one answers "Not Authorized", so the project's list decides."""
    try:
        return bool((await railway.service_instance(place, id)).get("deletedAt"))
    except NotFound:
        return True
    except Unauthorized:
        if id in (await railway.services(place.project_id)).values():
            raise
        return True


def _serving(seen: list[Deployment]) -> Deployment | None:
    return next((each for each in seen if each.active), None)


def _status(deployment: Deployment) -> str:
    # Railway has no such status: a stopped deployment keeps reading SUCCESS.
    return "STOPPED" if deployment.end == "exited" else deployment.status


def _digest(deployment: Deployment) -> str | None:
    return min(deployment.digests) if len(deployment.digests) == 1 else None


async def _release_id(railway: Railway, serving: Deployment | None) -> str | None:
    if serving is None:
        return None
    return (await railway.deployment_snapshot(serving.id)).get(RELEASE)


def _secret_names(variables: Mapping[str, str]) -> list[str]:
    ours = [name for name in variables if name not in MARKS and not name.startswith("RAILWAY_")]
    if OWNER not in variables:
        return ours
    secret = variables.get(SECRETS, "").split(",")
    return [name for name in ours if name in secret]


def _release(instance: Mapping[str, Any], variables: Mapping[str, str], serving: Deployment | None) -> dict[str, Any]:
    source, port = instance.get("source") or {}, variables.get(PORT, "")
    pre_deploy = instance.get("preDeployCommand")
    secret = _secret_names(variables)
    plain = {
        name: value
        for name, value in variables.items()
        if name not in MARKS and name not in secret and not name.startswith("RAILWAY_")
    }
    release = {
        "image": (serving.image if serving else None) or source.get("image"),
        "port": int(port) if port.isdecimal() else None,
        "healthcheckPath": instance.get("healthcheckPath"),
        "healthcheckTimeoutSeconds": instance.get("healthcheckTimeout"),
        "replicas": (serving.replicas() if serving else None) or {},
        "variables": plain,
        "overlapSeconds": instance.get("overlapSeconds"),
        "drainingSeconds": instance.get("drainingSeconds"),
        "restartPolicy": instance.get("restartPolicyType"),
        "restartPolicyMaxRetries": instance.get("restartPolicyMaxRetries"),
        "startCommand": instance.get("startCommand"),
        "preDeployCommand": pre_deploy[0] if isinstance(pre_deploy, list) and pre_deploy else pre_deploy or None,
    }
    return {name: value for name, value in release.items() if value is not None}
