"""A whole sandbox in good health, to plant faults in: two apps, two colours each, a way back, TLS, a migrated database.

Green served first and blue took over, so a rollback is possible; the proxy is asked over TLS, with a certificate that
can be changed while the gateway runs. `bluegreen validate` is asked as a user does, or in this process over the very
same config and the very state that Pulumi exports, which spares a Python and two engine calls for each fault.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import toolchain
from bluegreen.cli.screen import Screen
from bluegreen.cli.stack import Stack as Known
from bluegreen.cli.validate import validate
from bluegreen.cli.verb import Desk
from bluegreen.connections import connect
from bluegreen.settings import Settings
from bluegreen.validation.finding import Validation
from sandbox.asking import call
from sandbox.people import sign_up
from sandbox.stack import ROOT, TEAMS, Stack
from sandbox.stack_checks import PEOPLE
from sandbox.world import MEMBERS, Member, World, free_base
from tests.box import KONG_PACE, RAILWAY_PACE, wait
from tests.papers import certified

APPS = ("backend", "frontend")
AS_ADVISED = ("--dns-stale-ttl", "1", "--dns-order", "LAST,AAAA,A,CNAME")
GOOD_FOR = 60  # days that the proxy's certificate is good for
MEASURED = ("latency*", "kong-overhead*", "database-time*")  # takes a second, and is left out unless it is asked for
PULUMI = """#!/bin/sh
case "$1" in
    stack) cat '{exported}' ;;
    whoami) cat '{backend}' ;;
    *) exec '{pulumi}' "$@" ;;
esac
"""
NAMES = "IP:127.0.0.1,DNS:frontend.sandbox"
Config = dict[str, Any]


@dataclass
class Sound:
    """A world and a stack without a fault, and what `bluegreen validate` says of them."""

    world: World
    stack: Stack
    tls: Path
    config: dict[str, str]  # whole and in clear, as pulumi hands it out

    def said(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """`bluegreen validate` as a pipeline runs it."""
        command = [str(ROOT / "bin" / "bluegreen"), "validate", "--stack", self.stack.name, "--json", *options]
        environment = {**os.environ, **self.stack.environment()}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def looked(
        self,
        edit: Callable[[Config], None] = lambda config: None,
        *,
        environment: Mapping[str, str] | None = None,
        measured: bool = False,
    ) -> Validation:
        """The same in this process, with an edit of the config or of the environment that nobody has written down."""
        parts = {key: _parsed(text) for key, text in self.config.items()}
        edit(parts)
        config = {key: text if isinstance(text, str) else json.dumps(text) for key, text in parts.items()}
        settings = Settings.parse("velro", self.stack.name, config)
        own = {key.partition(":")[2]: text for key, text in config.items() if key.startswith("bluegreen:")}

        async def look() -> Validation:
            connections = connect(own, {**os.environ, **(environment or {})})
            screen = Screen()
            try:
                desk = Desk(Known.named(self.stack.name), settings, connections, screen)
                only, skip = (["performance"], None) if measured else (None, [*MEASURED])
                outcome = await validate(desk, group=only, skip=skip)
            finally:
                screen.leave()
                await connections.close()
            assert isinstance(outcome.facts, Validation)
            return outcome.facts

        return asyncio.run(look())

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        return call(method, self.world.admin + path, body)

    def line(self) -> "psycopg.Connection[Any]":
        """The owner of the app's tables."""
        return psycopg.connect(self.world.database_url, autocommit=True)

    @contextmanager
    def changed(self, path: str, body: Mapping[str, Any]) -> Iterator[None]:
        """An entity of Kong with these fields inside the block, and in force."""
        before = self.admin("GET", path)
        self.admin("PATCH", path, body)
        self.settled()
        try:
            yield
        finally:
            self.admin("PATCH", path, {key: before[key] for key in body})
            self.settled()

    @contextmanager
    def without(self, path: str) -> Iterator[None]:
        """Inside the block somebody has deleted this entity of Kong."""
        before = self.admin("GET", path)
        self.admin("DELETE", path)
        self.settled()
        try:
            yield
        finally:
            kept = {key: value for key, value in before.items() if key not in ("created_at", "updated_at")}
            self.admin("PUT", f"/{path.split('/')[1]}/{before['id']}", kept)
            self.settled()

    @contextmanager
    def upset(self, effect: Mapping[str, Any], *, proxy: bool = True, **where: Any) -> Iterator[None]:
        """A fault of the gateway, on clients' requests or on its Admin API."""
        at = f"{self.world.proxy if proxy else self.world.admin}/__faults/planted"
        call("PUT", at, {"where": {"times": None, **where}, "effect": effect})
        try:
            yield
        finally:
            call("DELETE", at)

    def target(self, app: str, colour: str) -> dict[str, Any]:
        rows = self.admin("GET", f"/upstreams/{app}/targets")["data"]
        return next(row for row in rows if f"colour:{colour}" in row["tags"])

    @contextmanager
    def aimed(self, app: str, colour: str, *, weight: int | None = None, tag: str = "") -> Iterator[None]:
        """A target with another weight, or one more tag."""
        row = self.target(app, colour)
        body = {**({} if weight is None else {"weight": weight}), **({"tags": [*row["tags"], tag]} if tag else {})}
        path = f"/upstreams/{app}/targets/{row['id']}"
        self.admin("PATCH", path, body)
        try:
            yield
        finally:
            self.admin("PATCH", path, {key: row[key] for key in body})

    def settled(self) -> None:
        """What was written is in force on every worker."""
        self.admin("POST", "/__settle")

    @contextmanager
    def gone(self, member: Member) -> Iterator[None]:
        """A member of the world is down."""
        self.world.stop(member)
        try:
            yield
        finally:
            self.world.start(member)

    def stop(self, app: str, colour: str) -> str:
        """Somebody stops a colour's deployment in the platform's own pages; its id."""
        rows = self.stack.exported()["deployment"]["resources"]
        ours = [row for row in rows if row["type"] == "bluegreen:railway:Service"]
        asked = {"app": app, "colour": colour}
        (id,) = [row["outputs"]["deploymentId"] for row in ours if asked.items() <= row["inputs"].items()]
        self._platform("deploymentStop", id)
        wait(lambda: f"{app}-{colour}" not in self._serving())
        return str(id)

    @contextmanager
    def stopped(self, app: str, colour: str) -> Iterator[None]:
        """The same inside the block."""
        id = self.stop(app, colour)
        try:
            yield
        finally:
            self._platform("deploymentRestart", id)
            wait(lambda: f"{app}-{colour}" in self._serving())

    def _platform(self, mutation: str, id: str) -> None:
        query = f'mutation {{ {mutation}(id: "{id}") }}'
        shown = {"Project-Access-Token": self.world.railway_token, "User-Agent": "somebody/1"}
        answer = call("POST", f"{self.world.railway_url}?q={mutation}", {"query": query}, **shown)
        assert answer.get("errors") is None, answer

    def _serving(self) -> set[str]:
        listed = call("GET", f"http://127.0.0.1:{self.world.ports.supervisor}/processes")
        return {one["group"] for one in listed if one["state"] == "serving"}

    @contextmanager
    def certificate(self, days: int) -> Iterator[None]:
        """The proxy shows another certificate by the same authority; a negative number: it has run out."""
        kept = {name: (self.tls / name).read_bytes() for name in ("server.crt", "server.key")}
        _renewed(self.tls, days)
        try:
            yield
        finally:
            for name, content in kept.items():
                _replaced(self.tls / name, content)


@contextmanager
def sound(folder: Path) -> Iterator[Sound]:
    """A fresh one, with this process in its environment."""
    tls = folder / "tls"
    chain, key = certified(tls, days=GOOD_FOR, alternative=NAMES)
    port = _free()
    kong = (*KONG_PACE, *AS_ADVISED, "--tls", str(chain), str(key), "--proxy-tls-port", str(port))
    pace: dict[Member, tuple[str, ...]] = {"kong": kong, "railway": RAILWAY_PACE}
    with World(free_base(), folder, MEMBERS, extra=pace) as world, pytest.MonkeyPatch.context() as patch:
        stack = Stack(world, toolchain.cli(), apps=APPS)
        _brought_up(stack, f"https://127.0.0.1:{port}", tls / "ca.crt")
        for name, value in stack.environment().items():
            patch.setenv(name, value)
        # What the system trusts is read anew for every client; an authority of nobody is read in a tenth of the time.
        patch.setenv("SSL_CERT_FILE", str(certified(folder / "nobody", days=1)[0]))
        patch.setenv("PATH", f"{_quick(stack, folder / 'bin')}:{os.environ['PATH']}")
        patch.chdir(ROOT)
        yield Sound(world, stack, tls, Known.named(stack.name).config())


def _brought_up(stack: Stack, proxy: str, authority: Path) -> None:
    """Green first, then blue beside it and in its place."""
    stack.config |= {"bluegreen:kongProxyUrl": proxy, "bluegreen:kongCaBundle": str(authority)}
    for app, block in stack.config["velro:apps"].items():
        block |= {"live": "green", "verify": [], "green": stack.block(app, "green", "v2")}
        del block["blue"]
    stack.config["velro:migrations"]["target"] = TEAMS
    stack.create()
    _ok(stack)
    stack.check({name: sign_up(stack.world.database_url, name) for name in PEOPLE})
    for app in APPS:
        stack.deploy(app, "blue", "v3")
    stack.shift("blue")
    _ok(stack)


def _quick(stack: Stack, folder: Path) -> Path:
    """A `pulumi` that says again what the real one has said of the state, which no fault changes."""
    folder.mkdir()
    (folder / "exported").write_text(json.dumps(stack.exported()), encoding="utf-8")
    (folder / "backend").write_text(json.dumps({"url": f"file://{stack.folder / 'state'}"}), encoding="utf-8")
    told = {"exported": folder / "exported", "backend": folder / "backend", "pulumi": stack.cli.pulumi}
    (folder / "pulumi").write_text(PULUMI.format(**told), encoding="utf-8")
    (folder / "pulumi").chmod(0o755)
    return folder


def _ok(stack: Stack) -> None:
    run = stack.up("--skip-preview")
    assert run.code == 0, run.output


def _parsed(text: str) -> Any:
    return json.loads(text) if text[:1] in ("{", "[") else text


def _renewed(tls: Path, days: int) -> None:
    """Another certificate of the authority in place of the one that is there."""
    other = tls / "other"
    other.mkdir(exist_ok=True)
    for name in ("ca.crt", "ca.key"):
        shutil.copy(tls / name, other / name)
    for file in certified(other, days=days, alternative=NAMES):
        _replaced(tls / file.name, file.read_bytes())


def _replaced(file: Path, content: bytes) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_bytes(content)
    os.replace(fresh, file)


def _free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
