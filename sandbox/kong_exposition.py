"""The page that Prometheus scrapes: every metric of a node in Kong's order, with its help and type.

A metric without series is not printed, as with Kong. Deliberately not here: memory, which the stand-in does not have to
measure, and so nobody should look at.
"""

from collections.abc import Iterator, Mapping, Sequence

from sandbox.kong_balancer import target_health
from sandbox.kong_cluster import Node
from sandbox.kong_entities import PLUGINS
from sandbox.kong_metrics import BANDWIDTH, REQUESTS, series

HEALTH = "kong_upstream_target_health"
STATES = ("dns_error", "healthchecks_off", "healthy", "unhealthy")
PER_ROUTE = "for each service/route in Kong"
METRICS: Mapping[str, tuple[str, str]] = {  # in the order of the page
    BANDWIDTH: ("counter", "Total bandwidth (ingress/egress) throughput in bytes"),
    "kong_datastore_reachable": ("gauge", "Datastore reachable from Kong, 0 is unreachable"),
    REQUESTS: ("counter", "HTTP status codes per consumer/service/route in Kong"),
    "kong_kong_latency_ms": ("histogram", f"Latency added by Kong and enabled plugins {PER_ROUTE}"),
    "kong_nginx_connections_total": ("gauge", "Number of connections by subsystem"),
    "kong_nginx_metric_errors_total": ("counter", "Number of nginx-lua-prometheus errors"),
    "kong_nginx_requests_total": ("gauge", "Number of requests total"),
    "kong_nginx_timers": ("gauge", "Number of nginx timers"),
    "kong_node_info": ("gauge", "Kong Node metadata information"),
    "kong_request_latency_ms": ("histogram", f"Total latency incurred during requests {PER_ROUTE}"),
    "kong_upstream_latency_ms": ("histogram", f"Latency added by upstream response {PER_ROUTE}"),
    HEALTH: (
        "gauge",
        "Health status of targets of upstream. States = healthchecks_off|healthy|unhealthy|dns_error, "
        "value is 1 when state is populated.",
    ),
}


def page(node: Node, version: str) -> str:
    """The answer to `GET /metrics`."""
    found = {**own(node, version), **node.metrics.shown(), HEALTH: list(targets(node))}
    lines: list[str] = []
    for name, (kind, meaning) in METRICS.items():
        if found.get(name):
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", *found[name]]
    return "\n".join(lines) + "\n"


def own(node: Node, version: str) -> Mapping[str, Sequence[str]]:
    """What a node says of itself; connections stand still, because nobody counts them."""
    me, http = ("node_id", node.id), ("subsystem", "http")
    states = ("accepted", "active", "handled", "reading", "total", "waiting", "writing")
    count = {"total": node.counts.total}
    name = "kong_nginx_connections_total"
    return {
        "kong_datastore_reachable": [series("kong_datastore_reachable", (), 1)],
        name: [series(name, (me, http, ("state", state)), count.get(state, 0)) for state in states],
        "kong_nginx_metric_errors_total": [series("kong_nginx_metric_errors_total", (), 0)],
        "kong_nginx_requests_total": [series("kong_nginx_requests_total", (me, http), node.counts.total)],
        "kong_nginx_timers": [series("kong_nginx_timers", (("state", state),), 0) for state in ("pending", "running")],
        "kong_node_info": [series("kong_node_info", (me, ("version", version)), 1)],
    }


def targets(node: Node) -> Iterator[str]:
    """The health of every target in force, when a prometheus plugin asks for it; one of the states is 1."""
    plugins = node.cluster.store.all(PLUGINS)
    asked = [row for row in plugins if row["name"] == "prometheus" and row["enabled"]]
    if not any(row["config"]["upstream_health_metrics"] for row in asked):
        return
    rings = sorted(node.workers[0].balancers.values(), key=lambda ring: str(ring.upstream["name"]))
    for ring in rings:
        for one in ring.members:
            populated = target_health(ring, one).lower()
            for address in [f"{peer.ip}:{peer.port}" for peer in one.peers] or [""]:
                where = (("upstream", ring.upstream["name"]), ("target", one.row["target"]), ("address", address))
                for state in STATES:
                    labels = (*where, ("state", state), ("subsystem", "http"))
                    yield series(HEALTH, labels, int(state == populated))
