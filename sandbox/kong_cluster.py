"""Nodes: who hears of a stored change, and when; which of them live.

The store is at once; views are not. On the node that took the write, workers hear of targets within a few
milliseconds; other nodes learn of anything at their next poll (`db_update_frequency`). What a worker makes of it is in
kong_worker.py. A node that was killed hears nothing; when it starts again, its workers load everything at once, and
what it had counted and learnt (limits, health, metrics) is gone. Only its id stays, which Kong keeps on its disk.

Deliberately not here: `db_update_propagation`.
"""

import asyncio
import random
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial

from sandbox.faults import Faults
from sandbox.kong_entities import ACLS, CONSUMERS, KEYS, PLUGINS, ROUTES, SERVICES, TARGETS, UPSTREAMS
from sandbox.kong_errors import Row
from sandbox.kong_health import HealthBook
from sandbox.kong_metrics import Counts, Metrics
from sandbox.kong_resolver import Resolver
from sandbox.kong_router import Router
from sandbox.kong_store import Change, Store
from sandbox.kong_worker import Clockwork, Worker

EVENT = (0.0002, 0.004)  # seconds until another worker of the same node has heard of a write


@dataclass(frozen=True, slots=True)
class Dns:
    """How the gateway is told to look names up: shown, and without effect, as private names keep their address here.

    Kong has two clients with settings of their own, `dns_*` and `resolver_*`; these are those of the one in use.
    """

    new_client: bool = False
    stale_ttl: int | None = None  # None: Kong's default
    order: tuple[str, ...] | None = None

    @property
    def known(self) -> frozenset[str]:
        """The entries that its order may have."""
        return frozenset({"A", "AAAA", "SRV"} if self.new_client else {"LAST", "A", "AAAA", "CNAME", "SRV"})

    def shown(self) -> Row:
        """What differs from the defaults in the configuration that `GET /` shows."""
        stale, order = ("resolver_stale_ttl", "resolver_family") if self.new_client else ("dns_stale_ttl", "dns_order")
        chosen: Row = {"new_dns_client": self.new_client}
        if self.stale_ttl is not None:
            chosen[stale] = self.stale_ttl
        if self.order is not None:
            chosen[order] = list(self.order)
        return chosen


@dataclass(frozen=True, slots=True)
class Settings:
    """What the gateway is started with."""

    workers: int = 2
    nodes: int = 1
    db_update_frequency: float = 5
    worker_state_update_frequency: float = 5
    metrics_flush: float = 1
    seed: int | None = None
    dns: Dns = Dns()


@dataclass
class Credentials:
    """Who may call, by key: a node's cache of consumers, keys and groups."""

    consumers: dict[str, Row] = field(default_factory=dict)
    keys: dict[str, Row] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)


class NoNode(ConnectionError):
    """No node of the gateway lives that could take this connection."""


class Node:
    """One Kong node: an id, workers, and what its workers share."""

    def __init__(self, cluster: "Cluster", index: int) -> None:
        self.cluster = cluster
        self.index = index
        self.id = str(uuid.uuid4())
        self.up = True
        self.counts = Counts()  # the stand-in's own, compared with a load report, so no restart of a node clears them
        self._polling: asyncio.TimerHandle | None = None
        self._soon: list[asyncio.TimerHandle] = []  # announcements to the workers that are under way
        self._begin()

    def _begin(self) -> None:
        """Know what a fresh process knows: nothing yet."""
        cluster = self.cluster
        self.health = HealthBook()
        self.metrics = Metrics(cluster.settings.metrics_flush)
        self.counter, self.tracker = 0, str(uuid.uuid4())  # correlation-id's
        self.limits: dict[tuple[str, str, str], tuple[int, int]] = {}  # rate-limiting's: window and count
        self.credentials = Credentials()
        self.workers = [Worker(self, index) for index in range(cluster.settings.workers)]
        self._poll = Clockwork(cluster.settings.db_update_frequency, cluster.chance)
        self._events: list[Change] = []

    def stop(self) -> None:
        """Hear and do nothing any more, as a killed process."""
        self.up = False
        for timer in (self._polling, *self._soon):
            if timer is not None:
                timer.cancel()
        self._polling, self._soon = None, []
        for worker in self.workers:
            worker.logs.end()

    def start(self) -> None:
        """Live again, with what is stored and nothing else."""
        self._begin()
        self.up = True
        self.load()

    def load(self) -> None:
        """Read everything that is stored, as a node does when it starts."""
        self._load_credentials()
        for worker in self.workers:
            worker.load()

    def hear(self, change: Change) -> None:
        """Learn of a write: at once if it was made here, at the next poll if on another node."""
        if not self.up:
            return
        if change.node == self.index:
            self._learn(change)
            return
        self._events.append(change)
        if self._polling is None:
            self._polling = self.cluster.later(self._poll.until_next(), self._polled)

    def settle(self) -> None:
        if not self.up:
            return
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
        """The worker that a fresh connection ends up at, on this node or on any that lives."""
        living = [one for one in self.nodes if one.up and node in (None, one)]
        if not living:
            raise NoNode
        return self.chance.choice((living[0] if node else self.chance.choice(living)).workers)

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
        """Load everything that is stored, as nodes do when they start."""
        self._compiled = None
        for node in self.nodes:
            node.load()

    def settle(self) -> None:
        """Bring every worker's view up to date at once, as if all moments had come."""
        for node in self.nodes:
            node.settle()

    def close(self) -> None:
        """Stop everything that would still happen."""
        for node in self.nodes:
            for worker in node.workers:
                worker.logs.end()
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
