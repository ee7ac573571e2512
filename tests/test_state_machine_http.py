"""The machine of test_state_machine over the wire, against the stand-in: writes get lost, break off, fail."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from bluegreen.gateway import Gateway, Slot
from bluegreen.handler import Halt
from bluegreen.http import Client
from bluegreen.kong.api import Entity, Kong
from bluegreen.kong.gateway import KongGateway
from bluegreen.spec import Colour
from tests.kong_room import room
from tests.memory import Died
from tests.test_state_machine import CALM, Traffic, other
from tests.traffic_judged import Judged


class Mortal(Kong):
    """The calls of a deployer that dies before its n-th write, between the two of a row made anew as well."""

    dies_before: int | None = None

    def _alive(self) -> None:
        if self.dies_before is not None:
            self.dies_before -= 1
            if self.dies_before < 0:
                raise Died

    async def target_create(self, upstream: str, body: Mapping[str, Any]) -> Entity:
        self._alive()
        return await super().target_create(upstream, body)

    async def target_update(self, upstream: str, row: str, body: Mapping[str, Any]) -> Entity:
        self._alive()
        return await super().target_update(upstream, row, body)

    async def target_delete(self, upstream: str, row: str) -> None:
        self._alive()
        await super().target_delete(upstream, row)


class Looked(KongGateway):
    """Kong, of which every write is looked at, whatever came of it."""

    def __init__(self, kong: Kong, judged: Judged, settle: Callable[[], None]) -> None:
        super().__init__(kong)
        self._judged, self._settle = judged, settle

    async def put(self, upstream: str, slot: Slot, *, seen: Slot | None) -> None:
        before = await self.split(upstream)
        try:
            await super().put(upstream, slot, seen=seen)
        finally:
            self._settle()
            self._judged.written(upstream, before, await self.split(upstream))

    async def renew(self, upstream: str, slot: Slot, *, seen: Slot) -> None:
        before = await self.split(upstream)
        try:
            await super().renew(upstream, slot, seen=seen)
        finally:
            self._settle()
            self._judged.written(upstream, before, await self.split(upstream))

    async def budget(self) -> timedelta:
        await super().budget()
        return timedelta(seconds=2)


class TrafficOverHttp(Traffic):
    """One app behind the stand-in, and a deployer whose calls may go wrong."""

    apps = ("backend",)

    def opened(self) -> Gateway:
        self.loop, self.open = asyncio.Runner(), AsyncExitStack()
        self.room = self.run(self.open.enter_async_context(room(workers=1)))
        client = Client("Kong's Admin API", f"http://127.0.0.1:{self.room.kong.admin_port}")
        self.kong = Mortal(self.run(self.open.enter_async_context(client)))
        self.run(self.room.made("PUT", "/upstreams/backend", {}))
        self.room.kong.cluster.settle()
        return Looked(self.kong, self.judged, self.room.kong.cluster.settle)

    def run(self, what: Any) -> Any:
        return self.loop.run(what)

    def dies(self, before: int | None) -> None:
        self.kong.dies_before = before

    def addresses(self, app: str) -> dict[Colour, str]:
        return {"blue": "127.0.0.1:9001", "green": "127.0.0.1:9002"}

    def _by_hand(self, app: str, slot: Slot, seen: Slot) -> None:
        self.run(self.room.made("PATCH", f"/upstreams/{app}/targets/{slot.row}", {"weight": slot.weight}))
        self.room.kong.cluster.settle()

    @rule(
        effect=st.sampled_from(({"kind": "lost"}, {"kind": "reset"}, {"kind": "answer", "status": 500})),
        method=st.sampled_from(("PATCH", "POST", "DELETE")),
        skip=st.integers(0, 6),
    )
    def shift_while_a_write_goes_wrong(self, effect: Mapping[str, Any], method: str, skip: int) -> None:
        where = {"method": method, "path": "/upstreams/backend/targets*", "skip": skip}
        self.run(self.room.made("PUT", "/__faults/wrong", {"where": where, "effect": effect}))
        self._edit({app: other(self.live[app]) for app in self.apps})
        with suppress(Halt):
            self._up()
        self.run(self.room.made("DELETE", "/__faults"))

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self.run(self.open.aclose())
            self.loop.close()


TestTrafficOverHttp = TrafficOverHttp.TestCase
TestTrafficOverHttp.settings = settings(CALM, max_examples=15, stateful_step_count=15)
