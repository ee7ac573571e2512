"""Faults to plant in a sound sandbox: what each does, which checks have to tell it, and the remedy that they name.

`against` maps a check's id (with `*` for what is new each time) to words of its hint; everything else has to stay as it
was, apart from `hides`: what cannot be asked while the fault is there. Each heals what it did.
"""

import asyncio
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import jwt
import psycopg
import pytest

from bluegreen.connections import connect
from bluegreen.gateway import Hold, MoveTag, Slot
from bluegreen.validation import database
from sandbox.people import JWT_SECRET
from sandbox.stack import ROOT
from tests.faults_room import Config, Sound

How = Mapping[str, Any]
Plant = Callable[[Sound], AbstractContextManager[How]]
AS_IT_IS: How = {}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and everything that a validation has to say of it."""

    name: str
    plant: Plant
    against: Mapping[str, str]
    hides: tuple[str, ...] = ()


FAULTS: list[Fault] = []
SHIP = "in which the file is there"
PREVIEWS = ("health*", "release*", "colour-assets*", "live-answers*", "rollback-answers*", "preview-closed")
THROUGH_THE_PROXY = (
    *(*PREVIEWS, "proxy-reachable", "preview-key", "key-required*", "wrong-key*", "page*", "request-id*", "assets*"),
    *("users-release*", "consumer-key*", "cors-*", "check:*"),
)
OF_KONG = (
    *("gateway-*", "traffic-*", "idle-*", "rollback-*", "live-answers*", "colours-apart*", "preview-*"),
    "admin-api-closed",
)
OF_RAILWAY = ("railway-*", "idle-stopped*")
OF_DATABASE = ("database-*", "migrations-*", "schema-fit*", "check:*")


def fault(
    name: str, against: Mapping[str, str], hides: tuple[str, ...] = ()
) -> Callable[[Callable[[Sound], Iterator[How]]], Plant]:
    """Keep it under this name."""

    def kept(plant: Callable[[Sound], Iterator[How]]) -> Plant:
        made = contextmanager(plant)
        FAULTS.append(Fault(name, made, against, hides))
        return made

    return kept


def edited(edit: Callable[[Config], object]) -> How:
    """Nothing is planted in the world: the config is another."""
    return {"edit": edit}


# The way in


@fault("the certificate runs out in three days", {"tls-expiry:*": "Renew the certificate"})
def runs_out(here: Sound) -> Iterator[How]:
    with here.certificate(3):
        yield AS_IT_IS


@fault("the certificate has run out", {"tls-expiry:*": "Renew the certificate"}, hides=THROUGH_THE_PROXY)
def run_out(here: Sound) -> Iterator[How]:
    with here.certificate(-1):
        yield AS_IT_IS


@fault("the certificate is for another name", {"tls-trusted:localhost*": "Use a name"}, hides=THROUGH_THE_PROXY)
def other_name(here: Sound) -> Iterator[How]:
    def edit(config: Config) -> None:
        config["bluegreen:kongProxyUrl"] = config["bluegreen:kongProxyUrl"].replace("127.0.0.1", "localhost")

    yield edited(edit)


@fault(
    "another origin is allowed in Kong",
    {"cors-allowed:*": "gateway.plugins.cors.origins", "gateway-kept": "pulumi up"},
)
def origin(here: Sound) -> Iterator[How]:
    config = here.admin("GET", "/plugins/gateway-cors")["config"]
    with here.changed("/plugins/gateway-cors", {"config": {**config, "origins": ["http://elsewhere.sandbox"]}}):
        yield AS_IT_IS


@fault(
    "nobody is asked for a key any more",
    {
        "key-required:backend-api": "puts key-auth back",
        "check:gateway-asks-for-a-key": "what the check expects",
        "gateway-entities": "pulumi up",
    },
    hides=("wrong-key:backend-api",),
)
def unlocked(here: Sound) -> Iterator[How]:
    with here.without("/plugins/backend-api-key-auth"):
        yield AS_IT_IS


@fault(
    "the route of the page is gone",
    {
        "page:frontend": "routes of frontend",
        "check:page-and-its-assets": "routes of frontend",
        "gateway-entities": "pulumi up",
    },
    hides=("*:frontend", "cors-*:frontend-web", "*:page-and-its-assets"),
)
def no_route(here: Sound) -> Iterator[How]:
    with here.without("/routes/frontend-web"):
        yield AS_IT_IS


@fault("something of ours is left over in Kong", {"gateway-orphans": "bluegreen orphans"})
def orphan(here: Sound) -> Iterator[How]:
    made = here.admin("POST", "/services", {"name": "left", "host": "left.sandbox", "tags": ["owner:velro.sandbox"]})
    try:
        yield AS_IT_IS
    finally:
        here.admin("DELETE", f"/services/{made['id']}")


@fault("another preview key is shown", {"preview-key": "bluegreen:previewKey"}, hides=PREVIEWS)
def preview_key(here: Sound) -> Iterator[How]:
    yield {"environment": {"BLUEGREEN_PREVIEW_KEY": "somebody-elses-key"}}


@fault("the gateway's Admin API does not answer", {"gateway-reachable": "bluegreen:kongAdminUrl"}, hides=OF_KONG)
def no_admin(here: Sound) -> Iterator[How]:
    yield {"environment": {"BLUEGREEN_KONG_ADMIN_URL": "http://127.0.0.1:9"}}


# Traffic


@fault("somebody has moved weight by hand", {"traffic-weights:backend": "pulumi up"}, hides=("*:backend",))
def drift(here: Sound) -> Iterator[How]:
    with here.aimed("backend", "green", weight=40), here.aimed("backend", "blue", weight=60):
        yield AS_IT_IS


@fault("the idle colour has a share", {"idle-without-traffic:backend": "pulumi up"}, hides=("*:backend",))
def share(here: Sound) -> Iterator[How]:
    with here.aimed("backend", "green", weight=5):
        yield AS_IT_IS


@fault("somebody holds an app by hand", {"traffic-hold:backend": "bluegreen hold release"}, hides=("*:backend",))
def held(here: Sound) -> Iterator[How]:
    with marked(here, lambda slot, now: {"hold": Hold("ada@vm", now, "looking at it")}):
        yield AS_IT_IS


@fault("a move was left behind", {"traffic-move:backend": "bluegreen recover"}, hides=("*:backend",))
def left(here: Sound) -> Iterator[How]:
    with marked(here, lambda slot, now: {"move": MoveTag("0123abcd", "green", now - timedelta(minutes=1))}):
        yield AS_IT_IS


@fault("the live release was rejected", {"traffic-rejected:backend": "bluegreen rollback"})
def rejected(here: Sound) -> Iterator[How]:
    with marked(here, lambda slot, now: {"rejected": True}):
        yield AS_IT_IS


@contextmanager
def marked(here: Sound, fields: Callable[[Slot, Any], dict[str, Any]]) -> Iterator[None]:
    """The backend's live target with other marks, as bluegreen itself would write them."""

    def write(fields: Callable[[Slot], Slot]) -> None:
        async def run() -> None:
            connections = connect({"kongAdminUrl": here.world.admin}, {})
            try:
                gateway = connections.gateway()
                slot = (await gateway.split("backend")).slots["blue"]
                await gateway.put("backend", fields(slot), seen=slot)
            finally:
                await connections.close()

        asyncio.run(run())

    before = here.target("backend", "blue")
    write(lambda slot: replace(slot, **fields(slot, datetime.now(UTC))))
    try:
        yield
    finally:
        here.admin("PATCH", f"/upstreams/backend/targets/{before['id']}", {"tags": before["tags"]})


@fault(
    "the preview of the idle colour leads to the live one",
    {"release:backend-green": "pulumi up", "rollback-answers:backend": "pulumi up", "gateway-entities": "pulumi up"},
)
def foreign(here: Sound) -> Iterator[How]:
    blue = here.admin("GET", "/services/backend-blue")
    with here.changed("/services/backend-green", {"host": blue["host"], "port": blue["port"]}):
        yield AS_IT_IS


# The platform


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
        "railway-running:backend-green": "run pulumi up",
        "idle-stopped:backend": "pulumi up starts it",
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


# The database


@fault(
    "the database is down",
    {"database-reachable": "bluegreen:databaseUrl", "check:*": "backend's logs"},
    hides=OF_DATABASE,
)
def no_database(here: Sound) -> Iterator[How]:
    with here.gone("postgres"):
        yield AS_IT_IS


@fault("an applied migration was edited", {"migrations-unedited:011*": "restore the file"})
def edited_migration(here: Sound) -> Iterator[How]:
    with files(here) as folder:
        (file,) = folder.glob("011_*.sql")
        file.write_text(file.read_text(encoding="utf-8") + "\n-- looked at\n", encoding="utf-8")
        yield edited(lambda config: config["velro:migrations"].update(folder=str(folder)))


@fault("a migration is pending", {"migrations-applied": "pulumi up applies it"})
def pending(here: Sound) -> Iterator[How]:
    with files(here) as folder:
        (folder / "012_more.sql").write_text("-- bluegreen:phase expand\ncreate table public.more (id bigint);\n")
        yield edited(lambda config: config["velro:migrations"].update(folder=str(folder), target="012"))


@contextmanager
def files(here: Sound) -> Iterator[Path]:
    """The migrations, in a folder of their own."""
    folder = here.tls.parent / "files"
    shutil.copytree(ROOT / "migrations", folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@fault(
    "a release needs a newer schema than there is",
    {"schema-fit:backend-blue": "a release that needs less", "migrations-applied": "pulumi up applies it"},
)
def too_new(here: Sound) -> Iterator[How]:
    with pending(here) as more:

        def edit(config: Config) -> None:
            more["edit"](config)
            config["velro:apps"]["backend"]["blue"]["schemaMin"] = "012"

        yield edited(edit)


@fault("somebody waits for a lock", {"database-locks:*": "pg_terminate_backend"})
def locked(here: Sound) -> Iterator[How]:
    with here.line() as holding, here.line() as waiting, pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "WAITING", 0.0)
        holding.execute("begin")
        holding.execute("lock table public.generation_collaborations in share update exclusive mode")
        with blocked(waiting, "lock table public.generation_collaborations in share update exclusive mode"):
            yield AS_IT_IS
            holding.execute("rollback")


@contextmanager
def blocked(line: "psycopg.Connection[Any]", statement: str) -> Iterator[None]:
    """Somebody is at this statement and does not get on."""

    def wait() -> None:
        with line.transaction():
            line.execute(statement)

    thread = Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@fault("a transaction is open for long", {"database-transactions:*": "pg_terminate_backend"})
def long_transaction(here: Sound) -> Iterator[How]:
    with here.line() as line, pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "OPEN", 0.0)
        line.execute("begin")
        line.execute("select 1")
        yield AS_IT_IS


@fault("there is no room for a second fleet", {"database-connections": "max_connections"})
def crowded(here: Sound) -> Iterator[How]:
    with ExitStack() as lines:
        for _ in range(78):
            lines.enter_context(here.line())
        yield AS_IT_IS


@fault("an index is invalid", {"database-indexes:*": "DROP INDEX CONCURRENTLY", "database-drift": "next migration"})
def invalid(here: Sound) -> Iterator[How]:
    with here.line() as line:
        line.execute("create table public.twins (id bigint)")
        line.execute("insert into public.twins values (1), (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            line.execute("create unique index concurrently twins_idx on public.twins (id)")
        try:
            yield AS_IT_IS
        finally:
            line.execute("drop table public.twins")


@fault("somebody has changed the schema by hand", {"database-drift*": "next migration"})
def by_hand(here: Sound) -> Iterator[How]:
    with here.line() as line:
        line.execute("create table public.by_hand (id bigint)")
        try:
            yield AS_IT_IS
        finally:
            line.execute("drop table public.by_hand")


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
