"""The provider's resources as Pulumi sees them: a spec goes in, outputs come out, no field is ever named here.

Specs become wire inputs in one place, and what is secret in a spec (`SecretStr`) becomes a Pulumi secret there. Type
tokens are a persisted format: they are chosen once, because state knows a resource by them. Outputs are named as on
the wire: a plain custom resource translates nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import pulumi
from pydantic import SecretStr

from bluegreen.kong import spec as kong
from bluegreen.postgres.spec import MigrationSpec
from bluegreen.railway.spec import ServiceSpec
from bluegreen.rollout.spec import TrafficSpec
from bluegreen.spec import Spec

S = TypeVar("S", bound=Spec)


class Resource(pulumi.CustomResource, Generic[S]):
    """A resource of the `bluegreen` provider, declared by its spec."""

    token: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str, spec: S, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(self.token, name, {**wire(spec), **dict.fromkeys(self.outputs)}, opts)


class Service(Resource[ServiceSpec]):
    """One colour of one app on Railway."""

    token = "bluegreen:railway:Service"
    outputs = ("serviceId", "deploymentId")
    serviceId: pulumi.Output[str]


class Traffic(Resource[TrafficSpec]):
    """Where users go: every app's live colour and its weights, in percent."""

    token = "bluegreen:rollout:Traffic"
    outputs = ("live", "weights", "history")
    live: pulumi.Output[Mapping[str, str]]
    weights: pulumi.Output[Mapping[str, Mapping[str, int]]]
    history: pulumi.Output[Sequence[Mapping[str, Any]]]


class Migration(Resource[MigrationSpec]):
    """One file of SQL that the database has seen, once."""

    token = "bluegreen:postgres:Migration"


class Upstream(Resource[kong.UpstreamSpec]):
    """A virtual host name for an app's targets; the targets are Traffic's."""

    token = "bluegreen:kong:Upstream"


class KongService(Resource[kong.ServiceSpec]):
    """Where Kong sends requests."""

    token = "bluegreen:kong:Service"


class Route(Resource[kong.RouteSpec]):
    """Which requests belong to a Kong service."""

    token = "bluegreen:kong:Route"


class Plugin(Resource[kong.PluginSpec]):
    """One plugin on a service, a route or everything."""

    token = "bluegreen:kong:Plugin"


class Consumer(Resource[kong.ConsumerSpec]):
    """Somebody who calls, with keys and groups."""

    token = "bluegreen:kong:Consumer"


def wire(spec: Spec) -> dict[str, Any]:
    """A spec as resource inputs: camelCase, only what was given, `SecretStr` as a Pulumi secret."""
    return {key: _plain(value) for key, value in spec.model_dump(by_alias=True, exclude_unset=True).items()}


def _plain(value: Any) -> Any:
    match value:
        case SecretStr():
            return pulumi.Output.secret(value.get_secret_value())
        case Mapping():
            return {key: _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
    return value
