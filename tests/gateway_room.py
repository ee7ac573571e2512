"""A shop whose gateway stands as the program declares it, for tests of the verbs around a change of it.

One app on blue behind a route of its own and a preview, and both witnesses. Workers see a write when somebody sleeps
(the clock is the test's), and never where a test lets the time run out.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from bluegreen.cli.verb import Outcome
from bluegreen.coherence import FRONTS, PREVIEWS
from bluegreen.settings import Settings
from sandbox.faults import Fault
from tests import status_room
from tests.kong_room import App, application, response
from tests.published import fits
from tests.status_room import OWNER, Shop

T = TypeVar("T")
OURS, MET = [f"owner:{OWNER}"], [f"owner:{OWNER}", "part:front"]
ANN = "anns-token-of-32-characters-00001"  # who may see /api/mine
HELLO = {"name": "hello", "app": "backend", "path": "/api/hello", "within": "30s"}


@dataclass
class Here:
    """The shop, what answers in its blue colour, and as which release."""

    shop: Shop
    app: App
    release: str = ""

    async def stand(self) -> None:
        """Everything in Kong as the config has it now, but for plugins: those are the tests' own."""
        settings = await self.settings()
        self.release = settings.release_id("backend", "blue")
        await self.put("/upstreams/backend")
        await self.shop.put("blue", 100, address=f"127.0.0.1:{self.app.port}")
        await self.put("/services/backend", host="backend")
        await self.put("/services/backend-blue", host="127.0.0.1", port=self.app.port)
        way = {"paths": ["/api"], "strip_path": False}
        headers = {name: [values["blue"]] for name, values in settings.preview_headers("backend").items()}
        await self.put("/routes/backend-api", **way, service={"name": "backend"}, tags=MET)
        await self.put("/routes/backend-blue-api", **way, headers=headers, service={"name": "backend-blue"})
        await self.on("backend-blue-api", "response-transformer", {"add": {"headers": ["X-Preview:backend-blue"]}})
        for part, tags in ((PREVIEWS, OURS), (FRONTS, MET)):
            name, id = settings.witness_name(part), settings.gateway_id
            await self.put(f"/routes/{name}", paths=[settings.witness_path(part, id)], tags=tags)
            await self.on(name, "request-termination", {"status_code": 200, "message": id}, tags=tags)
        await self.put("/routes/gateway-kept", paths=["/"], headers={"X-Bluegreen-Kept": ["nobody"]}, tags=MET)
        self.settle()

    async def put(self, path: str, **body: Any) -> Any:
        return await self.shop.room.made("PUT", path, {"tags": OURS, **body})

    async def on(self, route: str, plugin: str, config: dict[str, Any], **body: Any) -> None:
        """A plugin of ours on a route of ours."""
        await self.put(f"/plugins/{route}-{plugin}", name=plugin, route={"name": route}, config=config, **body)

    async def row(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.shop.room.made("GET", path)
        return {name: value for name, value in found.items() if not name.endswith("_at")}

    async def witness(self, part: str) -> tuple[list[str], str]:
        """The paths that it has, and what it says."""
        route, plugin = await self.row(f"/routes/gateway-{part}"), f"/plugins/gateway-{part}-request-termination"
        return route["paths"], (await self.row(plugin))["config"]["message"]

    async def settings(self) -> Settings:
        async with self.shop.desk() as desk:
            return desk.settings

    async def do(self, verb: Callable[..., Awaitable[Outcome]], *given: Any, **options: Any) -> Outcome:
        async with self.shop.desk() as desk:
            return fits(getattr(verb, "__name__", ""), await verb(desk, *given, **options))

    def settle(self) -> None:
        self.shop.room.kong.cluster.settle()

    def too_late(self) -> None:
        """From now on no worker sees what is written."""

        def hour() -> None:
            self.shop.clock.at += timedelta(hours=2)

        self.shop.clock.passing = hour

    @asynccontextmanager
    async def meanwhile(self, does: Callable[[], Awaitable[object]], **where: Any) -> AsyncIterator[None]:
        """Inside the block, somebody does this while the first such request is held up."""
        faults = self.shop.room.kong.faults
        armed = faults.arm("held", Fault.model_validate({"where": where, "effect": {"kind": "hold"}}))

        async def happens() -> None:
            while not armed.hits:  # noqa: ASYNC110 -- the stand-in counts hits and tells nobody
                await asyncio.sleep(0.005)
            await does()
            faults.disarm(["held"])

        happening = asyncio.create_task(happens())
        try:
            yield
        finally:
            faults.disarm(["held"])
            assert armed.hits, "nobody asked for that"
            await happening

    def fault(self, effect: dict[str, Any], **where: Any) -> None:
        self.shop.room.kong.faults.arm("next", Fault.model_validate({"where": where, "effect": effect}))


def play(folder: Path, scene: Callable[[Here], Awaitable[T]], **config: Any) -> T:
    """A scene on this gateway; `config` are keys of the shop's stack file."""

    async def whole(shop: Shop) -> T:
        async def serve(_: App, head: str, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            stranger = "/api/mine" in head and f"Authorization: Bearer {ANN}" not in head
            status = "401 Unauthorized" if stranger else "200 OK"
            writer.write(response("hello", status, extra=f"X-Release: {here.release}\r\n"))

        async with application("blue", serve) as app:
            here = Here(shop, app)
            shop.config |= {"shop:checks": [HELLO], **{f"shop:{key}": value for key, value in config.items()}}
            shop.app()["routes"] = {"api": {"paths": ["/api"], "stripPath": False}}
            shop.config["bluegreen:kongProxyUrl"] = f"http://127.0.0.1:{shop.room.kong.proxy_port}"
            await here.stand()
            shop.clock.passing = here.settle
            return await scene(here)

    return status_room.play(folder, whole)
