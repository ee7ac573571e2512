"""A tag's digest, asked of a registry as registries are asked: by head, with a token, and never over an open line."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from bluegreen.handler import Halt, Refused
from bluegreen.http import Unavailable
from bluegreen.railway.spec import RegistryCredentials
from bluegreen.staging.reference import Reference, reference
from bluegreen.staging.registry import Absent, Resolved, doors, resolve
from sandbox import registry
from sandbox.asking import call
from sandbox.registry_http import Registry
from tests.memory import Clock

ANN = RegistryCredentials(username="ann", password=SecretStr("hunter2-and-more"))


def told(given: Registry, image: str, known: RegistryCredentials | None = None) -> Resolved:
    """What this registry says, where it stands in for whoever the image names."""

    async def ask() -> Resolved:
        async with given.serving():
            meant = reference(image, None)
            return await resolve(Clock(), meant, {meant.host: given.url}, lambda: known)

    return asyncio.run(ask())


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("heads", [True, False])
@pytest.mark.parametrize("index", [True, False])
def test_a_tag_has_the_digest_that_its_registry_says(tokens: bool, heads: bool, index: bool) -> None:
    here = Registry(tokens=tokens, heads=heads)
    digest = here.keep("acme/web", "v1", index=index)
    assert told(here, "ghcr.io/acme/web:v1") == Resolved(digest, index)
    assert [method for method, _ in here.asked][-1] == ("HEAD" if heads else "GET")


def test_the_sandboxs_own_images_have_the_digests_of_its_registry() -> None:
    for tag in ("v42", "v7-slow"):
        pinned = registry.resolve(f"registry.sandbox/backend:{tag}")
        assert pinned.endswith(told(Registry(), f"registry.sandbox/backend:{tag}").digest)
        assert told(Registry(), pinned).digest == pinned.rpartition("@")[2]
    with pytest.raises(Absent, match=r"There is no registry\.sandbox/backend:v0 at registry"):
        told(Registry(), "registry.sandbox/backend:v0")


def test_a_name_at_docker_hub_is_a_library_image() -> None:
    here = Registry(tokens=True)
    digest = here.keep("library/nginx", "1.27", index=True)
    assert told(here, "nginx:1.27") == Resolved(digest, True)
    assert here.asked[0] == ("HEAD", "/v2/library/nginx/manifests/1.27")


def test_a_private_image_needs_the_credentials_that_the_config_has() -> None:
    here = Registry(tokens=True, user="ann", password="hunter2-and-more")
    digest = here.keep("acme/web", "v1")
    assert told(here, "ghcr.io/acme/web:v1", ANN).digest == digest
    with pytest.raises(Refused, match=r"does not show ghcr.io/acme/web:v1 to somebody without credentials") as refused:
        told(here, "ghcr.io/acme/web:v1")
    assert "set secrets.registries['ghcr.io']" in refused.value.next
    wrong = RegistryCredentials(username="bob", password=SecretStr("hunter3-and-more"))
    with pytest.raises(Refused, match="to bob") as other:
        told(here, "ghcr.io/acme/web:v1", wrong)
    assert "hunter" not in str(other.value)


def test_credentials_are_looked_for_only_when_somebody_asks_for_them() -> None:
    async def ask() -> None:
        async with Registry().serving() as here:
            here.keep("acme/web", "v1")
            await resolve(Clock(), reference("ghcr.io/acme/web:v1", None), {"ghcr.io": here.url}, looked)

    def looked() -> RegistryCredentials:
        msg = "nobody has asked"
        raise AssertionError(msg)

    asyncio.run(ask())


def test_a_registry_that_is_busy_is_asked_again() -> None:
    here = Registry(failures=[429, 503])
    digest = here.keep("acme/web", "v1")
    assert (told(here, "ghcr.io/acme/web:v1").digest, len(here.asked)) == (digest, 3)
    with pytest.raises(Refused, match=r"ghcr\.io answered 503"):
        told(Registry(failures=[503] * 3), "ghcr.io/acme/web:v1")


def test_what_is_no_manifest_is_not_believed() -> None:
    here = Registry()
    here.keep("acme/web", "v1", kind="application/vnd.docker.distribution.manifest.v1+prettyjws")
    with pytest.raises(Halt, match=r"There is no ghcr\.io/acme/web:v1"):
        told(here, "ghcr.io/acme/web:v1")
    with answering({"Content-Type": "text/html", "Docker-Content-Digest": "sha256:" + "0" * 64}) as url:
        with pytest.raises(Refused, match="answered with text/html, which is no manifest"):
            asked(url)


@contextmanager
def answering(headers: Mapping[str, str]) -> Iterator[str]:
    """A server that answers everything alike."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(int(headers.get("Status", "200")))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def asked(url: str) -> Resolved:
    return asyncio.run(resolve(Clock(), Reference("ghcr.io/acme/web", "v1"), {"ghcr.io": url}, lambda: ANN))


@pytest.mark.parametrize(
    ("challenge", "what"),
    [
        ("", "asks for nothing with its 401"),
        ("Negotiate", "asks for Negotiate with its 401"),
        ('Bearer realm="http://ghcr.example/token"', "ghcr.io would be asked at http://ghcr.example"),
        ('Bearer service="x"', "asks for Bearer with its 401"),
        ('Basic realm="here"', "does not show ghcr.io/acme/web:v1 to ann"),
    ],
)
def test_credentials_go_nowhere_that_is_not_safe_or_not_understood(challenge: str, what: str) -> None:
    with answering({"Status": "401", "WWW-Authenticate": challenge}) as url:
        with pytest.raises(Refused, match=re.escape(what)):
            asked(url)


@pytest.mark.parametrize("url", ["http://registry.internal:5000", "http://10.0.0.1", "http://0.0.0.0:1"])
def test_no_registry_is_asked_over_an_open_line_but_this_machines_own(url: str) -> None:
    with pytest.raises(Refused, match="anybody on the way could answer instead"):
        asked(url)


def test_a_registry_on_this_machine_is_asked_as_it_is_called() -> None:
    async def ask() -> Resolved:
        async with Registry().serving() as here:
            here.keep("web", "v1")
            image = reference(f"127.0.0.1:{here.port}/web:v1", None)
            return await resolve(Clock(), image, {}, lambda: None)

    assert asyncio.run(ask()).digest.startswith("sha256:")


def test_one_that_is_not_there_is_told_with_the_way_out() -> None:
    with pytest.raises(Unavailable) as told_so:
        asked("http://127.0.0.1:1")
    assert "or give the digest: ghcr.io/acme/web@sha256:…" in told_so.value.next


@pytest.mark.parametrize("said", ["ghcr.io", "ghcr.io=", "ghcr.io=ftp://x", "ghcr.io=127.0.0.1:5000"])
def test_an_address_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(Refused, match="which is no registry and its address"):
        doors({"BLUEGREEN_REGISTRIES": said})


def test_several_registries_may_answer_elsewhere() -> None:
    said = "ghcr.io=https://mirror.test/, registry.sandbox=http://127.0.0.1:9"
    assert doors({"BLUEGREEN_REGISTRIES": said}) == {
        "ghcr.io": "https://mirror.test",
        "registry.sandbox": "http://127.0.0.1:9",
    }


def test_the_stand_in_speaks_the_api_and_says_where_it_is() -> None:
    command = [sys.executable, "-m", "sandbox.registry_http"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip().removeprefix("BLUEGREEN_REGISTRIES=registry.sandbox=")
            assert call("GET", f"{url}/v2/") == {}
            assert call("GET", f"{url}/v2/backend/manifests/v42", Accept="*/*")["annotations"] == {"name": "v42"}
        finally:
            process.terminate()
