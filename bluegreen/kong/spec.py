"""The five kinds of Kong entity that a program may declare, field by field as Kong 3.9 names them.

The Python name of a field *is* Kong's name of it, and camelCase is only our spelling on the wire: so one generic
translation serves all five, and a new field is one line here. A field that is not given means Kong's default, today's
or tomorrow's, and is never compared. Ranges and patterns are Kong's to judge (it does, in preview already); what is
checked here is what Kong would accept and then silently do otherwise.

It deliberately leaves out layer-4 matching (`sources`, `destinations`) and client certificates.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import JsonValue, SecretStr, StringConstraints, field_validator, model_validator

from bluegreen.kong.ownership import OWNER, untag
from bluegreen.spec import Spec, State

KEY_HEADER = "apikey"  # Kong's own default name of the header that carries a key

Tag = Annotated[str, StringConstraints(pattern=r"^[^,/\t\n\x7f]+$")]
Protocol = Literal["grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp"]
Algorithm = Literal["round-robin", "least-connections", "consistent-hashing", "latency"]
HashOn = Literal["none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"]
CheckType = Literal["tcp", "http", "https", "grpc", "grpcs"]


class EntitySpec(Spec):
    """What every entity has: whose it is (kept as a tag), and further tags of the program's own.

    `owner` may be empty because an import must be able to say that nobody has marked an entity; writing it is refused.
    """

    owner: str
    tags: Sequence[Tag] | None = None

    @field_validator("tags")
    @classmethod
    def _not_the_owner(cls, tags: Sequence[str] | None) -> Sequence[str] | None:
        for text in tags or ():
            if untag(text)[0] == OWNER:
                msg = f"the tag {text!r} is written by `owner`; take it out of the tags"
                raise ValueError(msg)
        return tags


class EntityState(State):
    """What is held about an entity: Kong's uuid of it and the name it answers to."""

    id: str | None = None
    name: str = ""


class ActiveHealthy(Spec):
    """What makes a target healthy again, seen by probes."""

    interval: float | None = None
    successes: int | None = None
    http_statuses: Sequence[int] | None = None


class ActiveUnhealthy(Spec):
    """What makes a target unhealthy, seen by probes."""

    interval: float | None = None
    tcp_failures: int | None = None
    timeouts: int | None = None
    http_failures: int | None = None
    http_statuses: Sequence[int] | None = None


class Active(Spec):
    """Kong probes the targets itself; targets of weight 0 are not probed."""

    type: CheckType | None = None
    timeout: float | None = None
    concurrency: int | None = None
    http_path: str | None = None
    https_sni: str | None = None
    https_verify_certificate: bool | None = None
    headers: Mapping[str, Sequence[str]] | None = None
    healthy: ActiveHealthy | None = None
    unhealthy: ActiveUnhealthy | None = None


class PassiveHealthy(Spec):
    """What makes a target healthy again, seen by real traffic."""

    successes: int | None = None
    http_statuses: Sequence[int] | None = None


class PassiveUnhealthy(Spec):
    """What makes a target unhealthy, seen by real traffic."""

    tcp_failures: int | None = None
    timeouts: int | None = None
    http_failures: int | None = None
    http_statuses: Sequence[int] | None = None


class Passive(Spec):
    """Kong judges the targets by the answers they give to real traffic."""

    type: CheckType | None = None
    healthy: PassiveHealthy | None = None
    unhealthy: PassiveUnhealthy | None = None


class Healthchecks(Spec):
    """How Kong tells a healthy target from an unhealthy one."""

    threshold: float | None = None
    active: Active | None = None
    passive: Passive | None = None


class UpstreamSpec(EntitySpec):
    """A virtual host name that stands for targets; what stands behind it and with what weight is not written here."""

    name: str
    algorithm: Algorithm | None = None
    slots: int | None = None
    hash_on: HashOn | None = None
    hash_fallback: HashOn | None = None
    hash_on_header: str | None = None
    hash_fallback_header: str | None = None
    hash_on_cookie: str | None = None
    hash_on_cookie_path: str | None = None
    hash_on_query_arg: str | None = None
    hash_fallback_query_arg: str | None = None
    hash_on_uri_capture: str | None = None
    hash_fallback_uri_capture: str | None = None
    host_header: str | None = None
    use_srv_name: bool | None = None
    healthchecks: Healthchecks | None = None

    @field_validator("hash_on_header", "hash_fallback_header")
    @classmethod
    def _a_header_that_matches(cls, header: str | None) -> str | None:
        if header is not None and "-" in header:
            msg = (
                f"Kong 3.9 never matches a header with a dash here, so {header!r} would send everybody to one target. "
                f"Write {header.lower().replace('-', '_')!r}"
            )
            raise ValueError(msg)
        return header

    @model_validator(mode="after")
    def _algorithm_agrees(self) -> Self:
        hashed = self.hash_on not in (None, "none")
        if hashed and self.algorithm not in (None, "consistent-hashing"):
            msg = (
                f"algorithm {self.algorithm!r} cannot go with hashOn {self.hash_on!r}: Kong would silently use "
                "consistent-hashing. Leave one of them out"
            )
            raise ValueError(msg)
        if not hashed and self.algorithm == "consistent-hashing":
            msg = "algorithm 'consistent-hashing' needs hashOn: without it Kong would silently use round-robin"
            raise ValueError(msg)
        return self


class ServiceRules(Spec):
    """How Kong speaks to whoever answers, and how patient it is."""

    protocol: Protocol | None = None
    port: int | None = None
    path: str | None = None
    retries: int | None = None
    connect_timeout: int | None = None
    write_timeout: int | None = None
    read_timeout: int | None = None
    enabled: bool | None = None
    tls_verify: bool | None = None
    tls_verify_depth: int | None = None
    ca_certificates: Sequence[str] | None = None


class ServiceSpec(EntitySpec, ServiceRules):
    """Where requests go; a host that is an upstream's name goes to its targets."""

    name: str
    host: str


class RouteRules(Spec):
    """Which requests a route takes and how it passes them on."""

    protocols: Sequence[Protocol] | None = None
    methods: Sequence[str] | None = None
    hosts: Sequence[str] | None = None
    paths: Sequence[str] | None = None
    headers: Mapping[str, Sequence[str]] | None = None
    snis: Sequence[str] | None = None
    strip_path: bool | None = None
    preserve_host: bool | None = None
    path_handling: Literal["v0", "v1"] | None = None
    regex_priority: int | None = None
    request_buffering: bool | None = None
    response_buffering: bool | None = None
    https_redirect_status_code: Literal[301, 302, 307, 308, 426] | None = None


class RouteSpec(EntitySpec, RouteRules):
    """Which requests belong to a service, named in `service`."""

    name: str
    service: str | None = None


class PluginSpec(EntitySpec):
    """One plugin on a service, a route or a consumer (named), or on everything.

    `instance_name` is what it is called, `name` is what it does. A value in `config` that nobody may see is given in
    `secrets` instead, under its dotted path there: `{"redis.password": …}`.
    """

    instance_name: str
    name: str
    service: str | None = None
    route: str | None = None
    consumer: str | None = None
    enabled: bool | None = None
    protocols: Sequence[Protocol] | None = None
    config: Mapping[str, JsonValue] | None = None
    secrets: Mapping[str, SecretStr] | None = None

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        for dotted in self.secrets or {}:
            found: object = self.config or {}
            for part in dotted.split("."):
                if not part:
                    msg = f"secrets: {dotted!r} is not a dotted path in config"
                    raise ValueError(msg)
                if found is not None and not isinstance(found, Mapping):
                    msg = f"secrets: {dotted!r} leads through something in config that is not a map"
                    raise ValueError(msg)
                found = found.get(part) if isinstance(found, Mapping) else None
            if found is not None:
                msg = f"{dotted!r} is given both in config and in secrets"
                raise ValueError(msg)
        return self


class ConsumerSpec(EntitySpec):
    """Somebody who calls: the groups they belong to (ACL) and the keys they show (key-auth).

    Keys and groups that are not given at all are left alone; an empty list takes them all away.
    """

    username: str
    custom_id: str | None = None
    groups: Sequence[str] | None = None
    keys: Sequence[SecretStr] | None = None

    @field_validator("keys")
    @classmethod
    def _keys_that_are_keys(cls, keys: Sequence[SecretStr] | None) -> Sequence[SecretStr] | None:
        for position, key in enumerate(keys or ()):
            if not key.get_secret_value():
                msg = f"key {position} is empty: Kong would make one up"
                raise ValueError(msg)
        return keys
