"""Kong's ring over an upstream's targets: who gets the next request.

A wheel with weight/gcd entries per resolved address, shuffled per worker, so two workers spread alike but not in step;
weight 0 gets nothing, and an empty wheel is Kong's 503. Hashing picks by weighted rendezvous, which like Kong's own
continuum moves a client only towards a raised or away from a lowered target. `latency` is served as round-robin.

Deliberately not here: SRV records (one weight per address), and resolving names (the caller brings the addresses).
"""

import hashlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sandbox.kong_errors import Row
from sandbox.kong_health import HealthBook, in_use

LARGEST = 2.0**64


@dataclass(slots=True, eq=False)
class Peer:
    """One address that can answer for a target."""

    host: str
    ip: str
    port: int
    weight: int
    active: int = 0  # requests being answered

    @property
    def address(self) -> tuple[str, int]:
        return self.ip, self.port


@dataclass(frozen=True, slots=True)
class Member:
    """A target row with its addresses; none when its name could not be resolved."""

    row: Row
    peers: Sequence[Peer]


def split_target(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    return host.strip("[]"), int(port)


def member(row: Row, ips: Sequence[str]) -> Member:
    host, port = split_target(row["target"])
    return Member(row, [Peer(host, ip, port, row["weight"]) for ip in ips])


class Balancer:
    """One worker's view of one upstream, as it was when it was built."""

    def __init__(self, upstream: Row, members: Sequence[Member], health: HealthBook, chance: random.Random) -> None:
        self.upstream = upstream
        self.members = members
        self.peers = [peer for one in members for peer in one.peers]
        self.checked = in_use(upstream)
        self._health = health
        self._wheel = wheel(self.peers, chance)
        self._at = 0
        self._choose: Callable[[str], Peer | None] = {
            "consistent-hashing": self._hashed,
            "least-connections": self._least_busy,
        }.get(upstream["algorithm"], self._next)

    def pick(self, key: str = "") -> Peer | None:
        """Who answers the next request; None when nobody may."""
        if self.checked and not self.healthy():
            return None
        return self._choose(key)

    def available(self, peer: Peer) -> bool:
        return not self.checked or peer.weight == 0 or self._health.up(self.upstream["id"], peer.address)

    def healthy(self) -> bool:
        weights = self.weights(self.peers)
        threshold = self.upstream["healthchecks"]["threshold"]
        return weights["available"] > 0 and weights["available"] * 100 >= threshold * weights["total"]

    def weights(self, peers: Sequence[Peer]) -> dict[str, int]:
        total = sum(peer.weight for peer in peers)
        available = sum(peer.weight for peer in peers if self.available(peer))
        return {"total": total, "available": available, "unavailable": total - available}

    def _next(self, key: str) -> Peer | None:
        for _ in range(len(self._wheel)):
            self._at = (self._at + 1) % len(self._wheel)
            peer = self._wheel[self._at]
            if not self.checked or self.available(peer):
                return peer
        return None

    def _least_busy(self, key: str) -> Peer | None:
        able = [peer for peer in self.peers if peer.weight and self.available(peer)]
        return min(able, key=lambda peer: (peer.active + 1) / peer.weight, default=None)

    def _hashed(self, key: str) -> Peer | None:
        if not key:
            return self._next(key)
        able = [peer for peer in self.peers if peer.weight and self.available(peer)]
        return max(able, key=lambda peer: score(key, peer), default=None)


def score(key: str, peer: Peer) -> float:
    """The higher, the nearer: raising a weight wins keys for that peer and moves no other."""
    digest = hashlib.blake2b(f"{key}|{peer.ip}:{peer.port}".encode(), digest_size=8).digest()
    return -peer.weight / math.log((int.from_bytes(digest) + 1) / (LARGEST + 1))


def wheel(peers: Sequence[Peer], chance: random.Random) -> list[Peer]:
    """Every peer as often as its weight asks, in random order."""
    step = math.gcd(*(peer.weight for peer in peers)) or 1
    entries = [peer for peer in peers for _ in range(peer.weight // step)]
    chance.shuffle(entries)
    return entries


# --- what /upstreams/{u}/health says ----------------------------------------------------------------------------------


def target_health(balancer: Balancer, one: Member) -> str:
    if not one.peers:
        return "DNS_ERROR"
    if not balancer.checked or one.row["weight"] == 0:
        return "HEALTHCHECKS_OFF"
    return "HEALTHY" if any(balancer.available(peer) for peer in one.peers) else "UNHEALTHY"


def target_report(balancer: Balancer, one: Member, words: Callable[[Peer], Mapping[str, object]]) -> Row:
    """One target in force: `nodeWeight` is what this worker routes by."""
    host, port = split_target(one.row["target"])
    return {
        "host": host,
        "port": port,
        "dns": "A" if one.peers else "dns server error: 3 name error",
        "nodeWeight": one.row["weight"],
        "weight": balancer.weights(one.peers),
        "addresses": [{"ip": peer.ip, "port": peer.port, "weight": peer.weight, **words(peer)} for peer in one.peers],
    }


def targets_report(balancer: Balancer | None, stored: Sequence[Row]) -> list[Row]:
    """Each stored target with its health here; without it where this worker has no (new) balancer yet."""
    # Kong finds them by address, so a re-created row at once shows what the ring still holds for it.
    known = {one.row["target"]: one for one in balancer.members} if balancer else {}
    found = []
    for row in stored:
        one = known.get(row["target"])
        if balancer is None or one is None:
            found.append(row)
            continue
        health = target_health(balancer, one)
        report = target_report(balancer, one, partial(peer_word, balancer, health))
        found.append(row | {"health": health, "data": report})
    return found


def peer_word(balancer: Balancer, health: str, peer: Peer) -> dict[str, object]:
    if health == "HEALTHCHECKS_OFF":
        return {"health": health}
    return {"health": "HEALTHY" if balancer.available(peer) else "UNHEALTHY"}


def ring_report(balancer: Balancer) -> Row:
    """The whole ring: can it serve?"""
    serves = "HEALTHY" if balancer.healthy() else "UNHEALTHY"
    return {
        "id": balancer.upstream["id"],
        "balancer_health": serves,
        "health": serves if balancer.checked else "HEALTHCHECKS_OFF",
        "details": {
            "healthy": balancer.healthy(),
            "weight": balancer.weights(balancer.peers),
            "hosts": [
                target_report(balancer, one, lambda peer: {"healthy": balancer.available(peer)})
                for one in sorted(balancer.members, key=lambda one: float(one.row["created_at"]))
            ],
        },
    }
