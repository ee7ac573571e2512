"""The template of a service's next deployment, written in full every time.

Railway has reset what an update left out (replicas to 1, the health check to none), so every field is sent always.
An update also answers true when the instance does not exist in the environment, so it is read again until it is kept.
Nothing here deploys. What cannot be read back (replicas, limits, registry credentials) is proved on the deployment
that comes of it: see `deployment.py`.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from bluegreen.handler import Refused
from bluegreen.http import NotFound
from bluegreen.railway.api import Railway
from bluegreen.railway.patience import Patience
from bluegreen.railway.spec import Limits, ServiceSpec

Write = Callable[[], Awaitable[None]]
Question = Callable[[], Awaitable[bool]]
LAG = 30.0  # seconds after which a new service has been readable everywhere


def config(spec: ServiceSpec, gone: Iterable[str] = ()) -> dict[str, Any]:
    """The whole template; `gone` are regions to be left."""
    release, credentials = spec.release, spec.registry_credentials
    regions: dict[str, Any] = {region: None for region in gone if region not in release.replicas}
    regions |= {region: {"numReplicas": count} for region, count in release.replicas.items()}
    whole: dict[str, Any] = {
        "source": {"image": release.image},
        "healthcheckPath": release.healthcheck_path,
        "healthcheckTimeout": release.healthcheck_timeout_seconds,
        "overlapSeconds": release.overlap_seconds,
        "drainingSeconds": release.draining_seconds,
        "restartPolicyType": release.restart_policy,
        "restartPolicyMaxRetries": release.restart_policy_max_retries,
        "sleepApplication": False,  # an idle colour must answer its verification at once
        "cronSchedule": None,
        "startCommand": release.start_command,
        "preDeployCommand": [release.pre_deploy_command] if release.pre_deploy_command else None,
        "multiRegionConfig": regions,
    }
    if credentials is not None:
        password = credentials.password.get_secret_value()
        whole["registryCredentials"] = {"username": credentials.username, "password": password}
    return whole


UNREADABLE = frozenset({"multiRegionConfig", "registryCredentials"})


def not_kept(wanted: Mapping[str, Any], instance: Mapping[str, Any]) -> list[str]:
    """The readable fields that the instance holds otherwise."""
    return [
        name
        for name, value in wanted.items()
        if name not in UNREADABLE and _plain(name, value) != _plain(name, instance.get(name))
    ]


def _plain(name: str, value: Any) -> Any:
    if name == "source":
        return value.get("image") if isinstance(value, dict) else None
    if name == "preDeployCommand":  # an open scalar when read: a list, a text, or nothing
        return [value] if isinstance(value, str) and value else list(value or ())
    return value or None  # absent, empty, 0 and false are the same template


class Template:
    """Writes one service's template and variables, and knows that Railway kept them."""

    def __init__(self, railway: Railway, service_id: str, patience: Patience) -> None:
        self._railway = railway
        self._id = service_id
        self._patience = patience

    async def write(
        self,
        spec: ServiceSpec,
        *,
        before: ServiceSpec | None = None,
        gone: Iterable[str] = (),
        healthcheck: bool = True,
    ) -> None:
        """Make the next deployment a deployment of `spec`.

        Args:
            before: what it would have been.
            gone: regions of the latest deployment; those that `spec` does not name are left.
            healthcheck: False leaves the health check out, for the one deployment that may have none.
        """
        left = {*gone, *(before.release.replicas if before is not None else ())}
        whole = config(spec, sorted(left))
        await self._write(spec, whole if healthcheck else {**whole, "healthcheckPath": None})
        await self._limit(spec, before)
        variables = spec.environment()

        async def applied() -> bool:
            return dict(await self._railway.variables(spec.place, self._id)) == variables

        async def upsert() -> None:
            await self._railway.variable_collection_upsert(spec.place, self._id, variables)

        await self._patience.settled(upsert, applied)

    async def _write(self, spec: ServiceSpec, wanted: Mapping[str, Any]) -> None:
        async def update() -> None:
            credentials = spec.registry_credentials
            secrets = (credentials.password.get_secret_value(),) if credentials else ()
            await self._railway.service_instance_update(spec.place, self._id, wanted, secrets=secrets)

        async def applied() -> bool:
            return not await self._missing(spec, wanted)

        patience = self._patience.at_most(LAG)
        while missing := await self._kept(spec, wanted, update, applied):
            if patience.over:
                what = f"Railway accepted the configuration of {spec.name} and did not keep it ({', '.join(missing)})."
                world = f"Nothing was deployed. Environment {spec.place.environment_id} may have no instance of it."
                raise Refused(what, world=world, next="Look at the service in Railway, then run pulumi up again.")
            await patience.pause(patience.poll)

    async def _kept(self, spec: ServiceSpec, wanted: Mapping[str, Any], update: Write, applied: Question) -> list[str]:
        """Write once; answers what is missing afterwards."""
        try:
            await self._patience.settled(update, applied)
        except NotFound:
            return ["service"]  # one that was created a moment ago
        return await self._missing(spec, wanted)

    async def _missing(self, spec: ServiceSpec, wanted: Mapping[str, Any]) -> list[str]:
        try:
            return not_kept(wanted, await self._railway.service_instance(spec.place, self._id))
        except NotFound:
            return ["instance"]

    async def _limit(self, spec: ServiceSpec, before: ServiceSpec | None) -> None:
        limits = spec.release.limits
        if limits is None and (before is None or before.release.limits is None):
            return
        wanted = limits or Limits()

        async def update() -> None:
            await self._railway.service_instance_limits_update(spec.place, self._id, wanted)

        async def unknown() -> bool:
            return False  # they are read back as an opaque value; setting them twice does no harm

        await self._patience.settled(update, unknown)
