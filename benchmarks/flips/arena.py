"""Where flips are measured: a gateway, two colours behind one upstream, load on it, and an eye on what is in force.

The gateway is the sandbox's stand-in as a process of its own, or a real Kong; the colours and the load are processes
too. Everything made in a real Kong carries one name of its own and is deleted at the end. The eye is the same for
everybody: it samples the workers as bluegreen's own proof does, because no other tool brings one.
"""

import asyncio
import contextlib
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.child import Child, started
from benchmarks.flips.app import release
from benchmarks.row import NotMeasured
from bluegreen.handler import Halt
from bluegreen.http import Client
from bluegreen.kong.api import Entity, Kong
from bluegreen.kong.gateway import KongGateway
from bluegreen.measure.probe import Prober
from bluegreen.rollout.spec import Lane, Probe
from bluegreen.spec import COLOURS, Colour
from sandbox.world import World, WorldError, free_base

CONNECTIONS = 8
OWNER = "bench.flips"
PREVIEW = "X-Preview-Colour"
ROUTED, SURE = 30.0, 20  # seconds for the first routes; good answers in a row, each over a new connection
SPARE = timedelta(seconds=10)  # beyond Kong's own budget, for a machine whose cores are all taken by the load


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway: where it is configured, where clients reach it, how many nodes it has."""

    admin: str
    proxy: str
    nodes: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What the load counted so far."""

    requests: int
    failed: int
    stale: int
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Arena:
    """One upstream under load, and everything a tool needs to move its traffic."""

    name: str
    nodes: int
    kong: Kong
    admin: Client
    gateway: KongGateway
    prober: Prober
    addresses: Mapping[Colour, str]
    load: Child

    def lane(self, goal: Colour) -> Lane:
        """The upstream as bluegreen's config would have it, with this colour live."""
        probe = Probe(path=f"/{self.name}", headers={PREVIEW: {colour: colour for colour in COLOURS}})
        return Lane(upstream=self.name, live=goal, release=release(goal), addresses=self.addresses, probe=probe)

    async def rows(self) -> dict[Colour, Entity]:
        """The target rows as they are stored, by colour."""
        found = {str(row["target"]): row for row in await self.kong.targets(self.name) or ()}
        return {colour: found[address] for colour, address in self.addresses.items()}

    async def in_force(self) -> None:
        """Return once every worker serves what is stored."""
        split = await self.gateway.split(self.name)
        await self.gateway.prove(split, within=await self.gateway.budget() + SPARE, nodes=self.nodes)

    async def expects(self, colour: Colour | None) -> None:
        """From now on, requests that another colour answers are counted as stale."""
        await self.load.ask({"expects": colour})

    async def counted(self) -> Counted:
        told = await self.load.ask({"counts": True})
        return Counted(told["requests"], told["failed"], told["stale"], told["reasons"])


@contextlib.contextmanager
def stand_in(*, nodes: int, timers: Sequence[str] = ()) -> Iterator[Place]:
    """A Kong stand-in with Kong's own timers, 5 s each, unless others are given."""
    data = Path(tempfile.mkdtemp(prefix="bluegreen-bench-"))
    try:
        with World(free_base(), data, ("kong",), extra={"kong": ("--nodes", str(nodes), *timers)}) as world:
            yield Place(world.admin, world.proxy, nodes)
    except WorldError as problem:
        raise NotMeasured(str(problem)) from problem
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextlib.asynccontextmanager
async def arena(place: Place, connections: int = CONNECTIONS) -> AsyncIterator[Arena]:
    """Two colours behind this gateway, blue live, its routes in force on every worker, and the load running."""
    name = f"bench-{secrets.token_hex(4)}"
    client, asking = Client("Kong's Admin API", place.admin), Client("Kong's proxy", place.proxy)
    kong = Kong(client)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(client)
        await stack.enter_async_context(asking)
        apps = {colour: await stack.enter_async_context(started("benchmarks.flips.app", colour)) for colour in COLOURS}
        addresses: dict[Colour, str] = {colour: f"127.0.0.1:{app.told['port']}" for colour, app in apps.items()}
        stack.push_async_callback(_clear, kong, name)
        await _declare(kong, name, addresses)
        prober = Prober(asking)
        await _await_routes(prober, name)
        gateway = KongGateway(kong)
        await gateway.prove(await gateway.split(name), within=await gateway.budget() + SPARE, nodes=place.nodes)
        url = f"{place.proxy.rstrip('/')}/{name}"
        load = await stack.enter_async_context(started("benchmarks.flips.load", url, str(connections)))
        yield Arena(name, place.nodes, kong, client, gateway, prober, addresses, load)


async def _declare(kong: Kong, name: str, addresses: Mapping[Colour, str]) -> None:
    await kong.entity_upsert(f"/upstreams/{name}", {"tags": [f"owner:{OWNER}"]})
    for colour, address in addresses.items():
        host, _, port = address.rpartition(":")
        tags = [f"owner:{OWNER}", f"colour:{colour}", f"release:{release(colour)}"]
        weight = 100 if colour == "blue" else 0
        await kong.target_create(name, {"target": address, "weight": weight, "tags": tags})
        await _reach(kong, f"{name}-{colour}", name, {"host": host, "port": int(port)}, {PREVIEW: [colour]})
    await _reach(kong, name, name, {"host": name}, None)


async def _reach(
    kong: Kong, name: str, path: str, service: Entity, headers: Mapping[str, Sequence[str]] | None
) -> None:
    await kong.entity_upsert(f"/services/{name}", service)
    route: dict[str, Any] = {"paths": [f"/{path}"], "headers": headers}
    await kong.entity_upsert(f"/services/{name}/routes/{name}", route)


async def _await_routes(prober: Prober, name: str) -> None:
    """Kong's routers take up to 5 s on each worker, and no client may meet one that does not know the way."""
    wanted = [({PREVIEW: colour}, release(colour)) for colour in COLOURS] + [({}, release("blue"))]
    loop = asyncio.get_running_loop()
    end, agreeing, seen = loop.time() + ROUTED, 0, ""
    while agreeing < SURE:
        for headers, expected in wanted:
            try:
                answered, seen = await prober.release(f"/{name}", headers, "X-Release")
            except Halt as problem:
                answered, seen = None, problem.what
            agreeing = agreeing + 1 if answered == expected else 0
        if loop.time() > end:
            raise NotMeasured(f"The gateway's routes were not in force after {ROUTED:g} s: {seen}. Look at its log.")


async def _clear(kong: Kong, name: str) -> None:
    names = [name, *(f"{name}-{colour}" for colour in COLOURS)]
    for kind, which in (("routes", names), ("services", names), ("upstreams", [name])):
        for one in which:
            with contextlib.suppress(Halt):  # the gateway may be gone, and the next one still has to be tried
                await kong.entity_delete(f"/{kind}/{one}")
