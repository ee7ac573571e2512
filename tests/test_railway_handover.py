"""Deployments under load, whole: our client, the Railway stand-in over real processes, and the gateway's stand-in.

A redeployed colour hands over from process to process; a deployment to the idle colour is not felt by the live one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bluegreen.handler import Held
from bluegreen.railway.api import Railway
from bluegreen.railway.spec import ServiceSpec, ServiceState
from sandbox.load import Config, Load, Target
from sandbox.railway_clock import LaptopClock
from sandbox.railway_store import Deployment
from tests import kong_room, railway_room
from tests.railway_platform import TOKEN, FakeSupervisor, real
from tests.railway_room import Room, Screen, Traffic
from tests.test_app import free_port

LONG = 20  # seconds that the long request takes
OVERLAP, DRAINING = 2, 25


class FirstInHaste(LaptopClock):
    """Seconds as they are, but for the waits of deployments that nobody sees yet."""

    hasty = True

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds * 0.02 if self.hasty else seconds)


@dataclass
class Handover:
    """A colour or two of the backend behind the gateway, each also by its preview."""

    room: Room
    gateway: kong_room.Room
    ports: dict[str, int]

    def service(self, colour: str, tag: str, **release: Any) -> ServiceSpec:
        named = {"name": f"backend-{colour}", "colour": colour}
        return railway_room.service(tag, **named, release={"port": self.ports[colour], **release})

    async def bring(self, wanted: ServiceSpec, old: Held[ServiceState] | None = None) -> Held[ServiceState]:
        handler = self.room.handler(poll=0.2)
        if old is None:
            return await handler.create(Screen(), wanted)
        return Held(old.id, wanted.model_dump(), await handler.update(Screen(), wanted, old))

    async def routed(self) -> None:
        """All weight is blue's; each colour is reached by a header too."""
        weights = {f"backend-{colour}.railway.internal:{port}": 0 for colour, port in self.ports.items()}
        await self.gateway.routed({**weights, next(iter(weights)): 100})
        for colour, port in self.ports.items():
            service = {"host": f"backend-{colour}.railway.internal", "port": port}
            await self.gateway.made("PUT", f"/services/backend-{colour}", service)
            way = {"paths": ["/api"], "headers": {"X-Preview": [colour]}, "strip_path": False}
            await self.gateway.made("PUT", f"/services/backend-{colour}/routes/backend-{colour}", way)
        await self.gateway.made("PATCH", "/routes/api", {"strip_path": False})
        self.gateway.kong.cluster.settle()

    @asynccontextmanager
    async def load(self, folder: Path, **target: Any) -> AsyncIterator[Load]:
        url = f"http://127.0.0.1:{self.gateway.kong.proxy_port}"
        asked = Target(app="backend", url=url, path="/api/hello", rps=30, **target)
        config = Config(targets=(asked,), max_seconds=60)
        with await asyncio.to_thread(Load.start, config, folder / "load") as load:
            yield load

    def deployment(self, held: Held[ServiceState]) -> Deployment:
        found = self.room.platform.store.deployment(str(held.state.deployment_id))
        assert found is not None
        return found


@asynccontextmanager
async def handover(folder: Path, clock: LaptopClock, *colours: str) -> AsyncIterator[Handover]:
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(real(folder, clock=clock))
        gateway = await stack.enter_async_context(kong_room.room())
        railway = await stack.enter_async_context(Railway(f"{platform.address}/graphql/v2", SecretStr(TOKEN)))
        room = Room(platform, FakeSupervisor(), railway, Traffic(), Screen())
        there = Handover(room, gateway, {colour: free_port() for colour in colours})
        await there.routed()
        yield there


def test_a_redeployment_loses_no_request_and_a_20_second_request_ends_well(tmp_path: Path) -> None:
    async def run() -> None:
        clock = FirstInHaste(1.0)
        async with asyncio.timeout(90), handover(tmp_path, clock, "green") as there:
            release = {"overlapSeconds": OVERLAP, "drainingSeconds": DRAINING}
            first = await there.bring(there.service("green", "v1", **release))
            old, clock.hasty = there.deployment(first), False
            slow = {"slow_path": f"/api/slow?seconds={LONG}", "slow_every": 60, "headers": {"X-Preview": "green"}}
            async with there.load(tmp_path, **slow) as load:
                second = await there.bring(there.service("green", "v2", **release), first)
                await there.room.platform.until(old, "REMOVING")
                draining = old.status_updated_at.timestamp()
                async with asyncio.timeout(DRAINING + 5):
                    await there.room.platform.store.until(lambda: old.status == "REMOVED")
                report = await asyncio.to_thread(load.stop)
                records = load.records()
            (long,) = [record for record in records if record.kind == "slow"]
            assert (report.total.failed, report.failures) == (0, {})
            assert {record.release for record in records} == {first.state.release_id, second.state.release_id}
            assert (long.status, long.release) == (200, first.state.release_id)
            assert long.answered - long.sent >= LONG
            assert long.sent < draining < long.answered
            assert max(records, key=lambda record: record.sent).release == second.state.release_id

    asyncio.run(run())


def test_a_new_digest_on_the_idle_colour_is_not_felt_by_the_live_one(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), handover(tmp_path, LaptopClock(0.05), "blue", "green") as there:
            blue, green = await asyncio.gather(
                there.bring(there.service("blue", "v1")), there.bring(there.service("green", "v1"))
            )
            async with there.load(tmp_path) as load:
                load.serving("backend", "blue")
                load.mark("deploy")
                shipped = await there.bring(there.service("green", "v2"), green)
                await there.room.platform.until(there.deployment(green), "REMOVED")
                report = await asyncio.to_thread(load.stop)
                records = load.records()
            _, preview = await there.gateway.call("/api/hello", headers={"X-Preview": "green"})
            assert (report.total.failed, report.total.wrong_colour) == (0, 0)
            assert next(row for row in report.phases if row.name == "deploy").requests > 0
            assert {record.release for record in records} == {blue.state.release_id}
            assert str(shipped.state.release_id) in preview

    asyncio.run(run())
