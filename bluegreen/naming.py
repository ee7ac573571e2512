"""The keys of a stack's config, and what follows from them by name alone: who exists, and what each thing is called.

Whoever declares a thing and whoever looks for it later have its name from here, so that both mean the same. It makes
no spec and judges no key by another: `settings.py` and `coherence.py` do.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator

from bluegreen.config import App, Gateway, Plugins, Route, Secrets
from bluegreen.measure.spec import Check
from bluegreen.postgres.spec import Migrations
from bluegreen.railway.spec import Observed, Place, Release, private_domain
from bluegreen.rollout.spec import APP_HEADER, COLOUR_HEADER, Rollout, preview_headers
from bluegreen.spec import COLOURS, Colour, Name, Spec

KIND_HEADER = "X-Preview-Kind"

# `route/api-v1`: a thing of ours that was there before us, by its kind and by the name that it has here.
Adopted = Annotated[str, StringConstraints(pattern=r"^(railway|service|route|plugin|consumer)/[^/ ]+$")]


class Naming(Spec):
    """Everything that a stack's file may hold, and every name that follows from it."""

    railway: Place
    apps: Mapping[Name, App] = Field(min_length=1)
    gateway: Gateway = Gateway()
    migrations: Migrations | None = None
    rollout: Rollout = Rollout()
    checks: Sequence[Check] = ()
    secrets: Secrets = Secrets()
    adopt: Mapping[Adopted, Annotated[str, Field(min_length=1)]] = {}  # the id of what was there before us
    protect: bool = False  # Services, Traffic and the route gateway-kept refuse to be deleted until unprotected
    owner: str = Field(default="", exclude=True)  # project.stack: what everything of this stack is tagged with

    @field_validator("migrations", mode="before")
    @classmethod
    def _none_at_all(cls, given: Any) -> Any:
        # Pulumi fills in the default of a declared key, and that of an object can only be an empty one.
        return given or None

    def colours(self, role: str) -> Iterator[tuple[str, Colour]]:
        """Every (app, colour) that exists in this role, in the order of a rollout."""
        for app in self.order():
            for colour in COLOURS:
                exists = self.apps[app].release(colour) is not None
                if exists and (colour == self.apps[app].live) == (role == "live"):
                    yield app, colour

    def deployed(self, role: str) -> Iterator[tuple[str, Colour]]:
        """Every (app, colour) in this role that is ours to deploy: an observed one is somebody else's."""
        return ((app, colour) for app, colour in self.colours(role) if not self.observed(app, colour))

    def existing(self) -> Iterator[tuple[str, Colour]]:
        """Every (app, colour) that exists: the live ones, then the idle ones."""
        yield from self.colours("live")
        yield from self.colours("idle")

    def order(self) -> tuple[str, ...]:
        """Apps as a rollout takes them: the named ones first, the rest by name."""
        named = self.rollout.order
        return (*named, *sorted(app for app in self.apps if app not in named))

    def release(self, app: str, colour: Colour) -> Release | Observed:
        """What is in a colour that exists."""
        block = self.apps[app].release(colour)
        if block is None:
            msg = f"{app} has no {colour} block"
            raise KeyError(msg)
        return block

    def observed(self, app: str, colour: Colour) -> bool:
        """Whether this colour is somebody else's deployment, which nothing of ours writes."""
        return isinstance(self.apps[app].release(colour), Observed)

    def service_name(self, app: str, colour: Colour) -> str:
        """What a colour is called in Kong and wherever a person reads of it."""
        return f"{app}-{colour}"

    def railway_name(self, app: str, colour: Colour) -> str:
        """What its service is called in Railway: that is its private host name, too."""
        block = self.apps[app].release(colour)
        return (block.service_name if block is not None else None) or self.service_name(app, colour)

    def imported(self, kind: str, name: str) -> str | None:
        """The id of what was there before us and is to be this thing of ours."""
        return next((id for adopted, id in self.adopt.items() if adopted == f"{kind}/{name}"), None)

    def kong_service(self, app: str) -> Mapping[str, Any]:
        """The fields of the app's service in Kong: its upstream is its host, unless another one is written."""
        return {"host": app, **self.apps[app].kong.model_dump(exclude_none=True, by_alias=False)}

    def route_name(self, app: str, route: str, colour: Colour | None = None) -> str:
        """What a route of an app is called in Kong, or the preview of it that leads to one colour."""
        return f"{app if colour is None else self.service_name(app, colour)}-{route}"

    def host(self, app: str, colour: Colour) -> str:
        """The private name of a colour, whether it exists or not."""
        return private_domain(self.railway_name(app, colour))

    def address(self, app: str, colour: Colour) -> str:
        """host:port of a colour that exists."""
        return f"{self.host(app, colour)}:{self.release(app, colour).port}"

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
        each = {colour: preview_headers(app, colour) for colour in COLOURS}
        return {name: {colour: each[colour][name] for colour in COLOURS} for name in (COLOUR_HEADER, APP_HEADER)}
