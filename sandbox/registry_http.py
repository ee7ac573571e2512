"""The sandbox's image registry as others speak to one: the HTTP API v2, for whoever asks which digest a tag is.

It serves the images of `sandbox.registry` under their digests, and whatever else it is given, as manifests or indexes
for several platforms. Who is let in is chosen: everybody, everybody with a token, or whoever shows a password to the
token server first. Errors are the API's own documents.

Deliberately not here: blobs, uploads, catalogues. The digests of the sandbox's own images are names, as in
`sandbox.registry`, and not the hash of what is answered; those of images that it is given are both, as everywhere else.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from sandbox.registry import HOST, UnknownImage, image

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
TOKEN_SECONDS = 300
PLATFORMS = ("amd64", "arm64")


@dataclass(frozen=True, slots=True)
class Kept:
    """One manifest as it is answered."""

    digest: str
    kind: str
    body: bytes


@dataclass
class Registry:
    """A registry on loopback.

    Args:
        tokens: whether a token is asked for; without a password everybody gets one.
        password: of `user`, which the token server asks for; empty: of nobody.
        heads: whether it answers HEAD, as most do.
    """

    tokens: bool = False
    user: str = "robot"
    password: str = ""
    heads: bool = True
    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)  # method and path of every request
    failures: list[int] = field(default_factory=list)  # statuses that the next requests for a manifest get
    _kept: dict[tuple[str, str], Kept] = field(default_factory=dict)
    _given: dict[str, str] = field(default_factory=dict)  # token: the one repository it opens

    def keep(self, repository: str, tag: str, *, index: bool = False, kind: str | None = None) -> str:
        """Keep an image under a tag, one of its own for every tag; its digest."""
        named = {"schemaVersion": 2, "mediaType": INDEX if index else MANIFEST, "annotations": {"name": tag}}
        each = [{"platform": {"os": "linux", "architecture": name}} for name in PLATFORMS]
        body = json.dumps({**named, **({"manifests": each} if index else {"layers": []})}).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        kept = Kept(digest, kind or (INDEX if index else MANIFEST), body)
        self._kept[repository, tag] = self._kept[repository, digest] = kept
        return digest

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Registry"]:
        """Serve on a free port, or on the one that was chosen."""
        app = web.Application()
        app.router.add_get("/token", self._token)
        app.router.add_get("/v2/", self._version)
        app.router.add_route("*", "/v2/{name:.+}/manifests/{reference}", self._manifest)
        app.router.add_get("/v2/{name:.+}/tags/list", self._tags)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self.port)
            await site.start()
            self.port = runner.addresses[0][1]
            yield self
        finally:
            await runner.cleanup()

    async def _version(self, request: web.Request) -> web.Response:
        return self._closed(request, "") or web.json_response({}, headers=VERSION)

    async def _tags(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        tags = sorted(tag for repository, tag in self._kept if repository == name and not tag.startswith("sha256:"))
        closed = self._closed(request, name)
        return closed or web.json_response({"name": name, "tags": tags}, headers=VERSION)

    async def _manifest(self, request: web.Request) -> web.Response:
        name, reference = request.match_info["name"], request.match_info["reference"]
        self.asked.append((request.method, request.path))
        if self.failures:
            return _error(self.failures.pop(0), "TOOMANYREQUESTS", "come back later")
        if request.method not in ("GET", *(["HEAD"] if self.heads else [])):
            return _error(405, "UNSUPPORTED", "The operation is unsupported.")
        if (closed := self._closed(request, name)) is not None:
            return closed
        found = self._found(name, reference)
        if found is None:
            return _error(404, "MANIFEST_UNKNOWN", "manifest unknown", {"name": name, "reference": reference})
        if found.kind not in request.headers.get("Accept", "") and "*/*" not in request.headers.get("Accept", ""):
            return _error(404, "MANIFEST_UNKNOWN", f"{found.kind} is not accepted", {"name": name})
        digest = {"Docker-Content-Digest": found.digest, "Etag": f'"{found.digest}"'} if self.heads else {}
        return web.Response(body=found.body, content_type=found.kind, headers={**VERSION, **digest})

    def _found(self, name: str, reference: str) -> Kept | None:
        kept = self._kept.get((name, reference))
        if kept is not None:
            return kept
        try:
            known = image(f"{HOST}/{name}{'@' if reference.startswith('sha256:') else ':'}{reference}")
        except UnknownImage:
            return None
        body = {"schemaVersion": 2, "mediaType": MANIFEST, "annotations": {"name": known.tag}, "layers": []}
        return Kept(known.digest, MANIFEST, json.dumps(body).encode())

    async def _token(self, request: web.Request) -> web.Response:
        """A token for one repository, as its scope says, for whoever may have one."""
        if self.password and not self._same(request.headers.get("Authorization", "")):
            return _error(401, "UNAUTHORIZED", "authentication required")
        scope = request.query.get("scope", "").split(":")
        token = secrets.token_hex(16)
        self._given[token] = scope[1] if scope[0] == "repository" and scope[-1] == "pull" and len(scope) == 3 else ""
        return web.json_response({"token": token, "access_token": token, "expires_in": TOKEN_SECONDS})

    def _closed(self, request: web.Request, name: str) -> web.Response | None:
        """Who is not let in, and whom to ask for a token."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not self.tokens or (scheme == "Bearer" and token in self._given and self._given[token] in ("", name)):
            return None
        challenge = f'Bearer realm="{self.url}/token",service="{HOST}",scope="repository:{name}:pull"'
        return _error(401, "UNAUTHORIZED", "authentication required", challenge=challenge)

    def _same(self, shown: str) -> bool:
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return hmac.compare_digest(shown, f"Basic {pair}")


def _error(
    status: int, code: str, message: str, detail: Mapping[str, str] | None = None, *, challenge: str = ""
) -> web.Response:
    """An error as the API tells it."""
    headers = {**VERSION, **({"WWW-Authenticate": challenge} if challenge else {})}
    body = {"errors": [{"code": code, "message": message, "detail": dict(detail or {})}]}
    return web.json_response(body, status=status, headers=headers)


async def _serve(port: int) -> None:
    async with Registry(port=port).serving() as registry:
        print(f"BLUEGREEN_REGISTRIES={HOST}={registry.url}", flush=True)
        await asyncio.Event().wait()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.registry_http", description="The sandbox's registry.")
    parser.add_argument("--port", type=int, default=0, help="instead of a free one")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args(arguments).port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
