"""The plugins that act on a request, in Kong's order: what they refuse, add and remember.

Enforced: correlation-id, cors, key-auth, request-size-limiting, acl, rate-limiting (local policy, counted per node),
request-termination. What acts on or after the answer is in kong_transformer.py (response-transformer) and in
kong_account.py (prometheus, http-log); everything else is stored by the Admin API and has no effect here. Two
simplifications: a key in the request body (`key_in_body`) is not looked at, and a chunked body has no size that
request-size-limiting could see. cors has a module of its own.
"""

import os
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from sandbox.kong_call import Answer, Call, Config
from sandbox.kong_checks import PERIODS
from sandbox.kong_cluster import Node
from sandbox.kong_cors import cors
from sandbox.kong_errors import Row

SIZES: Mapping[str, int] = {"megabytes": 2**20, "kilobytes": 2**10, "bytes": 1}
WINDOWS: Mapping[str, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


def correlation_id(call: Call, plugin: Row) -> Answer | None:
    config: Config = plugin["config"]
    name = config["header_name"] or "Kong-Request-ID"
    given = call.head.lower.get(name.lower())
    if not given:
        given = GENERATORS[config["generator"]](call)
        call.to_upstream.append((name, given))
    if config["echo_downstream"]:
        call.to_client.append((name, given))
    return None


def counted(call: Call) -> str:
    """A uuid of the process, and how many it has named so far."""
    call.node.counter += 1
    return f"{call.node.tracker}#{call.node.counter}"


def tracked(call: Call) -> str:
    call.node.counter += 1
    return f"127.0.0.1-8000-{os.getpid()}-{call.node.counter}-1-{call.node.cluster.store.clock():.3f}"


GENERATORS: Mapping[str, Callable[[Call], str]] = {
    "uuid": lambda call: str(uuid.uuid4()),
    "uuid#counter": counted,
    "tracker": tracked,
}


def key_auth(call: Call, plugin: Row) -> Answer | None:
    config: Config = plugin["config"]
    if call.method == "OPTIONS" and not config["run_on_preflight"]:
        return None
    key = given_key(call, config)
    challenge = (("WWW-Authenticate", f'Key realm="{config["realm"]}"' if config["realm"] else "Key"),)
    credential = call.node.credentials.keys.get(key) if key else None
    if credential is not None:
        call.credential = credential
        call.consumer = call.node.credentials.consumers.get(credential["consumer"]["id"])
    elif config["anonymous"]:
        call.consumer = anonymous(call.node, config["anonymous"])
        call.to_upstream.append(("X-Anonymous-Consumer", "true"))
    elif key is None:
        return Answer(401, "No API key found in request", headers=challenge)
    else:
        return Answer(401, "Unauthorized", headers=challenge)
    call.hidden |= IDENTITY  # whoever sends these claims to be somebody
    if call.consumer is not None:
        names = (("X-Consumer-ID", "id"), ("X-Consumer-Custom-ID", "custom_id"), ("X-Consumer-Username", "username"))
        call.to_upstream += [(name, call.consumer[at]) for name, at in names if call.consumer[at]]
    if call.credential is not None:
        call.to_upstream.append(("X-Credential-Identifier", call.credential["id"]))
    return None


IDENTITY = frozenset(
    ("x-consumer-id", "x-consumer-custom-id", "x-consumer-username", "x-credential-identifier", "x-anonymous-consumer")
)


def given_key(call: Call, config: Config) -> str | None:
    query = parse_qs(call.query)
    for name in config["key_names"]:
        if config["key_in_header"] and name.lower() in call.head.lower:
            if config["hide_credentials"]:
                call.hidden.add(name.lower())
            return call.head.lower[name.lower()]
        if config["key_in_query"] and name in query:
            if config["hide_credentials"]:
                call.query = "&".join(part for part in call.query.split("&") if part.partition("=")[0] != name)
            return query[name][0]
    return None


def anonymous(node: Node, name: str) -> Row | None:
    found = node.credentials.consumers.get(name)
    return found or next((row for row in node.credentials.consumers.values() if row["username"] == name), None)


def acl(call: Call, plugin: Row) -> Answer | None:
    config: Config = plugin["config"]
    if call.consumer is None:
        return Answer(401, "Unauthorized")
    groups = call.node.credentials.groups.get(call.consumer["id"], set())
    allowed = groups & set(config["allow"]) if config["allow"] else not groups & set(config["deny"] or ())
    if not allowed:
        return Answer(403, "You cannot consume this service")
    if groups and not config["hide_groups_header"]:
        call.to_upstream.append(("X-Consumer-Groups", ", ".join(sorted(groups))))
    return None


def request_size_limiting(call: Call, plugin: Row) -> Answer | None:
    config: Config = plugin["config"]
    if "content-length" not in call.head.lower and config["require_content_length"]:
        return Answer(411, "A valid Content-Length header is required")
    if call.framing.length <= config["allowed_payload_size"] * SIZES[config["size_unit"]]:
        return None
    if call.head.lower.get("expect", "").lower() == "100-continue":
        return Answer(417, "Request size limit exceeded")
    return Answer(413, "Request size limit exceeded")


def request_termination(call: Call, plugin: Row) -> Answer | None:
    """Answered by the gateway itself; `echo` is stored and not acted on."""
    config: Config = plugin["config"]
    trigger = config["trigger"]
    if trigger and trigger.lower() not in call.head.lower and trigger not in parse_qs(call.query):
        return None
    status = config["status_code"]
    if config["body"] is not None:
        content_type = config["content_type"] or "application/json; charset=utf-8"
        return Answer(status, body=config["body"].encode(), content_type=content_type)
    message = config["message"] or DEFAULT_MESSAGES.get(status)
    return Answer(status, message) if message else Answer(status, body=b"")


# The plugin's own list: any other status ends with an empty body (Kong 3.x, plugins/request-termination/handler.lua).
DEFAULT_MESSAGES: Mapping[int, str] = {
    401: "Unauthorized",
    404: "Not found",
    405: "Method not allowed",
    500: "An unexpected error occurred",
    502: "Bad Gateway",
    503: "Service unavailable",
}


def window(period: str, now: float) -> tuple[int, int]:
    """The current window of a period: its number and the seconds until the next one."""
    if period in WINDOWS:
        size = WINDOWS[period]
        return int(now // size), size - int(now % size)
    today = datetime.fromtimestamp(now, UTC)
    if period == "month":
        following = (today.replace(day=1) + timedelta(days=32)).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        return today.year * 12 + today.month, int(following.timestamp() - now)
    following = datetime(today.year + 1, 1, 1, tzinfo=UTC)
    return today.year, int(following.timestamp() - now)


def rate_limiting(call: Call, plugin: Row) -> Answer | None:
    config: Config = plugin["config"]
    subject, now = limited(call, config), call.node.cluster.store.clock()
    states = []
    for period in PERIODS:
        if config[period] is None:
            continue
        number, rest = window(period, now)
        key = (plugin["id"], subject, period)
        counted, used = call.node.limits.get(key, (number, 0))
        used = used if counted == number else 0
        states.append((period, int(config[period]), used, rest, key, number))
    exceeded = [state for state in states if state[2] >= state[1]]
    if not exceeded:
        for _, _, used, _, key, number in states:
            call.node.limits[key] = (number, used + 1)
    shown = [(period, limit, max(0, limit - used - (not exceeded)), rest) for period, limit, used, rest, _, _ in states]
    if not config["hide_client_headers"]:
        for period, limit, remaining, _ in shown:
            name = period.capitalize()
            call.to_client += [
                (f"X-RateLimit-Limit-{name}", str(limit)),
                (f"X-RateLimit-Remaining-{name}", str(remaining)),
            ]
        _, limit, remaining, rest = min(reversed(shown), key=lambda state: state[2])  # the longest of equals
        general = (("Limit", limit), ("Remaining", remaining), ("Reset", rest))
        call.to_client += [(f"RateLimit-{name}", str(value)) for name, value in general]
    if not exceeded:
        return None
    wait = max(state[3] for state in exceeded)
    after = () if config["hide_client_headers"] else (("Retry-After", str(wait)),)
    return Answer(int(config["error_code"]), config["error_message"], headers=after)


def limited(call: Call, config: Config) -> str:
    """Whose requests are counted together."""
    by = config["limit_by"]
    if by == "service" and call.match.service:
        return str(call.match.service["id"])
    if by == "consumer" and call.consumer:
        return str(call.consumer["id"])
    if by == "credential" and call.credential:
        return str(call.credential["id"])
    if by == "header":
        return call.head.lower.get(config["header_name"].lower(), call.client)
    if by == "path" and call.path == config["path"]:
        return call.path
    return call.client


ENFORCED: Mapping[str, Callable[[Call, Row], Answer | None]] = {
    "correlation-id": correlation_id,
    "cors": cors,
    "key-auth": key_auth,
    "request-size-limiting": request_size_limiting,
    "acl": acl,
    "rate-limiting": rate_limiting,
    "request-termination": request_termination,
}


def access(call: Call) -> Answer | None:
    """Run the plugins of this call in order; the first answer ends it."""
    for name in call.match.plugins.rows:
        act = ENFORCED.get(name)
        plugin = call.match.plugins.of(name, call.who) if act else None
        if act is not None and plugin is not None:
            answer = act(call, plugin)
            if answer is not None:
                return answer
    return None
