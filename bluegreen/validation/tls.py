"""Every certificate that users, probes and the program itself rely on: how long it lasts, and whether it is believed.

Route hosts are asked for at the proxy's own address, as a browser would name them there: what a name resolves to is
not looked at. It deliberately renews nothing.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bluegreen.handler import Halt
from bluegreen.validation.certificates import Door, NoTls, Shown, shown
from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.finding import Severity

GROUP = "tls"
SOON, NOW = 21, 7  # days that are left
WITHIN = 4.0  # seconds for one handshake; there are three at most
ENCRYPTED = ("require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class Place:
    """Something with a certificate: what it is called here, and which setting names it."""

    name: str
    setting: str
    door: Door
    strict: bool = True  # False: whether it is believed is not judged here
    fronted: bool = False  # users may meet somebody else under that name


@check(
    "tls-expiry",
    group=GROUP,
    expected="good for 21 days or more",
    hint="Renew the certificate.",
    within=20.0,
)
async def expiry(room: Room) -> Sequence[Seen]:
    return [_lasts(room, place, found) for place, found in await _all(room)]


def _lasts(room: Room, place: Place, found: Shown | NoTls) -> Seen:
    if isinstance(found, NoTls):
        return Seen(True, str(found), about=place.name, status="skipped")
    left = found.until - room.ctx.now()
    day = f"{found.until:%Y-%m-%d}"
    said = f"until {day}, in {left.days} days" if left.total_seconds() > 0 else f"it has run out on {day}"
    hint = f"Renew the certificate of {place.door.name} ({place.setting})."
    severity: Severity = "warn" if left.days >= NOW else "error"
    return Seen(left.days >= SOON, said, about=place.name, hint=hint, severity=severity)


@check(
    "tls-trusted",
    group=GROUP,
    expected="a certificate for that name, from an authority that is believed here",
    hint="Use a name that the certificate is made out to, or set bluegreen:kongCaBundle to its authority.",
    within=20.0,
)
async def trusted(room: Room) -> Sequence[Seen]:
    return [_believed(place, found) for place, found in await _all(room)]


def _believed(place: Place, found: Shown | NoTls) -> Seen:
    if isinstance(found, NoTls):
        well = "cannot be reached" in str(found) or "did not answer" in str(found)  # that is for whoever uses it
        hint = f"Check {place.setting}: its scheme and its port."
        return Seen(well, str(found), about=place.name, hint=hint, status="skipped" if well else None)
    if not place.strict:
        why = "libpq judges it by its own roots, as sslmode says"
        return Seen(True, why, about=place.name, status="skipped")
    name = "Use a name in the address that its certificate is made out to, or have it made out to "
    authority = f"Set bluegreen:kongCaBundle to the authority that signed it, if {place.setting} is right."
    hint = f"{name}{place.door.name}." if "mismatch" in found.distrust else authority
    severity: Severity = "error"
    if place.fronted:  # what stands before the proxy may show users a certificate of its own
        severity, hint = "warn", f"{hint} Whatever else stands before the gateway for {place.name} is not seen here."
    return Seen(not found.distrust, found.distrust or place.door.name, about=place.name, hint=hint, severity=severity)


async def run_out(room: Room, setting: str) -> bool:
    """Whether the certificate at this address is good no more."""
    try:
        found = [each for place, each in await _all(room) if place.setting == setting]
    except Skip:
        return False
    return any(isinstance(each, Shown) and each.until <= room.ctx.now() for each in found)


async def _all(room: Room) -> list[tuple[Place, Shown | NoTls]]:
    places = [*_kong(room), *_database(room)]
    if not places:
        raise Skip("No address begins with https://, and the database's asks for no encryption.")

    async def look() -> list[Shown | NoTls]:
        return list(await asyncio.gather(*(_shown(place, _context(room, place)) for place in places)))

    return list(zip(places, await room.once("tls", look), strict=True))


async def _shown(place: Place, context: Callable[[], ssl.SSLContext]) -> Shown | NoTls:
    try:
        return await shown(place.door, context, WITHIN)
    except NoTls as problem:
        return problem


def _context(room: Room, place: Place) -> Callable[[], ssl.SSLContext]:
    return ssl.create_default_context if place.door.postgres else room.connections.trust.context


def _kong(room: Room) -> list[Place]:
    found = []
    for key in ("kongProxyUrl", "kongAdminUrl"):
        address = urlsplit(room.connections.values.get(key, ""))
        if address.scheme != "https" or not address.hostname:
            continue
        port = address.port or 443
        setting = f"bluegreen:{key}"
        found.append(Place(address.netloc, setting, Door(address.hostname, port, address.hostname)))
        if key == "kongProxyUrl":
            hosts = {
                host: f"apps.{app}.routes.{name}.hosts"
                for app in room.wanted()
                for name, route in room.settings.apps[app].routes.items()
                for host in route.hosts or ()
                if "*" not in host and host != address.hostname
            }
            found += [
                Place(host, where, Door(address.hostname, port, host), fronted=True) for host, where in hosts.items()
            ]
    return found


def _database(room: Room) -> list[Place]:
    if not room.connections.values.get("databaseUrl"):
        return []
    try:
        host, port, mode = room.connections.database().door
    except Halt:
        return []  # no address at all: database-reachable tells
    if mode not in ENCRYPTED or host.startswith("/"):
        return []
    # With verify-ca and verify-full libpq judges by roots of its own: whether it connects is another check's.
    return [Place("database", "bluegreen:databaseUrl", Door(host, port, host, postgres=True), strict=False)]
