"""What the config declares in Kong: every upstream, service, route, plugin and consumer there has to be, by name.

The program that declares them cannot be asked from here, so names are derived once more, from the same functions that
it takes them from; and fields where nothing else compares them: of services, of upstreams and of what leads to one
colour. What users meet is kept in Kong row by row, and a plugin's config is not looked at here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bluegreen.coherence import PARTS, PREVIEW_CONSUMER, PROBE
from bluegreen.kong.ownership import KEPT
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour

ABSENT, ANSWERING, MARKING, LIMITING = "absent", "request-termination", "response-transformer", "rate-limiting"
KEY_FIELDS: Mapping[str, str] = {
    "upstreams": "name",
    "services": "name",
    "routes": "name",
    "plugins": "instance_name",
    "consumers": "username",
}


@dataclass(frozen=True, slots=True)
class Thing:
    """One entity: what it does, where it is a plugin, and its fields in Kong's words, as far as they are looked at."""

    does: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


Named = tuple[str, str, Thing]


@dataclass(frozen=True, slots=True)
class Declared:
    """Every entity, by collection and name."""

    entities: Mapping[str, Mapping[str, Thing]] = field(default_factory=dict)

    def plugin_types(self) -> frozenset[str]:
        """What a Kong node needs to have."""
        return frozenset(thing.does for thing in self.entities["plugins"].values())


def declared(settings: Settings, sealed: frozenset[str]) -> Declared:
    """Everything; whether there is a preview key is taken from its path, where it could not be read."""
    found: dict[str, dict[str, Thing]] = {kind: {} for kind in KEY_FIELDS}
    for kind, name, thing in _all(settings, _guarded(settings, sealed)):
        found[kind][name] = thing
    return Declared(found)


def _guarded(settings: Settings, sealed: frozenset[str]) -> bool:
    return settings.secrets.preview_key is not None or bool(sealed & {"previewKey", ""})


def _all(settings: Settings, guarded: bool) -> Iterator[Named]:
    guards = ["key-auth", "acl"] if guarded else []
    everywhere = list(settings.gateway.plugins)
    for app in settings.order():
        sticky = settings.apps[app].sticky
        kept = {"hash_on": "cookie", "hash_on_cookie": sticky.cookie} if sticky is not None else {"hash_on": "none"}
        yield "upstreams", app, Thing(fields=kept)
        yield "services", app, Thing(fields=settings.kong_service(app))
        yield from _ways(settings, app)
        for colour in COLOURS:
            yield from _preview(settings, app, colour, guards)
    for kind in settings.model_kinds():
        name = settings.rehearsal_name(kind)
        yield from _route(name, [*everywhere, *settings.types(kind), *guards, ANSWERING])
    if guarded:
        yield "consumers", PREVIEW_CONSUMER, Thing()
        if settings.limited:
            yield "plugins", f"{PREVIEW_CONSUMER}-{LIMITING}", Thing(LIMITING)
    yield from (("consumers", name, Thing()) for name in settings.gateway.consumers)
    for part in PARTS:
        yield from _route(settings.witness_name(part), [ANSWERING])
    yield from (("plugins", f"gateway-{plugin}", Thing(plugin)) for plugin in everywhere)
    for model in settings.gateway.models:
        yield "services", model.entity, Thing(fields={"host": model.host})
        yield from _route(model.entity, settings.types(model.type))
    yield "routes", KEPT, Thing()


def _ways(settings: Settings, app: str) -> Iterator[Named]:
    for name, route in settings.apps[app].routes.items():
        yield from _route(settings.route_name(app, name), settings.plugins(app, route))


def _preview(settings: Settings, app: str, colour: Colour, guards: Sequence[str]) -> Iterator[Named]:
    name, block = settings.service_name(app, colour), settings.apps[app]
    known = block.release(colour) or settings.release(app, block.live)
    manner = {key: value for key, value in settings.kong_service(app).items() if key not in ("host", "port")}
    yield "services", name, Thing(fields={**manner, "host": settings.host(app, colour), "port": known.port})
    yield "plugins", f"{name}-{ABSENT}", Thing(ANSWERING)
    headers = {header: [values[colour]] for header, values in settings.preview_headers(app).items()}
    for each, route in block.routes.items():
        rules = route.model_dump(exclude={"plugins"}, exclude_unset=True, by_alias=False)
        stands = [*settings.gateway.plugins, *settings.plugins(app, route), *guards, MARKING]
        led = {**rules, "headers": {**(route.headers or {}), **headers}}
        yield from _route(settings.route_name(app, each, colour), stands, led)
    probe = {"paths": [known.healthcheck_path], "headers": headers, "strip_path": False}
    yield from _route(settings.route_name(app, PROBE, colour), guards, probe)


def _route(name: str, plugins: Iterable[str], fields: Mapping[str, Any] | None = None) -> Iterator[Named]:
    yield "routes", name, Thing(fields=fields or {})
    yield from (("plugins", f"{name}-{plugin}", Thing(plugin)) for plugin in plugins)
