"""Keys and tokens: there, of the right kind, accepted where they should be, and no door open without one.

No value is ever shown, and a token is tried only where it belongs. It deliberately asks for no right that it does not
need: what a token may do beyond that is told by its kind alone.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from bluegreen.connections import variable
from bluegreen.handler import Halt
from bluegreen.http import ApiError, Client
from bluegreen.kong.spec import KEY_HEADER
from bluegreen.standing import phrase
from bluegreen.tls import Trust
from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.looking import node
from bluegreen.validation.platform import place

GROUP = "tokens"
SHUT = (401, 403)


@check(
    "railway-token",
    group=GROUP,
    expected="a token that opens the project and the environment of the config",
    hint="Set BLUEGREEN_RAILWAY_TOKEN to a project token of this environment.",
    within=15.0,
)
async def railway_token(room: Room) -> Seen:
    try:
        await place(room)
    except Halt as halt:
        return Seen(False, halt.what, hint=halt.next)
    at, kind = room.settings.railway, room.connections.railway_token_kind
    return Seen(True, f"a {kind} token of environment {at.environment_id} of project {at.project_id}")


@check(
    "railway-token-scope",
    group=GROUP,
    severity="warn",
    expected="a token that sees this environment and nothing else",
    hint="Make a project token of this environment in Railway, set it as BLUEGREEN_RAILWAY_TOKEN, and take "
    "bluegreen:railwayTokenKind out of the config.",
)
async def scope(room: Room) -> Seen:
    if not room.connections.values.get("railwayToken"):
        raise Skip("There is no token here.")
    kind = room.connections.railway_token_kind
    wide = "a workspace token, which opens every project of the workspace"
    return Seen(kind == "project", "a project token" if kind == "project" else wide)


@check(
    "admin-api-closed",
    group=GROUP,
    severity="warn",
    expected="Kong's Admin API answers nobody without a key or a certificate",
    hint="Put key-auth (bluegreen:kongAdminKey) or client certificates (bluegreen:kongClientCertificate) before it.",
)
async def admin(room: Room) -> Seen:
    await node(room)
    url, values = room.connections.kong().where, room.connections.values
    if _on_this_machine(url):
        return Seen(True, "it listens on this machine alone")
    bare = Trust(authorities=room.connections.trust.authorities)
    async with Client("Kong's Admin API", url, secrets=room.connections.secrets, connect=5, read=5, trust=bare) as door:
        try:
            answer = await door.probe("/")
        except ApiError as problem:
            return Seen(True, f"it turns a stranger away: {phrase(problem)}")
    if answer.status == 200:
        shown = "although a key is set" if values.get("kongAdminKey") else "and no key is set"
        return Seen(False, f"whoever reaches it may change everything: it answered without a key, {shown}")
    return Seen(True, f"without a key it answers {answer.status}")


def _on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@check(
    "preview-key",
    group=GROUP,
    expected="the previews let our key in",
    hint="Set bluegreen:previewKey (BLUEGREEN_PREVIEW_KEY) to the value of secrets.previewKey, then run pulumi up.",
    within=15.0,
)
async def preview_key(room: Room) -> Seen:
    key = room.connections.values.get("previewKey", "")
    if not key:
        raise Skip("There is no bluegreen:previewKey here, as secrets-set tells where one is needed.")
    status = await _preview(room, {KEY_HEADER: key})
    return Seen(status not in SHUT, f"with our key a preview answers {status}")


@check(
    "preview-closed",
    group=GROUP,
    expected="nobody looks past the weights without the preview key",
    hint="Set secrets.previewKey (pulumi config set --secret --path), and the same as bluegreen:previewKey; then run "
    "pulumi up.",
    within=15.0,
)
async def preview_closed(room: Room) -> Seen:
    if room.settings.secrets.preview_key is None and not room.sealed & {"previewKey", ""}:
        return Seen(False, "secrets.previewKey is not set, so the previews are open to everybody", severity="warn")
    status = await _preview(room, {})
    if status >= 400 and status not in SHUT:
        raise Skip(f"Without a key a preview answers {status}, which says nothing of the door.")
    return Seen(status in SHUT, f"without a key a preview answers {status}")


async def _preview(room: Room, key: Mapping[str, str]) -> int:
    """The status of one preview; a colour without a block has one as well."""
    await node(room)
    app = room.wanted()[0]
    lane, live = room.settings.lanes()[app], room.settings.apps[app].live
    headers = {name: values[live] for name, values in lane.probe.headers.items()}
    path = room.settings.release(app, live).healthcheck_path
    try:
        async with room.connections.proxy(secrets=room.connections.secrets, read=5) as door:
            room.sent.requests += 1
            answer = await door.probe(path, headers={**headers, **key})
    except Halt as halt:
        raise Skip(f"The gateway's proxy cannot be asked: {phrase(halt)}.") from halt
    if answer.status == 404:
        raise Skip(f"There is no preview of {app}-{live}, as gateway-entities tells.")
    return answer.status


@check(
    "secrets-set",
    group=GROUP,
    expected="every address, token and key that the config needs is set",
    hint="Set it with pulumi config set --secret.",
)
async def secrets(room: Room) -> Sequence[Seen]:
    found = [Seen(False, f"{what} is not set", about=what, hint=hint) for what, hint in _lacking(room)]
    shut = f"; {len(room.sealed)} of the secrets are encrypted and were not opened" if room.sealed else ""
    return found or [Seen(True, f"nothing is missing{shut}")]


def _lacking(room: Room) -> Iterator[tuple[str, str]]:
    values, settings = room.connections.values, room.settings
    needed = ["kongAdminUrl", "kongProxyUrl"]
    needed += ["railwayToken"] if any(True for role in ("live", "idle") for _ in settings.deployed(role)) else []
    needed += ["databaseUrl"] if settings.migrations is not None else []
    needed += ["previewKey"] if settings.secrets.preview_key is not None or "previewKey" in room.sealed else []
    plain = ("kongAdminUrl", "kongProxyUrl")
    for key in needed:
        if not values.get(key):
            how = "" if key in plain else " --secret"
            yield (
                f"bluegreen:{key}",
                f"pulumi config set{how} bluegreen:{key} …, or {variable(key)} in the environment.",
            )
    if room.sealed:
        return
    try:
        settings.complete()
    except Halt as halt:
        yield phrase(halt), halt.next
