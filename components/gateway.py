"""What of the gateway nobody meets by the weights: upstreams, the apps' services, a preview of each colour, callers.

A preview takes the app's own paths with two headers that name app and colour, and carries everything that stands on the
app's route or on the whole gateway; only, it lets nobody in but the preview consumer, by its own key, and its answers
name it. It leads straight to that colour, never to the live one: while a colour has no block, it answers 503. So a
change of the gateway stands on the previews first, and is rehearsed there (`bluegreen rehearse`) before `front.py` has
it for users. Targets and weights are not here: they are Traffic's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from bluegreen.coherence import PREVIEW_CONSUMER, PREVIEW_GROUP, PREVIEWS, PROBE
from bluegreen.config import Route
from bluegreen.kong.spec import KEY_HEADER, ConsumerSpec, UpstreamSpec
from bluegreen.settings import PREVIEW_MARK, Settings
from bluegreen.spec import COLOURS, Colour
from components import resources as kong
from components.entities import Entities, Plugins

MARKING, LIMITING = "response-transformer", "rate-limiting"
AMPLE = 1000  # requests a second: more than any probes send


class Gateway(Entities):
    """Everything in Kong that leads to one colour, and who may call."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("gateway", settings)
        guards = self._preview_consumer()
        for app in settings.order():
            self._app(app)
            for colour in COLOURS:
                self._preview(app, colour, guards)
        for kind in settings.model_kinds():
            self._kind(kind, guards)
        for name, caller in settings.gateway.consumers.items():
            self._consumer(name, caller.groups, settings.secrets.consumers.get(name))
        self.witness(PREVIEWS)
        self.register_outputs({})

    def _app(self, app: str) -> None:
        sticky = self._settings.apps[app].sticky
        kept = {"hash_on": "cookie", "hash_on_cookie": sticky.cookie} if sticky is not None else {}
        upstream = UpstreamSpec.model_validate({"owner": self._settings.owner, "name": app, **kept})
        self.service(app, self._made(kong.Upstream(app, upstream, self._options())), **self._settings.kong_service(app))

    def _preview(self, app: str, colour: Colour, guards: Plugins) -> None:
        settings, name = self._settings, self._settings.service_name(app, colour)
        exists = settings.apps[app].release(colour)
        known = exists or settings.release(app, settings.apps[app].live)
        # Users and previews are served with the same patience.
        manner = {key: value for key, value in settings.kong_service(app).items() if key not in ("host", "port")}
        service = self.service(name, **manner, host=settings.host(app, colour), port=known.port)
        absent = {"status_code": 503, "message": f"{name} does not exist"}
        self.plugin(f"{name}-absent", "request-termination", absent, service, enabled=exists is None, service=name)
        headers = {header: [values[colour]] for header, values in settings.preview_headers(app).items()}
        for route_name, route in settings.apps[app].routes.items():
            led = route.model_copy(update={"headers": {**(route.headers or {}), **headers}})
            called = settings.route_name(app, route_name, colour)
            stands = {**settings.gateway.plugins, **settings.plugins(app, route), **guards}
            self.route(called, name, led, marked(stands, name), service)
        health = Route(paths=[known.healthcheck_path], headers=headers, strip_path=False)
        self.route(settings.route_name(app, PROBE, colour), name, health, guards, service)

    def _kind(self, kind: str, guards: Plugins) -> None:
        """What stands before models of this kind, with an answer of the gateway's own behind it: they cost money."""
        settings, name = self._settings, self._settings.rehearsal_name(kind)
        answer: Mapping[str, Mapping[str, Any]] = {"request-termination": {"status_code": 200, "message": kind}}
        route = Route(paths=["/"], headers={header: [value] for header, value in settings.kind_headers(kind).items()})
        self.route(name, None, route, {**settings.gateway.plugins, **settings.types(kind), **guards, **answer})

    def _preview_consumer(self) -> Plugins:
        """Who may look at a colour past the weights: nobody but us where a key is set, everybody where none is."""
        key = self._settings.secrets.preview_key
        if key is None:
            return {}
        us = self._consumer(PREVIEW_CONSUMER, [PREVIEW_GROUP], key)
        if self._settings.limited:
            # The probes of an analysis are many; a consumer's plugin wins over the one on a route.
            called = f"{PREVIEW_CONSUMER}-{LIMITING}"
            self.plugin(called, LIMITING, {"second": AMPLE, "policy": "local"}, us, consumer=PREVIEW_CONSUMER)
        return {
            "key-auth": {"key_names": [KEY_HEADER], "key_in_query": False, "hide_credentials": True},
            "acl": {"allow": [PREVIEW_GROUP]},
        }

    def _consumer(self, name: str, groups: Sequence[str], key: SecretStr | None) -> kong.Consumer:
        spec = ConsumerSpec(owner=self._settings.owner, username=name, groups=groups)
        if key is not None:
            spec = spec.model_copy(update={"keys": [key]})
        consumer: kong.Consumer = self._made(kong.Consumer(name, spec, self._options(was=("consumer", name))))
        return consumer


def marked(plugins: Plugins, preview: str) -> Plugins:
    """These plugins, and the preview's name on whatever it answers: no other answer is taken for the preview's."""
    config = plugins.get(MARKING, {})
    headers = [*config.get("add", {}).get("headers", ()), f"{PREVIEW_MARK}:{preview}"]
    return {**plugins, MARKING: {**config, "add": {**config.get("add", {}), "headers": headers}}}
