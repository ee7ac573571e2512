"""A stack, a Kong and a `pulumi` that says what a test wants: what the tests of `status` and `approve` share."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import yaml

from bluegreen.cli.stack import Stack
from bluegreen.cli.verb import Desk
from bluegreen.connections import connect
from bluegreen.gateway import Hold, MoveTag, Slot
from bluegreen.kong.gateway import KongGateway
from bluegreen.settings import Settings
from bluegreen.spec import Colour
from tests.kong_room import Room, room
from tests.memory import START, Clock

T = TypeVar("T")
OWNER = "shop.test"
DIGESTS: Mapping[Colour, str] = {"blue": "a" * 64, "green": "b" * 64}
HOLD = Hold("ann@ops", START - timedelta(hours=1), "logins fail")
MARK = MoveTag("1a2b3c4d", "blue", START + timedelta(minutes=5))
# What a stand-in for the `pulumi` command does: its answers lie beside it, and it may touch Kong meanwhile.
PULUMI = """#!/bin/sh
here=${0%/*}
echo "$1" >> "$here/asked"
if [ -f "$here/$1.hangs" ]; then cat "$here/$1.out"; sleep 600; fi
if [ -f "$here/$1.calls" ]; then "$PYTHON" "$here/calls.py" "$here/$1.calls"; fi
cat "$here/$1.out"
cat "$here/$1.err" >&2
exit "$(cat "$here/$1.code")"
"""
CALLS = """import json, sys, urllib.request
for method, url, body in json.load(open(sys.argv[1])):
    sent = {"data": json.dumps(body).encode(), "headers": {"content-type": "application/json"}}
    urllib.request.urlopen(urllib.request.Request(url, method=method, **sent)).close()
"""


def block(colour: Colour, **given: Any) -> dict[str, Any]:
    return {"image": f"ghcr.io/acme/backend@sha256:{DIGESTS[colour]}", "replicas": {"us-west2": 1}, **given}


@dataclass
class Shop:
    """A project `shop` with a stack `test` on one Kong; config edits are edits of `config`."""

    folder: Path
    room: Room
    clock: Clock
    config: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    milestones: list[str] = field(default_factory=list)

    @property
    def admin(self) -> str:
        return f"http://127.0.0.1:{self.room.kong.admin_port}"

    def app(self, name: str = "backend") -> dict[str, Any]:
        found: dict[str, Any] = self.config["shop:apps"][name]
        return found

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[Desk]:
        """As the command line would lay it: the config is read from the file, without Pulumi."""
        self.write()
        stack = Stack.named("test", engine=False)
        config, _ = stack.plain_config()
        settings = Settings.parse(stack.project, stack.name, config)
        connections = connect({key.partition(":")[2]: text for key, text in config.items()}, self.environment)
        try:
            yield Desk(stack, settings, connections, self.clock)
        finally:
            await connections.close()

    def write(self) -> None:
        (self.folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
        (self.folder / "Pulumi.test.yaml").write_text(yaml.safe_dump({"config": self.config}), encoding="utf-8")

    def release(self, colour: Colour, app: str = "backend") -> str:
        config = {key: json.dumps(value) if not isinstance(value, str) else value for key, value in self.config.items()}
        return Settings.parse("shop", "test", config).release_id(app, colour)

    async def put(self, colour: Colour, weight: int, app: str = "backend", **given: Any) -> None:
        """This colour's target as it shall be, as an update would have written it."""
        slot = Slot(colour, f"{app}-{colour}.railway.internal:8000", weight, owner=OWNER)
        given = {"release": self.release(colour, app), "since": START - timedelta(days=1) if weight else None, **given}
        slot = Slot(**{name: getattr(slot, name) for name in slot.__slots__} | given)
        async with self.desk() as desk:
            gateway = KongGateway(desk.connections.kong())
            seen = (await gateway.split(app)).slots.get(colour)
            await gateway.put(app, slot, seen=seen)

    async def both(self, app: str = "backend", **green: Any) -> None:
        """Blue serves, green is there."""
        await self.room.made("PUT", f"/upstreams/{app}", {})
        await self.put("blue", 100, app)
        await self.put("green", 0, app, **green)

    def pulumi(self, **answers: Mapping[str, Any]) -> None:
        """What the stand-in for `pulumi` answers from now on, by its first argument."""
        backend = {"out": json.dumps({"url": f"file://{self.folder}/state"})}
        here = self.folder / "bin"
        here.mkdir(exist_ok=True)
        (here / "pulumi").write_text(PULUMI.replace("$PYTHON", sys.executable), encoding="utf-8")
        (here / "pulumi").chmod(0o755)
        (here / "calls.py").write_text(CALLS, encoding="utf-8")
        for verb, told in {"whoami": backend, "stack": self.exported(), **answers}.items():
            for part in ("out", "err", "code"):
                (here / f"{verb}.{part}").write_text(
                    str(told.get(part, "0" if part == "code" else "")), encoding="utf-8"
                )
            for part in ("hangs", "calls"):
                (here / f"{verb}.{part}").unlink(missing_ok=True)
                if part in told:
                    (here / f"{verb}.{part}").write_text(json.dumps(told[part]), encoding="utf-8")

    def asked(self) -> int:
        """How often Pulumi was asked for the state."""
        file = self.folder / "bin" / "asked"
        return file.read_text(encoding="utf-8").count("stack") if file.exists() else 0

    def exported(self, *resources: Mapping[str, Any]) -> dict[str, Any]:
        return {"out": json.dumps({"version": 3, "deployment": {"resources": list(resources)}})}

    def state(
        self,
        history: Any = (),
        releases: Mapping[Colour, str] | None = None,
        stopped: Mapping[Colour, Mapping[str, str]] | None = None,
        **weights: int,
    ) -> dict[str, Any]:
        """What an update has recorded of the backend."""
        shares = weights or {"blue": 100, "green": 0}
        traffic = {"live": {"backend": "blue"}, "weights": {"backend": shares}, "history": history}
        services = [
            {
                "type": "bluegreen:railway:Service",
                "inputs": {"app": "backend", "colour": colour},
                "outputs": {"releaseId": release, **_off((stopped or {}).get(colour))},
            }
            for colour, release in (releases or {}).items()
        ]
        return self.exported({"type": "bluegreen:rollout:Traffic", "outputs": traffic}, *services)

    def locked(self, pid: int = 0, host: str = "") -> None:
        """Somebody holds the stack: this test's own process, where nobody else is named."""
        folder = self.folder / "state" / ".pulumi" / "locks" / "organization" / "shop" / "test"
        folder.mkdir(parents=True, exist_ok=True)
        lock = {"pid": pid or os.getpid(), "username": "ann", "hostname": host or socket.gethostname()}
        text = json.dumps({**lock, "timestamp": "2026-03-01T02:59:00+00:00"})
        (folder / "lock.json").write_text(text, encoding="utf-8")

    async def command(self, *arguments: str, **options: Any) -> "asyncio.subprocess.Process":
        """The command line itself, beside the Kong of this loop."""
        self.write()
        root = Path(__file__).resolve().parents[1]
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            str(root / "bin" / "bluegreen"),
            *arguments,
            "--stack",
            "test",
            cwd=self.folder,
            env={**os.environ, **self.environment, "COLUMNS": "200"},
            **{"stdout": pipe, "stderr": pipe, **options},
        )


def _off(times: Mapping[str, str] | None) -> dict[str, str]:
    return {"status": "STOPPED", **times} if times is not None else {"status": "SUCCESS"}


def play(folder: Path, scene: Callable[[Shop], Awaitable[T]]) -> T:
    """A scene in a shop of its own: blue serves, green is there, and there is no `pulumi` but the shop's."""

    async def whole() -> T:
        async with room() as here:
            before, path = Path.cwd(), os.environ["PATH"]
            os.chdir(folder)
            os.environ["PATH"] = os.pathsep.join([str(folder / "bin"), *_without_pulumi(path)])
            try:
                return await scene(Shop(folder, here, Clock(), _config(here)))
            finally:
                os.chdir(before)
                os.environ["PATH"] = path

    return asyncio.run(whole())


def _without_pulumi(path: str) -> list[str]:
    return [each for each in path.split(os.pathsep) if not (Path(each) / "pulumi").exists()]


def _config(here: Room) -> dict[str, Any]:
    return {
        "shop:railway": {"projectId": "p", "environmentId": "e"},
        "shop:apps": {"backend": {"kind": "api", "live": "blue", "blue": block("blue"), "green": block("green")}},
        "bluegreen:kongAdminUrl": f"http://127.0.0.1:{here.kong.admin_port}",
    }
