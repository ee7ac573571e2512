"""Which digest a tag is now, asked once of the registry itself: the HTTP API v2 of Docker Hub, ghcr.io and the others.

A manifest is asked for by its head alone, with a token where the registry wants one; an image for several platforms is
answered by its index, and that digest is the right one, because whoever pulls chooses the platform. Credentials are
looked for when the registry asks for some, and are sent to it, or to whoever it names for that, over TLS alone.
`BLUEGREEN_REGISTRIES=registry.internal=https://mirror.internal,…` says where a registry answers instead.
It deliberately pulls nothing and knows no file of docker's.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from bluegreen.handler import Context, Refused
from bluegreen.http import Answer, ApiError, Client, Unavailable
from bluegreen.railway.spec import RegistryCredentials
from bluegreen.staging.reference import DIGEST, HUB, HUB_API, Reference

WORLD = "Nothing was changed."
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = (
    *INDEXES,
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = {"Accept": ", ".join(MANIFESTS)}
DOORS = "BLUEGREEN_REGISTRIES"
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
PAUSES = (0.3, 1.0)  # seconds before a registry that is busy is asked again
NO_HEAD = (400, 405, 501)

Credentials = Callable[[], RegistryCredentials | None]


class Absent(Refused):
    """The registry knows the repository, or shows whatever it has, and has no such image."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a registry says of one image."""

    digest: str
    platforms: bool  # whether it is an index, of which every platform takes its own image


async def resolve(ctx: Context, image: Reference, doors: Mapping[str, str], credentials: Credentials) -> Resolved:
    """The digest of this tag now; of a digest, whether it is there.

    Raises:
        ApiError: the registry cannot be reached, or does not answer as a registry.
        Refused: there is no such image, or nobody without credentials may know.
    """
    base = doors.get(image.host) or f"{_scheme(image.host)}://{HUB_API if image.host == HUB else image.host}"
    _must_be_safe(base, image.host)
    path = f"/v2/{image.path}/manifests/{image.digest or image.tag}"
    hint = f"Check that {image.host} is reachable from here, or give the digest: {image.repository}@sha256:…"
    async with Client(image.host, base, headers=ACCEPT, hint=hint) as client:
        answer = await _asked(ctx, client, path, {})
        if answer.status == 401:
            known = credentials()
            shown = await _authorization(ctx, image, answer, known)
            answer = await _asked(ctx, client, path, shown)
            if answer.status in (401, 403, 404):
                raise _hidden(image, answer.status, known)
        if answer.status in (403, 404):
            raise _hidden(image, answer.status, None)
        if answer.status in NO_HEAD:
            raise _odd(image, f"answered {answer.status}")
        return _read(image, answer)


def doors(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Where registries answer, as far as that is not where they are called.

    Raises:
        Refused: it says nothing that can be used.
    """
    found = {}
    for each in filter(None, (part.strip() for part in environment.get(DOORS, "").split(","))):
        host, equals, address = each.partition("=")
        if not equals or urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
            raise Refused(
                f"{DOORS} says {each!r}, which is no registry and its address.",
                world=WORLD,
                next="Write registry.internal=https://mirror.internal, several with a comma between them.",
            )
        found[host] = address.rstrip("/")
    return found


async def _asked(ctx: Context, client: Client, path: str, headers: Mapping[str, str]) -> Answer:
    """The head of a manifest; the manifest itself where a registry has no heads."""
    answer = await _patient(ctx, client, path, "HEAD", headers)
    if answer.status in NO_HEAD or (answer.status == 200 and not _header(answer, "docker-content-digest")):
        return await _patient(ctx, client, path, "GET", headers)
    return answer


async def _patient(ctx: Context, client: Client, path: str, method: str, headers: Mapping[str, str]) -> Answer:
    for pause in (*PAUSES, None):
        try:
            answer = await client.probe(path, method="HEAD" if method == "HEAD" else "GET", headers=headers)
        except Unavailable:
            if pause is None:
                raise
        else:
            if pause is None or (answer.status < 500 and answer.status != 429):
                return answer
        await ctx.sleep(pause)
    raise AssertionError("unreachable: the last attempt answers or raises")


async def _authorization(
    ctx: Context, image: Reference, answer: Answer, known: RegistryCredentials | None
) -> Mapping[str, str]:
    """What the registry asks to be shown: the credentials themselves, or a token for this one repository."""
    scheme, _, rest = (_header(answer, "www-authenticate") or "").partition(" ")
    basic = _basic(known)
    if scheme.lower() == "basic":
        return basic
    said = dict(CHALLENGE.findall(rest))
    realm = said.get("realm", "")
    if scheme.lower() != "bearer" or not urlsplit(realm).hostname:
        raise _odd(image, f"asks for {scheme or 'nothing'} with its 401")
    _must_be_safe(realm, image.host)
    where = urlsplit(realm)
    secrets = (known.password.get_secret_value(), *(text[6:] for text in basic.values())) if known else ()
    params = {"service": said.get("service", ""), "scope": said.get("scope") or f"repository:{image.path}:pull"}
    query = dict(part.partition("=")[::2] for part in where.query.split("&") if part)
    base = f"{where.scheme}://{where.netloc}"
    async with Client(f"the token server of {image.host}", base, headers=basic, secrets=secrets) as client:
        try:
            given = (await client.read(where.path or "/", params={**query, **params})).json
        except ApiError as problem:
            if problem.status in (400, 401, 403):
                raise _hidden(image, problem.status, known) from problem
            raise
    token = given.get("token") or given.get("access_token") if isinstance(given, Mapping) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise _odd(image, "gives no token")
    return {"Authorization": f"Bearer {token}"}


def _read(image: Reference, answer: Answer) -> Resolved:
    kind = (_header(answer, "content-type") or "").partition(";")[0].strip()
    if answer.status != 200:
        raise _odd(image, f"answered {answer.status}")
    if kind not in MANIFESTS:
        raise _odd(image, f"answered with {kind or 'nothing that has a name'}, which is no manifest of an image")
    told = _header(answer, "docker-content-digest")
    counted = f"sha256:{hashlib.sha256(answer.text.encode()).hexdigest()}" if answer.text else told
    digest = told or counted or ""
    if not re.fullmatch(DIGEST, digest) or (image.digest is not None and digest != image.digest):
        raise _odd(image, f"says that the image is {digest or 'nameless'}")
    return Resolved(digest, kind in INDEXES)


def _hidden(image: Reference, status: int, known: RegistryCredentials | None) -> Refused:
    """Why it cannot be seen: there is none, or it is not for whoever asked."""
    if status == 404:
        what = f"There is no {image} at {image.host}."
    else:
        what = f"{image.host} does not show {image} to {known.username if known else 'somebody without credentials'}."
    shown = "" if known else f", set secrets.registries[{image.host!r}]"
    next_ = f"Check its name{shown}, or give the digest: {image.repository}@sha256:…"
    return (Absent if status == 404 else Refused)(what, world=WORLD, next=next_)


def _odd(image: Reference, how: str) -> Refused:
    return Refused(
        f"{image.host} {how} when it is asked for {image}.",
        world=WORLD,
        next=f"Look it up by hand and give the digest: {image.repository}@sha256:…",
    )


def _must_be_safe(address: str, host: str) -> None:
    where = urlsplit(address)
    if where.scheme == "https" or (where.scheme == "http" and _loopback(where.hostname or "")):
        return
    raise Refused(
        f"{host} would be asked at {where.scheme}://{where.netloc}, where anybody on the way could answer instead.",
        world=WORLD,
        next="Name it by https, or give the digest; http is for this machine's own addresses.",
    )


def _scheme(host: str) -> str:
    return "http" if _loopback(urlsplit(f"//{host}").hostname or "") else "https"


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _basic(known: RegistryCredentials | None) -> Mapping[str, str]:
    if known is None:
        return {}
    pair = f"{known.username}:{known.password.get_secret_value()}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _header(answer: Answer, name: str) -> str | None:
    return next((value for key, value in answer.headers.items() if key.lower() == name), None)
