"""Nodes and workers: when a stored change comes into force, and where.

The store is at once; views are not. On the node that took the write, workers reload an upstream's targets within a few
milliseconds; other nodes learn of it at their next poll (`db_update_frequency`). Services, routes, plugins and upstream
entities come into force at each worker's own tick (`worker_state_update_frequency`), so workers change at different
moments. Meanwhile a new or changed upstream has no reportable balancer, and the old one keeps serving.
A `lag` fault holds a worker's view updates back, in order, and lets them go when it is disarmed.

Deliberately not here: `worker_consistency: strict` and `db_update_propagation`.
"""

import asyncio
import random
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial

from sandbox.faults import Faults
from sandbox.kong_balancer import Balancer, Member, member, split_target
from sandbox.kong_entities import ACLS, CONSUMERS, KEYS, PLUGINS, ROUTES, SERVICES, TARGETS, UPSTREAMS
from sandbox.kong_errors import Row
from sandbox.kong_health import HealthBook
from sandbox.kong_metrics import Counts, Metrics
from sandbox.kong_resolver import RETRY, Resolver
from sandbox.kong_router import Router
from sandbox.kong_store import Change, Store

EVENT = (0.0002, 0.004)  # seconds until another worker of the same node has heard of a write


@dataclass(frozen=True, slots=True)
class Settings:
    """What the gateway is started with."""

    workers: int = 2
    nodes: int = 1
    db_update_frequency: float = 5
    worker_state_update_frequency: float = 5
    metrics_flush: float = 1
    seed: int | None = None


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


@dataclass
class Credentials:
    """Who may call, by key: a node's cache of consumers, keys and groups."""

    consumers: dict[str, Row] = field(default_factory=dict)
    keys: dict[str, Row] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)


class Node:
    """One Kong node: an id, workers, and what its workers share."""

    def __init__(self, cluster: "Cluster", index: int) -> None:
        self.cluster = cluster
        self.index = index
        self.id = str(uuid.uuid4())
        self.health = HealthBook()
        self.metrics = Metrics(cluster.settings.metrics_flush)
        self.counts = Counts()
        self.counter, self.tracker = 0, str(uuid.uuid4())  # correlation-id's
        self.limits: dict[tuple[str, str, str], tuple[int, int]] = {}  # rate-limiting's: window and count
        self.credentials = Credentials()
        self.workers = [Worker(self, index) for index in range(cluster.settings.workers)]
        self._poll = Clockwork(cluster.settings.db_update_frequency, cluster.chance)
        self._polling: asyncio.TimerHandle | None = None
        self._events: list[Change] = []
        self._soon: list[asyncio.TimerHandle] = []  # announcements to the workers that are under way

    def hear(self, change: Change) -> None:
        """Learn of a write: at once if it was made here, at the next poll if on another node."""
        if change.node == self.index:
            self._learn(change)
            return
        self._events.append(change)
        if self._polling is None:
            self._polling = self.cluster.later(self._poll.until_next(), self._polled)

    def settle(self) -> None:
        self._polled()
        self._load_credentials()
        for timer in self._soon:
            timer.cancel()
        for worker in self.workers:
            worker.settle()

    def _polled(self) -> None:
        self._polling = None
        events, self._events = self._events, []
        for change in events:
            self._learn(change)

    def _learn(self, change: Change) -> None:
        if change.kind in (CONSUMERS, KEYS, ACLS):
            self._load_credentials()
            return
        now = asyncio.get_running_loop().time()
        self._soon = [timer for timer in self._soon if timer.when() > now]
        for worker in self.workers:
            if change.kind is TARGETS:
                soon = self.cluster.chance.uniform(*EVENT)
                self._soon.append(self.cluster.later(soon, partial(worker.hear_targets, change.row["upstream"]["id"])))
            elif change.kind is UPSTREAMS:
                worker.hear_upstream(change.row["id"])
            else:
                worker.hear_router()

    def _load_credentials(self) -> None:
        store = self.cluster.store
        groups: dict[str, set[str]] = {}
        for row in store.all(ACLS):
            groups.setdefault(row["consumer"]["id"], set()).add(row["group"])
        consumers = {row["id"]: row for row in store.all(CONSUMERS)}
        self.credentials = Credentials(consumers, {row["key"]: row for row in store.all(KEYS)}, groups)


class Cluster:
    """All nodes over one store, as behind one load balancer."""

    def __init__(self, settings: Settings, store: Store, faults: Faults) -> None:
        self.settings = settings
        self.store = store
        self.faults = faults
        self.chance = random.Random(settings.seed)
        self.resolver = Resolver()
        self._compiled: Router | None = None
        self.nodes = [Node(self, index) for index in range(settings.nodes)]
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        store.listen(self._changed)
        faults.on_disarm(self._catch_up)

    def any_worker(self, node: Node | None = None) -> Worker:
        """The worker that a fresh connection ends up at, on this node or on any."""
        return self.chance.choice((node or self.chance.choice(self.nodes)).workers)

    def compiled(self) -> Router:
        """The routes as they are stored now; workers that load the same ones share it."""
        if self._compiled is None:
            store = self.store
            self._compiled = Router(store.all(ROUTES), store.all(SERVICES), store.all(PLUGINS))
        return self._compiled

    def later(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        self._timers = {timer for timer in self._timers if not timer.cancelled() and timer.when() > loop.time()}
        timer = loop.call_later(seconds, act)
        self._timers.add(timer)
        return timer

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def reload(self) -> None:
        """Load everything that is stored, as workers do when they start."""
        self._compiled = None
        for node in self.nodes:
            for worker in node.workers:
                worker.pending.update(str(row["id"]) for row in self.store.all(UPSTREAMS))
                worker.hear_router()
        self.settle()

    def settle(self) -> None:
        """Bring every worker's view up to date at once, as if all moments had come."""
        for node in self.nodes:
            node.settle()

    def close(self) -> None:
        """Stop everything that would still happen."""
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()

    def _changed(self, change: Change) -> None:
        if change.kind not in (UPSTREAMS, TARGETS, CONSUMERS, KEYS, ACLS):
            self._compiled = None
        for node in self.nodes:
            node.hear(change)

    def _catch_up(self) -> None:
        for node in self.nodes:
            for worker in node.workers:
                if self.faults.lag_of(node.index, worker.number) <= 0:
                    worker.catch_up()
