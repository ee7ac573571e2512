"""The Kong stand-in over TLS: the same gateway at a second port, and a certificate that changes while it runs."""

import asyncio
import http.client
import json
import os
import ssl
from pathlib import Path

import aiohttp
import pytest

from sandbox.kong import Kong
from sandbox.kong_cluster import Settings
from sandbox.kong_tls import Certificate
from sandbox.lifecycle import Unfit
from tests.kong_room import Room, application
from tests.papers import certified


def trusting(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


def test_a_client_over_tls_meets_the_same_routes_and_the_application_hears_of_it(tmp_path: Path) -> None:
    chain, key = certified(tmp_path, days=30)

    async def run() -> tuple[list[tuple[int, str]], str]:
        kong = Kong(Settings(worker_state_update_frequency=3600.0), certificate=Certificate(chain, key))
        async with application("blue") as blue, kong.serving(), aiohttp.ClientSession() as session:
            await Room(kong, session).routed({f"127.0.0.1:{blue.port}": 100})
            ways = (("http", kong.proxy_port), ("https", kong.proxy_tls_port))
            got = []
            for scheme, port in ways:
                url = f"{scheme}://127.0.0.1:{port}/api"
                async with session.get(url, ssl=trusting(tmp_path / "ca.crt")) as answer:
                    got.append((answer.status, (await answer.text()).strip()))
            return got, blue.heads[-1]

    got, head = asyncio.run(run())
    assert got == [(200, "blue"), (200, "blue")]
    assert "X-Forwarded-Proto: https" in head


def test_the_next_handshake_shows_a_certificate_that_was_changed_meanwhile(tmp_path: Path) -> None:
    chain, key = certified(tmp_path, days=30)
    late, _ = certified(tmp_path / "late", days=-1)

    async def run() -> tuple[int, str, int]:
        kong = Kong(Settings(), certificate=Certificate(chain, key))
        async with kong.serving():
            trust = trusting(tmp_path / "ca.crt")
            trust.load_verify_locations(tmp_path / "late" / "ca.crt")

            def status() -> int:
                line = http.client.HTTPSConnection("127.0.0.1", kong.proxy_tls_port, timeout=5, context=trust)
                try:
                    line.request("GET", "/")
                    return line.getresponse().status
                finally:
                    line.close()

            before = await asyncio.to_thread(status)
            kept = chain.read_bytes(), key.read_bytes()
            replaced(chain, late.read_bytes())
            replaced(key, (tmp_path / "late" / "server.key").read_bytes())
            with pytest.raises(ssl.SSLCertVerificationError) as refused:
                await asyncio.to_thread(status)
            replaced(chain, kept[0])
            replaced(key, kept[1])
            return before, refused.value.verify_message, await asyncio.to_thread(status)

    assert asyncio.run(run()) == (404, "certificate has expired", 404)


def replaced(file: Path, content: bytes) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_bytes(content)
    os.replace(fresh, file)


def test_a_file_that_is_no_certificate_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text(json.dumps("no certificate"))
    with pytest.raises(Unfit, match=r"No certificate with its key can be read from .*no\.pem"):
        Certificate(tmp_path / "no.pem", tmp_path / "no.pem")
