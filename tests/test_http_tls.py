"""TLS towards Kong: a private authority, a client certificate, and one sentence for everything that is wrong with them.

The servers are real ones, one as nginx under Kong (it takes every connection and then answers 400), one that ends the
handshake with an alert. The certificates are made by openssl, once for all tests.
"""

import asyncio
import http.server
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bluegreen.connections import connect
from bluegreen.handler import Halt, Refused
from bluegreen.http import ApiError, Client, Untrusted
from bluegreen.tls import Pem, Trust

NO_CERTIFICATE = "<html><head><title>400 No required SSL certificate was sent</title></head></html>"
NO_TLS = "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>"


class Papers:
    """An authority and what it signed: a server's certificate, a client's, one run out and one for another name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority("ca")
        self._authority("other")
        self._signed("server", "IP:127.0.0.1", days=30)
        self._signed("client", "DNS:deployer", days=30)
        self._signed("elsewhere", "DNS:kong.example", days=30)
        self._signed("expired", "IP:127.0.0.1", days=-1)
        key = str(folder / "client.key")
        self._openssl("rsa", "-aes256", "-passout", "pass:1234", "-in", key, "-out", str(folder / "locked.key"))

    def path(self, name: str) -> str:
        return str(self._folder / name)

    def text(self, name: str) -> str:
        return Path(self.path(name)).read_text()

    def _authority(self, name: str) -> None:
        self._openssl("req", "-x509", "-days", "30", *self._new(name), "-out", self.path(f"{name}.crt"))

    def _signed(self, name: str, alternative: str, days: int) -> None:
        request, names = self.path(f"{name}.csr"), self.path(f"{name}.ext")
        Path(names).write_text(f"subjectAltName={alternative}")
        self._openssl("req", "-new", *self._new(name), "-out", request)
        signing = ("-CA", self.path("ca.crt"), "-CAkey", self.path("ca.key"), "-CAcreateserial", "-days", str(days))
        self._openssl("x509", "-req", "-in", request, *signing, "-extfile", names, "-out", self.path(f"{name}.crt"))

    def _new(self, name: str) -> tuple[str, ...]:
        return ("-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", self.path(f"{name}.key"))

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    def shown_by(self, name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.path("ca.crt"))
        context.load_cert_chain(self.path(f"{name}.crt"), self.path(f"{name}.key"))
        return context


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


@asynccontextmanager
async def kong(papers: Papers, name: str = "server", *, mutual: bool = False) -> AsyncIterator[str]:
    """A server that answers as nginx does, with its own words when a wanted client certificate is missing."""
    context = papers.shown_by(name)
    context.verify_mode = ssl.CERT_OPTIONAL if mutual else ssl.CERT_NONE

    async def answer(request: web.Request) -> web.Response:
        shown = request.get_extra_info("peercert")
        if mutual and not shown:
            return web.Response(status=400, text=NO_CERTIFICATE, content_type="text/html")
        return web.json_response({"client": bool(shown)})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def trust(papers: Papers, authority: str = "ca.crt", certificate: str = "", key: str = "") -> Trust:
    def pem(setting: str, name: str) -> Pem:
        return Pem(setting, papers.path(name) if name else "")

    return Trust(pem("kongCaBundle", authority), pem("kongClientCertificate", certificate), pem("kongClientKey", key))


def asked(
    papers: Papers, trusted: Trust, name: str = "server", *, mutual: bool = False, writes: bool = False
) -> object:
    """What a call brings: the answer's body, or the error."""

    async def scene() -> object:
        async with kong(papers, name, mutual=mutual) as base, Client("Kong", base, trust=trusted) as client:
            try:
                method = client.write("POST", "/things", {}) if writes else client.read("/")
                return (await method).json
            except ApiError as problem:
                return type(problem), str(problem).replace(base, "https://kong")

    return asyncio.run(scene())


def test_equal_trusts_share_one_context_until_a_file_changes(papers: Papers, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.crt"
    bundle.write_text(papers.text("ca.crt"))
    trust = Trust(Pem("kongCaBundle", str(bundle)))
    first = trust.context()
    assert first is Trust(Pem("kongCaBundle", str(bundle))).context()
    assert first is not Trust().context()
    bundle.write_text(papers.text("other.crt"))
    assert first is not trust.context()


def test_a_private_authority_is_believed_when_it_is_told_of(papers: Papers) -> None:
    assert asked(papers, trust(papers)) == {"client": False}


def test_a_client_certificate_is_shown(papers: Papers) -> None:
    assert asked(papers, trust(papers, "ca.crt", "client.crt", "client.key"), mutual=True) == {"client": True}


def test_certificates_may_be_given_as_text_and_the_key_along_with_its_certificate(papers: Papers) -> None:
    both = papers.text("client.crt") + papers.text("client.key")
    trusted = Trust(Pem("kongCaBundle", papers.text("ca.crt")), Pem("kongClientCertificate", both))
    assert asked(papers, trusted, mutual=True) == {"client": True}


@pytest.mark.parametrize("writes", [False, True])
def test_a_server_of_a_foreign_authority_is_told_in_one_sentence(papers: Papers, writes: bool) -> None:
    assert asked(papers, trust(papers, "other.crt"), writes=writes) == (
        Untrusted,
        "Kong cannot be reached at https://kong: its certificate is not trusted: self-signed certificate in "
        "certificate chain. Nothing was changed. Check that kongCaBundle holds the authority that signed it.",
    )


def test_a_certificate_made_out_to_another_name_is_about_the_address(papers: Papers) -> None:
    found = asked(papers, trust(papers), "elsewhere")
    assert found == (
        Untrusted,
        "Kong cannot be reached at https://kong: its certificate is not trusted: IP address mismatch, certificate is "
        "not valid for '127.0.0.1'. Nothing was changed. Use a name in the address that its certificate is made out "
        "to.",
    )


def test_a_certificate_that_ran_out_has_to_be_renewed(papers: Papers) -> None:
    assert asked(papers, trust(papers), "expired") == (
        Untrusted,
        "Kong cannot be reached at https://kong: its certificate is not trusted: certificate has expired. "
        "Nothing was changed. Renew its certificate.",
    )


@pytest.mark.parametrize("writes", [False, True])
def test_a_missing_client_certificate_is_named_with_its_settings(papers: Papers, writes: bool) -> None:
    assert asked(papers, trust(papers), mutual=True, writes=writes) == (
        Untrusted,
        "Kong at https://kong wants a client certificate, and none was shown. Nothing was changed. "
        "Set kongClientCertificate and kongClientKey.",
    )


def test_what_cannot_be_trusted_is_not_tried_again(papers: Papers) -> None:
    connections = 0

    async def scene() -> None:
        nonlocal connections

        async def raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            writer.write(b"this is not TLS, whatever the client says first\r\n\r\n")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(raw, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with Client("Kong", f"https://127.0.0.1:{port}", trust=trust(papers)) as client:
                with pytest.raises(Untrusted) as raised:
                    await client.read("/")
        assert raised.value.what.endswith("what listens there does not speak TLS.")

    asyncio.run(scene())
    assert connections == 1


@contextmanager
def strict(papers: Papers) -> Iterator[str]:
    """A server that ends the handshake with an alert when no certificate, or a wrong one, is shown."""
    context = papers.shown_by("server")
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # in 1.3 a reset may overtake the alert

    class Quiet(http.server.HTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            return None

    with Quiet(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield f"https://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            serving.join()


def test_an_alert_from_the_other_side_certainly_changed_nothing(papers: Papers) -> None:
    async def scene(base: str) -> Halt:
        async with Client("Kong", base, trust=trust(papers)) as client:
            with pytest.raises(Untrusted) as raised:
                await client.write("POST", "/things", {})
            return raised.value

    with strict(papers) as base:
        refused = asyncio.run(scene(base))
    assert str(refused).replace(base, "https://kong") == (
        "Kong cannot be reached at https://kong: it refuses our side of TLS: handshake failure. "
        "Nothing was changed. Set kongClientCertificate and kongClientKey."
    )


def test_plain_http_to_a_tls_port_is_told_as_such() -> None:
    found = Trust().complaint(400, NO_TLS)
    assert found == ("speaks TLS, and the address begins with http://", "Write https://.")


@pytest.mark.parametrize(
    ("authority", "certificate", "key", "said"),
    [
        ("missing.crt", "", "", "kongCaBundle: {}/missing.crt cannot be read (No such file or directory)."),
        ("server.ext", "", "", "kongCaBundle: {}/server.ext holds no PEM text."),
        ("ca.key", "", "", "kongCaBundle: no certificate can be read from it."),
        ("ca.crt", "client.crt", "", "kongClientCertificate: no certificate with its key can be read from it."),
        ("ca.crt", "client.crt", "server.key", "kongClientKey: the key does not belong to kongClientCertificate."),
        (
            "ca.crt",
            "client.crt",
            "locked.key",
            "kongClientKey: its key is behind a passphrase, and nobody is here to type it.",
        ),
        ("ca.crt", "", "client.key", "kongClientKey: a key without a certificate; kongClientCertificate is not set."),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_its_name(
    papers: Papers, authority: str, certificate: str, key: str, said: str
) -> None:
    with pytest.raises(Refused) as refused:
        trust(papers, authority, certificate, key).context()
    assert refused.value.what == said.format(Path(papers.path("x")).parent)


@pytest.mark.parametrize("key", ["MIIEvQIBADANBgkqhkiG9w0BAQ", "Bag Attributes\n-----BEGIN PRIVATE KEY-----\nMIIEvQIB"])
def test_a_key_that_is_no_pem_text_is_never_quoted(papers: Papers, key: str) -> None:
    connections = connect({"kongClientCertificate": papers.path("client.crt"), "kongClientKey": key}, {})
    with pytest.raises(Refused) as refused:
        connections.trust.context()
    assert str(refused.value).startswith("bluegreen:kongClientKey: ")
    assert "MII" not in str(refused.value)


@pytest.mark.parametrize("reason", ["SSLV3_ALERT_BAD_RECORD_MAC", "WRONG_VERSION_NUMBER"])
def test_what_breaks_a_connection_in_use_is_no_question_of_trust(reason: str) -> None:
    broken = ssl.SSLError(1, reason)
    broken.reason = reason
    assert Trust().distrust(broken, connected=True) is None


def test_the_connections_show_the_configured_certificates_to_both_of_kongs_doors(papers: Papers) -> None:
    arguments = {"kongCaBundle": papers.path("ca.crt"), "kongClientCertificate": papers.text("client.crt")}
    arguments["kongClientKey"] = papers.text("client.key")

    async def scene() -> list[object]:
        async with kong(papers, mutual=True) as base:
            connections = connect({**arguments, "kongAdminUrl": base, "kongProxyUrl": base}, {})
            found: list[object] = [await connections.kong().node()]
            found.append(await connections.prober().release("/", {}, "X-Release"))
            await connections.close()
            return found

    told = ("", "GET / answered 200 without the header X-Release")
    assert asyncio.run(scene()) == [{"client": True}, told]


def test_a_key_that_is_not_text_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(Refused) as refused:
        connect({"kongClientKey": "-----BEGIN\n\x00\n"}, {})
    assert refused.value.what == "bluegreen:kongClientKey holds characters that no key or token has."
