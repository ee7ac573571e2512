"""One line of Kong's log about one request: what `kong.log.serialize` of Kong 3.9 puts together, for http-log.

The measure are Kong's own sources (pdk/log.lua and its tests) and the sample in the plugin's documentation. As there:
the values of `authorization` and `proxy-authorization` are `REDACTED`, and no others, so a key in key-auth's header or
in the query is told in clear, unless `hide_credentials` takes it away (from `uri` and `url` nothing does); request
headers are those that the application sees, with the gateway's own additions; an entity's unset fields are left out.

Deliberately not here: TLS facts, trace ids, and requests without a route (no plugin runs for them).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from sandbox.kong_call import Call, Try
from sandbox.kong_errors import Row
from sandbox.kong_wire import Header

WORKSPACE = "7f9fd312-a987-4628-b4c5-bb4f4fddd5f7"  # a real one is drawn when the database is first migrated
REDACTED = frozenset(("authorization", "proxy-authorization"))
Record = dict[str, Any]


@dataclass(slots=True)
class Outcome:
    """How a request was answered, in milliseconds and bytes."""

    status: int
    headers: Sequence[Header]
    before_body: int  # from the request's head to the answer's
    waited: float | None  # for the application's head; None when Kong itself answered
    whole: int = 0
    sent: int = 0


def record(call: Call, outcome: Outcome, id: str, began: float, port: int) -> Record:
    """The whole record; what does not apply is left out, as in Kong."""
    uri = call.head.first[1]
    host, _, own_port = call.head.lower.get("host", "").partition(":")
    told: Record = {
        "request": {
            "id": id,
            "method": call.method,
            "uri": uri,
            "url": f"{call.scheme}://{host}:{own_port or port}{uri}",
            "querystring": arguments(call.query),
            "headers": request_headers(call),
            "size": call.head.size + call.framing.length,
        },
        "upstream_uri": call.upstream_uri,
        "upstream_status": ", ".join(str(one.status) for one in call.tries if one.status is not None),
        "response": {"status": outcome.status, "headers": by_name(outcome.headers), "size": outcome.sent},
        "latencies": latencies(outcome),
        "client_ip": call.client,
        "started_at": int(began * 1000),
        "source": "kong" if outcome.waited is None else "upstream",
        "workspace": WORKSPACE,
        "workspace_name": "default",
    }
    entities = {"route": call.match.route, "service": call.match.service, "consumer": call.consumer}
    told |= {name: entity(row) for name, row in entities.items() if row is not None}
    if call.credential is not None:
        whose = call.credential["consumer"]["id"]
        told["authenticated_entity"] = {"id": call.credential["id"], "consumer_id": whose}
    if call.tries:
        told["tries"] = [shown(one, last=one is call.tries[-1]) for one in call.tries]
    return told


def latencies(outcome: Outcome) -> Record:
    waited = -1 if outcome.waited is None else int(outcome.waited)
    own = outcome.before_body - max(0, waited)
    receive = 0 if outcome.waited is None else outcome.whole - outcome.before_body
    return {"request": outcome.whole, "kong": max(0, own), "proxy": waited, "receive": max(0, receive)}


def shown(one: Try, last: bool) -> Record:
    """One attempt; that it failed is told only of those that another one followed."""
    took = one.took or 0.0
    told: Record = {
        "ip": one.ip,
        "port": one.port,
        "balancer_start": int(one.began * 1000),
        "balancer_start_ns": int(one.began * 1e9),
        "balancer_latency": int(took * 1000),
        "balancer_latency_ns": int(took * 1e9),
    }
    return told if last else told | {"state": "failed", "code": one.status}


def entity(row: Row) -> Row:
    """A row as a request's context holds it: no unset fields, and the workspace's id."""
    return {name: value for name, value in row.items() if value is not None} | {"ws_id": WORKSPACE}


def request_headers(call: Call) -> dict[str, Any]:
    replaced = call.hidden | {name.lower() for name, _ in call.to_upstream}
    kept = [header for header in call.head.headers if header[0].lower() not in replaced]
    found = by_name([*kept, *call.to_upstream])
    return found | dict.fromkeys(REDACTED & found.keys(), "REDACTED")


def by_name(headers: Iterable[Header]) -> dict[str, Any]:
    """Values by lower-case name; of a name that came more than once, a list."""
    return gathered((name.lower(), value) for name, value in headers)


def arguments(query: str) -> dict[str, Any]:
    """The query's arguments; one without a value is true, as in Kong."""
    parts = (part.partition("=") for part in query.split("&") if part)
    return gathered((unquote_plus(name), unquote_plus(value) if equals else True) for name, equals, value in parts)


def gathered(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found
