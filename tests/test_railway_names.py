"""How long Kong may hold on to an address that a service has left: judged by what a real Kong says of itself."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bluegreen.connections import Connections
from bluegreen.kong.dns import late, names, unfound
from bluegreen.provider import table
from tests.kong_room import room as kong_room
from tests.railway_platform import served
from tests.railway_room import Room, room, service

# What Kong 3.9.1 showed, whole; the stand-in answers with it.
RECORDED = json.loads(
    (Path(__file__).parent.parent / "sandbox" / "schemas" / "kong" / "configuration.json").read_text(encoding="utf-8")
)


def node(**changed: Any) -> dict[str, Any]:
    return {"version": "3.9.1", "configuration": {**RECORDED, **changed}}


LEFT = "Kong may send requests to an address that backend-green has left for up to"
GOES_ON = "the deployment before goes on for 20 s (overlapSeconds)."


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {},
            (
                f"{LEFT} 3600 s (dns_stale_ttl); {GOES_ON} Start Kong with KONG_DNS_STALE_TTL=4.",
                "Kong asks for no AAAA records (dns_order LAST,SRV,A,CNAME), so it cannot find an IPv6-only"
                " environment. Start Kong with KONG_DNS_ORDER=LAST,AAAA,A,CNAME.",
            ),
        ),
        (
            {"new_dns_client": True},
            (
                f"{LEFT} 3600 s (resolver_stale_ttl); {GOES_ON} Start Kong with KONG_RESOLVER_STALE_TTL=4.",
                "Kong asks for no AAAA records (resolver_family A,SRV), so it cannot find an IPv6-only environment."
                " Start Kong with KONG_RESOLVER_FAMILY=A,AAAA,SRV.",
            ),
        ),
    ],
    ids=["legacy", "new"],
)
def test_default_dns_settings_are_told_with_the_variable_to_set(changed: dict[str, Any], told: tuple[str, str]) -> None:
    found = names(node(**changed))
    assert (*late(found, "backend-green", 20), *unfound(found)) == told


def test_what_is_advised_is_told_no_more() -> None:
    legacy = names(node(dns_stale_ttl=4, dns_order=["LAST", "AAAA", "A", "CNAME"]))
    new = names(node(new_dns_client=True, resolver_stale_ttl=4, resolver_family=["A", "AAAA", "SRV"]))
    assert [(late(each, "backend-green", 20), unfound(each)) for each in (legacy, new)] == [((), ()), ((), ())]


def test_an_answer_that_is_believed_for_longer_than_it_is_good_counts_too() -> None:
    assert late(names(node(dns_valid_ttl=30, dns_stale_ttl=4)), "backend-green", 20) == (
        f"{LEFT} 34 s (dns_valid_ttl and dns_stale_ttl); {GOES_ON}"
        " Start Kong without KONG_DNS_VALID_TTL and with KONG_DNS_STALE_TTL=4.",
    )


def test_a_kong_that_shows_no_configuration_is_not_judged() -> None:
    assert [(late(each, "x", 0), unfound(each)) for each in (names({}), names({"configuration": {}}))] == [((), ())] * 2


@pytest.mark.parametrize("deploys", ["first", "again"])
def test_a_deployment_in_place_of_another_one_tells_what_it_may_cost(tmp_path: Path, deploys: str) -> None:
    async def scene(there: Room) -> None:
        async def costs(name: str, overlap: float) -> tuple[str, ...]:
            return late(names(node()), name, overlap)

        handler = there.handler(late=costs)
        held = await handler.create(there.screen, service("v1"))
        if deploys == "again":
            await handler.update(there.screen, service("v2"), held)
        told = [text for text in there.screen.milestones if text.startswith("Warning: ")]
        risk = f"Warning: {LEFT} 3600 s (dns_stale_ttl); {GOES_ON} Start Kong with KONG_DNS_STALE_TTL=4."
        assert told == ([risk] if deploys == "again" else [])

    async def run() -> None:
        async with asyncio.timeout(30), room(tmp_path) as there:
            await scene(there)

    asyncio.run(run())


def test_a_service_is_asked_for_its_release_past_the_weights_and_with_the_preview_key() -> None:
    seen: list[tuple[str, ...]] = []

    async def app(request: web.Request) -> web.Response:
        names = ("X-Preview-Colour", "X-Preview-App", "apikey")
        seen.append((request.path, *(request.headers.get(name, "") for name in names)))
        return web.Response(headers={"X-Release": "r-1"})

    async def run() -> None:
        routes = web.Application()
        routes.router.add_get("/{path}", app)
        async with served(routes) as address:
            connections = Connections({"kongProxyUrl": address, "previewKey": "k"})
            try:
                assert (await table.answers(connections)(service("v1")))[0] == "r-1"
            finally:
                await connections.close()

    asyncio.run(run())
    assert seen == [("/health", "green", "backend", "k")]


def test_what_names_may_cost_is_read_from_the_gateway() -> None:
    async def run() -> None:
        async with kong_room() as here:
            connections = Connections({"kongAdminUrl": f"http://127.0.0.1:{here.kong.admin_port}"})
            try:
                assert [risk[:26] for risk in await table.late(connections)("backend-green", 20)] == [LEFT[:26]]
                assert await table.late(connections)("backend-green", 3600) == ()
            finally:
                await connections.close()

    asyncio.run(run())
