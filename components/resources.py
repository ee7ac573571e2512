"""The provider's resources as Pulumi sees them: a spec goes in, outputs come out, no field is ever named here.

Specs become wire inputs in one place, and what is secret in a spec (`SecretStr`) becomes a Pulumi secret there. Type
tokens are a persisted format: they are chosen once, because state knows a resource by them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pydantic import SecretStr

from bluegreen.kong import spec as entity
from bluegreen.railway.spec import ServiceSpec
from bluegreen.rollout.spec import TrafficSpec
from bluegreen.spec import Spec


class _Resource(pulumi.CustomResource):
    """A resource of the `bluegreen` provider."""

    token: str
    outputs: tuple[str, ...] = ()

    def __init__(self, name: str, spec: Spec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(self.token, name, {**wire(spec), **dict.fromkeys(self.outputs)}, opts)


class Service(_Resource):
    """One colour of one app on Railway."""

    token = "bluegreen:railway:Service"
    outputs = ("serviceId", "deploymentId")
    serviceId: pulumi.Output[str]  # named as on the wire: a plain custom resource translates nothing

    def __init__(self, name: str, spec: ServiceSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, spec, opts)


class Traffic(_Resource):
    """Where users go: every app's live colour and its weights, in percent."""

    token = "bluegreen:rollout:Traffic"
    outputs = ("live", "weights", "history")
    live: pulumi.Output[Mapping[str, str]]
    weights: pulumi.Output[Mapping[str, Mapping[str, int]]]
    history: pulumi.Output[Sequence[Mapping[str, Any]]]

    def __init__(self, name: str, spec: TrafficSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, spec, opts)


class Upstream(_Resource):
    """A virtual host name for an app's targets; the targets are Traffic's."""

    token = "bluegreen:kong:Upstream"

    def __init__(self, spec: entity.UpstreamSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(spec.name, spec, opts)


class KongService(_Resource):
    """Where Kong sends requests."""

    token = "bluegreen:kong:Service"

    def __init__(self, spec: entity.ServiceSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(spec.name, spec, opts)


class Route(_Resource):
    """Which requests belong to a Kong service."""

    token = "bluegreen:kong:Route"

    def __init__(self, spec: entity.RouteSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(spec.name, spec, opts)


class Plugin(_Resource):
    """One plugin on a service, a route or everything."""

    token = "bluegreen:kong:Plugin"

    def __init__(self, spec: entity.PluginSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(spec.instance_name, spec, opts)


class Consumer(_Resource):
    """Somebody who calls, with keys and groups."""

    token = "bluegreen:kong:Consumer"

    def __init__(self, spec: entity.ConsumerSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(spec.username, spec, opts)


def wire(spec: Spec) -> dict[str, Any]:
    """A spec as resource inputs: camelCase, only what was given, `SecretStr` as a Pulumi secret."""
    return {key: _plain(value) for key, value in spec.model_dump(by_alias=True, exclude_unset=True).items()}


def _plain(value: Any) -> Any:
    match value:
        case SecretStr():
            return pulumi.Output.secret(value.get_secret_value())
        case Mapping():
            return {key: _plain(inner) for key, inner in value.items()}
        case str() | bytes():
            return value
        case Sequence():
            return [_plain(inner) for inner in value]
    return value
