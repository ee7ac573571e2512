"""The stack config, whole and typed: made of the rooms' specs, and the one place where a name is derived.

Everything that needs a deployment lives under its colour, so a colour's release id says exactly how it behaves.
Unknown keys are refused by their path, before anything is registered. It deliberately reads no file and no
environment: it gets the project's config as Pulumi hands it out, and knows no Pulumi.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, JsonValue, SecretStr, ValidationError, field_validator, model_validator

from bluegreen.coherence import faults
from bluegreen.handler import Refused
from bluegreen.kong.spec import RouteRules
from bluegreen.measure.spec import Check
from bluegreen.postgres.spec import Migrations
from bluegreen.railway.spec import Place, Release, ServiceSpec, private_domain
from bluegreen.rollout.spec import Lane, Probe, Rollout, TrafficSpec
from bluegreen.spec import COLOURS, Colour, Name, Spec, problems

COLOUR_HEADER, APP_HEADER = "X-Preview-Colour", "X-Preview-App"

Plugins = Mapping[Name, Mapping[str, JsonValue]]  # plugin name -> its config, in Kong's own words
Kind = Literal["api", "image", "video", "web"]


class Route(RouteRules):
    """A way into an app, with the plugins that stand on it."""

    plugins: Plugins = {}

    @model_validator(mode="after")
    def _takes_something(self) -> Self:
        if not (self.paths or self.hosts or self.methods or self.headers):
            msg = "a route needs paths, hosts, methods or headers, or it would take no request"
            raise ValueError(msg)
        return self


class App(Spec):
    """One app in two colours; a colour without a block does not exist yet."""

    live: Colour
    kind: Literal["api", "web"]  # gateway.types says which plugins stand on its routes
    blue: Release | None = None
    green: Release | None = None
    routes: Mapping[Name, Route] = {}
    verify: Sequence[str] = ()

    @model_validator(mode="after")
    def _live_exists(self) -> Self:
        if self.release(self.live) is None:
            msg = f"live is {self.live}, which has no block here. Add the {self.live} block or name the other colour"
            raise ValueError(msg)
        return self

    def release(self, colour: Colour) -> Release | None:
        return self.blue if colour == "blue" else self.green


class Model(Spec):
    """An AI model that somebody else serves, reached through the gateway as `/ai/<name>`."""

    name: Name
    type: Kind
    host: str = Field(pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$")
    path: str = Field(default="/", pattern=r"^/")
    timeout_seconds: int = Field(default=60, ge=1)

    @property
    def entity(self) -> str:
        """What its service and its route are called in Kong."""
        return f"ai-{self.name}"


class Caller(Spec):
    """Somebody who calls; the key is in `secrets.consumers`."""

    groups: Sequence[Name] = ()


class Gateway(Spec):
    """What the whole gateway has, beside the apps' own routes."""

    nodes: int = Field(default=1, ge=1)
    plugins: Plugins = {}
    types: Mapping[Kind, Plugins] = {}  # what stands on every route of this kind; a route's own config wins
    consumers: Mapping[Name, Caller] = {}
    models: Sequence[Model] = ()

    @field_validator("models")
    @classmethod
    def _named_once(cls, models: Sequence[Model]) -> Sequence[Model]:
        twice = sorted({model.name for model in models if sum(other.name == model.name for other in models) > 1})
        if twice:
            msg = f"{', '.join(twice)} is named twice"
            raise ValueError(msg)
        return models


class Secrets(Spec):
    """Everything that nobody may see: `<app>.<colour>.<NAME>`, and the keys of the program itself."""

    release_key: SecretStr | None = None
    preview_key: SecretStr | None = None
    consumers: Mapping[Name, SecretStr] = {}
    apps: Mapping[Name, Mapping[Colour, Mapping[str, SecretStr]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _apps_by_name(cls, given: Any) -> Any:
        # In YAML an app's secrets stand beside the program's keys: secrets.backend.green.API_TOKEN.
        if not isinstance(given, Mapping) or not isinstance(given.get("apps", {}), Mapping):
            return given
        own = {"releaseKey", "previewKey", "consumers", "apps"}
        return {key: value for key, value in given.items() if key in own} | {
            "apps": {key: value for key, value in given.items() if key not in own} | dict(given.get("apps", {}))
        }


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

    def lags(self, app: str, colour: Colour, contracts: Iterable[tuple[str, str | None]]) -> list[str]:
        """Which contracts (name, schema that they require) this colour's release cannot live with, in words."""
        has = self.release(app, colour).schema_min or "0"
        return [
            f"{name} requires that every release needs schema {required} or newer, and {app}.{colour} needs {has}"
            for name, required in contracts
            if required is not None and int(has) < int(required)
        ]

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
            owner=self.owner,
            role="live" if self.apps[app].live == colour else "idle",
        )

    def lanes(self) -> Mapping[str, Lane]:
        """Every app's way through the gateway, in the order of a rollout."""
        return {app: self._lane(app) for app in self.order()}

    def traffic(self) -> TrafficSpec:
        """Where all traffic is to go."""
        nodes = self.gateway.nodes
        return TrafficSpec(owner=self.owner, nodes=nodes, lanes=self.lanes(), rollout=self.rollout)

    def plugins(self, app: str, route: Route) -> Plugins:
        """What stands on a route of this app: what its kind asks for, and the route's own, which wins."""
        return {**self.gateway.types.get(self.apps[app].kind, {}), **route.plugins}

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
            probe=Probe(path=self.release(app, live).healthcheck_path, headers=self.preview_headers(app)),
        )

    def _secret(self, app: str, colour: Colour) -> Mapping[str, SecretStr]:
        return self.secrets.apps.get(app, {}).get(colour, {})


def _value(text: str) -> Any:
    """A config value as YAML meant it: Pulumi hands objects, numbers and booleans out as JSON text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
