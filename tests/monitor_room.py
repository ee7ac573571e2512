"""A shop whose gateway a test may break: what the tests of `monitor` share.

Kong's Admin API is the stand-in's. Its proxy is a server of this loop: past the weights the colour that a request names
answers, on the way of users the one that carries the traffic in Kong. A test says how each colour answers, by how often
users were asked: no test waits for a clock.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from bluegreen.gateway import Slot
from bluegreen.http import Client
from bluegreen.kong.api import Kong
from bluegreen.kong.gateway import KongGateway
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour
from tests.kong_room import Room, room
from tests.memory import START
from tests.published import fitting

OWNER = "shop.test"
ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60.0  # seconds after which a test that waits for an end has failed
PACE: dict[str, Any] = {
    "worker_state_update_frequency": 0.05,
    "db_update_frequency": 0.05,
}  # or no weight would ever be proved
BARE = "/usr/bin:/bin"  # no pulumi is there
HELLO = {"name": "hello", "app": "backend", "path": "/api/hello", "consumer": "web", "within": "10s"}
KEY = "key-of-web-for-tests"
PREVIEW = "key-of-previews-for-tests"
JUDGE = {
    "metrics": [{"name": "errors", "probe": {"rps": 20}, "thresholdRange": {"max": 50}}],
    "duration": "3s",
    "interval": "1s",
    "minRequests": 5,
}
Status = Callable[["Shop"], int]


def well(shop: "Shop") -> int:
    """Always."""
    return 200


@dataclass
class Shop:
    """A stack `test` of the project `shop`: green serves, blue stands by."""

    folder: Path
    room: Room
    proxy: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    answers: dict[Colour, Status] = field(default_factory=lambda: {"blue": well, "green": well})
    asked: "Counter[str]" = field(default_factory=Counter)  # by `users`, `blue`, `green`
    environment: dict[str, str] = field(default_factory=dict)
    releases: dict[Colour, str] = field(default_factory=dict)
    application: web.Application = field(default_factory=web.Application)
    runner: web.AppRunner = field(init=False)
    served: str = "green"  # as the Admin API said last; the proxy goes on without it

    @property
    def admin(self) -> str:
        return f"http://127.0.0.1:{self.room.kong.admin_port}"

    @property
    def reports(self) -> Path:
        return self.folder / "reports" / "test"

    def settings(self) -> Settings:
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in self.config.items()}
        return Settings.parse("shop", "test", texts)

    def write(self) -> None:
        (self.folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
        (self.folder / "Pulumi.test.yaml").write_text(yaml.safe_dump({"config": self.config}), encoding="utf-8")

    async def put(self, colour: Colour, weight: int, **given: Any) -> None:
        """This colour's target, as an update would have written it."""
        address = f"backend-{colour}.railway.internal:8000"
        known = {"owner": OWNER, "release": self.releases[colour], "since": START - timedelta(days=1), "proven": True}
        async with Client("Kong's Admin API", self.admin) as client:
            gateway = KongGateway(Kong(client))
            seen = (await gateway.split("backend")).slots.get(colour)
            await gateway.put("backend", Slot(colour, address, weight, **{**known, **given}), seen=seen)

    async def weights(self) -> dict[str, int]:
        _, found = await self.room.admin("GET", "/upstreams/backend/targets")
        return {_colour(row): row["weight"] for row in found["data"]}

    async def serves(self) -> str:
        """The colour that users get."""
        _, found = await self.room.admin("GET", "/upstreams/backend/targets")
        weights = {_colour(row): row["weight"] for row in (found or {}).get("data", ())}
        self.served = max(weights, key=lambda each: weights[each], default=self.served)
        return self.served

    async def start(self, *arguments: str, **options: Any) -> "asyncio.subprocess.Process":
        """`bluegreen monitor` on this stack."""
        self.write()
        pipe = asyncio.subprocess.PIPE
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "CI"))}
        return await asyncio.create_subprocess_exec(
            str(ROOT / "bin" / "bluegreen"),
            "monitor",
            "test",
            *arguments,
            cwd=self.folder,
            env={**inherited, "PATH": BARE, "COLUMNS": "200", **self.environment},
            **{"stdout": pipe, "stderr": pipe, **options},
        )

    async def run(self, *arguments: str) -> "Ran":
        """The same, to its end."""
        return await self.end(await self.start(*arguments, "--json"))

    async def end(self, process: "asyncio.subprocess.Process") -> "Ran":
        """What a watch that was started says at its end."""
        try:
            async with asyncio.timeout(PATIENCE):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert out, (err or b"").decode()
        return Ran(process.returncode or 0, fitting("monitor", out.decode()), (err or b"").decode().splitlines(), self)

    async def open(self) -> None:
        """The proxy and Kong's Admin API are there, where they were before."""
        if self.proxy:
            await self.room.admin("DELETE", "/__faults/away")
        port = int(self.proxy.rpartition(":")[2] or 0)
        self.runner = web.AppRunner(self.application, handler_cancellation=True, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", port, reuse_address=True).start()
        self.proxy = f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def close(self) -> None:
        """Neither can be reached."""
        fault = {"where": {"path": "/upstreams/*", "times": None}, "effect": {"kind": "reset"}}
        await self.room.admin("PUT", "/__faults/away", fault)
        await self.runner.cleanup()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        colour, key = request.headers.get("X-Preview-Colour", ""), request.headers.get("apikey", "")
        if key != (PREVIEW if colour else KEY):
            return web.Response(status=401)
        self.asked[colour or "users"] += 1
        side: Colour = "blue" if (colour or await self.serves()) == "blue" else "green"
        headers = {"X-Release": self.releases[side]} | ({"X-Preview": f"backend-{side}"} if colour else {})
        return web.Response(status=self.answers[side](self), headers=headers)


@dataclass
class Ran:
    """A watch that is over."""

    code: int
    outcome: dict[str, Any]
    lines: list[str]
    shop: Shop
    other: "Ran | None" = None
    page: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = self.outcome["facts"]
        return found

    def row(self, way: str) -> dict[str, Any]:
        return next(each for each in self.facts["endpoints"] if each["way"] == way)

    def alerts(self, level: str) -> list[dict[str, Any]]:
        return [each for each in self.facts["alerts"] if each["level"] == level]

    @property
    def bundle(self) -> Path:
        return self.shop.reports / str(self.facts["release"])

    def entries(self, kind: str) -> list[Mapping[str, Any]]:
        texts = [file.read_text() for file in sorted(self.bundle.glob("journal-*.ndjson"))]
        found = [json.loads(line) for text in texts for line in text.splitlines()]
        return [entry for entry in found if entry["kind"] == kind]


@asynccontextmanager
async def shop(folder: Path) -> AsyncIterator[Shop]:
    """Green serves, blue is as well as it is."""
    folder.mkdir(exist_ok=True)
    async with room(**PACE) as here:
        made = Shop(folder, here)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", made.answer)
        made.application = application
        await made.open()
        made.config = _config(made)
        settings = made.settings()
        made.releases = {colour: settings.release_id("backend", colour) for colour in COLOURS}
        await here.made("PUT", "/upstreams/backend", {})
        await made.put("blue", 0)
        await made.put("green", 100)
        try:
            yield made
        finally:
            await made.close()


def _config(made: Shop) -> dict[str, Any]:
    blocks = {
        colour: {"image": f"ghcr.io/acme/backend@sha256:{digit * 64}", "replicas": {"us-west2": 1}}
        for colour, digit in (("blue", "a"), ("green", "b"))
    }
    return {
        "shop:railway": {"projectId": "p", "environmentId": "e"},
        "shop:apps": {"backend": {"kind": "api", "live": "green", **blocks}},
        "shop:gateway": {"consumers": {"web": {}}},
        "shop:checks": [HELLO],
        "shop:rollout": {"postPromotionAnalysis": JUDGE},
        "shop:secrets": {"consumers": {"web": KEY}},
        "bluegreen:kongAdminUrl": made.admin,
        "bluegreen:kongProxyUrl": made.proxy,
        "bluegreen:previewKey": PREVIEW,
    }


def _colour(row: Mapping[str, Any]) -> str:
    return next(str(tag).partition(":")[2] for tag in row["tags"] if tag.startswith("colour:"))
