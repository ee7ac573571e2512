"""What kinds of entities the Kong stand-in keeps: their schema, keys, uniqueness, parents and addresses.

One row per kind instead of code per kind, so that the store and the Admin API stay generic. Deliberately not here:
kinds that no blue/green release touches (certificates, SNIs, CA certificates, vaults, key sets, filter chains).
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sandbox.kong_checks import CHECKS, ENTITY_CHECKS, PLUGIN_CHECKS, full_target
from sandbox.kong_errors import Row
from sandbox.kong_schema import Rule, Schema

SCHEMAS = Path(__file__).parent / "schemas" / "kong"


@dataclass(frozen=True)
class Kind:
    """One kind of entity and how Kong treats it."""

    name: str
    key: str  # the field that may stand in a path beside the id
    path: str | None  # top-level path segment, None if only nested
    parents: Mapping[str, str]  # foreign field -> parent kind
    unique: tuple[tuple[str, ...], ...] = ()
    cascades: bool = True  # goes when its parent goes; otherwise it keeps the parent from going
    nested: Mapping[str, str] | None = None  # parent kind -> path segment below it
    strict: bool = False  # a delete or change of a missing one is 404 even where Kong is lenient elsewhere
    own_id_only: bool = False  # the top-level path takes ids alone

    @property
    def foreign(self) -> str:
        """The field by which others refer to this kind."""
        return self.name[:-1]


SERVICES = Kind("services", "name", "services", {}, (("name",),))
ROUTES = Kind("routes", "name", "routes", {"service": "services"}, (("name",),), False, {"services": "routes"})
UPSTREAMS = Kind("upstreams", "name", "upstreams", {}, (("name",),))
TARGETS = Kind(
    "targets",
    "target",
    None,
    {"upstream": "upstreams"},
    (("upstream", "target"),),
    True,
    {"upstreams": "targets"},
    True,
)
CONSUMERS = Kind("consumers", "username", "consumers", {}, (("username",), ("custom_id",)))
KEYS = Kind(
    "keyauth_credentials",
    "key",
    "key-auths",
    {"consumer": "consumers"},
    (("key",),),
    nested={"consumers": "key-auth"},
    strict=True,
)
ACLS = Kind(
    "acls",
    "group",
    "acls",
    {"consumer": "consumers"},
    (("consumer", "group"),),
    nested={"consumers": "acls"},
    strict=True,
    own_id_only=True,
)
PLUGINS = Kind(
    "plugins",
    "instance_name",
    "plugins",
    {"route": "routes", "service": "services", "consumer": "consumers"},
    (("instance_name",), ("name", "route", "service", "consumer")),
    nested={"services": "plugins", "routes": "plugins", "consumers": "plugins"},
)
KINDS: Mapping[str, Kind] = {
    kind.name: kind for kind in (SERVICES, ROUTES, UPSTREAMS, TARGETS, CONSUMERS, KEYS, ACLS, PLUGINS)
}

# What `GET /` says of each plugin; the list is this gateway's `plugins` property.
PRIORITIES: Mapping[str, int] = {
    "correlation-id": 100001,
    "cors": 2000,
    "key-auth": 1250,
    "ip-restriction": 990,
    "request-size-limiting": 951,
    "acl": 950,
    "rate-limiting": 910,
    "request-transformer": 801,
    "response-transformer": 800,
    "prometheus": 13,
    "http-log": 12,
    "request-termination": 2,
}


@cache
def source(file: str) -> Rule:
    """A schema as the server describes it."""
    loaded: Rule = json.loads((SCHEMAS / f"{file}.json").read_text())
    return loaded


@cache
def schema_of(kind: str) -> Schema:
    described = copy.deepcopy(source(kind))
    if kind == "keyauth_credentials":  # Kong adds `ttl` outside of the schema that it shows
        described["fields"].append({"ttl": {"type": "integer", "between": [0, 100000000]}})
    return Schema(described, CHECKS.get(kind, {}), ENTITY_CHECKS.get(kind, ()))


@cache
def plugin_schema(plugin: str) -> Schema:
    """The schema of one plugin's entity: the general one, sharpened by the plugin's own."""
    general, own = copy.deepcopy(source("plugins")), copy.deepcopy(source(f"plugin-{plugin}"))
    sharper = {name: rule for one in own["fields"] for name, rule in one.items()}
    for one in general["fields"]:
        for name in one:
            one[name] = sharper.get(name, one[name])
    general["entity_checks"] = own.get("entity_checks", [])
    checks = {**CHECKS["plugins"], **PLUGIN_CHECKS.get(plugin, {})}
    return Schema(general, checks, ENTITY_CHECKS.get(f"plugin-{plugin}", ()))


def prepared(kind: Kind, given: Row) -> Row:
    """Kong's own shorthands, before a new entity is completed."""
    given = dict(given)
    if kind is SERVICES and isinstance(given.get("url"), str):
        given |= parsed_url(given.pop("url"))
    if kind is TARGETS and isinstance(given.get("target"), str):
        given["target"] = full_target(given["target"]) or given["target"]
    return given


def parsed_url(url: str) -> Row:
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    host, colon, port = authority.partition(":")
    default = {"https": 443, "grpcs": 443, "tls": 443}.get(scheme, 80)
    return {
        "protocol": scheme,
        "host": host,
        "port": int(port) if colon and port.isdigit() else default,
        "path": slash + path if slash else None,
    }


def settled(kind: Kind, whole: Row, given: Row) -> Row:
    """An upstream's algorithm follows what it hashes on, silently; `given` is what this request asked for."""
    if kind is not UPSTREAMS:
        return whole
    if given.get("algorithm") == "least-connections":
        return whole | {"hash_on": "none"}
    if whole["hash_on"] != "none" and isinstance(whole["hash_on"], str):
        return whole | {"algorithm": "consistent-hashing"}
    if whole["algorithm"] == "consistent-hashing":
        return whole | {"algorithm": "round-robin"}
    return whole
