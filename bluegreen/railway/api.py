"""Railway's API, one method per operation this program uses, named as Railway names the operation.

The documents lie in `operations.graphql`; each request carries one operation and the fragments it uses. Reads are
repeated while Railway is out of reach or asks for a few seconds; mutations never are: Railway knows no idempotency
keys, so after a lost reply whoever called reads the state and decides. The address carries a query parameter and the
calls a user agent, because Cloudflare in front of Railway throttles what has neither.
It deliberately holds no rule about deploying: that is `deploy.py`.
"""

import re
from collections.abc import AsyncIterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

import stamina
from pydantic import SecretStr

from bluegreen.handler import Refused
from bluegreen.http import ATTEMPTS, PATIENCE, ApiError, Client, NotFound, RateLimited, soon
from bluegreen.railway import answers
from bluegreen.railway.deployment import Deployment
from bluegreen.railway.spec import Limits, Place

URL = "https://backboard.railway.com/graphql/v2"
ENDPOINT = "?source=bluegreen"
USER_AGENT = "bluegreen/0.1"  # a library's default one is refused
PAGES = 50  # of a hundred entries: more than any project may hold

TokenKind = Literal["project", "workspace"]
DEFINITION = re.compile(r"^(?:query|mutation|fragment) (\w+)", re.MULTILINE)
SPREAD = re.compile(r"\.\.\.(\w+)")


@cache
def documents() -> Mapping[str, str]:
    """Every operation of `operations.graphql` by its name, complete with the fragments it uses."""
    text = Path(__file__).with_name("operations.graphql").read_text(encoding="utf-8")
    starts = list(DEFINITION.finditer(text))
    ends = [*(start.start() for start in starts[1:]), len(text)]
    parts = {start[1]: text[start.start() : end].rstrip() for start, end in zip(starts, ends, strict=True)}
    fragments = {name for name, part in parts.items() if part.startswith("fragment")}
    return {name: _with_fragments(name, parts) for name in parts if name not in fragments}


def _with_fragments(name: str, parts: Mapping[str, str]) -> str:
    used = [name]
    for part in used:  # grows while it is walked: fragments may use fragments
        used += [each for each in dict.fromkeys(SPREAD.findall(parts[part])) if each not in used]
    return "\n".join(parts[each] for each in used)


class Railway:
    """One account's view of Railway; nothing is called, and no token is needed, before the first operation.

    Args:
        url: of the GraphQL endpoint, without a query string.
        token: sent with every call, shown in none.
        kind: a project token belongs to one environment; a workspace token goes into another header.
    """

    def __init__(self, url: str = URL, token: SecretStr | None = None, *, kind: TokenKind = "project") -> None:
        self.kind = kind
        self._token = token.get_secret_value() if token is not None else ""
        self._regions: dict[str, Mapping[str, str | None]] = {}
        header = (
            {"Project-Access-Token": self._token} if kind == "project" else {"Authorization": f"Bearer {self._token}"}
        )
        self._client = Client(
            "Railway",
            url,
            headers={"User-Agent": USER_AGENT, **header},
            secrets=[self._token],
            hint="Check railwayUrl and status.railway.com, then run pulumi up again.",
            connect=10.0,
            read=90.0,  # slow mutations have taken more than a minute
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End every connection."""
        await self._client.close()

    # ── who and where ────────────────────────────────────────────────────────────────────────────────────────────

    async def project_token(self) -> Place:
        """The place that the project token belongs to."""
        found = _found(await self._query("WhoAmIProjectToken"), "projectToken")
        return Place(project_id=found["projectId"], environment_id=found["environmentId"])

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

    # ── variables ────────────────────────────────────────────────────────────────────────────────────────────────

    async def variables(self, place: Place, service_id: str) -> Mapping[str, str]:
        """As they were written, references unresolved; sealed ones are missing."""
        return dict((await self._query("VariablesRead", serviceId=service_id, **_place(place)))["variables"] or {})

    async def variable_collection_upsert(self, place: Place, service_id: str, variables: Mapping[str, str]) -> None:
        """Makes these the service's variables, all others go; deploys nothing."""
        given = {"serviceId": service_id, "variables": dict(variables), "replace": True, "skipDeploys": True}
        secrets = tuple(variables.values())
        await self._mutate("VariableCollectionUpsert", input={**given, **_place(place)}, secrets=secrets)

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

    # ── the wire ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _query(self, operation: str, **variables: Any) -> Mapping[str, Any]:
        async for attempt in _attempts():
            with attempt:
                return await self._call(operation, variables, writes=False)
        raise AssertionError("unreachable: stamina raises the last error")

    async def _mutate(self, operation: str, *, secrets: tuple[str, ...] = (), **variables: Any) -> Mapping[str, Any]:
        return await self._call(operation, variables, writes=True, secrets=secrets)

    async def _call(
        self, operation: str, variables: Mapping[str, Any], *, writes: bool, secrets: tuple[str, ...] = ()
    ) -> Mapping[str, Any]:
        if not self._token:
            what = "There is no token for Railway."
            raise Refused(what, world="Nothing was changed.", next="Set BLUEGREEN_RAILWAY_TOKEN to a project token.")

        def redact(text: str) -> str:
            # Short values are no secrets but parts of words; a message may quote what it refuses.
            for secret in (self._token, *(secret for secret in secrets if len(secret) > 3)):
                text = text.replace(secret, "***")
            return text

        body = {"query": documents()[operation], "variables": variables, "operationName": operation}
        try:
            answer = await self._client.call("POST", ENDPOINT, body, writes=writes)
        except ApiError as fault:
            raise answers.transport(operation, fault, writes=writes, redact=redact) from fault
        return answers.data(operation, answer.json, writes=writes, redact=redact)


def _attempts() -> AsyncIterator[Any]:
    return stamina.retry_context(on=_patience, attempts=ATTEMPTS, timeout=PATIENCE)


def _patience(problem: Exception) -> bool | float:
    return soon(problem) if isinstance(problem, RateLimited) else answers.passing(problem)


def _found(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    # What does not exist is an error in Railway's answers; a null in its place means the same.
    node = answer.get(name)
    if isinstance(node, dict):
        return node
    raise NotFound(f"Railway knows no such {name}.", world="Nothing was changed.", next="")


def _replacement(region: Mapping[str, Any]) -> str | None:
    told = (region.get("deploymentConstraints") or {}).get("deprecationInfo") or {}
    return str(told["replacementRegion"]) if told.get("isDeprecated") else None


def _place(place: Place) -> dict[str, str]:
    return {"projectId": place.project_id, "environmentId": place.environment_id}
