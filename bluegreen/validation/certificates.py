"""What a server shows in its TLS handshake: until when it is good, and what is wrong with its name or its chain.

Time and trust are judged apart: a certificate that has run out is still asked whether it would be believed otherwise,
so one fault is one finding. Postgres speaks TLS only after it was asked to, which is done here as well.
It deliberately sends no request, and shows a client certificate only where one is configured for that door and its
server's is believed; contexts may be shared with whoever sends keys, so none that is given is ever changed.
"""

import asyncio
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

WITHOUT_TIME = 0x200000  # OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the standard library does not name
TOO_LATE, TOO_EARLY = 10, 9  # OpenSSL's verify codes
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
UTC_TIME, VERSION = 0x17, 0xA0  # DER's tags


class NoTls(Exception):
    """What listens there does not speak TLS, or nothing does; the text says which."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A server's certificate: its last moment, and why it is not believed, time apart (empty: it is)."""

    until: datetime
    distrust: str = ""


@dataclass(frozen=True, slots=True)
class Door:
    """Where to knock. `name` is who is asked for; `postgres`: TLS begins after a request for it."""

    host: str
    port: int
    name: str
    postgres: bool = False


async def shown(door: Door, context: Callable[[], ssl.SSLContext], within: float) -> Shown:
    """What it shows; `context` is what it is judged by, and is left as it is.

    Raises:
        NoTls: there is no handshake to be had.
    """
    try:
        der = await _handshake(door, context(), within)
        return Shown(until(der))
    except ssl.SSLCertVerificationError as problem:
        der = await _handshake(door, _believing(), within)
        reason = problem.verify_message.rstrip(".")
        if problem.verify_code not in (TOO_LATE, TOO_EARLY):
            return Shown(until(der), reason)
    # Something in the chain has run out: what is left of its trust when time is not looked at?
    timeless = _twin(context())
    timeless.verify_flags = ssl.VerifyFlags(timeless.verify_flags | WITHOUT_TIME)
    last = until(der)
    try:
        await _handshake(door, timeless, within)
    except ssl.SSLCertVerificationError as problem:
        return Shown(last, problem.verify_message.rstrip("."))
    return Shown(last, "" if last <= datetime.now(UTC) else f"an authority in its chain: {reason}")


def until(der: bytes) -> datetime:
    """The last moment of a certificate, read from its DER: the second time in the validity of what was signed."""
    _, certificate, _ = _part(der, 0)
    _, signed, _ = _part(der, certificate)
    kind, _, end = _part(der, signed)
    position = end if kind == VERSION else signed  # v1 has no version in front
    for _ in range(3):  # serial number, algorithm, issuer
        _, _, position = _part(der, position)
    _, validity, _ = _part(der, position)
    _, _, after = _part(der, validity)
    kind, start, end = _part(der, after)
    text = der[start:end].decode("ascii")
    if kind == UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _part(der: bytes, at: int) -> tuple[int, int, int]:
    """The kind of what begins there, where its content begins, and where it ends."""
    kind, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(der[start : start + count], "big"), start + count
    return kind, start, start + length


def _twin(context: ssl.SSLContext) -> ssl.SSLContext:
    """Trusts the same authorities and may be changed: the given one is everybody's, and stays as strict as it is."""
    twin = ssl.create_default_context()
    if known := context.get_ca_certs(binary_form=True):
        twin.load_verify_locations(cadata=b"".join(known))
    return twin


def _believing() -> ssl.SSLContext:
    """Takes any certificate: to look at it, never to say anything to whoever shows it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _handshake(door: Door, context: ssl.SSLContext, within: float) -> bytes:
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection(door.host, door.port)
            if door.postgres:
                writer.write(SSL_REQUEST)
                if await reader.readexactly(1) != b"S":
                    raise NoTls("it offers no encryption")
            await writer.start_tls(context, server_hostname=door.name)
            der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if not der:
            raise NoTls("it showed no certificate")
        return bytes(der)
    except ssl.SSLCertVerificationError:
        raise
    except TimeoutError:
        raise NoTls(f"it did not answer within {within:g} s") from None
    except ssl.SSLError as problem:
        raise NoTls(f"no handshake came about ({(problem.reason or 'TLS').replace('_', ' ').lower()})") from None
    except (OSError, EOFError) as problem:
        raise NoTls(f"it cannot be reached ({getattr(problem, 'strerror', None) or type(problem).__name__})") from None
    finally:
        if writer is not None:
            writer.transport.abort()
            with suppress(OSError, ssl.SSLError):
                await writer.wait_closed()
