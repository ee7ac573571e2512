"""How the gateway's stand-in is told to look names up: what `GET /` shows of it. No recording has the new client."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from sandbox import kong
from tests.kong_room import room

PORTS = ["--admin-port", "0", "--proxy-port", "0"]
LEGACY = {"dns_stale_ttl": 3600, "dns_order": ["LAST", "SRV", "A", "CNAME"], "new_dns_client": False}
NEW = {"resolver_stale_ttl": 3600, "resolver_family": ["A", "SRV"], "new_dns_client": True}


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], LEGACY),
        (["--dns-stale-ttl", "4"], {**LEGACY, "dns_stale_ttl": 4}),
        (["--dns-order", "LAST,AAAA,A,CNAME"], {**LEGACY, "dns_order": ["LAST", "AAAA", "A", "CNAME"]}),
        (["--new-dns-client"], {**NEW, "dns_stale_ttl": 3600}),
        (["--new-dns-client", "--dns-stale-ttl", "4"], {**NEW, "resolver_stale_ttl": 4, "dns_stale_ttl": 3600}),
        (["--new-dns-client", "--dns-order", "A,AAAA"], {**NEW, "resolver_family": ["A", "AAAA"]}),
    ],
)
def test_the_settings_of_the_client_in_use_are_shown_and_the_others_keep_their_defaults(
    options: list[str], shown: Mapping[str, Any]
) -> None:
    async def run() -> None:
        async with room(dns=kong.parsed([*PORTS, *options]).dns) as there:
            configuration = (await there.made("GET", "/"))["configuration"]
            assert {name: configuration[name] for name in shown} == shown

    asyncio.run(run())


def test_only_the_new_client_tells_its_figures() -> None:
    async def run() -> None:
        async with room() as legacy, room(dns=kong.parsed([*PORTS, "--new-dns-client"]).dns) as new:
            assert (await legacy.admin("GET", "/status/dns"))[0] == 501
            assert (await new.admin("GET", "/status/dns"))[0] == 200

    asyncio.run(run())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dns-order", "LAST,B"], "--dns-order: invalid entry 'B'; this DNS client knows A, AAAA, CNAME, LAST, SRV."),
        (["--new-dns-client", "--dns-order", "LAST,A"], "invalid entry 'LAST'; this DNS client knows A, AAAA, SRV."),
        (["--dns-stale-ttl", "-1"], "--dns-stale-ttl is -1; no address is used for less than 0 seconds."),
    ],
)
def test_a_setting_that_kong_would_refuse_is_refused_at_the_start(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        kong.parsed([*PORTS, *options])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
