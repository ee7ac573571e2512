"""What stands in a Kong that nobody here declared: every service with its routes and plugins, as a declaration of it.

Whatever is declared of these entities later has to say all that departs from Kong's defaults, because a field that is
not declared is reset by the first write. So each is told by Kong's own schemas, and whatever cannot be told in full is
told with the reason why not: then it is left as it stands. It only reads.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bluegreen.handler import Refused
from bluegreen.kong.api import Entity, Kong
from bluegreen.kong.ownership import owner_of
from bluegreen.kong.schema import Schemas, Shape, Tree, departures, secret_paths
from bluegreen.kong.spec import RouteRules, ServiceRules

# Plugins whose config holds nothing that nobody may see. Any other may: a header, a password in an address, a script.
OPEN = frozenset(
    {
        "acl",
        "bot-detection",
        "correlation-id",
        "cors",
        "ip-restriction",
        "key-auth",
        "prometheus",
        "rate-limiting",
        "request-size-limiting",
        "request-termination",
    }
)
WEB = {"http", "https"}


@dataclass(frozen=True, slots=True)
class Standing:
    """One plugin on a route; `why` says why it is not declared, and is empty where it can be."""

    id: str
    name: str
    config: Tree
    tags: Sequence[str]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Led:
    """One route of a service, as the fields that depart from Kong's defaults."""

    id: str
    name: str | None
    rules: Tree
    plugins: Sequence[Standing]
    tags: Sequence[str]


@dataclass(frozen=True, slots=True)
class Way:
    """One service with everything that leads to it; `why` says why it cannot be declared, and is empty where it can."""

    id: str
    name: str
    host: str
    port: int
    rules: Tree  # without host and port
    routes: Sequence[Led]
    plugins: Sequence[str]  # on the service itself: they stay there, and nobody declares them
    targets: Mapping[str, int]  # of the upstream that its host names, with their weights
    tags: Sequence[str]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Ways:
    """A whole Kong, as it stands."""

    services: Sequence[Way]
    names: Mapping[str, Mapping[str, str]]  # kind -> name -> id: what a new name may not be
    left: Sequence[str]  # what leads nowhere by itself, a phrase each

    def other(self, kind: str, name: str, id: str = "") -> bool:
        """Whether something else of this kind has this name."""
        return self.names.get(kind, {}).get(name, id) != id


async def ways(kong: Kong) -> Ways:
    """Everything that stands.

    Raises:
        Refused: this Kong's routes are expressions, of which nothing here knows anything.
    """
    flavour = ((await kong.node()).get("configuration") or {}).get("router_flavor", "traditional_compatible")
    if flavour == "expressions":
        raise Refused(
            f"The routes of Kong at {kong.where} are expressions, and an app's routes are paths, hosts and headers.",
            world="Nothing was changed.",
            next="Start Kong with router_flavor traditional_compatible, and write the routes so.",
        )
    seen = _Seen(Schemas(kong), {kind: await kong.entities(f"/{kind}", size="1000") for kind in KINDS})
    services = [await _way(kong, seen, row) for row in seen.rows["services"]]
    return Ways(services, _names(seen.rows), tuple(_left(seen.rows)))


KINDS = ("services", "routes", "plugins", "upstreams", "consumers")


@dataclass(frozen=True, slots=True)
class _Seen:
    schemas: Schemas
    rows: Mapping[str, Sequence[Entity]]

    def on(self, kind: str, field: str, id: str) -> list[Entity]:
        return [row for row in self.rows[kind] if _reference(row, field) == id]


async def _way(kong: Kong, seen: _Seen, row: Entity) -> Way:
    id, shape = str(row["id"]), await seen.schemas.shape("services")
    routes = [await _led(seen, route) for route in seen.on("routes", "service", id)]
    fields = departures(shape, row)
    rules = {name: value for name, value in fields.items() if name in ServiceRules.model_fields and name != "port"}
    upstream = next((each for each in seen.rows["upstreams"] if each["name"] == row["host"]), None)
    targets = await kong.targets(str(upstream["id"])) or () if upstream is not None else ()
    on_it = [each for each in seen.on("plugins", "service", id) if _reference(each, "route") is None]
    return Way(
        id=id,
        name=str(row.get("name") or id),
        host=str(row["host"]),
        port=int(row.get("port") or 80),
        rules=rules,
        routes=routes,
        plugins=sorted(str(each["name"]) for each in on_it),
        targets={str(each["target"]): int(each.get("weight", 0)) for each in targets},
        tags=tuple(row.get("tags") or ()),
        why=_why_not(row, fields, seen.on("routes", "service", id), upstream is not None),
    )


def _why_not(row: Entity, fields: Tree, routes: Sequence[Entity], upstream: bool) -> str:
    """Why a service cannot be declared as an app's, or one of its routes; the first reason there is."""
    owner = owner_of(row.get("tags")) or next((each for route in routes if (each := owner_of(route.get("tags")))), None)
    if owner:
        return f"it belongs to {owner}"
    if upstream:
        return "its host is the name of an upstream"
    if row.get("enabled") is False:
        return "it is switched off"
    if str(row.get("protocol")) not in WEB:
        return f"it speaks {row.get('protocol')}"
    if row.get("path"):
        return f"it puts {row['path']} before every path, and a preview's health check would get it too"
    if fields.get("client_certificate"):
        return "it shows a certificate of its own"
    if not routes:
        return "no route leads to it"
    for route in routes:
        called = f"its route {route.get('name') or route['id']}"
        if not WEB.issuperset(route.get("protocols") or WEB):
            return f"{called} takes {', '.join(route['protocols'])}"
        if not any(route.get(field) for field in ("paths", "hosts", "methods", "headers")):
            return f"{called} names no path, host, method or header"
    return ""


async def _led(seen: _Seen, row: Entity) -> Led:
    fields = departures(await seen.schemas.shape("routes"), row)
    plugins = [await _standing(seen, each) for each in seen.on("plugins", "route", str(row["id"]))]
    return Led(
        id=str(row["id"]),
        name=row.get("name"),
        rules={name: value for name, value in fields.items() if name in RouteRules.model_fields},
        plugins=plugins,
        tags=tuple(row.get("tags") or ()),
    )


async def _standing(seen: _Seen, row: Entity) -> Standing:
    id, name = str(row["id"]), str(row["name"])
    every, own = await seen.schemas.shape("plugins"), await seen.schemas.shape(f"plugins/{name}")
    config = departures(own.of("config"), row.get("config") or {})
    fields = departures(every, {key: value for key, value in row.items() if key != "config"})
    return Standing(id, name, config, tuple(row.get("tags") or ()), _why_stands(row, fields, own, config))


def _why_stands(row: Entity, fields: Tree, shape: Shape, config: Tree) -> str:
    if row.get("enabled") is False:
        return "it is switched off"
    if _reference(row, "consumer") or _reference(row, "service"):
        return "it stands for one consumer or service alone"
    if "protocols" in fields or row.get("ordering"):
        return "it has protocols or an order of its own"
    if row["name"] not in OPEN:
        return "its config may hold what nobody may see"
    if any(_value(config, path) for path in secret_paths(shape.of("config"))):
        return "its config holds a secret"
    return ""


def _left(rows: Mapping[str, Sequence[Entity]]) -> Iterator[str]:
    """What belongs to no service: nothing is done about it, and somebody may want to know."""
    strangers = [row for row in rows["routes"] if _reference(row, "service") is None and not owner_of(row.get("tags"))]
    for row in strangers:
        yield f"Kong's route {row.get('name') or row['id']} leads to no service: it stays as it is"
    fields = ("service", "route", "consumer")
    for row in rows["plugins"]:
        if not owner_of(row.get("tags")) and not any(_reference(row, field) for field in fields):
            yield f"Kong's plugin {row['name']} stands on everything, previews included: it stays as it is"
    consumers = [str(row.get("username") or row["id"]) for row in rows["consumers"] if not owner_of(row.get("tags"))]
    if consumers:
        yield f"Kong's consumers stay as they are, with their keys and groups: {', '.join(sorted(consumers))}"


def _names(rows: Mapping[str, Sequence[Entity]]) -> dict[str, dict[str, str]]:
    keys = {"plugins": "instance_name", "consumers": "username"}
    return {
        kind.removesuffix("s"): {
            str(row[key]): str(row["id"]) for row in found if row.get(key := keys.get(kind, "name"))
        }
        for kind, found in rows.items()
    }


def _value(tree: Any, path: Sequence[str]) -> Any:
    for part in path:
        tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree


def _reference(row: Entity, field: str) -> str | None:
    id = (row.get(field) or {}).get("id")
    return str(id) if id is not None else None
