"""Faults of the platform, of what runs there, and of whoever asks it; and what keeps an update waiting."""

import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import jwt

from sandbox.people import JWT_SECRET
from tests.faults_room import Config, Sound
from tests.planted import AS_IT_IS, How, edited, fault

SHIP = "in which the file is there"
OF_RAILWAY = ("railway-*", "idle-stopped*")


@fault("the token is for another project", {"railway-token": "project token"}, hides=OF_RAILWAY)
def other_project(here: Sound) -> Iterator[How]:
    def edit(config: Config) -> None:
        config["velro:railway"]["environmentId"] = "00000000-0000-4000-8000-000000000000"

    yield edited(edit)


@fault("Railway is down", {"railway-token": "railwayUrl"}, hides=OF_RAILWAY)
def no_railway(here: Sound) -> Iterator[How]:
    with here.gone("railway"):
        yield AS_IT_IS


@fault(
    "an asset of the page is missing",
    {"assets:frontend": SHIP, "colour-assets:frontend-*": SHIP, "check:page-and-its-assets": "frontend"},
)
def no_asset(here: Sound) -> Iterator[How]:
    with here.upset({"kind": "answer", "status": 404}, path="/assets/*.js"):
        yield AS_IT_IS


@fault(
    "somebody has stopped the idle colour",
    {
        "health:backend-green": "logs",
        "rollback-answers:backend": "a rollback would find nobody",
        "railway-running:backend-green": "run pulumi refresh and pulumi up",
        "idle-stopped:backend": "pulumi refresh, then pulumi up, starts it",
    },
    hides=("release:backend-green",),
)
def dead(here: Sound) -> Iterator[How]:
    with here.stopped("backend", "green"):
        yield AS_IT_IS


@fault(
    "an endpoint is slow",
    {
        "latency:api-says-hello": "kong-overhead",
        "latency-fresh:api-says-hello": "handshake",
        "kong-overhead:api-says-hello": "plugins",
    },
    alone=True,
)
def slow(here: Sound) -> Iterator[How]:
    def edit(config: Config) -> None:
        for check in config["velro:checks"]:
            if check["name"] == "api-says-hello":
                check["thresholds"] = {"requests": 20}

    with here.upset({"kind": "slow", "seconds": 0.6}, path="/api/hello"):
        yield {"edit": edit, "measured": True}


@fault(
    "the token of a person has run out",
    {"user-token:stranger": "secrets.tokens.stranger", "check:*strangers*": "key"},
    hides=("check:*",),
)
def stale(here: Sound) -> Iterator[How]:
    def edit(config: Config) -> None:
        token = config["velro:secrets"]["tokens"]["stranger"]
        claims = jwt.decode(token, options={"verify_signature": False})
        config["velro:secrets"]["tokens"]["stranger"] = jwt.encode({**claims, "exp": 1}, JWT_SECRET, "HS256")

    yield edited(edit)


# When


@fault("releases are frozen", {"freeze-window*": "freezeOverride"})
def frozen(here: Sound) -> Iterator[How]:
    window = {"name": "always", "cron": "* * * * *", "duration": "1h", "timezone": "UTC"}
    yield edited(lambda config: config["velro:rollout"].update(freeze=[window]))


@fault("another update holds the stack", {"stack-lock": "bluegreen recover"})
def locked_stack(here: Sound) -> Iterator[How]:
    folder = here.stack.folder / "state" / ".pulumi" / "locks" / "organization" / "velro" / here.stack.name
    folder.mkdir(parents=True, exist_ok=True)
    held = {
        "pid": os.getpid(),
        "username": "ada",
        "hostname": socket.gethostname(),
        "timestamp": f"{datetime.now(UTC)}",
    }
    (folder / "0123.json").write_text(json.dumps(held), encoding="utf-8")
    try:
        yield AS_IT_IS
    finally:
        (folder / "0123.json").unlink()
