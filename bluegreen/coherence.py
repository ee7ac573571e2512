"""What no single field of a stack's config can say: whether the whole hangs together.

Each rule yields what is wrong, led by the path of the key to change. They run when the config is parsed, so nothing is
registered before. It deliberately reads nothing but the settings; files and ledgers are judged by whoever reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from pydantic import ValidationError

from bluegreen.kong.ownership import KEPT
from bluegreen.measure.spec import misfits
from bluegreen.railway.spec import Release
from bluegreen.spec import COLOURS, problems

if TYPE_CHECKING:
    from bluegreen.settings import Settings

PREVIEWS, FRONTS = PARTS = ("previews", "front")  # of a gateway: what leads to one colour, and what users meet
PREVIEW_GROUP, PREVIEW_CONSUMER = "preview", "bluegreen-preview"
PROBE = "probe"  # the route of a colour that leads to its health check alone


def faults(settings: Settings) -> list[str]:
    """Everything that does not hang together, in the order of the config."""
    if nobody := [*_order(settings), *_apps(settings)]:
        return nobody  # the rest speaks of apps that exist
    rules = (_consumers, _callers, _registries, _schemas, _services, _observed, _adopted, _ways, _names)
    return [*chain.from_iterable(rule(settings) for rule in rules), *misfits(settings.checks, settings.apps)]


def _order(settings: Settings) -> Iterator[str]:
    if len(set(settings.rollout.order)) < len(settings.rollout.order):
        yield "rollout.order: names an app twice"


def _apps(settings: Settings) -> Iterator[str]:
    named = [("rollout.order", app) for app in settings.rollout.order]
    named += [("secrets", app) for app in settings.secrets.apps]
    for where, app in [*named, *(("gateway.bypass", app) for app in settings.gateway.bypass)]:
        if app not in settings.apps:
            yield f"{where}: names {app!r}, and there is no such app"


def _consumers(settings: Settings) -> Iterator[str]:
    named = [("secrets.consumers", name) for name in settings.secrets.consumers]
    asking = [(f"checks[{number}].consumer", check.consumer) for number, check in enumerate(settings.checks)]
    for where, consumer in [*named, *asking]:
        if consumer is not None and consumer not in settings.gateway.consumers:
            yield f"{where}: names {consumer!r}, and gateway.consumers has no such consumer"


def _callers(settings: Settings) -> Iterator[str]:
    """A key belongs to one consumer, and nobody but us may look past the weights."""
    for name, caller in settings.gateway.consumers.items():
        if PREVIEW_GROUP in caller.groups:
            yield f"gateway.consumers.{name}.groups: {PREVIEW_GROUP} is the group that may look past the weights"
    keys = {f"consumers.{name}": key for name, key in settings.secrets.consumers.items()}
    if settings.secrets.preview_key is not None:
        keys["previewKey"] = settings.secrets.preview_key
    seen: dict[str, str] = {}
    for name, key in keys.items():
        first = seen.setdefault(key.get_secret_value(), name)
        if first != name:
            yield f"secrets.{name}: is the same key as secrets.{first}, and Kong knows one consumer by a key"


def _registries(settings: Settings) -> Iterator[str]:
    """A misspelt host would be found out only by an image that cannot be pulled."""
    blocks = [settings.release(app, colour) for app, colour in settings.existing()]
    hosts = sorted({block.registry for block in blocks if isinstance(block, Release)})
    for host in settings.secrets.registries:
        if host not in hosts:
            yield f"secrets.registries: names {host!r}, and images come from {', '.join(hosts) or 'nowhere'} alone"


def _schemas(settings: Settings) -> Iterator[str]:
    """A release never meets a schema older than it needs."""
    for app, colour in settings.existing():
        wanted, migrations = settings.release(app, colour).schema_min, settings.migrations
        if wanted is not None and migrations is not None and int(wanted) > int(migrations.target):
            yield (
                f"apps.{app}.{colour}.schemaMin: needs schema {wanted}, and migrations.target is {migrations.target}. "
                "Raise the target, or take a release that needs less"
            )


def _services(settings: Settings) -> Iterator[str]:
    """What a colour becomes on Railway, with its secrets in it."""
    for app, colour in (*settings.deployed("live"), *settings.deployed("idle")):
        where = f"secrets.{app}.{colour}"
        if settings.secrets.apps.get(app, {}).get(colour) and settings.secrets.release_key is None:
            yield f"{where}: set secrets.releaseKey, so that a release id can tell secrets apart"
            continue
        try:
            settings.service(app, colour)
        except ValidationError as error:
            yield from (f"{where}: {fault.partition(': ')[2]}" for fault in problems(error))


def _observed(settings: Settings) -> Iterator[str]:
    """What is given to a colour that nobody here deploys would go nowhere."""
    for app, colour in settings.existing():
        if settings.observed(app, colour) and settings.secrets.apps.get(app, {}).get(colour):
            yield f"secrets.{app}.{colour}: apps.{app}.{colour} is observed, and nothing is written there"


def _adopted(settings: Settings) -> Iterator[str]:
    """What is taken over is said by its name: under another one the engine refuses the import, mid-update."""
    for app, colour in (*settings.deployed("live"), *settings.deployed("idle")):
        key = f"railway/{settings.service_name(app, colour)}"
        if key in settings.adopt and settings.release(app, colour).service_name is None:
            yield (
                f"apps.{app}.{colour}.serviceName: missing, and adopt.{key} makes a service that is there already"
                " into this release. Write what Railway calls that service, or take the line out of adopt"
            )


def _ways(settings: Settings) -> Iterator[str]:
    """A host of its own leads past the weights: harmless only while it is that of what is live."""
    for app, block in settings.apps.items():
        host = block.kong.host
        straight = host is not None and host.lower().removesuffix(".") == settings.host(app, block.live)
        if host is not None and not straight:
            yield (
                f"apps.{app}.kong.host: users still go past the weights to {host}, and {block.live} is live at "
                f"{settings.host(app, block.live)}. Take it out before live changes"
            )
        elif host is not None and not settings.observed(app, block.live):
            yield (
                f"apps.{app}.kong.host: users go past the weights to {host}, and apps.{app}.{block.live} would be "
                "deployed over it. Take it out in an update of its own first"
            )


def _names(settings: Settings) -> Iterator[str]:
    """Names are derived, so two keys may come to mean one thing in Kong or in Railway."""
    seen: dict[tuple[str, str], str] = {}
    for kind, name, where in _derived(settings):
        first = seen.setdefault((kind, name), where)
        if first != where:
            yield f"{where}: would be the {kind} {name}, and so would {first}. Rename one of them"
    for app in settings.apps:
        if app in type(settings.secrets).model_fields:
            yield f"apps.{app}: is a word of `secrets` as well. Name the app otherwise"
        if app in ("full", "kong"):
            yield f"apps.{app}: is a word of `bluegreen rollback` as well. Name the app otherwise"


def idle_words(settings: Settings) -> Iterator[str]:
    """What is written below `adopt` and would be passed over in silence; no fault, since a block may be yet to come."""
    known = {(kind, name) for kind, name, _ in _derived(settings)}
    known |= {("railway", settings.service_name(app, colour)) for app in settings.apps for colour in COLOURS}
    bearers = ("gateway", *(name for kind, name in known if kind in ("service", "route", "consumer")))
    for key in settings.adopt:
        kind, _, name = key.partition("/")
        borne = kind == "plugin" and any(name.startswith(f"{bearer}-") for bearer in bearers)
        if not borne and (kind, name) not in known:
            yield f"adopt.{key}: nothing here is a {kind} of that name, so nothing is imported by it."


def _derived(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Every (kind, name, key that it comes from)."""
    yield "consumer", PREVIEW_CONSUMER, "the program's own consumer"
    yield from (("consumer", name, f"gateway.consumers.{name}") for name in settings.gateway.consumers)
    yield from (("service", name, where) for name, where in _services_of(settings))
    yield from (("route", name, where) for name, where in _routes(settings))
    for app, colour in settings.existing():
        yield "Railway service", settings.railway_name(app, colour), f"apps.{app}.{colour}"
    for number, model in enumerate(settings.gateway.models):
        yield from ((kind, model.entity, f"gateway.models[{number}]") for kind in ("service", "route"))


def _services_of(settings: Settings) -> Iterator[tuple[str, str]]:
    for app in settings.order():
        yield app, f"apps.{app}"
        yield from ((settings.service_name(app, colour), f"apps.{app}.{colour}") for colour in COLOURS)


def _routes(settings: Settings) -> Iterator[tuple[str, str]]:
    own = [KEPT, *map(settings.witness_name, PARTS), *map(settings.rehearsal_name, settings.model_kinds())]
    yield from ((name, f"the program's own route {name}") for name in own)
    for app in settings.order():
        for colour in COLOURS:
            yield settings.route_name(app, PROBE, colour), f"the probe of apps.{app}.{colour}"
        for route in settings.apps[app].routes:
            yield settings.route_name(app, route), f"apps.{app}.routes.{route}"
            for colour in COLOURS:
                yield settings.route_name(app, route, colour), f"the {colour} preview of apps.{app}.routes.{route}"
