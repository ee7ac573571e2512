"""The checks of certificates: how long one lasts and whether it is believed are two things, told apart."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bluegreen.validation.certificates import Door, shown, until
from tests.memory import Clock
from tests.papers import certified
from tests.validation_room import Found, config, once, parsed, wrong

GROUP = ("tls",)


@asynccontextmanager
async def door(papers: tuple[Path, Path], *, postgres: bool = False) -> AsyncIterator[int]:
    """A port where a handshake is all that there is; as Postgres, after it was asked for one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*papers)
    tasks = set[asyncio.Task[None]]()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            if postgres:
                assert struct.pack("!ii", 8, 80877103) == await reader.readexactly(8)
                writer.write(b"S")
                await writer.start_tls(context)
            await reader.read()
        except (OSError, ssl.SSLError):
            pass  # whoever does not believe a certificate hangs up
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(met, "127.0.0.1", 0, ssl=None if postgres else context)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await asyncio.gather(*tasks)
        await server.wait_closed()


def seen(
    tmp_path: Path, days: int, *, alternative: str = "IP:127.0.0.1", trusted: bool = True, host: str = ""
) -> Found:
    """What is found at a proxy that shows such a certificate."""
    papers = certified(tmp_path, days=days, alternative=alternative)
    keys = config()
    keys["apps"]["backend"]["routes"] = {"api": {"hosts": [host]}} if host else {}

    async def scene() -> Found:
        async with door(papers) as port:
            values = {"kongProxyUrl": f"https://127.0.0.1:{port}"}
            if trusted:
                values["kongCaBundle"] = str(tmp_path / "ca.crt")
            found = await once(parsed(keys), values, groups=GROUP, ctx=Clock(at=datetime.now(UTC)))
            return {id.replace(str(port), "PORT"): each for id, each in found.items()}

    return asyncio.run(scene())


def test_a_certificate_that_lasts_and_is_believed_passes_both_checks(tmp_path: Path) -> None:
    found = seen(tmp_path, 90)
    assert {"tls-expiry:127.0.0.1:PORT": "pass", "tls-trusted:127.0.0.1:PORT": "pass"} == {
        id: each.status for id, each in found.items()
    }
    day = datetime.now(UTC) + timedelta(days=90)
    assert f"until {day:%Y-%m-%d}, in 89 days" == found["tls-expiry:127.0.0.1:PORT"].observed


@pytest.mark.parametrize(("days", "status"), [(15, "warn"), (5, "fail"), (-1, "fail")])
def test_a_certificate_that_runs_out_is_told_by_one_check_alone(tmp_path: Path, days: int, status: str) -> None:
    bad = wrong(seen(tmp_path, days))
    assert {"tls-expiry:127.0.0.1:PORT": status} == {id: each.status for id, each in bad.items()}
    assert "Renew the certificate of 127.0.0.1 (bluegreen:kongProxyUrl)." == bad["tls-expiry:127.0.0.1:PORT"].hint


def test_one_that_has_run_out_says_since_when(tmp_path: Path) -> None:
    assert "it has run out on " in seen(tmp_path, -1)["tls-expiry:127.0.0.1:PORT"].observed


@pytest.mark.parametrize(
    ("trusted", "alternative", "remedy"),
    [(True, "DNS:kong.example", "made out to"), (False, "IP:127.0.0.1", "Set bluegreen:kongCaBundle")],
)
def test_a_wrong_name_and_a_strange_authority_are_told_by_the_other(
    tmp_path: Path, trusted: bool, alternative: str, remedy: str
) -> None:
    bad = wrong(seen(tmp_path, 90, trusted=trusted, alternative=alternative))
    assert ["tls-trusted:127.0.0.1:PORT"] == list(bad)
    assert remedy in bad["tls-trusted:127.0.0.1:PORT"].hint


def test_a_certificate_that_is_out_and_for_another_name_is_two_findings(tmp_path: Path) -> None:
    bad = wrong(seen(tmp_path, -1, alternative="DNS:kong.example"))
    assert {"tls-expiry:127.0.0.1:PORT", "tls-trusted:127.0.0.1:PORT"} == set(bad)


def test_the_host_of_a_route_is_asked_for_at_the_proxys_address(tmp_path: Path) -> None:
    found = seen(tmp_path, 90, alternative="IP:127.0.0.1,DNS:shop.test", host="shop.test")
    assert ("pass", "pass") == (found["tls-expiry:shop.test"].status, found["tls-trusted:shop.test"].status)
    bad = wrong(seen(tmp_path, 90, host="shop.test"))
    assert {"tls-trusted:shop.test": "warn"} == {id: each.status for id, each in bad.items()}  # a CDN may show its own
    assert "made out to shop.test" in bad["tls-trusted:shop.test"].hint


def test_plain_addresses_are_skipped_with_the_reason(tmp_path: Path) -> None:
    found = asyncio.run(once(parsed(config()), {"kongProxyUrl": "http://127.0.0.1:9"}, groups=GROUP))
    assert {"skipped"} == {each.status for each in found.values()}
    assert "No address begins with https://" in found["tls-expiry"].observed


def test_what_speaks_no_tls_is_no_certificate_that_is_believed() -> None:
    async def scene() -> Found:
        async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(hello, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        found = await once(parsed(config()), {"kongProxyUrl": f"https://127.0.0.1:{port}"}, groups=GROUP)
        server.close()
        await server.wait_closed()
        return {id.partition(":")[0]: each for id, each in found.items()}

    found = asyncio.run(scene())
    assert ("skipped", "fail") == (found["tls-expiry"].status, found["tls-trusted"].status)
    assert "its scheme and its port" in found["tls-trusted"].hint


def test_whoever_is_away_is_no_finding_of_certificates() -> None:
    found = asyncio.run(once(parsed(config()), {"kongProxyUrl": "https://127.0.0.1:9"}, groups=GROUP))
    assert {"skipped"} == {each.status for each in found.values()}


@pytest.mark.parametrize(("days", "status"), [(90, "pass"), (3, "fail")])
def test_a_databases_certificate_is_seen_where_its_address_asks_for_encryption(
    tmp_path: Path, days: int, status: str
) -> None:
    async def scene() -> Found:
        async with door(certified(tmp_path, days=days), postgres=True) as port:
            values = {"databaseUrl": f"postgresql://a:word@127.0.0.1:{port}/shop?sslmode=require"}
            return await once(parsed(config()), values, groups=GROUP, ctx=Clock(at=datetime.now(UTC)))

    found = asyncio.run(scene())
    assert (status, "skipped") == (found["tls-expiry:database"].status, found["tls-trusted:database"].status)


@pytest.mark.parametrize("name", ["127.0.0.1", "elsewhere.test"])
def test_what_a_certificate_is_judged_by_stays_as_strict_as_it_was(tmp_path: Path, name: str) -> None:
    papers = certified(tmp_path, days=-1, alternative="IP:127.0.0.1")
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    before = context.check_hostname, context.verify_mode, context.verify_flags

    async def scene() -> None:
        async with door(papers) as port:
            assert (await shown(Door("127.0.0.1", port, name), lambda: context, 4)).until < datetime.now(UTC)

    asyncio.run(scene())
    assert before == (context.check_hostname, context.verify_mode, context.verify_flags)


@pytest.mark.parametrize("days", [1, 20_000])  # the second is beyond 2050, where DER writes four digits of the year
def test_the_last_moment_is_read_from_der(tmp_path: Path, days: int) -> None:
    pem, _ = certified(tmp_path, days=days)
    last = until(ssl.PEM_cert_to_DER_cert(pem.read_text()))
    assert timedelta(days=days, hours=-1) < last - datetime.now(UTC) <= timedelta(days=days)
