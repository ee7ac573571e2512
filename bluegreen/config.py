"""The keys of a stack's config: what an app is, what the gateway has, who may call, what nobody may see.

Made of the rooms' specs, so a field is written once. It derives nothing and judges no key by another: `settings.py`
and `coherence.py` do.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, JsonValue, SecretStr, field_validator, model_validator

from bluegreen.analysis import Url
from bluegreen.kong.spec import RouteRules, ServiceRules
from bluegreen.railway.spec import Block, RegistryCredentials
from bluegreen.spec import Colour, Name, Spec

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


class Sticky(Spec):
    """Who was once sent to a colour stays there while its share grows: a cookie that Kong sets and reads."""

    cookie: str = Field(pattern=r"^[A-Za-z0-9_]+$")


class KongService(ServiceRules):
    """What the app's service in Kong has beside its name; a `host` leads past the weights, as before an adoption."""

    host: str | None = Field(default=None, min_length=1)


class App(Spec):
    """One app in two colours; a colour without a block does not exist yet.

    The traffic of a `web` app is split only where a sticky cookie keeps pages and their assets together. What is idle
    may be `stopped`, which costs nothing and makes the way back slower by a start.
    """

    live: Colour
    kind: Literal["api", "web"]  # gateway.types says which plugins stand on its routes
    idle: Literal["running", "stopped"] = "running"
    blue: Block | None = None
    green: Block | None = None
    kong: KongService = KongService()
    routes: Mapping[Name, Route] = {}
    verify: Sequence[str] = ()
    sticky: Sticky | None = None

    @model_validator(mode="after")
    def _live_exists(self) -> Self:
        if self.release(self.live) is None:
            msg = f"live is {self.live}, which has no block here. Add the {self.live} block or name the other colour"
            raise ValueError(msg)
        return self

    def release(self, colour: Colour) -> Block | None:
        """What is or should be in this colour; None where it does not exist."""
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
    bypass: Mapping[Name, Mapping[Colour, Url]] = {}  # where each colour of an app answers past the gateway

    @field_validator("models")
    @classmethod
    def _named_once(cls, models: Sequence[Model]) -> Sequence[Model]:
        twice = sorted({model.name for model in models if sum(other.name == model.name for other in models) > 1})
        if twice:
            msg = f"{', '.join(twice)} is named twice"
            raise ValueError(msg)
        return models


class Registry(Spec):
    """Who pulls from a private registry; what is encrypted is missing where the file is read without Pulumi."""

    username: str | None = Field(default=None, min_length=1)
    password: SecretStr | None = Field(default=None, min_length=1)

    @property
    def credentials(self) -> RegistryCredentials | None:
        """Both halves; None without one of them."""
        if self.username is None or self.password is None:
            return None
        return RegistryCredentials(username=self.username, password=self.password)


class Secrets(Spec):
    """Everything that nobody may see: `<app>.<colour>.<NAME>`, and the keys of the program itself."""

    release_key: SecretStr | None = None
    preview_key: SecretStr | None = None
    consumers: Mapping[Name, SecretStr] = {}
    tokens: Mapping[Name, SecretStr] = {}  # of persons, as a check shows them: `Authorization: Bearer …`
    registries: Mapping[str, Registry] = {}  # by host: how the images from there are pulled
    metrics: Mapping[Name, SecretStr] = {}  # the Authorization header with which a metric's source is asked
    plugins: Mapping[Name, Mapping[str, SecretStr]] = {}  # of every plugin of that type: dotted path in its config
    apps: Mapping[Name, Mapping[Colour, Mapping[str, SecretStr]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _apps_by_name(cls, given: Any) -> Any:
        # In YAML an app's secrets stand beside the program's keys: secrets.backend.green.API_TOKEN.
        if not isinstance(given, Mapping) or not isinstance(given.get("apps", {}), Mapping):
            return given
        own = {str(field.alias or name) for name, field in cls.model_fields.items()}
        return {key: value for key, value in given.items() if key in own} | {
            "apps": {key: value for key, value in given.items() if key not in own} | dict(given.get("apps", {}))
        }
