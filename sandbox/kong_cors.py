"""The cors plugin: what it answers to a preflight and adds to every other answer.

Kong decides by the origins of its configuration, not by the request, when there is exactly one: everybody is told of
that origin, and the browser does the rest. A preflight is answered 200 by the gateway, before any key is asked for.
"""

import re

from sandbox.kong_call import Answer, Call, Config
from sandbox.kong_checks import python_regex
from sandbox.kong_errors import Row

PLAIN = re.compile(r"[A-Za-z0-9.:/-]+")  # an origin of other characters is a regular expression
USUAL_PORTS = {"http": "80", "https": "443"}
ALLOW_ORIGIN = "Access-Control-Allow-Origin"
ALLOW_CREDENTIALS = "Access-Control-Allow-Credentials"


def cors(call: Call, plugin: Row) -> Answer | None:
    config: Config = plugin["config"]
    origin, asked = call.head.lower.get("origin"), call.head.lower.get("access-control-request-method")
    if call.method == "OPTIONS" and origin and asked:
        return None if config["preflight_continue"] else preflight(call, config, origin)
    allow(call, config, origin)
    if config["exposed_headers"]:
        call.to_client.append(("Access-Control-Expose-Headers", ",".join(config["exposed_headers"])))
    return None


def preflight(call: Call, config: Config, origin: str) -> Answer:
    allow(call, config, origin)
    wanted = call.head.lower.get("access-control-request-headers")
    headers = ",".join(config["headers"]) if config["headers"] else wanted
    if headers:
        call.to_client.append(("Access-Control-Allow-Headers", headers))
    call.to_client.append(("Access-Control-Allow-Methods", ",".join(config["methods"])))
    if config["max_age"] is not None:
        call.to_client.append(("Access-Control-Max-Age", f"{config['max_age']:g}"))
    if config["private_network"] and call.head.lower.get("access-control-request-private-network") == "true":
        call.to_client.append(("Access-Control-Allow-Private-Network", "true"))
    return Answer(200, body=b"")


def allow(call: Call, config: Config, origin: str | None) -> None:
    """Say who may read the answer; an application's own word on it is taken back."""
    origins = config["origins"] or ["*"]
    everybody = "*" in origins and (len(origins) == 1 or origin is not None)
    call.taken_back.add(ALLOW_ORIGIN.lower())
    if origins != ["*"]:
        call.to_client.append(("Vary", "Origin"))
    if everybody and config["credentials"] and origin:
        # `*` and credentials exclude each other, so the one who asks is named instead.
        call.to_client += [("Vary", "Origin")] if origins == ["*"] else []
        call.to_client += [(ALLOW_ORIGIN, origin), (ALLOW_CREDENTIALS, "true")]
        return
    allowed = "*" if everybody else chosen(origins, origin)
    if allowed is not None:
        call.to_client.append((ALLOW_ORIGIN, allowed))
    if config["credentials"] and not everybody:
        call.to_client.append((ALLOW_CREDENTIALS, "true"))


def chosen(origins: list[str], origin: str | None) -> str | None:
    """The origin to name."""
    if len(origins) == 1 and PLAIN.fullmatch(origins[0]):
        return origins[0]
    if origin is None:
        return None
    name, host = normalized(origin)
    for entry in origins:
        subject = name if ":" in entry else host
        if PLAIN.fullmatch(entry):
            if normalized(entry)[0] == name:
                return name
        elif re.match(python_regex(entry.removeprefix("^").removesuffix("$")) + "$", subject):
            return name
    return None


def normalized(origin: str) -> tuple[str, str]:
    """An origin without its scheme's usual port, and its host alone."""
    scheme, colon, rest = origin.partition("://")
    if not colon:
        return origin, origin
    host, _, port = rest.partition(":")
    usual = not port or USUAL_PORTS.get(scheme) == port
    return f"{scheme}://{host}" + ("" if usual else f":{port}"), host
