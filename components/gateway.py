"""The gateway of a stack in Kong: for each app one upstream, one service, its routes and their plugins; for each
colour a preview beside them; every AI model under a path of its own; and who may call.

A preview takes the app's own paths with two headers that name app and colour, and carries the app's plugins, except
that it lets only the preview consumer in, by its own key. It leads straight to that colour, never to the live one:
while a colour has no block, it answers 503. Targets and weights are not here: they are Traffic's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pydantic import SecretStr

from bluegreen.coherence import PREVIEW_CONSUMER, PREVIEW_GROUP, PROBE
from bluegreen.kong.spec import KEY_HEADER, ConsumerSpec, PluginSpec, RouteSpec, ServiceSpec, UpstreamSpec
from bluegreen.settings import Model, Route, Settings
from bluegreen.spec import COLOURS, Colour
from components import resources as kong

Plugins = Mapping[str, Mapping[str, Any]]


class Gateway(pulumi.ComponentResource):
    """Everything that stands in Kong for this stack, except where traffic goes."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("bluegreen:components:Gateway", "gateway")
        self._settings = settings
        self._plugins("gateway", settings.gateway.plugins)
        guards = self._preview_consumer()
        for app in settings.order():
            self._app(app)
            for colour in COLOURS:
                self._preview(app, colour, guards)
        for model in settings.gateway.models:
            self._model(model)
        for name, caller in settings.gateway.consumers.items():
            self._consumer(name, caller.groups, settings.secrets.consumers.get(name))
        self.register_outputs({})

    def _app(self, app: str) -> None:
        upstream = kong.Upstream(app, UpstreamSpec(owner=self._owner, name=app), self._after())
        service = kong.KongService(app, ServiceSpec(owner=self._owner, name=app, host=app), self._after(upstream))
        for name, route in self._settings.apps[app].routes.items():
            called = self._settings.route_name(app, name)
            self._route(called, app, route, self._settings.plugins(app, route), after=service)

    def _preview(self, app: str, colour: Colour, guards: Plugins) -> None:
        settings, name = self._settings, self._settings.service_name(app, colour)
        exists = settings.apps[app].release(colour)
        known = exists or settings.release(app, settings.apps[app].live)
        spec = ServiceSpec(owner=self._owner, name=name, host=settings.host(app, colour), port=known.port)
        service = kong.KongService(name, spec, self._after())
        absent = {"status_code": 503, "message": f"{name} does not exist"}
        self._plugin(f"{name}-absent", "request-termination", absent, enabled=exists is None, service=name, on=service)
        headers = {header: [values[colour]] for header, values in settings.preview_headers(app).items()}
        for route_name, route in settings.apps[app].routes.items():
            led = route.model_copy(update={"headers": {**(route.headers or {}), **headers}})
            called = settings.route_name(app, route_name, colour)
            self._route(called, name, led, {**settings.plugins(app, route), **guards}, after=service)
        health = Route(paths=[known.healthcheck_path], headers=headers, strip_path=False)
        self._route(settings.route_name(app, PROBE, colour), name, health, guards, after=service)

    def _preview_consumer(self) -> Plugins:
        """Who may look at a colour past the weights: nobody but us where a key is set, everybody where none is."""
        key = self._settings.secrets.preview_key
        if key is None:
            return {}
        self._consumer(PREVIEW_CONSUMER, [PREVIEW_GROUP], key)
        return {
            "key-auth": {"key_names": [KEY_HEADER], "key_in_query": False, "hide_credentials": True},
            "acl": {"allow": [PREVIEW_GROUP]},
        }

    def _model(self, model: Model) -> None:
        """A model that somebody else serves. A request that may have been taken is never sent twice: it is paid for."""
        name, patience = model.entity, model.timeout_seconds * 1000
        spec = ServiceSpec(
            owner=self._owner,
            name=name,
            protocol="https",
            host=model.host,
            port=443,
            path=model.path,
            retries=0,
            read_timeout=patience,
            write_timeout=patience,
        )
        service = kong.KongService(name, spec, self._after())
        # A plain prefix /ai/q1 would take /ai/q10 as well; answers come as streams, so Kong must not collect them.
        route = Route(paths=[f"~/ai/{model.name}(/|$)"], strip_path=True, response_buffering=False)
        self._route(name, name, route, self._settings.gateway.types.get(model.type, {}), after=service)

    def _consumer(self, name: str, groups: Sequence[str], key: SecretStr | None) -> None:
        spec = ConsumerSpec(owner=self._owner, username=name, groups=groups)
        if key is not None:
            spec = spec.model_copy(update={"keys": [key]})
        kong.Consumer(name, spec, self._after())

    def _route(self, name: str, service: str, route: Route, plugins: Plugins, *, after: pulumi.Resource) -> None:
        rules = route.model_dump(exclude={"plugins"}, exclude_unset=True)
        spec = RouteSpec(owner=self._owner, name=name, service=service, **rules)
        entity = kong.Route(name, spec, self._after(after))
        self._plugins(name, plugins, route=name, on=entity)

    def _plugins(self, prefix: str, plugins: Plugins, *, route: str | None = None, on: Any = None) -> None:
        for plugin, config in plugins.items():
            self._plugin(f"{prefix}-{plugin}", plugin, config, route=route, on=on)

    def _plugin(self, name: str, plugin: str, config: Mapping[str, Any], *, on: Any = None, **fields: Any) -> None:
        given = {key: value for key, value in fields.items() if value is not None}
        spec = PluginSpec(owner=self._owner, instance_name=name, name=plugin, config=config, **given)
        kong.Plugin(name, spec, self._after(*([on] if on else [])))

    @property
    def _owner(self) -> str:
        return self._settings.owner

    def _after(self, *resources: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(resources))
