"""How a round asks: few at once, so that nobody waits for a neighbour; and whoever hangs keeps nobody from asking."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from bluegreen.http import Client
from bluegreen.journal import Beat
from bluegreen.measure.spec import Check
from bluegreen.monitor import asking
from bluegreen.monitor.endpoint import Endpoint
from tests.memory import Clock

MANY = 20


@dataclass
class App:
    """Answers once `needed` questions have come; counts how many stood in its door at the same time."""

    needed: int
    come: int = 0
    inside: int = 0
    most: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        self.come, self.inside = self.come + 1, self.inside + 1
        self.most = max(self.most, self.inside)
        if self.come >= self.needed:
            self.enough.set()
        await self.enough.wait()
        await asyncio.sleep(0.01)
        self.inside -= 1
        return web.Response()


async def asked(app: App) -> Sequence[Beat]:
    application = web.Application()
    application.router.add_get("/{tail:.*}", app.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        checks = [
            Check.model_validate({"name": f"ask-{at}", "app": "shop", "path": f"/{at}", "within": "30s"})
            for at in range(MANY)
        ]
        async with Client("the proxy", f"http://127.0.0.1:{runner.addresses[0][1]}") as gateway:
            return await asking.Asker(gateway, Clock()).round([Endpoint(check, "users", {}) for check in checks])
    finally:
        await runner.cleanup()


def test_so_few_are_asked_at_once_that_none_is_slow_by_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "UNHURRIED", 60.0)  # however slow this machine is, none of them hangs
    app = App(needed=asking.AT_ONCE)
    beats = asyncio.run(asked(app))
    assert [""] * MANY == [beat.fault for beat in beats]
    assert [f"ask-{at}" for at in range(MANY)] == [beat.endpoint for beat in beats]
    assert asking.AT_ONCE == app.most == 4


def test_who_hangs_keeps_nobody_from_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "UNHURRIED", 0.01)
    app = App(needed=MANY)  # none is answered before all of them have asked
    beats = asyncio.run(asked(app))
    assert [""] * MANY == [beat.fault for beat in beats]
    assert MANY == app.most
