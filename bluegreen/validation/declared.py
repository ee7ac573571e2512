"""What the config declares in Kong: every upstream, service, route, plugin and consumer there has to be, by name.

Routes and plugins are those of `bluegreen/declared.py`; beside them the rest, and fields where nothing else compares
them: of services, of upstreams and of what leads to one colour. What users meet is kept in Kong row by row, and a
plugin's config is not looked at here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from bluegreen.coherence import PREVIEW_CONSUMER, PROBE
from bluegreen.declared import ANSWERING, EVERYWHERE, before_users, on_previews
from bluegreen.railway.spec import Block
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour

ABSENT, LIMITING = "absent", "rate-limiting"
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
    yield from _standing(settings, guarded)
    for app in settings.order():
        sticky = settings.apps[app].sticky
        kept = {"hash_on": "cookie", "hash_on_cookie": sticky.cookie} if sticky is not None else {"hash_on": "none"}
        yield "upstreams", app, Thing(fields=kept)
        yield "services", app, Thing(fields=settings.kong_service(app))
        for colour in COLOURS:
            yield from _behind(settings, app, colour)
    if guarded:
        yield "consumers", PREVIEW_CONSUMER, Thing()
        if settings.limited:
            yield "plugins", f"{PREVIEW_CONSUMER}-{LIMITING}", Thing(LIMITING)
    yield from (("consumers", name, Thing()) for name in settings.gateway.consumers)
    yield from (("services", model.entity, Thing(fields={"host": model.host})) for model in settings.gateway.models)


def _standing(settings: Settings, guarded: bool) -> Iterator[Named]:
    """Every route, and the plugins on it; and those of the whole gateway."""
    rules = _rules(settings)
    for route, types in {**before_users(settings), **on_previews(settings, guarded=guarded)}.items():
        if route != EVERYWHERE:
            yield "routes", route, Thing(fields=rules.get(route, {}))
        yield from (("plugins", f"{route or 'gateway'}-{does}", Thing(does)) for does in sorted(types))


def _rules(settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    """What leads to one colour, by route."""
    found: dict[str, Mapping[str, Any]] = {}
    for app, colour in product(settings.order(), COLOURS):
        block = settings.apps[app]
        headers = {header: [values[colour]] for header, values in settings.preview_headers(app).items()}
        for name, route in block.routes.items():
            rules = route.model_dump(exclude={"plugins"}, exclude_unset=True, by_alias=False)
            led = {**rules, "headers": {**(route.headers or {}), **headers}}
            found[settings.route_name(app, name, colour)] = led
        probe = {"paths": [_known(settings, app, colour).healthcheck_path], "headers": headers, "strip_path": False}
        found[settings.route_name(app, PROBE, colour)] = probe
    return found


def _behind(settings: Settings, app: str, colour: Colour) -> Iterator[Named]:
    """The service of one colour, and what answers for it while it does not exist."""
    name, port = settings.service_name(app, colour), _known(settings, app, colour).port
    manner = {key: value for key, value in settings.kong_service(app).items() if key not in ("host", "port")}
    yield "services", name, Thing(fields={**manner, "host": settings.host(app, colour), "port": port})
    yield "plugins", f"{name}-{ABSENT}", Thing(ANSWERING)


def _known(settings: Settings, app: str, colour: Colour) -> Block:
    """This colour's release, or the live one's, whose place it would take."""
    block = settings.apps[app]
    return block.release(colour) or settings.release(app, block.live)
