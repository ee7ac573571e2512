"""The template of a service's next deployment, written in full every time.

Railway has reset what an update left out (replicas to 1, the health check to none), so every field is sent always.
An update also answers true when the instance does not exist in the environment, so it is read again until it is kept;
an instance that stays away is made once, by a commit that names nothing but the service.
Limits have a call of their own, and those that somebody set by hand are corrected as well.
Nothing here deploys. What cannot be read back (replicas, registry credentials) is proved on the deployment that comes
of it: see `deployment.py`.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from bluegreen.handler import Refused
from bluegreen.http import NotFound, RateLimited, Rejected
from bluegreen.railway.api import Railway
from bluegreen.railway.deployment import limited
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
        "source": {"image": release.image, "repo": None},
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
        # What a service that was built from a repository leaves behind: an image knows none of it.
        "buildCommand": None,
        "railwayConfigFile": None,
        "rootDirectory": None,
        "watchPatterns": [],
    }
    if credentials is not None:
        password = credentials.password.get_secret_value()
        whole["registryCredentials"] = {"username": credentials.username, "password": password}
    return whole


UNREADABLE = frozenset({"buildCommand", "multiRegionConfig", "registryCredentials"})


def not_kept(wanted: Mapping[str, Any], instance: Mapping[str, Any]) -> list[str]:
    """The readable fields that the instance holds otherwise."""
    return [
        name
        for name, value in wanted.items()
        if name not in UNREADABLE and _plain(name, value) != _plain(name, instance.get(name))
    ]


def _plain(name: str, value: Any) -> Any:
    if name == "source":
        return (value.get("image"), value.get("repo") or None) if isinstance(value, dict) else (None, None)
    if name == "preDeployCommand":  # an open scalar when read: a list, a text, or nothing
        return [value] if isinstance(value, str) and value else list(value or ())
    return value or None  # absent, empty, 0 and false are the same template


def written_by_somebody(name: str) -> bool:
    """Whether a variable may have been written by somebody: RAILWAY_* are Railway's own, and it may list them."""
    return not name.startswith("RAILWAY_")


class NoInstance(Refused):
    """The environment holds no instance of the service, so that nothing that is written for it is kept."""


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
        if before is not None and before.registry_credentials and spec.registry_credentials is None:
            whole["registryCredentials"] = None  # what an update leaves out stays stored
        await self._write(spec, whole if healthcheck else {**whole, "healthcheckPath": None})
        await self._limit(spec, before)
        variables = spec.environment()

        async def applied() -> bool:
            held = await self._patience.while_away(lambda: self._railway.variables(spec.place, self._id))
            return {name: held[name] for name in held if written_by_somebody(name) or name in variables} == variables

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

        patience, asked = self._patience.at_most(LAG), False
        while missing := await self._kept(spec, wanted, update, applied):
            if not patience.over:
                await patience.pause(patience.poll)
            elif missing == ["instance"] and not (asked or self._patience.over):
                await self._materialise(spec)
                patience, asked = self._patience.at_most(LAG), True
            else:
                raise self._lost(spec, missing)

    def _lost(self, spec: ServiceSpec, missing: list[str]) -> Refused:
        if missing == ["instance"]:
            what = f"Environment {spec.place.environment_id} has no instance of {spec.name}, so it cannot run there."
            world = f"Service {self._id} exists in the project; nothing of it was deployed."
            next_ = "Delete the service in Railway, or add it to the environment there, then run pulumi up again."
            return NoInstance(what, world=world, next=next_)
        what = f"Railway accepted the configuration of {spec.name} and did not keep it ({', '.join(missing)})."
        next_ = "Look at the service in Railway, then run pulumi up again."
        return Refused(what, world="Nothing was deployed.", next=next_)

    async def _kept(self, spec: ServiceSpec, wanted: Mapping[str, Any], update: Write, applied: Question) -> list[str]:
        """Write once; answers what is missing afterwards."""
        try:
            await self._patience.settled(update, applied)
        except NotFound:
            return ["service"]  # one that was created a moment ago
        return await self._missing(spec, wanted)

    async def _missing(self, spec: ServiceSpec, wanted: Mapping[str, Any]) -> list[str]:
        try:
            read = self._patience.while_away(lambda: self._railway.service_instance(spec.place, self._id))
            return not_kept(wanted, await read)
        except NotFound:
            return ["instance"]

    async def _materialise(self, spec: ServiceSpec) -> None:
        """Make the instance that the environment lacks; a commit that finds it there changes nothing."""
        await self._patience.ctx.milestone(f"{spec.name}: has no instance in its environment, so one is asked for")

        async def commit() -> None:
            await self._railway.environment_patch_commit(spec.place, {"services": {self._id: {}}})

        async def applied() -> bool:
            return await self._missing(spec, {}) == []

        await self._patience.settled(commit, applied)

    async def _limit(self, spec: ServiceSpec, before: ServiceSpec | None) -> None:
        wanted = spec.release.limits or Limits()
        held = await self._limits(spec)
        named = any(each is not None and each.release.limits is not None for each in (spec, before))
        if not named if held is None else limited(held, wanted):
            return

        async def update() -> None:
            await self._railway.service_instance_limits_update(spec.place, self._id, wanted)

        async def applied() -> bool:
            held = await self._limits(spec)
            return held is not None and limited(held, wanted)

        await self._patience.settled(update, applied)

    async def _limits(self, spec: ServiceSpec) -> Mapping[str, Any] | None:
        """None where they cannot be read: then those that were asked for are written, and twice does no harm."""
        try:
            return await self._patience.while_away(lambda: self._railway.service_instance_limits(spec.place, self._id))
        except RateLimited:
            raise
        except Rejected:
            return None
