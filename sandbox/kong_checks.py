"""The rules of Kong's Lua validators that its schemas do not show, with Kong's sentences.

Names, host names, targets, tags, regular expressions in paths, and the rules about several fields of a route, of
rate-limiting or of request-termination. Each check answers None, or what is wrong. A regular expression is judged by
Python's engine, so an exotic PCRE feature may be refused here although Kong takes it.
"""

import ipaddress
import re
from collections.abc import Mapping
from itertools import pairwise
from urllib.parse import unquote

from sandbox.kong_errors import Json, Row
from sandbox.kong_schema import Check, EntityCheck

HOSTNAME = re.compile(
    r"(?=.{1,255}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?"
)
WRONG_TARGET = "not a valid hostname or ip address"
COOKIE_RULE = (
    "contains one or more invalid characters. ASCII control characters (0-31;127), space, tab and the characters "
    '()<>@,;:\\"/?={}[] are not allowed.'
)


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def is_host(text: str) -> bool:
    return is_ip(text) or HOSTNAME.fullmatch(text) is not None


def name(value: Json) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9._~\-\u0080-\U0010ffff]+", value):
        return None
    return f"invalid value '{value}': the only accepted ascii characters are alphanumerics or ., -, _, and ~"


def tag(value: Json) -> str | None:
    if re.fullmatch(r"[^\x00-\x1f\x7f,/]+", value):
        return None
    return f"invalid tag '{value}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"


def host(value: Json) -> str | None:
    return None if is_host(value) else f"invalid value: {value}"


def upstream_name(value: Json) -> str | None:
    if is_ip(value):
        return f"Invalid name ('{value}'); no ip addresses allowed"
    if re.fullmatch(r".+:\d+", value):
        return f"Invalid name ('{value}'); no port allowed"
    return None if is_host(value) else f"Invalid name ('{value}'); must be a valid hostname"


def full_target(given: str) -> str | None:
    """A target with its port, 8000 if none was given; None when it is no host or address."""
    if given.count(":") > 1 and not given.startswith("["):
        address, port = f"[{given}]", "8000"
    else:
        address, _, port = given.rpartition(":") if re.search(r":\d+$", given) else (given, "", "8000")
    if not is_host(address) or not port.isdigit() or int(port) > 65535:
        return None
    return f"{address}:{port}"


def target(value: Json) -> str | None:
    return None if full_target(value) else f"Invalid target ('{value}'); {WRONG_TARGET}"


def cookie(value: Json) -> str | None:
    return COOKIE_RULE if re.search(r'[\x00-\x20\x7f()<>@,;:\\"/?={}\[\]]', value) else None


def route_host(value: Json) -> str | None:
    plain = re.sub(r":\d+$", "", value).replace("*", "wildcard")
    return None if is_host(plain) else f"invalid hostname: {value}"


def python_regex(pcre: str) -> str:
    """A PCRE of Kong's for Python, which spells named groups differently."""
    return re.sub(r"\(\?<(?![=!])", "(?P<", pcre)


PCRE_WORDS = {"missing ), unterminated subpattern": "missing closing parenthesis"}


def route_path(value: Json) -> str | None:
    if not value.startswith("~"):
        normal = unquote(value)
        return None if normal == value else f"non-normalized path, consider use '{normal}' instead"
    regex = value[1:]
    try:
        re.compile(python_regex(regex))
    except re.error as error:
        why = PCRE_WORDS.get(error.msg, error.msg)
        return f"invalid regex: '{regex}' (PCRE returned: pcre2_compile() failed: {why} in \"{regex}\")"
    return None


def route_can_match(route: Row) -> tuple[str | None, str] | None:
    """A route needs something to match on, depending on its protocol."""
    needs = {
        "https": ("methods", "hosts", "headers", "paths", "snis"),
        "http": ("methods", "hosts", "headers", "paths"),
        "grpcs": ("hosts", "headers", "paths", "snis"),
        "grpc": ("hosts", "headers", "paths"),
    }
    for protocol, fields in needs.items():
        if protocol in (route.get("protocols") or []) and not any(route.get(field) for field in fields):
            listed = ", ".join(f"'{field}'" for field in fields)
            return None, f"must set one of {listed} when 'protocols' is '{protocol}'"
        if protocol in (route.get("protocols") or []):
            return None
    return None


PERIODS = ("second", "minute", "hour", "day", "month", "year")


def limits_grow(plugin: Row) -> tuple[str | None, str] | None:
    """A longer period may not allow less than a shorter one."""
    config = plugin.get("config") or {}
    limits = [(period, config[period]) for period in PERIODS if isinstance(config.get(period), int | float)]
    for (shorter, less), (longer, more) in pairwise(limits):
        if more < less:
            sentence = f"The limit for {longer}({more:.1f}) cannot be lower than the limit for {shorter}({less:.1f})"
            return "config", sentence
    return None


def one_kind_of_answer(plugin: Row) -> tuple[str | None, str] | None:
    """What request-termination answers is a message, a body of some type, or an echo (its schema's own validator)."""
    config = plugin.get("config") or {}
    message, body, content_type = (bool(config.get(name)) for name in ("message", "body", "content_type"))
    if message and (content_type or body):
        return "config", "message cannot be used with content_type or body"
    if content_type and not body:
        return "config", "content_type requires a body"
    if config.get("echo") and (content_type or body):
        return "config", "echo cannot be used with content_type and body"
    return None


def ip_range(value: Json) -> str | None:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return f"invalid ip or cidr range: '{value}'"
    return None


def url(value: Json) -> str | None:
    return None if re.match(r"[a-z]+://[^/]+", value) else "missing host in url"


CHECKS: Mapping[str, Mapping[str, Check]] = {
    "services": {"name": name, "host": host, "tags.*": tag},
    "routes": {"name": name, "paths.*": route_path, "hosts.*": route_host, "tags.*": tag},
    "upstreams": {"name": upstream_name, "hash_on_cookie": cookie, "host_header": host, "tags.*": tag},
    "targets": {"target": target, "tags.*": tag},
    "consumers": {"tags.*": tag},
    "keyauth_credentials": {"tags.*": tag},
    "acls": {"tags.*": tag},
    "plugins": {
        "instance_name": name,
        "tags.*": tag,
        "config.http_endpoint": url,
    },
}
ENTITY_CHECKS: Mapping[str, tuple[EntityCheck, ...]] = {
    "routes": (route_can_match,),
    "plugin-rate-limiting": (limits_grow,),
    "plugin-request-termination": (one_kind_of_answer,),
}
PLUGIN_CHECKS: Mapping[str, Mapping[str, Check]] = {
    "ip-restriction": {"config.allow.*": ip_range, "config.deny.*": ip_range},
}
