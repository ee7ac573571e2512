"""One request to the API: who asks, and what of the world the token lets them see.

Looking a thing up and being allowed to see it are one act here, so that no resolver can forget the second half.
A deleted service answers `Not Authorized`, an unknown one `not found`, as Railway does.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sandbox.railway_deployments import Platform
from sandbox.railway_rules import NOT_AUTHORIZED, Refused
from sandbox.railway_store import Deployment, Instance, Service, Store

Args = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """How strict this stand-in is."""

    reset: bool = True  # omitted regions and health-check path are reset by an update
    read_lag: float = 0.0  # platform seconds until a created service can be read
    early_healthcheck: bool = True  # a health-check path may be set before the first deployment
    instance_lag: float = 0.0  # platform seconds until a created service's instance can be read and changed
    endpoint: float = 1.0  # platform seconds from the first deployment until the private endpoint is ACTIVE
    busy: float = 0.0  # platform seconds after a change of a service in which another one is refused
    services_per_day: int = 25
    dark_first: bool = False  # a service's first deployment does not answer at its private name until redeployed
    own_variables: bool = False  # the platform's own variables are among those that are read unrendered


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who asks, of which world."""

    token: Literal["project", "workspace", "none"]
    platform: Platform
    options: Options
    lag: float = 0.0  # real seconds by which a fault makes reads stay behind

    @property
    def store(self) -> Store:
        return self.platform.store

    def authorise(self, *, project: str | None = None, environment: str | None = None) -> None:
        """Refuse what lies outside the token's scope."""
        world = self.store.world
        if self.token == "none" or project not in (None, world.project_id):
            raise Refused(NOT_AUTHORIZED)
        if environment not in (None, world.environment_id):
            raise Refused(NOT_AUTHORIZED)

    def needs_workspace(self) -> None:
        if self.token != "workspace":
            raise Refused(NOT_AUTHORIZED)

    def service(self, service_id: str) -> Service:
        self.authorise()
        found = self.store.service(service_id)
        if found is None or self.fresh(found):
            raise Refused("Service not found")
        if found.deleted_at is not None:
            raise Refused(NOT_AUTHORIZED)
        return found

    def fresh(self, service: Service) -> bool:
        """Whether reads do not show this service yet."""
        clock = self.platform.clock
        lag = max(clock.span(self.options.read_lag), timedelta(seconds=self.lag))
        return lag > timedelta(0) and clock.now() - service.created_at < lag

    def instance(self, service_id: str, environment_id: str) -> Instance:
        self.authorise(environment=environment_id)
        found = self.visible(service_id, environment_id)
        if found is None:
            raise Refused("ServiceInstance not found")
        return found

    def visible(self, service_id: str, environment_id: str) -> Instance | None:
        """The service's instance, unless it is not there or not to be seen yet."""
        found = self.store.instance(self.service(service_id).id, environment_id)
        return None if found is None or self.within(self.options.instance_lag, found.created_at) else found

    def within(self, seconds: float, since: datetime) -> bool:
        """Whether so many platform seconds have not passed yet."""
        clock = self.platform.clock
        return clock.now() - since < clock.span(seconds)

    def changes(self, instance: Instance) -> None:
        """Refuse a change that comes too soon after the one before."""
        if self.within(self.options.busy, instance.updated_at):
            raise Refused("Another operation is already in progress, please try again later")

    def deployment(self, deployment_id: str) -> Deployment:
        self.authorise()
        found = self.store.deployment(deployment_id)
        if found is None:
            raise Refused("Deployment not found")
        return found


Resolver = Callable[[Call, Args], Awaitable[Any]]
