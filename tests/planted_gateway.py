"""Faults of the gateway and of the traffic that it sends."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bluegreen.connections import connect
from bluegreen.gateway import Hold, MoveTag, Slot
from tests.faults_room import Config, Sound
from tests.planted import AS_IT_IS, How, edited, fault

PREVIEWS = ("health*", "release*", "colour-assets*", "live-answers*", "rollback-answers*", "preview-closed")
THROUGH_THE_PROXY = (
    *(*PREVIEWS, "proxy-reachable", "preview-key", "key-required*", "wrong-key*", "page*", "request-id*", "assets*"),
    *("users-release*", "consumer-key*", "cors-*", "check:*"),
)
OF_KONG = (
    *("gateway-*", "traffic-*", "idle-*", "rollback-*", "live-answers*", "colours-apart*", "preview-*"),
    "admin-api-closed",
)


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
    {"cors-allowed:*": "gateway.plugins.cors.origins", "gateway-kept": "pulumi refresh, then pulumi up"},
)
def origin(here: Sound) -> Iterator[How]:
    config = here.admin("GET", "/plugins/gateway-cors")["config"]
    with here.changed("/plugins/gateway-cors", {"config": {**config, "origins": ["http://elsewhere.sandbox"]}}):
        yield AS_IT_IS


@fault(
    "nobody is asked for a key any more",
    {
        "key-required:backend-api": "puts key-auth back",
        "gateway-entities": "pulumi refresh, then pulumi up",
    },
    hides=("wrong-key:backend-api", "check:gateway-asks-for-a-key"),
)
def unlocked(here: Sound) -> Iterator[How]:
    with here.without("/plugins/backend-api-key-auth"):
        yield AS_IT_IS


@fault(
    "the route of the page is gone",
    {"gateway-entities": "pulumi refresh, then pulumi up"},
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
