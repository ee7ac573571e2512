"""A service as it really is: for `pulumi refresh` (what is held, and what drifted from it) and for `pulumi import`.

Railway redeploys by itself (host migration, security updates), so the deployment's id says nothing: another *digest*
is drift, the same one is told and left alone. Drift is shown in the inputs, because only a changed input makes the next
update act; so is a service that was stopped, or started, by hand. The template may name another image than what
serves, because somebody edited it or an update died halfway: nothing runs that yet, and the next restart by Railway
would. It is drift of its own, which a configuration mends without a deployment.
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
from bluegreen.railway.need import TEMPLATE
from bluegreen.railway.spec import (
    COLOUR,
    OWNER,
    PORT,
    RELEASE,
    SECRETS,
    STOPPED,
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
    template = await _template(railway, place, id)
    if template is None:
        return None
    serving = _serving(await railway.deployments(place, id))
    held, inputs = old.state, {key: value for key, value in old.inputs.items() if key != TEMPLATE}
    known = {"service_id": id, "private_domain": private_domain(name)}
    if serving is None:
        if held.release_id is None:
            return Held(id, inputs, held.model_copy(update=known))  # it never came up, and state says so already
        return Held(id, {**inputs, "releaseId": NOT_RUNNING}, ServiceState(**known))
    found = {**known, **_stands(serving, held)}
    release = _drifted(inputs.get("release") or {}, serving)
    if release != inputs.get("release"):
        inputs["release"] = release
        found["release_id"] = None  # whatever it is, it is not the release that was proven
    elif say is not None and held.deployment_id not in (None, serving.id):
        what = f"deployment {held.deployment_id} gave way to {serving.id} with the same digest; nothing to do"
        await say(f"{name}: {what}")
    if serving.halted == inputs.get("running", True):
        inputs["running"] = not serving.halted
    state = held.model_copy(update=found)
    astray = _named_instead(template, str(release.get("image", "")))
    if astray is None and state.template_image is not None:
        astray = await _still(railway, place, id, state)
    if state.release_id is None:
        astray = None  # whatever it names, the next update deploys
    if astray is not None:
        inputs[TEMPLATE] = astray
    return Held(id, inputs, state.model_copy(update={"template_image": astray}))


async def imported(railway: Railway, id: str) -> Held[ServiceState] | None:
    """A service by its name or its id, as inputs that would make it; None when there is none."""
    if railway.kind != "project":
        what = "An import finds its project and environment by the token, and this is a workspace token."
        next_ = "Set BLUEGREEN_RAILWAY_TOKEN to the environment's project token for the import."
        raise Refused(what, world="Nothing was changed.", next=next_)
    place = await railway.project_token()
    services = await railway.services(place.project_id)
    name = id if id in services else next((name for name, each in services.items() if each == id), None)
    template = await _template(railway, place, services[name]) if name is not None else None
    if name is None or template is None:
        return None
    service_id = services[name]
    variables = await railway.variables(place, service_id)
    serving = _serving(await railway.deployments(place, service_id))
    state = ServiceState(
        service_id=service_id,
        deployment_id=serving.id if serving else None,
        release_id=await _release_id(railway, serving),
        image=serving.image if serving else None,
        private_domain=private_domain(name),
        status=_status(serving) if serving else None,
        deployed_at=serving.created_at if serving else None,
    )
    asked = _named(name, variables) | _running_as(template, variables, serving, state.release_id)
    return Held(service_id, {**asked, "place": place.model_dump()}, state)


def place_of(id: str, inputs: Mapping[str, Any]) -> Place:
    """Where held inputs say that the service is."""
    try:
        return Place.model_validate(inputs.get("place"))
    except ValidationError as problem:
        what = f"The state of service {id} names no project and environment."
        next_ = f"Delete it from the state, then: pulumi import bluegreen:railway:Service NAME {id}."
        raise Refused(what, world="Nothing was changed.", next=next_) from problem


async def gone(railway: Railway, place: Place, id: str) -> bool:
    """Whether the service is no more."""
    return await _template(railway, place, id) is None


async def _template(railway: Railway, place: Place, id: str) -> Mapping[str, Any] | None:
    """What the next deployment would be made of; None when the service is no more.

    A deleted one answers "Not Authorized", so the project's list decides.
    """
    try:
        instance = await railway.service_instance(place, id)
    except NotFound:
        return None
    except Unauthorized:
        if id in (await railway.services(place.project_id)).values():
            raise
        return None
    return None if instance.get("deletedAt") else instance


# ── what a refresh finds ─────────────────────────────────────────────────────────────────────────────────────────────


def _stands(serving: Deployment, held: ServiceState) -> dict[str, Any]:
    """What of the state follows from what serves."""
    found: dict[str, Any] = {"deployment_id": serving.id, "image": serving.image, "status": _status(serving)}
    if not serving.halted or serving.id != held.deployment_id:
        found |= {"stopped_at": None, "kept_until": None}  # it runs, or it was stopped by somebody else
    return found


def _drifted(release: Mapping[str, Any], serving: Deployment) -> dict[str, Any]:
    """The release as it really runs."""
    really = dict(release)
    if serving.image is not None and _digest(serving) != (_digest_of(str(release.get("image", ""))) or None):
        really["image"] = serving.image
    replicas = serving.replicas()
    if replicas is not None and replicas != release.get("replicas"):
        really["replicas"] = replicas
    return really


def _named_instead(template: Mapping[str, Any], image: str) -> str | None:
    """What the template names, where that is not what serves."""
    source = template.get("source") or {}
    named = str(source.get("repo") or source.get("image") or "no image")
    return named if _digest_of(named) != _digest_of(image) else None


async def _still(railway: Railway, place: Place, id: str, state: ServiceState) -> str | None:
    """What was never put back, as far as the right image in the template does not show that it was."""
    if _digest_of(str(state.template_image)) != _digest_of(str(state.image)):
        marked = (await railway.variables(place, id)).get(RELEASE)  # written last
        return None if marked == state.release_id else state.template_image
    return state.template_image  # the same image in another configuration looks like this one


def _digest_of(image: str) -> str:
    return image.partition("@")[2]


def _serving(seen: list[Deployment]) -> Deployment | None:
    return next((each for each in seen if each.active), None)


def _status(deployment: Deployment) -> str:
    # Railway has no such status: a stopped deployment keeps reading SUCCESS.
    return STOPPED if deployment.halted else deployment.status


def _digest(deployment: Deployment) -> str | None:
    return min(deployment.digests) if len(deployment.digests) == 1 else None


# ── what an import finds ─────────────────────────────────────────────────────────────────────────────────────────────


def _named(name: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """Whose service it is, told by its marks, or else by its name."""
    told = (variables.get(COLOUR), name.rpartition("-")[2])
    colour = next((each for each in told if each in COLOURS), COLOURS[0])
    owner = variables.get(OWNER, "")
    return {"name": name, "app": name.removesuffix(f"-{colour}"), "colour": colour, "owner": owner, "role": "idle"}


def _running_as(
    template: Mapping[str, Any], variables: Mapping[str, str], serving: Deployment | None, release_id: str | None
) -> dict[str, Any]:
    """What makes it behave as it does."""
    asked = {
        "release": _release(template, variables, serving),
        "releaseId": release_id or NOT_RUNNING,
        "secrets": {key: SecretStr(variables[key]) for key in _secret_names(variables)},
        "registryCredentials": None,
    }
    return asked | ({"running": False} if serving is not None and serving.halted else {})


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
