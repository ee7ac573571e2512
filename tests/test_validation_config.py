"""The checks that need little more than the config, a clock and what a node says of itself: each passes and fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bluegreen.standing import Recorded
from bluegreen.validation import looking, queries
from bluegreen.validation.finding import Finding
from bluegreen.validation.register import register
from tests.railway_platform import served
from tests.status_room import Shop, play
from tests.validation_room import INFRASTRUCTURE, Found, asked, config, once, parsed, room, wrong

FREEZE = {"name": "nights", "cron": "0 2 * * *", "duration": "2h"}  # the clock of tests says 03:00
NODE: dict[str, Any] = {
    "version": "3.9.1",
    "configuration": {"database": "postgres", "role": "traditional", "dns_stale_ttl": 4, "dns_order": ["LAST", "AAAA"]},
    "plugins": {"available_on_server": {"request-termination": True, "response-transformer": True}},
}


def two(blue: dict[str, Any], green: dict[str, Any]) -> dict[str, Any]:
    """Both colours of the app, with these fields more."""
    keys = config()
    block = keys["apps"]["backend"]["blue"]
    keys["apps"]["backend"] |= {"blue": {**block, **blue}, "green": {**block, **green}}
    return keys


def look(keys: dict[str, Any], *only: str, stack: str = "test", **given: Any) -> Found:
    return asyncio.run(once(parsed(keys, stack), given.pop("values", {}), *only, **given))


def the_only(found: Found, id: str, remedy: str, status: str = "warn") -> Finding:
    assert [(id, status)] == [(each, finding.status) for each, finding in wrong(found).items()], wrong(found)
    (finding,) = wrong(found).values()
    assert remedy in finding.hint
    return finding


def test_there_are_sixty_checks_of_infrastructure_each_with_a_name_of_its_own_and_a_remedy() -> None:
    ours = [each for each in register() if each.group in INFRASTRUCTURE]
    assert len(ours) >= 60
    assert len({each.id for each in ours}) == len(ours)
    assert all(each.hint and each.expected for each in ours)


def test_what_cannot_be_asked_is_skipped_with_a_reason_and_never_passes() -> None:
    found = look(
        config(), *(each.id for each in register() if each.group in ("gateway", "traffic", "rollback", "idle"))
    )
    the_only(found, "gateway-reachable", "Set bluegreen:kongAdminUrl", "fail")
    assert {"skipped"} == {each.status for id, each in found.items() if id != "gateway-reachable"}
    assert all(each.observed for each in found.values())


COLOURS = ("colours-drain", "colours-configured", "colours-replicas", "colours-variables")


def test_two_colours_that_are_configured_well_pass() -> None:
    well = {"replicas": {"us-west2": 2}, "variables": {"LOG": "info"}}
    found = look(two(well, well), *COLOURS, stack="production")
    assert {"pass"} == {each.status for each in found.values()}, found


@pytest.mark.parametrize("field", ["overlapSeconds", "drainingSeconds"])
def test_a_colour_that_cuts_requests_off_is_a_warning(field: str) -> None:
    finding = the_only(look(two({}, {field: 0}), *COLOURS), f"colours-drain:apps.backend.green.{field}", "Write ")
    assert "is 0" in finding.observed


def test_a_word_of_the_config_that_means_nothing_is_a_warning() -> None:
    found = look({**config(), "adopt": {"route/nothing-of-ours": "123"}}, *COLOURS)
    the_only(found, "colours-configured:adopt.route/nothing-of-ours", "Correct the key")


def test_one_replica_in_production_is_a_warning_and_elsewhere_it_is_not_asked() -> None:
    keys = two({"replicas": {"us-west2": 2}}, {})
    found = look(keys, *COLOURS, stack="production")
    the_only(found, "colours-replicas:backend-green", "apps.backend.green.replicas: {us-west2: 2}")
    assert "skipped" == look(keys, "colours-replicas")["colours-replicas"].status


def test_a_variable_that_one_colour_lacks_is_named_and_its_value_is_not() -> None:
    keys = two({"variables": {"LOG": "info"}}, {})
    keys["secrets"] = {"releaseKey": "key-of-releases", "backend": {"blue": {"API_TOKEN": "very-secret"}}}
    finding = the_only(look(keys, *COLOURS), "colours-variables:backend", "secrets.backend.<colour>")
    assert "green lacks API_TOKEN, LOG" == finding.observed


def test_a_registry_without_its_password_is_told() -> None:
    keys = {**config(), "secrets": {"registries": {"ghcr.io": {"username": "ann"}}}}
    values = {"kongAdminUrl": "http://a", "kongProxyUrl": "http://b", "railwayToken": "some-token"}
    (finding,) = wrong(look(keys, "secrets-set", values=values)).values()
    assert "secrets.registries of ghcr.io" in finding.observed
    assert "Write both" in finding.hint


def test_secrets_that_stay_encrypted_are_said_to_be() -> None:
    values = {"kongAdminUrl": "http://a", "kongProxyUrl": "http://b", "railwayToken": "some-token"}
    found = look(config(), "secrets-set", values=values, sealed=["releaseKey"])
    assert "1 of the secrets are encrypted and were not opened" in found["secrets-set"].observed


def test_previews_without_any_key_are_open_to_everybody() -> None:
    the_only(look(config(), "preview-closed"), "preview-closed", "Set secrets.previewKey")


def test_a_freeze_is_a_warning_unless_its_reason_is_written_down() -> None:
    assert "no window is declared" == look(config(), "freeze-window")["freeze-window"].observed
    frozen = {**config(), "rollout": {"freeze": [FREEZE]}}
    finding = the_only(look(frozen, "freeze-window"), "freeze-window", "rollout.freezeOverride")
    assert "nights, 2026-03-01 02:00 to 2026-03-01 04:00 UTC" in finding.observed
    frozen["rollout"]["freezeOverride"] = "the shop is down"
    assert "overridden: the shop is down" in look(frozen, "freeze-window")["freeze-window"].observed


def test_a_stack_that_somebody_holds_is_a_warning() -> None:
    nobody = Recorded(held=False)
    assert "nobody holds it" == look(config(), "stack-lock", recorded=nobody)["stack-lock"].observed
    found = look(config(), "stack-lock", recorded=replace(nobody, lock="process 7 of ann@ops", held=True))
    assert "process 7 of ann@ops" in the_only(found, "stack-lock", "bluegreen recover").observed
    assert "skipped" == look(config(), "stack-lock", recorded=Recorded())["stack-lock"].status


@asynccontextmanager
async def node(told: dict[str, Any]) -> AsyncIterator[str]:
    """An Admin API that says this of itself, and has nothing."""

    async def about(_: web.Request) -> web.Response:
        return web.json_response(told)

    async def nothing(_: web.Request) -> web.Response:
        return web.json_response({"data": [], "message": "Not found"})

    async def missing(_: web.Request) -> web.Response:
        return web.json_response({"message": "Not found"}, status=404)

    app = web.Application()
    app.router.add_get("/", about)
    app.router.add_get("/plugins/{id}", missing)
    app.router.add_get("/upstreams/{id}/targets", nothing)
    async with served(app) as address:
        yield address


NODES = ("gateway-reachable", "gateway-version", "gateway-mode", "gateway-plugins", "gateway-names")


@pytest.mark.parametrize(
    ("change", "id", "remedy", "status"),
    [
        ({}, "", "", ""),
        ({"version": "2.8.4"}, "gateway-version", "Upgrade Kong to 3.9", "fail"),
        ({"configuration": {**NODE["configuration"], "database": "off"}}, "gateway-mode", "database-backed", "fail"),
        ({"configuration": {**NODE["configuration"], "role": "control_plane"}}, "gateway-mode", "traditional", "fail"),
        ({"plugins": {"available_on_server": {"cors": True}}}, "gateway-plugins", "KONG_PLUGINS", "fail"),
        (
            {"configuration": {**NODE["configuration"], "dns_stale_ttl": 3600}},
            "gateway-names",
            "KONG_DNS_STALE_TTL=4",
            "warn",
        ),
        ({"configuration": {**NODE["configuration"], "dns_order": ["A"]}}, "gateway-names", "KONG_DNS_ORDER", "warn"),
    ],
)
def test_a_node_that_is_not_of_the_right_kind_is_one_finding(
    change: dict[str, Any], id: str, remedy: str, status: str
) -> None:
    async def scene() -> Found:
        async with node({**NODE, **change}) as address:
            return await once(parsed(config()), {"kongAdminUrl": address}, *NODES)

    found = asyncio.run(scene())
    if id:
        the_only(found, id, remedy, status)
    else:
        assert {"pass"} == {each.status for each in found.values()}, found


def test_a_worker_that_does_not_serve_what_is_stored_is_told(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> tuple[Found, Found]:
        await shop.both()
        settings = parsed({key: shop.config[f"shop:{key}"] for key in ("railway", "apps")})
        values = {"kongAdminUrl": shop.admin}
        shop.room.kong.cluster.settle()
        calm = await once(settings, values, "traffic-in-force", "gateway-nodes")
        lag = {"effect": {"kind": "lag", "seconds": 60}}
        await shop.room.made("PUT", "/__faults/late", lag)
        await shop.put("blue", 60)  # stored, and every second worker does not know of it yet
        return calm, await once(settings, values, "traffic-in-force", "gateway-nodes")

    calm, late = play(tmp_path, scene)
    assert {} == wrong(calm)
    finding = the_only(late, "traffic-in-force:backend", "cut off from Kong's database", "fail")
    assert "blue 60 / green 0 is stored, and blue has weight 100" == finding.observed


def test_nobody_is_asked_twice_for_what_several_checks_need() -> None:
    async def scene() -> int:
        asked = 0

        async def count(request: web.Request) -> web.Response:
            nonlocal asked
            asked += request.path == "/"
            return web.json_response(NODE if request.path == "/" else {"data": []})

        app = web.Application()
        app.router.add_get("/{path:.*}", count)
        async with served(app) as address:
            await once(
                parsed(config()), {"kongAdminUrl": address}, "gateway-reachable", "gateway-mode", "gateway-version"
            )
        return asked

    assert 1 == asyncio.run(scene())


@pytest.mark.parametrize(
    ("key", "address", "id"),
    [
        ("kongAdminUrl", "http://127.0.0.1:{port}", "gateway-reachable"),
        ("railwayUrl", "http://127.0.0.1:{port}", "railway-token"),
        ("databaseUrl", "postgresql://ann:word@127.0.0.1:{port}/shop", "database-reachable"),
    ],
)
def test_whoever_is_silent_is_one_finding_and_keeps_nobody_waiting(
    key: str, address: str, id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "PATIENCE", 0.2)
    monkeypatch.setattr(queries, "DEADLINE", 0.2)

    async def scene() -> Found:
        async with silent() as port:
            values = {"railwayToken": "some-token", key: address.format(port=port)}
            groups = {"kongAdminUrl": ("gateway", "traffic"), "railwayUrl": ("colours",), "databaseUrl": ("database",)}
            chosen = [each.id for each in register() if each.group in groups[key] or each.id == id]
            chosen = [each for each in chosen if (each, id) != ("colours-apart", "railway-token")]  # it asks Kong
            return await once(parsed(config()), values, *chosen)

    finding = the_only(asyncio.run(scene()), id, "Check bluegreen:", "fail")
    assert "does not answer within 0.2 s" in finding.observed


def test_a_pulumi_that_takes_its_time_leaves_what_follows_from_it_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "PULUMI", 0.05)

    async def scene(shop: Shop) -> Found:
        await shop.both()
        shop.room.kong.cluster.settle()
        settings = parsed({key: shop.config[f"shop:{key}"] for key in ("railway", "apps")})

        async def never() -> Recorded:
            await asyncio.Event().wait()
            raise AssertionError("unreachable: nobody sets it")

        async with room(settings, {"kongAdminUrl": shop.admin}) as there:
            return await asked(replace(there, recorded=never), groups=("traffic", "freeze"))

    found = play(tmp_path, scene)
    assert {} == wrong(found)
    assert "pass" == found["traffic-weights:backend"].status
    assert "Pulumi gave no answer within 0.05 s" in found["traffic-recorded"].observed


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """A port that takes every connection and says nothing."""
    lines: list[asyncio.StreamWriter] = []

    async def taken(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(writer)

    server = await asyncio.start_server(taken, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for writer in lines:
            writer.transport.abort()
        await server.wait_closed()
