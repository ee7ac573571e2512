"""Who is told, and where: a client of theirs, a path below it, and how an event reads to them.

The address of an incoming webhook is itself the key to it. So it is split: a client knows the host, which errors may
name, and the rest is kept apart as a secret. It deliberately opens nothing and sends nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import JsonValue

from bluegreen.event import Event
from bluegreen.handler import Refused
from bluegreen.http import Client

PATIENCE = 5.0  # seconds for one request, whole

Body = Callable[[Event], JsonValue]


@dataclass(frozen=True, slots=True)
class Audience:
    """Somebody who is told of every event, one request each."""

    client: Client
    path: str
    body: Body


def audience(name: str, setting: str, url: str, body: Body) -> Audience:
    """The audience behind one address.

    Args:
        name: who it is, as the beginning of a sentence ("Slack").
        setting: the config key that holds the address; a message names it and never quotes the address.

    Raises:
        Refused: nothing can be sent to such an address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _no_address(setting) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii() or " " in url:
        raise _no_address(setting)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    login, at, _ = parts.netloc.rpartition("@")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    base = f"{parts.scheme}://{login}{at}{host}{'' if port is None else f':{port}'}"
    # The client's own patience is the longer one, so that there is one word for a request that takes too long.
    return Audience(
        Client(
            name,
            base,
            secrets=[secret for secret in (path, login) if secret != "/"],
            hint=f"Check {setting}.",
            connect=2 * PATIENCE,
            read=2 * PATIENCE,
        ),
        path,
        body,
    )


def _no_address(setting: str) -> Refused:
    return Refused(
        f"{setting} is not an address that anything can be sent to.",
        world="Nothing was changed.",
        next="Set it (with --secret) to the whole address, such as https://hooks.example/T0/B0.",
    )
