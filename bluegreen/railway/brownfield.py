"""What runs in a Railway environment that nobody here declared: one service, as whoever takes it over has to know it.

It only reads, and only what an app can be made of; what Railway does not tell (sealed variables, limits of a registry)
is for the caller to say aloud.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bluegreen.http import NotFound, Unauthorized
from bluegreen.railway.api import Railway
from bluegreen.railway.deployment import Deployment
from bluegreen.railway.spec import Place, private_domain


@dataclass(frozen=True, slots=True)
class Found:
    """One service as it is; `variables` as they were written, references unresolved."""

    id: str
    name: str
    serving: bool  # whether a deployment of it is up
    source: str  # the repository that it is built from, or its image
    image: str | None  # where it is deployed from one
    healthcheck_path: str | None
    replicas: Mapping[str, int]
    domains: Sequence[str] = ()  # public ones: ways past the gateway
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    template: Mapping[str, Any] = field(default_factory=dict)  # further settings of its deployments, as Railway has it


async def services(railway: Railway, place: Place) -> Mapping[str, str]:
    """Ids by the host names under which the environment's other services reach them."""
    return {private_domain(name): id for name, id in (await railway.services(place.project_id)).items()}


async def found(railway: Railway, place: Place, host: str, id: str) -> Found | None:
    """One service by its id; None where it has no instance in this environment."""
    try:
        instance = await railway.service_instance(place, id)
    except (NotFound, Unauthorized):
        return None
    if instance.get("deletedAt"):
        return None
    deployments = await railway.deployments(place, id)
    serving = next((each for each in deployments if each.end == "running"), None)
    source = instance.get("source") or {}
    return Found(
        id=id,
        name=_service(host),
        serving=serving is not None,
        source=str(source.get("repo") or source.get("image") or "no source"),
        image=source.get("image"),
        healthcheck_path=instance.get("healthcheckPath"),
        replicas=_replicas(serving),
        domains=_domains(instance),
        variables=await railway.variables(place, id),
        template=instance,
    )


async def callers(railway: Railway, place: Place, there: Mapping[str, str], host: str) -> Sequence[str]:
    """The variables of other services that lead to this host, as `service.NAME`: nobody who calls so is ever moved."""
    told: list[str] = []
    # As a whole name: api is not meant where web-api is written.
    reaches = re.compile(rf"(?<![a-z0-9.-]){re.escape(host)}(?![a-z0-9-])", re.IGNORECASE).search
    refers = re.compile(rf"\$\{{\{{\s*{re.escape(_service(host))}\.RAILWAY_").search
    for each, id in there.items():
        if each == host:
            continue
        try:
            variables = await railway.variables(place, id)
        except (NotFound, Unauthorized):
            continue  # it has no instance here
        told += [f"{_service(each)}.{name}" for name, value in variables.items() if reaches(value) or refers(value)]
    return sorted(told)


def _service(host: str) -> str:
    return host.removesuffix(private_domain(""))


def _replicas(serving: Deployment | None) -> Mapping[str, int]:
    return (serving.replicas() if serving is not None else None) or {}


def _domains(instance: Mapping[str, Any]) -> Sequence[str]:
    told = instance.get("domains") or {}
    rows = [*(told.get("serviceDomains") or ()), *(told.get("customDomains") or ())]
    return tuple(sorted(str(row["domain"]) for row in rows))
