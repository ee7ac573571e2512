"""Active health checks: one node's probes of the addresses that its upstreams want probed.

Each address with weight is asked `GET http_path` at its upstream's interval, a different one while it is up and while
it is down, as long as an interval above 0 asks for it. Deliberately not here: `concurrency`, probe headers, TLS.
"""

import asyncio
import time

from sandbox.kong_balancer import Balancer, Peer
from sandbox.kong_cluster import Node
from sandbox.kong_errors import Row
from sandbox.kong_health import probe_intervals
from sandbox.kong_wire import BadMessage, head_bytes, read_head

LOOKS = 0.05  # seconds between two looks for addresses that are due


async def probing(node: Node) -> None:
    """Probe for as long as the node lives."""
    due: dict[tuple[str, str, int], float] = {}
    while True:
        now = time.monotonic()
        wanted = []
        for balancer in node.workers[0].balancers.values() if node.up else ():
            intervals = probe_intervals(balancer.upstream)
            for peer in balancer.peers if any(intervals.values()) else ():
                key = (balancer.upstream["id"], peer.ip, peer.port)
                interval = intervals[balancer.available(peer)]
                if peer.weight and interval and due.get(key, 0.0) <= now:
                    due[key] = now + interval
                    wanted.append(probe(node, balancer, peer))
        await asyncio.gather(*wanted)
        await asyncio.sleep(LOOKS)


async def probe(node: Node, balancer: Balancer, peer: Peer) -> None:
    """Ask one address once and tell the node's health book."""
    upstream: Row = balancer.upstream
    active = upstream["healthchecks"]["active"]
    try:
        async with asyncio.timeout(active["timeout"] or 1):
            status = await asked(peer, active["http_path"], plain=active["type"] != "http")
    except TimeoutError:
        node.health.failed(upstream, peer.address, "timeouts", "active")
    except (OSError, BadMessage):
        node.health.failed(upstream, peer.address, "tcp_failures", "active")
    else:
        node.health.answered(upstream, peer.address, status, "active")


async def asked(peer: Peer, path: str, plain: bool) -> int:
    reader, writer = await asyncio.open_connection(peer.ip, peer.port)
    try:
        if plain:
            return 200
        writer.write(head_bytes(f"GET {path} HTTP/1.1", [("Host", peer.host), ("Connection", "close")]))
        head = await read_head(reader)
        if head is None:
            raise ConnectionResetError("closed without an answer")
        return int(head.first[1])
    finally:
        writer.close()
