"""Railway's API, one method per operation this program uses, named as Railway names the operation.

The documents lie in `operations.graphql`; each request carries one operation and the fragments it uses. How they are
sent, and which are repeated, is in `wire.py`. It deliberately holds no rule about deploying: that is `deploy.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from bluegreen.http import NotFound
from bluegreen.railway.deployment import Deployment
from bluegreen.railway.spec import Limits, Place
from bluegreen.railway.wire import URL, TokenKind, Wire

__all__ = ["URL", "Railway", "TokenKind"]
PAGES = 50  # of a hundred entries: more than any project may hold


@dataclass(frozen=True, slots=True)
class Project:
    """A project: its plan, its environments' names by their ids, and whether Railway deletes it after a day."""

    plan: str
    environments: Mapping[str, str]
    temporary: bool


class Railway(Wire):
    """One account's view of Railway; nothing is called, and no token is needed, before the first operation."""

    def __init__(self, url: str = URL, token: SecretStr | None = None, *, kind: TokenKind = "project") -> None:
        super().__init__(url, token, kind=kind)
        self._regions: dict[str, Mapping[str, str | None]] = {}
        self._networks: dict[str, tuple[str, ...]] = {}

    # ── who and where ────────────────────────────────────────────────────────────────────────────────────────────

    async def project_token(self) -> Place:
        """The place that the project token belongs to."""
        found = _found(await self._query("WhoAmIProjectToken"), "projectToken")
        return Place(project_id=found["projectId"], environment_id=found["environmentId"])

    async def project(self, id: str) -> Project:
        """The project, as far as the token may see it."""
        found = _found(await self._query("ProjectRead", id=id), "project")
        nodes = [edge["node"] for edge in found["environments"]["edges"]]
        living = {str(node["id"]): str(node["name"]) for node in nodes if not node["deletedAt"]}
        return Project(plan=str(found["subscriptionType"]), environments=living, temporary=bool(found["isTempProject"]))

    async def services(self, project_id: str) -> Mapping[str, str]:
        """The ids of a project's services by their names, which are unique in it."""
        found: dict[str, str] = {}
        after: str | None = None
        for _ in range(PAGES):
            answer = await self._query("ProjectServices", id=project_id, after=after)
            page = _found(answer, "project")["services"]
            nodes = [edge["node"] for edge in page["edges"]]
            found |= {node["name"]: node["id"] for node in nodes if not node["deletedAt"]}
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"] or after is None:
                break
        return found

    async def regions(self, project_id: str) -> Mapping[str, str | None]:
        """The regions by name, each with the one that replaces it where it is deprecated; asked for once."""
        if project_id not in self._regions:
            nodes = (await self._query("RegionsList", projectId=project_id)).get("regions") or ()
            self._regions[project_id] = {str(node["name"]): _replacement(node) for node in nodes}
        return self._regions[project_id]

    # ── a service and its instance in one environment ────────────────────────────────────────────────────────────

    async def service(self, id: str) -> Mapping[str, Any]:
        """The service, in whatever environment it has instances."""
        return _found(await self._query("ServiceRead", id=id), "service")

    async def service_create(self, place: Place, name: str, variables: Mapping[str, str]) -> str:
        """A new service without a source, so that nothing is deployed; answers its id."""
        given = {"name": name, "variables": dict(variables), **_place(place)}
        return str((await self._mutate("ServiceCreate", input=given))["serviceCreate"]["id"])

    async def service_delete(self, place: Place, id: str) -> None:
        await self._mutate("ServiceDelete", id=id, environmentId=place.environment_id)

    async def service_instance(self, place: Place, service_id: str) -> Mapping[str, Any]:
        """The template of the next deployment. Says nothing about replicas, limits and registry credentials."""
        found = await self._query("ServiceInstanceRead", environmentId=place.environment_id, serviceId=service_id)
        return _found(found, "serviceInstance")

    async def service_instance_update(
        self, place: Place, service_id: str, config: Mapping[str, Any], *, secrets: tuple[str, ...] = ()
    ) -> None:
        """Sets the template and deploys nothing. Succeeds without effect when the instance does not exist."""
        environment = place.environment_id
        await self._mutate(
            "ServiceInstanceUpdate", serviceId=service_id, environmentId=environment, input=config, secrets=secrets
        )

    async def service_instance_limits_update(self, place: Place, service_id: str, limits: Limits) -> None:
        given = {"memoryGB": limits.memory_gb, "vCPUs": limits.vcpus}
        environment = {"serviceId": service_id, "environmentId": place.environment_id}
        await self._mutate("ServiceInstanceLimitsUpdate", input={**environment, **given})

    async def service_instance_limits(self, place: Place, service_id: str) -> Mapping[str, Any]:
        """The most that one replica may take (`cpu`, `memoryBytes`), as far as it differs from the plan's."""
        environment = {"serviceId": service_id, "environmentId": place.environment_id}
        told = (await self._query("ServiceInstanceLimitOverride", **environment)).get("serviceInstanceLimitOverride")
        containers = told.get("containers") if isinstance(told, dict) else None
        return containers if isinstance(containers, dict) else {}

    async def environment_patch_commit(self, place: Place, patch: Mapping[str, Any]) -> None:
        """Commits this change set alone; whatever somebody else has staged stays staged."""
        await self._mutate("EnvironmentPatchCommit", environmentId=place.environment_id, patch=patch)

    # ── variables ────────────────────────────────────────────────────────────────────────────────────────────────

    async def variables(self, place: Place, service_id: str) -> Mapping[str, str]:
        """As they were written, references unresolved; sealed ones are missing."""
        return dict((await self._query("VariablesRead", serviceId=service_id, **_place(place)))["variables"] or {})

    async def variable_collection_upsert(self, place: Place, service_id: str, variables: Mapping[str, str]) -> None:
        """Makes these the service's variables, all others go; deploys nothing."""
        given = {"serviceId": service_id, "variables": dict(variables), "replace": True, "skipDeploys": True}
        secrets = tuple(variables.values())
        await self._mutate("VariableCollectionUpsert", input={**given, **_place(place)}, secrets=secrets)

    # ── the private network ──────────────────────────────────────────────────────────────────────────────────────

    async def private_networks(self, environment_id: str) -> tuple[str, ...]:
        """The ids of an environment's private networks, of which there is one; asked for until there is."""
        if not self._networks.get(environment_id):
            nodes = (await self._query("PrivateNetworksRead", environmentId=environment_id)).get("privateNetworks")
            living = (str(node["publicId"]) for node in nodes or () if not node["deletedAt"])
            self._networks[environment_id] = tuple(living)
        return self._networks[environment_id]

    async def private_endpoint(self, environment_id: str, service_id: str, network: str) -> Mapping[str, Any] | None:
        """The service's name in that network and what has become of it; None before its first deployment."""
        given = {"environmentId": environment_id, "serviceId": service_id, "privateNetworkId": network}
        found = (await self._query("PrivateEndpointRead", **given)).get("privateNetworkEndpoint")
        return found if isinstance(found, dict) and not found.get("deletedAt") else None

    # ── deployments ──────────────────────────────────────────────────────────────────────────────────────────────

    async def service_instance_deploy(self, place: Place, service_id: str) -> str:
        """A new deployment of the template as it is now; answers its id."""
        found = await self._mutate(
            "ServiceInstanceDeploy", serviceId=service_id, environmentId=place.environment_id, commitSha=None
        )
        return str(found["serviceInstanceDeployV2"])

    async def deployment_poll(self, id: str) -> Deployment:
        """Status and instances only: small, because it is asked often."""
        return Deployment.of(_found(await self._query("DeploymentPoll", id=id), "deployment"))

    async def deployment(self, id: str) -> Deployment:
        return Deployment.of(_found(await self._query("DeploymentRead", id=id), "deployment"))

    async def deployments(self, place: Place, service_id: str, first: int = 20) -> list[Deployment]:
        """The latest, newest first."""
        found = await self._query("DeploymentsList", input={"serviceId": service_id, **_place(place)}, first=first)
        told = [Deployment.of(edge["node"]) for edge in found["deployments"]["edges"]]
        return sorted(told, key=lambda each: each.created_at.timestamp() if each.created_at else 0.0, reverse=True)

    async def deployment_snapshot(self, deployment_id: str) -> Mapping[str, Any]:
        """The variables with which this deployment was made."""
        found = (await self._query("DeploymentSnapshotRead", deploymentId=deployment_id)).get("deploymentSnapshot")
        variables = found.get("variables") if isinstance(found, dict) else None
        return variables if isinstance(variables, dict) else {}

    async def deployment_events(self, id: str) -> list[Mapping[str, Any]]:
        """The steps of a deployment, oldest first."""
        edges = (await self._query("DeploymentEvents", id=id, first=100))["deploymentEvents"]["edges"]
        return sorted((edge["node"] for edge in edges), key=lambda node: str(node["createdAt"]))

    async def deployment_logs(self, deployment_id: str, limit: int) -> list[str]:
        """The last lines of what its containers wrote."""
        found = (await self._query("DeploymentLogs", deploymentId=deployment_id, limit=limit))["deploymentLogs"]
        return [str(line["message"]) for line in sorted(found, key=lambda line: str(line["timestamp"]))]

    async def deployment_cancel(self, id: str) -> None:
        await self._mutate("DeploymentCancel", id=id)

    async def deployment_stop(self, id: str) -> None:
        """Ends its containers, and keeps it: its status stays SUCCESS, and it reads as stopped a little later."""
        await self._mutate("DeploymentStop", id=id)

    async def deployment_restart(self, id: str) -> None:
        """Starts the same image and variables again. SUCCESS may be read at once: only an instance that runs counts."""
        await self._mutate("DeploymentRestart", id=id)


def _found(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    # What does not exist is an error in Railway's answers; a null in its place means the same.
    node = answer.get(name)
    if isinstance(node, dict):
        return node
    raise NotFound(
        f"Railway knows no such {name}.",
        world="Nothing was changed.",
        next="Correct its id, or import the one there is.",
    )


def _replacement(region: Mapping[str, Any]) -> str | None:
    told = (region.get("deploymentConstraints") or {}).get("deprecationInfo") or {}
    return str(told["replacementRegion"]) if told.get("isDeprecated") else None


def _place(place: Place) -> dict[str, str]:
    return {"projectId": place.project_id, "environmentId": place.environment_id}
