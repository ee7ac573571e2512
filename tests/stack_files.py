"""A real stack file on a sandbox of its own, as it is: only where things are is another (provider config), never what.

Images of a registry that is not here are served by the sandbox's own, and every service has an address of its own, so
that all of them can have the ports that the files give them. It deliberately runs nothing of the engine: that is told
by whoever asks.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

import toolchain
from sandbox.asking import call
from sandbox.stack import ROOT, Stack
from sandbox.stack_runs import Run
from sandbox.world import Member, World, free_base
from tests.box import KONG_PACE, RAILWAY_PACE

BACKEND_KEY = "sandbox-backend-key"  # of the consumer `backend`, who asks models


@dataclass(frozen=True, slots=True)
class Standing:
    """One stack file's stack, on a world that is open."""

    world: World
    stack: Stack

    def run(self, *arguments: str) -> Run:
        return self.stack.run(*arguments, **self.elsewhere())

    def up(self) -> Run:
        """An update that has to succeed."""
        run = self.run("up", "--yes", "--skip-preview")
        assert run.code == 0, run.output
        return run

    def elsewhere(self) -> dict[str, str]:
        """Provider config, and nothing else: it says where Kong, Railway and the database are."""
        return {
            "BLUEGREEN_KONG_ADMIN_URL": self.world.admin,
            "BLUEGREEN_KONG_PROXY_URL": self.world.proxy,
            "BLUEGREEN_RAILWAY_URL": self.world.railway_url,
            "BLUEGREEN_RAILWAY_POLL_SECONDS": "0.2",
        }

    def secret(self, **values: str) -> None:
        """Set these paths below `velro:secrets`, encrypted."""
        given = [part for path, value in values.items() for part in ("--secret", f"velro:secrets.{path}={value}")]
        run = self.stack.run("config", "set-all", "--path", *given)
        assert run.code == 0, run.output
        self.stack.reload()

    def rows(self, kind: str) -> dict[str, dict[str, Any]]:
        """Everything of one kind that stands in Kong, by name."""
        return {named(row): row for row in call("GET", f"{self.world.admin}/{kind}?size=1000")["data"]}


def text(name: str) -> str:
    """A stack file, with its comments."""
    return (ROOT / f"Pulumi.{name}.yaml").read_text(encoding="utf-8")


@contextmanager
def stack_file(name: str, folder: Path) -> Iterator[Standing]:
    """The stack of `Pulumi.<name>.yaml`, created and not yet up."""
    config = yaml.safe_load(text(name))["config"]
    place = config["velro:railway"]
    pace: dict[Member, tuple[str, ...]] = {"kong": KONG_PACE, "railway": RAILWAY_PACE}
    with World(
        free_base(),
        folder,
        mirror="ghcr.io/velro",
        private_network=True,
        project_id=place["projectId"],
        environment_id=place["environmentId"],
        extra=pace,
    ) as world:
        stack = Stack(world, toolchain.cli(), name=name, policies=True)
        stack.config = config
        stack.create()
        standing = Standing(world, stack)
        standing.secret(**{"consumers.backend": BACKEND_KEY})
        yield standing


def named(row: Mapping[str, Any]) -> str:
    return str(row.get("instance_name") or row["name"])


def asked(
    proxy: str, path: str, headers: dict[str, str], method: str = "GET", data: bytes | None = None
) -> tuple[int, Message]:
    """Status and headers of one answer, on the way that users take."""
    request = urllib.request.Request(proxy + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a caller's kept connection."""

    status: int
    headers: Message
    body: bytes


class Caller:
    """Somebody at one address, who asks again and again on one connection."""

    def __init__(self, proxy: str, address: str = "127.0.0.1") -> None:
        where = urlsplit(proxy).netloc
        self._line = http.client.HTTPConnection(where, timeout=10, source_address=(address, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def get(self, path: str, headers: Mapping[str, str]) -> Answer:
        self._line.request("GET", path, headers=dict(headers))
        answer = self._line.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
