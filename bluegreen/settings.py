"""The stack config, whole and typed: made of the rooms' specs, and the one place where a name is derived.

Everything that needs a deployment lives under its colour, so a colour's release id says exactly how it behaves.
Unknown keys are refused by their path, before anything is registered. It deliberately reads no file and no
environment: it gets the project's config as Pulumi hands it out, and knows no Pulumi.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator

from bluegreen.analysis import Analysis
from bluegreen.coherence import faults
from bluegreen.config import App, Gateway, Plugins, Route, Secrets
from bluegreen.handler import Refused
from bluegreen.measure.spec import Check
from bluegreen.postgres.spec import Migrations
from bluegreen.railway.spec import Place, RegistryCredentials, Release, ServiceSpec, private_domain, sealed
from bluegreen.rollout.spec import Lane, Probe, Rollout, TrafficSpec
from bluegreen.spec import COLOURS, Colour, Name, Spec, problems

COLOUR_HEADER, APP_HEADER, KIND_HEADER = "X-Preview-Colour", "X-Preview-App", "X-Preview-Kind"

PREVIEW_MARK = "X-Preview"  # on every answer of a preview: its name


class Settings(Spec):
    """One stack, whole. Every derived name, address and release id comes from here."""

    railway: Place
    apps: Mapping[Name, App] = Field(min_length=1)
    gateway: Gateway = Gateway()
    migrations: Migrations | None = None
    rollout: Rollout = Rollout()
    checks: Sequence[Check] = ()
    secrets: Secrets = Secrets()
    protect: bool = False  # Services and Traffic refuse to be deleted until unprotected
    owner: str = Field(default="", exclude=True)  # project.stack: what everything of this stack is tagged with

    @classmethod
    def parse(cls, project: str, stack: str, config: Mapping[str, str]) -> Self:
        """Settings from `PULUMI_CONFIG`'s shape: `{"acme:apps": "<JSON>", …}`; other namespaces are left alone.

        Raises:
            Refused: every fault of the config in one message, each with its path.
        """
        mine = {key.partition(":")[2]: _value(text) for key, text in config.items() if key.startswith(f"{project}:")}
        wrong = ["owner: unknown key"] if "owner" in mine else []  # a field of ours, and nobody's key
        try:
            parsed = cls.model_validate({**mine, "owner": f"{project}.{stack}"})
            wrong += faults(parsed)
        except ValidationError as error:
            # In YAML an app's secrets have no `apps` above them.
            wrong += [fault.replace("secrets.apps.", "secrets.", 1) for fault in problems(error)]
        if not wrong:
            return parsed
        raise Refused(
            f"The config of stack {stack} does not fit: {'; '.join(f'{project}:{fault}' for fault in wrong)}.",
            world="Nothing was changed.",
            next=f"Correct Pulumi.{stack}.yaml.",
        )

    @field_validator("migrations", mode="before")
    @classmethod
    def _none_at_all(cls, given: Any) -> Any:
        # Pulumi fills in the default of a declared key, and that of an object can only be an empty one.
        return given or None

    def admit(self, contracts: Iterable[tuple[str, str | None]]) -> None:
        """Whether every colour can do without what these files (name, schema that they require) take away.

        Raises:
            Refused: some release still needs the schema as it was.
        """
        wanted = list(contracts)
        lags = [lag for app, colour in self.existing() for lag in self.lags(app, colour, wanted)]
        if lags:
            raise Refused(
                f"{'; '.join(lags)}.",
                world="Nothing was changed.",
                next="Take the colour out or ship a newer release there first, in an update of its own.",
            )

    def complete(self) -> None:
        """Whether what belongs together is there; asked only where every secret can be read.

        Raises:
            Refused: one half of a registry's credentials is missing.
        """
        halves = sorted(host for host, registry in self.secrets.registries.items() if registry.credentials is None)
        if halves:
            raise Refused(
                f"secrets.registries of {', '.join(halves)} needs both a username and a password.",
                world="Nothing was changed.",
                next="Write both, or take the registry out.",
            )

    def lags(self, app: str, colour: Colour, contracts: Iterable[tuple[str, str | None]]) -> list[str]:
        """Which contracts (name, schema that they require) this colour's release cannot live with, in words."""
        has = self.release(app, colour).schema_min or "0"
        return [
            f"{name} requires that every release needs schema {required} or newer, and {app}.{colour} needs {has}"
            for name, required in contracts
            if required is not None and int(has) < int(required)
        ]

    def warnings(self) -> tuple[str, ...]:
        """What is allowed and may still lose requests, each led by the path of the key to change."""
        return tuple(
            f"apps.{app}.{colour}.{warning}."
            for app, colour in self.existing()
            for warning in self.release(app, colour).warnings()
        )

    def colours(self, role: str) -> Iterator[tuple[str, Colour]]:
        """Every (app, colour) that exists in this role, in the order of a rollout."""
        for app in self.order():
            for colour in COLOURS:
                exists = self.apps[app].release(colour) is not None
                if exists and (colour == self.apps[app].live) == (role == "live"):
                    yield app, colour

    def existing(self) -> Iterator[tuple[str, Colour]]:
        """Every (app, colour) that exists: the live ones, then the idle ones."""
        yield from self.colours("live")
        yield from self.colours("idle")

    def order(self) -> tuple[str, ...]:
        """Apps as a rollout takes them: the named ones first, the rest by name."""
        named = self.rollout.order
        return (*named, *sorted(app for app in self.apps if app not in named))

    def release(self, app: str, colour: Colour) -> Release:
        """The release in a colour that exists."""
        release = self.apps[app].release(colour)
        if release is None:
            msg = f"{app} has no {colour} block"
            raise KeyError(msg)
        return release

    def release_id(self, app: str, colour: Colour) -> str:
        """What this colour is to run: sixteen hex digits over image, container spec and secrets."""
        return self.release(app, colour).id(self._secret(app, colour), self.secrets.release_key)

    def service_name(self, app: str, colour: Colour) -> str:
        return f"{app}-{colour}"

    def route_name(self, app: str, route: str, colour: Colour | None = None) -> str:
        """What a route of an app is called in Kong, or the preview of it that leads to one colour."""
        return f"{app if colour is None else self.service_name(app, colour)}-{route}"

    def host(self, app: str, colour: Colour) -> str:
        """The private name of a colour, whether it exists or not."""
        return private_domain(self.service_name(app, colour))

    def address(self, app: str, colour: Colour) -> str:
        """host:port of a colour that exists."""
        return f"{self.host(app, colour)}:{self.release(app, colour).port}"

    def service(self, app: str, colour: Colour) -> ServiceSpec:
        """The Railway service that runs this colour."""
        return ServiceSpec(
            name=self.service_name(app, colour),
            app=app,
            colour=colour,
            place=self.railway,
            release=self.release(app, colour),
            release_id=self.release_id(app, colour),
            secrets=self._secret(app, colour),
            registry_credentials=self._credentials(app, colour),
            owner=self.owner,
            role="live" if self.apps[app].live == colour else "idle",
            max_request_seconds=self.rollout.max_request_seconds,
        )

    def lanes(self) -> Mapping[str, Lane]:
        """Every app's way through the gateway, in the order of a rollout."""
        return {app: self._lane(app) for app in self.order()}

    def traffic(self) -> TrafficSpec:
        """Where all traffic is to go."""
        nodes = self.gateway.nodes
        return TrafficSpec(owner=self.owner, nodes=nodes, lanes=self.lanes(), rollout=self._armed(self.rollout))

    def plugins(self, app: str, route: Route) -> Plugins:
        """What stands on a route of this app: what its kind asks for, and the route's own, which wins."""
        return {**self.types(self.apps[app].kind), **route.plugins}

    def types(self, kind: str) -> Plugins:
        """What stands on every route of this kind."""
        return next((plugins for name, plugins in self.gateway.types.items() if name == kind), {})

    @property
    def limited(self) -> bool:
        """Whether any route of an app, or the whole gateway, limits how often it is asked."""
        stands = [self.plugins(app, route) for app in self.order() for route in self.apps[app].routes.values()]
        return any("rate-limiting" in plugins for plugins in (self.gateway.plugins, *stands))

    def model_kinds(self) -> Sequence[str]:
        """The kinds of the models that there are, each once."""
        return tuple(sorted({model.type for model in self.gateway.models}))

    @cached_property
    def gateway_id(self) -> str:
        """What stands before users: sixteen hex digits; equal ids are equal gateways, whatever the colours run."""
        whole = {
            "gateway": self.gateway.model_dump(mode="json", exclude={"nodes", "bypass"}, exclude_defaults=True),
            "routes": {app: _ways(self.apps[app]) for app in self.order()},
            "secrets": {
                plugin: {path: self._sealed(f"{plugin} {path}", value) for path, value in values.items()}
                for plugin, values in self.secrets.plugins.items()
            },
        }
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]

    def witness_name(self, part: str) -> str:
        """The route that answers with the gateway's id once a part of it is in force."""
        return f"gateway-{part}"

    def witness_path(self, part: str, id: str) -> str:
        """The path on which it does, for the gateway of this id."""
        return f"/.bluegreen/{part}/{id}"

    def rehearsal_name(self, kind: str) -> str:
        """The route on which what stands before models of a kind is rehearsed."""
        return f"gateway-{kind}"

    def kind_headers(self, kind: str) -> Mapping[str, str]:
        """What leads a request there."""
        return {KIND_HEADER: kind}

    def preview_headers(self, app: str) -> Mapping[str, Mapping[Colour, str]]:
        """What leads a request to one colour of one app, past the weights."""
        return {COLOUR_HEADER: {colour: colour for colour in COLOURS}, APP_HEADER: dict.fromkeys(COLOURS, app)}

    def _lane(self, app: str) -> Lane:
        live = self.apps[app].live
        existing = [colour for colour in COLOURS if self.apps[app].release(colour)]
        return Lane(
            upstream=app,
            live=live,
            release=self.release_id(app, live),
            addresses={colour: self.address(app, colour) for colour in existing},
            probe=Probe(
                path=self.release(app, live).healthcheck_path,
                headers=self.preview_headers(app),
                questions=[check.question for check in self.checks if check.app == app and check.question],
            ),
            whole=self.apps[app].kind == "web" and self.apps[app].sticky is None,
        )

    def _armed(self, rollout: Rollout) -> Rollout:
        """The rollout with each metric's secret in it."""
        if not self.secrets.metrics:
            return rollout
        around = ("pre_promotion_analysis", "step_analysis", "post_promotion_analysis")
        armed: dict[str, Any] = {
            name: self._with_secrets(analysis) for name in around if (analysis := getattr(rollout, name)) is not None
        }
        armed["steps"] = [
            step.model_copy(update={"analysis": self._with_secrets(step.analysis)}) if step.analysis else step
            for step in rollout.steps
        ]
        return rollout.model_copy(update=armed)

    def _with_secrets(self, analysis: Analysis) -> Analysis:
        known = self.secrets.metrics
        metrics = [
            metric.model_copy(update={"authorization": known[metric.name]}) if metric.name in known else metric
            for metric in analysis.metrics
        ]
        return analysis.model_copy(update={"metrics": metrics})

    def _sealed(self, name: str, value: SecretStr) -> str:
        return sealed(self.secrets.release_key, name, value) if self.secrets.release_key else ""

    def _credentials(self, app: str, colour: Colour) -> RegistryCredentials | None:
        registry = self.secrets.registries.get(self.release(app, colour).registry)
        return registry.credentials if registry is not None else None

    def _secret(self, app: str, colour: Colour) -> Mapping[str, SecretStr]:
        return self.secrets.apps.get(app, {}).get(colour, {})


def _ways(app: App) -> Any:
    routes = {name: route.model_dump(mode="json", exclude_defaults=True) for name, route in app.routes.items()}
    return {"kind": app.kind, "routes": routes}


def _value(text: str) -> Any:
    """A config value as YAML meant it: Pulumi hands objects, numbers and booleans out as JSON text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
