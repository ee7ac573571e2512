"""Where everything in a sandbox listens: a pure function of one port base.

Nothing is looked up, so `python -m sandbox hosts` can name every address before a gateway starts, and several
sandboxes live side by side on different bases. Private names mean 127.0.0.1, unless a sandbox is asked for a private
network: then each has a loopback address of its own, so that services which all listen on port 8000 fit on one
computer. It deliberately does not check whether a port is free.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

Colour = Literal["blue", "green"]
COLOURS: tuple[Colour, Colour] = ("blue", "green")
APPS: tuple[str, ...] = ("backend", "frontend")
PRIVATE = ".railway.internal"
LOOPBACK = "127.0.0.1"
SPAN = 10 + len(APPS) * len(COLOURS)  # ports a sandbox may use, counted from its base


@dataclass(frozen=True, slots=True)
class Ports:
    """Every port of one sandbox."""

    base: int

    @property
    def kong_admin(self) -> int:
        return self.base

    @property
    def kong_proxy(self) -> int:
        return self.base + 1

    @property
    def railway(self) -> int:
        return self.base + 2

    @property
    def supervisor(self) -> int:
        return self.base + 3

    @property
    def postgres(self) -> int:
        return self.base + 4

    @property
    def kong_status(self) -> int:
        return self.base + 5

    def kong_proxy_of(self, node: int) -> int:
        """The proxy port of one gateway node alone, counted from 0; there is room for four."""
        return self.base + 6 + node

    def app(self, app: str, colour: Colour) -> int:
        """The port on which this colour of this app answers."""
        return self.base + 10 + APPS.index(app) * len(COLOURS) + COLOURS.index(colour)


def host(app: str, colour: Colour) -> str:
    """The private name under which the gateway reaches this colour."""
    return f"{app}-{colour}{PRIVATE}"


def address(name: str, network: int | None) -> str:
    """Where a private name leads: its own loopback address in this private network, which is a port base.

    The second number is never 0 and the last neither 0 nor 255, so 127.0.0.1 and the system's own resolver are spared.
    """
    if network is None:
        return LOOPBACK
    drawn = hashlib.sha256(f"{network} {name.lower()}".encode()).digest()
    return f"127.{1 + drawn[0] % 254}.{drawn[1]}.{1 + drawn[2] % 254}"
