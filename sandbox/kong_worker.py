"""One worker process of a Kong node: the routes and rings it believes in, and when a change comes into force there.

A worker hears of targets within milliseconds and loads everything else at its own tick
(`worker_state_update_frequency`), so workers change at different moments. Meanwhile a new or changed upstream has no
reportable balancer, and the old one keeps serving. A `lag` fault holds view updates back, in order, and lets them go
when it is disarmed; a worker that starts reads everything at once, whatever lags.

Deliberately not here: `worker_consistency: strict`.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from sandbox.kong_balancer import Balancer, Member, member, split_target
from sandbox.kong_entities import TARGETS, UPSTREAMS
from sandbox.kong_errors import Row
from sandbox.kong_log import Logs
from sandbox.kong_resolver import RETRY
from sandbox.kong_router import Router

if TYPE_CHECKING:
    from sandbox.kong_cluster import Node


class Clockwork:
    """Moments that return every `period` seconds, from a phase of its own."""

    def __init__(self, period: float, chance: random.Random) -> None:
        self._period = period
        self._phase = chance.random() * period

    def until_next(self) -> float:
        """Seconds until the next moment."""
        if self._period <= 0:
            return 0.0
        return self._period - (asyncio.get_running_loop().time() - self._phase) % self._period


class Worker:
    """One worker process of one node: what it believes the configuration to be."""

    def __init__(self, node: "Node", index: int) -> None:
        self.node = node
        self.index = index
        self.router = Router([], [], [])
        self.balancers: dict[str, Balancer] = {}  # by upstream id
        self.upstreams: dict[str, str] = {}  # upstream name -> id, as far as this worker knows
        self.logs = Logs(lambda: node.cluster.resolver, node.cluster.spawn)
        self.pending: set[str] = set()  # ids of upstreams whose change is not in force here yet
        self._tick = Clockwork(node.cluster.settings.worker_state_update_frequency, node.cluster.chance)
        self._ticking: asyncio.TimerHandle | None = None
        self._stale_router = False
        self._held: deque[Callable[[], None]] = deque()

    @property
    def number(self) -> int:
        """Counted over all nodes."""
        return self.node.index * self.node.cluster.settings.workers + self.index

    def balancer_for(self, host: str) -> Balancer | None:
        """The ring behind this host name, None if it is no upstream's name."""
        id = self.upstreams.get(host)
        return self.balancers.get(id) if id else None

    def reported(self, upstream: Row) -> Balancer | None:
        """The ring that answers for this upstream's health."""
        return None if upstream["id"] in self.pending else self.balancers.get(upstream["id"])

    # --- hearing of changes ---

    def hear_targets(self, upstream: str) -> None:
        if self.node.cluster.store.get(UPSTREAMS, upstream) is None:
            return  # they went with their upstream, whose ring serves until the tick
        rows = self.node.cluster.store.all(TARGETS, {"upstream": {"id": upstream}})
        self._come_into_force(lambda: self._load_targets(upstream, rows))

    def hear_upstream(self, upstream: str) -> None:
        self.pending.add(upstream)
        self._wait_for_tick()

    def hear_router(self) -> None:
        self._stale_router = True
        self._wait_for_tick()

    def _wait_for_tick(self) -> None:
        if self._ticking is None:
            self._ticking = self.node.cluster.later(self._tick.until_next(), self._ticked)

    def _ticked(self) -> None:
        self._ticking = None
        store = self.node.cluster.store
        if self._stale_router:
            self._stale_router = False
            self._come_into_force(partial(setattr, self, "router", self.node.cluster.compiled()))
        for id in list(self.pending):
            row = store.get(UPSTREAMS, id)
            targets = store.all(TARGETS, {"upstream": {"id": id}})
            self._come_into_force(partial(self._load_upstream, id, row, targets))

    def _come_into_force(self, apply: Callable[[], None]) -> None:
        lag = self.node.cluster.faults.lag_of(self.node.index, self.number)
        if lag <= 0 and not self._held:
            apply()
            return
        self._held.append(apply)
        self.node.cluster.later(lag, self._let_one_go)

    def _let_one_go(self) -> None:
        if self._held:
            self._held.popleft()()

    def catch_up(self) -> None:
        """Apply everything that a lag had held back."""
        while self._held:
            self._let_one_go()

    def settle(self) -> None:
        self.catch_up()
        self._ticked()
        for upstream in list(self.balancers):
            self.hear_targets(upstream)

    def load(self) -> None:
        """Believe everything that is stored now, as a process does when it starts."""
        store = self.node.cluster.store
        self.router = self.node.cluster.compiled()
        for row in store.all(UPSTREAMS):
            self._load_upstream(row["id"], row, store.all(TARGETS, {"upstream": row}))

    # --- changing the view ---

    def _load_upstream(self, id: str, row: Row | None, targets: Sequence[Row]) -> None:
        self.pending.discard(id)
        for name in [name for name, held in self.upstreams.items() if held == id]:
            del self.upstreams[name]
        if row is None:
            self.balancers.pop(id, None)
            return
        self.upstreams[row["name"]] = id
        self._build(row, targets)

    def _load_targets(self, id: str, targets: Sequence[Row]) -> None:
        balancer = self.balancers.get(id)
        if balancer is not None:
            self._build(balancer.upstream, targets)

    def _build(self, upstream: Row, targets: Sequence[Row]) -> None:
        """Put a new ring in place; the old one serves until every name has been asked for."""
        resolver = self.node.cluster.resolver
        hosts = {split_target(row["target"])[0] for row in targets}
        if any(resolver.known(host) is None for host in hosts):
            self.node.cluster.spawn(self._resolve_and_build(upstream, targets, hosts))
            return
        members = [member(row, resolver.known(split_target(row["target"])[0]) or []) for row in targets]
        self._swap(upstream, members)

    async def _resolve_and_build(self, upstream: Row, targets: Sequence[Row], hosts: set[str]) -> None:
        before = self.balancers.get(upstream["id"])
        found = {host: await self.node.cluster.resolver.resolve(host) for host in hosts}
        if self.balancers.get(upstream["id"]) is before:  # else a newer view has overtaken this one
            self._swap(upstream, [member(row, found[split_target(row["target"])[0]]) for row in targets])

    def _swap(self, upstream: Row, members: Sequence[Member]) -> None:
        ring = Balancer(upstream, members, self.node.health, self.node.cluster.chance)
        self.balancers[upstream["id"]] = ring
        if not all(one.peers for one in members):
            self.node.cluster.later(RETRY, lambda: self._again(ring))

    def _again(self, ring: Balancer) -> None:
        """Ask once more for the names that had no address."""
        if self.balancers.get(ring.upstream["id"]) is ring:
            self._build(ring.upstream, [one.row for one in ring.members])
