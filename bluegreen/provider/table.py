"""Which handler serves which token, and the only place where rooms are put together.

Tokens are a persisted format: state knows every resource by its token, so they are chosen once. What crosses rooms
(does this colour carry traffic? which release answers?) is handed over here as a callable.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bluegreen.connections import Connections
from bluegreen.evidence.identity import Identity, stack_of
from bluegreen.evidence.who import Who
from bluegreen.handler import Handler
from bluegreen.journal import Began, Journal
from bluegreen.kong import dns, entities
from bluegreen.kong.colours import Colours
from bluegreen.postgres.spec import MigrationSpec, MigrationState
from bluegreen.provider.migrations import MigrationHandler
from bluegreen.railway.proof import Answers
from bluegreen.railway.service import Late, ServiceHandler
from bluegreen.railway.spec import ServiceSpec
from bluegreen.rollout.spec import RELEASE_HEADER, preview_headers
from bluegreen.rollout.traffic import Keeps, TrafficHandler


def answers(connections: Connections) -> Answers:
    """Which release answers for a service, through the proxy and past the weights."""

    async def ask(spec: ServiceSpec) -> tuple[str | None, str]:
        headers = preview_headers(spec.app, spec.colour)
        return await connections.prober().release(spec.release.healthcheck_path, headers, RELEASE_HEADER)

    return ask


def late(connections: Connections) -> Late:
    """Why the gateway may go on sending requests to where a deployment was."""

    async def ask(name: str, overlap: float) -> tuple[str, ...]:
        return dns.late(dns.names(await connections.kong().node()), name, overlap)

    return ask


def keeps(connections: Connections) -> Keeps:
    """Who writes down the moves of a stack, and what the release is that one brings, as the stack's file says."""

    def journal(owner: str, also: Sequence[str]) -> Journal:
        def identify(began: Began, who: Who) -> Identity | None:
            from bluegreen.identified import identified  # no provider needs a stack's settings to start

            return identified(owner, connections.environment, began, who, datetime.now(UTC))

        return connections.journal(stack_of(owner), also, identify)

    return journal


def migrations(connections: Connections) -> Handler[MigrationSpec, MigrationState]:
    """Who reads and applies files."""
    from bluegreen.postgres import migration  # its room is a fifth of what a provider would load to start

    return migration.MigrationHandler(
        connections.database,
        lambda upstream: connections.gateway().moved(upstream),
        offline=connections.offline,
        supabase_token=connections.values.get("supabaseToken"),
        secrets=connections.secrets,
    )


TABLE: Mapping[str, Callable[[Connections], Handler[Any, Any]]] = {
    "bluegreen:railway:Service": lambda c: ServiceHandler(
        c.railway(),
        Colours(c.kong(), c.gateway()),
        answers=answers(c),
        late=late(c),
        teardown=c.teardown,
        poll=c.railway_poll,
    ),
    "bluegreen:kong:Upstream": lambda c: entities.UpstreamHandler(c.kong()),
    "bluegreen:kong:Service": lambda c: entities.ServiceHandler(c.kong()),
    "bluegreen:kong:Route": lambda c: entities.RouteHandler(c.kong()),
    "bluegreen:kong:Plugin": lambda c: entities.PluginHandler(c.kong()),
    "bluegreen:kong:Consumer": lambda c: entities.ConsumerHandler(c.kong()),
    "bluegreen:postgres:Migration": lambda c: MigrationHandler(lambda: migrations(c)),
    "bluegreen:rollout:Traffic": lambda c: TrafficHandler(
        c.gateway(),
        c.prober().release,
        offline=c.offline,
        teardown=c.teardown,
        meter=c.meter(),
        audience=c.notifier(),
        journal=keeps(c),
    ),
}
