"""Which handler serves which token, and the only place where rooms are put together.

Tokens are a persisted format: state knows every resource by its token, so they are chosen once. What crosses rooms
(does this colour carry traffic? which release answers?) is handed over here as a callable.
"""

from collections.abc import Callable, Mapping
from typing import Any

from bluegreen.connections import Connections
from bluegreen.handler import Handler
from bluegreen.kong import entities
from bluegreen.postgres.migration import MigrationHandler
from bluegreen.railway.service import ServiceHandler
from bluegreen.rollout.traffic import TrafficHandler

TABLE: Mapping[str, Callable[[Connections], Handler[Any, Any]]] = {
    "bluegreen:railway:Service": lambda c: ServiceHandler(
        c.railway(), c.gateway().carries, c.gateway().quiet_since, teardown=c.teardown, poll=c.railway_poll
    ),
    "bluegreen:kong:Upstream": lambda c: entities.UpstreamHandler(c.kong()),
    "bluegreen:kong:Service": lambda c: entities.ServiceHandler(c.kong()),
    "bluegreen:kong:Route": lambda c: entities.RouteHandler(c.kong()),
    "bluegreen:kong:Plugin": lambda c: entities.PluginHandler(c.kong()),
    "bluegreen:kong:Consumer": lambda c: entities.ConsumerHandler(c.kong()),
    "bluegreen:postgres:Migration": lambda c: MigrationHandler(
        c.database, lambda upstream: c.gateway().moved(upstream), offline=c.offline
    ),
    "bluegreen:rollout:Traffic": lambda c: TrafficHandler(
        c.gateway(),
        c.prober().release,
        offline=c.offline,
        teardown=c.teardown,
        meter=c.meter(),
        audience=c.notifier(),
    ),
}
